//! Retention: how long runs are kept, and how one is removed so that no other run and no later report tells the
//! difference.
//!
//! First nobody sees the run any more; then its tasks and lines go, and what its versions of hosts say passes on to the
//! next run that is kept; last goes what made them count. Broken off anywhere, the next pass goes on.

mod fold;
#[cfg(test)]
mod tests;

use crate::audit;
use crate::events::{Event, EventBus};
use crate::run::Run;
use crate::store::tables::{
    REPORT_PARTS, REPORT_SUMMARIES, REPORTS, RETENTION, RETENTION_OF_SCAN, RETIRED, RUN_FLOOR, RUN_LOOKS, RUNS,
    RUNS_OF_SCAN, SCANS, TALLIES, TASK_COVERAGE, TASKS, UNCUT,
};
use crate::store::{Draft, Key, PrefixOf, Reads, Store, StoreError, Table};
use protocol::Timestamp;
use protocol::codec::{Decode, Encode};
use protocol::task::{RunId, ScanId};
use std::collections::BTreeSet;
use std::time::Duration;

/// The fewest runs that can be asked for: the newest, and the one that it is compared with, are always kept.
pub const MIN_RUNS: u32 = 2;
/// The most.
pub const MAX_RUNS: u32 = 100_000;
/// The most days: a hundred years.
pub const MAX_DAYS: u32 = 36_500;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long the runs of a scan are kept: both are upper limits, and none means no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Retention {
    /// At most so many runs, the latest ones.
    pub runs: Option<u32>,
    /// None that ended longer ago than so many days.
    pub days: Option<u32>,
}

impl Default for Retention {
    /// A year.
    fn default() -> Self {
        Self { runs: None, days: Some(365) }
    }
}

/// A limit is out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RetentionError {
    /// The number of runs.
    #[error("{0} runs cannot be kept; write {MIN_RUNS} to {MAX_RUNS}, or nothing for no limit")]
    Runs(u32),
    /// The number of days.
    #[error("runs cannot be kept for {0} days; write 1 to {MAX_DAYS}, or nothing for no limit")]
    Days(u32),
}

impl Retention {
    /// Itself, if its limits can be kept.
    pub(crate) fn checked(self) -> Result<Self, RetentionError> {
        match self {
            Self { runs: Some(runs), .. } if !(MIN_RUNS..=MAX_RUNS).contains(&runs) => Err(RetentionError::Runs(runs)),
            Self { days: Some(days), .. } if !(1..=MAX_DAYS).contains(&days) => Err(RetentionError::Days(days)),
            checked => Ok(checked),
        }
    }

    /// Both limits in words.
    pub fn words(self) -> String {
        let plural = |count: u32, noun: &str| if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") };
        match (self.runs, self.days) {
            (None, None) => "for ever".to_owned(),
            (Some(runs), None) => format!("the latest {}", plural(runs, "run")),
            (None, Some(days)) => plural(days, "day"),
            (Some(runs), Some(days)) => format!("the latest {}, {} at most", plural(runs, "run"), plural(days, "day")),
        }
    }
}

/// How long runs are kept where a scan does not say otherwise.
pub(crate) fn default_in_force(reads: &impl Reads) -> Result<Retention, StoreError> {
    Ok(reads.get(&RETENTION, &())?.unwrap_or_default())
}

/// How long the runs of this scan are kept.
pub(crate) fn in_force(reads: &impl Reads, scan: ScanId) -> Result<Retention, StoreError> {
    reads.get(&RETENTION_OF_SCAN, &scan)?.map_or_else(|| default_in_force(reads), Ok)
}

/// A run that has ended, as far as it matters here.
#[derive(Clone, Copy, Debug)]
struct Ended {
    run: RunId,
    at: Timestamp,
    /// It has a report, compared with that of this run, if any.
    report: Option<Option<RunId>>,
    /// It says something of a part of its network only.
    is_of_part: bool,
}

/// Those of a scan's ended runs, oldest first, that are not to be kept.
///
/// The latest report stays whatever its age, with the one that it was compared with, and the latest over the whole
/// network; so do all reports since the oldest of these, since they tell what has changed after it.
fn expired(ended: &[Ended], retention: Retention, now: Timestamp) -> Vec<RunId> {
    let latest = ended.iter().rev().find(|run| run.report.is_some());
    let whole = ended.iter().rev().find(|run| run.report.is_some() && !run.is_of_part);
    let baseline = latest.and_then(|run| run.report.flatten());
    let first_kept = [latest.map(|run| run.run), whole.map(|run| run.run), baseline].into_iter().flatten().min();
    let beyond =
        retention.runs.map_or(0, |runs| ended.len().saturating_sub(usize::try_from(runs).unwrap_or(usize::MAX)));
    let is_old = |run: &Ended| retention.days.is_some_and(|days| now.since(run.at) > DAY * days);
    let is_free = |run: &Ended| run.report.is_none() || first_kept.is_some_and(|first| run.run < first);
    let places = ended.iter().enumerate();
    let gone = places.filter(|(place, run)| (*place < beyond || is_old(run)) && is_free(run));
    gone.map(|(_, run)| run.run).collect()
}

