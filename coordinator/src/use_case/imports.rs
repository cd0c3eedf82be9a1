//! Documents of other scanners as runs (SPEC E4): nmap's XML, and what speaks its dialect.
//!
//! A document becomes a run with one finished task for each way in which it looked. It claims only what it proves (see
//! `protocol::nmap_xml::coverage`), and only for addresses that its scan wants. The rows are stored first, in commits of
//! bounded size, while the run is queued: it holds the scan's place, and no node is asked. The last commit has it run;
//! from there the hub closes it like any other. Cut short anywhere, it fails with the reason.

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
use crate::run::{Look, Run, RunState, TaskRecord, TaskState, Trigger, Uncovered, UncoveredReason};
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
const MAX_COMMIT_BYTES: usize = 1 << 20;
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
        let import = Import { scan, coordinator: self.id(), authoritative, now };
        // Goes on by itself: whoever asked may hang up.
        let (this, actor) = (self.clone(), actor.clone());
        let kept = self.tasks().spawn(async move {
            let imported = import.keep(this.store(), &actor, document).await?;
            this.events().publish(Event::Run { run: imported.run.id, scan, state: imported.run.state });
            this.hub().tell(Command::Wake).await;
            Ok(imported)
        });
        kept.await.map_err(|_| StoreError::Interrupted)?
    }
}

/// Ends imports that were under way when the coordinator stopped: of their documents only a part was stored.
pub(crate) async fn end_cut_short(store: &Store, now: Timestamp) -> Result<(), StoreError> {
    let ended = store.update(move |draft| {
        let open = draft.iter(&OPEN_RUNS).map(|row| row.map(|(_, run)| run)).collect::<Result<Vec<_>, _>>()?;
        let mut ended = Vec::new();
        for id in open {
            if draft.get(&RUNS, &id)?.is_some_and(|run| run.is_being_imported()) {
                closing::fail(draft, id, "cut short by a restart; import the document again".into(), now)?;
                ended.push(id);
            }
        }
        Ok::<_, StoreError>(ended)
    });
    for run in ended.await? {
        tracing::warn!(run.id = %run, "an import was cut short by a restart; import the document again");
    }
    Ok(())
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

/// One import.
struct Import {
    scan: ScanId,
    coordinator: NodeId,
    authoritative: bool,
    now: Timestamp,
}

impl Import {
    /// Stores the document and opens its run. What cannot be stored whole leaves a failed run and nothing else.
    async fn keep(self, store: &Store, actor: &Actor, document: Document) -> Result<Imported, UseCaseError> {
        let Self { scan, coordinator: _, authoritative, now } = self;
        let (who, started) = (actor.clone(), document.started);
        let run = store
            .update(move |draft| {
                let trigger = Trigger::Import { by: who.name.clone(), authoritative };
                let run = reserve(draft, scan, trigger, started, now)?;
                let word = if authoritative { ", authoritative" } else { "" };
                audit::note(draft, &who, "scan import", &format!("{scan} as run {}{word}", run.id), now)?;
                Ok::<_, UseCaseError>(run.id)
            })
            .await?;
        let kept = self.fill(store, run, document).await;
        if let Err(error) = &kept {
            let reason = Text::new(&format!("the import failed: {error}"));
            store.update(move |draft| closing::fail(draft, run, reason, now)).await?;
            closing::sweep(store).await?;
        }
        kept
    }

    async fn fill(self, store: &Store, run: RunId, document: Document) -> Result<Imported, UseCaseError> {
        let Self { scan: _, coordinator: node, authoritative: _, now } = self;
        let Document { hosts, coverage, outside, started, ended, shortfall } = document;
        let count = u32::try_from(hosts.len()).unwrap_or(u32::MAX);
        for part in parts(hosts) {
            store.update(move |draft| stage(draft, run, &part)).await?;
        }
        let tasks: Vec<(TaskRecord, TaskCoverage)> = (0u32..)
            .zip(coverage)
            .map(|(index, coverage)| task(TaskId { run, index }, coverage, shortfall.clone(), now))
            .map(|(record, coverage)| {
                let hosts = if record.id.index == 0 { count } else { 0 };
                (record, TaskCoverage { node, started, ended, coverage, hosts })
            })
            .collect();
        let run = store.update(move |draft| open(draft, run, &tasks)).await?;
        Ok(Imported { run, hosts: count, outside, shortfall })
    }
}

/// A run of its own for the document, queued until all of it is there.
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
            "it was begun at {started}, and run {later} looked until {at}; what is known is newer, so import older documents first"
        )));
    }
    let run = Run { started: Some(started), ..queue(draft, scan, trigger, now)? };
    draft.put(&RUNS, &run.id, &run)?;
    Ok(run)
}

/// The run of an import that is under way; an error when a person cancelled it meanwhile.
fn under_way(reads: &impl Reads, id: RunId) -> Result<Run, UseCaseError> {
    let run = reads.get(&RUNS, &id)?.ok_or_else(|| UseCaseError::no_run(id))?;
    if run.is_being_imported() {
        return Ok(run);
    }
    Err(UseCaseError::Conflict(format!("run {id} is {} meanwhile; nothing of the document was kept", run.state.name())))
}

/// The latest run of the scan, and how long it looked, when that is later than `started`. A document that began with
/// the run is that run's own. Documents count whole seconds, so runs do here too.
fn later_run(reads: &impl Reads, scan: ScanId, started: Timestamp) -> Result<Option<(RunId, Timestamp)>, StoreError> {
    let second = |time: Timestamp| time.as_millis() / 1_000;
    for row in reads.within(&RUNS_OF_SCAN, &scan).rev() {
        let ((_, id), ()) = row?;
        let Some(run) = reads.get(&RUNS, &id)? else { continue };
        let looked = matches!(run.state, RunState::Completed | RunState::Partial);
        if let Some(began) = run.started.filter(|_| looked) {
            let is_document = matches!(run.trigger, Trigger::Import { .. });
            let until = if is_document { began } else { run.ended.unwrap_or(began) };
            if second(until) > second(started) && second(began) != second(started) {
                return Ok(Some((id, until)));
            }
            if !is_document {
                return Ok(None);
            }
        }
    }
    Ok(None)
}

/// Hosts in parts, each for a commit of its own: what a commit takes is held several times on its way to the disk.
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

fn stage(draft: &mut Draft, run: RunId, hosts: &[HostObservation]) -> Result<(), UseCaseError> {
    under_way(draft, run)?;
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
fn open(draft: &mut Draft, id: RunId, tasks: &[(TaskRecord, TaskCoverage)]) -> Result<Run, UseCaseError> {
    let mut run = under_way(draft, id)?;
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
    run.state = RunState::Running;
    draft.put(&RUNS, &run.id, &run)?;
    Ok(run)
}

/// The document cannot be taken, and why.
fn unfit(reason: String) -> UseCaseError {
    UseCaseError::Invalid { field: "document", reason }
}
