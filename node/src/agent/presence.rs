//! The node's own sign of life: when it is due, and what it says.

use super::leases::Phase;
use super::{Agent, Engine};
use crate::facts;
use crate::spool::ResultKey;
use crate::timing::Timing;
use protocol::NodeId;
use protocol::mesh::{LetterId, MeshEvent};
use protocol::message::{Link, MAX_LINKS, Presence, RunningTask};
use protocol::time::Timestamp;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Tasks told of in one presence.
const MOST_TOLD: usize = 512;

/// How long the last word may take to arrive; a coordinator that misses it finds out by the silence.
const FAREWELL_WITHIN: Duration = Duration::from_secs(2);

/// So many times the wait between two words, the coordinator may take to answer one that others pass on: it hears the
/// next one, which goes another way, before it misses the node.
const UNHEARD_FOR: u32 = 2;

/// How often connections are told of that have not changed, for their round trips.
const LINKS_EVERY: Duration = Duration::from_secs(300);

/// When the next presence is due, which leases the last one renewed, and whether it arrived.
#[derive(Debug)]
pub(super) struct Heartbeat {
    due: Instant,
    told: Option<(LetterId, Vec<ResultKey>)>,
    /// Letters lost in a row.
    losses: u32,
    /// The first word that is not answered, by its clock, and since when.
    unheard: Option<(Timestamp, Instant)>,
    /// The connections that the coordinator was told of, and when.
    links: Option<(Vec<Connected>, Instant)>,
    /// The letter that told of them, until its outcome is known.
    links_in: Option<LetterId>,
}

/// The other end, whether this one dialled, and whether a ping was answered.
type Connected = (NodeId, bool, bool);

impl Heartbeat {
    pub(super) fn new(now: Instant) -> Self {
        Self { due: now, told: None, losses: 0, unheard: None, links: None, links_in: None }
    }

    /// Something changed: the coordinator is told at once, and of all connections.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.due = now;
        self.links = None;
    }

    /// The links, when they are to be told of: they have changed, or it is long ago.
    fn news_of_links(&mut self, links: Vec<Link>, now: Instant) -> Option<Vec<Link>> {
        let connected: Vec<Connected> =
            links.iter().map(|link| (link.node, link.is_dialled, link.round_trip_us.is_some())).collect();
        let is_told = |(told, at): &(Vec<Connected>, Instant)| *told == connected && now < *at + LINKS_EVERY;
        if self.links.as_ref().is_some_and(is_told) {
            return None;
        }
        self.links = Some((connected, now));
        Some(links)
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        now >= self.due
    }

    pub(super) fn due_at(&self) -> Instant {
        self.due
    }

    /// The leases that were renewed, when it is the latest presence that was taken.
    pub(super) fn letter_taken(&mut self, id: LetterId) -> Option<Vec<ResultKey>> {
        let taken = self.told.take_if(|(told, _)| *told == id);
        if taken.is_some() {
            self.losses = 0;
        }
        taken.map(|(_, keys)| keys)
    }

    /// A letter was lost. The next word does not wait for its turn.
    pub(super) fn letter_lost(&mut self, id: LetterId, timing: &Timing, now: Instant) {
        if self.links_in.take_if(|told| *told == id).is_some() {
            self.links = None;
        }
        if self.told.take_if(|(told, _)| *told == id).is_some() {
            self.losses = self.losses.saturating_add(1);
            self.due = self.due.min(now + timing.retry_after(self.losses));
            self.unheard = None;
        }
    }

    /// The word with this clock is on its way, through others or not.
    fn sent(&mut self, clock: Timestamp, is_passed_on: bool, now: Instant) {
        if is_passed_on {
            self.unheard.get_or_insert((clock, now));
        } else {
            self.unheard = None;
        }
    }

    /// The coordinator has heard the word with this clock.
    pub(super) fn heard(&mut self, clock: Timestamp) {
        self.unheard.take_if(|(first, _)| *first <= clock);
    }

    /// True once when a word was said to be delivered, and the coordinator, which `is_there`, has not answered it.
    fn is_swallowed(&mut self, is_there: bool, timing: &Timing, now: Instant) -> bool {
        let patience = timing.presence_every * UNHEARD_FOR;
        let late = self.unheard.take_if(|(_, since)| !is_there || now.saturating_duration_since(*since) >= patience);
        late.is_some() && is_there
    }
}

