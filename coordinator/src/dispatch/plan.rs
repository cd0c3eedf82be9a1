//! Cuts addresses along node ranges into tasks, one at a time, as nodes have room.
//!
//! What is cut holds no address outside the ranges of the node that it is cut for, and each address is cut once.
//! A large target costs no more than its ranges and those of the nodes: tasks that nobody can take yet do not exist.

use super::crew::{Candidate, Standing};
use crate::run::{Uncovered, UncoveredReason};
use protocol::{NodeId, TargetSet};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The most addresses in one task.
pub const MAX_TASK_ADDRESSES: u128 = 256;

/// How many tasks a node should get of a share, so that a fast one can take more.
const TASKS_PER_SHARE_AND_NODE: u128 = 4;

/// The addresses that are not in a task yet, by who can take them.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    shares: Vec<Share>,
    /// Which shares a node can take from, those with the fewest nodes first.
    of_node: BTreeMap<NodeId, Vec<usize>>,
}

/// Addresses of one family that the same nodes can take.
#[derive(Clone, Debug)]
struct Share {
    left: TargetSet,
    /// Of one task.
    addresses: u128,
    nodes: usize,
}

impl Plan {
    /// Splits `rest` among those of `candidates` that are there; a task has at most `most` addresses.
    pub fn new<'a>(rest: &TargetSet, most: u128, candidates: impl IntoIterator<Item = &'a Candidate>) -> Self {
        let online: Vec<&Candidate> =
            candidates.into_iter().filter(|candidate| candidate.standing == Standing::Online).collect();
        let mut plan = Self::default();
        for (takers, targets) in split(rest, &online) {
            let by_share = targets.count().div_ceil(TASKS_PER_SHARE_AND_NODE * (takers.len() as u128).max(1));
            let addresses = by_share.min(most).clamp(1, MAX_TASK_ADDRESSES);
            for left in <[TargetSet; 2]>::from(targets.by_family()).into_iter().filter(|left| !left.is_empty()) {
                for taker in &takers {
                    plan.of_node.entry(*taker).or_default().push(plan.shares.len());
                }
                plan.shares.push(Share { left, addresses, nodes: takers.len() });
            }
        }
        for shares in plan.of_node.values_mut() {
            shares.sort_by_key(|share| plan.shares.get(*share).map(|share| share.nodes));
        }
        plan
    }

    /// Cuts the next task for `node`: from addresses that the fewest other nodes can take.
    pub fn cut(&mut self, node: NodeId) -> Option<TargetSet> {
        let mine = self.of_node.get_mut(&node)?;
        // Looked at in order and never again once empty.
        let open = mine.iter().position(|share| self.shares.get(*share).is_some_and(|share| !share.left.is_empty()));
        mine.drain(..open.unwrap_or(mine.len()));
        let share = self.shares.get_mut(*mine.first()?)?;
        let (task, left) = share.left.split_at(share.addresses);
        share.left = left;
        Some(task)
    }

    /// True when nobody who is there can take anything.
    pub fn is_empty(&self) -> bool {
        self.shares.iter().all(|share| share.left.is_empty())
    }

    /// How many shares there are, for tests of what a plan costs.
    pub fn shares(&self) -> usize {
        self.shares.len()
    }
}

/// True when a node that is there, or may come back any moment, could take some of `rest`.
pub fn is_awaited<'a>(rest: &TargetSet, candidates: impl IntoIterator<Item = &'a Candidate>) -> bool {
    let mut near = candidates.into_iter().filter(|candidate| candidate.standing != Standing::Away);
    near.any(|candidate| !rest.intersection(&candidate.allowed).is_empty())
}

/// Why nobody took `rest`, each address once. `declining` are nodes that are there and take nothing of this run.
pub fn name_uncovered<'a>(
    rest: &TargetSet,
    candidates: impl IntoIterator<Item = &'a Candidate>,
    declining: &BTreeSet<NodeId>,
) -> Vec<Uncovered> {
    let (mut away, mut refused) = (TargetSet::empty(), TargetSet::empty());
    for candidate in candidates {
        let mine = rest.intersection(&candidate.approved);
        let open = if declining.contains(&candidate.node) {
            TargetSet::empty()
        } else {
            mine.intersection(&candidate.allowed)
        };
        refused = refused.union(&mine.minus(&open));
        away = away.union(&open);
    }
    let parts = [
        (rest.minus(&away).minus(&refused), UncoveredReason::NoRange),
        (away.clone(), UncoveredReason::NodeOffline),
        (refused.minus(&away), UncoveredReason::Refused),
    ];
    let named = parts.into_iter().filter(|(targets, _)| !targets.is_empty());
    named.map(|(targets, reason)| Uncovered { targets, reason }).collect()
}

/// Splits `rest` by the set of nodes that may scan it. Walks once over all ends of all ranges, in address order.
fn split(rest: &TargetSet, online: &[&Candidate]) -> Vec<(Vec<NodeId>, TargetSet)> {
    let mut ends: BTreeMap<IpAddr, Vec<(usize, bool)>> = BTreeMap::new();
    for (index, candidate) in online.iter().enumerate() {
        for range in candidate.allowed.ranges() {
            ends.entry(range.first()).or_default().push((index, true));
            if let Some(behind) = after(range.last()) {
                ends.entry(behind).or_default().push((index, false));
            }
        }
    }
    let mut here: BTreeSet<usize> = BTreeSet::new();
    let mut pieces: BTreeMap<Vec<usize>, Vec<(IpAddr, IpAddr)>> = BTreeMap::new();
    let mut ends = ends.iter().peekable();
    while let Some((first, changes)) = ends.next() {
        for (index, begins) in changes {
            if *begins {
                here.insert(*index)
            } else {
                here.remove(index)
            };
        }
        let last = ends.peek().map_or(IpAddr::V6(Ipv6Addr::from_bits(u128::MAX)), |(next, _)| before(**next));
        if !here.is_empty() {
            pieces.entry(here.iter().copied().collect()).or_default().push((*first, last));
        }
    }
    let shares = pieces.into_iter().map(|(indexes, ranges)| {
        let takers = indexes.into_iter().filter_map(|index| online.get(index)).map(|candidate| candidate.node);
        (takers.collect(), TargetSet::from_ranges(ranges).intersection(rest))
    });
    shares.filter(|(_, targets)| !targets.is_empty()).collect()
}

/// The next address; after the last one of IPv4 comes the first one of IPv6.
fn after(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => Some(match address.to_bits().checked_add(1) {
            Some(next) => Ipv4Addr::from_bits(next).into(),
            None => Ipv6Addr::UNSPECIFIED.into(),
        }),
        IpAddr::V6(address) => address.to_bits().checked_add(1).map(|next| Ipv6Addr::from_bits(next).into()),
    }
}

/// The address before, in the same order; the lowest one stays.
fn before(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits().saturating_sub(1)).into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv4Addr::BROADCAST.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits().saturating_sub(1)).into(),
    }
}

#[cfg(test)]
mod tests;
