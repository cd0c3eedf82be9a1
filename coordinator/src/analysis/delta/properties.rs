//! The invariants of DESIGN.md section 5, over small worlds of a few hosts and ports.

mod world;

use super::*;
use crate::analysis::coverage::RunCoverage;
use proptest::prelude::*;
use protocol::TargetSet;
use protocol::observation::HostState;
use protocol::task::RunId;
use std::collections::{BTreeMap, BTreeSet};
use world::{Cut, World, cells, cut, world};

/// How many worlds each property sees.
const CASES: u32 = 2_000;

fn changes(deltas: &[HostDelta]) -> Vec<&Change> {
    deltas.iter().flat_map(|delta| &delta.changes).collect()
}

fn keys(deltas: &[HostDelta]) -> BTreeSet<(IpAddr, Option<PortId>, ChangeKind)> {
    changes(deltas).into_iter().map(|change| (change.address, change.port, change.kind)).collect()
}

fn mirrored(change: &Change) -> Change {
    let kind = match change.kind {
        ChangeKind::NewHost => ChangeKind::RemovedHost,
        ChangeKind::RemovedHost => ChangeKind::NewHost,
        ChangeKind::NewPort => ChangeKind::ClosedPort,
        ChangeKind::ClosedPort => ChangeKind::NewPort,
        same @ (ChangeKind::ServiceChange | ChangeKind::OsChange | ChangeKind::NameChange | ChangeKind::MacChange) => {
            same
        }
    };
    let (before, after) = (change.after.clone(), change.before.clone());
    Change { kind, before, after, confirmation: Confirmation::NotNeeded, ..change.clone() }
}

fn mirrored_note(note: &Note) -> Note {
    let kind = match note.kind {
        NoteKind::NewlyCovered => NoteKind::NoLongerCovered,
        NoteKind::NoLongerCovered => NoteKind::NewlyCovered,
        same @ (NoteKind::IdentifiedDifferently
        | NoteKind::Unconfirmed
        | NoteKind::Contradicted
        | NoteKind::Volatile) => same,
    };
    Note { kind, change: mirrored(&note.change) }
}

/// Hosts that seemed gone and may not be: as if nobody had looked at them.
fn in_doubt(deltas: &[HostDelta]) -> TargetSet {
    let notes = deltas.iter().flat_map(|delta| &delta.notes);
    let doubted = |note: &&Note| {
        note.change.kind == ChangeKind::RemovedHost
            && matches!(note.kind, NoteKind::Unconfirmed | NoteKind::Contradicted)
    };
    notes.filter(doubted).map(|note| note.change.address).collect()
}