impl<E: Engine> Agent<E> {
    pub(super) fn send_presence(&mut self, time: Timestamp, now: Instant) {
        if !self.heartbeat.is_due(now) {
            return;
        }
        self.heartbeat.due = now + self.timing.presence_every;
        if self.heartbeat.is_swallowed(self.hearing.there(now).is_some(), &self.timing, now) {
            tracing::info!(through = ?self.mesh.through(), "the coordinator does not answer; another way is tried");
            self.mesh.seek_other_way();
            self.heartbeat.links = None;
        }
        let keys: Vec<ResultKey> = self.leases.all().take(MOST_TOLD).map(|(key, _)| key).collect();
        let links = self.mesh.peers().into_iter().take(MAX_LINKS).map(Link::from).collect();
        let presence = Presence { links: self.heartbeat.news_of_links(links, now), ..self.presence() };
        match self.send(&presence, time) {
            Some(id) => {
                self.heartbeat.told = Some((id, keys));
                if presence.links.is_some() {
                    self.heartbeat.links_in = Some(id);
                }
                self.heartbeat.sent(presence.clock, presence.through.is_some(), now);
            }
            None => self.heartbeat.links = None,
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
            links: None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_word_is_said_again_early_and_no_later_than_its_turn() {
        let (timing, start) = (Timing::default(), Instant::now());
        let turn = start + timing.presence_every;
        let mut heartbeat = Heartbeat::new(start);
        let mut waits = Vec::new();
        for loss in 1..=6 {
            (heartbeat.due, heartbeat.told) = (turn, Some((LetterId(loss), Vec::new())));
            heartbeat.letter_lost(LetterId(loss + 1), &timing, start);
            assert_eq!(heartbeat.due, turn, "another letter was lost");
            heartbeat.letter_lost(LetterId(loss), &timing, start);
            waits.push(heartbeat.due - start);
        }
        assert!(waits[0] <= timing.retry_first && waits[5] == timing.presence_every, "{waits:?}");
        heartbeat.told = Some((LetterId(9), Vec::new()));
        assert_eq!(heartbeat.letter_taken(LetterId(9)), Some(Vec::new()));
        heartbeat.told = Some((LetterId(10), Vec::new()));
        heartbeat.letter_lost(LetterId(10), &timing, start);
        assert!(heartbeat.due - start <= timing.retry_first, "the first loss in a row");
    }

    #[test]
    fn connections_are_told_of_when_they_change_and_every_five_minutes() {
        let start = Instant::now();
        let link =
            |number, round_trip_us| Link { node: NodeId::from_bytes([number; 32]), round_trip_us, is_dialled: true };
        let mut heartbeat = Heartbeat::new(start);
        let table = [
            (0, vec![link(1, None)], true),
            (10, vec![link(1, None)], false),
            (20, vec![link(1, Some(300))], true),
            (30, vec![link(1, Some(400))], false),
            (40, vec![link(1, Some(400)), link(2, None)], true),
            (339, vec![link(1, Some(500)), link(2, None)], false),
            (340, vec![link(1, Some(500)), link(2, None)], true),
        ];
        for (second, links, is_news) in table {
            let told = heartbeat.news_of_links(links.clone(), start + Duration::from_secs(second));
            assert_eq!(told, is_news.then_some(links), "after {second} s");
        }
        heartbeat.hurry(start + Duration::from_secs(350));
        let again = heartbeat.news_of_links(vec![link(1, Some(500)), link(2, None)], start + Duration::from_secs(350));
        assert!(again.is_some(), "the way to the coordinator is another one");
        heartbeat.links_in = Some(LetterId(1));
        heartbeat.told = Some((LetterId(2), Vec::new()));
        heartbeat.letter_lost(LetterId(2), &Timing::default(), start + Duration::from_secs(361));
        assert!(heartbeat.links.is_some(), "the lost word did not tell of them");
        heartbeat.letter_lost(LetterId(1), &Timing::default(), start + Duration::from_secs(362));
        assert_eq!(heartbeat.links, None, "the word that did was lost on the way, later ones or not");
    }

    #[test]
    fn a_word_that_others_pass_on_is_missed_when_the_coordinator_does_not_answer_it() {
        let (timing, start) = (Timing::default(), Instant::now());
        let (at, clock) = (|seconds| start + Duration::from_secs(seconds), Timestamp::from_millis);
        let mut heartbeat = Heartbeat::new(start);
        let is_swallowed = |heartbeat: &mut Heartbeat, seconds| heartbeat.is_swallowed(true, &timing, at(seconds));
        heartbeat.sent(clock(5), false, at(0));
        assert!(!is_swallowed(&mut heartbeat, 60), "nobody could keep it");
        heartbeat.sent(clock(6), true, at(60));
        heartbeat.sent(clock(7), true, at(70));
        heartbeat.heard(clock(5));
        assert!(!is_swallowed(&mut heartbeat, 79));
        assert!(is_swallowed(&mut heartbeat, 80), "an earlier one was heard");
        assert!(!is_swallowed(&mut heartbeat, 100), "told once");
        heartbeat.sent(clock(8), true, at(100));
        heartbeat.heard(clock(9));
        assert!(!is_swallowed(&mut heartbeat, 160), "a later one was heard");
        heartbeat.sent(clock(10), true, at(160));
        assert!(!heartbeat.is_swallowed(false, &timing, at(190)), "the coordinator is away");
        assert!(!is_swallowed(&mut heartbeat, 191), "and its return starts anew");
    }
}
