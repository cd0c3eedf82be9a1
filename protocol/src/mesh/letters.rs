//! Letters between neighbours: one request each, answered at once. Longer ways come with hops.

use super::wire::{LetterAnswer, LetterDialect, TalkEvent};
use super::{LetterId, Mesh, MeshEvent, NotConnected, peer};
use crate::identity::NodeId;
use crate::letter::Letter;
use libp2p::PeerId;
use libp2p::request_response::{Event, Message, OutboundFailure, OutboundRequestId};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Letters to one neighbour that may be on their way at once.
const MAX_OUTSTANDING: usize = 24;

/// Letters that one neighbour may hand over in a burst.
const BURST: u32 = 256;

/// How often it may hand over one more.
const REFILL: Duration = Duration::from_millis(8);

/// The letters that wait for their answer.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    sent: BTreeMap<OutboundRequestId, (LetterId, NodeId)>,
    last: u64,
}

impl Outbox {
    fn has_room(&self, node: &NodeId) -> bool {
        self.sent.values().filter(|(_, to)| to == node).count() < MAX_OUTSTANDING
    }

    fn note(&mut self, request: OutboundRequestId, node: NodeId) -> LetterId {
        self.last += 1;
        let id = LetterId(self.last);
        self.sent.insert(request, (id, node));
        id
    }

    fn take(&mut self, request: OutboundRequestId) -> Option<LetterId> {
        self.sent.remove(&request).map(|(id, _)| id)
    }
}

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

impl Mesh {
    pub(super) fn hand_over(&mut self, letter: Letter) -> Result<LetterId, NotConnected> {
        let to = letter.to;
        let peer = peer::peer_id(&to).filter(|_| self.neighbours.contains_key(&to) && self.outbox.has_room(&to));
        let peer = peer.ok_or(NotConnected(to))?;
        let request = self.swarm.behaviour_mut().letters.send_request(&peer, letter);
        Ok(self.outbox.note(request, to))
    }

    pub(super) fn on_letters(&mut self, event: TalkEvent<LetterDialect>) {
        match event {
            Event::Message { peer, message: Message::Request { request, channel, .. }, .. } => {
                let answer = self.take_in(&peer, request);
                if self.swarm.behaviour_mut().letters.send_response(channel, answer).is_err() {
                    tracing::debug!(%peer, "the sender of a letter left before its answer");
                }
            }
            Event::Message { message: Message::Response { request_id, response }, .. } => {
                self.settle(
                    request_id,
                    match response {
                        LetterAnswer::Taken => Ok(()),
                        LetterAnswer::Busy => Err("the reader is busy".into()),
                        LetterAnswer::UnknownReader => Err("the neighbour is not the reader".into()),
                    },
                );
            }
            Event::OutboundFailure { request_id, error, .. } => self.settle(request_id, Err(describe(&error))),
            Event::InboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, %error, "a letter did not come through")
            }
            Event::ResponseSent { .. } => {}
        }
    }

    fn take_in(&mut self, peer: &PeerId, letter: Letter) -> LetterAnswer {
        if letter.to != self.author.id() {
            return LetterAnswer::UnknownReader;
        }
        let from = peer::node_id(peer).filter(|from| self.gate.lets_in(from));
        let Some((from, neighbour)) = from.and_then(|from| Some((from, self.neighbours.get_mut(&from)?))) else {
            return LetterAnswer::Busy;
        };
        if !neighbour.allowance.spend(Instant::now()) {
            return LetterAnswer::Busy;
        }
        self.events.push_back(MeshEvent::Letter { from, letter });
        LetterAnswer::Taken
    }

    fn settle(&mut self, request: OutboundRequestId, outcome: Result<(), String>) {
        if let Some(id) = self.outbox.take(request) {
            self.events.push_back(match outcome {
                Ok(()) => MeshEvent::LetterDelivered { id },
                Err(reason) => MeshEvent::LetterFailed { id, reason },
            });
        }
    }
}

fn describe(error: &OutboundFailure) -> String {
    match error {
        OutboundFailure::DialFailure | OutboundFailure::ConnectionClosed => "the connection is gone".into(),
        OutboundFailure::Timeout => "no answer in time".into(),
        OutboundFailure::UnsupportedProtocols => "the neighbour takes no letters; update it".into(),
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
