//! What becomes of an announced task: admitted and queued, or refused; started, stopped, and its end.

use super::{Agent, Engine};
use crate::notice::Notice;
use crate::policy::AdmittedTask;
use crate::runner::{Ended, Outcome};
use crate::spool::ResultKey;
use protocol::envelope::Verified;
use protocol::message::{Announcement, Answer, Room, TaskAnswer};
use protocol::task::RunId;
use protocol::text::Text;
use protocol::time::Timestamp;
use tokio::time::Instant;

/// Why a task is not queued.
enum Declined {
    /// Forbidden here.
    Refused(String),
    /// Another time, or elsewhere.
    Later(&'static str),
}

impl<E: Engine> Agent<E> {
    pub(super) fn on_announcement(&mut self, announced: &Verified<Announcement>, time: Timestamp) {
        let announcement = announced.message();
        let key = ResultKey { task: announcement.task, fence: announcement.fence };
        let coordinator = self.state.roster().coordinator(time).map(|member| member.key);
        if announcement.holder != self.me || Some(announced.sender()) != coordinator {
            return;
        }
        if !self.leases.is_news(key.task, key.fence) {
            tracing::debug!(task.id = %key.task, task.fence = key.fence, "this lease was announced before");
            return;
        }
        if let Some(older) = self.leases.working_on(key.task, key.fence) {
            self.drop_work(older);
        }
        match self.admit(announcement, time) {
            Ok(task) => {
                tracing::info!(task.id = %key.task, task.fence = key.fence, "task queued");
                self.leases.enqueue(task, announced.header().issued);
                self.heartbeat.hurry(Instant::now());
            }
            Err(Declined::Refused(reason)) => self.refuse(key, &reason),
            Err(Declined::Later(reason)) => self.hand_back(key, reason),
        }
    }

    /// The only way from an announcement to a task that may run.
    fn admit(&self, announcement: &Announcement, time: Timestamp) -> Result<AdmittedTask, Declined> {
        let task = self.post.open_task(announcement).map_err(|error| Declined::Refused(error.to_string()))?;
        let ranges = self.ranges(time).ok_or_else(|| {
            Declined::Refused("this node's approval or its roster is past its time; approve it again".to_owned())
        })?;
        let task = self.policy.admit(task, &ranges).map_err(|refused| Declined::Refused(refused.to_string()))?;
        let space = self.spool.space();
        match space.room {
            _ if self.stopping => Err(Declined::Later("the node stops")),
            Room::Free if self.leases.has_room() => Ok(task),
            Room::Free => Err(Declined::Later("too many tasks wait on this node")),
            Room::Tight | Room::Full => Err(Declined::Later(space.reason)),
        }
    }

    /// Tells when the disk fills or has room again. When it is full, what waits and what runs is handed back.
    pub(super) fn watch_space(&mut self, now: Instant) {
        let space = self.spool.space();
        if std::mem::replace(&mut self.room, space.room) != space.room {
            tracing::warn!(room = ?space.room, reason = space.reason, "the room for results changed");
            self.notices.tell(Notice::SpoolRoom { room: space.room, reason: space.reason });
            self.heartbeat.hurry(now);
        }
        if space.room == Room::Full {
            self.hand_back_queued(space.reason);
            self.runner.hand_back_all(space.reason);
        }
    }

    /// Starts waiting tasks while there is a slot, a beacon, a lease and room.
    pub(super) fn start_tasks(&mut self, time: Timestamp, now: Instant) {
        if self.stopping || !self.state_saved || self.ranges(time).is_none() || self.room == Room::Full {
            return;
        }
        let Some(there) = self.hearing.there(now) else { return };
        while self.runner.has_slot() {
            let Some(task) = self.leases.start_next(there, now, |task| self.runner.is_running(task)) else { return };
            let key = ResultKey { task: task.id(), fence: task.task().fence };
            tracing::info!(task.id = %key.task, task.fence = key.fence, "task started");
            self.answer(key, Answer::Taken);
            self.notices.tell(Notice::TaskStarted { task: key.task });
            self.runner.start(task);
            self.heartbeat.hurry(now);
        }
    }

    pub(super) fn on_ended(&mut self, ended: Ended) {
        let Ended { key, outcome } = ended;
        let now = Instant::now();
        self.heartbeat.hurry(now);
        match outcome {
            Outcome::Stored(key) => {
                tracing::info!(task.id = %key.task, task.fence = key.fence, "task done, its result is on disk");
                self.notices.tell(Notice::TaskDone { task: key.task });
                self.take_up(key, now);
            }
            Outcome::HandBack(reason) => self.hand_back(key, &reason),
            Outcome::Dropped => {
                tracing::info!(task.id = %key.task, task.fence = key.fence, "task stopped and forgotten");
                self.leases.forget(key);
            }
        }
    }

    /// A result in the spool is delivered under its lease.
    pub(super) fn take_up(&mut self, key: ResultKey, now: Instant) {
        self.leases.is_news(key.task, key.fence);
        self.leases.deliver(key);
        self.delivery.add(key, self.spool.size_bytes(key).unwrap_or_default(), now);
    }

    pub(super) fn on_cancel(&mut self, run: RunId) {
        for key in self.leases.of_run(run) {
            self.drop_work(key);
        }
    }

    /// Stops a task that waits or runs, and forgets what it found.
    pub(super) fn drop_work(&mut self, key: ResultKey) {
        self.notices.tell(Notice::TaskDropped { task: key.task });
        self.runner.drop_task(key.task);
        self.leases.forget(key);
        self.heartbeat.hurry(Instant::now());
    }

    /// Says no, visibly: the coordinator and the person at this node both learn why.
    pub(super) fn refuse(&mut self, key: ResultKey, reason: &str) {
        tracing::warn!(task.id = %key.task, task.fence = key.fence, reason, "task refused");
        self.runner.drop_task(key.task);
        self.leases.forget(key);
        self.notices.tell(Notice::TaskRefused { task: key.task, reason: reason.to_owned() });
        self.answer(key, Answer::Refused(Text::new(reason)));
    }

    pub(super) fn hand_back(&mut self, key: ResultKey, reason: &str) {
        tracing::warn!(task.id = %key.task, task.fence = key.fence, reason, "task handed back");
        self.leases.forget(key);
        self.notices.tell(Notice::TaskHandedBack { task: key.task, reason: reason.to_owned() });
        self.answer(key, Answer::HandedBack(Text::new(reason)));
    }

    pub(super) fn hand_back_queued(&mut self, reason: &str) {
        for key in self.leases.queued() {
            self.hand_back(key, reason);
        }
    }

    fn answer(&mut self, key: ResultKey, answer: Answer) {
        self.outbox.push(TaskAnswer { task: key.task, fence: key.fence, answer });
    }
}
