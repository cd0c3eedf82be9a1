//! What holds for every run and every alert, over small worlds of two hosts and three ports.

use super::tests::kept;
use super::*;
use crate::analysis::coverage::RunCoverage;
use crate::analysis::delta::{Change, ChangeKind, Confirmation, KnownHost, Side};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use protocol::observation::{
    Coverage, HostObservation, HostState, PortObservation, PortState, ProbeMethod, ProbedCells, ServiceMethod,
};
use protocol::{PortSet, TargetSet};
use std::collections::{BTreeMap, BTreeSet};

type Cell = (IpAddr, PortId);

const SCAN: ScanId = ScanId(1);
const RUN: RunId = RunId(9);
const NOW: Timestamp = Timestamp::from_millis(9_000);
const PORTS: [u16; 3] = [22, 80, 3389];
const NAMES: [&str; 4] = ["SSH", "Shell", NEW_PORT, SERVICE_CHANGE];

fn cells() -> Vec<Cell> {
    let hosts = [1, 2].map(|last| IpAddr::from([10, 0, 0, last]));
    let port = |port: u16| PortId { protocol: Protocol::Tcp, port };
    hosts.into_iter().flat_map(|host| PORTS.map(|number| (host, port(number)))).collect()
}

fn service(version: u8) -> Service {
    Service {
        name: "x".into(),
        version: Text::new(&version.to_string()),
        method: ServiceMethod::Probed,
        ..Service::default()
    }
}

/// All that an evaluation is given.
#[derive(Clone, Debug)]
struct World {
    rules: Vec<Rule>,
    covered: BTreeSet<Cell>,
    unsettled: BTreeSet<Cell>,
    accepted: BTreeSet<Cell>,
    changed: Vec<(Cell, ChangeKind)>,
    open: BTreeMap<Cell, u8>,
    alerts: Vec<Alert>,
}

impl World {
    fn coverage(&self) -> RunCoverage {
        let one = |(address, port): &Cell| {
            let targets = TargetSet::from(*address);
            let ports = PortSet::from_ports(port.protocol, [port.port]);
            let probed =
                vec![ProbedCells { targets: targets.clone(), ports: ports.clone(), method: ProbeMethod::Connect }];
            Coverage { asked: targets, probed, ..Coverage::default() }
        };
        self.covered.iter().map(one).collect::<Vec<_>>().iter().collect()
    }

    fn known(&self) -> Vec<KnownHost> {
        let addresses: BTreeSet<IpAddr> = self.open.keys().map(|(address, _)| *address).collect();
        let port = |((_, port), version): (&Cell, &u8)| PortObservation {
            protocol: port.protocol,
            port: port.port,
            state: PortState::Open,
            reason: Text::default(),
            service: Some(service(*version)),
        };
        let host = |address: IpAddr| KnownHost {
            address,
            observation: HostObservation {
                address,
                state: HostState::Up,
                reason: Text::default(),
                seen: NOW,
                names: Vec::new(),
                mac: None,
                os: None,
                ports: self.open.iter().filter(|((at, _), _)| *at == address).map(port).collect(),
                unlisted: Vec::new(),
            },
            seen_run: RUN,
            services: Vec::new(),
        };
        addresses.into_iter().map(host).collect()
    }

    fn changes(&self) -> Vec<Change> {
        let side = |version| Some(Side::Port { state: PortState::Open, service: Some(service(version)) });
        let change = |((address, port), kind): &(Cell, ChangeKind)| Change {
            kind: *kind,
            address: *address,
            port: Some(*port),
            before: side(0),
            after: side(1),
            confirmation: Confirmation::NotNeeded,
        };
        self.changed.iter().map(change).collect()
    }

    fn transitions(&self, changes: &[Change], alerts: &[Alert]) -> Vec<Transition> {
        let coverage = self.coverage();
        let facts = Evaluation {
            scan: SCAN,
            run: RUN,
            now: NOW,
            rules: &self.rules,
            coverage: &coverage,
            unsettled: &self.unsettled,
            accepted: &self.accepted,
        };
        evaluate(facts, changes, &self.known(), alerts)
    }

    fn has_changed(&self, cell: &Cell) -> bool {
        self.changed.iter().any(|(changed, _)| changed == cell)
    }

    fn settles(&self, cell: &Cell) -> bool {
        self.covered.contains(cell) && !self.unsettled.contains(cell)
    }
}

fn some_cells() -> impl Strategy<Value = BTreeSet<Cell>> {
    subsequence(cells(), 0..=6).prop_map(|cells| cells.into_iter().collect())
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let rule = |port: u16| {
        let parts = (select(&NAMES[..2]), select(&Severity::ALL[..]));
        parts.prop_map(move |(name, severity)| Rule { name: name.into(), severity, protocol: Protocol::Tcp, port })
    };
    (rule(22), rule(3389), 0usize..=2).prop_map(|(a, b, count)| [a, b].into_iter().take(count).collect())
}

fn alert() -> impl Strategy<Value = Alert> {
    (select(cells()), select(&NAMES[..]), select(&AlertState::ALL[..])).prop_map(|((address, port), rule, state)| {
        let key = AlertKey { scan: SCAN, address, port, rule: rule.into() };
        kept(key, Severity::Medium, state, (rule == SERVICE_CHANGE).then(|| service(0)))
    })
}

