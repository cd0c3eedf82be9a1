//! Runs: single executions of a scan, as they go and as they ended.

use super::paging::{Cursor, Listed};
use super::{Params, Uncovered};
use crate::App;
use crate::error::WebError;
use crate::session::Caller;
use axum::Json;
use axum::extract::{Path, Query, State};
use coordinator::run::{Look, Run, RunOutcome, TaskRecord, UnknownRunState};
use coordinator::{RunFilter, RunView, TaskView, UseCaseError, trigger_words};
use protocol::task::{RunId, ScanId};
use protocol::{Fingerprint, PortSet, TargetSet, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A run without its tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunSummary {
    /// Its number, which is also its report's.
    #[schema(value_type = u64)]
    pub id: RunId,
    /// Of which scan.
    #[schema(value_type = u64)]
    pub scan: ScanId,
    /// The scan's name when it was started.
    pub scan_name: String,
    /// `queued`, `running`, `closing`, `completed`, `partial`, `failed`, `cancelled`.
    pub state: String,
    /// Whether nothing will change any more.
    pub ended: bool,
    /// Who asked for it; `schedule` for its schedule.
    pub trigger: String,
    /// The addresses that it makes up for; absent for a run of the whole scan.
    #[schema(value_type = Option<String>)]
    pub part: Option<TargetSet>,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was planned.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
    /// Share of the wanted addresses that were settled, in percent; once it ended.
    pub coverage_percent: Option<f64>,
    /// Hosts found up; once it ended.
    pub hosts_up: Option<u32>,
    /// Open ports found; once it ended.
    pub open_ports: Option<u32>,
    /// Why it is partial, failed or cancelled.
    pub reason: Option<String>,
    /// Addresses that nobody looked at.
    pub uncovered: Vec<Uncovered>,
}

/// A run with its tasks and how far it has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunDetail {
    /// The run.
    #[serde(flatten)]
    pub run: RunSummary,
    /// How far it has come.
    pub progress: Progress,
    /// How many tasks were cut so far.
    pub tasks_cut: u32,
    /// The newest of them in order, at most 2,000; `/tasks` has them all.
    pub tasks: Vec<Task>,
}

/// How far a run has come, in addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// `queued`, `scanning`, `confirming`, `reporting`, `ended`.
    pub phase: String,
    /// Addresses settled.
    pub addresses_done: u64,
    /// Addresses wanted.
    pub addresses_total: u64,
    /// Whole percent, rounded down.
    pub percent: u8,
    /// Hosts found up so far.
    pub hosts_found: u32,
    /// Since it was begun, until now or its end.
    pub elapsed_seconds: u64,
    /// What the first look still takes at the pace so far; absent before a tenth is done.
    pub left_seconds: Option<u64>,
    /// What each node has done and does.
    pub nodes: Vec<NodeProgress>,
}

/// What one node has done of a run, and does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeProgress {
    /// Its key.
    #[schema(value_type = String)]
    pub node: Fingerprint,
    /// What people call it.
    pub label: String,
    /// Tasks in its hands.
    pub tasks_running: u32,
    /// Tasks that it ended with a result.
    pub tasks_done: u32,
    /// Tasks that failed in its hands.
    pub tasks_failed: u32,
    /// Addresses settled.
    pub addresses_done: u64,
    /// Hosts found up so far.
    pub hosts_found: u32,
    /// The last word from it since the coordinator started.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_heard_at: Option<Timestamp>,
    /// For how long there was no word from it, when it holds tasks and ought to have been heard.
    pub silent_seconds: Option<u64>,
}

/// A piece of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Task {
    /// `run.index`
    pub id: String,
    /// Whether it makes sure of what seemed to be gone.
    pub second_look: bool,
    /// Its addresses.
    #[schema(value_type = String)]
    pub targets: TargetSet,
    /// The only ports that it looks at; absent for those of the run.
    #[schema(value_type = Option<String>)]
    pub ports: Option<PortSet>,
    /// `waiting`, `leased`, `done`, `partial`, `failed`, `cancelled`.
    pub state: String,
    /// Who holds or held it last.
    #[schema(value_type = Option<String>)]
    pub node: Option<Fingerprint>,
    /// Leases given so far.
    pub attempts: u32,
    /// Start of the latest lease.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub leased_at: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
    /// Why the latest attempt did not end well.
    pub reason: Option<String>,
    /// Cells settled so far, while it runs.
    pub cells_done: Option<u64>,
    /// Cells in all, while it runs.
    pub cells_total: Option<u64>,
}

/// Which runs.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Only of this scan.
    #[serde(default)]
    #[param(value_type = Option<u64>)]
    scan: Option<ScanId>,
    /// Only in this state.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    state: Option<String>,
}

/// From which task on.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct FirstTask {
    /// The number of the first one, counted from 0.
    #[serde(default)]
    first: u32,
}

fn told(text: protocol::text::Text) -> Option<String> {
    Some(String::from(text)).filter(|text| !text.is_empty())
}

/// Hundredths of a percent as percent.
pub(crate) fn percent(hundredths: u32) -> f64 {
    f64::from(hundredths) / 100.0
}

