//! The life of an alert, run by run.

mod flood;

use super::*;
use crate::analysis::coverage::RunCoverage;
use crate::analysis::delta::{Change, ChangeKind, Confirmation, KnownHost, Side};
use protocol::observation::{
    Coverage, HostObservation, HostState, PortObservation, PortState, ProbeMethod, ProbedCells, ServiceMethod,
};
use protocol::{PortSet, TargetSet, Timestamp};

const RUN: RunId = RunId(7);
const NOW: Timestamp = Timestamp::from_millis(7_000);

/// An alert that run 1 raised.
pub(super) fn kept(key: AlertKey, severity: Severity, state: AlertState, expected: Option<Service>) -> Alert {
    let at = Timestamp::from_millis(1_000);
    Alert {
        key,
        severity,
        state,
        before: AlertState::Open,
        raised: RunId(1),
        raised_at: at,
        verified: RunId(1),
        verified_at: at,
        host: Text::default(),
        service: None,
        expected,
        resolution: None,
        trail: Trail::default().with(at, By::Run(RunId(1)), Deed::Raised, Text::default()),
    }
}

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
    let severity = if expected.is_some() || rule == NEW_PORT { Severity::Low } else { Severity::High };
    kept(key, severity, state, expected)
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
    shown(&default_rules(), ports, changes, known, alerts, (unsettled, &[]))
}

