//! When scans run by themselves: the store holds what is due, tokio-cron-scheduler wakes us.
//!
//! A wake-up decides nothing: it looks at `next_due` in the store. A late, doubled or lost wake-up, or a jump of the
//! clock, thus changes nothing but the moment.

use crate::events::{Event, EventBus};
use crate::hub::{Command, HubHandle};
use crate::run::{Run, Trigger};
use crate::scan::Scan;
use crate::store::tables::SCANS;
use crate::store::{Draft, Reads, Store, StoreError};
use crate::use_case::UseCaseError;
use crate::use_case::runs::queue;
use futures::FutureExt;
use futures::future::BoxFuture;
use protocol::Timestamp;
use protocol::task::ScanId;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use uuid::Uuid;

/// The longest sleep before the store is looked at again, in case the wall clock was set.
const LONGEST_SLEEP: Duration = Duration::from_secs(3_600);

/// The running scheduler with one wake-up for each scheduled scan.
#[derive(Clone)]
pub(crate) struct Schedule {
    scheduler: JobScheduler,
    jobs: Arc<Mutex<BTreeMap<ScanId, Uuid>>>,
    store: Store,
    hub: HubHandle,
    events: EventBus,
}

impl Schedule {
    /// Starts the scheduler with what the store holds; what was missed is caught up once.
    pub(crate) async fn start(store: Store, hub: HubHandle, events: EventBus) -> Result<Self, ScheduleError> {
        let scheduler = JobScheduler::new().await?;
        scheduler.start().await?;
        let schedule = Self { scheduler, jobs: Arc::default(), store, hub, events };
        let scans: Vec<Scan> =
            schedule.store.read(|view| view.iter(&SCANS).map(|row| row.map(|(_, scan)| scan)).collect()).await?;
        for scan in scans.into_iter().filter(|scan| scan.active) {
            schedule.set(scan.id, scan.next_due).await;
        }
        Ok(schedule)
    }

    /// Sets or clears the wake-up of a scan.
    pub(crate) async fn set(&self, scan: ScanId, due: Option<Timestamp>) {
        let mut jobs = self.jobs.lock().await;
        if let Some(job) = jobs.remove(&scan)
            && let Err(error) = self.scheduler.remove(&job).await
        {
            tracing::debug!(scan.id = %scan, %error, "an old wake-up was gone already");
        }
        let Some(due) = due else { return };
        match self.add(scan, due.since(Timestamp::now()).min(LONGEST_SLEEP)).await {
            Ok(job) => drop(jobs.insert(scan, job)),
            Err(error) => tracing::error!(scan.id = %scan, %error, "a scan could not be scheduled"),
        }
    }

    async fn add(&self, scan: ScanId, wait: Duration) -> Result<Uuid, JobSchedulerError> {
        let schedule = self.clone();
        let wake = move |_, _| {
            let schedule = schedule.clone();
            // Not awaited here: setting the next wake-up removes the job that this one runs in.
            async move { drop(tokio::spawn(schedule.wake(scan))) }.boxed()
        };
        self.scheduler.add(Job::new_one_shot_at_instant_async(Instant::now() + wait, wake)?).await
    }

    /// Boxed, since setting the next wake-up leads back here.
    fn wake(self, scan: ScanId) -> BoxFuture<'static, ()> {
        async move { self.look(scan).await }.boxed()
    }

    async fn look(&self, scan: ScanId) {
        let now = Timestamp::now();
        match self.store.update(move |draft| run_if_due(draft, scan, now)).await {
            Ok((next, run)) => {
                self.set(scan, next).await;
                if let Some(run) = run {
                    self.events.publish(Event::Run { run: run.id, scan, state: run.state });
                    self.hub.tell(Command::Wake).await;
                }
            }
            Err(error) => {
                tracing::error!(scan.id = %scan, %error, "a scheduled run could not be started; it is tried again");
                self.set(scan, Some(now.plus(Duration::from_secs(60)))).await;
            }
        }
    }

    /// Stops waking.
    pub(crate) async fn stop(mut self) {
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::warn!(%error, "the scheduler did not stop in order");
        }
    }
}

