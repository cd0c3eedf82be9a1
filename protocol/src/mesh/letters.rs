//! Letters, from neighbour to neighbour up to their reader. Each answers the one before it when it has been answered
//! itself, so `Taken` means that the reader has the letter.
//!
//! What a letter says of its way can lead it astray, and it is then sent again. Whose answers come back by it is proven.

use super::wire::{Carried, LetterAnswer, LetterDialect, TalkEvent, Way, is_not_spoken};
use super::{LetterId, Mesh, MeshEvent, NotConnected, peer};
use crate::identity::NodeId;
use crate::letter::Letter;
use crate::roster::Role;
use libp2p::PeerId;
use libp2p::request_response::{Event, Message, OutboundFailure, OutboundRequestId, ResponseChannel};
use outbox::{Load, MAX_HOPS, Told};
use std::time::Duration;
use tokio::time::Instant;

mod claims;
mod outbox;
pub(super) use claims::Claims;
pub(super) use outbox::Outbox;

/// Letters that one neighbour may hand over in a burst.
const BURST: u32 = 256;

/// How often it may hand over one more.
const REFILL: Duration = Duration::from_millis(8);

/// How many letters a neighbour may still hand over. No neighbour can drown the others.
#[derive(Debug)]
pub(super) struct Allowance {
    left: u32,
    since: Instant,
}

impl Allowance {
    pub(super) fn new(now: Instant) -> Self {
        Self { left: BURST, since: now }
    }

    /// True when one more is allowed.
    fn spend(&mut self, now: Instant) -> bool {
        let earned = now.saturating_duration_since(self.since).as_millis() / REFILL.as_millis();
        let earned = u32::try_from(earned).unwrap_or(BURST).min(BURST);
        if earned > 0 {
            self.left = self.left.saturating_add(earned).min(BURST);
            self.since = now;
        }
        let allowed = self.left > 0;
        self.left = self.left.saturating_sub(1);
        allowed
    }
}

/// What is done with a letter that a neighbour hands over.
enum Step {
    Keep,
    PassOn(Load),
}

impl Mesh {
    pub(super) fn hand_over(&mut self, letter: Letter) -> Result<LetterId, NotConnected> {
        let (to, now) = (letter.to, Instant::now());
        let hop = self.first_hop(&to, now).filter(|(next, _)| self.outbox.has_room(next));
        let (next, way) = hop.ok_or(NotConnected(to))?;
        let peer = peer::peer_id(&next).ok_or(NotConnected(to))?;
        let request = self.swarm.behaviour_mut().letters.send_request(&peer, Carried { letter, way, hops: 0 });
        Ok(self.outbox.own(request, next, now))
    }

    fn first_hop(&mut self, to: &NodeId, now: Instant) -> Option<(NodeId, Way)> {
        let connected = self.connected(to).then_some(*to);
        if self.role == Role::Coordinator {
            // Where it wrote from last, even while a connection to it seems to stand.
            let back = self.ways.back(to, now).filter(|next| self.connected(next));
            return back.or(connected).map(|next| (next, Way::Down));
        }
        if let Some(reader) = connected {
            return Some((reader, Way::Straight));
        }
        let from = self.author.id();
        let neighbours = self.neighbours.keys().copied().collect();
        let (beacon, next) = self.ways.first_hop(&neighbours, now)?;
        let claim = self.claims.make(&self.author, beacon);
        Some((next, Way::Up { from, beacon, claim }))
    }

