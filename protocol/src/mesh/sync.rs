//! Pulls: neighbours are asked for what gossip may have lost, and for the cards that differ. Rosters are handed on.

use super::board::Novelty;
use super::cards::Offered;
use super::gossip::Refusal;
use super::wire::{SyncDialect, TalkEvent};
use super::{Mesh, peer};
use crate::card::SignedCard;
use crate::codec;
use crate::envelope::Envelope;
use crate::identity::NodeId;
use crate::time::Timestamp;
use libp2p::request_response::{Event, Message, OutboundFailure, OutboundRequestId};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;
use words::{CardsAnswer, CardsRequest, NewsAnswer, NewsRequest, SyncAnswer, SyncRequest};

mod rosters;
pub(super) mod words;

/// Neighbours that are asked at once when the coordinator is none of them.
const WIDTH: usize = 3;

/// Bytes of announcements in one answer that carries no roster.
const ANSWER_BYTES: usize = 1_400 * 1024;

/// Bytes of cards in one answer.
const CARDS_BYTES: usize = 256 * 1024;

/// How long an answer may take until whoever owes it is asked again. It is still welcome then.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);

/// The requests that wait for their answer. Until it is late, there is at most one of each kind per neighbour.
#[derive(Debug, Default)]
pub(super) struct Pulls(BTreeMap<OutboundRequestId, Pull>);

#[derive(Debug)]
struct Pull {
    node: NodeId,
    wanted: Wanted,
    asked: Instant,
    is_late: bool,
}

#[derive(Debug)]
enum Wanted {
    News {
        /// The coordinator's boot, and what its newest beacon counted when this was asked.
        goal: Option<(u64, u64)>,
        /// The highest roster epoch that was spoken of when this was asked.
        sought: u64,
    },
    Cards {
        /// The shares that were asked for, and those that did not fit into the request.
        shares: Vec<u8>,
    },
    /// That the roster of this epoch, which was handed over, is taken.
    Roster { epoch: u64 },
}

impl Pulls {
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn waits_for_news(&self, node: &NodeId) -> bool {
        self.in_time().any(|pull| pull.node == *node && matches!(pull.wanted, Wanted::News { .. }))
    }

    fn waits_for_cards(&self, node: &NodeId) -> bool {
        self.in_time().any(|pull| pull.node == *node && matches!(pull.wanted, Wanted::Cards { .. }))
    }

    fn is_handing_roster_to(&self, node: &NodeId) -> bool {
        self.in_time().any(|pull| pull.node == *node && matches!(pull.wanted, Wanted::Roster { .. }))
    }

    fn in_time(&self) -> impl Iterator<Item = &Pull> {
        self.0.values().filter(|pull| !pull.is_late)
    }

