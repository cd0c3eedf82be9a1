//! Who hears the coordinator itself. Nobody has to pass its words on to such a member, and while its beacons tell nothing
//! new there is nothing to ask for: so a mesh at rest is quiet.
//!
//! What a member says of itself ends with the first silence. Rosters and cancellations are passed on to everybody. Who
//! falls silent is asked twice, and then let go.

use super::behaviour::PING_PATIENCE;
use super::{Mesh, gossip, peer};
use crate::envelope::{Envelope, Kind};
use crate::identity::NodeId;
use crate::roster::Role;
use crate::task::RunId;
use crate::time::Timestamp;
use libp2p::{PeerId, ping};
use std::time::Duration;
use tokio::time::Instant;

/// How long a word of the coordinator counts: two beacons and a half.
const HEARD_FOR: Duration = Duration::from_secs(25);

/// What a failed ping tells of: libp2p keeps the first one to itself.
const PINGS_FAILED: u32 = 2;

/// Pulls in a row that are left out while there is nothing to ask for.
const LEFT_OUT: u32 = 9;

/// What was heard of the coordinator.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    /// Its latest word over an own connection.
    own: Option<Instant>,
    /// Its latest beacon, on whichever way.
    beacon: Option<Instant>,
    /// Whether it was heard over an own connection when that was last looked at.
    is_heard: bool,
    /// How many of the next pulls may be left out.
    left_out: u32,
}

impl Hearing {
    pub(super) fn beacon(&mut self, now: Instant) {
        self.beacon = Some(now);
    }

    /// The next pull is made, whatever beacons tell.
    pub(super) fn insist(&mut self) {
        self.left_out = 0;
    }

    /// When the silence of its own connection becomes too long.
    fn ends(&self) -> Option<Instant> {
        self.own.map(|own| own + HEARD_FOR)
    }

    fn leave_out(&mut self, is_quiet: bool) -> bool {
        let is_left_out = is_quiet && self.left_out > 0;
        self.left_out = if is_left_out { self.left_out - 1 } else { LEFT_OUT };
        is_left_out
    }
}

/// The same for the same runs.
pub(super) fn sum(runs: impl Iterator<Item = RunId>) -> u64 {
    let mixed = |run: RunId| (run.0 ^ (run.0 >> 32)).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    runs.fold(0, |sum, run| sum ^ mixed(run))
}

fn is_fresh(heard: Option<Instant>, now: Instant) -> bool {
    heard.is_some_and(|heard| now.saturating_duration_since(heard) < HEARD_FOR)
}

impl Mesh {
    /// Gossip came from this neighbour.
    pub(super) fn heard_by(&mut self, from: NodeId, now: Instant) {
        if self.gate.is_coordinator(&from) {
            if !is_fresh(self.hearing.own, now) {
                self.stir(now);
            }
            self.hearing.own = Some(now);
        }
    }

    /// A proven beacon that is newer than all before tells the time, however old it looks by ours.
    pub(super) fn learn_time(&mut self, envelope: &Envelope) -> Option<Timestamp> {
        let (clock, header) = (self.clock.as_mut()?, envelope.header().ok()?);
        let order = (header.boot, header.sequence);
        if header.kind == Kind::Beacon && clock.counts(header.sender, order) {
            gossip::judge(envelope, self.author.mesh(), self.gate.roster()?, header.issued).ok()?;
            clock.hear(header.sender, order, header.issued, Instant::now());
            return Some(self.time());
        }
        None
    }

    /// Whether this member hears the coordinator itself.
    pub(super) fn hears(&self, now: Instant) -> bool {
        is_fresh(self.hearing.own, now) && self.neighbours.keys().any(|node| self.gate.is_coordinator(node))
    }

    /// Whether some neighbour has not heard it itself.
    pub(super) fn is_to_pass_on(&self) -> bool {
        self.neighbours.iter().any(|(node, neighbour)| !neighbour.hears && !self.gate.is_coordinator(node))
    }