/// Why the schedule did not start.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// The scheduler.
    #[error("the scheduler cannot be started: {0}")]
    Scheduler(#[from] JobSchedulerError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Queues a run if the scan is due, and notes when it is due next. A scan that still runs is passed over this time.
fn run_if_due(draft: &mut Draft, id: ScanId, now: Timestamp) -> Result<(Option<Timestamp>, Option<Run>), UseCaseError> {
    let Some(mut scan) = draft.get(&SCANS, &id)?.filter(|scan| scan.active) else { return Ok((None, None)) };
    let Some(due) = scan.next_due.filter(|due| *due <= now) else { return Ok((scan.next_due, None)) };
    scan.next_due = scan.definition.next_due(due, now);
    draft.put(&SCANS, &id, &scan)?;
    match queue(draft, id, Trigger::Schedule, now) {
        Ok(run) => Ok((scan.next_due, Some(run))),
        Err(UseCaseError::AlreadyRunning(run)) => {
            tracing::info!(scan.id = %id, run.id = %run, "a scheduled run was passed over: one has not ended");
            Ok((scan.next_due, None))
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Fixture, NOW, SCAN};
    use crate::scan::ScanDraft;
    use crate::store::tables::RUNS;

    /// The fixture's scan, due every ten minutes since `due`.
    async fn every_ten_minutes(fixture: &Fixture, due: Timestamp) {
        let text = ScanDraft {
            name: "Office".into(),
            targets: "10.9.0.0/28".into(),
            interval: "10".into(),
            scheduled: true,
            ..ScanDraft::default()
        };
        let definition = text.check().unwrap();
        let made = fixture.store.update(move |draft| {
            let scan = draft.get(&SCANS, &SCAN)?.expect("the fixture's scan");
            draft.put(&SCANS, &SCAN, &Scan { definition, next_due: Some(due), ..scan })
        });
        made.await.unwrap();
    }

    async fn look(fixture: &Fixture, now: Timestamp) -> (Option<Timestamp>, Option<Run>) {
        fixture.store.update(move |draft| run_if_due(draft, SCAN, now)).await.unwrap()
    }

    #[tokio::test]
    async fn a_wake_up_runs_a_scan_only_when_it_is_due_and_never_twice_at_a_time() {
        let fixture = Fixture::new().await;
        let minutes = |count: u64| NOW.plus(Duration::from_secs(count * 60));
        every_ten_minutes(&fixture, minutes(10)).await;
        let early = look(&fixture, minutes(9)).await;
        assert_eq!((early.0, early.1.is_none()), (Some(minutes(10)), true));
        let (next, run) = look(&fixture, minutes(45)).await;
        assert_eq!((next, run.map(|run| run.trigger)), (Some(minutes(50)), Some(Trigger::Schedule)));
        let (next, run) = look(&fixture, minutes(50)).await;
        assert_eq!((next, run.is_none()), (Some(minutes(60)), true), "the first one has not ended");
        assert_eq!(fixture.store.read(|view| Ok(view.iter(&RUNS).count())).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn what_was_missed_while_nothing_ran_is_caught_up_once_at_the_start() {
        let fixture = Fixture::new().await;
        every_ten_minutes(&fixture, NOW).await;
        let (hub, mut inbox) = HubHandle::channel();
        let events = EventBus::default();
        let mut seen = events.subscribe(None).live;
        let schedule = Schedule::start(fixture.store.clone(), hub, events).await.unwrap();
        let woken = tokio::time::timeout(Duration::from_secs(60), seen.recv()).await.unwrap().unwrap();
        assert!(matches!(woken.event, Event::Run { scan: SCAN, .. }), "{woken:?}");
        assert!(matches!(inbox.recv().await, Some(Command::Wake)));
        let scan = fixture.store.read(|view| view.get(&SCANS, &SCAN)).await.unwrap().unwrap();
        assert!(scan.next_due > Some(Timestamp::now()));
        assert_eq!(fixture.store.read(|view| Ok(view.iter(&RUNS).count())).await.unwrap(), 1);
        schedule.stop().await;
    }
}
