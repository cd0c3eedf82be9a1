//! The way of spooled results to the coordinator: offer, the pieces it lacks, offer again, until the receipt.
//!
//! Small results go first, but every [`FAIR_TURN`]th turn is that of the result that has waited longest, and pieces of
//! all results under way take turns, so that a huge one neither holds up the others nor starves.
//!
//! Pure: it says what to send next and is told what became of it. Nothing here is lost by a restart, since the spool
//! keeps every result until its receipt.

use crate::spool::ResultKey;
use crate::timing::Timing;
use protocol::mesh::LetterId;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tokio::time::Instant;

#[cfg(test)]
mod tests;

/// Pieces on their way at once, over all results.
const WINDOW: usize = 4;

/// Results that are offered or sent at once.
const AT_ONCE: usize = 4;

/// Every so many offers it is the turn of the result that has waited longest.
const FAIR_TURN: u64 = 4;

/// So few results are offered at once when the coordinator was away for a moment only.
const FEW: usize = 4;

/// Something to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parcel {
    /// Size and hash of a result.
    Offer(ResultKey),
    /// One piece of it.
    Chunk(ResultKey, u32),
}

/// Where each undelivered result is on its way.
#[derive(Debug)]
pub(crate) struct Delivery {
    timing: Timing,
    results: BTreeMap<ResultKey, Shipment>,
    letters: BTreeMap<LetterId, ResultKey>,
    offers: u64,
    unanswered: bool,
}

#[derive(Debug)]
struct Shipment {
    size_bytes: u64,
    /// Since when it waits.
    since: Instant,
    stage: Stage,
    /// Attempts in a row that led nowhere.
    failures: u32,
    /// How many pieces the coordinator lacked when it last said so.
    lacked: Option<usize>,
}

#[derive(Debug)]
enum Stage {
    /// To be offered at this time.
    Waiting(Instant),
    /// Offered; given up at this time.
    Offered(Instant),
    /// Pieces are sent; given up at `until`.
    Sending { missing: VecDeque<u32>, in_flight: usize, until: Instant },
}

impl Parcel {
    /// Of which result.
    pub(crate) fn key(self) -> ResultKey {
        match self {
            Self::Offer(key) | Self::Chunk(key, _) => key,
        }
    }
}

impl Delivery {
    pub(crate) fn new(timing: Timing) -> Self {
        Self { timing, results: BTreeMap::new(), letters: BTreeMap::new(), offers: 0, unanswered: false }
    }

    /// A result to be delivered; offered as soon as its turn comes.
    pub(crate) fn add(&mut self, key: ResultKey, size_bytes: u64, now: Instant) {
        let stage = Stage::Waiting(now);
        self.results.insert(key, Shipment { size_bytes, since: now, stage, failures: 0, lacked: None });
    }

    /// Nothing more is to be done for this result; false when it was not known.
    pub(crate) fn remove(&mut self, key: ResultKey) -> bool {
        self.letters.retain(|_, of| *of != key);
        self.results.remove(&key).is_some()
    }

