//! Cuts a run's addresses along node ranges into tasks.
//!
//! Every wanted address ends in exactly one task or is named uncovered; no task holds an address outside the ranges of
//! a node that it names. Which of its nodes gets a task is decided when it is granted, by load.

use crate::run::{Uncovered, UncoveredReason};
use protocol::{NodeId, TargetSet};

/// The most addresses in one task.
pub const MAX_TASK_ADDRESSES: u128 = 256;

/// About ten minutes of probing at a gentle pace of 500 cells a second.
const MAX_TASK_CELLS: u128 = 300_000;

/// A node that could take tasks of this run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its key.
    pub node: NodeId,
    /// What it may scan.
    pub ranges: TargetSet,
    /// Whether it is there now.
    pub online: bool,
}

/// A task to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedTask {
    /// Its addresses.
    pub targets: TargetSet,
    /// Who may take it; never empty.
    pub eligible: Vec<NodeId>,
}

/// What becomes of a run's addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In address order within each set of nodes.
    pub tasks: Vec<PlannedTask>,
    /// Addresses that no online node covers.
    pub uncovered: Vec<Uncovered>,
}

/// Cuts `wanted`, with `ports` ports each, among `candidates`.
pub fn plan(wanted: &TargetSet, ports: u32, candidates: &[Candidate]) -> Plan {
    let mut plan = Plan::default();
    for (targets, eligible) in shares(wanted, candidates) {
        if eligible.is_empty() {
            plan.uncovered = name_uncovered(&targets, candidates);
            continue;
        }
        let size = task_size(targets.count(), ports, eligible.len());
        for family in <[TargetSet; 2]>::from(targets.by_family()) {
            let mut rest = family;
            while !rest.is_empty() {
                let (targets, left) = rest.split_at(size);
                plan.tasks.push(PlannedTask { targets, eligible: eligible.clone() });
                rest = left;
            }
        }
    }
    plan
}

/// Splits the addresses by the set of online nodes that may scan them; each address stands in one share.
fn shares(wanted: &TargetSet, candidates: &[Candidate]) -> Vec<(TargetSet, Vec<NodeId>)> {
    let mut shares = vec![(wanted.clone(), Vec::new())];
    for candidate in candidates.iter().filter(|candidate| candidate.online) {
        shares = shares
            .into_iter()
            .flat_map(|(targets, nodes)| {
                let inside = targets.intersection(&candidate.ranges);
                let outside = targets.minus(&candidate.ranges);
                let with = nodes.iter().copied().chain([candidate.node]).collect();
                [(inside, with), (outside, nodes)]
            })
            .filter(|(targets, _)| !targets.is_empty())
            .collect();
    }
    shares
}

/// Small enough for every node to get several tasks, so that a fast one can take more.
fn task_size(addresses: u128, ports: u32, nodes: usize) -> u128 {
    let by_time = MAX_TASK_CELLS / u128::from(ports.max(1));
    let by_share = addresses.div_ceil(4 * (nodes as u128).max(1));
    by_time.min(MAX_TASK_ADDRESSES).min(by_share).max(1)
}

fn name_uncovered(targets: &TargetSet, candidates: &[Candidate]) -> Vec<Uncovered> {
    let known = candidates.iter().fold(TargetSet::empty(), |all, candidate| all.union(&candidate.ranges));
    let parts = [
        (targets.intersection(&known), UncoveredReason::NodeOffline),
        (targets.minus(&known), UncoveredReason::NoRange),
    ];
    let named = parts.into_iter().filter(|(targets, _)| !targets.is_empty());
    named.map(|(targets, reason)| Uncovered { targets, reason }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{IpAddr, Ipv4Addr};

    fn node(number: u8) -> NodeId {
        NodeId::from_bytes([number; 32])
    }

    fn candidate(number: u8, ranges: &str, online: bool) -> Candidate {
        Candidate { node: node(number), ranges: ranges.parse().unwrap(), online }
    }

    #[test]
    fn addresses_without_a_node_are_named_with_the_reason() {
        let candidates = [candidate(1, "10.0.0.0/25", true), candidate(2, "10.0.0.128/26", false)];
        let plan = plan(&"10.0.0.0/24".parse().unwrap(), 10, &candidates);
        let named: Vec<String> =
            plan.uncovered.iter().map(|part| format!("{} {:?}", part.targets, part.reason)).collect();
        assert_eq!(named, ["10.0.0.128/26 NodeOffline", "10.0.0.192/26 NoRange"]);
        assert!(plan.tasks.iter().all(|task| task.eligible == [node(1)]));
    }

    #[test]
    fn many_ports_make_small_tasks() {
        let candidates = [candidate(1, "10.0.0.0/8", true)];
        let sizes = |ports| {
            let plan = plan(&"10.0.0.0/20".parse().unwrap(), ports, &candidates);
            plan.tasks.iter().map(|task| task.targets.count()).max().unwrap()
        };
        assert_eq!((sizes(10), sizes(65_535)), (256, 4));
    }

    fn range() -> impl Strategy<Value = TargetSet> {
        (0u32..600, 0u32..300).prop_map(|(start, length)| {
            let ip = |bits: u32| IpAddr::V4(Ipv4Addr::from_bits(0x0A00_0000 + bits));
            TargetSet::from_ranges([(ip(start), ip(start + length))])
        })
    }

    proptest! {
        #[test]
        fn every_address_is_planned_once_or_named(
            wanted in range(),
            ranges in proptest::collection::vec((range(), any::<bool>()), 0..6),
            ports in 1u32..70_000,
        ) {
            let candidates: Vec<Candidate> = ranges.into_iter().zip(1u8..).map(|((ranges, online), number)| {
                Candidate { node: node(number), ranges, online }
            }).collect();
            let plan = plan(&wanted, ports, &candidates);
            let mut seen = TargetSet::empty();
            for targets in plan.tasks.iter().map(|task| &task.targets).chain(plan.uncovered.iter().map(|part| &part.targets)) {
                prop_assert!(seen.intersection(targets).is_empty(), "an address stands twice");
                seen = seen.union(targets);
            }
            prop_assert_eq!(seen, wanted);
            for task in &plan.tasks {
                prop_assert!((1..=MAX_TASK_ADDRESSES).contains(&task.targets.count()));
                prop_assert!(!task.eligible.is_empty());
                for node in &task.eligible {
                    let owner = candidates.iter().find(|candidate| candidate.node == *node).unwrap();
                    prop_assert!(owner.online && owner.ranges.covers(&task.targets));
                }
            }
        }
    }
}
