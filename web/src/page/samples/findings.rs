//! Views of the pages about reports, alerts and rules.

use super::{NOW, hours};
use crate::faults::Faults;
use crate::filters::Percent;
use crate::look::{Badge, Gauge, Tone};
use crate::page::choices::Pager;
use crate::page::report::{ChangeRow, Filter, Listed};
use crate::page::{View, alert, alerts, compare, history, report, rules};
use crate::query::Fields;
use protocol::task::{RunId, ScanId};
use std::sync::Arc;

type Views = Vec<(&'static str, Arc<dyn View>)>;

pub(super) fn filled(word: &str) -> Views {
    vec![
        ("report", Arc::new(report(word))),
        ("history", Arc::new(history(word))),
        ("alerts", Arc::new(alerts(word))),
        ("alert", Arc::new(alert(word))),
        ("compare", Arc::new(compare(word))),
        ("rules", Arc::new(rules(word))),
    ]
}

pub(super) fn empty() -> Views {
    let office = "Office";
    let report = report::ReportPage {
        listed: Listed::default(),
        notes: vec![],
        baseline: None,
        faults: Faults::default(),
        ..report(office)
    };
    let alerts = alerts::Alerts {
        alerts: vec![],
        fields: Fields::default(),
        total: 0,
        all: 0,
        faults: Faults::default(),
        ..alerts(office)
    };
    vec![
        ("report", Arc::new(report)),
        ("history", Arc::new(history::History { days: vec![], ..history(office) })),
        ("alerts", Arc::new(alerts)),
        ("compare", Arc::new(compare::Compare { networks: vec![], runs: vec![], outcome: None, ..compare(office) })),
        ("rules", Arc::new(rules::Rules { rules: vec![], ..rules(office) })),
    ]
}

fn faults(field: &'static str, word: &str) -> Faults {
    let mut faults = Faults::default();
    faults.add(field, word);
    faults
}

fn row(word: &str, port: &str, rating: Option<Badge>) -> ChangeRow {
    ChangeRow {
        line: 3,
        mark: "+",
        word: "new port",
        host: "10.1.4.20".into(),
        port: port.into(),
        before: word.into(),
        after: word.into(),
        is_confirmed: rating.is_none(),
        accepted: rating.is_none().then(|| report::Accepted {
            by: word.into(),
            at: NOW.minus(hours(2)),
            comment: word.into(),
        }),
        rating,
    }
}

fn listed(word: &str) -> Listed {
    let critical = Badge::filled(Tone::Critical, "octagon", "Critical");
    let group = |id, title, rows| report::Group { id, title, rows };
    Listed {
        groups: vec![
            group("new-port", "New ports", vec![row(word, "3389/tcp", Some(critical)), row(word, "8080/tcp", None)]),
            group("service-change", "Service changes", vec![row(word, "443/tcp", None)]),
        ],
        matching: 3,
        total: 5,
        tallies: vec![("new-port", "New ports (2)".into())],
        next: Some(200),
    }
}

fn notes(word: &str) -> Vec<report::NoteGroup> {
    vec![report::NoteGroup {
        badge: Badge::plain(Tone::High, "triangle-alert", "Not looked at"),
        why: "Nothing is said about these addresses.",
        count: 60,
        lines: vec![word.into()],
    }]
}

fn filter(word: &str) -> Filter {
    Filter { kind: word.into(), host: word.into(), port: word.into(), service: word.into(), skip: "200".into() }
}

fn report(word: &str) -> report::ReportPage {
    let look = |word, run, ports| report::Look { word, run, time: NOW, hosts: Some(17), ports: Some(ports) };
    report::ReportPage {
        id: RunId(7),
        scan: ScanId(1),
        network: word.into(),
        sentence: format!("2 ports opened, 1 closed since run 6, coverage 94\u{202f}%, {word}."),
        gauge: Gauge { score: 85, coverage: Percent(94) },
        status: Badge::filled(Tone::Critical, "octagon", "Critical"),
        parts: vec![
            report::Part { words: "2 new ports".into(), points: 10 },
            report::Part { words: "1 change accepted as expected, not counted".into(), points: 0 },
        ],
        looks: vec![look("Baseline", RunId(6), 61), look("This run", RunId(7), 62)],
        baseline: Some(RunId(6)),
        filter: filter(word),
        listed: listed(word),
        notes: notes(word),
        left_out: 4,
        may_run: true,
        may_accept: true,
        faults: faults("host", word),
        comment: word.into(),
        told: Some(word.into()),
    }
}

fn history(word: &str) -> history::History {
    let entry = |run, status, words: &str| history::Entry {
        run: RunId(run),
        status,
        words: words.into(),
        accepted: 1,
        baseline: Some(RunId(run - 1)),
        score: 85,
        coverage: Percent(94),
        time: NOW.minus(hours(5)),
    };
    let today = vec![
        entry(8, Badge::filled(Tone::Critical, "octagon", "Critical"), "+1 RDP port opened"),
        entry(7, Badge::plain(Tone::Ok, "circle-check", "Stable"), word),
    ];
    history::History {
        scan: ScanId(1),
        name: word.into(),
        days: vec![history::Day { date: "2023-11-14".into(), entries: today }],
    }
}

fn alerts(word: &str) -> alerts::Alerts {
    let row = |severity, is_verified| alerts::AlertRow {
        id: "1-10.1.4.20-3389-tcp-RDP".into(),
        severity,
        what: word.into(),
        host: "10.1.4.20".into(),
        name: word.into(),
        port: "3389/tcp".into(),
        scan: ScanId(1),
        network: word.into(),
        state: Badge::plain(Tone::High, "circle-alert", "open"),
        raised: RunId(4),
        opened: NOW.minus(hours(70)),
        verified: RunId(7),
        verified_at: NOW.minus(hours(5)),
        is_verified,
        is_chosen: is_verified,
    };
    let critical = || Badge::filled(Tone::Critical, "octagon", "Critical");
    alerts::Alerts {
        fields: Fields::of([("state", word), ("severity", "high"), ("scan", "1"), ("address", word), ("text", word)]),
        networks: vec![("1".into(), word.into())],
        alerts: vec![row(critical(), false), row(Badge::filled(Tone::Medium, "square", "Medium"), true)],
        total: 3,
        all: 40,
        tallies: vec![alerts::Tally { severity: critical(), count: 2, path: "/alerts?severity=critical".into() }],
        pager: Pager { first: Some("/alerts".into()), next: Some("/alerts?after=1-10.1.4.20-3389-tcp-RDP".into()) },
        has_runs: true,
        may_decide: true,
        faults: faults("comment", word),
        comment: word.into(),
        told: Some(word.into()),
    }
}

fn alert(word: &str) -> alert::AlertPage {
    let step = |run, words: &str| alert::StepRow {
        at: NOW.minus(hours(6)),
        run,
        person: word.into(),
        words: words.into(),
        comment: word.into(),
    };
    alert::AlertPage {
        id: "1-10.1.4.20-3389-tcp-RDP".into(),
        what: word.into(),
        severity: Badge::filled(Tone::Critical, "octagon", "Critical"),
        state: Badge::plain(Tone::Low, "contrast", "actioned"),
        host: "10.1.4.20".into(),
        name: word.into(),
        port: "3389/tcp".into(),
        scan: ScanId(1),
        network: word.into(),
        why: word.into(),
        service: word.into(),
        expected: Some(word.into()),
        raised: RunId(4),
        opened: NOW.minus(hours(70)),
        verified: RunId(7),
        verified_at: NOW.minus(hours(5)),
        is_verified: false,
        steps: vec![step(None, "marked actioned"), step(Some(RunId(4)), "raised")],
        folded: 2,
        actions: vec![("ignore", "Ignore"), ("reopen", "Reopen")],
        comment: word.into(),
        faults: faults("comment", word),
        told: Some(word.into()),
    }
}

fn compare(word: &str) -> compare::Compare {
    let outcome = compare::Outcome {
        from: RunId(5),
        to: RunId(7),
        sentence: format!("3 changes from run 5 to run 7, {word}"),
        hosts: (17, 18),
        shared_addresses: 256,
        newly_covered: 20,
        no_longer_covered: 1,
        left_out: 4,
        listed: listed(word),
        notes: notes(word),
    };
    compare::Compare {
        which: compare::Which { network: "1".into(), from: word.into(), to: "7".into() },
        networks: vec![("1".into(), word.into()), ("2".into(), word.into())],
        runs: vec![("7".into(), word.into()), ("5".into(), word.into())],
        filter: filter(word),
        outcome: Some(outcome),
        faults: faults("from", word),
    }
}

fn rules(word: &str) -> rules::Rules {
    rules::Rules {
        rules: vec![rules::RuleRow {
            severity: Badge::filled(Tone::Critical, "octagon", "Critical"),
            port: "3389/tcp".into(),
            name: word.into(),
            edit: "/settings/rules?port=3389/tcp#rule".into(),
        }],
        may_edit: true,
        form: rules::RuleForm { port: word.into(), name: word.into(), severity: word.into() },
        is_change: true,
        faults: faults("port", word),
        told: Some(word.into()),
    }
}
