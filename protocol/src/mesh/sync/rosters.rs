//! Rosters: a newer one is in force at once and runs on, by gossip where the coordinator's word on it is held, else from
//! neighbour to neighbour, unasked. So a revocation is as fast as messages are. What gets lost on the way is pulled.

use super::Wanted;
use super::words::{HandedRoster, SyncRequest};
use crate::envelope::Envelope;
use crate::identity::NodeId;
use crate::mesh::neighbour::Neighbour;
use crate::mesh::{Mesh, MeshEvent};
use crate::message::RosterHead;
use crate::roster::{Precedence, RosterHash, SignedRoster, precedence};
use crate::time::Timestamp;
use std::time::Duration;
use tokio::time::Instant;

/// How long a newer roster that was spoken of may take to be handed over, before it is pulled.
const HANDED_WITHIN: Duration = Duration::from_secs(1);

impl Mesh {
    /// A head came: keys are shut out on its word alone. Gossip carries it on, and the roster with it.
    pub(in crate::mesh) fn heed_head(&mut self, head: RosterHead, from: NodeId, now: Timestamp) {
        self.gate.bar(&head);
        self.apply_gate(now);
        let RosterHead { epoch, hash, revoked: _, roster } = head;
        match (self.gate.seek((epoch, hash)), roster) {
            (Precedence::Newer, Some(roster)) => {
                self.note_epoch(from, epoch);
                self.learn_roster(roster, from, now);
            }
            (Precedence::Newer, None) | (Precedence::Conflict, _) => self.pull_from_best(),
            (Precedence::Same | Precedence::Older, _) => {}
        }
    }

    /// A neighbour hands over a head. When it is news, gossip has not brought it, perhaps to nobody; now it does.
    pub(super) fn learn_head(&mut self, node: NodeId, head: Envelope, now: Timestamp) {
        let known = (self.gate.epoch(), self.gate.sought());
        let (topic, bytes) = (self.topics.control.clone(), head.as_bytes().to_vec());
        let is_heard = self.hear_all(node, [head], now).is_some();
        let is_news = is_heard && known != (self.gate.epoch(), self.gate.sought());
        if is_news && self.swarm.behaviour_mut().gossip.publish(topic, bytes).is_err() {
            self.hand_roster_on();
        }
    }

    /// A beacon speaks of this roster. A newer one is on its way here; the proof of a second truth is not.
    pub(in crate::mesh) fn seek_roster(&mut self, spoken_of: (u64, RosterHash)) {
        match self.gate.seek(spoken_of) {
            Precedence::Newer => {
                self.roster_due.get_or_insert(Instant::now() + HANDED_WITHIN);
            }
            Precedence::Conflict => self.pull_from_best(),
            Precedence::Same | Precedence::Older => {}
        }
    }

    /// Asks for a roster that should have been handed over by now.
    pub(in crate::mesh) fn pull_late_roster(&mut self, now: Instant) {
        let is_due = self.roster_due.take_if(|due| *due <= now).is_some();
        if is_due && self.gate.sought() > self.gate.epoch() {
            self.pull_from_best();
        }
    }

    /// A newer roster is in force here, and gossip does not tell of it.
    pub(in crate::mesh) fn hand_roster_on(&mut self) {
        let epoch = self.gate.epoch();
        // Who is thrown out by it is a neighbour for a moment more.
        let is_to_know = |(node, neighbour): &(&NodeId, &Neighbour)| neighbour.epoch < epoch && self.gate.lets_in(node);
        let lacking: Vec<NodeId> = self.neighbours.iter().filter(is_to_know).map(|(node, _)| *node).collect();
        lacking.into_iter().for_each(|node| self.hand_roster_to(node));
    }

    pub(super) fn hand_roster_to(&mut self, node: NodeId) {
        if self.pulls.is_handing_roster_to(&node) {
            return;
        }
        if let Some(roster) = self.gate.signed().cloned() {
            let epoch = self.gate.epoch();
            self.ask(node, SyncRequest::Roster(HandedRoster { epoch, roster }), Wanted::Roster { epoch });
        }
    }

    /// A neighbour was handed the roster of epoch `handed`, and holds the one of epoch `held` now.
    pub(super) fn on_roster_taken(&mut self, node: NodeId, handed: u64, held: u64) {
        self.note_epoch(node, held);
        let own = self.gate.epoch();
        if held > own {
            self.pull_from(node);
        } else if own > handed.max(held) {
            self.hand_roster_to(node);
        }
    }

    pub(super) fn take_handed(&mut self, from: NodeId, handed: &HandedRoster, now: Timestamp) {
        let HandedRoster { epoch, roster } = handed;
        self.note_epoch(from, *epoch);
        match precedence(self.gate.version(), (*epoch, roster.hash())) {
            Precedence::Newer | Precedence::Conflict => {
                if self.learn_roster(roster.clone(), from, now) {
                    self.hand_roster_on();
                }
            }
            Precedence::Same | Precedence::Older => {}
        }
    }

    /// A neighbour says which roster it holds.
    pub(super) fn note_epoch(&mut self, node: NodeId, epoch: u64) {
        if let Some(neighbour) = self.neighbours.get_mut(&node) {
            neighbour.epoch = neighbour.epoch.max(epoch);
        }
    }

    /// True when it is in force from now on.
    pub(super) fn learn_roster(&mut self, signed: SignedRoster, from: NodeId, now: Timestamp) -> bool {
        match self.gate.adopt(signed.clone()) {
            Ok(Precedence::Newer) => {
                self.apply_gate(now);
                if let Some(roster) = self.gate.roster().cloned() {
                    tracing::info!(roster.epoch = roster.epoch, node.id = %from, "a newer roster is in force");
                    self.events.push_back(MeshEvent::RosterAdopted { signed, roster });
                }
                return true;
            }
            Ok(Precedence::Conflict) => {
                if let Some((epoch, held)) = self.gate.version() {
                    let offered = signed.hash();
                    self.events.push_back(MeshEvent::RosterConflict { epoch, held, offered, from });
                }
            }
            Ok(Precedence::Same | Precedence::Older) => {}
            Err(error) => {
                self.counters.forged += 1;
                tracing::warn!(node.id = %from, %error, "a neighbour handed over a bad roster");
            }
        }
        false
    }
}
