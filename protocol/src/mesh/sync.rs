//! Pulls: neighbours are asked for the roster, beacon and announcements that gossip may have lost.

use super::board::Novelty;
use super::wire::{SyncAnswer, SyncDialect, SyncRequest, TalkEvent};
use super::{Mesh, MeshEvent, peer};
use crate::codec;
use crate::identity::NodeId;
use crate::roster::{Precedence, SignedRoster};
use crate::time::Timestamp;
use libp2p::request_response::{Event, Message, OutboundRequestId};
use std::collections::BTreeMap;
use tokio::time::Instant;

/// Neighbours that are asked at once when the coordinator is none of them.
const WIDTH: usize = 3;

/// Bytes of announcements in one answer that carries no roster.
const ANSWER_BYTES: usize = 1_400 * 1024;

/// The requests that wait for their answer, at most one per neighbour.
#[derive(Debug, Default)]
pub(super) struct Pulls(BTreeMap<OutboundRequestId, Pull>);

#[derive(Debug)]
struct Pull {
    node: NodeId,
    /// The coordinator's boot, and what its newest beacon counted when this was asked.
    goal: Option<(u64, u64)>,
    /// The highest roster epoch that was spoken of when this was asked.
    sought: u64,
}

impl Pulls {
    fn waits_for(&self, node: &NodeId) -> bool {
        self.0.values().any(|pull| pull.node == *node)
    }
}

impl Mesh {
    /// The coordinator if it is connected, else the neighbours that were not asked for longest.
    pub(super) fn pull_from_best(&mut self) {
        match self.neighbours.keys().copied().find(|node| self.gate.is_coordinator(node)) {
            Some(coordinator) => self.pull_from(coordinator),
            None => self.pull_from_others(None),
        }
    }

    fn pull_from_others(&mut self, except: Option<NodeId>) {
        let mut nodes: Vec<(Option<Instant>, NodeId)> =
            self.neighbours.iter().map(|(node, neighbour)| (neighbour.asked, *node)).collect();
        nodes.retain(|(_, node)| Some(*node) != except);
        nodes.sort_unstable();
        nodes.into_iter().take(WIDTH).for_each(|(_, node)| self.pull_from(node));
    }

    pub(super) fn pull_from(&mut self, node: NodeId) {
        let Some(peer) = peer::peer_id(&node) else { return };
        if self.pulls.waits_for(&node) {
            return;
        }
        if let Some(neighbour) = self.neighbours.get_mut(&node) {
            neighbour.asked = Some(Instant::now());
            let (epoch, hash) = self.gate.version().unwrap_or_default();
            let holder = self.author.id();
            let request = SyncRequest { epoch, hash, holder, have: self.board.have(&holder) };
            let goal = self.board.latest_beacon().map(|(beacon, _)| (beacon.header().boot, beacon.message().announced));
            let id = self.swarm.behaviour_mut().sync.send_request(&peer, request);
            self.pulls.0.insert(id, Pull { node, goal, sought: self.gate.sought() });
        }
    }

    pub(super) fn on_sync(&mut self, event: TalkEvent<SyncDialect>, now: Timestamp) {
        match event {
            Event::Message { peer, message: Message::Request { request, channel, .. }, .. } => {
                let Some(node) = peer::node_id(&peer).filter(|node| self.gate.lets_in(node)) else { return };
                let answer = self.answer(&request, now);
                if self.swarm.behaviour_mut().sync.send_response(channel, answer).is_err() {
                    tracing::debug!(%peer, "a neighbour left before its pull was answered");
                }
                if request.epoch > self.gate.epoch() {
                    self.pull_from(node);
                }
            }
            Event::Message { message: Message::Response { request_id, response }, .. } => {
                if let Some(pull) = self.pulls.0.remove(&request_id) {
                    self.learn(&pull, response, now);
                }
            }
            Event::OutboundFailure { request_id, error, .. } => {
                if let Some(pull) = self.pulls.0.remove(&request_id) {
                    tracing::debug!(node.id = %pull.node, %error, "a pull failed");
                    if self.gate.is_coordinator(&pull.node) {
                        self.pull_from_others(Some(pull.node));
                    }
                }
            }
            Event::InboundFailure { peer, error, .. } => tracing::debug!(%peer, %error, "a pull was not answered"),
            Event::ResponseSent { .. } => {}
        }
    }

    fn answer(&self, request: &SyncRequest, now: Timestamp) -> SyncAnswer {
        let theirs = (request.epoch, request.hash);
        let wanted = self
            .gate
            .version()
            .is_some_and(|(epoch, hash)| epoch > theirs.0 || (epoch == theirs.0 && hash != theirs.1));
        let roster = self.gate.signed().filter(|_| wanted).cloned();
        let room = ANSWER_BYTES.saturating_sub(roster.as_ref().map_or(0, |roster| codec::encode(roster).len()));
        let (announcements, more) = self.board.open_for(&request.holder, &request.have, room, now);
        let beacon = self.board.latest_beacon().map(|(_, envelope)| envelope.clone());
        SyncAnswer { epoch: self.gate.epoch(), roster, beacon, announcements, more }
    }

    fn learn(&mut self, pull: &Pull, answer: SyncAnswer, now: Timestamp) {
        if let Some(signed) = answer.roster {
            self.learn_roster(signed, pull.node, now);
        }
        let mut learned = false;
        for announcement in answer.announcements {
            learned |= self.hear(announcement, pull.node, now) == Ok(Novelty::First);
        }
        if answer.more && learned {
            self.pull_from(pull.node);
        } else if let Some((boot, announced)) = pull.goal {
            self.board.caught_up(boot, announced);
        }
        if let Some(beacon) = answer.beacon {
            // A repeat is the usual case here, and no fault of the neighbour's.
            let _ = self.hear(beacon, pull.node, now);
        }
        // What was heard of while this answer was on its way may not be in it.
        let newly_sought = self.gate.sought() > pull.sought && self.gate.sought() > self.gate.epoch();
        if newly_sought || self.board.missing().is_some() {
            self.pull_from_best();
        }
    }

    fn learn_roster(&mut self, signed: SignedRoster, from: NodeId, now: Timestamp) {
        match self.gate.adopt(signed.clone()) {
            Ok(Precedence::Newer) => {
                self.apply_gate(now);
                if let Some(roster) = self.gate.roster().cloned() {
                    tracing::info!(roster.epoch = roster.epoch, node.id = %from, "a newer roster is in force");
                    self.events.push_back(MeshEvent::RosterAdopted { signed, roster });
                }
                self.offer_roster(from);
            }
            Ok(Precedence::Conflict) => {
                if let Some((epoch, held)) = self.gate.version() {
                    let offered = signed.hash();
                    self.events.push_back(MeshEvent::RosterConflict { epoch, held, offered, from });
                }
            }
            Ok(Precedence::Same | Precedence::Older) => {}
            Err(error) => tracing::warn!(node.id = %from, %error, "a neighbour handed over a bad roster"),
        }
    }

    /// A neighbour that is asked by someone with a newer roster asks back: so a roster runs on without the coordinator.
    fn offer_roster(&mut self, from: NodeId) {
        let others: Vec<NodeId> = self.neighbours.keys().copied().filter(|node| *node != from).collect();
        others.into_iter().for_each(|node| self.pull_from(node));
    }
}
