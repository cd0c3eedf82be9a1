//! `/runs/{id}`: how far a run is, who does what of it, and what came of it.

mod tasks;

#[cfg(test)]
pub(crate) use tasks::TaskRow;
pub(crate) use tasks::Tasks;

use crate::App;
use crate::error::WebError;
use crate::filters;
use crate::filters::{Percent, grouped_text, span_text};
use crate::look::{Badge, Progress, Tone};
use crate::page::found::Found;
use crate::page::scan::has_report;
use crate::page::{Head, Page, Section, View};
use crate::session::Caller;
use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Redirect;
use coordinator::run::{Run, RunState, Trigger};
use coordinator::{Actor, NodeProgress, NodeView, Phase, Right, RunView};
use protocol::task::{RunId, ScanId};
use protocol::{NodeId, Timestamp};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

#[derive(Template)]
#[template(path = "run.html")]
pub(crate) struct RunPage {
    pub(crate) id: RunId,
    pub(crate) scan: ScanId,
    pub(crate) scan_name: String,
    pub(crate) cause: String,
    pub(crate) origin: Origin,
    pub(crate) is_live: bool,
    pub(crate) may_stop: bool,
    pub(crate) state: Badge,
    pub(crate) phase: &'static str,
    pub(crate) progress: Progress,
    pub(crate) hosts: u32,
    pub(crate) created: Timestamp,
    /// Since a node began with it.
    pub(crate) elapsed: Duration,
    /// Estimated; told only after a tenth is done.
    pub(crate) left: Option<Duration>,
    pub(crate) has_report: bool,
    pub(crate) reason: String,
    pub(crate) missing: Vec<Gap>,
    pub(crate) retry: Retry,
    pub(crate) nodes: Vec<NodeRow>,
    /// Hosts of an ended run.
    pub(crate) found: Found,
    pub(crate) tasks: Tasks,
}

/// What a run is when it is no run of the whole scan by nodes.
pub(crate) enum Origin {
    /// It is one.
    Whole,
    /// It makes up for what another run missed.
    Missing { of: RunId, targets: String, addresses: u128 },
    /// It came as a document of another scanner.
    Import { is_authoritative: bool },
}

/// Whether what a run missed can be run again.
pub(crate) enum Retry {
    /// It missed nothing, or the caller may not, or the scan is out of use.
    No,
    /// Now.
    Possible,
    /// Another run of the scan has to end first.
    After(RunId),
    /// That was done already.
    Done(RunId),
}

/// Addresses that nobody looked at.
pub(crate) struct Gap {
    pub(crate) targets: String,
    pub(crate) addresses: u128,
    pub(crate) reason: &'static str,
}

/// What one node does of the run.
pub(crate) struct NodeRow {
    pub(crate) label: String,
    /// While the run goes on.
    pub(crate) state: Option<Badge>,
    pub(crate) running: u32,
    pub(crate) done: u32,
    pub(crate) failed: u32,
    pub(crate) addresses: u64,
    pub(crate) hosts: u32,
    pub(crate) heard: Option<Timestamp>,
}

impl View for RunPage {
    fn head(&self) -> Head {
        Head::below(Section::Scans, format!("Run {}", self.id))
            .via(self.scan_name.as_str(), format!("/scans/{}", self.scan))
    }
}

/// Where the pages of hosts and of tasks begin.
#[derive(Default, Deserialize)]
pub(crate) struct Start {
    /// Behind this host.
    after: Option<IpAddr>,
    /// With the task of this number.
    first: Option<u32>,
}

/// `GET /runs/{run}`
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(run): Path<RunId>,
    Query(Start { after, first }): Query<Start>,
) -> Result<Page<RunPage>, WebError> {
    let (view, nodes) = (app.coordinator.run(&actor, run).await?, app.coordinator.nodes(&actor).await?);
    let labels = labels(nodes);
    let mut page = RunPage::of(&view, actor.role.may(Right::Operate));
    page.tasks = match first {
        None => Tasks::newest(&view, &labels),
        Some(first) => {
            let records = app.coordinator.run_tasks(&actor, run, first).await?;
            Tasks::from(&view, first, &records, &labels)
        }
    };
    if !page.is_live {
        page.found = Found::read(&app, &actor, run, after, page.path()).await?;
        page.retry = Retry::of(&app, &actor, &view.run).await?;
    }
    Ok(Page(page))
}

/// `POST /runs/{run}/cancel`
pub(crate) async fn cancel(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(run): Path<RunId>,
) -> Result<Redirect, WebError> {
    app.coordinator.cancel_run(&actor, run).await?;
    Ok(Redirect::to(&app.link(&format!("/runs/{run}"))))
}

/// `POST /runs/{run}/retry-missing`
pub(crate) async fn retry_missing(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(run): Path<RunId>,
) -> Result<Redirect, WebError> {
    let retry = app.coordinator.retry_missing(&actor, run).await?;
    Ok(Redirect::to(&app.link(&format!("/runs/{}", retry.id))))
}

/// What people call the nodes.
type Labels = BTreeMap<NodeId, String>;

