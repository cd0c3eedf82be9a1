//! One direction of a link: what happens to a frame between two network cards, and when. No clock and no device of its own.

use super::chance::Chance;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The most frames under way at a time; no scan comes near.
const MOST_UNDER_WAY: usize = 200_000;

/// How a link treats frames, the same in each direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Link {
    pub(crate) delay: Duration,
    /// Frames lost in a million.
    pub(crate) loss_ppm: u64,
    /// `None`: as fast as frames come.
    pub(crate) bits_per_second: Option<u64>,
    /// Frames that may wait for their turn; more are dropped.
    pub(crate) queue: usize,
}

impl Link {
    /// A link that does nothing to frames.
    pub(crate) const fn clear() -> Self {
        Self { delay: Duration::ZERO, loss_ppm: 0, bits_per_second: None, queue: MOST_UNDER_WAY }
    }

    /// How long a frame of `bytes` occupies the link.
    pub(crate) fn occupied(self, bytes: usize) -> Duration {
        let bits = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(8);
        self.bits_per_second
            .map_or(Duration::ZERO, |rate| Duration::from_nanos(bits.saturating_mul(1_000_000_000) / rate.max(1)))
    }
}

/// What became of the frames of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
pub(crate) struct Counts {
    /// Frames that came, with their bytes.
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
    /// Frames that chance took.
    pub(crate) lost: u64,
    /// Frames for which the queue had no room.
    pub(crate) dropped: u64,
    /// Frames that the card at the far end, or the one at the near end, had no room for.
    pub(crate) refused: u64,
}

struct Frame {
    bytes: Vec<u8>,
    arrives: Instant,
}

/// The frames of one direction that are under way.
pub(crate) struct Lane {
    link: Link,
    chance: Chance,
    /// When the link is free again.
    free: Instant,
    /// When each of those that wait for their turn has left.
    waiting: VecDeque<Instant>,
    under_way: VecDeque<Frame>,
    pub(crate) counts: Counts,
}

impl Lane {
    /// An empty one. The same seed loses the same frames.
    pub(crate) fn new(link: Link, seed: u64, now: Instant) -> Self {
        let (waiting, under_way) = (VecDeque::new(), VecDeque::new());
        Self { link, chance: Chance(seed), free: now, waiting, under_way, counts: Counts::default() }
    }

    /// Takes a frame in. One that is lost has occupied the link all the same.
    pub(crate) fn take(&mut self, bytes: &[u8], now: Instant) {
        self.counts.frames += 1;
        self.counts.bytes += u64::try_from(bytes.len()).unwrap_or_default();
        while self.waiting.front().is_some_and(|left| *left <= now) {
            self.waiting.pop_front();
        }
        if self.waiting.len() >= self.link.queue || self.under_way.len() >= MOST_UNDER_WAY {
            self.counts.dropped += 1;
            return;
        }
        let left = self.free.max(now) + self.link.occupied(bytes.len());
        self.free = left;
        self.waiting.push_back(left);
        if self.chance.next() % 1_000_000 < self.link.loss_ppm {
            self.counts.lost += 1;
        } else {
            self.under_way.push_back(Frame { bytes: bytes.to_owned(), arrives: left + self.link.delay });
        }
    }

    /// A frame that has arrived by `now`.
    pub(crate) fn arrived(&mut self, now: Instant) -> Option<Vec<u8>> {
        let is_there = self.under_way.front().is_some_and(|frame| frame.arrives <= now);
        if is_there { self.under_way.pop_front().map(|frame| frame.bytes) } else { None }
    }

    /// When the next frame arrives.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.under_way.front().map(|frame| frame.arrives)
    }
}