fn world() -> impl Strategy<Value = World> {
    let kinds = [ChangeKind::NewPort, ChangeKind::ServiceChange, ChangeKind::ClosedPort];
    let changed = prop::collection::btree_map(select(cells()), select(kinds.to_vec()), 0..3);
    let open = prop::collection::btree_map(select(cells()), 0u8..2, 0..6);
    let alerts = prop::collection::vec(alert(), 0..8);
    (rules(), some_cells(), some_cells(), some_cells(), changed, open, alerts).prop_map(
        |(rules, covered, unsettled, accepted, changed, open, alerts)| World {
            rules,
            covered,
            unsettled,
            accepted,
            changed: changed.into_iter().collect(),
            open,
            alerts: alerts
                .into_iter()
                .map(|alert| (alert.key.clone(), alert))
                .collect::<BTreeMap<_, _>>()
                .into_values()
                .collect(),
        },
    )
}

fn cases() -> u32 {
    if std::env::var_os("PORTDRIFT_LONG").is_some_and(|value| value == "1") { 20_000 } else { 2_000 }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn nothing_happens_to_an_alert_without_a_look_at_its_cell(world in world()) {
        for transition in world.transitions(&world.changes(), &world.alerts) {
            let key = transition.key();
            let cell = (key.address, key.port);
            let begins = matches!(transition, Transition::Raise(_) | Transition::Reopen(_) | Transition::Renew(_));
            let is_shown = world.covered.is_empty() && world.open.contains_key(&cell);
            let is_gone = world.covered.iter().any(|(address, _)| *address == key.address)
                && world.open.keys().all(|(address, _)| *address != key.address);
            prop_assert!(world.settles(&cell) || is_gone || begins && (world.has_changed(&cell) || is_shown), "{:?}", transition);
            prop_assert_eq!(key.scan, SCAN);
        }
    }

    #[test]
    fn an_alert_ends_only_by_what_was_seen(world in world()) {
        for transition in world.transitions(&world.changes(), &world.alerts) {
            let Transition::Resolve(key, evidence) = transition else { continue };
            let version = world.open.get(&(key.address, key.port)).copied();
            let host_is_there = world.open.keys().any(|(address, _)| *address == key.address);
            match evidence {
                Evidence::HostGone => prop_assert!(!host_is_there),
                Evidence::PortClosed => prop_assert!(host_is_there && version.is_none()),
                Evidence::ServiceBack => prop_assert_eq!(version, Some(0)),
                Evidence::Accepted => prop_assert!(version.is_some() && world.accepted.contains(&(key.address, key.port))),
                Evidence::RuleChanged => {
                    prop_assert!(version.is_some() && rule_for(&world.rules, key.port).is_none_or(|rule| rule.name != key.rule));
                }
            }
        }
    }

    #[test]
    fn what_is_ignored_stays_ignored(world in world()) {
        let after = after(&world.alerts, &world.transitions(&world.changes(), &world.alerts), RUN, NOW);
        for ignored in world.alerts.iter().filter(|alert| alert.state == AlertState::Ignored) {
            let now = &after[&ignored.key];
            let heir = rule_for(&world.rules, ignored.key.port).map(|rule| AlertKey { rule: rule.name.clone(), ..ignored.key.clone() });
            let heir = heir.filter(|key| *key != ignored.key).and_then(|key| after.get(&key));
            let is_replaced = now.resolution.is_some_and(|how| how.evidence == Evidence::RuleChanged) && heir.is_some();
            let is_renewed = now.state == AlertState::Open && now.service == Some(service(1)) && world.has_changed(&(now.key.address, now.key.port));
            prop_assert!(now.state == AlertState::Ignored || is_replaced || is_renewed, "{:?}", now);
        }
    }

    #[test]
    fn an_accepted_cell_raises_nothing_while_it_stays(world in world()) {
        for transition in world.transitions(&world.changes(), &world.alerts) {
            if let Transition::Raise(alert) | Transition::Reopen(alert) | Transition::Renew(alert) = transition {
                let cell = (alert.key.address, alert.key.port);
                prop_assert!(!world.accepted.contains(&cell) || world.has_changed(&cell), "{:?}", alert);
            }
        }
    }

    #[test]
    fn the_same_look_twice_changes_nothing_more(world in world()) {
        let alerts: Vec<Alert> =
            after(&world.alerts, &world.transitions(&world.changes(), &world.alerts), RUN, NOW).into_values().collect();
        // A change accepted before counts as unchanged the second time, so what it raised would end: leave those out.
        let calm = World { accepted: &world.accepted - &world.changed.iter().map(|(cell, _)| *cell).collect(), ..world };
        for transition in calm.transitions(&[], &alerts) {
            let is_back = matches!(&transition, Transition::Resolve(key, _) if calm.has_changed(&(key.address, key.port)));
            prop_assert!(matches!(transition, Transition::Keep(_)) || is_back, "{:?}", transition);
        }
    }

    #[test]
    fn no_alert_is_left_that_no_run_can_end(mut world in world()) {
        world.covered = cells().into_iter().collect();
        (world.unsettled, world.changed, world.open) = Default::default();
        let after = after(&world.alerts, &world.transitions(&[], &world.alerts), RUN, NOW);
        prop_assert!(after.values().all(|alert| !alert.state.is_active()), "{:?}", after);
    }
}
