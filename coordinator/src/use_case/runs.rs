//! Runs: starting, seeing, watching, stopping, and making up for what was missed.

mod progress;

pub use progress::{MAX_TASKS_SHOWN, NodeProgress, Phase, Progress};

use super::UseCaseError;
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::audit;
use crate::closing;
use crate::events::Event;
use crate::hub::Command;
use crate::intake::TaskCoverage;
use crate::run::{Run, RunOutcome, RunState, TaskRecord, TaskState, Trigger};
use crate::store::tables::{OPEN_RUNS, RUN_FLOOR, RUNS, RUNS_OF_SCAN, SCANS, TASKS, UNCUT};
use crate::store::{Draft, Reads, StoreError};
use protocol::message::RunningTask;
use protocol::task::{RunId, ScanId, TaskId};
use protocol::text::Text;
use protocol::{TargetSet, Timestamp};

/// The most runs that one list gives.
const MAX_LISTED: usize = 200;

/// A run with its tasks and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunView {
    /// The run.
    pub run: Run,
    /// Its newest tasks in order, at most [`MAX_TASKS_SHOWN`].
    pub tasks: Vec<TaskView>,
    /// How far it has come.
    pub progress: Progress,
}

/// Which runs are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunFilter {
    /// Only of this scan.
    pub scan: Option<ScanId>,
    /// Only in this state.
    pub state: Option<RunState>,
}

/// Which page of a list of runs or reports, newest first.
#[derive(Clone, Copy, Debug)]
pub struct RunPage {
    /// Only what is older than this run.
    pub before: Option<RunId>,
    /// At most so many.
    pub limit: usize,
}

/// A task with what its holder last said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskView {
    /// As kept.
    pub record: TaskRecord,
    /// What was looked at, once there is a result.
    pub result: Option<TaskCoverage>,
    /// Progress, while it runs.
    pub running: Option<RunningTask>,
}

/// Queues a run of `scan`, unless one has not ended.
pub(crate) fn queue(draft: &mut Draft, scan: ScanId, trigger: Trigger, now: Timestamp) -> Result<Run, UseCaseError> {
    queue_part(draft, scan, None, trigger, now)
}

fn queue_part(
    draft: &mut Draft,
    scan: ScanId,
    part: Option<TargetSet>,
    trigger: Trigger,
    now: Timestamp,
) -> Result<Run, UseCaseError> {
    draft.room_for_work()?;
    let found = draft.get(&SCANS, &scan)?.ok_or_else(|| UseCaseError::no_scan(scan))?;
    if !found.active {
        return Err(UseCaseError::Conflict(format!("scan {scan} is deactivated; activate it first")));
    }
    if let Some(open) = draft.get(&OPEN_RUNS, &scan)? {
        return Err(UseCaseError::AlreadyRunning(open));
    }
    let last = draft.last(&RUNS)?.map_or(0, |(id, _)| id.0);
    let id = RunId(draft.get(&RUN_FLOOR, &())?.unwrap_or(0).max(last) + 1);
    let run = Run {
        id,
        scan,
        definition: found.definition,
        part,
        state: RunState::Queued,
        trigger,
        created: now,
        started: None,
        ended: None,
        tasks: 0,
        uncovered: Vec::new(),
        outcome: None,
    };
    draft.put(&RUNS, &id, &run)?;
    draft.put(&RUNS_OF_SCAN, &(scan, id), &())?;
    draft.put(&OPEN_RUNS, &scan, &id)?;
    Ok(run)
}

impl Coordinator {
    /// Runs a scan now. Refused while a run of it has not ended.
    pub async fn start_run(&self, actor: &Actor, scan: ScanId) -> Result<Run, UseCaseError> {
        actor.require(Right::Operate)?;
        let (now, who) = (Timestamp::now(), actor.clone());
        let run = self
            .store()
            .update(move |draft| {
                audit::note(draft, &who, "scan run", &scan.to_string(), now)?;
                queue(draft, scan, Trigger::Person(who.name), now)
            })
            .await?;
        self.events().publish(Event::Run { run: run.id, scan, state: run.state });
        self.hub().tell(Command::Wake).await;
        Ok(run)
    }

