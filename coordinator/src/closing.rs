//! The path of one finished run: a second look where something seems gone, then coverage, delta, alerts, score, and one
//! commit that ends it.
//!
//! Known hosts and observations are read side by side, some at a time, outside the store's writer. What a host is from
//! now on is written beforehand, in pieces, as versions that nobody sees; the last commit makes them count together
//! with report, alerts, score and the end of the run. Whatever breaks off in between is done again from the start.

mod batch;
mod ending;
mod facts;
mod lookers;
mod pass;
mod settled;
mod survey;
mod sweep;
#[cfg(test)]
mod tests;

pub(crate) use sweep::sweep;

use crate::analysis::delta::Candidates;
use crate::dispatch::second::second_look;
use crate::report::MAX_LINES;
use crate::run::{Run, RunOutcome, RunState, TaskRecord};
use crate::store::tables::{OPEN_RUNS, RUNS, TASKS, UNCUT};
use crate::store::{Draft, Reads, Store, StoreError};
use ending::Ending;
use facts::Facts;
use protocol::Timestamp;
use protocol::task::RunId;
use protocol::text::Text;
use std::sync::Arc;
use survey::Survey;

/// How often a closing begins again because a person accepted changes or edited rules meanwhile, before it waits for the next
/// tick.
const MAX_ATTEMPTS: u32 = 8;

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

/// How much is held and written at a time.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Hosts and ports together, in one piece of work and in one commit.
    batch: usize,
    /// Lines of a report, of each kind.
    lines: usize,
    /// Lines in one row.
    part: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { batch: 8_192, lines: MAX_LINES, part: 2_000 }
    }
}

/// Moves a run on whose tasks have all ended. Broken off anywhere and done again it comes to the same end; done twice
/// it does nothing.
///
/// A run that found more than the store can hold fails, with that reason, and leaves what is known as it was.
///
/// # Errors
/// [`StoreError::Overtaken`] when people accepted changes or edited rules again and again meanwhile: try again later.
pub(crate) async fn close(store: &Store, id: RunId, now: Timestamp) -> Result<Closing, StoreError> {
    close_within(store, id, now, Bounds::default()).await
}

async fn close_within(store: &Store, id: RunId, now: Timestamp, bounds: Bounds) -> Result<Closing, StoreError> {
    sweep(store).await?;
    for _ in 0..MAX_ATTEMPTS {
        let stepped = match step(store, id, now, bounds).await {
            Err(error @ StoreError::TooLarge { .. }) => {
                let reason = Text::new(&error.to_string());
                Some(store.update(move |draft| fail(draft, id, reason, now)).await?)
            }
            stepped => stepped?,
        };
        match stepped {
            Some(Closing::Closed { run, alerts_changed }) => {
                sweep(store).await?;
                return Ok(Closing::Closed { run, alerts_changed });
            }
            Some(again @ Closing::LooksAgain { .. }) => return Ok(again),
            None => {}
        }
    }
    Err(StoreError::Overtaken)
}

/// One attempt; `None` when what it rests on changed meanwhile.
async fn step(store: &Store, id: RunId, now: Timestamp, bounds: Bounds) -> Result<Option<Closing>, StoreError> {
    let facts = Arc::new(store.read(move |view| Facts::read(view, id)).await?);
    if facts.run.state.is_final() {
        return Ok(Some(Closing::Closed { run: facts.run.clone(), alerts_changed: false }));
    }
    let shared = facts.clone();
    let survey = store.read(move |view| Survey::of(view, &shared, bounds.batch)).await?;
    if facts.may_look_again() && survey.is_in_doubt() {
        return store.update(move |draft| look_again(draft, &facts, &survey.doubt, now)).await;
    }
    match Ending::of(store, facts, survey, now, bounds).await? {
        Some(ending) => ending.store(store, now).await,
        None => Ok(None),
    }
}

/// Ends a run as failed, without a report, unless it has ended.
pub(crate) fn fail(draft: &mut Draft, id: RunId, reason: Text, now: Timestamp) -> Result<Closing, StoreError> {
    let mut run = read_run(draft, id)?;
    if !run.state.is_final() {
        (run.state, run.ended) = (RunState::Failed, Some(now));
        run.outcome = Some(RunOutcome { hosts_up: 0, open_ports: 0, coverage_hundredths: 0, reason });
        draft.remove(&UNCUT, &id)?;
        draft.put(&RUNS, &id, &run)?;
        draft.remove(&OPEN_RUNS, &run.scan)?;
    }
    Ok(Closing::Closed { run, alerts_changed: false })
}

fn read_run(reads: &impl Reads, id: RunId) -> Result<Run, StoreError> {
    reads.get(&RUNS, &id)?.ok_or_else(|| StoreError::Damaged { table: "runs", key: id.to_string() })
}

/// Stores the tasks of a second look and says that the run is closing.
fn look_again(
    draft: &mut Draft,
    facts: &Facts,
    doubt: &Candidates,
    now: Timestamp,
) -> Result<Option<Closing>, StoreError> {
    let mut run = read_run(draft, facts.run.id)?;
    if run != facts.run {
        return Ok(None);
    }
    let tasks = second_look(&run, &facts.tasks, doubt, now);
    run.tasks += u32::try_from(tasks.len()).unwrap_or(u32::MAX);
    run.state = RunState::Closing;
    for task in &tasks {
        draft.put(&TASKS, &task.id, task)?;
    }
    draft.put(&RUNS, &run.id, &run)?;
    Ok(Some(Closing::LooksAgain { run, tasks }))
}
