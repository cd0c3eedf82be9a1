//! One filled view of every page, for tests: `word` stands wherever foreign text can.

mod findings;
mod of_first_run;
mod of_hosts;
pub(crate) mod of_mesh;
mod of_operation;
mod of_scans;
mod of_settings;
mod of_tokens;
mod of_users;

use super::*;
use crate::filters::Percent;
use crate::look::{Badge, Gauge, Tone};
use coordinator::events::EventId;
use coordinator::{Actor, Role};
use protocol::task::{RunId, ScanId};
use std::time::Duration;

/// Views that are parts of pages.
pub(crate) const PARTS: [&str; 2] = ["log_lines", "scan_check"];

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

pub(crate) fn context() -> Context {
    Context { base_path: String::new(), now: NOW, zone: jiff::tz::TimeZone::UTC }
}

pub(crate) fn frame() -> Frame {
    let user = Caller(Actor::new("ada".into(), Role::Admin));
    let preferences = coordinator::accounts::Preferences::default();
    let counts = Counts { alerts_open: 3, runs_open: 1, nodes_pending: 2 };
    Frame { caller: Some(user), preferences, counts, shortage: None, newest: EventId::default() }
}

/// Every page with a name for it, filled.
pub(crate) fn filled(word: &str) -> Vec<(&'static str, Undrawn)> {
    let pages: Vec<(&'static str, Arc<dyn View>)> = vec![
        (
            "login",
            Arc::new(login::Login {
                name: word.into(),
                next: word.into(),
                fault: Some(word.into()),
                can_forget: true,
                can_register: true,
            }),
        ),
        ("overview", Arc::new(overview(word))),
        ("nodes", Arc::new(nodes(word))),
        ("node", Arc::new(node(word))),
        ("nodes_decide", Arc::new(question(word))),
        (
            "enrol",
            Arc::new(enrol::Enrol {
                invite: Some(word.into()),
                expires: Some(NOW.plus(hours(1))),
                ..Default::default()
            }),
        ),
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
    ];
    let pages =
        pages.into_iter().chain(findings::filled(word)).chain(of_scans::filled(word)).chain(of_mesh::filled(word));
    let pages = pages.chain(of_hosts::filled(word)).chain(of_operation::filled(word)).chain(of_settings::filled(word));
    let pages = pages.chain(of_tokens::filled(word)).chain(of_users::filled(word)).chain(of_first_run::filled(word));
    pages.map(|(name, view)| (name, Undrawn { view, is_framed: !PARTS.contains(&name) })).collect()
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
                more: 0,
                networks: vec![],
                has_nodes: false,
                may_run: true,
                next: Some("let a first node in"),
            }),
        ),
        ("nodes", Arc::new(no_nodes())),
        ("enrol", Arc::new(enrol::Enrol::default())),
        ("reports", Arc::new(reports::Reports { networks: vec![], total: 0, filter: reports::Filter::default() })),
    ];
    let pages = pages.into_iter().chain(findings::empty()).chain(of_scans::empty()).chain(of_mesh::empty());
    let pages = pages.chain(of_hosts::empty()).chain(of_operation::empty()).chain(of_settings::empty());
    let pages = pages.chain(of_tokens::empty()).chain(of_users::empty()).chain(of_first_run::empty());
    pages.map(|(name, view)| (name, Undrawn { view, is_framed: true })).collect()
}

fn no_nodes() -> nodes::Nodes {
    nodes::Nodes {
        pending: vec![],
        nodes: vec![],
        hidden: 0,
        shows_hidden: false,
        roster: nodes::roster::RosterNotices { restored: Some(NOW.minus(hours(1))), ..Default::default() },
        may_approve: true,
        fault: None,
        told: None,
    }
}

fn hours(count: u64) -> Duration {
    Duration::from_secs(count * 3_600)
}

fn tiles() -> Vec<overview::Tile> {
    let tile = |count, word, path| overview::Tile { count, word, note: "of 4".into(), path };
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
    overview::Overview {
        tiles: tiles(),
        attention,
        more: 3,
        networks: networks(word),
        has_nodes: true,
        may_run: true,
        next: None,
    }
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
        sponsor: true,
    };
    let pending = nodes::PendingCard {
        id: "abcd".into(),
        fingerprint: "k7dq-22fm-x3ha-9pwz-aa5t-0r4c-mm2e-lz8y".into(),
        host: word.into(),
        address: "10.1.0.7".into(),
        claimed: "10.1.0.0/24".into(),
        version: "0.1.0".into(),
        through: Some(word.into()),
        asked: NOW.minus(Duration::from_secs(70)),
        state: Badge::plain(Tone::Medium, "diamond", "pending"),
        approval,
        is_open: false,
    };
    let row = |state, why: &str| nodes::NodeRow {
        id: "abcd".into(),
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
    nodes::Nodes {
        pending: vec![pending],
        nodes: rows,
        hidden: 2,
        shows_hidden: true,
        roster: notices(word),
        may_approve: true,
        fault: Some(word.into()),
        told: Some(word.into()),
    }
}

fn notices(word: &str) -> nodes::roster::RosterNotices {
    let from = "k7dq-22fm-x3ha-9pwz-aa5t-0r4c-mm2e-lz8y".to_owned();
    nodes::roster::RosterNotices {
        awaited: Some(vec![word.into()]),
        ends: Some(NOW.plus(hours(50))),
        alarm: Some(nodes::roster::TwoTruths { epoch: 7, from, at: NOW.minus(hours(1)) }),
        restored: None,
        may_approve: true,
    }
}

fn node(word: &str) -> node::NodePage {
    node::NodePage {
        id: "abcd".into(),
        label: word.into(),
        fingerprint: "k7dq-22fm-x3ha-9pwz-aa5t-0r4c-mm2e-lz8y".into(),
        state: Badge::plain(Tone::Ok, "circle", "online"),
        why: word.into(),
        facts: vec![("Host name", word.into()), ("Own policy", "10.1.0.0/24".into())],
        seen: Some(NOW.minus(Duration::from_secs(4))),
        decided: Some((word.into(), NOW.minus(hours(30)))),
        ends: Some(NOW.plus(hours(50))),
        running: vec!["7.3".into()],
        is_hidden: false,
        cloned: Some(NOW.minus(hours(1))),
        is_in: true,
        has_terms: true,
        is_forgettable: true,
        form: nodes::ApprovalForm {
            label: word.into(),
            ranges: word.into(),
            site: word.into(),
            expires: "2026-12-31".into(),
            sponsor: false,
        },
        faults: [("ranges", word.to_owned())].into_iter().collect::<std::collections::BTreeMap<_, _>>().into(),
        may_approve: true,
    }
}

fn question(word: &str) -> nodes::decide::Question {
    let named = |id: &str| nodes::decide::Named { id: id.into(), label: word.into(), fingerprint: word.into() };
    nodes::decide::Question {
        deed: nodes::decide::Deed::Revoke,
        nodes: vec![named("abcd"), named("efgh")],
        reason: word.into(),
        faults: [("reason", word.to_owned())].into_iter().collect::<std::collections::BTreeMap<_, _>>().into(),
    }
}