impl From<Run> for RunSummary {
    fn from(run: Run) -> Self {
        let Run { id, scan, definition, state, trigger, created, started, ended, tasks: _, uncovered, outcome, part } =
            run;
        let (coverage, hosts_up, open_ports, reason) = match outcome {
            None => (None, None, None, None),
            Some(RunOutcome { hosts_up, open_ports, coverage_hundredths, reason }) => {
                (Some(percent(coverage_hundredths)), Some(hosts_up), Some(open_ports), told(reason))
            }
        };
        Self {
            id,
            scan,
            scan_name: definition.name().to_string(),
            state: state.name().to_owned(),
            ended: state.is_final(),
            trigger: trigger_words(&trigger).into(),
            part,
            created_at: created,
            started_at: started,
            ended_at: ended,
            coverage_percent: coverage,
            hosts_up,
            open_ports,
            reason,
            uncovered: uncovered.into_iter().map(Uncovered::from).collect(),
        }
    }
}

impl From<coordinator::Progress> for Progress {
    fn from(progress: coordinator::Progress) -> Self {
        let percent = progress.percent();
        let coordinator::Progress { phase, addresses_done, addresses_total, hosts_found, elapsed, left, nodes } =
            progress;
        Self {
            phase: phase.name().to_owned(),
            addresses_done,
            addresses_total,
            percent,
            hosts_found,
            elapsed_seconds: elapsed.as_secs(),
            left_seconds: left.map(|left| left.as_secs()),
            nodes: nodes.into_iter().map(NodeProgress::from).collect(),
        }
    }
}

impl From<coordinator::NodeProgress> for NodeProgress {
    fn from(progress: coordinator::NodeProgress) -> Self {
        let coordinator::NodeProgress {
            node,
            label,
            running,
            done,
            failed,
            addresses_done,
            hosts_found,
            last_heard,
            silent_for,
        } = progress;
        Self {
            node: node.fingerprint(),
            label: label.into(),
            tasks_running: running,
            tasks_done: done,
            tasks_failed: failed,
            addresses_done,
            hosts_found,
            last_heard_at: last_heard,
            silent_seconds: silent_for.map(|silent| silent.as_secs()),
        }
    }
}

impl From<TaskView> for Task {
    fn from(TaskView { record, result: _, running }: TaskView) -> Self {
        Self {
            cells_done: running.as_ref().map(|task| task.cells_done),
            cells_total: running.as_ref().map(|task| task.cells_total),
            ..record.into()
        }
    }
}

impl From<TaskRecord> for Task {
    fn from(record: TaskRecord) -> Self {
        let TaskRecord {
            id,
            look,
            created: _,
            targets,
            ports,
            refused: _,
            avoid: _,
            state,
            fence: _,
            attempts,
            holder,
            leased,
            ended,
            reason,
            gap: _,
        } = record;
        Self {
            second_look: look == Look::Second,
            id: id.to_string(),
            targets,
            ports,
            state: state.name().to_owned(),
            node: holder.map(|node| node.fingerprint()),
            attempts,
            leased_at: leased,
            ended_at: ended,
            reason: told(reason),
            cells_done: None,
            cells_total: None,
        }
    }
}

impl From<RunView> for RunDetail {
    fn from(RunView { run, tasks, progress }: RunView) -> Self {
        Self {
            tasks_cut: run.tasks,
            run: run.into(),
            progress: progress.into(),
            tasks: tasks.into_iter().map(Task::from).collect(),
        }
    }
}

/// Runs, newest first.
#[utoipa::path(get, path = "/api/v1/runs", tag = "runs", params(Which, Cursor), responses((status = 200, body = Vec<RunSummary>)))]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Params(Which { scan, state }): Params<Which>,
    cursor: Cursor,
) -> Result<Listed<RunSummary>, WebError> {
    let state = state
        .map(|word| word.parse())
        .transpose()
        .map_err(|error: UnknownRunState| UseCaseError::Invalid { field: "state", reason: error.to_string() })?;
    let runs = app.coordinator.find_runs(&actor, RunFilter { scan, state }, cursor.older()?).await?;
    Ok(cursor.listed(runs.into_iter().map(RunSummary::from).collect(), |run| run.id.to_string()))
}

/// One run with its tasks and progress.
#[utoipa::path(get, path = "/api/v1/runs/{run}", tag = "runs", params(("run" = u64, Path)), responses((status = 200, body = RunDetail)))]
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(run): Path<RunId>,
) -> Result<Json<RunDetail>, WebError> {
    Ok(Json(app.coordinator.run(&actor, run).await?.into()))
}

/// Stops a run for good; no report is made of what it found.
#[utoipa::path(post, path = "/api/v1/runs/{run}/cancel", tag = "runs", params(("run" = u64, Path)), responses((status = 200, body = RunSummary)))]
pub(crate) async fn cancel(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(run): Path<RunId>,
) -> Result<Json<RunSummary>, WebError> {
    Ok(Json(app.coordinator.cancel_run(&actor, run).await?.into()))
}

/// Runs again what a partial or failed run missed, and only that.
#[utoipa::path(post, path = "/api/v1/runs/{run}/retry-missing", tag = "runs", params(("run" = u64, Path)), responses((status = 200, body = RunSummary)))]
pub(crate) async fn retry_missing(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(run): Path<RunId>,
) -> Result<Json<RunSummary>, WebError> {
    Ok(Json(app.coordinator.retry_missing(&actor, run).await?.into()))
}

/// The tasks of a run in order, at most 2,000 from number `first` on.
#[utoipa::path(get, path = "/api/v1/runs/{run}/tasks", tag = "runs", params(("run" = u64, Path), FirstTask), responses((status = 200, body = Vec<Task>)))]
pub(crate) async fn tasks(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(run): Path<RunId>,
    Query(FirstTask { first }): Query<FirstTask>,
) -> Result<Json<Vec<Task>>, WebError> {
    let tasks = app.coordinator.run_tasks(&actor, run, first).await?;
    Ok(Json(tasks.into_iter().map(Task::from).collect()))
}
