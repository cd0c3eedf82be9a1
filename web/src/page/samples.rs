//! One filled view of every page, for tests: `word` stands wherever foreign text can.

mod findings;

use super::*;
use crate::faults::Faults;
use crate::filters::Percent;
use crate::look::{Badge, Gauge, Progress, Tone};
use coordinator::{Actor, Role};
use protocol::task::{RunId, ScanId, TaskId};
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

pub(crate) fn context() -> Context {
    Context { base_path: String::new(), now: NOW }
}

pub(crate) fn frame() -> Frame {
    let user = Caller(Actor { name: "ada".into(), role: Role::Admin });
    Frame { caller: Some(user), counts: Counts { open_alerts: 3, running_runs: 1, pending_nodes: 2 } }
}

/// Every page with a name for it, filled.
pub(crate) fn filled(word: &str) -> Vec<(&'static str, Undrawn)> {
    let pages: Vec<(&'static str, Arc<dyn View>)> = vec![
        ("login", Arc::new(login::Login { name: word.into(), next: word.into(), fault: Some(word.into()) })),
        ("overview", Arc::new(overview(word))),
        ("nodes", Arc::new(nodes(word))),
        (
            "enrol",
            Arc::new(enrol::Enrol {
                invite: Some(word.into()),
                expires: Some(NOW.plus(hours(1))),
                ..Default::default()
            }),
        ),
        ("scans", Arc::new(scans(word))),
        ("scan_new", Arc::new(scan_new(word))),
        ("scan", Arc::new(scan(word))),
        ("run", Arc::new(run(word))),
        ("run-ended", Arc::new(run::RunPage { is_live: false, may_stop: false, ..run(word) })),
        (
            "reports",
            Arc::new(reports::Reports {
                networks: networks(word),
                total: 3,
                filter: reports::Filter { name: word.into(), ..Default::default() },
            }),
        ),
        (
            "error",
            Arc::new(crate::error::ErrorPage {
                problem: Problem { detail: word.into(), ..Problem::of(StatusCode::NOT_FOUND) },
            }),
        ),
        ("scan_check", Arc::new(scan_check::ScanCheck { faults: vec![word.into()], sum: None })),
    ];
    let pages = pages.into_iter().chain(findings::filled(word));
    pages.map(|(name, view)| (name, Undrawn { view, is_framed: name != "scan_check" })).collect()
}

/// Every page that can be empty, empty.
pub(crate) fn empty() -> Vec<(&'static str, Undrawn)> {
    let pages: Vec<(&'static str, Arc<dyn View>)> = vec![
        ("login", Arc::new(login::Login::default())),
        (
            "overview",
            Arc::new(overview::Overview {
                tiles: tiles(),
                attention: vec![],
                networks: vec![],
                has_nodes: false,
                may_run: true,
            }),
        ),
        ("nodes", Arc::new(nodes::Nodes { pending: vec![], nodes: vec![], may_approve: true, fault: None })),
        ("enrol", Arc::new(enrol::Enrol::default())),
        ("scans", Arc::new(scans::Scans { scans: vec![], may_run: true })),
        ("scan_new", Arc::new(scan_new::ScanNew { form: scan_new::ScanForm::default(), faults: Faults::default() })),
        ("scan", Arc::new(scan::ScanPage { runs: vec![], ..scan("Office") })),
        ("reports", Arc::new(reports::Reports { networks: vec![], total: 0, filter: reports::Filter::default() })),
    ];
    let pages = pages.into_iter().chain(findings::empty());
    pages.map(|(name, view)| (name, Undrawn { view, is_framed: true })).collect()
}

fn hours(count: u64) -> Duration {
    Duration::from_secs(count * 3_600)
}

fn tiles() -> Vec<overview::Tile> {
    let tile = |count, word, path| overview::Tile { count, word, path };
    vec![
        tile(4, "nodes online", "/nodes"),
        tile(12, "runs in 24 h", "/scans"),
        tile(2, "reports with changes", "/reports"),
        tile(3, "open alerts", "/alerts"),
    ]
}

fn overview(word: &str) -> overview::Overview {
    let item = |badge, words: &str, path: &str| overview::Attention { badge, words: words.into(), path: path.into() };
    let attention = vec![
        item(Badge::plain(Tone::Medium, "diamond", "pending"), &format!("{word} asks to be let in"), "/nodes"),
        item(
            Badge::filled(Tone::Critical, "octagon", "Critical"),
            &format!("3389/tcp open on 10.1.4.20, {word}"),
            "/alerts",
        ),
        item(
            Badge::plain(Tone::High, "triangle-alert", "partial"),
            &format!("{word}: 12 addresses were not looked at"),
            "/runs/7",
        ),
    ];
    overview::Overview { tiles: tiles(), attention, networks: networks(word), has_nodes: true, may_run: true }
}

fn networks(word: &str) -> Vec<reports::NetworkCard> {
    let card = |scan, score: Option<u8>, status, latest| reports::NetworkCard {
        scan: ScanId(scan),
        name: word.into(),
        targets: "192.168.10.0/24, 10.20.0.1-10.20.0.50".into(),
        status,
        gauge: score.map(|score| Gauge { score, coverage: Percent(94) }),
        no_score: "No score yet: the first run is still to come.",
        opened: usize::from(score.is_some()),
        closed: 0,
        changed: 2,
        time: score.map(|_| NOW.minus(hours(5))),
        latest,
    };
    vec![
        card(1, Some(85), Badge::filled(Tone::Low, "file-diff", "Changes"), Some(RunId(7))),
        card(2, Some(44), Badge::filled(Tone::Critical, "octagon", "Critical"), Some(RunId(8))),
        card(3, None, Badge::plain(Tone::Muted, "circle", "Not run yet"), None),
    ]
}

