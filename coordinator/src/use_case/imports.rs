//! Documents of other scanners as runs (SPEC E4): nmap's XML, and what speaks its dialect.
//!
//! A document becomes a run with one finished task for each way in which it looked. It claims only what it proves (see
//! `protocol::nmap_xml::coverage`), and only for addresses that its scan wants. The rows are stored first, in commits of
//! bounded size, and the run is opened with the last one; from there the hub closes it like any other. A run whose rows
//! were cut short stands as failed.

mod document;
#[cfg(test)]
mod tests;

use super::UseCaseError;
use super::runs::queue;
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::audit;
use crate::closing;
use crate::events::Event;
use crate::hub::Command;
use crate::intake::TaskCoverage;
use crate::run::{Look, Run, RunOutcome, RunState, TaskRecord, TaskState, Trigger, Uncovered, UncoveredReason};
use crate::store::tables::{OPEN_RUNS, RUNS, RUNS_OF_SCAN, SCANS, STAGED, TASK_COVERAGE, TASKS};
use crate::store::{Draft, Reads, Store, StoreError};
use document::Document;
use protocol::observation::{Coverage, HostObservation};
use protocol::task::{RunId, ScanId, TaskId};
use protocol::text::Text;
use protocol::{NodeId, TargetSet, Timestamp, codec};
use std::io;
use std::time::Duration;

/// The most bytes of hosts that one commit takes, but for one host alone.
const MAX_COMMIT_BYTES: usize = 4 << 20;
/// How far a document's clock may be ahead of ours.
const MAX_AHEAD: Duration = Duration::from_secs(300);

/// What became of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Its run, which the hub closes next.
    pub run: Run,
    /// Hosts that were taken.
    pub hosts: u32,
    /// Addresses of hosts that the scan does not want; nothing of them was kept.
    pub outside: TargetSet,
    /// Why the document does not speak for all that it asked; `None` when it does.
    pub shortfall: Option<Text>,
}

impl Coordinator {
    /// Reads `document` to its end and makes a run of `scan` out of it.
    ///
    /// With `authoritative`, what the document proves to be gone is gone; otherwise that stays unconfirmed.
    ///
    /// # Errors
    /// A document that is not read, proves nothing about the scan's addresses, or is older than the scan's latest run;
    /// a scan that is not there, not active, or has a run that has not ended.
    pub async fn import(
        &self,
        actor: &Actor,
        scan: ScanId,
        document: impl io::Read + Send + 'static,
        authoritative: bool,
    ) -> Result<Imported, UseCaseError> {
        actor.require(Right::Operate)?;
        let now = Timestamp::now();
        let wanted = wanted(self.store(), scan).await?;
        let read = tokio::task::spawn_blocking(move || document::read(document, &wanted));
        let document = read.await.map_err(|_| StoreError::Interrupted)??;
        let imported = keep(self.store(), actor, self.id(), scan, document, authoritative, now).await?;
        self.events().publish(Event::Run { run: imported.run.id, scan, state: imported.run.state });
        self.hub().tell(Command::Wake).await;
        Ok(imported)
    }
}

/// What an import may tell of, when one may begin now.
async fn wanted(store: &Store, id: ScanId) -> Result<TargetSet, UseCaseError> {
    let (scan, open) = store.read(move |view| Ok((view.get(&SCANS, &id)?, view.get(&OPEN_RUNS, &id)?))).await?;
    let scan = scan.ok_or_else(|| UseCaseError::no_scan(id))?;
    match open {
        Some(open) => Err(UseCaseError::AlreadyRunning(open)),
        None => Ok(scan.definition.wanted()),
    }
}

/// Stores the document and opens its run.
async fn keep(
    store: &Store,
    actor: &Actor,
    coordinator: NodeId,
    scan: ScanId,
    document: Document,
    authoritative: bool,
    now: Timestamp,
) -> Result<Imported, UseCaseError> {
    let Document { hosts, coverage, outside, started, ended, shortfall } = document;
    let (who, why) = (actor.clone(), shortfall.clone());
    let run = store
        .update(move |draft| {
            let trigger = Trigger::Import { by: who.name.clone(), authoritative };
            let run = reserve(draft, scan, trigger, started, now)?;
            audit::note(draft, &who, "scan import", &format!("{scan} as run {}", run.id), now)?;
            Ok::<_, UseCaseError>(run)
        })
        .await?;
    let count = u32::try_from(hosts.len()).unwrap_or(u32::MAX);
    let id = run.id;
    for part in parts(hosts) {
        store.update(move |draft| stage(draft, id, &part)).await?;
    }
    let tasks: Vec<(TaskRecord, TaskCoverage)> = (0u32..)
        .zip(coverage)
        .map(|(index, coverage)| task(TaskId { run: id, index }, coverage, why.clone(), now))
        .map(|(record, coverage)| {
            let hosts = if record.id.index == 0 { count } else { 0 };
            (record, TaskCoverage { node: coordinator, started, ended, coverage, hosts })
        })
        .collect();
    let opened = store.update(move |draft| open(draft, run, &tasks, now)).await;
    match opened {
        Ok(run) => Ok(Imported { run, hosts: count, outside, shortfall }),
        Err(error) => {
            closing::sweep(store).await?;
            Err(error)
        }
    }
}

