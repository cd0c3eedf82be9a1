//! The life of an alert, run by run.

use super::*;
use crate::analysis::coverage::RunCoverage;
use crate::analysis::delta::{Change, ChangeKind, Confirmation, KnownHost, Side};
use protocol::observation::{
    Coverage, HostObservation, HostState, PortObservation, PortState, ProbeMethod, ProbedCells, ServiceMethod,
};
use protocol::{PortSet, TargetSet, Timestamp};
use std::collections::BTreeSet;

const RUN: RunId = RunId(7);

fn coverage(ports: &str) -> RunCoverage {
    let targets: TargetSet = "10.0.0.1-2".parse().unwrap();
    let ports: PortSet = ports.parse().unwrap();
    let probed = vec![ProbedCells { targets: targets.clone(), ports, method: ProbeMethod::Connect }];
    [&Coverage { asked: targets, probed, ..Coverage::default() }].into_iter().collect()
}

fn service(version: &str) -> Service {
    Service { name: "http".into(), version: version.into(), method: ServiceMethod::Probed, ..Service::default() }
}

fn known(ports: &[(u16, &str)]) -> KnownHost {
    let port = |(port, version): &(u16, &str)| PortObservation {
        protocol: Protocol::Tcp,
        port: *port,
        state: PortState::Open,
        reason: Text::default(),
        service: Some(service(version)),
    };
    let address = "10.0.0.1".parse().unwrap();
    let observation = HostObservation {
        address,
        state: HostState::Up,
        reason: Text::default(),
        seen: Timestamp::default(),
        names: Vec::new(),
        mac: None,
        os: None,
        ports: ports.iter().map(port).collect(),
        unlisted: Vec::new(),
    };
    KnownHost { address, observation, seen_run: RUN, services: Vec::new() }
}

fn alert(port: u16, rule: &str, state: AlertState) -> Alert {
    let port = PortId { protocol: Protocol::Tcp, port };
    let key = AlertKey { scan: ScanId(1), address: "10.0.0.1".parse().unwrap(), port, rule: rule.into() };
    let expected = (rule == SERVICE_CHANGE).then(|| service("1"));
    Alert { key, severity: Severity::High, state, raised: RunId(1), verified: RunId(1), expected }
}

fn change(kind: ChangeKind, port: u16, versions: (&str, &str)) -> Change {
    let side = |version| Some(Side::Port { state: PortState::Open, service: Some(service(version)) });
    let port = Some(PortId { protocol: Protocol::Tcp, port });
    let address = "10.0.0.1".parse().unwrap();
    Change {
        kind,
        address,
        port,
        before: side(versions.0),
        after: side(versions.1),
        confirmation: Confirmation::NotNeeded,
    }
}

fn transitions(
    ports: &str,
    changes: &[Change],
    known: &[KnownHost],
    alerts: &[Alert],
    unsettled: &[u16],
) -> Vec<String> {
    let (rules, coverage) = (default_rules(), coverage(ports));
    let cell = |port: &u16| ("10.0.0.1".parse().unwrap(), PortId { protocol: Protocol::Tcp, port: *port });
    let unsettled: BTreeSet<_> = unsettled.iter().map(cell).collect();
    let accepted = BTreeSet::new();
    let facts = Evaluation {
        scan: ScanId(1),
        run: RUN,
        rules: &rules,
        coverage: &coverage,
        unsettled: &unsettled,
        accepted: &accepted,
    };
    let name = |key: &AlertKey| format!("{} {}", key.rule, key.port.port);
    let show = |transition: &Transition| match transition {
        Transition::Raise(alert) => format!("raise {} {}", name(&alert.key), alert.severity.name()),
        Transition::Keep(key) => format!("keep {}", name(key)),
        Transition::Resolve(key, why) => format!("resolve {} {why:?}", name(key)),
        Transition::Reopen(alert) => format!("reopen {}", name(&alert.key)),
    };
    evaluate(facts, changes, known, alerts).iter().map(show).collect()
}

#[test]
fn an_open_port_with_a_rule_raises_also_on_a_first_run() {
    let known = [known(&[(22, "1"), (80, "1"), (3389, "1")])];
    assert_eq!(transitions("22,80,3389", &[], &known, &[], &[]), ["raise SSH 22 high", "raise RDP 3389 critical"]);
}

#[test]
fn other_new_ports_and_changed_services_raise_low_ones() {
    let changes = [
        change(ChangeKind::NewPort, 22, ("", "")),
        change(ChangeKind::NewPort, 8080, ("", "")),
        change(ChangeKind::ServiceChange, 80, ("1", "2")),
        change(ChangeKind::ClosedPort, 81, ("1", "2")),
    ];
    let known = [known(&[(22, "1"), (80, "2"), (8080, "1")])];
    let raised = ["raise SSH 22 high", "raise service change 80 low", "raise new port 8080 low"];
    assert_eq!(transitions("22,80,8080", &changes, &known, &[], &[]), raised);
}

#[test]
fn only_evidence_resolves() {
    let open = [alert(22, "SSH", AlertState::Open)];
    let there = |ports: &[(u16, &str)]| [known(ports)];
    assert_eq!(transitions("22", &[], &there(&[]), &open, &[]), ["resolve SSH 22 PortClosed"]);
    assert_eq!(transitions("22", &[], &[], &open, &[]), ["resolve SSH 22 HostGone"]);
    assert_eq!(transitions("22", &[], &there(&[(22, "1")]), &open, &[]), ["keep SSH 22"]);
    let silence: [String; 0] = [];
    assert_eq!(transitions("80", &[], &there(&[]), &open, &[]), silence, "the run did not look");
    assert_eq!(transitions("22", &[], &there(&[(22, "1")]), &open, &[22]), silence, "the second look left it open");
}

#[test]
fn a_changed_service_is_over_when_the_old_one_is_back() {
    let open = [alert(80, SERVICE_CHANGE, AlertState::Open)];
    let back = [change(ChangeKind::ServiceChange, 80, ("2", "1"))];
    assert_eq!(transitions("80", &back, &[known(&[(80, "1")])], &open, &[]), ["resolve service change 80 ServiceBack"]);
    assert_eq!(transitions("80", &[], &[known(&[(80, "2")])], &open, &[]), ["keep service change 80"]);
}

#[test]
fn what_people_decided_survives_and_a_resolved_alert_comes_back() {
    let run = |state, ports: &[(u16, &str)]| transitions("22", &[], &[known(ports)], &[alert(22, "SSH", state)], &[]);
    let silence: [String; 0] = [];
    assert_eq!(run(AlertState::Actioned, &[(22, "1")]), ["keep SSH 22"]);
    assert_eq!(run(AlertState::Actioned, &[]), ["resolve SSH 22 PortClosed"]);
    assert_eq!(run(AlertState::Ignored, &[(22, "1")]), ["keep SSH 22"]);
    assert_eq!(run(AlertState::Ignored, &[]), ["keep SSH 22"]);
    assert_eq!(run(AlertState::Resolved, &[]), silence);
    assert_eq!(run(AlertState::Resolved, &[(22, "1")]), ["reopen SSH 22"]);
}