    /// When [`Self::overdue`] will have something.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.in_time().map(|pull| pull.asked + ANSWERED_WITHIN).min()
    }

    /// Who has not answered in time, and when that was asked; each question once.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<(NodeId, Instant)> {
        let late = self.0.values_mut().filter(|pull| !pull.is_late && pull.asked + ANSWERED_WITHIN <= now);
        late.map(|pull| {
            pull.is_late = true;
            (pull.node, pull.asked)
        })
        .collect()
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

    pub(super) fn pull_from_others(&mut self, except: Option<NodeId>) {
        let mut nodes: Vec<(Option<Instant>, NodeId)> =
            self.neighbours.iter().map(|(node, neighbour)| (neighbour.asked, *node)).collect();
        nodes.retain(|(_, node)| Some(*node) != except);
        nodes.sort_unstable();
        nodes.into_iter().take(WIDTH).for_each(|(_, node)| self.pull_from(node));
    }

    pub(super) fn pull_from(&mut self, node: NodeId) {
        if self.pulls.waits_for_news(&node) {
            return;
        }
        let now = Instant::now();
        let hears = self.hears(now);
        if let Some(neighbour) = self.neighbours.get_mut(&node) {
            neighbour.asked = Some(now);
            neighbour.told = Some(hears);
            let (epoch, hash) = self.gate.version().unwrap_or_default();
            // Who missed some asks for everyone's: members that are reached only through this one pull theirs here.
            let holder = self.board.missing().is_none().then(|| self.author.id());
            let cards = self.cards.digest();
            let latest = self.board.latest_beacon().map(|(beacon, _)| (beacon.header().boot, beacon.message()));
            let goal = latest.map(|(boot, message)| (boot, message.announced));
            let request = NewsRequest {
                epoch,
                hash,
                beacon: latest.map(|(boot, message)| (boot, message.counter)),
                holder,
                have: self.board.have(holder.as_ref()),
                cancelled: self.board.cancelled().collect(),
                cards,
                hears,
            };
            let wanted = Wanted::News { goal, sought: self.gate.sought() };
            self.ask(node, SyncRequest::News(request), wanted);
        }
    }

    fn ask_for_cards(&mut self, node: NodeId, shares: Vec<u8>) {
        if shares.is_empty() || self.pulls.waits_for_cards(&node) {
            return;
        }
        let (covered, list) = self.cards.list(&shares);
        self.ask(node, SyncRequest::Cards(CardsRequest { shares: covered, list }), Wanted::Cards { shares });
    }

    fn ask(&mut self, node: NodeId, request: SyncRequest, wanted: Wanted) {
        if let Some(peer) = peer::peer_id(&node) {
            let id = self.swarm.behaviour_mut().sync.send_request(&peer, request);
            self.pulls.0.insert(id, Pull { node, wanted, asked: Instant::now(), is_late: false });
        }
    }

    pub(super) fn on_sync(&mut self, event: TalkEvent<SyncDialect>, now: Timestamp) {
        match event {
            Event::Message { peer, message: Message::Request { request, channel, .. }, .. } => {
                self.spoke_up(&peer);
                let Some(node) = peer::node_id(&peer).filter(|node| self.gate.lets_in(node)) else { return };
                let answer = self.answer(node, &request, now);
                if self.swarm.behaviour_mut().sync.send_response(channel, answer).is_err() {
                    tracing::debug!(%peer, "a neighbour left before its pull was answered");
                }
                self.ask_back(node, &request, now);
            }
            Event::Message { peer, message: Message::Response { request_id, response }, .. } => {
                self.spoke_up(&peer);
                if let Some(pull) = self.pulls.0.remove(&request_id) {
                    self.learn(pull, response, now);
                }
            }
            Event::OutboundFailure { request_id, error, .. } => {
                if let Some(pull) = self.pulls.0.remove(&request_id) {
                    self.on_pull_failed(&pull, &error);
                }
            }
            Event::InboundFailure { peer, error, .. } => tracing::debug!(%peer, %error, "a pull was not answered"),
            Event::ResponseSent { .. } => {}
        }
    }

    fn on_pull_failed(&mut self, pull: &Pull, error: &OutboundFailure) {
        tracing::debug!(node.id = %pull.node, %error, "a pull failed");
        if pull.is_late {
            return;
        }
        // One of two connections was closed; the other one serves.
        let has_other = matches!(error, OutboundFailure::ConnectionClosed) && self.connected(&pull.node);
        match pull.wanted {
            Wanted::Roster { .. } if has_other => self.hand_roster_to(pull.node),
            // It pulls what it lacks.
            Wanted::Roster { .. } => {}
            Wanted::News { .. } | Wanted::Cards { .. } if has_other => self.pull_from(pull.node),
            Wanted::News { .. } | Wanted::Cards { .. } if self.gate.is_coordinator(&pull.node) => {
                self.pull_from_others(Some(pull.node));
            }
            Wanted::News { .. } | Wanted::Cards { .. } => {}
        }
    }

    fn answer(&mut self, node: NodeId, request: &SyncRequest, now: Timestamp) -> SyncAnswer {
        match request {
            SyncRequest::News(request) => SyncAnswer::News(self.news_for(request, now)),
            SyncRequest::Cards(CardsRequest { shares, list }) => {
                let (cards, more) = self.cards.lacking(shares, list, CARDS_BYTES);
                SyncAnswer::Cards(CardsAnswer { cards, more })
            }
            SyncRequest::Roster(handed) => {
                self.take_handed(node, handed, now);
                SyncAnswer::Roster { epoch: self.gate.epoch() }
            }
        }
    }

    fn news_for(&mut self, request: &NewsRequest, now: Timestamp) -> NewsAnswer {
        let theirs = (request.epoch, request.hash);
        let wanted = self
            .gate
            .version()
            .is_some_and(|(epoch, hash)| epoch > theirs.0 || (epoch == theirs.0 && hash != theirs.1));
        let roster = self.gate.signed().filter(|_| wanted).cloned();
        let cancels = self.board.cancels_but(&request.cancelled, now);
        let size =
            |envelopes: &[Envelope]| envelopes.iter().map(|envelope| envelope.as_bytes().len() + 8).sum::<usize>();
        let head = self.board.head_after(request.epoch, now);
        let taken = roster.as_ref().map_or(0, |roster| codec::encode(roster).len()) + size(&cancels);
        let taken = taken + size(head.as_slice());
        let room = ANSWER_BYTES.saturating_sub(taken);
        let (announcements, more) = self.board.open_for(request.holder.as_ref(), &request.have, room, now);
        let newer = self
            .board
            .latest_beacon()
            .filter(|(beacon, _)| Some((beacon.header().boot, beacon.message().counter)) > request.beacon);
        let beacon = newer.map(|(_, envelope)| envelope.clone());
        let cards = if self.cards.digest() == request.cards { Vec::new() } else { self.cards.sums().to_vec() };
        NewsAnswer { epoch: self.gate.epoch(), roster, head, beacon, announcements, cancels, more, cards }
    }

    /// Whoever asks may itself hold what is newer.
    fn ask_back(&mut self, node: NodeId, request: &SyncRequest, now: Timestamp) {
        match request {
            SyncRequest::News(request) => {
                self.note_epoch(node, request.epoch);
                if let Some(neighbour) = self.neighbours.get_mut(&node) {
                    neighbour.hears = request.hears;
                }
                if request.epoch > self.gate.epoch() {
                    self.pull_from(node);
                }
            }
            SyncRequest::Roster(_) => {}
            SyncRequest::Cards(CardsRequest { shares, list }) => {
                if self.cards.lacks(list, self.gate.inside(), now) {
                    self.ask_for_cards(node, shares.clone());
                }
            }
        }
    }

    fn learn(&mut self, pull: Pull, answer: SyncAnswer, now: Timestamp) {
        let Pull { node, wanted, asked: _, is_late: _ } = pull;
        match (wanted, answer) {
            (Wanted::News { goal, sought }, SyncAnswer::News(news)) => self.learn_news(node, goal, sought, news, now),
            (Wanted::Cards { shares }, SyncAnswer::Cards(answer)) => self.learn_cards(node, shares, answer, now),
            (Wanted::Roster { epoch }, SyncAnswer::Roster { epoch: held }) => self.on_roster_taken(node, epoch, held),
            (
                Wanted::News { .. } | Wanted::Cards { .. } | Wanted::Roster { .. },
                SyncAnswer::News(_) | SyncAnswer::Cards(_) | SyncAnswer::Roster { .. },
            ) => tracing::warn!(node.id = %node, "a neighbour answered what it was not asked"),
        }
    }

    fn learn_news(&mut self, node: NodeId, goal: Option<(u64, u64)>, sought: u64, news: NewsAnswer, now: Timestamp) {
        let NewsAnswer { epoch, roster, head, beacon, announcements, cancels, more, cards } = news;
        self.note_epoch(node, epoch);
        if let Some(head) = head {
            self.learn_head(node, head, now);
        }
        if let Some(signed) = roster
            && self.learn_roster(signed, node, now)
        {
            self.hand_roster_on();
        }
        // Before the announcements: what was cancelled is not begun.
        let Some(_) = self.hear_all(node, cancels, now) else { return };
        let Some(learned) = self.hear_all(node, announcements, now) else { return };
        if more && learned {
            self.pull_from(node);
        } else if let Some((boot, announced)) = goal {
            self.board.caught_up(boot, announced);
        }
        let Some(_) = self.hear_all(node, beacon, now) else { return };
        if !cards.is_empty() {
            let shares = self.cards.differing(&cards);
            self.ask_for_cards(node, shares);
        }
        // What was heard of while this answer was on its way may not be in it.
        let newly_sought = self.gate.sought() > sought && self.gate.sought() > self.gate.epoch();
        if newly_sought || self.board.missing().is_some() {
            self.pull_from_best();
        }
    }

    /// Hears what a neighbour hands over; whether some of it was new. `None` at the first forgery: honest members check
    /// before they keep, so the rest is not worth its signatures.
    fn hear_all(&mut self, node: NodeId, handed: impl IntoIterator<Item = Envelope>, now: Timestamp) -> Option<bool> {
        let mut learned = false;
        for envelope in handed {
            match self.hear(envelope, node, now) {
                Ok(novelty) => learned |= novelty == Novelty::First,
                // The usual case here, and no fault of the neighbour's.
                Err(Refusal::Stale) => {}
                Err(Refusal::OutOfTime) => self.counters.refuse(Refusal::OutOfTime),
                Err(Refusal::Forged) => {
                    self.counters.refuse(Refusal::Forged);
                    tracing::warn!(node.id = %node, "a neighbour handed over a forged message");
                    return None;
                }
            }
        }
        Some(learned)
    }

    fn learn_cards(&mut self, node: NodeId, shares: Vec<u8>, answer: CardsAnswer, now: Timestamp) {
        let CardsAnswer { cards, more } = answer;
        let mut learned = false;
        for card in cards {
            match self.learn_card(card, now) {
                Offered::Newer => learned = true,
                Offered::Useless => {}
                // Honest members check before they keep, so the rest is not worth its signatures.
                Offered::Forged => {
                    self.counters.forged += 1;
                    return tracing::warn!(node.id = %node, "a neighbour handed over a forged card");
                }
            }
        }
        if more && learned {
            self.ask_for_cards(node, shares);
        }
    }

    /// Keeps a member's card if it is newer than the one that is held, and dials by it.
    pub(super) fn learn_card(&mut self, signed: SignedCard, now: Timestamp) -> Offered {
        if signed.claims().is_ok_and(|card| card.key == self.author.id()) {
            self.heed_own(&signed);
            return Offered::Useless;
        }
        let gate = &self.gate;
        let (offered, card) = self.cards.offer(signed, |key| gate.lets_in(key), now);
        if let Some(card) = card {
            self.dialler.learn(card.key, &card.addresses, Instant::now());
        }
        offered
    }
}
