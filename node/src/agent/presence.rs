//! The node's own sign of life: when it is due, and what it says.

use super::leases::Phase;
use super::{Agent, Engine};
use crate::facts;
use crate::spool::ResultKey;
use protocol::mesh::{LetterId, MeshEvent};
use protocol::message::{Link, MAX_LINKS, Presence, RunningTask};
use protocol::time::Timestamp;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Tasks told of in one presence.
const MOST_TOLD: usize = 512;

/// How long the last word may take to arrive; a coordinator that misses it finds out by the silence.
const FAREWELL_WITHIN: Duration = Duration::from_secs(2);

/// When the next presence is due, and which leases the last one renewed.
#[derive(Debug)]
pub(super) struct Heartbeat {
    due: Instant,
    told: Option<(LetterId, Vec<ResultKey>)>,
}

impl Heartbeat {
    pub(super) fn new(now: Instant) -> Self {
        Self { due: now, told: None }
    }

    /// Something changed: the coordinator is told at once.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.due = now;
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        now >= self.due
    }

    pub(super) fn due_at(&self) -> Instant {
        self.due
    }

    /// The leases that were renewed, when it is the latest presence that was taken.
    pub(super) fn letter_taken(&mut self, id: LetterId) -> Option<Vec<ResultKey>> {
        self.told.take_if(|(told, _)| *told == id).map(|(_, keys)| keys)
    }
}

impl<E: Engine> Agent<E> {
    pub(super) fn send_presence(&mut self, time: Timestamp, now: Instant) {
        if !self.heartbeat.is_due(now) {
            return;
        }
        self.heartbeat.due = now + self.timing.presence_every;
        let keys: Vec<ResultKey> = self.leases.all().take(MOST_TOLD).map(|(key, _)| key).collect();
        let presence = self.presence();
        if let Some(id) = self.send(&presence, time) {
            self.heartbeat.told = Some((id, keys));
        }
    }

    /// The last word of a node that stops in order: it names no task, so it renews no lease.
    pub(super) async fn say_farewell(&mut self) {
        let (time, end) = (self.mesh.time(), Instant::now() + FAREWELL_WITHIN);
        let farewell = Presence { running: Vec::new(), is_farewell: true, ..self.presence() };
        let Some(said) = self.send(&farewell, time) else { return };
        loop {
            tokio::select! {
                event = self.mesh.next() => {
                    let is_over = matches!(
                        event,
                        MeshEvent::LetterDelivered { id } | MeshEvent::LetterFailed { id, .. } if id == said
                    );
                    if is_over {
                        return;
                    }
                }
                () = sleep_until(end) => return,
            }
        }
    }

    fn presence(&self) -> Presence {
        Presence {
            facts: self.facts.clone(),
            load_hundredths: facts::load_hundredths(),
            running: self.leases.all().take(MOST_TOLD).map(|(key, phase)| self.running(key, phase)).collect(),
            spooled: u32::try_from(self.spool.keys().len()).unwrap_or(u32::MAX),
            room: self.room,
            clock: Timestamp::now(),
            links: self.mesh.peers().into_iter().take(MAX_LINKS).map(Link::from).collect(),
            through: self.mesh.through(),
            is_farewell: false,
        }
    }

    fn running(&self, key: ResultKey, phase: Phase) -> RunningTask {
        let (cells_done, cells_total, hosts_found) = match (phase, self.runner.progress(key.task)) {
            (Phase::Running, Some(progress)) => (progress.cells_done, progress.cells_total, progress.hosts_found),
            (Phase::Queued | Phase::Running, _) => (0, 0, 0),
            (Phase::Delivering, _) => (1, 1, 0),
        };
        RunningTask { task: key.task, fence: key.fence, cells_done, cells_total, hosts_found }
    }
}
