//! Runs: starting, seeing, watching.

use super::UseCaseError;
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::audit;
use crate::closing;
use crate::events::Event;
use crate::hub::Command;
use crate::intake::TaskCoverage;
use crate::run::{Look, Run, RunOutcome, RunState, TaskRecord, TaskState, Trigger};
use crate::store::tables::{OPEN_RUNS, RUNS, RUNS_OF_SCAN, SCANS, TASK_COVERAGE, TASKS};
use crate::store::{Draft, Reads, StoreError};
use protocol::Timestamp;
use protocol::message::RunningTask;
use protocol::task::{RunId, ScanId};
use protocol::text::Text;
use std::collections::BTreeMap;

/// The most runs that one list gives.
const MAX_LISTED: usize = 200;

/// A run with its tasks and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunView {
    /// The run.
    pub run: Run,
    /// Its tasks in order.
    pub tasks: Vec<TaskView>,
    /// How far it has come.
    pub progress: Progress,
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

/// How far a run has come, in addresses: settled tasks count whole, running ones by their share of cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Addresses settled.
    pub addresses_done: u64,
    /// Addresses wanted.
    pub addresses_total: u64,
    /// Hosts found up so far.
    pub hosts_found: u32,
}

impl Progress {
    /// Whole percent, rounded down.
    pub fn percent(&self) -> u8 {
        let share = self.addresses_done.saturating_mul(100).checked_div(self.addresses_total).unwrap_or(100);
        u8::try_from(share.min(100)).unwrap_or(100)
    }
}

/// Queues a run of `scan`, unless one has not ended.
pub(crate) fn queue(draft: &mut Draft, scan: ScanId, trigger: Trigger, now: Timestamp) -> Result<Run, UseCaseError> {
    let found = draft.get(&SCANS, &scan)?.ok_or_else(|| UseCaseError::no_scan(scan))?;
    if !found.active {
        return Err(UseCaseError::Conflict(format!("scan {scan} is deactivated; activate it first")));
    }
    if let Some(open) = draft.get(&OPEN_RUNS, &scan)? {
        return Err(UseCaseError::AlreadyRunning(open));
    }
    let id = RunId(draft.last(&RUNS)?.map_or(0, |(id, _)| id.0) + 1);
    let run = Run {
        id,
        scan,
        definition: found.definition,
        part: None,
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

    /// The latest runs, newest first, at most 200; of one scan or of all.
    pub async fn runs(&self, actor: &Actor, scan: Option<ScanId>) -> Result<Vec<Run>, UseCaseError> {
        actor.require(Right::Read)?;
        let read = move |view: &crate::store::View| match scan {
            None => view.iter(&RUNS).rev().take(MAX_LISTED).map(|row| row.map(|(_, run)| run)).collect(),
            Some(scan) => {
                let mut runs = Vec::new();
                for row in view.within(&RUNS_OF_SCAN, &scan).rev().take(MAX_LISTED) {
                    let ((_, id), ()) = row?;
                    runs.extend(view.get(&RUNS, &id)?);
                }
                Ok(runs)
            }
        };
        Ok(self.store().read(read).await?)
    }

    /// One run with its tasks.
    pub async fn run(&self, actor: &Actor, id: RunId) -> Result<RunView, UseCaseError> {
        actor.require(Right::Read)?;
        let found = self.store().read(move |view| read_run(view, id)).await?;
        let (run, tasks) = found.ok_or_else(|| UseCaseError::no_run(id))?;
        let mut running: BTreeMap<_, RunningTask> = BTreeMap::new();
        for (node, presence) in self.presences().all() {
            running.extend(presence.running.into_iter().map(|task| ((task.task, task.fence, node), task)));
        }
        let tasks: Vec<TaskView> = tasks
            .into_iter()
            .map(|(record, result)| {
                let holder = record.holder.filter(|_| record.state == TaskState::Leased);
                let running = holder.and_then(|holder| running.get(&(record.id, record.fence, holder)).cloned());
                TaskView { record, result, running }
            })
            .collect();
        let progress = progress(&run, &tasks);
        Ok(RunView { run, tasks, progress })
    }
}

fn cancel(draft: &mut Draft, id: RunId, by: &Text, now: Timestamp) -> Result<Run, UseCaseError> {
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
    run.state = RunState::Cancelled;
    run.ended = Some(now);
    let reason = Text::new(&format!("cancelled by {by}"));
    run.outcome = Some(RunOutcome { hosts_up: 0, open_ports: 0, coverage_hundredths: 0, reason });
    draft.put(&RUNS, &id, &run)?;
    draft.remove(&OPEN_RUNS, &run.scan)?;
    Ok(run)
}

type TaskRows = Vec<(TaskRecord, Option<TaskCoverage>)>;

fn read_run(reads: &impl Reads, id: RunId) -> Result<Option<(Run, TaskRows)>, StoreError> {
    let Some(run) = reads.get(&RUNS, &id)? else { return Ok(None) };
    let tasks = reads.within(&TASKS, &id).map(|row| {
        let (task, record) = row?;
        Ok((record, reads.get(&TASK_COVERAGE, &task)?))
    });
    Ok(Some((run, tasks.collect::<Result<_, StoreError>>()?)))
}

fn progress(run: &Run, tasks: &[TaskView]) -> Progress {
    let clamp = |count: u128| u64::try_from(count).unwrap_or(u64::MAX);
    let first = tasks.iter().filter(|task| task.record.look == Look::First);
    let done = first.map(|task| {
        let addresses = clamp(task.record.targets.count());
        match &task.running {
            _ if task.record.state.is_final() => addresses,
            Some(running) => addresses
                .saturating_mul(running.cells_done.min(running.cells_total))
                .checked_div(running.cells_total)
                .unwrap_or(0),
            None => 0,
        }
    });
    let found = tasks.iter().map(|task| task.running.as_ref().map_or(0, |running| running.hosts_found));
    let nobody = run.uncovered.iter().map(|part| clamp(part.targets.count())).fold(0, u64::saturating_add);
    let is_over = run.state.is_final();
    let total = clamp(run.wanted().count());
    let settled = done.fold(0, u64::saturating_add).saturating_add(if run.started.is_some() { nobody } else { 0 });
    Progress {
        addresses_done: if is_over { total } else { settled.min(total) },
        addresses_total: total,
        hosts_found: run
            .outcome
            .as_ref()
            .map_or_else(|| found.fold(0, u32::saturating_add), |outcome| outcome.hosts_up),
    }
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