    pub(super) fn on_ping(&mut self, event: &ping::Event) {
        let Some(node) = peer::node_id(&event.peer) else { return };
        match &event.result {
            Ok(round_trip) => {
                self.spoke_up(&event.peer);
                if let Some(neighbour) = self.neighbours.get_mut(&node) {
                    neighbour.round_trip = Some(*round_trip);
                }
            }
            Err(ping::Failure::Timeout) => {
                let now = Instant::now();
                self.missed_answer(&node, PINGS_FAILED, now.checked_sub(PING_PATIENCE).unwrap_or(now));
            }
            // It said that it does not speak this; or its connection is gone, which is told by itself.
            Err(ping::Failure::Unsupported | ping::Failure::Other { .. }) => {}
        }
    }

    /// A neighbour has said something.
    pub(super) fn spoke_up(&mut self, peer: &PeerId) {
        if let Some(neighbour) = peer::node_id(peer).and_then(|node| self.neighbours.get_mut(&node)) {
            neighbour.spoke(Instant::now());
        }
    }

    /// A neighbour has not answered so many questions in time, the latest of which it was asked at `asked`. True when it
    /// is to be asked again: it has been silent since, and not yet for too long.
    fn missed_answer(&mut self, node: &NodeId, questions: u32, asked: Instant) -> bool {
        let silent = self.neighbours.get_mut(node).filter(|neighbour| neighbour.is_silent_since(asked));
        let Some(is_too_long) = silent.map(|neighbour| neighbour.missed(questions)) else { return false };
        if let Some(peer) = peer::peer_id(node).filter(|_| is_too_long) {
            tracing::info!(node.id = %node, "a member no longer answers; its connection is closed");
            // It fails only when the connection has gone by itself.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        !is_too_long
    }

    /// Who has not answered a pull in time is asked again, and others in place of the coordinator.
    pub(super) fn ask_silent_again(&mut self, now: Instant) {
        for (node, asked) in self.pulls.overdue(now) {
            tracing::debug!(node.id = %node, "a pull is not answered in time");
            if self.missed_answer(&node, 1, asked) {
                self.pull_from(node);
            }
            if self.gate.is_coordinator(&node) {
                self.pull_from_others(Some(node));
            }
        }
    }

    /// Tells the neighbours, by asking them for news, when this member begins or ends to hear the coordinator. When it
    /// ends, the coordinator is asked too.
    pub(super) fn tell_hearing(&mut self, now: Instant) {
        let hears = self.hears(now);
        if std::mem::replace(&mut self.hearing.is_heard, hears) && !hears {
            self.hearing.insist();
            self.next_pull = self.next_pull.min(now);
        }
        if let Some(end) = self.hearing.ends().filter(|end| hears && *end > now) {
            self.next_tick = self.next_tick.min(end);
        }
        let is_to_know = |node: &NodeId, told: Option<bool>| told != Some(hears) && !self.gate.is_coordinator(node);
        let unknowing = self.neighbours.iter().filter(|(node, neighbour)| is_to_know(node, neighbour.told));
        let unknowing: Vec<NodeId> = unknowing.map(|(node, _)| *node).collect();
        unknowing.into_iter().for_each(|node| self.pull_from(node));
    }

    /// Asks for what was missed, unless the latest beacon tells that nothing was.
    pub(super) fn pull_when_needed(&mut self, now: Instant) {
        let is_quiet = self.role == Role::Node && is_fresh(self.hearing.beacon, now) && self.holds_all();
        if !self.hearing.leave_out(is_quiet) {
            self.pull_from_best();
        }
    }

    pub(super) fn holds_all(&mut self) -> bool {
        let told =
            self.board.latest_beacon().map(|(beacon, _)| (beacon.message().roster_epoch, beacon.message().digest));
        told == Some((self.gate.epoch(), self.digest())) && self.board.missing().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_counts_for_two_beacons_and_a_half() {
        let now = Instant::now();
        let at = |seconds| is_fresh(Some(now), now + Duration::from_secs(seconds));
        assert_eq!([at(0), at(24), at(25), is_fresh(None, now)], [true, true, false, false]);
    }

    #[test]
    fn nine_pulls_are_left_out_while_nothing_is_missed() {
        let mut hearing = Hearing::default();
        let made = |hearing: &mut Hearing, pulls| (0..pulls).filter(|_| !hearing.leave_out(true)).count();
        assert_eq!(made(&mut hearing, 21), 3, "the first, and every tenth after it");
        hearing.insist();
        assert_eq!(made(&mut hearing, 10), 1);
        assert_eq!((0..5).filter(|_| !hearing.leave_out(false)).count(), 5);
    }
}
