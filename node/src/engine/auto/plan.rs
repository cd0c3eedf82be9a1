//! What is left for nmap once the built-in engine has looked: which ports of which hosts, in as few processes as there
//! are different lists of ports.

use crate::engine::nmap::{FollowUp, Kind};
use crate::policy::AdmittedTask;
use protocol::observation::{HostObservation, HostState, PortObservation, PortState, ServiceMethod};
use protocol::port::{PortSet, Protocol};
use protocol::target::TargetSet;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Printers print what they are asked here, so nobody asks them, as nmap does not.
pub(in crate::engine) const PRINTERS: std::ops::RangeInclusive<u16> = 9_100..=9_107;

/// Hosts of one process at most, so that several run side by side.
const MAX_HOSTS: usize = 32;

/// Options that look deeper than at the names of services.
const DEEP: [&str; 4] = ["-sC", "--script", "-O", "--traceroute"];

/// What of a task the built-in engine leaves to nmap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Left {
    /// Open ports that have no name yet.
    names: bool,
    /// Also those that printers listen on.
    printers: bool,
    /// Scripts, the operating system, the way there.
    depth: bool,
    /// The operating system, which shows best with a closed port beside the open ones.
    system: bool,
    /// UDP, and on which ports; `None`: nmap's own set.
    udp: Option<Option<PortSet>>,
}

impl Left {
    pub(super) fn of(task: &AdmittedTask) -> Self {
        let args = &task.spec().args;
        let udp_ports = || task.spec().ports.as_ref().map(|ports| ports.only(Protocol::Udp));
        Self {
            names: args.service_intensity().is_some(),
            printers: args.has("--allports"),
            depth: DEEP.iter().any(|name| args.has(name)),
            system: args.has("-O"),
            udp: args.has("-sU").then(udp_ports),
        }
    }

    /// Whether services are to be named.
    pub(super) fn names(&self) -> bool {
        self.names
    }

    /// Whether names are all that TCP ports still need.
    pub(super) fn wants_names_only(&self) -> bool {
        self.names && !self.depth
    }

    /// The UDP ports that were named; `None` when there are none, or nmap chooses.
    pub(super) fn udp_ports(&self) -> Option<&PortSet> {
        self.udp.as_ref()?.as_ref()
    }

    /// The processes that these hosts need. `probed` are the TCP ports that were asked, `by_port_only` the hosts that
    /// only a port proves to be there: a UDP port may.
    pub(super) fn follow_ups<'a>(
        &self,
        hosts: impl Iterator<Item = &'a HostObservation> + Clone,
        probed: &PortSet,
        by_port_only: &TargetSet,
    ) -> Vec<FollowUp> {
        let mut by_ports: BTreeMap<(Kind, Option<PortSet>), Vec<IpAddr>> = BTreeMap::new();
        let kind = if self.depth { Kind::Depth } else { Kind::Names };
        let mut add = |kind, ports, address| by_ports.entry((kind, ports)).or_default().push(address);
        for host in hosts {
            let is_up = host.state == HostState::Up;
            let ports = self.tcp_ports(host, probed);
            if is_up && !ports.is_empty() {
                add(kind, Some(ports), host.address);
            }
            if let Some(ports) = self.udp.as_ref().filter(|_| is_up || by_port_only.contains(host.address)) {
                add(Kind::Udp, ports.clone(), host.address);
            }
        }
        by_ports.into_iter().flat_map(|((kind, ports), hosts)| processes(kind, ports.as_ref(), &hosts)).collect()
    }

    /// The TCP ports of a host that nmap is to ask.
    fn tcp_ports(&self, host: &HostObservation, probed: &PortSet) -> PortSet {
        let open = host.ports.iter().filter(|port| port.protocol == Protocol::Tcp && port.state == PortState::Open);
        let is_left = |port: &&PortObservation| {
            self.depth || self.names && !is_named(port) && (self.printers || !PRINTERS.contains(&port.port))
        };
        let ports: Vec<u16> = open.filter(is_left).map(|port| port.port).collect();
        let closed = closed_port(host, probed).filter(|_| self.system && !ports.is_empty());
        PortSet::from_ports(Protocol::Tcp, ports.into_iter().chain(closed))
    }
}

/// True when an engine heard what the port is.
pub(super) fn is_named(port: &PortObservation) -> bool {
    port.service.as_ref().is_some_and(|service| service.method == ServiceMethod::Probed)
}

/// A closed port of a host all of whose unlisted ports are closed.
fn closed_port(host: &HostObservation, probed: &PortSet) -> Option<u16> {
    let mut unlisted = host.unlisted.iter().filter(|rest| rest.protocol == Protocol::Tcp);
    if !unlisted.clone().any(|rest| rest.state == PortState::Closed && rest.count > 0)
        || unlisted.any(|rest| rest.state != PortState::Closed)
    {
        return None;
    }
    let listed = host.ports.iter().filter(|port| port.protocol == Protocol::Tcp).map(|port| port.port);
    let rest = probed.minus(&PortSet::from_ports(Protocol::Tcp, listed));
    rest.ranges(Protocol::Tcp).first().map(|(first, _)| *first)
}

/// The hosts in groups of one family, none too large.
fn processes(kind: Kind, ports: Option<&PortSet>, hosts: &[IpAddr]) -> Vec<FollowUp> {
    let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = hosts.iter().partition(|address| address.is_ipv4());
    let groups = [v4, v6];
    let groups = groups.iter().flat_map(|family| family.chunks(MAX_HOSTS));
    groups.map(|group| FollowUp { kind, targets: group.iter().copied().collect(), ports: ports.cloned() }).collect()
}