    /// What to send now. The caller says with [`Self::sent`] or [`Self::unsent`] what became of it.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Parcel> {
        self.give_up_late(now);
        self.next_offer(now).or_else(|| self.next_chunk())
    }

    /// The parcel is on its way.
    pub(crate) fn sent(&mut self, parcel: Parcel, id: LetterId) {
        self.letters.insert(id, parcel.key());
    }

    /// The parcel could not be sent: no way is open.
    pub(crate) fn unsent(&mut self, parcel: Parcel, now: Instant) {
        self.retreat(parcel.key(), now);
    }

    /// The coordinator has a letter, or so it is said.
    pub(crate) fn letter_taken(&mut self, id: LetterId, now: Instant) {
        let Some(key) = self.letters.remove(&id) else { return };
        let Some(shipment) = self.results.get_mut(&key) else { return };
        if let Stage::Sending { missing, in_flight, until } = &mut shipment.stage {
            *in_flight = in_flight.saturating_sub(1);
            *until = now + self.timing.answer_within;
            if missing.is_empty() && *in_flight == 0 {
                let pause = match shipment.failures {
                    0 => Duration::ZERO,
                    failures => self.timing.retry_after(failures),
                };
                shipment.stage = Stage::Waiting(now + pause);
            }
        }
    }

    /// A letter is lost; the result is offered anew after a while, and the coordinator says what it lacks.
    pub(crate) fn letter_lost(&mut self, id: LetterId, now: Instant) {
        if let Some(key) = self.letters.get(&id).copied() {
            self.retreat(key, now);
        }
    }

    /// The coordinator lacks these pieces; none when it is too busy to take any now, and others may have the turn.
    pub(crate) fn wanted(&mut self, key: ResultKey, missing: Vec<u32>, now: Instant) {
        let Some(shipment) = self.results.get_mut(&key) else { return };
        let until = now + self.timing.answer_within;
        if matches!(shipment.stage, Stage::Sending { .. }) {
            return; // An answer to an earlier offer.
        }
        if missing.is_empty() {
            return self.retreat(key, now);
        }
        // The same pieces again, though they were sent: go on, but ever slower.
        let progress = shipment.lacked.is_none_or(|before| missing.len() < before);
        shipment.failures = if progress { 0 } else { shipment.failures.saturating_add(1) };
        shipment.lacked = Some(missing.len());
        shipment.stage = Stage::Sending { missing: missing.into(), in_flight: 0, until };
    }

    /// A way to the coordinator, which was `away` for so long, is open again. Everything is offered anew: a few results
    /// after a short time at once, else after a random part of the spread, since all other nodes come back too.
    pub(crate) fn reconnected(&mut self, away: Duration, now: Instant) {
        self.letters.clear();
        let is_short = self.results.len() <= FEW && away < self.timing.silence;
        let start = if is_short { now } else { now + self.timing.return_after() };
        for shipment in self.results.values_mut() {
            shipment.failures = 0;
            shipment.stage = Stage::Waiting(start);
        }
    }

    /// True when letters were taken and the coordinator has not answered them in time, since this was last asked.
    pub(crate) fn take_unanswered(&mut self) -> bool {
        std::mem::take(&mut self.unanswered)
    }

    /// When [`Self::next`] may have something new to say, if nothing happens before.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        let busy = self.active() >= AT_ONCE;
        let counts = |shipment: &&Shipment| !(busy && matches!(shipment.stage, Stage::Waiting(_)));
        self.results.values().filter(counts).map(Shipment::time).min()
    }

    fn active(&self) -> usize {
        self.results.values().filter(|shipment| !matches!(shipment.stage, Stage::Waiting(_))).count()
    }

    fn give_up_late(&mut self, now: Instant) {
        let late = |shipment: &Shipment| !matches!(shipment.stage, Stage::Waiting(_)) && shipment.time() <= now;
        let keys: Vec<ResultKey> =
            self.results.iter().filter(|(_, shipment)| late(shipment)).map(|(key, _)| *key).collect();
        self.unanswered |= !keys.is_empty();
        for key in keys {
            self.retreat(key, now);
        }
    }

    fn retreat(&mut self, key: ResultKey, now: Instant) {
        self.letters.retain(|_, of| *of != key);
        if let Some(shipment) = self.results.get_mut(&key) {
            shipment.failures = shipment.failures.saturating_add(1);
            shipment.stage = Stage::Waiting(now + self.timing.retry_after(shipment.failures));
        }
    }

    fn next_chunk(&mut self) -> Option<Parcel> {
        let flying: usize = self.results.values().map(Shipment::in_flight).sum();
        if flying >= WINDOW {
            return None;
        }
        let sending = self.results.iter_mut().filter(|(_, shipment)| shipment.has_piece());
        let (key, shipment) =
            sending.min_by_key(|(key, shipment)| (shipment.in_flight(), shipment.size_bytes, **key))?;
        match &mut shipment.stage {
            Stage::Sending { missing, in_flight, .. } => {
                let index = missing.pop_front()?;
                *in_flight += 1;
                Some(Parcel::Chunk(*key, index))
            }
            Stage::Waiting(_) | Stage::Offered(_) => None,
        }
    }

    fn next_offer(&mut self, now: Instant) -> Option<Parcel> {
        if self.active() >= AT_ONCE {
            return None;
        }
        let is_fair_turn = self.offers % FAIR_TURN == FAIR_TURN - 1;
        let due = self.results.iter_mut().filter(|(_, shipment)| shipment.is_due(now));
        let (key, shipment) = if is_fair_turn {
            due.min_by_key(|(key, shipment)| (shipment.since, **key))
        } else {
            due.min_by_key(|(key, shipment)| (shipment.size_bytes, **key))
        }?;
        self.offers = self.offers.wrapping_add(1);
        shipment.stage = Stage::Offered(now + self.timing.answer_within);
        Some(Parcel::Offer(*key))
    }
}

impl Shipment {
    fn is_due(&self, now: Instant) -> bool {
        matches!(self.stage, Stage::Waiting(at) if at <= now)
    }

    fn has_piece(&self) -> bool {
        matches!(&self.stage, Stage::Sending { missing, .. } if !missing.is_empty())
    }

    fn time(&self) -> Instant {
        match self.stage {
            Stage::Waiting(at) | Stage::Offered(at) | Stage::Sending { until: at, .. } => at,
        }
    }

    fn in_flight(&self) -> usize {
        match self.stage {
            Stage::Sending { in_flight, .. } => in_flight,
            Stage::Waiting(_) | Stage::Offered(_) => 0,
        }
    }
}
