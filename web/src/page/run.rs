//! `/runs/{id}`: how far a run is, and what came of it.

use crate::App;
use crate::error::WebError;
use crate::filters;
use crate::filters::{Percent, grouped_text};
use crate::live::Topics;
use crate::look::{Badge, Progress};
use crate::page::report::service_words;
use crate::page::scan::has_report;
use crate::page::{Head, Page, Section, View};
use crate::session::Caller;
use askama::Template;
use axum::extract::{Path, State};
use axum::response::Redirect;
use coordinator::run::{Look, Run, TaskRecord, TaskState, Trigger};
use coordinator::{NodeView, Right, RunView, TaskView};
use protocol::NodeId;
use protocol::Timestamp;
use protocol::observation::{HostObservation, PortState};
use protocol::task::{RunId, ScanId, TaskId};
use protocol::text::Text;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Template)]
#[template(path = "run.html")]
pub(crate) struct RunPage {
    pub(crate) id: RunId,
    pub(crate) scan: ScanId,
    pub(crate) scan_name: String,
    pub(crate) cause: String,
    pub(crate) is_live: bool,
    pub(crate) may_stop: bool,
    pub(crate) state: Badge,
    pub(crate) progress: Progress,
    pub(crate) hosts: u32,
    pub(crate) created: Timestamp,
    pub(crate) took: Option<Duration>,
    /// Estimated; told only after a tenth is done.
    pub(crate) left: Option<Duration>,
    pub(crate) has_report: bool,
    pub(crate) reason: String,
    pub(crate) missing: Vec<Gap>,
    /// Hosts of an ended run, the first of them.
    pub(crate) found: Vec<HostRow>,
    pub(crate) more_hosts: usize,
    pub(crate) tasks: Vec<TaskRow>,
}

/// Addresses that nobody looked at.
pub(crate) struct Gap {
    pub(crate) targets: String,
    pub(crate) reason: &'static str,
}

/// A host that was found up.
pub(crate) struct HostRow {
    pub(crate) address: String,
    pub(crate) names: String,
    pub(crate) ports: Vec<OpenPort>,
}

/// An open port of a host.
pub(crate) struct OpenPort {
    /// `443/tcp`
    pub(crate) number: String,
    pub(crate) service: String,
}

/// One task of the run.
pub(crate) struct TaskRow {
    pub(crate) id: TaskId,
    pub(crate) is_second_look: bool,
    pub(crate) targets: String,
    pub(crate) state: Badge,
    pub(crate) why: String,
    pub(crate) node: String,
    pub(crate) attempts: u32,
    /// Of its cells; not told before it starts, nor of one that ended early.
    pub(crate) progress: Option<Percent>,
    pub(crate) leased: Option<Timestamp>,
    pub(crate) took: Option<Duration>,
}

impl View for RunPage {
    fn head(&self) -> Head {
        let head = Head::below(Section::Scans, format!("Run {}", self.id));
        let head = head.via(self.scan_name.as_str(), format!("/scans/{}", self.scan));
        if self.is_live { head.live(Topics::new(&["run", "node"])) } else { head }
    }
}

/// `GET /runs/{run}`
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(run): Path<RunId>,
) -> Result<Page<RunPage>, WebError> {
    let (view, nodes) = (app.coordinator.run(&actor, run).await?, app.coordinator.nodes(&actor).await?);
    let page = RunPage::of(&view, &labels(nodes), actor.role.may(Right::Operate), Timestamp::now());
    if page.is_live {
        return Ok(Page(page));
    }
    let hosts = app.coordinator.run_hosts(&actor, run).await?;
    Ok(Page(page.with_hosts(&hosts)))
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

type Labels = BTreeMap<NodeId, String>;

fn labels(nodes: Vec<NodeView>) -> Labels {
    nodes.into_iter().map(|node| (node.record.key, node.record.label.into())).collect()
}

/// The most hosts that the page lists.
const MOST_HOSTS: usize = 500;

impl RunPage {
    fn with_hosts(mut self, hosts: &[HostObservation]) -> Self {
        self.found = hosts.iter().take(MOST_HOSTS).map(HostRow::from).collect();
        self.more_hosts = hosts.len().saturating_sub(MOST_HOSTS);
        self
    }

    fn of(RunView { run, tasks, progress }: &RunView, labels: &Labels, may_operate: bool, now: Timestamp) -> Self {
        let took = run.ended.unwrap_or(now).since(run.created);
        Self {
            id: run.id,
            scan: run.scan,
            scan_name: run.definition.name().to_string(),
            cause: cause(&run.trigger),
            is_live: !run.state.is_final(),
            may_stop: may_operate && !run.state.is_final(),
            state: run.state.into(),
            progress: bar(run, progress),
            hosts: progress.hosts_found,
            created: run.created,
            took: Some(took),
            left: progress.left,
            has_report: has_report(run),
            reason: run.outcome.as_ref().map(|outcome| outcome.reason.to_string()).unwrap_or_default(),
            missing: run
                .uncovered
                .iter()
                .map(|part| Gap { targets: part.targets.to_string(), reason: part.reason.words() })
                .collect(),
            found: Vec::new(),
            more_hosts: 0,
            tasks: tasks.iter().map(|task| TaskRow::of(task, labels)).collect(),
        }
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

/// While it runs, addresses settled; afterwards, what was really looked at.
fn bar(run: &Run, progress: &coordinator::Progress) -> Progress {
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

impl From<&HostObservation> for HostRow {
    fn from(host: &HostObservation) -> Self {
        let open = host.ports.iter().filter(|port| port.state == PortState::Open);
        Self {
            address: host.address.to_string(),
            names: host.names.iter().map(Text::as_str).collect::<Vec<_>>().join(", "),
            ports: open
                .map(|port| OpenPort {
                    number: format!("{}/{}", port.port, port.protocol),
                    service: port.service.as_ref().map(service_words).unwrap_or_default(),
                })
                .collect(),
        }
    }
}

impl TaskRow {
    fn of(TaskView { record, result: _, running }: &TaskView, labels: &Labels) -> Self {
        let TaskRecord { id, look, targets, state, attempts, holder, leased, ended, reason, .. } = record;
        let done = running.as_ref().map(|task| Percent::of(task.cells_done.into(), task.cells_total.into()));
        let name = |node: NodeId| labels.get(&node).cloned().unwrap_or_else(|| node.to_string());
        Self {
            id: *id,
            is_second_look: *look == Look::Second,
            targets: targets.to_string(),
            state: (*state).into(),
            why: reason.to_string(),
            node: holder.map(name).unwrap_or_default(),
            attempts: *attempts,
            progress: if *state == TaskState::Done { Some(Percent(100)) } else { done },
            leased: *leased,
            took: leased.zip(*ended).map(|(leased, ended)| ended.since(leased)),
        }
    }
}