    pub(super) fn on_letters(&mut self, event: TalkEvent<LetterDialect>) {
        match event {
            Event::Message { peer, message: Message::Request { request, channel, .. }, .. } => {
                self.spoke_up(&peer);
                self.on_handed(&peer, request, channel);
            }
            Event::Message { peer, message: Message::Response { request_id, response }, .. } => {
                self.spoke_up(&peer);
                if let Some(told) = self.outbox.settle(request_id) {
                    self.tell(told, response, Instant::now());
                }
            }
            Event::OutboundFailure { request_id, error, .. } => self.on_not_handed(request_id, &error),
            Event::InboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, %error, "a letter did not come through")
            }
            Event::ResponseSent { .. } => {}
        }
    }

    fn on_handed(&mut self, peer: &PeerId, carried: Carried, channel: ResponseChannel<LetterAnswer>) {
        let now = Instant::now();
        let from = peer::node_id(peer).filter(|from| self.gate.lets_in(from));
        let step = from.ok_or(LetterAnswer::Busy).and_then(|from| Ok((from, self.judge(from, &carried, now)?)));
        match step {
            Ok((from, Step::Keep)) => {
                let writer = match carried.way {
                    Way::Up { from: writer, .. } => Some(writer),
                    Way::Straight => Some(from),
                    Way::Down => None,
                };
                self.events.push_back(MeshEvent::Letter { from, writer, letter: carried.letter });
                self.answer_letter(channel, LetterAnswer::Taken);
            }
            Ok((_, Step::PassOn(load))) => self.pass_on(load, carried, channel, now),
            Err(answer) => self.answer_letter(channel, answer),
        }
    }

    /// Cheapest first. What is refused is counted.
    fn judge(&mut self, from: NodeId, carried: &Carried, now: Instant) -> Result<Step, LetterAnswer> {
        let Carried { letter, way, hops } = carried;
        let me = self.author.id();
        let may = self.neighbours.get_mut(&from).is_some_and(|neighbour| neighbour.allowance.spend(now));
        if !may {
            self.counters.busy += 1;
            return Err(LetterAnswer::Busy);
        }
        if letter.to == me {
            return Ok(Step::Keep);
        }
        if *hops >= MAX_HOPS {
            self.counters.too_many_hops += 1;
            return Err(LetterAnswer::TooFar);
        }
        let next = self.next_hop(letter.to, *way, now).filter(|next| *next != from);
        let Some((to, mark)) = next.zip(letter.mark()) else {
            self.counters.no_way += 1;
            return Err(LetterAnswer::NoWay);
        };
        if matches!(way, Way::Up { from, .. } if *from == me) || self.outbox.carries(&mark) {
            self.counters.circled += 1;
            return Err(LetterAnswer::NoWay);
        }
        let load = Load { from, to, bytes: letter.size_bytes(), mark };
        if !self.outbox.has_room_for(&load) {
            self.counters.busy += 1;
            return Err(LetterAnswer::Busy);
        }
        if let Way::Up { from, beacon, claim } = *way
            && !self.claims.holds(self.author.mesh(), from, beacon, claim)
        {
            self.counters.forged += 1;
            return Err(LetterAnswer::NoWay);
        }
        Ok(Step::PassOn(load))
    }

    fn next_hop(&self, reader: NodeId, way: Way, now: Instant) -> Option<NodeId> {
        let next = match way {
            Way::Straight => return None,
            Way::Up { .. } | Way::Down if self.connected(&reader) => return Some(reader),
            Way::Up { beacon, .. } => self.ways.parent(beacon),
            Way::Down => self.ways.back(&reader, now),
        };
        next.filter(|next| self.connected(next))
    }

    fn pass_on(&mut self, load: Load, carried: Carried, channel: ResponseChannel<LetterAnswer>, now: Instant) {
        let Some(peer) = peer::peer_id(&load.to) else { return };
        let Carried { letter, way, hops } = carried;
        if let Way::Up { from: writer, beacon, claim: _ } = way
            && self.gate.lets_in(&writer)
            && (writer == load.from || self.ways.parent(beacon).is_some())
        {
            self.ways.came_by(writer, load.from, now);
        }
        let hops = hops.saturating_add(1);
        let request = self.swarm.behaviour_mut().letters.send_request(&peer, Carried { letter, way, hops });
        self.outbox.passed_on(request, load, channel, hops, now);
        self.counters.forwarded += 1;
    }

    fn answer_letter(&mut self, channel: ResponseChannel<LetterAnswer>, answer: LetterAnswer) {
        if self.swarm.behaviour_mut().letters.send_response(channel, answer).is_err() {
            tracing::debug!("the sender of a letter left before its answer");
        }
    }

    /// Tells the senders of letters that no neighbour has answered in time.
    pub(super) fn give_up_late(&mut self, now: Instant) {
        for told in self.outbox.overdue(now) {
            self.counters.late += u64::from(matches!(told, Told::Asker(_)));
            self.tell(told, LetterAnswer::Late, now);
        }
    }

    fn on_not_handed(&mut self, request: OutboundRequestId, error: &OutboundFailure) {
        let now = Instant::now();
        match self.outbox.settle(request) {
            Some(Told::Owner(id, first)) => self.lost(id, first, describe(error), now),
            Some(asker @ Told::Asker(_)) => {
                self.counters.no_way += 1;
                self.tell(asker, LetterAnswer::NoWay, now);
            }
            None => {}
        }
    }

    fn tell(&mut self, told: Told, answer: LetterAnswer, now: Instant) {
        match (told, answer) {
            (Told::Asker(channel), answer) => self.answer_letter(channel, answer),
            (Told::Owner(id, _), LetterAnswer::Taken) => self.events.push_back(MeshEvent::LetterDelivered { id }),
            (Told::Owner(id, first), LetterAnswer::Busy) => self.lost(id, first, "a member on its way is busy", now),
            (Told::Owner(id, first), LetterAnswer::NoWay) => self.lost(id, first, "no way leads to its reader", now),
            (Told::Owner(id, first), LetterAnswer::TooFar) => {
                self.lost(id, first, "its reader is too many members away", now);
            }
            (Told::Owner(id, first), LetterAnswer::Late) => self.lost(id, first, "no answer in time", now),
        }
    }

    fn lost(&mut self, id: LetterId, first: NodeId, reason: impl Into<String>, now: Instant) {
        if self.role == Role::Node {
            self.ways.avoid(first, now);
        }
        self.events.push_back(MeshEvent::LetterFailed { id, reason: reason.into() });
    }
}

const NO_LETTERS: &str = "the neighbour takes no letters; update it";

fn describe(error: &OutboundFailure) -> String {
    match error {
        OutboundFailure::DialFailure | OutboundFailure::ConnectionClosed => "the connection is gone".into(),
        OutboundFailure::Timeout => "no answer in time".into(),
        OutboundFailure::UnsupportedProtocols => NO_LETTERS.into(),
        OutboundFailure::Io(error) if is_not_spoken(error) => NO_LETTERS.into(),
        OutboundFailure::Io(error) => format!("the connection failed: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_neighbour_may_send_a_burst_and_then_at_a_steady_pace() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        assert!((0..BURST).all(|_| allowance.spend(start)));
        assert!(!allowance.spend(start));
        assert!(allowance.spend(start + REFILL));
        assert!(!allowance.spend(start + REFILL));
        let later = start + Duration::from_secs(3600);
        assert_eq!((0..10_000).filter(|_| allowance.spend(later)).count(), 256);
    }
}