fn labels(nodes: Vec<NodeView>) -> Labels {
    nodes.into_iter().map(|node| (node.record.key, node.record.label.into())).collect()
}

impl RunPage {
    fn path(&self) -> String {
        format!("/runs/{}", self.id)
    }

    fn of(RunView { run, tasks: _, progress }: &RunView, may_operate: bool) -> Self {
        let is_live = !run.state.is_final();
        Self {
            id: run.id,
            scan: run.scan,
            scan_name: run.definition.name().to_string(),
            cause: cause(&run.trigger),
            origin: Origin::of(run),
            is_live,
            may_stop: may_operate && is_live,
            state: run.state.into(),
            phase: phase_words(progress.phase),
            progress: bar(run, progress),
            hosts: progress.hosts_found,
            created: run.created,
            elapsed: progress.elapsed,
            left: progress.left,
            has_report: has_report(run),
            reason: run.outcome.as_ref().map(|outcome| outcome.reason.to_string()).unwrap_or_default(),
            missing: run.uncovered.iter().map(Gap::from).collect(),
            retry: Retry::No,
            nodes: progress.nodes.iter().map(|node| NodeRow::of(node, is_live)).collect(),
            found: Found::default(),
            tasks: Tasks::default(),
        }
    }
}

impl Retry {
    async fn of(app: &App, actor: &Actor, run: &Run) -> Result<Self, WebError> {
        let is_short = matches!(run.state, RunState::Partial | RunState::Failed) && !run.missing().is_empty();
        if !is_short {
            return Ok(Self::No);
        }
        let makes_up = |other: &&Run| matches!(other.trigger, Trigger::Missing { of, .. } if of == run.id);
        let counts = |other: &&Run| !matches!(other.state, RunState::Failed | RunState::Cancelled);
        let runs = app.coordinator.runs(actor, Some(run.scan)).await?;
        let scan = app.coordinator.scan(actor, run.scan).await?;
        Ok(match (runs.iter().filter(makes_up).find(counts), scan.open_run) {
            (Some(done), _) => Self::Done(done.id),
            _ if !scan.scan.active || !actor.role.may(Right::Operate) => Self::No,
            (None, Some(open)) => Self::After(open),
            (None, None) => Self::Possible,
        })
    }
}

fn cause(trigger: &Trigger) -> String {
    match trigger {
        Trigger::Person(name) => format!("started by {name}"),
        Trigger::Schedule => "started by its schedule".to_owned(),
        Trigger::Missing { of, by } => format!("started by {by} for what run {of} missed"),
        Trigger::Import { by, .. } => format!("imported by {by}"),
    }
}

impl Origin {
    fn of(run: &Run) -> Self {
        match &run.trigger {
            Trigger::Person(_) | Trigger::Schedule => Self::Whole,
            Trigger::Missing { of, .. } => {
                let wanted = run.wanted();
                Self::Missing { of: *of, targets: wanted.to_string(), addresses: wanted.count() }
            }
            Trigger::Import { authoritative, .. } => Self::Import { is_authoritative: *authoritative },
        }
    }
}

impl From<&coordinator::run::Uncovered> for Gap {
    fn from(part: &coordinator::run::Uncovered) -> Self {
        let (targets, addresses) = (part.targets.to_string(), part.targets.count());
        Self { targets, addresses, reason: part.reason.words() }
    }
}

/// What is being done.
pub(super) fn phase_words(phase: Phase) -> &'static str {
    match phase {
        Phase::Queued => "queued: no node has begun",
        Phase::Scanning => "scanning",
        Phase::Confirming => "confirming: a second look at what seems gone",
        Phase::Reporting => "reporting: changes, alerts and score are worked out",
        Phase::Ended => "ended",
    }
}

/// While it runs, addresses settled; afterwards, what was really looked at.
pub(super) fn bar(run: &Run, progress: &coordinator::Progress) -> Progress {
    let coordinator::Progress { addresses_done: done, addresses_total: total, .. } = progress;
    match &run.outcome {
        Some(outcome) => Progress {
            label: "Coverage".to_owned(),
            percent: Percent::of_hundredths(outcome.coverage_hundredths),
            count: format!("of {} addresses looked at", grouped_text(total)),
        },
        None => Progress {
            label: "Addresses settled".to_owned(),
            percent: Percent(progress.percent()),
            count: format!("{} of {} addresses", grouped_text(done), grouped_text(total)),
        },
    }
}

impl NodeRow {
    fn of(node: &NodeProgress, is_live: bool) -> Self {
        let NodeProgress { node, label, running, done, failed, addresses_done, hosts_found, last_heard, silent_for } =
            node;
        let state = match silent_for {
            Some(silent) => Badge::plain(Tone::High, "triangle-alert", format!("no word for {}", span_text(*silent))),
            None if *running > 0 => Badge::presence(true, true),
            None => Badge::plain(Tone::Muted, "circle", "waits"),
        };
        Self {
            label: if label.is_empty() { node.to_string() } else { label.to_string() },
            state: is_live.then_some(state),
            running: *running,
            done: *done,
            failed: *failed,
            addresses: *addresses_done,
            hosts: *hosts_found,
            heard: *last_heard,
        }
    }
}
