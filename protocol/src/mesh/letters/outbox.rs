//! Letters that neighbours were handed and have not answered yet: own ones, and those of others. Bounded.

use crate::identity::NodeId;
use crate::letter::Mark;
use crate::mesh::LetterId;
use crate::mesh::wire::LetterAnswer;
use libp2p::request_response::{OutboundRequestId, ResponseChannel};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Own letters that may wait for one neighbour at once.
const MAX_OWN: usize = 24;

/// Letters of others that may wait for one neighbour at once, and that one neighbour may have handed over.
const MAX_PASSED_ON: usize = 64;

/// Bytes of all letters of others that wait.
const MAX_BYTES: usize = 32 << 20;

/// The most members that pass a letter on.
pub(super) const MAX_HOPS: u8 = 16;

/// The letters that wait for their answer.
#[derive(Debug)]
pub(in crate::mesh) struct Outbox {
    sent: BTreeMap<OutboundRequestId, Sent>,
    last: u64,
    patience: Duration,
}

#[derive(Debug)]
struct Sent {
    to: NodeId,
    sender: Sender,
    /// When its sender is told that no answer came; `None` after that.
    until: Option<Instant>,
}

#[derive(Debug)]
enum Sender {
    Own(LetterId),
    Other { load: Load, asker: Option<ResponseChannel<LetterAnswer>> },
}

/// A letter that is passed on, as far as it takes up room. It does so until the neighbour's answer, however late.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) from: NodeId,
    pub(super) to: NodeId,
    pub(super) bytes: usize,
    pub(super) mark: Mark,
}

/// Whom to tell what became of a letter.
#[derive(Debug)]
pub(super) enum Told {
    /// The owner of this member; the letter was handed to this neighbour.
    Owner(LetterId, NodeId),
    /// The neighbour that handed it over.
    Asker(ResponseChannel<LetterAnswer>),
}

impl Outbox {
    /// `patience` is how long an own letter waits.
    pub(in crate::mesh) fn new(patience: Duration) -> Self {
        Self { sent: BTreeMap::new(), last: 0, patience }
    }

    /// True when one more own letter may be handed to `to`.
    pub(super) fn has_room(&self, to: &NodeId) -> bool {
        let own = |sent: &&Sent| matches!(sent.sender, Sender::Own(_)) && sent.to == *to;
        self.sent.values().filter(own).count() < MAX_OWN
    }

    /// True when this letter may be passed on.
    pub(super) fn has_room_for(&self, load: &Load) -> bool {
        fits(self.loads(), load)
    }

    /// True while this letter is on its way from here.
    pub(super) fn carries(&self, mark: &Mark) -> bool {
        self.loads().any(|load| load.mark == *mark)
    }

    /// An own letter was handed to `to`.
    pub(super) fn own(&mut self, request: OutboundRequestId, to: NodeId, now: Instant) -> LetterId {
        self.last += 1;
        let id = LetterId(self.last);
        self.sent.insert(request, Sent { to, sender: Sender::Own(id), until: Some(now + self.patience) });
        id
    }

    /// A letter of another member was passed on; `hops` counts this one.
    pub(super) fn passed_on(
        &mut self,
        request: OutboundRequestId,
        load: Load,
        asker: ResponseChannel<LetterAnswer>,
        hops: u8,
        now: Instant,
    ) {
        let until = Some(now + patience_at(hops, self.patience));
        self.sent.insert(request, Sent { to: load.to, sender: Sender::Other { load, asker: Some(asker) }, until });
    }

    /// The neighbour answered, or will not: whom to tell, unless that was told before.
    pub(super) fn settle(&mut self, request: OutboundRequestId) -> Option<Told> {
        let mut sent = self.sent.remove(&request)?;
        sent.until.take().and_then(|_| sent.tell())
    }

    /// Whom to tell that no answer came in time, each once.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<Told> {
        let tell = |sent: &mut Sent| sent.until.take_if(|until| *until <= now).and_then(|_| sent.tell());
        self.sent.values_mut().filter_map(tell).collect()
    }

    /// When [`Self::overdue`] will have something.
    pub(in crate::mesh) fn next_due(&self) -> Option<Instant> {
        self.sent.values().filter_map(|sent| sent.until).min()
    }

    fn loads(&self) -> impl Iterator<Item = &Load> {
        self.sent.values().filter_map(|sent| match &sent.sender {
            Sender::Own(_) => None,
            Sender::Other { load, .. } => Some(load),
        })
    }

    #[cfg(test)]
    pub(in crate::mesh) fn passing(&self) -> (usize, usize) {
        (self.loads().count(), self.loads().map(|load| load.bytes).sum())
    }
}

impl Sent {
    fn tell(&mut self) -> Option<Told> {
        match &mut self.sender {
            Sender::Own(id) => Some(Told::Owner(*id, self.to)),
            Sender::Other { asker, .. } => asker.take().map(Told::Asker),
        }
    }
}

fn fits<'a>(waiting: impl Iterator<Item = &'a Load>, new: &Load) -> bool {
    let (mut from, mut to, mut bytes) = (0, 0, new.bytes);
    for load in waiting {
        from += usize::from(load.from == new.from);
        to += usize::from(load.to == new.to);
        bytes += load.bytes;
    }
    from < MAX_PASSED_ON && to < MAX_PASSED_ON && bytes <= MAX_BYTES
}

/// Each member waits a little shorter than the one before it, so that an answer is back before the asker gives up.
fn patience_at(hops: u8, whole: Duration) -> Duration {
    let last = u32::from(MAX_HOPS) + 4;
    whole / last * last.saturating_sub(u32::from(hops)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(from: u8, to: u8, bytes: usize) -> Load {
        let node = |number| NodeId::from_bytes([number; 32]);
        Load { from: node(from), to: node(to), bytes, mark: Mark::default() }
    }

    #[test]
    fn what_is_passed_on_is_bounded_by_neighbour_and_in_bytes() {
        let many = |from: u8, to: u8| vec![load(from, to, 1); MAX_PASSED_ON];
        let large = 256 << 10;
        let heavy: Vec<Load> = (0..127).map(|at| load(at, at, large)).collect();
        let table = [
            (vec![], load(1, 2, MAX_BYTES), true),
            (vec![], load(1, 2, MAX_BYTES + 1), false),
            (many(1, 3)[1..].to_vec(), load(1, 2, 1), true),
            (many(1, 3), load(1, 2, 1), false),
            (many(1, 3), load(2, 3, 1), false),
            (many(1, 3), load(2, 4, 1), true),
            (heavy.clone(), load(200, 201, large), true),
            (heavy, load(200, 201, large + 1), false),
        ];
        for (row, (waiting, new, expected)) in table.iter().enumerate() {
            assert_eq!(fits(waiting.iter(), new), *expected, "row {row}");
        }
    }

    #[test]
    fn each_member_waits_shorter_than_the_one_before_it() {
        let whole = Duration::from_secs(30);
        let waits: Vec<Duration> = (0..=MAX_HOPS).map(|hops| patience_at(hops, whole)).collect();
        assert_eq!((waits[0], waits[16]), (whole, Duration::from_secs(6)));
        assert!(waits.windows(2).all(|pair| pair[0] - pair[1] == Duration::from_millis(1_500)));
    }
}
