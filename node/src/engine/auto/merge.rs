//! One host as both engines saw it. What the built-in engine found stands; nmap adds what that left open.

use super::plan::is_named;
use crate::engine::nmap::{ENGINE, Kind, by_its_ports};
use protocol::observation::{HostObservation, HostState, PortState};
use protocol::port::Protocol;
use protocol::text::Text;

/// Adds what nmap has `seen` of `host` when it was asked for `kind`. Services that it identified are said to be its.
pub(super) fn add(host: &mut HostObservation, mut seen: HostObservation, kind: Kind, identifies: bool) {
    for port in seen.ports.iter_mut().filter(|port| identifies && is_named(port)) {
        port.service.iter_mut().for_each(|service| service.by = Text::new(ENGINE));
    }
    match kind {
        Kind::Names => add_names(host, &seen),
        Kind::Depth => {
            add_names(host, &seen);
            add_facts(host, seen);
        }
        Kind::Udp => add_udp(host, seen),
    }
}

/// A port is open because it was connected to, and stays so; it gets a name if it has none.
fn add_names(host: &mut HostObservation, seen: &HostObservation) {
    let open = host.ports.iter_mut().filter(|port| port.state == PortState::Open && !is_named(port));
    for port in open {
        let same = seen.ports.iter().find(|one| (one.protocol, one.port) == (port.protocol, port.port));
        if let Some(same) = same.filter(|same| same.state == PortState::Open && is_named(same)) {
            port.service.clone_from(&same.service);
        }
    }
}

fn add_facts(host: &mut HostObservation, seen: HostObservation) {
    host.os = host.os.take().or(seen.os);
    host.mac = host.mac.take().or(seen.mac);
    if host.names.is_empty() {
        host.names = seen.names;
    }
}

/// UDP is nmap's alone. A host that was not seen is there when a UDP port proves it.
fn add_udp(host: &mut HostObservation, seen: HostObservation) {
    let seen = if host.state == HostState::Up { seen } else { by_its_ports(seen) };
    if seen.state != HostState::Up {
        return;
    }
    if host.state != HostState::Up {
        let proof = seen.ports.iter().find(|port| port.state == PortState::Open).or(seen.ports.first());
        host.reason = proof.map_or_else(|| seen.reason.clone(), |port| port.reason.clone());
        host.state = HostState::Up;
    }
    host.ports.retain(|port| port.protocol != Protocol::Udp);
    host.ports.extend(seen.ports.into_iter().filter(|port| port.protocol == Protocol::Udp));
    host.ports.sort_by_key(|port| (port.protocol, port.port));
    host.unlisted.retain(|rest| rest.protocol != Protocol::Udp);
    host.unlisted.extend(seen.unlisted.into_iter().filter(|rest| rest.protocol == Protocol::Udp));
}
