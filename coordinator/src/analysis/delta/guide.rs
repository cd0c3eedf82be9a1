//! The example of the guide, from two runs to report, alerts and score: nginx updated, RDP opened, SSH closed, a new
//! host.

use super::*;
use crate::analysis::alert::{Alert, AlertState, Evaluation, after, default_rules, evaluate};
use crate::analysis::score::score;
use protocol::observation::{
    Coverage, HostState, PortObservation, ProbeMethod, ProbedCells, ServiceDetection, ServiceMethod,
};
use protocol::task::{RunId, ScanId};
use protocol::{TargetSet, Timestamp};
use std::collections::BTreeSet;

fn host(last: u8, ports: Vec<PortObservation>) -> HostObservation {
    HostObservation {
        address: IpAddr::from([192, 168, 1, last]),
        state: HostState::Up,
        reason: "echo-reply".into(),
        seen: Timestamp::default(),
        names: Vec::new(),
        mac: None,
        os: None,
        ports,
        unlisted: Vec::new(),
    }
}

fn port(port: u16, state: PortState, service: Option<Service>) -> PortObservation {
    PortObservation { protocol: Protocol::Tcp, port, state, reason: Text::default(), service }
}

fn nginx(version: &str) -> Option<Service> {
    Some(Service {
        name: "http".into(),
        product: "nginx".into(),
        version: version.into(),
        method: ServiceMethod::Probed,
        ..Service::default()
    })
}

fn coverage() -> RunCoverage {
    let targets: TargetSet = "192.168.1.0/24".parse().unwrap();
    let ports = "22,80,443,3389".parse().unwrap();
    let services = vec![ServiceDetection { engine: "nmap".into(), version: "7.93".into(), intensity: 7 }];
    let probed = vec![ProbedCells { targets: targets.clone(), ports, method: ProbeMethod::Syn }];
    RunCoverage::from(&Coverage { asked: targets, probed, services, ..Coverage::default() })
}

fn known(hosts: Vec<HostObservation>, run: RunId) -> Vec<KnownHost> {
    let (nothing, now) = (RunCoverage::default(), coverage());
    let compared = compare(std::iter::empty(), hosts.into_iter(), &nothing, &now);
    compared.filter_map(|compared| apply(compared, &nothing, &now, run)).collect()
}

fn alerts(run: u64, changes: &[Change], known: &[KnownHost], alerts: &[Alert]) -> Vec<Alert> {
    let (rules, coverage, nothing) = (default_rules(), coverage(), BTreeSet::new());
    let facts = Evaluation {
        now: Timestamp::default(),
        scan: ScanId(1),
        run: RunId(run),
        rules: &rules,
        coverage: &coverage,
        unsettled: &nothing,
        accepted: &nothing,
    };
    let transitions = evaluate(facts, changes, known, alerts);
    after(alerts, &transitions, RunId(run), Timestamp::default()).into_values().collect()
}

#[test]
fn the_example_of_the_guide_gives_exactly_its_report() {
    use PortState::{Closed, Open};
    let before = vec![host(10, vec![port(22, Open, None), port(80, Open, nginx("1.18.0"))])];
    let after = vec![
        host(10, vec![port(22, Closed, None), port(80, Open, nginx("1.20.1")), port(3389, Open, None)]),
        host(20, Vec::new()),
    ];
    let (coverage, before) = (coverage(), known(before, RunId(1)));
    let old = alerts(1, &[], &before, &[]);
    let mut deltas: Vec<HostDelta> =
        delta(before.clone().into_iter(), after.clone().into_iter(), &coverage, &coverage).collect();
    let asked = candidates(&mut deltas, |_, port| port.port == 22);
    assert_eq!((asked.hosts.is_empty(), asked.cells.addresses().to_string().as_str()), (true, "192.168.1.10"));
    let second = after.first();
    let deltas: Vec<HostDelta> = deltas
        .into_iter()
        .map(|delta| {
            let second = second.filter(|host| host.address == delta.address);
            settle(delta, second, &coverage)
        })
        .collect();
    let changes: Vec<Change> = deltas.iter().flat_map(|delta| delta.changes.clone()).collect();
    let said: Vec<String> = changes
        .iter()
        .map(|change| format!("{:?} {} {}", change.kind, change.address, change.port.map_or(0, |port| port.port)))
        .collect();
    let expected = [
        "ClosedPort 192.168.1.10 22",
        "ServiceChange 192.168.1.10 80",
        "NewPort 192.168.1.10 3389",
        "NewHost 192.168.1.20 0",
    ];
    assert_eq!(said, expected);
    assert!(deltas.iter().all(|delta| delta.notes.is_empty()));
    let update = changes.iter().find(|change| change.kind == ChangeKind::ServiceChange).unwrap();
    let side = |version| Some(Side::Port { state: Open, service: nginx(version) });
    assert_eq!((&update.before, &update.after), (&side("1.18.0"), &side("1.20.1")));
    assert_eq!(status(&changes, &default_rules()), Status::Critical);

    let now = known(after, RunId(2));
    let new = alerts(2, &changes, &now, &old);
    let shown: Vec<String> =
        new.iter().map(|alert| format!("{} {} {:?}", alert.key.rule, alert.severity.name(), alert.state)).collect();
    assert_eq!(shown, ["SSH high Resolved", "service change low Open", "RDP critical Open"]);
    let states: Vec<(_, AlertState)> = new.iter().map(|alert| (alert.severity, alert.state)).collect();
    // 100 − (5 for the port, 20 for RDP, 5 for nginx, 3 for the host) − ceil(40·8 / (8 + 4·2)).
    assert_eq!(score(&changes, &default_rules(), states, now.len() as u64).value, 47);
}
