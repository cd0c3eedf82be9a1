//! Which nodes of a run look and see nothing: what only such nodes say is gone is settled by nobody (SPEC R4).

use crate::intake::TaskCoverage;
use crate::run::Look;
use protocol::observation::{HostObservation, HostState};
use protocol::{NodeId, TargetSet};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Fewer hosts than these may all be off at once without anything being wrong with the way to them.
pub(super) const BLIND_FLOOR: u64 = 5;

/// The nodes that looked, and what they saw of hosts that were known.
#[derive(Clone, Default)]
pub(super) struct Lookers(Vec<Looker>);

#[derive(Clone)]
struct Looker {
    first: TargetSet,
    again: TargetSet,
    /// Known hosts that it looked at the first time, and in either look.
    known_first: u64,
    known: u64,
    /// It saw a known host.
    sees: bool,
}

impl Looker {
    fn is_blind(&self) -> bool {
        !self.sees && self.known >= BLIND_FLOOR
    }
}

impl Lookers {
    /// The nodes of a run by what their tasks looked at.
    pub(super) fn of<'a>(tasks: impl IntoIterator<Item = (Look, &'a TaskCoverage)>) -> Self {
        let mut ranges: BTreeMap<NodeId, [Vec<(IpAddr, IpAddr)>; 2]> = BTreeMap::new();
        for (look, task) in tasks {
            let [first, again] = ranges.entry(task.node).or_default();
            let of_look = match look {
                Look::First => first,
                Look::Second => again,
            };
            of_look.extend(task.coverage.asked.ranges().map(|range| (range.first(), range.last())));
        }
        let looker = |looks: [Vec<(IpAddr, IpAddr)>; 2]| {
            let [first, again] = looks.map(TargetSet::from_ranges);
            Looker { first, again, known_first: 0, known: 0, sees: false }
        };
        Self(ranges.into_values().map(looker).collect())
    }

    /// Takes in a host that was known before, as each look saw it.
    pub(super) fn count(&mut self, address: IpAddr, first: Option<&HostObservation>, again: Option<&HostObservation>) {
        let is_up = |host: Option<&HostObservation>| host.is_some_and(|host| host.state == HostState::Up);
        // Who sees one host is not blind, whatever else it looked at.
        for looker in self.0.iter_mut().filter(|looker| !looker.sees) {
            let (in_first, in_again) = (looker.first.contains(address), looker.again.contains(address));
            looker.known_first += u64::from(in_first);
            looker.known += u64::from(in_first || in_again);
            looker.sees = in_first && is_up(first) || in_again && is_up(again);
        }
    }

    /// Addresses whose second look settles nothing: a blind node took it. One that was only asked about hosts that
    /// seemed gone has had nothing else to see, so it may confirm what a node that sees has missed.
    pub(super) fn unsettled(&self) -> TargetSet {
        let blind = || self.0.iter().filter(|looker| looker.is_blind());
        let missed = blind().fold(TargetSet::empty(), |all, looker| all.union(&looker.first));
        blind().fold(TargetSet::empty(), |all, looker| {
            let nothing =
                if looker.known_first > 0 { looker.again.clone() } else { looker.again.intersection(&missed) };
            all.union(&nothing)
        })
    }
}