fn nodes(word: &str) -> nodes::Nodes {
    let approval = nodes::ApprovalForm {
        label: word.into(),
        ranges: "10.1.0.0/24".into(),
        site: "main".into(),
        expires: String::new(),
    };
    let pending = nodes::PendingCard {
        id: "abcd".into(),
        fingerprint: "k7dq-22fm-x3ha-9pwz-aa5t-0r4c-mm2e-lz8y".into(),
        host: word.into(),
        address: "10.1.0.7".into(),
        claimed: "10.1.0.0/24".into(),
        version: "0.1.0".into(),
        asked: NOW.minus(Duration::from_secs(70)),
        state: Badge::plain(Tone::Medium, "diamond", "pending"),
        approval,
        is_open: false,
    };
    let row = |state, why: &str| nodes::NodeRow {
        label: word.into(),
        fingerprint: "k7dq-22fm-x3ha-9pwz-aa5t-0r4c-mm2e-lz8y".into(),
        short: "k7dq-22fm".into(),
        state,
        why: why.into(),
        address: "10.1.0.7".into(),
        host: word.into(),
        ranges: "10.1.0.0/24, 10.2.0.0/16".into(),
        engines: "built-in, nmap 7.93".into(),
        seen: Some(NOW.minus(Duration::from_secs(4))),
    };
    let rows = vec![
        row(Badge::plain(Tone::Ok, "circle", "online"), ""),
        row(Badge::plain(Tone::Critical, "x", "offline"), word),
    ];
    nodes::Nodes { pending: vec![pending], nodes: rows, may_approve: true, fault: Some(word.into()) }
}

fn scans(word: &str) -> scans::Scans {
    let row = |state, active| scans::ScanRow {
        path: "/scans/1".into(),
        name: word.into(),
        is_active: active,
        is_running: false,
        targets: "192.168.10.0/24".into(),
        addresses: 256,
        ports: "T:22,80,443".into(),
        last: Some(scans::LastRun { path: "/runs/7".into(), state, time: NOW.minus(hours(5)) }),
        next: Some(NOW.plus(hours(19))),
    };
    scans::Scans {
        scans: vec![
            row(Badge::plain(Tone::Ok, "circle-check", "completed"), true),
            row(Badge::plain(Tone::Low, "loader-circle", "running"), false),
        ],
        may_run: true,
    }
}

fn scan_new(word: &str) -> scan_new::ScanNew {
    let mut faults = Faults::default();
    faults.add("name", word);
    faults.add("targets", word);
    let form = scan_new::ScanForm {
        name: word.into(),
        targets: word.into(),
        args: word.into(),
        scheduled: true,
        ..Default::default()
    };
    scan_new::ScanNew { form, faults }
}

fn scan(word: &str) -> scan::ScanPage {
    let run = |id, state, running: bool| scan::RunRow {
        id: RunId(id),
        state,
        started: NOW.minus(hours(5)),
        took: (!running).then_some(Duration::from_secs(128)),
        hosts: Some(17),
        coverage: Some(Percent(94)),
        has_report: !running,
    };
    scan::ScanPage {
        id: ScanId(1),
        name: word.into(),
        description: word.into(),
        is_active: true,
        may_run: true,
        open_run: None,
        targets: "192.168.10.0/24".into(),
        addresses: 250,
        exclusions: "192.168.10.1-192.168.10.6".into(),
        ports: "T:22,80,443".into(),
        args: word.into(),
        engine: "auto",
        site: word.into(),
        schedule: "every 24 h".into(),
        next: Some(NOW.plus(hours(19))),
        runs: vec![
            run(8, Badge::plain(Tone::Low, "loader-circle", "running"), true),
            run(7, Badge::plain(Tone::Ok, "circle-check", "completed"), false),
        ],
    }
}

fn run(word: &str) -> run::RunPage {
    let task = |index, state| run::TaskRow {
        id: TaskId { run: RunId(8), index },
        is_second_look: index > 0,
        targets: "192.168.10.0-192.168.10.127".into(),
        state,
        why: word.into(),
        node: word.into(),
        attempts: 1,
        progress: Some(Percent(44)),
        leased: Some(NOW.minus(Duration::from_secs(40))),
        took: None,
    };
    run::RunPage {
        id: RunId(8),
        scan: ScanId(1),
        scan_name: word.into(),
        cause: format!("started by {word}"),
        is_live: true,
        may_stop: true,
        state: Badge::plain(Tone::Low, "contrast", "running"),
        progress: Progress {
            label: "Addresses done".into(),
            percent: Percent(44),
            count: "112 of 256 addresses".into(),
        },
        hosts: 9,
        created: NOW.minus(Duration::from_secs(48)),
        took: Some(Duration::from_secs(48)),
        left: Some(Duration::from_secs(62)),
        has_report: false,
        reason: word.into(),
        found: vec![run::HostRow {
            address: "192.168.10.4".into(),
            names: word.into(),
            ports: vec![run::OpenPort { number: "443/tcp".into(), service: word.into() }],
        }],
        more_hosts: 3,
        missing: vec![run::Gap { targets: "10.9.0.0/24".into(), reason: "no approved node has them in its ranges" }],
        tasks: vec![
            task(0, Badge::plain(Tone::Low, "loader-circle", "leased")),
            task(1, Badge::plain(Tone::Muted, "clock", "waiting")),
        ],
    }
}
