//! What is cut, for whom, and what is named uncovered.

use super::*;
use crate::fixture::cases;
use proptest::prelude::*;

fn node(number: u8) -> NodeId {
    NodeId::from_bytes([number; 32])
}

fn candidate(number: u8, ranges: &str, standing: Standing) -> Candidate {
    let approved: TargetSet = ranges.parse().unwrap();
    Candidate { node: node(number), site: "main".into(), allowed: approved.clone(), approved, standing }
}

fn told(uncovered: &[Uncovered]) -> Vec<String> {
    uncovered.iter().map(|part| format!("{} {:?}", part.targets, part.reason)).collect()
}

/// Everything that `order` can cut, each node in turn until nobody gets anything.
fn cut_all(plan: &mut Plan, order: &[NodeId]) -> Vec<(NodeId, TargetSet)> {
    let mut cut = Vec::new();
    loop {
        let before = cut.len();
        cut.extend(order.iter().filter_map(|node| Some((*node, plan.cut(*node)?))));
        if cut.len() == before {
            return cut;
        }
    }
}

#[test]
fn addresses_without_a_node_are_named_with_the_reason() {
    let policy = TargetSet::from_iter(["10.0.0.0".parse::<IpAddr>().unwrap()]);
    let candidates = [
        Candidate { allowed: policy, ..candidate(1, "10.0.0.0/27", Standing::Online) },
        candidate(2, "10.0.0.128/26", Standing::Away),
        candidate(3, "10.0.0.64/26", Standing::Online),
    ];
    let rest = "10.0.0.1-10.0.0.255".parse().unwrap();
    let declining = [node(3)].into();
    assert_eq!(
        told(&name_uncovered(&rest, &candidates, &declining)),
        ["10.0.0.32/27,10.0.0.192/26 NoRange", "10.0.0.128/26 NodeOffline", "10.0.0.1-10.0.0.31,10.0.0.64/26 Refused"]
    );
}

#[test]
fn work_waits_for_a_node_that_may_come_back_and_for_no_other() {
    let rest: TargetSet = "10.0.0.0/24".parse().unwrap();
    for (standing, ranges, awaited) in [
        (Standing::Online, "10.0.0.7", true),
        (Standing::Expected, "10.0.0.7", true),
        (Standing::Away, "10.0.0.7", false),
        (Standing::Online, "10.0.1.7", false),
    ] {
        assert_eq!(is_awaited(&rest, &[candidate(1, ranges, standing)]), awaited, "{standing:?} {ranges}");
    }
}

#[test]
fn a_node_takes_first_what_the_fewest_others_can() {
    let candidates = [
        candidate(1, "10.0.0.0/24,10.0.1.0/24", Standing::Online),
        candidate(2, "10.0.0.0/24", Standing::Online),
        candidate(3, "10.0.0.0/16", Standing::Away),
    ];
    let mut plan = Plan::new(&"10.0.0.0/23,2001:db8::/120".parse().unwrap(), 256, &candidates);
    let cut = cut_all(&mut plan, &[node(1), node(2)]);
    let first = |number: u8| cut.iter().find(|(taker, _)| *taker == node(number)).unwrap().1.to_string();
    assert_eq!((first(1).as_str(), first(2).as_str()), ("10.0.1.0/26", "10.0.0.0/27"));
    let all = cut.iter().fold(TargetSet::empty(), |all, (_, targets)| all.union(targets));
    assert_eq!(all.to_string(), "10.0.0.0/23", "nobody has the others");
    assert!(plan.is_empty());
}

#[test]
fn the_ends_of_both_families_are_planned_and_never_mixed() {
    let everything = "0.0.0.0/0,::/0";
    let candidates =
        [candidate(1, everything, Standing::Online), candidate(2, "255.255.255.0/24,::/120", Standing::Online)];
    let rest: TargetSet = "255.255.255.254-255.255.255.255,::,ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".parse().unwrap();
    let cut = cut_all(&mut Plan::new(&rest, 256, &candidates), &[node(1), node(2)]);
    assert_eq!(cut.iter().fold(TargetSet::empty(), |all, (_, targets)| all.union(targets)), rest);
    assert!(cut.iter().all(|(_, targets)| <[TargetSet; 2]>::from(targets.by_family()).iter().any(TargetSet::is_empty)));
}

/// A few addresses around a place where both families have room: 600 of IPv4 and 600 of IPv6.
fn targets() -> impl Strategy<Value = TargetSet> {
    let range = (0u32..600, 0u32..300, any::<bool>()).prop_map(|(start, length, is_v6)| {
        let ip = |offset: u32| match is_v6 {
            true => IpAddr::V6(Ipv6Addr::from_bits(u128::MAX - 900 + u128::from(offset))),
            false => IpAddr::V4(Ipv4Addr::from_bits(0x0A00_0000 + offset)),
        };
        (ip(start), ip(start + length))
    });
    proptest::collection::vec(range, 0..4).prop_map(TargetSet::from_ranges)
}

fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
    let standing = prop_oneof![Just(Standing::Online), Just(Standing::Expected), Just(Standing::Away)];
    let one = (targets(), proptest::option::of(targets()), standing);
    proptest::collection::vec(one, 0..7).prop_map(|all| {
        let numbered = all.into_iter().zip(1u8..);
        numbered
            .map(|((approved, own, standing), number)| Candidate {
                node: node(number),
                site: "main".into(),
                allowed: own.map_or_else(|| approved.clone(), |own| own.intersection(&approved)),
                approved,
                standing,
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(cases(2_000, 20_000))]

    #[test]
    fn every_address_is_cut_once_for_a_node_that_may_scan_it_or_named_uncovered_once(
        wanted in targets(),
        candidates in candidates(),
        most in 1u128..400,
        order in Just((1u8..8).map(node).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let mut plan = Plan::new(&wanted, most, &candidates);
        let (mut seen, mut rest) = (TargetSet::empty(), wanted.clone());
        for (taker, targets) in cut_all(&mut plan, &order) {
            let owner = candidates.iter().find(|candidate| candidate.node == taker).unwrap();
            prop_assert!(owner.standing == Standing::Online && owner.allowed.covers(&targets));
            prop_assert!((1..=most.min(MAX_TASK_ADDRESSES)).contains(&targets.count()));
            prop_assert!(seen.intersection(&targets).is_empty(), "an address stands in two tasks");
            seen = seen.union(&targets);
            rest = rest.minus(&targets);
        }
        prop_assert!(plan.is_empty());
        let online = candidates.iter().filter(|candidate| candidate.standing == Standing::Online);
        prop_assert!(online.clone().all(|candidate| rest.intersection(&candidate.allowed).is_empty()), "one was left out");
        for part in name_uncovered(&rest, &candidates, &BTreeSet::new()) {
            prop_assert!(!part.targets.is_empty() && seen.intersection(&part.targets).is_empty());
            seen = seen.union(&part.targets);
        }
        prop_assert_eq!(seen, wanted);
    }
}