/// Removes the runs of all scans that are not to be kept. Gives how many are gone.
///
/// # Errors
/// When the store fails; what was removed until then stays removed.
pub(crate) async fn enforce(store: &Store, events: &EventBus, now: Timestamp) -> Result<u64, StoreError> {
    let scans: Vec<ScanId> = store.read(|view| view.iter(&SCANS).map(|row| Ok(row?.0)).collect()).await?;
    let mut removed = 0;
    for scan in scans {
        let gone = enforce_on(store, scan, now, PIECE).await?;
        if gone > 0 {
            tracing::info!(scan.id = %scan, runs = gone, "runs that are not to be kept are removed");
            events.publish(Event::Alerts { scan });
        }
        removed += gone;
    }
    Ok(removed)
}

/// How many rows one commit changes.
const PIECE: usize = 2_000;

async fn enforce_on(store: &Store, scan: ScanId, now: Timestamp, piece: usize) -> Result<u64, StoreError> {
    let due = store.read(move |view| expired_of(view, scan, now)).await?;
    for runs in due.chunks(piece) {
        let runs = runs.to_vec();
        store.update(move |draft| hide(draft, scan, &runs, now)).await?;
    }
    let rows = store.read(move |view| view.within(&RETIRED, &scan).map(|row| Ok(row?.0.1)).collect());
    let retired: BTreeSet<RunId> = rows.await?;
    if retired.is_empty() {
        return Ok(0);
    }
    for run in &retired {
        clear(store, &TASKS, *run, piece).await?;
        clear(store, &TASK_COVERAGE, *run, piece).await?;
        clear(store, &TALLIES, *run, piece).await?;
        clear(store, &REPORT_PARTS, *run, piece).await?;
    }
    fold::fold(store, scan, &retired, piece).await?;
    let gone: Vec<RunId> = retired.into_iter().collect();
    for runs in gone.chunks(piece) {
        let runs = runs.to_vec();
        store.update(move |draft| runs.iter().try_for_each(|run| forget(draft, scan, *run))).await?;
    }
    Ok(gone.len() as u64)
}

fn expired_of(reads: &impl Reads, scan: ScanId, now: Timestamp) -> Result<Vec<RunId>, StoreError> {
    let retention = in_force(reads, scan)?;
    let mut ended = Vec::new();
    for row in reads.within(&RUNS_OF_SCAN, &scan) {
        let ((_, run), ()) = row?;
        let Some(found) = reads.get(&RUNS, &run)?.filter(|run| run.state.is_final()) else { continue };
        let report = reads.get(&REPORT_SUMMARIES, &run)?.map(|summary| summary.baseline);
        ended.push(ended_run(&found, report));
    }
    Ok(expired(&ended, retention, now))
}

fn ended_run(run: &Run, report: Option<Option<RunId>>) -> Ended {
    Ended { run: run.id, at: run.ended.unwrap_or(run.created), report, is_of_part: run.is_of_part() }
}

/// From here on nobody sees these runs; hosts and later reports still rest on what they say.
fn hide(draft: &mut Draft, scan: ScanId, runs: &[RunId], now: Timestamp) -> Result<(), StoreError> {
    for run in runs {
        draft.put(&RETIRED, &(scan, *run), &())?;
        draft.remove(&RUNS, run)?;
        draft.remove(&UNCUT, run)?;
        draft.remove(&REPORTS, run)?;
        draft.remove(&REPORT_SUMMARIES, run)?;
    }
    let (first, last) = (runs.first(), runs.last());
    // No other run ever gets the number of one that is gone.
    let floor = draft.get(&RUN_FLOOR, &())?.unwrap_or(0);
    if let Some(last) = last.filter(|last| last.0 > floor) {
        draft.put(&RUN_FLOOR, &(), &last.0)?;
    }
    let span = first.zip(last).map_or_else(String::new, |(first, last)| format!(", numbers {first} to {last}"));
    let subject = format!("scan {scan}: {} by retention{span}", runs.len());
    audit::note(draft, &audit::retention(), "run remove", &subject, now)
}

/// Nothing rests on this run any more.
fn forget(draft: &mut Draft, scan: ScanId, run: RunId) -> Result<(), StoreError> {
    draft.remove(&RUN_LOOKS, &run)?;
    draft.remove(&RUNS_OF_SCAN, &(scan, run))?;
    draft.remove(&RETIRED, &(scan, run))
}

/// Removes the rows of a run from a table, some at a time.
async fn clear<K, V>(store: &Store, table: &'static Table<K, V>, run: RunId, piece: usize) -> Result<(), StoreError>
where
    K: Key + Send + 'static,
    V: 'static,
    RunId: PrefixOf<K>,
{
    loop {
        let found = move |view: &crate::store::View| {
            let rows = view.within(table, &run).unread();
            rows.take(piece).map(|row| Ok(row?.key)).collect::<Result<Vec<K>, StoreError>>()
        };
        let keys = store.read(found).await?;
        if keys.is_empty() {
            return Ok(());
        }
        store.update(move |draft| keys.iter().try_for_each(|key| draft.remove(table, key))).await?;
    }
}
