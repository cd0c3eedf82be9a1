//! Which tasks this node holds under which lease. Pure: time is passed in.

use crate::policy::AdmittedTask;
use crate::spool::ResultKey;
use protocol::target::TargetSet;
use protocol::task::{RunId, TaskId};
use protocol::time::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tokio::time::Instant;

#[cfg(test)]
mod tests;

/// Tasks that may wait for a slot.
const MOST_QUEUED: usize = 64;

/// Lease numbers remembered; the oldest runs are forgotten first.
const MOST_REMEMBERED: usize = 16_384;

/// The tasks this node holds.
#[derive(Debug, Default)]
pub(super) struct Leases {
    held: BTreeMap<TaskId, Held>,
    queue: VecDeque<TaskId>,
    highest: BTreeMap<TaskId, u64>,
}

#[derive(Debug)]
struct Held {
    fence: u64,
    /// What is scanned; empty once the result is there.
    targets: TargetSet,
    lease: Duration,
    granted: Timestamp,
    renewed: Option<Instant>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Queued(Box<AdmittedTask>),
    Running,
    Delivering,
}

/// Where a held task is, for the presence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Waits for a slot.
    Queued,
    /// Is scanned.
    Running,
    /// Its result is on the way.
    Delivering,
}

impl Leases {
    /// True when this lease is newer than every one seen of this task; it is remembered.
    pub(super) fn is_news(&mut self, task: TaskId, fence: u64) -> bool {
        if self.highest.get(&task).is_some_and(|highest| fence <= *highest) {
            return false;
        }
        self.highest.insert(task, fence);
        if self.highest.len() > MOST_REMEMBERED {
            self.highest.pop_first();
        }
        true
    }

    /// True when another task may wait.
    pub(super) fn has_room(&self) -> bool {
        self.queue.len() < MOST_QUEUED
    }

    /// Puts a task in line; `granted` is when its announcement was signed, by the coordinator's clock.
    pub(super) fn enqueue(&mut self, task: AdmittedTask, granted: Timestamp) {
        let id = task.id();
        let held = Held {
            fence: task.task().fence,
            targets: task.spec().targets.clone(),
            lease: task.task().lease,
            granted,
            renewed: None,
            stage: Stage::Queued(Box::new(task)),
        };
        self.held.insert(id, held);
        self.queue.push_back(id);
    }

    /// The next task in line whose lease still holds and that is not `busy`; it counts as running from now on.
    /// Those whose lease ran out are forgotten on the way. `there` is the time at the coordinator.
    pub(super) fn start_next(
        &mut self,
        there: Timestamp,
        now: Instant,
        busy: impl Fn(TaskId) -> bool,
    ) -> Option<AdmittedTask> {
        self.forget_lapsed(there, now);
        let place = self.queue.iter().position(|task| !busy(*task))?;
        let held = self.held.get_mut(&self.queue.remove(place)?)?;
        match std::mem::replace(&mut held.stage, Stage::Running) {
            Stage::Queued(task) => Some(*task),
            Stage::Running | Stage::Delivering => None,
        }
    }

    /// The result is in the spool; the lease is held until it is delivered.
    pub(super) fn deliver(&mut self, key: ResultKey) {
        let held = Held {
            fence: key.fence,
            targets: TargetSet::empty(),
            lease: Duration::ZERO,
            granted: Timestamp::default(),
            renewed: None,
            stage: Stage::Delivering,
        };
        let newer = self.held.get(&key.task).is_some_and(|held| held.fence > key.fence);
        if !newer {
            self.held.insert(key.task, held);
        }
    }

    /// This lease is over; a newer one of the same task is not touched.
    pub(super) fn forget(&mut self, key: ResultKey) {
        if self.held.get(&key.task).is_some_and(|held| held.fence == key.fence) {
            self.held.remove(&key.task);
            self.queue.retain(|task| *task != key.task);
        }
    }

    /// The lease of a task that waits or runs, if its number is at most `fence`.
    pub(super) fn working_on(&self, task: TaskId, fence: u64) -> Option<ResultKey> {
        let held = self.held.get(&task).filter(|held| held.fence <= fence && held.is_work())?;
        Some(ResultKey { task, fence: held.fence })
    }

    /// Tasks of a run that wait or run.
    pub(super) fn of_run(&self, run: RunId) -> Vec<ResultKey> {
        self.work().filter(|(key, _)| key.task.run == run).map(|(key, _)| key).collect()
    }

    /// Tasks that wait or run and have an address outside `ranges`.
    pub(super) fn outside(&self, ranges: &TargetSet) -> Vec<ResultKey> {
        self.work().filter(|(_, held)| !ranges.covers(&held.targets)).map(|(key, _)| key).collect()
    }

    /// Tasks that wait.
    pub(super) fn queued(&self) -> Vec<ResultKey> {
        self.work().filter(|(_, held)| matches!(held.stage, Stage::Queued(_))).map(|(key, _)| key).collect()
    }

    /// Everything that is held, with its phase.
    pub(super) fn all(&self) -> impl Iterator<Item = (ResultKey, Phase)> + '_ {
        self.held.iter().map(|(task, held)| (ResultKey { task: *task, fence: held.fence }, held.phase()))
    }

    /// The coordinator was told that these are held.
    pub(super) fn renew(&mut self, keys: &[ResultKey], now: Instant) {
        for key in keys {
            if let Some(held) = self.held.get_mut(&key.task).filter(|held| held.fence == key.fence) {
                held.renewed = Some(now);
            }
        }
    }

    fn work(&self) -> impl Iterator<Item = (ResultKey, &Held)> + '_ {
        let key = |(task, held): (&TaskId, &Held)| ResultKey { task: *task, fence: held.fence };
        self.held.iter().filter(|(_, held)| held.is_work()).map(move |entry| (key(entry), entry.1))
    }

    fn forget_lapsed(&mut self, there: Timestamp, now: Instant) {
        let lapsed = |held: &Held| matches!(held.stage, Stage::Queued(_)) && !held.is_current(there, now);
        for (task, held) in self.held.extract_if(.., |_, held| lapsed(held)) {
            tracing::info!(task.id = %task, task.fence = held.fence, "the lease of a waiting task ran out before it could start");
            self.queue.retain(|queued| *queued != task);
        }
    }
}

impl Held {
    fn is_work(&self) -> bool {
        !matches!(self.stage, Stage::Delivering)
    }

    fn is_current(&self, there: Timestamp, now: Instant) -> bool {
        let renewed = self.renewed.is_some_and(|renewed| now.duration_since(renewed) < self.lease);
        renewed || there.since(self.granted) < self.lease
    }

    fn phase(&self) -> Phase {
        match self.stage {
            Stage::Queued(_) => Phase::Queued,
            Stage::Running => Phase::Running,
            Stage::Delivering => Phase::Delivering,
        }
    }
}
