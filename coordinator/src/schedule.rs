//! When scans run by themselves: the store holds what is due, tokio-cron-scheduler wakes us.
//!
//! A wake-up decides nothing: it looks at `next_due` in the store. A late, doubled or lost wake-up, or a jump of the
//! clock, thus changes nothing but the moment. The scheduler waits by the wall clock, which may be set, so `tend` compares
//! it with the store now and then by a clock that is not.

pub(crate) mod jobs;
#[cfg(test)]
mod tests;

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
use jobs::{HeldJob, JobFault, JobView, compare};
use protocol::Timestamp;
use protocol::task::ScanId;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// How often the scheduler is compared with the store; the longest that a wrong clock or a lost wake-up can delay a run.
const TEND_EVERY: Duration = Duration::from_secs(30);

/// Wake-ups that the scheduler can have on their way at once; what is beyond is lost until `tend` finds it.
const CHANNEL_SIZE: usize = 4_096;

/// The running scheduler with one wake-up for each scheduled scan.
#[derive(Clone)]
pub(crate) struct Schedule {
    scheduler: JobScheduler,
    book: Arc<Mutex<Book>>,
    store: Store,
    hub: HubHandle,
    events: EventBus,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// What we asked of the scheduler.
#[derive(Default)]
struct Book {
    jobs: BTreeMap<ScanId, Uuid>,
    woken: BTreeMap<ScanId, Timestamp>,
}

/// Why the scheduler did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// The scheduler.
    #[error("the scheduler failed: {0}; start the coordinator anew if this stays")]
    Scheduler(#[from] JobSchedulerError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Schedule {
    /// Starts the scheduler with what the store holds; what was missed is caught up once.
    pub(crate) async fn start(store: Store, hub: HubHandle, events: EventBus) -> Result<Self, ScheduleError> {
        let scheduler = JobScheduler::new_with_channel_size(CHANNEL_SIZE).await?;
        scheduler.start().await?;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let schedule = Self { scheduler, book: Arc::default(), store, hub, events, tasks, stop };
        schedule.reload().await?;
        schedule.tasks.spawn(schedule.clone().tend());
        Ok(schedule)
    }

    /// Sets the wake-up of a scan to what the store says, or clears it.
    pub(crate) async fn follow(&self, scan: ScanId) {
        let mut book = self.book.lock().await;
        match self.store.read(move |view| view.get(&SCANS, &scan)).await {
            Ok(found) => self.set(&mut book, scan, found.and_then(|scan| scan.next_due)).await,
            Err(error) => tracing::error!(scan.id = %scan, %error, "a scan cannot be scheduled; it is tried again"),
        }
    }

    /// Every wake-up that the scheduler holds, beside what the store says is due.
    pub(crate) async fn jobs(&self) -> Result<Vec<JobView>, ScheduleError> {
        let book = self.book.lock().await;
        self.look_over(&book).await
    }

    /// Drops every wake-up and makes them anew from the store. Gives those that differed from it.
    pub(crate) async fn reload(&self) -> Result<Vec<JobView>, ScheduleError> {
        let mut book = self.book.lock().await;
        let differed = self.look_over(&book).await?.into_iter().filter(|job| job.fault.is_some()).collect();
        for held in self.held().await? {
            self.scheduler.remove(&held.id).await?;
        }
        book.jobs.clear();
        for scan in self.scans().await? {
            self.set(&mut book, scan.id, scan.next_due).await;
        }
        Ok(differed)
    }

    /// Stops waking; a look that is under way ends first.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::warn!(%error, "the scheduler did not stop in order");
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn scans(&self) -> Result<Vec<Scan>, StoreError> {
        self.store.read(|view| view.iter(&SCANS).map(|row| row.map(|(_, scan)| scan)).collect()).await
    }

    async fn set(&self, book: &mut Book, scan: ScanId, due: Option<Timestamp>) {
        if let Some(job) = book.jobs.remove(&scan)
            && let Err(error) = self.scheduler.remove(&job).await
        {
            tracing::debug!(scan.id = %scan, %error, "an old wake-up was gone already");
        }
        let Some(due) = due else { return };
        match self.add(scan, due).await {
            Ok(job) => drop(book.jobs.insert(scan, job)),
            Err(error) => tracing::error!(scan.id = %scan, %error, "a scan cannot be scheduled; it is tried again"),
        }
    }

    async fn add(&self, scan: ScanId, due: Timestamp) -> Result<Uuid, JobSchedulerError> {
        let schedule = self.clone();
        let wake = move |_, _| {
            let schedule = schedule.clone();
            // Not awaited here: setting the next wake-up removes the job that this one runs in.
            async move { drop(schedule.tasks.spawn(schedule.clone().wake(scan))) }.boxed()
        };
        let mut job = Job::new_one_shot_async(Duration::ZERO, wake)?;
        let mut data = job.job_data()?;
        (data.next_tick, data.extra) = (jobs::second_of(due), scan.0.to_be_bytes().to_vec());
        job.set_job_data(data)?;
        self.scheduler.add(job).await
    }

    /// What the scheduler itself says that it holds.
    async fn held(&self) -> Result<Vec<HeldJob>, JobSchedulerError> {
        let context = self.scheduler.context();
        let mut kept = context.metadata_storage.write().await;
        let mut held = Vec::new();
        for tick in kept.list_next_ticks().await? {
            let Some(id) = tick.id.as_ref().map(Uuid::from) else { continue };
            let extra = kept.get(id).await?.map(|job| job.extra).unwrap_or_default();
            let scan = extra.try_into().map(u64::from_be_bytes).ok().map(ScanId);
            // A job that has had its tick stays until the scheduler clears it away.
            held.extend((tick.next_tick > 0).then_some(HeldJob { id, scan, second: tick.next_tick }));
        }
        Ok(held)
    }

    async fn look_over(&self, book: &Book) -> Result<Vec<JobView>, ScheduleError> {
        Ok(compare(self.held().await?, &self.scans().await?, &book.woken))
    }

    /// Boxed, since setting the next wake-up leads back here.
    fn wake(self, scan: ScanId) -> BoxFuture<'static, ()> {
        async move {
            self.book.lock().await.woken.insert(scan, Timestamp::now());
            self.look(scan).await;
        }
        .boxed()
    }

