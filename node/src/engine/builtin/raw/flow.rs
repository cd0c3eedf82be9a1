//! How many probes may be on their way: a window that follows the answers. Pure: the time is handed in.
//!
//! Each answer tells how long it waited in queues on the way: its round trip less the shortest one to that host. When
//! even the quickest answer of a round waited longer than [`WAIT`], the window shrinks in proportion. Otherwise it grows,
//! and stays grown only while that brings more answers a second: where it does not, the narrowest point of the path is
//! busy and the rest is thrown away. Loss alone says nothing of the pace, since links lose packets at any pace; only
//! when a large part of the answers comes to retries does the window shrink at once.

use std::time::Duration;

/// How long a packet should wait at the narrowest point: long enough to keep it busy while this process is not running,
/// short enough for small queues.
const WAIT: Duration = Duration::from_millis(3);

/// A round has at least so many answers, and lasts at least this long.
const ROUND_ANSWERS: u32 = 8;
const ROUND: Duration = Duration::from_millis(1);

/// Answers of a round from which its rate is judged.
const RATE_ANSWERS: u32 = 64;

/// Rounds after a growth that brought nothing, before the next is tried.
const HOLD_ROUNDS: u32 = 2;

/// Probes that may always leave at once.
const BURST: u64 = 64;

/// More than one answer in so many that comes only to a retry means that the path is flooded.
const FLOODED: u32 = 4;

/// Answers and time over which that is judged.
const FLOOD_ANSWERS: u32 = 64;
const FLOOD_TIME: Duration = Duration::from_millis(100);

/// The window of one scan.
#[derive(Debug)]
pub(super) struct Flow {
    window: u32,
    least: u32,
    most: u32,
    phase: Phase,
    /// Thousandths of a probe that may leave at once, and when that was last reckoned.
    credit: u64,
    asked: Duration,
    /// The round trip, smoothed.
    smoothed: Duration,
    round: Round,
    flood: Flood,
}

/// What the window does; rates are answers a second, 0 where a round had too few to tell.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// It grows with each answer, as long as that brings more of them; with the rate of the round before.
    Opening { rate: u64 },
    /// It stays for so many rounds.
    Holding(u32),
    /// It has just grown from this size, which brought this rate; the answers to that come with the round after the next.
    Rising { window: u32, rate: u64, is_felt: bool },
}

#[derive(Debug, Default)]
struct Round {
    began: Duration,
    answers: u32,
    shortest_wait: Option<Duration>,
    /// Whether the window held anything back.
    was_full: bool,
}

#[derive(Debug, Default)]
struct Flood {
    began: Duration,
    answers: u32,
    late: u32,
    /// Whether the time before was one too.
    is_second: bool,
}

impl Flow {
    /// Starts at `start` probes and stays within `least` and `most`.
    pub(super) fn new(start: u32, least: u32, most: u32) -> Self {
        let most = most.max(1);
        let least = least.clamp(1, most);
        Self {
            window: start.clamp(least, most),
            least,
            most,
            phase: Phase::Opening { rate: 0 },
            credit: 0,
            asked: Duration::ZERO,
            smoothed: Duration::ZERO,
            round: Round::default(),
            flood: Flood::default(),
        }
    }

    /// How many more may leave while `flying` are on their way. What was given free at once leaves over half a round trip
    /// at least, so that it meets no queue of its own making.
    pub(super) fn room(&mut self, now: Duration, flying: u32) -> u32 {
        let room = self.window.saturating_sub(flying);
        self.round.was_full |= room == 0;
        let passed = now.saturating_sub(std::mem::replace(&mut self.asked, now));
        let earned = u128::from(self.window) * 2_000 * passed.as_micros() / self.smoothed.as_micros().max(1);
        let most = u64::from(self.window / 16).max(BURST) * 1_000;
        self.credit = self.credit.saturating_add(u64::try_from(earned).unwrap_or(u64::MAX)).min(most);
        room.min(u32::try_from(self.credit / 1_000).unwrap_or(u32::MAX))
    }

    /// `count` probes left.
    pub(super) fn sent(&mut self, count: u32) {
        self.credit = self.credit.saturating_sub(u64::from(count) * 1_000);
    }

    /// An answer came to a first question; `shortest` is the shortest round trip to that host.
    pub(super) fn answered(&mut self, now: Duration, round_trip: Duration, shortest: Duration) {
        self.judge_flood(now, 0);
        self.smoothed = match self.smoothed {
            Duration::ZERO => round_trip,
            smoothed => (smoothed * 7 + round_trip) / 8,
        };
        let wait = round_trip.saturating_sub(shortest);
        self.round.shortest_wait = Some(self.round.shortest_wait.map_or(wait, |least| least.min(wait)));
        self.round.answers += 1;
        if self.round.was_full && matches!(self.phase, Phase::Opening { .. }) {
            self.set(self.window.saturating_add(1));
        }
        let lasted = now.saturating_sub(self.round.began);
        if self.round.answers >= ROUND_ANSWERS && lasted >= self.smoothed.max(ROUND) {
            self.end_round(lasted);
            self.round = Round { began: now, ..Round::default() };
        }
    }

