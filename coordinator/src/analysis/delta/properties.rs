//! The five invariants of DESIGN.md section 5, over small worlds of a few hosts and ports.

use super::*;
use crate::analysis::coverage::RunCoverage;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use protocol::observation::{
    Coverage, HostState, PortObservation, ProbeMethod, ProbedCells, ServiceDetection, ServiceMethod, UnlistedPorts,
};
use protocol::task::RunId;
use protocol::{PortSet, TargetSet, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

const PORTS: [(Protocol, u16); 5] =
    [(Protocol::Tcp, 22), (Protocol::Tcp, 80), (Protocol::Tcp, 3389), (Protocol::Udp, 53), (Protocol::Udp, 161)];

fn address(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

/// One look at the small world: what tasks covered and saw.
#[derive(Clone, Debug)]
struct World {
    tasks: Vec<(Coverage, Vec<HostObservation>)>,
}

impl World {
    fn coverage(&self) -> RunCoverage {
        let whole: RunCoverage = self.tasks.iter().map(|(coverage, _)| coverage).collect();
        whole.decided(&self.hosts())
    }

    fn hosts(&self) -> Vec<HostObservation> {
        let mut by_address: BTreeMap<IpAddr, Vec<HostObservation>> = BTreeMap::new();
        for host in self.tasks.iter().flat_map(|(_, hosts)| hosts) {
            by_address.entry(host.address).or_default().push(host.clone());
        }
        by_address.into_values().filter_map(combine).collect()
    }

    fn known(&self) -> Vec<KnownHost> {
        let (nothing, now) = (RunCoverage::default(), self.coverage());
        let compared = compare(std::iter::empty(), self.hosts().into_iter(), &nothing, &now);
        compared.filter_map(|compared| apply(compared, &nothing, &now, RunId(1))).collect()
    }

    fn delta_to(&self, later: &Self) -> Vec<HostDelta> {
        delta(self.known().into_iter(), later.hosts().into_iter(), &self.coverage(), &later.coverage()).collect()
    }

    /// `Some(open)` where the cell was looked at and can be told: the oracle, independent of the code under test.
    fn is_open(&self, address: IpAddr, port: PortId) -> Option<bool> {
        let covered = self.tasks.iter().any(|(coverage, _)| coverage.covers(address, port.protocol, port.port));
        let hosts = self.hosts();
        let host = hosts.iter().find(|host| host.address == address && host.state == HostState::Up);
        let vague = |state| matches!(state, PortState::OpenFiltered | PortState::Unfiltered);
        match host {
            _ if !covered => None,
            None => Some(false),
            Some(host) => match host.ports.iter().find(|seen| PortId::of(seen) == port) {
                Some(seen) if vague(seen.state) => None,
                Some(seen) => Some(seen.state == PortState::Open),
                None if host.unlisted.iter().any(|part| part.protocol == port.protocol && vague(part.state)) => None,
                None => Some(false),
            },
        }
    }

    /// The same look without one address, or without one port.
    fn without(&self, gone: Option<IpAddr>, port: Option<PortId>) -> Self {
        let cut = |targets: &TargetSet| gone.map_or(targets.clone(), |gone| targets.minus(&gone.into()));
        let mut less = self.clone();
        for (coverage, hosts) in &mut less.tasks {
            coverage.asked = cut(&coverage.asked);
            coverage.by_port_only = cut(&coverage.by_port_only);
            for cells in &mut coverage.probed {
                cells.targets = cut(&cells.targets);
                if let Some(port) = port {
                    cells.ports = cells.ports.minus(&PortSet::from_ports(port.protocol, [port.port]));
                }
            }
            hosts.retain(|host| Some(host.address) != gone);
            hosts.iter_mut().for_each(|host| host.ports.retain(|seen| Some(PortId::of(seen)) != port));
        }
        less
    }
}

prop_compose! {
    fn service()(name in select(vec!["http", "ssh"]), version in select(vec!["1", "2"]), probed in any::<bool>()) -> Service {
        let method = if probed { ServiceMethod::Probed } else { ServiceMethod::Table };
        Service { name: name.into(), version: version.into(), method, ..Service::default() }
    }
}

fn seen_port() -> impl Strategy<Value = (PortState, Option<Service>)> {
    let state = select(PortState::ALL.map(|(state, _)| state).to_vec());
    (prop_oneof![Just(PortState::Open), state], proptest::option::of(service()))
}

prop_compose! {
    fn host(last: u8, ports: Vec<(Protocol, u16)>)(
        up in prop_oneof![3 => Just(true), 1 => Just(false)],
        seen in proptest::collection::vec(proptest::option::of(seen_port()), ports.len()),
        sums in subsequence(vec![PortState::Closed, PortState::Filtered, PortState::OpenFiltered], 0..=2),
        (at, os, name) in (0u64..3, 0u8..3, 0u8..3),
        ports in Just(ports),
    ) -> HostObservation {
        let listed = ports.iter().zip(seen).filter_map(|(port, seen)| seen.map(|seen| (*port, seen)));
        let ports = listed.map(|((protocol, port), (state, service))| PortObservation { protocol, port, state, reason: Text::default(), service });
        HostObservation {
            address: address(last),
            state: if up { HostState::Up } else { HostState::Down },
            reason: Text::default(),
            seen: Timestamp::from_millis(at),
            names: (name > 0).then(|| Text::from(format!("name{name}"))).into_iter().collect(),
            mac: None,
            os: (os > 0).then(|| OsGuess { name: format!("os{os}").into(), accuracy: 100 }),
            ports: if up { ports.collect() } else { Vec::new() },
            unlisted: sums.into_iter().map(|state| UnlistedPorts { protocol: Protocol::Udp, state, count: 1 }).collect(),
        }
    }
}

fn task() -> impl Strategy<Value = (Coverage, Vec<HostObservation>)> {
    let asked = subsequence((1u8..=5).collect::<Vec<u8>>(), 1..=5);
    let shape = (asked, subsequence(PORTS.to_vec(), 0..=PORTS.len()), any::<bool>(), 0u8..3);
    shape.prop_flat_map(|(asked, ports, by_port_only, version)| {
        let seen: Vec<_> =
            asked.iter().map(|last| proptest::option::weighted(0.7, host(*last, ports.clone()))).collect();
        let targets: TargetSet = asked.iter().map(|last| address(*last)).collect();
        let set = ports
            .iter()
            .fold(PortSet::empty(), |all, (protocol, port)| all.union(&PortSet::from_ports(*protocol, [*port])));
        let services = (version > 0).then(|| ServiceDetection {
            engine: "nmap".into(),
            version: Text::from(version.to_string()),
            intensity: 7,
        });
        let coverage = Coverage {
            asked: targets.clone(),
            by_port_only: if by_port_only { targets.clone() } else { TargetSet::empty() },
            probed: vec![ProbedCells { targets, ports: set, method: ProbeMethod::Connect }],
            services,
            options: Vec::new(),
        };
        seen.prop_map(move |seen| (coverage.clone(), seen.into_iter().flatten().collect()))
    })
}

fn world() -> impl Strategy<Value = World> {
    proptest::collection::vec(task(), 1..=3).prop_map(|tasks| World { tasks })
}

fn cells() -> impl Iterator<Item = (IpAddr, PortId)> {
    (1u8..=5).flat_map(|last| PORTS.map(|(protocol, port)| (address(last), PortId { protocol, port })))
}

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
        same @ (NoteKind::IdentifiedDifferently | NoteKind::Unconfirmed | NoteKind::Contradicted) => same,
    };
    Note { kind, change: mirrored(&note.change) }
}

