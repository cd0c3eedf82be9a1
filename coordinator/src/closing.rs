//! The path of one finished run: a second look where something seems gone, then coverage, delta, alerts, score, and one
//! commit that ends it.

mod ending;
mod facts;
#[cfg(test)]
mod tests;

use crate::analysis::delta::Candidates;
use crate::dispatch::second::second_look;
use crate::run::{Run, RunOutcome, RunState, TaskRecord};
use crate::store::tables::{OPEN_RUNS, RUNS, STAGED, STAGED_AGAIN, TASKS, UNCUT};
use crate::store::{Draft, Reads, Store, StoreError};
use ending::Ending;
use facts::Facts;
use protocol::Timestamp;
use protocol::task::RunId;
use protocol::text::Text;

/// What became of a run whose tasks had all ended.
#[derive(Clone, Debug)]
pub(crate) enum Closing {
    /// Something seems gone: these tasks look again.
    LooksAgain {
        /// As it stands now.
        run: Run,
        /// Stored, and waiting for a node.
        tasks: Vec<TaskRecord>,
    },
    /// It is over.
    Closed {
        /// As it stands now.
        run: Run,
        /// Whether alerts were raised, raised again or resolved.
        alerts_changed: bool,
    },
}

/// Moves a run on whose tasks have all ended. Each step is stored whole or not at all; done twice it does nothing.
///
/// A run that found more than one commit can hold fails, with that reason, and leaves what is known as it was.
pub(crate) async fn close(store: &Store, id: RunId, now: Timestamp) -> Result<Closing, StoreError> {
    match step(store, id, now).await {
        Err(error @ StoreError::TooLarge { .. }) => {
            let reason = Text::new(&error.to_string());
            store.update(move |draft| fail(draft, id, reason, now)).await
        }
        done => done,
    }
}

async fn step(store: &Store, id: RunId, now: Timestamp) -> Result<Closing, StoreError> {
    store
        .update(move |draft| {
            let Some(facts) = Facts::read(draft, id)? else {
                return Err(StoreError::Damaged { table: "runs", key: id.to_string() });
            };
            if facts.run.state.is_final() {
                return Ok(Closing::Closed { run: facts.run, alerts_changed: false });
            }
            let doubt = facts.in_doubt();
            if facts.run.state == RunState::Closing || (doubt.hosts.is_empty() && doubt.cells.is_empty()) {
                let ending = Ending::of(&facts, now);
                return match ending.excess() {
                    Some(reason) => fail(draft, id, reason, now),
                    None => ending.store(draft, facts, now),
                };
            }
            look_again(draft, facts, &doubt, now)
        })
        .await
}

/// Ends a run as failed, without a report.
fn fail(draft: &mut Draft, id: RunId, reason: Text, now: Timestamp) -> Result<Closing, StoreError> {
    let Some(mut run) = draft.get(&RUNS, &id)? else {
        return Err(StoreError::Damaged { table: "runs", key: id.to_string() });
    };
    drop_staged(draft, id)?;
    (run.state, run.ended) = (RunState::Failed, Some(now));
    run.outcome = Some(RunOutcome { hosts_up: 0, open_ports: 0, coverage_hundredths: 0, reason });
    draft.put(&RUNS, &id, &run)?;
    draft.remove(&OPEN_RUNS, &run.scan)?;
    Ok(Closing::Closed { run, alerts_changed: false })
}

/// Removes what a run that ends has left waiting.
pub(crate) fn drop_staged(draft: &mut Draft, run: RunId) -> Result<(), StoreError> {
    for table in [&STAGED, &STAGED_AGAIN] {
        let staged = draft.within(table, &run).map(|row| row.map(|(key, _)| key));
        for key in staged.collect::<Result<Vec<_>, _>>()? {
            draft.remove(table, &key)?;
        }
    }
    draft.remove(&UNCUT, &run)
}

/// Stores the tasks of a second look and says that the run is closing.
fn look_again(draft: &mut Draft, facts: Facts, doubt: &Candidates, now: Timestamp) -> Result<Closing, StoreError> {
    let Facts { mut run, tasks: first, .. } = facts;
    let tasks = second_look(&run, &first, doubt, now);
    run.tasks += u32::try_from(tasks.len()).unwrap_or(u32::MAX);
    run.state = RunState::Closing;
    for task in &tasks {
        draft.put(&TASKS, &task.id, task)?;
    }
    draft.put(&RUNS, &run.id, &run)?;
    Ok(Closing::LooksAgain { run, tasks })
}