    /// Stops a run for good: its tasks end where they are, and no report is made of what was found.
    pub async fn cancel_run(&self, actor: &Actor, id: RunId) -> Result<Run, UseCaseError> {
        actor.require(Right::Operate)?;
        let (now, who) = (Timestamp::now(), actor.clone());
        let run = self
            .store()
            .update(move |draft| {
                audit::note(draft, &who, "run cancel", &id.to_string(), now)?;
                cancel(draft, id, &who.name, now)
            })
            .await?;
        self.hub().tell(Command::Cancelled(id)).await;
        if let Err(error) = closing::sweep(self.store()).await {
            tracing::warn!(%error, run.id = %id, "what a cancelled run found is still stored; the next closing removes it");
        }
        self.events().publish(Event::Run { run: id, scan: run.scan, state: run.state });
        Ok(run)
    }

    /// Runs again what `id` missed, and only that. Refused unless it ended as partial or failed and misses something
    /// that its scan still wants, and while a run of the scan has not ended.
    pub async fn retry_missing(&self, actor: &Actor, id: RunId) -> Result<Run, UseCaseError> {
        actor.require(Right::Operate)?;
        let (now, who) = (Timestamp::now(), actor.clone());
        let run = self
            .store()
            .update(move |draft| {
                audit::note(draft, &who, "run retry-missing", &id.to_string(), now)?;
                queue_missing(draft, id, who.name, now)
            })
            .await?;
        self.events().publish(Event::Run { run: run.id, scan: run.scan, state: run.state });
        self.hub().tell(Command::Wake).await;
        Ok(run)
    }

    /// The latest runs, newest first, at most 200; of one scan or of all.
    pub async fn runs(&self, actor: &Actor, scan: Option<ScanId>) -> Result<Vec<Run>, UseCaseError> {
        let page = RunPage { before: None, limit: MAX_LISTED };
        self.find_runs(actor, RunFilter { scan, state: None }, page).await
    }

    /// A page of the runs that are wanted, newest first.
    pub async fn find_runs(&self, actor: &Actor, filter: RunFilter, page: RunPage) -> Result<Vec<Run>, UseCaseError> {
        actor.require(Right::Read)?;
        Ok(self.store().read(move |view| find(view, filter, page)).await?)
    }

    /// One run with its newest tasks and how far it has come.
    pub async fn run(&self, actor: &Actor, id: RunId) -> Result<RunView, UseCaseError> {
        actor.require(Right::Read)?;
        let presences = self.presences().all();
        let said = progress::said_of(id, &presences);
        let found = self.store().read(move |view| progress::read(view, id, said)).await?;
        let rows = found.ok_or_else(|| UseCaseError::no_run(id))?;
        Ok(rows.view(&presences, self.timing().offline_after, Timestamp::now()))
    }

    /// The tasks of a run in order, at most [`MAX_TASKS_SHOWN`] from number `first` on.
    pub async fn run_tasks(&self, actor: &Actor, id: RunId, first: u32) -> Result<Vec<TaskRecord>, UseCaseError> {
        actor.require(Right::Read)?;
        let found = self.store().read(move |view| tasks_from(view, id, first)).await?;
        found.ok_or_else(|| UseCaseError::no_run(id))
    }
}