/// A run of its own for the document: failed, until all of it is there.
fn reserve(
    draft: &mut Draft,
    scan: ScanId,
    trigger: Trigger,
    started: Timestamp,
    now: Timestamp,
) -> Result<Run, UseCaseError> {
    if started > now.plus(MAX_AHEAD) {
        return Err(unfit(format!("it was begun at {started}, which has not come; set the clock of its scanner")));
    }
    if let Some((later, at)) = later_run(draft, scan, started)? {
        return Err(unfit(format!(
            "it was begun at {started}, before run {later} of {at}; what is known is newer, so import older documents first"
        )));
    }
    let mut run = queue(draft, scan, trigger, now)?;
    let reason = "the import was cut short; import the document again".into();
    run.outcome = Some(RunOutcome { hosts_up: 0, open_ports: 0, coverage_hundredths: 0, reason });
    (run.state, run.started, run.ended) = (RunState::Failed, Some(started), Some(now));
    draft.put(&RUNS, &run.id, &run)?;
    draft.remove(&OPEN_RUNS, &scan)?;
    Ok(run)
}

/// A run of the scan that looked later than `started`. Documents count whole seconds, so runs do here too.
fn later_run(reads: &impl Reads, scan: ScanId, started: Timestamp) -> Result<Option<(RunId, Timestamp)>, StoreError> {
    let second = |time: Timestamp| time.as_millis() / 1_000;
    for row in reads.within(&RUNS_OF_SCAN, &scan).rev() {
        let ((_, id), ()) = row?;
        let Some(run) = reads.get(&RUNS, &id)? else { continue };
        let looked = matches!(run.state, RunState::Completed | RunState::Partial);
        if let Some(at) = run.started.filter(|_| looked) {
            return Ok((second(at) > second(started)).then_some((id, at)));
        }
    }
    Ok(None)
}

/// Hosts in parts that fit into a commit.
fn parts(hosts: Vec<HostObservation>) -> Vec<Vec<HostObservation>> {
    let (mut parts, mut size) = (vec![Vec::new()], 0);
    for host in hosts {
        let bytes = codec::encode(&host).len();
        size += bytes;
        if size > MAX_COMMIT_BYTES {
            parts.push(Vec::new());
            size = bytes;
        }
        if let Some(part) = parts.last_mut() {
            part.push(host);
        }
    }
    parts
}

fn stage(draft: &mut Draft, run: RunId, hosts: &[HostObservation]) -> Result<(), StoreError> {
    for host in hosts {
        draft.put(&STAGED, &(run, host.address), host)?;
    }
    Ok(())
}

/// A task that is over: nobody was asked, the document had the answer.
fn task(id: TaskId, coverage: Coverage, shortfall: Option<Text>, now: Timestamp) -> (TaskRecord, Coverage) {
    let mut task = TaskRecord::new(id, Look::First, coverage.asked.clone(), now);
    task.state = if shortfall.is_some() { TaskState::Partial } else { TaskState::Done };
    task.reason = shortfall.unwrap_or_default();
    task.ended = Some(now);
    (task, coverage)
}

/// The last commit: from here on the run is under way, with nothing left to do but to close it.
fn open(
    draft: &mut Draft,
    mut run: Run,
    tasks: &[(TaskRecord, TaskCoverage)],
    now: Timestamp,
) -> Result<Run, UseCaseError> {
    if let Some(open) = draft.get(&OPEN_RUNS, &run.scan)? {
        return Err(UseCaseError::AlreadyRunning(open));
    }
    if let Some((later, _)) = later_run(draft, run.scan, run.started.unwrap_or(now))? {
        return Err(unfit(format!("run {later} has looked meanwhile; what is known is newer")));
    }
    let mut asked = TargetSet::empty();
    for (task, coverage) in tasks {
        draft.put(&TASKS, &task.id, task)?;
        draft.put(&TASK_COVERAGE, &task.id, coverage)?;
        asked = asked.union(&task.targets);
    }
    let missing = run.wanted().minus(&asked);
    let missing = Uncovered { targets: missing, reason: UncoveredReason::NotInDocument };
    run.uncovered = [missing].into_iter().filter(|part| !part.targets.is_empty()).collect();
    run.tasks = u32::try_from(tasks.len()).unwrap_or(u32::MAX);
    (run.state, run.ended, run.outcome) = (RunState::Running, None, None);
    draft.put(&RUNS, &run.id, &run)?;
    draft.put(&OPEN_RUNS, &run.scan, &run.id)?;
    Ok(run)
}

/// The document cannot be taken, and why.
fn unfit(reason: String) -> UseCaseError {
    UseCaseError::Invalid { field: "document", reason }
}
