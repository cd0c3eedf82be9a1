//! Cells against plain sets, and coverages that people can count.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Addresses where stretches meet: neighbours, the ends of both families, and the border between them.
const ADDRESSES: [&str; 8] = ["0.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3", "255.255.255.255", "::", "::1", "ffff::"];

fn address(index: u8) -> IpAddr {
    ADDRESSES[usize::from(index)].parse().unwrap()
}

fn block() -> impl Strategy<Value = Block> {
    let ports = proptest::collection::btree_set(1u16..6, 0..4);
    (proptest::collection::btree_set(0u8..8, 0..6), ports).prop_map(|(hosts, ports)| Block {
        targets: hosts.into_iter().map(address).collect(),
        ports: PortSet::from_ports(Protocol::Tcp, ports),
    })
}

fn blocks() -> impl Strategy<Value = Vec<Block>> {
    proptest::collection::vec(block(), 0..6)
}

fn listed(cells: &Cells) -> BTreeSet<(u8, u16)> {
    let all = (0u8..8).flat_map(|last| (1u16..6).map(move |port| (last, port)));
    all.filter(|(last, port)| cells.covers(address(*last), Protocol::Tcp, *port)).collect()
}

proptest! {
    #[test]
    fn cells_behave_as_plain_sets_and_have_one_form(a in blocks(), b in blocks()) {
        let (x, y): (Cells, Cells) = (a.iter().cloned().collect(), b.iter().cloned().collect());
        let (p, q) = (listed(&x), listed(&y));
        prop_assert_eq!(listed(&x.union(&y)), &p | &q);
        prop_assert_eq!(listed(&x.intersection(&y)), &p & &q);
        prop_assert_eq!(listed(&x.minus(&y)), &p - &q);
        prop_assert_eq!(x.count(), p.len() as u128);
        let backwards: Cells = a.into_iter().rev().collect();
        prop_assert_eq!(&backwards, &x);
        prop_assert_eq!(x.union(&y), y.union(&x));
        prop_assert_eq!(x == y, p == q);
        prop_assert_eq!(x.blocks().into_iter().collect::<Cells>(), x.clone());
        prop_assert_eq!(x.addresses(), p.iter().map(|(last, _)| address(*last)).collect());
        let bytes = protocol::codec::encode(&x);
        prop_assert_eq!(protocol::codec::decode::<Cells>(&bytes, 1 << 20).unwrap(), x);
    }
}

fn targets() -> impl Strategy<Value = TargetSet> {
    proptest::collection::btree_set(0u8..8, 0..6).prop_map(|hosts| hosts.into_iter().map(address).collect())
}

fn coverage() -> impl Strategy<Value = RunCoverage> {
    let ways = [1u8, 7].map(|intensity| {
        let how = ServiceDetection { engine: "nmap".into(), version: "7.95".into(), intensity };
        targets().prop_map(move |targets| Identified { how: how.clone(), targets })
    });
    (targets(), targets(), blocks(), blocks(), ways).prop_map(|(asked, by_port_only, probed, otherwise, identified)| {
        let (probed, probed_otherwise) = (probed.into_iter().collect(), otherwise.into_iter().collect());
        let identified = identified.into_iter().filter(|part| !part.targets.is_empty()).collect();
        RunCoverage { asked, by_port_only, probed, probed_otherwise, identified, options: Vec::new() }
    })
}

proptest! {
    #[test]
    fn coverages_differ_where_anything_was_looked_at_in_another_way(a in coverage(), b in coverage()) {
        let at = |run: &RunCoverage, address: IpAddr| {
            let ways: Vec<u8> = run.identified.iter()
                .filter(|part| part.targets.contains(address)).map(|part| part.how.intensity).collect();
            let cells = (run.probed.ports_of(address), run.probed_otherwise.ports_of(address));
            (run.asked.contains(address), run.by_port_only.contains(address), cells, ways)
        };
        let differs = (0..8).map(address).filter(|address| at(&a, *address) != at(&b, *address));
        prop_assert_eq!(a.differs_at(&b), differs.collect());
        prop_assert!(a.differs_at(&a).is_empty());
    }
}

fn task(targets: &str, ports: &str) -> Coverage {
    let targets: TargetSet = targets.parse().unwrap();
    let probed = protocol::observation::ProbedCells {
        targets: targets.clone(),
        ports: ports.parse().unwrap(),
        method: ProbeMethod::Syn,
    };
    Coverage { asked: targets, probed: vec![probed], ..Coverage::default() }
}

#[test]
fn a_percentage_is_rounded_down_and_full_only_when_nothing_is_missing() {
    let tasks = [task("10.0.0.0/25", "22,80"), task("10.0.0.128-10.0.0.254", "22,80")];
    let run: RunCoverage = tasks.iter().collect();
    let (planned, ports): (TargetSet, PortSet) = ("10.0.0.0/24".parse().unwrap(), "22,80".parse().unwrap());
    assert_eq!(run.percent(&planned, Some(&ports)), 99);
    assert_eq!(run.percent(&planned, None), 99);
    assert_eq!(run.percent(&"10.0.0.0/25".parse().unwrap(), Some(&ports)), 100);
    assert_eq!(run.percent(&planned, Some(&"443".parse().unwrap())), 0);
    assert_eq!(run.percent(&"::/0".parse().unwrap(), Some(&ports)), 0);
    assert_eq!(run.probed.blocks().len(), 1, "neighbours are one block");
}

#[test]
fn what_only_one_side_covered_is_counted() {
    let (before, now): (RunCoverage, RunCoverage) =
        ([&task("10.0.0.1-4", "22,80")].into_iter().collect(), [&task("10.0.0.3-6", "80,443")].into_iter().collect());
    let change = now.change_from(&before);
    assert_eq!((change.newly_asked.count(), change.no_longer_asked.count()), (2, 2));
    assert_eq!((change.newly_covered.count(), change.no_longer_covered.count()), (6, 6));
    assert_eq!(now.intersection(&before).probed, Cells::new("10.0.0.3-4".parse().unwrap(), "80".parse().unwrap()));
}

#[test]
fn an_address_that_proved_itself_once_is_not_known_by_ports_only() {
    let plain = task("10.0.0.1-2", "22");
    let silent = Coverage { by_port_only: plain.asked.clone(), ..task("10.0.0.1-4", "22") };
    let run: RunCoverage = [&plain, &silent].into_iter().collect();
    assert_eq!(run.by_port_only, TargetSet::empty());
    let run: RunCoverage = [&silent].into_iter().collect();
    assert_eq!(run.by_port_only.to_string(), "10.0.0.1-10.0.0.2");
}

#[test]
fn who_was_not_asked_was_not_looked_at() {
    let timed_out = Coverage { asked: "10.0.0.1".parse().unwrap(), ..task("10.0.0.1-2", "22") };
    let run = RunCoverage::from(&timed_out);
    assert_eq!(run.probed.addresses().to_string(), "10.0.0.1");
}

#[test]
fn a_usual_look_at_a_cell_stands_over_another() {
    let usual = task("10.0.0.1-2", "22,80");
    let mut other = task("10.0.0.2-3", "22,443");
    other.probed.iter_mut().for_each(|cells| cells.method = ProbeMethod::Other);
    let run: RunCoverage = [&other, &usual].into_iter().collect();
    let cells: Vec<String> =
        run.probed_otherwise.blocks().iter().map(|block| format!("{} {}", block.targets, block.ports)).collect();
    assert_eq!(cells, ["10.0.0.3 22,443", "10.0.0.2 443"]);
    assert_eq!(RunCoverage::from(&usual).union(&RunCoverage::from(&other)), run);
}