/// The baseline after `later`, with all that `second` settles, and its coverage.
fn next(earlier: &World, later: &World, second: Option<&World>) -> (Vec<KnownHost>, RunCoverage, Vec<HostDelta>) {
    let nobody = RunCoverage::default();
    let (mut known, mut deltas) = (Vec::new(), Vec::new());
    for mut compared in earlier.compared_to(later) {
        let seen = second.and_then(|world| world.hosts.iter().find(|host| host.address == compared.delta.address));
        compared.delta = settle(compared.delta, seen, second.map_or(&nobody, |world| &world.coverage));
        deltas.push(compared.delta.clone());
        known.extend(apply(compared, &earlier.coverage, &later.coverage, RunId(2)));
    }
    let coverage = earlier.coverage.union(&later.without_hosts(&in_doubt(&deltas)));
    (known, coverage, deltas)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn applying_a_delta_to_the_earlier_run_gives_the_later_one_where_both_looked(a in world(), b in world()) {
        let deltas = a.delta_to(&b);
        let told = |world: &World| -> BTreeMap<_, _> {
            cells().filter_map(|(address, port)| Some(((address, port), world.told(address, port)?))).collect()
        };
        let (before, now) = (told(&a), told(&b));
        let mut open: BTreeSet<(IpAddr, PortId)> = before.iter().filter(|(_, (_, open))| *open).map(|(cell, _)| *cell).collect();
        for change in changes(&deltas) {
            match (change.kind, change.port) {
                (ChangeKind::NewPort, Some(port)) => { prop_assert!(open.insert((change.address, port)), "{change:?}"); }
                (ChangeKind::ClosedPort, Some(port)) => { prop_assert!(open.remove(&(change.address, port)), "{change:?}"); }
                _ => {}
            }
        }
        for (cell, (way, was)) in before {
            let expected = now.get(&cell).filter(|(other, _)| *other == way).map_or(was, |(_, is)| *is);
            prop_assert_eq!(open.contains(&cell), expected, "{:?}", cell);
        }
    }

    #[test]
    fn a_run_does_not_differ_from_itself(a in world()) {
        prop_assert_eq!(a.delta_to(&a), Vec::new());
    }

    #[test]
    fn swapping_the_sides_mirrors_the_delta(a in world(), b in world()) {
        prop_assume!(!a.coverage.is_empty() && !b.coverage.is_empty());
        let there = a.delta_to(&b);
        let back: Vec<HostDelta> = b.delta_to(&a).into_iter().map(|delta| {
            let mut back = HostDelta {
                address: delta.address,
                changes: delta.changes.iter().map(mirrored).collect(),
                notes: delta.notes.iter().map(mirrored_note).collect(),
            };
            back.sort();
            back
        }).collect();
        let plain = |mut delta: HostDelta| {
            delta.changes.iter_mut().for_each(|change| change.confirmation = Confirmation::NotNeeded);
            delta
        };
        prop_assert_eq!(there.into_iter().map(plain).collect::<Vec<_>>(), back);
    }

    /// A host of which only open ports are proof is there as far as one looks: who looks at fewer of its ports knows it
    /// by those alone. So its own line may come then, and no other.
    #[test]
    fn removing_coverage_never_adds_a_change(a in world(), b in world(), cut in cut(), earlier in any::<bool>()) {
        let all = keys(&a.delta_to(&b));
        let fewer = if earlier { a.without(cut).delta_to(&b) } else { a.delta_to(&b.without(cut)) };
        let by_port = a.coverage.by_port_only.union(&b.coverage.by_port_only);
        let excused = |(address, _, kind): &(IpAddr, Option<PortId>, ChangeKind)| {
            matches!(kind, ChangeKind::NewHost | ChangeKind::RemovedHost)
                && matches!(cut, Cut::Port(_) | Cut::Cell(..))
                && by_port.contains(*address)
        };
        let fewer = keys(&fewer);
        let added: Vec<_> = fewer.difference(&all).filter(|key| !excused(key)).collect();
        prop_assert!(added.is_empty(), "{added:?}");
    }

    #[test]
    fn the_order_of_arrival_never_matters(a in world(), b in world(), order in Just(vec![0, 1, 2]).prop_shuffle()) {
        let tasks = order.into_iter().filter_map(|index: usize| b.tasks.get(index).cloned()).collect();
        let other = World::new(tasks);
        prop_assert_eq!(&other.coverage, &b.coverage);
        prop_assert_eq!(a.delta_to(&other), a.delta_to(&b));
        prop_assert_eq!(other.known(), b.known());
        let one_by_one = b.tasks.iter().map(|(coverage, _)| RunCoverage::from(coverage));
        let whole: RunCoverage = other.tasks.iter().map(|(coverage, _)| coverage).collect();
        prop_assert_eq!(one_by_one.fold(RunCoverage::default(), |all, task| task.union(&all)), whole);
    }

    #[test]
    fn what_was_applied_does_not_change_again(a in world(), b in world()) {
        let next = a.compared_to(&b);
        let next: Vec<KnownHost> = next.into_iter().filter_map(|compared| apply(compared, &a.coverage, &b.coverage, RunId(2))).collect();
        let known = a.coverage.union(&b.coverage);
        let again = delta(next.into_iter(), b.hosts.iter().cloned(), &known, &b.coverage).collect::<Vec<_>>();
        prop_assert_eq!(changes(&again), Vec::<&Change>::new());
    }

    /// With each run a cell is what it was last told to be, by the usual ways over others; nothing else moves it.
    #[test]
    fn the_baseline_holds_the_latest_word_on_each_cell(a in world(), b in world()) {
        let (known, coverage, deltas) = {
            let next = a.compared_to(&b);
            let deltas: Vec<HostDelta> = next.iter().map(|compared| compared.delta.clone()).collect();
            let known: Vec<KnownHost> = next.into_iter().filter_map(|compared| apply(compared, &a.coverage, &b.coverage, RunId(2))).collect();
            (known, a.coverage.union(&b.coverage), deltas)
        };
        let gone: BTreeSet<IpAddr> = changes(&deltas).into_iter().filter(|change| change.kind == ChangeKind::RemovedHost).map(|change| change.address).collect();
        for (address, port) in cells() {
            let latest = match (a.told(address, port), b.told(address, port)) {
                (Some((world::Way::Usual, was)), Some((world::Way::Other, _))) => Some(was),
                (was, is) => is.or(was).map(|(_, open)| open),
            };
            prop_assert_eq!(coverage.covers(address, port.protocol, port.port), latest.is_some(), "{} {:?}", address, port);
            let open = known.iter().any(|host| host.address == address && host.open_ports().any(|open| PortId::of(open) == port));
            prop_assert_eq!(open, latest == Some(true) && !gone.contains(&address), "{} {:?}", address, port);
        }
    }

    #[test]
    fn a_second_look_only_takes_lines_away_and_leaves_no_doubt(a in world(), b in world(), c in proptest::option::of(world())) {
        let first = a.delta_to(&b);
        let (_, _, settled) = next(&a, &b, c.as_ref());
        prop_assert!(keys(&settled).is_subset(&keys(&first)));
        for change in changes(&settled) {
            prop_assert_ne!(change.confirmation, Confirmation::Wanted);
            if change.confirmation == Confirmation::NotNeeded { continue }
            let seen = c.as_ref().expect("nothing is confirmed without a second look");
            let up = seen.hosts.iter().any(|host| host.address == change.address && host.state == HostState::Up);
            prop_assert!(seen.coverage.asked.contains(change.address));
            match change.port {
                Some(port) => prop_assert!(!up || seen.told(change.address, port).is_none_or(|(_, open)| !open), "{:?}", change),
                None => prop_assert!(!up || seen.coverage.by_port_only.contains(change.address), "{:?}", change),
            }
        }
        let lost = |delta: &HostDelta| delta.changes.len() + delta.notes.len();
        prop_assert_eq!(settled.iter().map(lost).sum::<usize>(), first.iter().map(lost).sum::<usize>());
    }

    #[test]
    fn what_was_not_settled_stays_known_and_is_asked_again(a in world(), b in world()) {
        let (known, coverage, settled) = next(&a, &b, None);
        let open: BTreeSet<_> = settled.iter().flat_map(|delta| &delta.notes).filter(|note| note.kind == NoteKind::Unconfirmed)
            .map(|note| (note.change.address, note.change.port, note.change.kind)).collect();
        let again: Vec<HostDelta> = delta(known.into_iter(), b.hosts.iter().cloned(), &coverage, &b.coverage).collect();
        prop_assert!(changes(&again).iter().all(|change| change.confirmation == Confirmation::Wanted));
        let again = keys(&again);
        prop_assert!(again.is_superset(&open));
        let by_port = |address: IpAddr| b.coverage.by_port_only.contains(address);
        prop_assert!(again.difference(&open).all(|(address, _, kind)| *kind == ChangeKind::RemovedHost && by_port(*address)));
        for (host, _, _) in open.iter().filter(|(_, _, kind)| *kind == ChangeKind::RemovedHost) {
            for port in world::PORTS.map(world::port) {
                let was = a.told(*host, port).is_some();
                prop_assert_eq!(coverage.covers(*host, port.protocol, port.port), was, "nobody looked");
            }
        }
    }

    #[test]
    fn lines_are_sorted_and_survive_their_own_bytes(a in world(), b in world()) {
        let deltas = a.delta_to(&b);
        prop_assert!(deltas.is_sorted_by_key(|delta| delta.address));
        for delta in &deltas {
            prop_assert!(delta.changes.is_sorted_by_key(|change| change.port));
            let bytes = protocol::codec::encode(delta);
            prop_assert_eq!(&protocol::codec::decode::<HostDelta>(&bytes, 1 << 20).unwrap(), delta);
        }
    }
}

/// A property is worth what its worlds reach: each kind of line must come up often.
#[test]
fn the_worlds_reach_every_kind_of_line() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..CASES {
        let (a, b) = (world(), world()).new_tree(&mut runner).unwrap().current();
        for delta in a.delta_to(&b) {
            for change in &delta.changes {
                *seen.entry(format!("{:?} {:?}", change.kind, change.confirmation)).or_default() += 1;
            }
            for note in &delta.notes {
                *seen.entry(format!("({:?}) {:?}", note.kind, note.change.kind)).or_default() += 1;
            }
            if a.coverage.by_port_only.contains(delta.address) && b.coverage.by_port_only.contains(delta.address) {
                *seen.entry("by port only".to_owned()).or_default() += u32::from(!delta.changes.is_empty());
            }
        }
    }
    let rare: Vec<_> = seen.iter().filter(|(_, count)| **count < CASES / 100).collect();
    assert!(rare.is_empty(), "{rare:?} of {seen:?}");
    assert_eq!(seen.len(), 17, "{seen:?}");
}
