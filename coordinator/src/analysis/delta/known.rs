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
    /// The latest run that saw it.
    pub seen_run: RunId,
    /// What is known of it, put together from several runs.
    pub observation: HostObservation,
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
    let mut by_port: BTreeMap<PortId, PortObservation> = BTreeMap::new();
    for host in &mut observations {
        by_port.extend(std::mem::take(&mut host.ports).into_iter().map(|port| (PortId::of(&port), port)));
    }
    let whole = observations.into_iter().reduce(overlay)?;
    Some(HostObservation { ports: by_port.into_values().collect(), ..whole })
}

/// `later` over `earlier`, without ports: a document may give one observation a port, so all are put together at once.
/// A host that was up in any look is up.
fn overlay(earlier: HostObservation, later: HostObservation) -> HostObservation {
    let HostObservation { address, state, reason, seen, names, mac, os, ports: _, unlisted } = later;
    HostObservation {
        address,
        state,
        reason,
        seen: seen.max(earlier.seen),
        names: if names.is_empty() { earlier.names } else { names },
        mac: mac.or(earlier.mac),
        os: os.or(earlier.os),
        ports: Vec::new(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{NOW, cases, host};
    use proptest::prelude::*;
    use protocol::observation::{HostState, PortState};
    use std::collections::BTreeSet;
    use std::time::Duration;

    /// One after the other, ports and all.
    fn one_by_one(mut observations: Vec<HostObservation>) -> Option<HostObservation> {
        observations.sort_by_cached_key(|host| (host.state == HostState::Up, host.seen, encode(host)));
        observations.into_iter().reduce(|earlier, later| {
            let ports = earlier.ports.iter().chain(&later.ports).map(|port| (PortId::of(port), port.clone()));
            let ports: BTreeMap<PortId, PortObservation> = ports.collect();
            HostObservation { ports: ports.into_values().collect(), ..overlay(earlier, later) }
        })
    }

    fn observation() -> impl Strategy<Value = HostObservation> {
        let ports = proptest::collection::btree_set(1u16..20, 0..6);
        (ports, 0u64..4, any::<bool>(), any::<bool>()).prop_map(|(ports, seconds, is_up, is_closed)| {
            let open: Vec<u16> = ports.into_iter().collect();
            let mut host = host("10.9.0.1", &open);
            host.seen = NOW.plus(Duration::from_secs(seconds));
            host.state = if is_up { HostState::Up } else { HostState::Down };
            for port in host.ports.iter_mut().filter(|_| is_closed) {
                port.state = PortState::Closed;
            }
            host
        })
    }

    proptest! {
        #![proptest_config(cases(500, 5_000))]

        #[test]
        fn all_at_once_is_what_one_by_one_would_be(observations in proptest::collection::vec(observation(), 0..8)) {
            prop_assert_eq!(combine(observations.clone()), one_by_one(observations));
        }
    }

    /// Pairwise this copies two thousand million ports, which no test would wait for.
    #[test]
    fn a_document_with_an_element_for_each_port_is_one_host() {
        let whole = combine((1..=65_535).map(|port| host("10.9.0.1", &[port])).collect()).unwrap();
        let ports: BTreeSet<u16> = whole.ports.iter().map(|port| port.port).collect();
        assert_eq!((whole.ports.len(), ports.len()), (65_535, 65_535));
    }
}