    /// An answer came to a retry.
    pub(super) fn answered_late(&mut self, now: Duration) {
        self.judge_flood(now, 1);
    }

    fn judge_flood(&mut self, now: Duration, late: u32) {
        self.flood.answers += 1;
        self.flood.late += late;
        if self.flood.answers < FLOOD_ANSWERS || now.saturating_sub(self.flood.began) < FLOOD_TIME {
            return;
        }
        let is_flooded = self.flood.late > self.flood.answers / FLOODED;
        // Once may be what a single burst left behind.
        if is_flooded && self.flood.is_second {
            self.set(self.window / 4 * 3);
            self.phase = Phase::Holding(HOLD_ROUNDS);
        }
        self.flood = Flood { began: now, is_second: is_flooded, ..Flood::default() };
    }

    fn end_round(&mut self, lasted: Duration) {
        let wait = self.round.shortest_wait.unwrap_or_default();
        let micros = u64::try_from(lasted.as_micros()).unwrap_or(u64::MAX).max(1);
        let is_telling = self.round.answers >= RATE_ANSWERS;
        let now = if is_telling { u64::from(self.round.answers) * 1_000_000 / micros } else { 0 };
        if wait > WAIT {
            // The window that would have made the wait as long as it should be, but not less than half.
            let share = WAIT.as_micros().saturating_mul(1_000) / wait.as_micros().max(1);
            self.set(permille(self.window, u32::try_from(share).unwrap_or(1_000).clamp(500, 950)));
            self.phase = Phase::Holding(0);
            return;
        }
        self.phase = match self.phase {
            Phase::Opening { rate } if is_telling && self.round.was_full && now < rate / 4 * 5 => {
                self.set(self.window / 2);
                Phase::Holding(HOLD_ROUNDS)
            }
            Phase::Opening { .. } => Phase::Opening { rate: if self.round.was_full { now } else { 0 } },
            Phase::Holding(0) if self.round.was_full => {
                let window = self.window;
                self.set(permille(window, 1_250) + 1);
                Phase::Rising { window, rate: now, is_felt: false }
            }
            Phase::Holding(rounds) => Phase::Holding(rounds.saturating_sub(1)),
            Phase::Rising { window, rate, is_felt: false } => Phase::Rising { window, rate, is_felt: true },
            Phase::Rising { window, rate, is_felt: true } if is_telling && now < rate / 20 * 21 => {
                self.set(window);
                Phase::Holding(HOLD_ROUNDS)
            }
            Phase::Rising { .. } => Phase::Holding(0),
        };
    }

    fn set(&mut self, window: u32) {
        self.window = window.clamp(self.least, self.most);
    }
}

fn permille(of: u32, part: u32) -> u32 {
    u32::try_from(u64::from(of) * u64::from(part) / 1_000).unwrap_or(u32::MAX)
}

/// A limit of packets a second, kept over any ten milliseconds.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    /// Packets a second; `None` is no limit.
    rate: Option<u32>,
    /// Millionths of a packet.
    credit: u64,
    filled: Duration,
}

const MILLIONTHS: u64 = 1_000_000;

impl Bucket {
    pub(super) fn new(rate: Option<u32>) -> Self {
        Self { rate, credit: MILLIONTHS, filled: Duration::ZERO }
    }

    /// How many packets may leave now.
    pub(super) fn room(&mut self, now: Duration) -> u32 {
        let Some(rate) = self.rate.map(u64::from) else { return u32::MAX };
        let micros = u64::try_from(now.saturating_sub(self.filled).as_micros()).unwrap_or(u64::MAX);
        let most = (rate / 100).max(1) * MILLIONTHS;
        self.credit = self.credit.saturating_add(micros.saturating_mul(rate)).min(most);
        self.filled = now;
        u32::try_from(self.credit / MILLIONTHS).unwrap_or(u32::MAX)
    }

    /// `count` packets left.
    pub(super) fn take(&mut self, count: u32) {
        if self.rate.is_some() {
            self.credit = self.credit.saturating_sub(u64::from(count) * MILLIONTHS);
        }
    }

    /// How long until the next packet may leave.
    pub(super) fn due_in(&self) -> Duration {
        let Some(rate) = self.rate.map(u64::from) else { return Duration::ZERO };
        Duration::from_micros(MILLIONTHS.saturating_sub(self.credit).div_ceil(rate.max(1)))
    }
}

#[cfg(test)]
mod tests;
