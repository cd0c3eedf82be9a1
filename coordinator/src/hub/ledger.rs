//! The steps of runs and tasks as they are stored: each whole or not at all, and only from the state it begins in.

use super::letters::Release;
use crate::run::{Run, RunState, Tally, TaskRecord, TaskState, Uncovered};
use crate::store::tables::{RUNS, TASKS, UNCUT};
use crate::store::{Draft, Reads, StoreError};
use protocol::task::{RunId, TaskId};
use protocol::{TargetSet, Timestamp};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// A run with what of it is still open.
pub(super) struct Found {
    pub(super) run: Run,
    /// Addresses in no task yet.
    pub(super) rest: TargetSet,
    pub(super) tasks: Vec<TaskRecord>,
}

/// Reads a run that has not ended; none while its document is being imported. Tasks that have ended stay in the store.
pub(super) fn open_run(reads: &impl Reads, id: RunId) -> Result<Option<Found>, StoreError> {
    let Some(run) = reads.get(&RUNS, &id)?.filter(|run| !run.is_being_imported()) else { return Ok(None) };
    let mut tasks = Vec::new();
    for row in reads.within(&TASKS, &id) {
        let (_, task) = row?;
        if !task.state.is_final() {
            tasks.push(task);
        }
    }
    let rest = match run.state {
        RunState::Queued => run.wanted(),
        RunState::Running
        | RunState::Closing
        | RunState::Completed
        | RunState::Partial
        | RunState::Failed
        | RunState::Cancelled => reads.get(&UNCUT, &id)?.unwrap_or_default(),
    };
    Ok(Some(Found { run, rest, tasks }))
}

/// Begins a queued run: all of it is still to be cut.
pub(super) fn begin(draft: &mut Draft, id: RunId, now: Timestamp) -> Result<Option<Run>, StoreError> {
    let Some(mut run) = draft.get(&RUNS, &id)?.filter(|run| run.state == RunState::Queued) else { return Ok(None) };
    (run.state, run.started) = (RunState::Running, Some(now));
    draft.put(&UNCUT, &id, &run.wanted())?;
    draft.put(&RUNS, &id, &run)?;
    Ok(Some(run))
}

/// Names what nobody will take of a run that is queued or running; nothing is left to cut then.
pub(super) fn name_rest(
    draft: &mut Draft,
    id: RunId,
    uncovered: Vec<Uncovered>,
    now: Timestamp,
) -> Result<Option<Run>, StoreError> {
    let begun = |run: &Run| matches!(run.state, RunState::Queued | RunState::Running);
    let Some(mut run) = draft.get(&RUNS, &id)?.filter(begun) else { return Ok(None) };
    run.state = RunState::Running;
    run.started = run.started.or(Some(now));
    run.uncovered = uncovered;
    draft.remove(&UNCUT, &id)?;
    draft.put(&RUNS, &id, &run)?;
    Ok(Some(run))
}

/// Keeps those of the leases that still fit: of runs that go on, and tasks that wait or are cut from the rest.
pub(super) fn grant(draft: &mut Draft, leased: Vec<TaskRecord>) -> Result<Vec<TaskRecord>, StoreError> {
    let mut runs: BTreeMap<RunId, (Run, TargetSet)> = BTreeMap::new();
    for id in leased.iter().map(|task| task.id.run) {
        if let Entry::Vacant(place) = runs.entry(id)
            && let Some(run) = draft.get(&RUNS, &id)?.filter(|run| !run.state.is_final())
        {
            place.insert((run, draft.get(&UNCUT, &id)?.unwrap_or_default()));
        }
    }
    let mut kept = Vec::new();
    for task in leased {
        let Some((run, rest)) = runs.get_mut(&task.id.run) else { continue };
        if task.id.index < run.tasks {
            let fits = |kept: TaskRecord| kept.state == TaskState::Waiting && kept.fence + 1 == task.fence;
            if !draft.get(&TASKS, &task.id)?.is_some_and(fits) {
                continue;
            }
        } else if task.id.index == run.tasks && rest.covers(&task.targets) {
            run.tasks += 1;
            *rest = rest.minus(&task.targets);
        } else {
            continue;
        }
        draft.put(&TASKS, &task.id, &task)?;
        kept.push(task);
    }
    for (id, (run, rest)) in &runs {
        put_rest(draft, *id, rest)?;
        draft.put(&RUNS, id, run)?;
    }
    Ok(kept)
}

fn put_rest(draft: &mut Draft, run: RunId, rest: &TargetSet) -> Result<(), StoreError> {
    if rest.is_empty() { draft.remove(&UNCUT, &run) } else { draft.put(&UNCUT, &run, rest) }
}

/// Takes a lease away; `None` when it was not in force any more.
pub(super) fn release(
    draft: &mut Draft,
    task: TaskId,
    fence: u64,
    release: Release,
    now: Timestamp,
) -> Result<Option<TaskRecord>, StoreError> {
    let held = |task: &TaskRecord| task.state == TaskState::Leased && task.fence == fence;
    let Some(mut record) = draft.get(&TASKS, &task)?.filter(held) else { return Ok(None) };
    match release {
        Release::Lost(reason) => record.lose_lease(reason, now),
        Release::Refused(reason) => record.refuse(reason, now),
    }
    Tally::count(draft, &record, 0)?;
    draft.put(&TASKS, &task, &record)?;
    Ok(Some(record))
}

/// Ends a task that waits, unless it was ended otherwise; the addresses of one that is cut anew go back into the rest.
pub(super) fn give_up(draft: &mut Draft, task: &TaskRecord) -> Result<bool, StoreError> {
    let waits = |kept: &TaskRecord| kept.state == TaskState::Waiting && kept.fence == task.fence;
    if !draft.get(&TASKS, &task.id)?.is_some_and(|kept| waits(&kept)) {
        return Ok(false);
    }
    if task.state == TaskState::Cancelled {
        let rest = draft.get(&UNCUT, &task.id.run)?.unwrap_or_default();
        put_rest(draft, task.id.run, &rest.union(&task.targets))?;
    }
    Tally::count(draft, task, 0)?;
    draft.put(&TASKS, &task.id, task)?;
    Ok(true)
}

#[cfg(test)]
mod tests;
