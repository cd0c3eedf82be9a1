//! Runs admitted tasks: engine, deadline, progress, and what is left over when a task ends early.
//!
//! A task ends in a result on disk, or is handed back. Which tasks may start is the agent's.

use crate::engine::{Engine, Progress};
use crate::policy::AdmittedTask;
use crate::spool::{ResultKey, Spool};
use crate::timing::ClockOffset;
use protocol::task::TaskId;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};

mod attempt;
#[cfg(test)]
mod tests;

/// The running tasks.
pub(crate) struct Runner<E> {
    engine: Arc<E>,
    spool: Spool,
    slots: usize,
    engine_patience: Duration,
    clock: ClockOffset,
    active: BTreeMap<TaskId, Active>,
    work: JoinSet<Outcome>,
    closed: bool,
}

struct Active {
    id: Id,
    fence: u64,
    order: watch::Sender<Option<Order>>,
    progress: watch::Receiver<Progress>,
}

/// What a running task is told before its own end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Stop, and forget what was found.
    Forget,
    /// Stop, and give the task back for this reason.
    HandBack(&'static str),
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Its result is in the spool.
    Stored(ResultKey),
    /// Nothing worth keeping was found, for this reason.
    HandBack(String),
    /// It was told to stop and forget.
    Dropped,
}

/// A task that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) key: ResultKey,
    pub(crate) outcome: Outcome,
}

impl<E: Engine> Runner<E> {
    /// At most `slots` tasks at once; an engine that was told to stop gets `engine_patience`.
    pub(crate) fn new(
        engine: Arc<E>,
        spool: Spool,
        slots: usize,
        engine_patience: Duration,
        clock: ClockOffset,
    ) -> Self {
        Self {
            engine,
            spool,
            slots,
            engine_patience,
            clock,
            active: BTreeMap::new(),
            work: JoinSet::new(),
            closed: false,
        }
    }

    /// True when another task may start.
    pub(crate) fn has_slot(&self) -> bool {
        self.active.len() < self.slots && !self.closed
    }

    /// True while this task's engine has not come to its end.
    pub(crate) fn is_running(&self, task: TaskId) -> bool {
        self.active.contains_key(&task)
    }

    /// How many tasks run.
    pub(crate) fn count(&self) -> usize {
        self.active.len()
    }

    /// Starts a task. The caller has seen [`Self::has_slot`].
    pub(crate) fn start(&mut self, task: AdmittedTask) {
        let (sender, progress) = watch::channel(Progress::default());
        let (order, orders) = watch::channel(None);
        let (id, fence) = (task.id(), task.task().fence);
        let attempt = attempt::Attempt {
            engine: Arc::clone(&self.engine),
            spool: self.spool.clone(),
            orders,
            clock: self.clock.clone(),
            patience: self.engine_patience,
        };
        let handle = self.work.spawn(attempt.run(task, sender));
        self.active.insert(id, Active { id: handle.id(), fence, order, progress });
    }

    /// Stops a task and forgets what it found.
    pub(crate) fn drop_task(&mut self, task: TaskId) {
        if let Some(active) = self.active.get(&task) {
            active.order.send_replace(Some(Order::Forget));
        }
    }

    /// Stops every task; each is handed back for `reason`.
    pub(crate) fn hand_back_all(&mut self, reason: &'static str) {
        for active in self.active.values() {
            active.order.send_if_modified(|order| {
                let is_first = order.is_none();
                order.get_or_insert(Order::HandBack(reason));
                is_first
            });
        }
    }

    /// Starts nothing any more, and hands back what runs.
    pub(crate) fn close(&mut self, reason: &'static str) {
        self.closed = true;
        self.hand_back_all(reason);
    }

    /// How far a running task has come.
    pub(crate) fn progress(&self, task: TaskId) -> Option<Progress> {
        self.active.get(&task).map(|active| *active.progress.borrow())
    }

    /// Waits for the next task to end; for ever when none runs. May be dropped without losing one.
    pub(crate) async fn next(&mut self) -> Ended {
        let Some(joined) = self.work.join_next_with_id().await else { return std::future::pending().await };
        let (id, outcome) = match joined {
            Ok((id, outcome)) => (id, outcome),
            Err(error) => (error.id(), Outcome::HandBack(format!("the engine broke down: {error}"))),
        };
        let ended = self.active.extract_if(.., |_, active| active.id == id).next();
        let (task, active) = ended.expect("every spawned task stands in `active` until it is joined");
        Ended { key: ResultKey { task, fence: active.fence }, outcome }
    }
}
