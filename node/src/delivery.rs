//! The way of spooled results to the coordinator: offer, the pieces it lacks, offer again, until the receipt.
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
    unanswered: bool,
}

#[derive(Debug)]
struct Shipment {
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
        Self { timing, results: BTreeMap::new(), letters: BTreeMap::new(), unanswered: false }
    }

    /// A result to be delivered; offered at once.
    pub(crate) fn add(&mut self, key: ResultKey, now: Instant) {
        self.results.insert(key, Shipment { stage: Stage::Waiting(now), failures: 0, lacked: None });
    }

    /// Nothing more is to be done for this result; false when it was not known.
    pub(crate) fn remove(&mut self, key: ResultKey) -> bool {
        self.letters.retain(|_, of| *of != key);
        self.results.remove(&key).is_some()
    }

    /// What to send now. The caller says with [`Self::sent`] or [`Self::unsent`] what became of it.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Parcel> {
        self.give_up_late(now);
        self.next_chunk().or_else(|| self.next_offer(now))
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

    /// The coordinator lacks these pieces; none when it has all and is still busy with them.
    pub(crate) fn wanted(&mut self, key: ResultKey, missing: Vec<u32>, now: Instant) {
        let Some(shipment) = self.results.get_mut(&key) else { return };
        let until = now + self.timing.answer_within;
        if matches!(shipment.stage, Stage::Sending { .. }) {
            return; // An answer to an earlier offer.
        }
        if missing.is_empty() {
            shipment.stage = Stage::Offered(until);
            return;
        }
        // The same pieces again, though they were sent: go on, but ever slower.
        let progress = shipment.lacked.is_none_or(|before| missing.len() < before);
        shipment.failures = if progress { 0 } else { shipment.failures.saturating_add(1) };
        shipment.lacked = Some(missing.len());
        shipment.stage = Stage::Sending { missing: missing.into(), in_flight: 0, until };
    }

    /// A way to the coordinator is open again: everything that waits is offered soon.
    pub(crate) fn reconnected(&mut self, now: Instant) {
        self.letters.clear();
        for shipment in self.results.values_mut() {
            shipment.failures = 0;
            shipment.stage = Stage::Waiting(now + self.timing.return_after());
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
        self.results.iter_mut().find_map(|(key, shipment)| match &mut shipment.stage {
            Stage::Sending { missing, in_flight, .. } => {
                let index = missing.pop_front()?;
                *in_flight += 1;
                Some(Parcel::Chunk(*key, index))
            }
            Stage::Waiting(_) | Stage::Offered(_) => None,
        })
    }

    fn next_offer(&mut self, now: Instant) -> Option<Parcel> {
        if self.active() >= AT_ONCE {
            return None;
        }
        let due = |shipment: &Shipment| matches!(shipment.stage, Stage::Waiting(at) if at <= now);
        let (key, shipment) = self.results.iter_mut().find(|(_, shipment)| due(shipment))?;
        shipment.stage = Stage::Offered(now + self.timing.answer_within);
        Some(Parcel::Offer(*key))
    }
}

impl Shipment {
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
