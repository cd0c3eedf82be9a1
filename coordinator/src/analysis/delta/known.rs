//! A host as it is known: the latest observation of each of its cells; and several observations of one run as one.

use super::PortId;
use protocol::codec::{Decode, Encode, encode};
use protocol::observation::{HostObservation, PortObservation, ServiceDetection, UnlistedPorts};
use protocol::task::RunId;
use protocol::{PortSet, Protocol};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// One host of a scan's baseline. It is there: a host that is not has no record.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct KnownHost {
    /// Its address.
    pub address: IpAddr,
    /// What is known of it, put together from several runs.
    pub observation: HostObservation,
    /// The latest run that saw it.
    pub seen_run: RunId,
    /// How the services of which ports were identified.
    pub services: Vec<IdentifiedPorts>,
}

/// Ports whose services were identified in one way.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct IdentifiedPorts {
    /// The way.
    pub how: ServiceDetection,
    /// The ports.
    pub ports: PortSet,
}

impl KnownHost {
    /// How the service of one port was identified.
    pub fn detection_of(&self, port: PortId) -> Option<&ServiceDetection> {
        self.services.iter().find(|part| part.ports.contains(port.protocol, port.port)).map(|part| &part.how)
    }

    /// Its open ports, in order.
    pub fn open_ports(&self) -> impl Iterator<Item = &PortObservation> {
        super::look::open_ports(&self.observation)
    }
}

impl PortId {
    pub(super) fn of(port: &PortObservation) -> Self {
        Self { protocol: port.protocol, port: port.port }
    }
}

/// Several observations of one host in one run as one: of each port the latest, and an answer over silence.
///
/// The order in which they are given makes no difference. `None` when there are none; they must be of one address.
pub fn combine(mut observations: Vec<HostObservation>) -> Option<HostObservation> {
    observations
        .sort_by_cached_key(|host| (host.state == protocol::observation::HostState::Up, host.seen, encode(host)));
    observations.into_iter().reduce(overlay)
}

/// `later` over `earlier`; a host that was up in any look is up.
fn overlay(earlier: HostObservation, later: HostObservation) -> HostObservation {
    let HostObservation { address, state, reason, seen, names, mac, os, ports, unlisted } = later;
    let mut by_port: BTreeMap<PortId, PortObservation> =
        earlier.ports.into_iter().map(|port| (PortId::of(&port), port)).collect();
    by_port.extend(ports.into_iter().map(|port| (PortId::of(&port), port)));
    HostObservation {
        address,
        state,
        reason,
        seen: seen.max(earlier.seen),
        names: if names.is_empty() { earlier.names } else { names },
        mac: mac.or(earlier.mac),
        os: os.or(earlier.os),
        ports: by_port.into_values().collect(),
        unlisted: merge_unlisted(&earlier.unlisted, &unlisted),
    }
}

/// Both lists as one; where both know a state the larger count stays.
pub(super) fn merge_unlisted(earlier: &[UnlistedPorts], later: &[UnlistedPorts]) -> Vec<UnlistedPorts> {
    let mut counts: BTreeMap<(Protocol, protocol::observation::PortState), u32> = BTreeMap::new();
    for part in earlier.iter().chain(later) {
        let count = counts.entry((part.protocol, part.state)).or_default();
        *count = (*count).max(part.count);
    }
    counts.into_iter().map(|((protocol, state), count)| UnlistedPorts { protocol, state, count }).collect()
}

/// Single ports as a set.
pub(super) fn port_set(ports: &[PortId]) -> PortSet {
    Protocol::ALL.into_iter().fold(PortSet::empty(), |all, protocol| {
        let mut of = ports.iter().filter(|port| port.protocol == protocol).map(|port| port.port).peekable();
        if of.peek().is_none() { all } else { all.union(&PortSet::from_ports(protocol, of)) }
    })
}