/// Ends a run and its tasks where they are.
pub(crate) fn cancel(draft: &mut Draft, id: RunId, by: &Text, now: Timestamp) -> Result<Run, UseCaseError> {
    let mut run = draft.get(&RUNS, &id)?.ok_or_else(|| UseCaseError::no_run(id))?;
    if run.state.is_final() {
        return Err(UseCaseError::Conflict(format!("run {id} has ended already; it is {}", run.state.name())));
    }
    let tasks: Vec<TaskRecord> =
        draft.within(&TASKS, &id).map(|row| row.map(|(_, task)| task)).collect::<Result<_, _>>()?;
    for mut task in tasks.into_iter().filter(|task| !task.state.is_final()) {
        (task.state, task.ended) = (TaskState::Cancelled, Some(now));
        draft.put(&TASKS, &task.id.clone(), &task)?;
    }
    draft.remove(&UNCUT, &id)?;
    run.state = RunState::Cancelled;
    run.ended = Some(now);
    let reason = Text::new(&format!("cancelled by {by}"));
    run.outcome = Some(RunOutcome { hosts_up: 0, open_ports: 0, coverage_hundredths: 0, reason });
    draft.put(&RUNS, &id, &run)?;
    draft.remove(&OPEN_RUNS, &run.scan)?;
    Ok(run)
}

fn queue_missing(draft: &mut Draft, id: RunId, by: Text, now: Timestamp) -> Result<Run, UseCaseError> {
    let run = draft.get(&RUNS, &id)?.ok_or_else(|| UseCaseError::no_run(id))?;
    if !matches!(run.state, RunState::Partial | RunState::Failed) {
        let state = run.state.name();
        let reason = format!("run {id} is {state}; only what a partial or failed run missed can be run again");
        return Err(UseCaseError::Conflict(reason));
    }
    let scan = draft.get(&SCANS, &run.scan)?.ok_or_else(|| UseCaseError::no_scan(run.scan))?;
    let missing = run.missing().intersection(&scan.definition.wanted());
    if missing.is_empty() {
        let scan = run.scan;
        let reason =
            format!("run {id} missed nothing that the scan still wants; `portdrift scans run {scan}` runs all");
        return Err(UseCaseError::Conflict(reason));
    }
    queue_part(draft, run.scan, Some(missing), Trigger::Missing { of: id, by }, now)
}

fn find(
    reads: &impl Reads,
    RunFilter { scan, state }: RunFilter,
    RunPage { before, limit }: RunPage,
) -> Result<Vec<Run>, StoreError> {
    let (wanted, before) =
        (|run: &Run| state.is_none_or(|state| run.state == state), before.unwrap_or(RunId(u64::MAX)));
    let mut runs = Vec::new();
    match scan {
        None => {
            for row in reads.iter(&RUNS).before(&before).rev() {
                runs.extend(Some(row?.1).filter(wanted));
                if runs.len() >= limit {
                    break;
                }
            }
        }
        Some(scan) => {
            for row in reads.within(&RUNS_OF_SCAN, &scan).before(&(scan, before)).rev() {
                let ((_, id), ()) = row?;
                runs.extend(reads.get(&RUNS, &id)?.filter(wanted));
                if runs.len() >= limit {
                    break;
                }
            }
        }
    }
    Ok(runs)
}

fn tasks_from(reads: &impl Reads, id: RunId, first: u32) -> Result<Option<Vec<TaskRecord>>, StoreError> {
    let Some(run) = reads.get(&RUNS, &id)? else { return Ok(None) };
    let last = first.saturating_add(u32::try_from(MAX_TASKS_SHOWN).unwrap_or(u32::MAX)).min(run.tasks);
    let mut tasks = Vec::new();
    for index in first..last {
        tasks.extend(reads.get(&TASKS, &TaskId { run: id, index })?);
    }
    Ok(Some(tasks))
}

/// Who or what asked for a run, in words.
pub fn trigger_words(trigger: &Trigger) -> Text {
    match trigger {
        Trigger::Person(name) => name.clone(),
        Trigger::Schedule => "schedule".into(),
        Trigger::Missing { of, by } => Text::new(&format!("{by}, for what run {of} missed")),
        Trigger::Import { by, .. } => Text::new(&format!("{by}, from a document")),
    }
}

#[cfg(test)]
mod tests;