/// `cells` are the ports that the second look left open, and those that were accepted.
fn shown(
    rules: &[Rule],
    ports: &str,
    changes: &[Change],
    known: &[KnownHost],
    alerts: &[Alert],
    cells: (&[u16], &[u16]),
) -> Vec<String> {
    let coverage = coverage(ports);
    let cell = |port: &u16| ("10.0.0.1".parse().unwrap(), PortId { protocol: Protocol::Tcp, port: *port });
    let (unsettled, accepted) = (cells.0.iter().map(cell).collect(), cells.1.iter().map(cell).collect());
    let facts = Evaluation {
        scan: ScanId(1),
        run: RUN,
        now: NOW,
        rules,
        coverage: &coverage,
        unsettled: &unsettled,
        accepted: &accepted,
    };
    let name = |key: &AlertKey| format!("{} {}", key.rule, key.port.port);
    let show = |transition: &Transition| match transition {
        Transition::Raise(alert) => format!("raise {} {}", name(&alert.key), alert.severity.name()),
        Transition::Keep(key) => format!("keep {}", name(key)),
        Transition::Regrade(key, severity) => format!("regrade {} {}", name(key), severity.name()),
        Transition::Resolve(key, why) => format!("resolve {} {why:?}", name(key)),
        Transition::Reopen(alert) => format!("reopen {}", name(&alert.key)),
        Transition::Renew(alert) => format!("renew {}", name(&alert.key)),
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
fn a_host_that_is_gone_ends_alerts_on_ports_the_run_did_not_ask() {
    let rdp = |state| [Alert { severity: Severity::Critical, ..alert(3389, "RDP", state) }];
    let open = AlertState::Open;
    assert_eq!(transitions("22", &[], &[], &rdp(open), &[]), ["resolve RDP 3389 HostGone"]);
    assert_eq!(transitions("22", &[], &[], &rdp(AlertState::Ignored), &[]), ["keep RDP 3389"]);
    assert_eq!(transitions("22", &[], &[known(&[])], &rdp(open), &[]), Vec::<String>::new(), "it is there");
    let (rules, none) = (default_rules(), Default::default());
    let ports_prove = RunCoverage { by_port_only: "10.0.0.1".parse().unwrap(), ..coverage("22") };
    let not_asked = RunCoverage { asked: "10.0.0.2".parse().unwrap(), ..coverage("22") };
    for coverage in [&ports_prove, &not_asked] {
        let (unsettled, accepted) = (&none, &none);
        let facts = Evaluation { scan: ScanId(1), run: RUN, now: NOW, rules: &rules, coverage, unsettled, accepted };
        assert_eq!(evaluate(facts, &[], [], &rdp(open)), []);
    }
}

#[test]
fn a_changed_service_is_over_when_the_old_one_is_back() {
    let open = [alert(80, SERVICE_CHANGE, AlertState::Open)];
    let back = [change(ChangeKind::ServiceChange, 80, ("2", "1"))];
    assert_eq!(transitions("80", &back, &[known(&[(80, "1")])], &open, &[]), ["resolve service change 80 ServiceBack"]);
    assert_eq!(transitions("80", &[], &[known(&[(80, "2")])], &open, &[]), ["keep service change 80"]);
}

/// A service change from 1 to 2, in this state, that a run sees change from 2 to `version`.
fn changed_further(state: AlertState, version: &str) -> (Vec<String>, Alert) {
    let former = Alert { service: Some(service("2")), ..alert(80, SERVICE_CHANGE, state) };
    let changes = [change(ChangeKind::ServiceChange, 80, ("2", version))];
    let (rules, none, coverage) = (default_rules(), Default::default(), coverage("80"));
    let facts = Evaluation {
        scan: ScanId(1),
        run: RUN,
        now: NOW,
        rules: &rules,
        coverage: &coverage,
        unsettled: &none,
        accepted: &none,
    };
    let known = [known(&[(80, version)])];
    let transitions = evaluate(facts, &changes, &known, [&former]);
    let after = after(std::slice::from_ref(&former), &transitions, RUN, NOW).into_values().next().unwrap();
    (shown(&rules, "80", &changes, &known, &[former], (&[], &[])), after)
}

#[test]
fn a_service_that_changes_further_is_open_again_whatever_was_decided_before() {
    use AlertState::{Actioned, Ignored, Open, Resolved};
    for (state, expected) in [(Open, "1"), (Actioned, "1"), (Ignored, "2")] {
        let (shown, after) = changed_further(state, "3");
        assert_eq!(shown, ["renew service change 80"], "{state:?}");
        assert_eq!((after.state, after.before, after.raised), (Open, Open, RUN), "{state:?}");
        assert_eq!((after.service, after.expected), (Some(service("3")), Some(service(expected))), "{state:?}");
        let deeds: Vec<Deed> = after.trail.steps.iter().map(|step| step.what).collect();
        assert_eq!(deeds, [Deed::Raised, Deed::RaisedAgain], "{state:?}");
    }
    for (state, now) in [(Open, Resolved), (Actioned, Resolved), (Ignored, Ignored)] {
        assert_eq!(changed_further(state, "1").1.state, now, "back to what it was");
        assert_eq!(changed_further(state, "2").1.state, state, "what the alert shows already");
    }
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

#[test]
fn a_rule_edit_reaches_alerts_with_the_next_run_that_looks() {
    let rules = |name: &str, severity| vec![Rule { name: name.into(), severity, protocol: Protocol::Tcp, port: 22 }];
    let run = |rules: &[Rule], ports: &str, state| {
        shown(rules, ports, &[], &[known(&[(22, "1")])], &[alert(22, "SSH", state)], (&[], &[]))
    };
    let silence: [String; 0] = [];
    let (open, ignored) = (AlertState::Open, AlertState::Ignored);
    assert_eq!(run(&rules("SSH", Severity::Low), "22", open), ["regrade SSH 22 low"]);
    assert_eq!(run(&rules("SSH", Severity::Low), "22", ignored), ["regrade SSH 22 low"]);
    assert_eq!(run(&rules("SSH", Severity::Low), "80", open), silence, "the run did not look");
    assert_eq!(run(&[], "22", open), ["resolve SSH 22 RuleChanged"]);
    assert_eq!(run(&[], "22", ignored), ["keep SSH 22"], "the decision outlives the rule");
    assert_eq!(run(&[], "80", open), silence);
    let renamed = ["resolve SSH 22 RuleChanged", "raise Shell 22 high"];
    assert_eq!(run(&rules("Shell", Severity::High), "22", open), renamed);
    assert_eq!(run(&rules("Shell", Severity::High), "22", ignored), renamed);
}

#[test]
fn a_renamed_rule_takes_the_decision_along_and_a_new_one_does_not() {
    let rules = vec![Rule { name: "Shell".into(), severity: Severity::High, protocol: Protocol::Tcp, port: 22 }];
    let (none, coverage) = (Default::default(), coverage("22"));
    let facts = Evaluation {
        scan: ScanId(1),
        run: RUN,
        now: NOW,
        rules: &rules,
        coverage: &coverage,
        unsettled: &none,
        accepted: &none,
    };
    for (rule, state) in [("SSH", AlertState::Ignored), ("SSH", AlertState::Actioned), (NEW_PORT, AlertState::Ignored)]
    {
        let former = alert(22, rule, state);
        let transitions = evaluate(facts, &[], &[known(&[(22, "1")])], [&former]);
        let after = after(std::slice::from_ref(&former), &transitions, RUN, NOW);
        let of = |rule: &str| after.get(&AlertKey { rule: rule.into(), ..former.key.clone() }).unwrap();
        assert_eq!(of(rule).state, AlertState::Resolved, "{rule} {state:?}");
        let wanted = if rule == NEW_PORT { AlertState::Open } else { state };
        assert_eq!(of("Shell").state, wanted, "{rule} {state:?}");
    }
}

#[test]
fn an_accepted_port_raises_nothing_until_it_changes_again() {
    let there = [known(&[(22, "1"), (80, "2")])];
    let run = |changes: &[Change], alerts: &[Alert]| {
        shown(&default_rules(), "22,80", changes, &there, alerts, (&[], &[22, 80]))
    };
    let silence: [String; 0] = [];
    assert_eq!(run(&[], &[]), silence);
    assert_eq!(run(&[], &[alert(22, "SSH", AlertState::Resolved)]), silence);
    assert_eq!(run(&[], &[alert(22, "SSH", AlertState::Open)]), ["resolve SSH 22 Accepted"]);
    assert_eq!(run(&[], &[alert(22, "SSH", AlertState::Ignored)]), ["keep SSH 22"]);
    let changes = [change(ChangeKind::ServiceChange, 80, ("1", "2"))];
    let again = ["reopen service change 80"];
    assert_eq!(run(&changes, &[alert(80, SERVICE_CHANGE, AlertState::Resolved)]), again);
    let opened = [change(ChangeKind::NewPort, 22, ("", ""))];
    assert_eq!(run(&opened, &[]), ["raise SSH 22 high"]);
}

#[test]
fn a_run_that_did_not_look_raises_nothing_by_a_new_rule() {
    assert_eq!(transitions("80", &[], &[known(&[(22, "1")])], &[], &[]), Vec::<String>::new());
}

#[test]
fn a_document_that_proves_nothing_still_shows_what_is_open_and_resolves_nothing() {
    let nothing = |known: &KnownHost, alerts: &[Alert]| {
        let (rules, coverage, none) = (default_rules(), RunCoverage::default(), Default::default());
        let facts = Evaluation {
            scan: ScanId(1),
            run: RUN,
            now: NOW,
            rules: &rules,
            coverage: &coverage,
            unsettled: &none,
            accepted: &none,
        };
        evaluate(facts, &[], [known], alerts).len()
    };
    assert_eq!(nothing(&known(&[(22, "1")]), &[]), 1);
    assert_eq!(nothing(&KnownHost { seen_run: RunId(3), ..known(&[(22, "1")]) }, &[]), 0, "it was not in the document");
    assert_eq!(nothing(&known(&[]), &[alert(22, "SSH", AlertState::Open)]), 0);
}

fn decided(alert: &Alert, action: Action) -> Alert {
    let later = alert.changed().plus(std::time::Duration::from_secs(1));
    decide(alert, action, &"ada".into(), &Text::default(), later).unwrap().unwrap_or_else(|| alert.clone())
}

#[test]
fn an_undo_leads_to_the_state_before() {
    let open = alert(22, "SSH", AlertState::Open);
    let walk = |actions: &[Action]| {
        let mut states = Vec::new();
        actions.iter().fold(open.clone(), |alert, action| {
            let next = decided(&alert, *action);
            states.push(next.state.name());
            next
        });
        states.join(" ")
    };
    use Action::{Action as Deal, Ignore, Reopen};
    assert_eq!(walk(&[Deal, Reopen]), "actioned open");
    assert_eq!(walk(&[Ignore, Reopen, Reopen]), "ignored open open");
    assert_eq!(walk(&[Deal, Ignore, Reopen, Reopen]), "actioned ignored actioned open");
    assert_eq!(walk(&[Deal, Deal, Reopen]), "actioned actioned open");
}

#[test]
fn a_decision_says_who_and_why_and_nothing_is_decided_about_what_is_over() {
    let open = alert(22, "SSH", AlertState::Open);
    let done = decide(&open, Action::Action, &"ada".into(), &"ticket 7".into(), NOW).unwrap().unwrap();
    let last = done.trail.steps.last().unwrap();
    let ada = By::Person("ada".into());
    assert_eq!((&last.by, last.what, last.comment.as_str(), last.at), (&ada, Deed::Actioned, "ticket 7", NOW));
    assert_eq!(done.changed(), NOW);
    assert_eq!(decide(&done, Action::Action, &"bob".into(), &Text::default(), NOW), Ok(None));
    let said = decide(&done, Action::Action, &"bob".into(), &"me too".into(), NOW).unwrap().unwrap();
    assert_eq!((said.state, said.trail.steps.len()), (AlertState::Actioned, 3));
    let key = open.key.clone();
    let over = transit(Some(open), &Transition::Resolve(key.clone(), Evidence::PortClosed), RUN, NOW).unwrap();
    assert_eq!(decide(&over, Action::Ignore, &"ada".into(), &Text::default(), NOW), Err(Refusal::Over(RUN)));
    let again = transit(Some(over), &Transition::Reopen(alert(22, "SSH", AlertState::Open)), RUN, NOW).unwrap();
    let deeds: Vec<String> = again.trail.steps.iter().map(|step| step.what.words()).collect();
    assert_eq!(deeds, ["raised", "resolved: the port is not open any more", "raised again"]);
    assert_eq!((again.state, again.resolution), (AlertState::Open, None));
}

#[test]
fn what_a_person_decided_while_a_run_closed_is_not_lost() {
    let ignored = alert(22, "SSH", AlertState::Ignored);
    let over = Transition::Resolve(ignored.key.clone(), Evidence::PortClosed);
    let after = transit(Some(ignored.clone()), &over, RUN, NOW).unwrap();
    assert_eq!((after.state, after.verified), (AlertState::Ignored, RUN));
    let accepted = accept(&alert(22, "SSH", AlertState::Actioned), RunId(6), &"ada".into(), &"ok".into(), NOW).unwrap();
    let keep = Transition::Keep(accepted.key.clone());
    let after = transit(Some(accepted.clone()), &keep, RUN, NOW).unwrap();
    assert_eq!(after, accepted);
    assert_eq!(decide(&after, Action::Reopen, &"ada".into(), &Text::default(), NOW), Err(Refusal::Accepted));
    assert_eq!(unaccept(&after, &"ada".into(), NOW).unwrap().state, AlertState::Actioned);
    assert_eq!(accept(&ignored, RunId(6), &"ada".into(), &Text::default(), NOW), None);
}

#[test]
fn a_long_trail_keeps_its_latest_steps() {
    let mut alert = alert(22, "SSH", AlertState::Open);
    for _ in 0..MAX_STEPS {
        alert = decided(&decided(&alert, Action::Ignore), Action::Reopen);
    }
    assert_eq!(alert.trail.steps.len(), MAX_STEPS);
    assert_eq!(usize::try_from(alert.trail.folded).unwrap(), MAX_STEPS + 1);
    assert_eq!(alert.trail.steps.last().unwrap().what, Deed::Undone(AlertState::Open));
}