    async fn look(&self, scan: ScanId) {
        let now = Timestamp::now();
        match self.store.update(move |draft| run_if_due(draft, scan, now)).await {
            Ok(run) => {
                self.follow(scan).await;
                if let Some(run) = run {
                    tracing::info!(scan.id = %scan, run.id = %run.id, "a scheduled run is queued");
                    self.events.publish(Event::Run { run: run.id, scan, state: run.state });
                    self.hub.tell(Command::Wake).await;
                }
            }
            Err(error) => {
                tracing::error!(scan.id = %scan, %error, "a scheduled run could not be started; it is tried again")
            }
        }
    }

    async fn tend(self) {
        while self.stop.run_until_cancelled(tokio::time::sleep(TEND_EVERY)).await.is_some() {
            if let Err(error) = self.mend().await {
                tracing::error!(%error, "the scheduler could not be compared with the store; it is tried again");
            }
        }
    }

    /// Looks at scans that should have run or whose next run the clock has left behind; sets wake-ups right that differ.
    async fn mend(&self) -> Result<(), ScheduleError> {
        let now = Timestamp::now();
        for scan in self.scans().await? {
            let mut looked_at = scan.clone();
            if looked_at.is_due(now) || looked_at != scan {
                self.look(scan.id).await;
            }
        }
        for job in self.jobs().await? {
            match (job.fault, job.scan) {
                (None, _) => {}
                (Some(JobFault::Missing | JobFault::OtherTime), Some(scan)) => self.follow(scan).await,
                (Some(fault), _) => {
                    tracing::warn!(job = %job.describe(), fault = fault.words(), "the scheduler is set up anew");
                    self.reload().await?;
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// Queues a run if the scan is due, and notes when it is due next. A scan that still runs is passed over this time.
fn run_if_due(draft: &mut Draft, id: ScanId, now: Timestamp) -> Result<Option<Run>, UseCaseError> {
    let Some(before) = draft.get(&SCANS, &id)? else { return Ok(None) };
    let mut scan = before.clone();
    let is_due = scan.is_due(now);
    if scan != before {
        draft.put(&SCANS, &id, &scan)?;
    }
    if !is_due {
        return Ok(None);
    }
    match queue(draft, id, Trigger::Schedule, now) {
        Ok(run) => Ok(Some(run)),
        Err(UseCaseError::AlreadyRunning(run)) => {
            tracing::info!(scan.id = %id, run.id = %run, "a scheduled run was passed over: one has not ended");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
