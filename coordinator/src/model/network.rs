//! The network as it really is, and what a node that looks at it sees: sometimes less, never more.

use crate::chance::Chance;
use crate::fixture::NOW;
use protocol::observation::{
    Coverage, HostObservation, HostState, PortObservation, PortState, ProbeMethod, ProbedCells, Service,
    ServiceDetection, ServiceMethod,
};
use protocol::text::Text;
use protocol::{PortSet, Protocol, TargetSet};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A port and its protocol.
pub(super) type Port = (Protocol, u16);

/// Every port that a scan of the model may ask for: three with a rule, one without, one that may stay silent.
pub(super) const PORTS: [Port; 5] =
    [(Protocol::Tcp, 22), (Protocol::Tcp, 80), (Protocol::Tcp, 3389), (Protocol::Tcp, 3306), (Protocol::Udp, 161)];

/// How many addresses there are.
const ADDRESSES: u8 = 16;

pub(super) fn addresses() -> impl Iterator<Item = IpAddr> {
    (0..ADDRESSES).map(|last| IpAddr::from([10, 9, 0, last]))
}

/// Open ports, each with the version of what answers there.
pub(super) type Host = BTreeMap<Port, u8>;

/// What is really there.
#[derive(Clone, Debug, Default)]
pub(super) struct Network(pub(super) BTreeMap<IpAddr, Host>);

impl Network {
    pub(super) fn new(chance: &mut Chance) -> Self {
        let mut network = Self::default();
        for address in addresses() {
            if chance.one_in(2) {
                network.0.insert(address, some_ports(chance));
            }
        }
        network
    }

    /// Time passes: a host comes or goes, a port opens or closes, a service is updated.
    pub(super) fn change(&mut self, chance: &mut Chance) {
        for _ in 0..chance.below(9) {
            let address = IpAddr::from([10, 9, 0, u8::try_from(chance.below(u64::from(ADDRESSES))).unwrap()]);
            let Some(host) = self.0.get_mut(&address) else {
                self.0.insert(address, some_ports(chance));
                continue;
            };
            let port = PORTS[chance.index(PORTS.len())];
            match (chance.below(6), host.get(&port).copied()) {
                (0, _) => drop(self.0.remove(&address)),
                (1 | 2, Some(_)) => drop(host.remove(&port)),
                (_, version) => drop(host.insert(port, version.map_or(1, |version| 1 + version % 3))),
            }
        }
    }
}

fn some_ports(chance: &mut Chance) -> Host {
    PORTS.into_iter().filter(|_| chance.one_in(2)).map(|port| (port, 1)).collect()
}

/// What one look at one host tells of one of its ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Open; the version, where the service was identified, and 0 where it did not tell.
    Open(Option<u8>),
    /// It answers that it is closed.
    Closed,
    /// No answer to TCP.
    Filtered,
    /// No answer to UDP, which says nothing.
    Silent,
}

/// What one look at some addresses tells.
#[derive(Clone, Debug, Default)]
pub(super) struct Sight {
    /// Which node looked.
    pub(super) looker: usize,
    /// Addresses that were settled.
    pub(super) asked: BTreeSet<IpAddr>,
    /// The ports that were asked for.
    pub(super) ports: Vec<Port>,
    /// How services were identified, if they were: the engine's version.
    pub(super) detection: Option<&'static str>,
    /// Hosts that answered.
    pub(super) hosts: BTreeMap<IpAddr, BTreeMap<Port, Told>>,
}

/// How a look goes wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    /// One in so many hosts, and open ports, stays silent; 0 for none.
    pub(super) silent: u64,
    /// One in so many addresses is not settled; 0 for none.
    pub(super) unsettled: u64,
    /// Nothing at all comes through.
    pub(super) dark: bool,
}

impl Network {
    /// Looks at `targets`. Without faults all is told but what UDP and services keep to themselves.
    pub(super) fn look(
        &self,
        targets: &TargetSet,
        ports: &[Port],
        detection: Option<&'static str>,
        faults: Faults,
        chance: &mut Chance,
    ) -> Sight {
        let mut sight = Sight { ports: ports.to_vec(), detection, ..Sight::default() };
        for address in targets.addresses() {
            if faults.unsettled > 0 && chance.one_in(faults.unsettled) {
                continue;
            }
            sight.asked.insert(address);
            let is_lost = |chance: &mut Chance| faults.silent > 0 && chance.one_in(faults.silent);
            let Some(host) = self.0.get(&address).filter(|_| !faults.dark && !is_lost(chance)) else { continue };
            let told = ports.iter().map(|port| {
                let told = match (host.get(port), port.0) {
                    (_, Protocol::Udp) if chance.one_in(2) => Told::Silent,
                    (Some(_), Protocol::Tcp | Protocol::Sctp) if is_lost(chance) => Told::Filtered,
                    (Some(version), _) => {
                        let told = if chance.one_in(5) { 0 } else { *version };
                        Told::Open(detection.map(|_| told).filter(|_| !chance.one_in(4)))
                    }
                    (None, _) => Told::Closed,
                };
                (*port, told)
            });
            sight.hosts.insert(address, told.collect());
        }
        sight
    }
}

impl Sight {
    /// As a node sends it.
    pub(super) fn coverage(&self) -> Coverage {
        let targets: TargetSet = self.asked.iter().copied().collect();
        let cells = |protocol: Protocol, method| {
            let numbers = self.ports.iter().filter(|port| port.0 == protocol).map(|port| port.1);
            ProbedCells { targets: targets.clone(), ports: PortSet::from_ports(protocol, numbers), method }
        };
        let probed = vec![cells(Protocol::Tcp, ProbeMethod::Connect), cells(Protocol::Udp, ProbeMethod::Udp)];
        let services = self.detection.iter().map(|version| ServiceDetection {
            engine: "nmap".into(),
            version: (*version).into(),
            intensity: 7,
        });
        let services = services.collect();
        Coverage { asked: targets, probed, services, ..Coverage::default() }
    }

    /// As a node sends them.
    pub(super) fn observations(&self) -> Vec<HostObservation> {
        let observed = |(address, told): (&IpAddr, &BTreeMap<Port, Told>)| HostObservation {
            address: *address,
            state: HostState::Up,
            reason: "syn-ack".into(),
            seen: NOW,
            names: Vec::new(),
            mac: None,
            os: None,
            ports: told.iter().map(|(port, told)| observed_port(*port, *told)).collect(),
            unlisted: Vec::new(),
        };
        self.hosts.iter().map(observed).collect()
    }
}

fn observed_port((protocol, port): Port, told: Told) -> PortObservation {
    let (state, version) = match told {
        Told::Open(version) => (PortState::Open, version),
        Told::Closed => (PortState::Closed, None),
        Told::Filtered => (PortState::Filtered, None),
        Told::Silent => (PortState::OpenFiltered, None),
    };
    let service = version.map(|version| Service {
        name: "http".into(),
        version: if version == 0 { Text::default() } else { Text::new(&version.to_string()) },
        method: ServiceMethod::Probed,
        ..Service::default()
    });
    PortObservation { protocol, port, state, reason: Text::default(), service }
}