proptest! {
    #[test]
    fn applying_a_delta_to_the_earlier_run_gives_the_later_one_where_both_looked(a in world(), b in world()) {
        let deltas = a.delta_to(&b);
        let mut open: BTreeSet<(IpAddr, PortId)> = cells().filter(|(address, port)| a.is_open(*address, *port) == Some(true)).collect();
        for change in changes(&deltas) {
            let told = |port: PortId| (change.address, port, a.is_open(change.address, port), b.is_open(change.address, port));
            match (change.kind, change.port) {
                (ChangeKind::NewPort, Some(port)) => { prop_assert!(open.insert((change.address, port)), "{:?}", told(port)); }
                (ChangeKind::ClosedPort, Some(port)) => { prop_assert!(open.remove(&(change.address, port)), "{:?}", told(port)); }
                _ => {}
            }
        }
        for (address, port) in cells() {
            if let (Some(_), Some(is_open)) = (a.is_open(address, port), b.is_open(address, port)) {
                prop_assert_eq!(open.contains(&(address, port)), is_open);
            }
        }
    }

    #[test]
    fn what_was_applied_does_not_change_again(a in world(), b in world()) {
        let (before, now) = (a.coverage(), b.coverage());
        let next = compare(a.known().into_iter(), b.hosts().into_iter(), &before, &now);
        let next: Vec<KnownHost> = next.filter_map(|compared| apply(compared, &before, &now, RunId(2))).collect();
        let again = delta(next.into_iter(), b.hosts().into_iter(), &before.union(&now), &now).collect::<Vec<_>>();
        prop_assert_eq!(changes(&again), Vec::<&Change>::new());
    }

    #[test]
    fn a_run_does_not_differ_from_itself(a in world()) {
        prop_assert_eq!(a.delta_to(&a), Vec::new());
    }

    #[test]
    fn swapping_the_sides_mirrors_the_delta(a in world(), b in world()) {
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

    /// Hosts that only an open port proves are there as far as one looks, so their own lines are left out here.
    #[test]
    fn removing_coverage_never_adds_a_change(a in world(), b in world(), last in 1u8..=5, port in select(PORTS.to_vec()), whole in any::<bool>(), earlier in any::<bool>()) {
        let port = PortId { protocol: port.0, port: port.1 };
        let cut = |world: &World| if whole { world.without(Some(address(last)), None) } else { world.without(None, Some(port)) };
        let all = keys(&a.delta_to(&b));
        let fewer = if earlier { keys(&cut(&a).delta_to(&b)) } else { keys(&a.delta_to(&cut(&b))) };
        let by_port = a.coverage().by_port_only.union(&b.coverage().by_port_only);
        let own = |key: &(IpAddr, Option<PortId>, ChangeKind)| key.1.is_none() && by_port.contains(key.0);
        let added: Vec<_> = fewer.difference(&all).filter(|key| !own(key)).collect();
        prop_assert!(added.is_empty(), "{added:?}");
    }

    #[test]
    fn the_order_of_arrival_never_matters(a in world(), b in world(), at in 0usize..3) {
        let mut other = b.clone();
        let turns = at % other.tasks.len();
        other.tasks.rotate_left(turns);
        other.tasks.reverse();
        prop_assert_eq!(other.coverage(), b.coverage());
        prop_assert_eq!(a.delta_to(&other), a.delta_to(&b));
        prop_assert_eq!(other.known(), b.known());
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
