//! `/`: four numbers, what needs attention, and the networks.

use crate::App;
use crate::error::WebError;
use crate::filters;
use crate::look::{Badge, Tone};
use crate::page::first_run;
use crate::page::mesh::clock_fault;
use crate::page::reports::NetworkCard;
use crate::page::{Head, Page, Section, View};
use crate::session::Caller;
use askama::Template;
use axum::extract::State;
use coordinator::analysis::alert::{AlertFilter, AlertSort, AlertState, Severity};
use coordinator::run::RunState;
use coordinator::{AlertPage, AlertView, NodeStatus, NodeView, Right, ScanView};

#[derive(Template)]
#[template(path = "overview.html")]
pub(crate) struct Overview {
    pub(crate) tiles: Vec<Tile>,
    pub(crate) attention: Vec<Attention>,
    /// How many more wait.
    pub(crate) more: usize,
    pub(crate) networks: Vec<NetworkCard>,
    pub(crate) has_nodes: bool,
    pub(crate) may_run: bool,
    /// What is next on the way to the first delta, for who can do it.
    pub(crate) next: Option<&'static str>,
}

/// A number that leads to the list it counts.
pub(crate) struct Tile {
    pub(crate) count: usize,
    pub(crate) word: &'static str,
    /// Of how many, or what is among them; may be empty.
    pub(crate) note: String,
    pub(crate) path: &'static str,
}

/// Something that waits for a person.
pub(crate) struct Attention {
    pub(crate) badge: Badge,
    pub(crate) words: String,
    pub(crate) path: String,
}

impl View for Overview {
    fn head(&self) -> Head {
        Head::top(Section::Overview)
    }
}

/// The most alerts that the overview names one by one.
const MOST_ALERTS: usize = 5;
/// The most things that wait which it names.
const MOST_WAITING: usize = 12;

/// `GET /`
pub(crate) async fn show(State(app): State<App>, Caller(actor): Caller) -> Result<Page<Overview>, WebError> {
    let (numbers, scans) = (app.coordinator.overview(&actor).await?, app.coordinator.scans(&actor).await?);
    let filter = AlertFilter { states: vec![AlertState::Open], ..AlertFilter::default() };
    let page = AlertPage { sort: AlertSort::default(), after: None, limit: MOST_ALERTS };
    let (nodes, alerts) = (app.coordinator.nodes(&actor).await?, app.coordinator.alerts(&actor, &filter, &page).await?);
    let mut attention = attention(&nodes, &scans, &alerts.alerts);
    let more = attention.len().saturating_sub(MOST_WAITING);
    attention.truncate(MOST_WAITING);
    Ok(Page(Overview {
        tiles: tiles(&numbers, scans.len(), alerts.counts.of(AlertState::Open, Severity::Critical)),
        attention,
        more,
        networks: scans.iter().map(NetworkCard::from).collect(),
        has_nodes: numbers.nodes_approved > 0,
        may_run: actor.role.may(Right::Operate),
        next: first_run::next_words(&app, &actor).await?,
    }))
}

fn tiles(numbers: &coordinator::Overview, networks: usize, critical: usize) -> Vec<Tile> {
    let coordinator::Overview { nodes_online, nodes_approved, runs_today, runs_open, reports_with_changes, .. } =
        *numbers;
    let some = |count: usize, word: &str| if count > 0 { format!("{count} {word}") } else { String::new() };
    let tile = |count, word, note, path| Tile { count, word, note, path };
    vec![
        tile(nodes_online, "nodes online", format!("of {nodes_approved}"), "/nodes"),
        tile(runs_today, "runs in 24 h", some(runs_open, "under way"), "/scans?sort=last"),
        tile(reports_with_changes, "networks with changes", format!("of {networks}"), "/reports?status=changed"),
        tile(numbers.alerts_open, "open alerts", some(critical, "critical"), "/alerts?state=open"),
    ]
}

/// Waiting nodes first, then the worst alerts, then what is broken.
fn attention(nodes: &[NodeView], scans: &[ScanView], alerts: &[AlertView]) -> Vec<Attention> {
    let pending = nodes.iter().filter(|node| node.record.is_pending()).map(|node| Attention {
        badge: Badge::pending(),
        words: format!("{} asks to be let in", node.record.label),
        path: "/nodes".to_owned(),
    });
    let open = alerts.iter().map(|AlertView { alert, .. }| Attention {
        badge: alert.severity.into(),
        words: format!(
            "{} on {}, port {}/{}",
            alert.key.rule, alert.key.address, alert.key.port.port, alert.key.port.protocol
        ),
        path: format!("/alerts/{}", alert.key),
    });
    let scans = scans.iter().filter_map(unfinished);
    let nodes = nodes.iter().filter_map(gone).chain(nodes.iter().filter_map(wrong_clock));
    pending.chain(open).chain(scans).chain(nodes).collect()
}

fn unfinished(scan: &ScanView) -> Option<Attention> {
    let run = scan.last_run.as_ref().filter(|run| matches!(run.state, RunState::Partial | RunState::Failed))?;
    let reason = run.outcome.as_ref().map(|outcome| outcome.reason.to_string()).unwrap_or_default();
    Some(Attention {
        badge: run.state.into(),
        words: format!("{}: {}", scan.scan.definition.name(), if reason.is_empty() { "the last run" } else { &reason }),
        path: format!("/runs/{}", run.id),
    })
}

fn gone(node: &NodeView) -> Option<Attention> {
    match &node.status {
        NodeStatus::Offline { since: _, reason } => Some(Attention {
            badge: Badge::presence(false, false),
            words: format!("{}: {reason}", node.record.label),
            path: format!("/nodes/{}", node.record.key.fingerprint().compact()),
        }),
        NodeStatus::Cloned { .. } => Some(Attention {
            badge: Badge::cloned(),
            words: format!("{}: two machines use its key", node.record.label),
            path: format!("/nodes/{}", node.record.key.fingerprint().compact()),
        }),
        NodeStatus::Pending
        | NodeStatus::Denied
        | NodeStatus::Revoked
        | NodeStatus::Awaited
        | NodeStatus::Online
        | NodeStatus::Scanning
        | NodeStatus::Expired
        | NodeStatus::Suspended => None,
    }
}

fn wrong_clock(node: &NodeView) -> Option<Attention> {
    let is_there = matches!(node.status, NodeStatus::Online | NodeStatus::Scanning);
    let fault = clock_fault(node.presence.as_ref().filter(|_| is_there)?.clock_offset_ms)?;
    Some(Attention {
        badge: Badge::plain(Tone::High, "clock", "clock"),
        words: format!("{}: its clock is {fault}", node.record.label),
        path: "/mesh".to_owned(),
    })
}
