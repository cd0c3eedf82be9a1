//! How fast: the timing templates, the round-trip estimate of one host, and the window of probes of one scan.
//!
//! The window grows by one for each answer until the first loss, later by one a window; a loss (a port that answered only
//! when asked again) or a shortage on this machine halves it. Silence alone says nothing and changes nothing:
//! a filtered port and a lost packet look the same until one of them answers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// The shortest time that a silent port is given.
const FLOOR: Duration = Duration::from_millis(100);

/// The same with raw packets.
const RAW_FLOOR: Duration = Duration::from_millis(50);

/// What a busy machine adds to a round trip now and then.
const JITTER: Duration = Duration::from_millis(10);

/// Losses within this time have one cause and halve the window once.
const SAME_LOSS: Duration = Duration::from_millis(100);

/// What one of nmap's timing templates means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timing {
    /// Probes under way at the start.
    pub(crate) start: u32,
    /// Probes under way at most.
    pub(crate) most: u32,
    /// Time for an answer before anything is known of the host.
    pub(crate) initial: Duration,
    /// Time for an answer at most.
    pub(crate) ceiling: Duration,
    /// Time for an answer at least.
    pub(crate) floor: Duration,
    /// How often a silent port is asked again.
    pub(crate) retries: u8,
    /// Pause between two probes to one host; not zero means one at a time.
    pub(crate) spacing: Duration,
}

impl Timing {
    /// The template `-T0` to `-T5`; the slow ones are as slow as nmap's.
    pub(crate) fn template(number: u8) -> Self {
        let row = |start, most, initial, ceiling, retries, spacing| Self {
            start,
            most,
            initial: Duration::from_millis(initial),
            ceiling: Duration::from_millis(ceiling),
            floor: FLOOR,
            retries,
            spacing: Duration::from_millis(spacing),
        };
        match number {
            0 => row(1, 1, 5_000, 10_000, 3, 300_000),
            1 => row(1, 1, 5_000, 10_000, 3, 15_000),
            2 => row(1, 1, 1_000, 5_000, 2, 400),
            3 => row(128, 512, 1_000, 3_000, 2, 0),
            4 => row(256, 512, 500, 1_250, 2, 0),
            _ => row(256, 512, 250, 300, 1, 0),
        }
    }
}

impl Timing {
    /// The same with raw packets: a probe costs a few bytes, so far more of them may be under way, and an answer to an
    /// earlier try counts as well, so that the last one need not be waited for so long.
    pub(super) fn raw_template(number: u8) -> Self {
        let template = Self::template(number);
        let (start, most) = match number {
            0..=2 => (template.start, template.most),
            3 => (128, 4_096),
            4 => (256, 16_384),
            _ => (512, 16_384),
        };
        Self { start, most, floor: RAW_FLOOR, ..template }
    }
}

/// The round trip to one host, smoothed.
///
/// Source: RFC 6298, rules 2.2 and 2.3. Its one-second floor (2.4) is for retransmission and is left out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoundTrip {
    smoothed: Option<(Duration, Duration)>,
    timing: Timing,
}

impl RoundTrip {
    pub(crate) fn new(timing: Timing) -> Self {
        Self { smoothed: None, timing }
    }

    /// Takes one measured round trip into account.
    pub(crate) fn observe(&mut self, sample: Duration) {
        self.smoothed = Some(match self.smoothed {
            None => (sample, sample / 2),
            Some((mean, variation)) => ((mean * 7 + sample) / 8, (variation * 3 + mean.abs_diff(sample)) / 4),
        });
    }

    /// The round trip as it is known; `None` before the first answer.
    pub(super) fn smoothed(&self) -> Option<Duration> {
        self.smoothed.map(|(mean, _)| mean)
    }

    /// After this long a silent probe is hardly on its way any more: as [`Self::patience`], without its floor.
    pub(super) fn flight(&self) -> Duration {
        let wanted = self.smoothed.map_or(self.timing.initial, |(mean, variation)| mean + variation * 4 + JITTER);
        wanted.min(self.timing.ceiling)
    }

    /// How long to wait for a silent port now.
    pub(crate) fn patience(&self) -> Duration {
        let wanted = self.smoothed.map_or(self.timing.initial, |(mean, variation)| mean + variation * 4);
        wanted.clamp(self.timing.floor.min(self.timing.ceiling), self.timing.ceiling)
    }
}

/// The window of one scan: how many probes may be under way, and how soon the next may leave.
#[derive(Debug)]
pub(crate) struct Pace {
    slots: Arc<Semaphore>,
    state: Mutex<State>,
    least: u32,
    most: u32,
    gap: Duration,
}

#[derive(Debug)]
struct State {
    window: u32,
    /// Slots to take out of use as they come back.
    debt: u32,
    /// Answers since the window last grew.
    credit: u32,
    /// True until the first loss.
    opening: bool,
    next: Instant,
    /// When the window was last halved.
    halved: Option<Instant>,
}

/// The right to have one probe under way.
#[derive(Debug)]
pub(crate) struct Slot {
    pace: Arc<Pace>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Pace {
    /// Starts at `start` probes, stays within `least` and `most`, and sends at most `rate` a second.
    pub(crate) fn new(start: u32, least: u32, most: u32, rate: Option<u32>) -> Arc<Self> {
        let most = most.max(1);
        let least = least.clamp(1, most);
        let window = start.clamp(least, most);
        let gap = rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate.max(1));
        let slots = Arc::new(Semaphore::new(usize::try_from(window).unwrap_or(1)));
        let state = State { window, debt: 0, credit: 0, opening: true, next: Instant::now(), halved: None };
        Arc::new(Self { slots, state: Mutex::new(state), least, most, gap })
    }

    /// Waits until one more probe may leave.
    pub(crate) async fn slot(self: &Arc<Self>) -> Slot {
        let permit = self.slots.clone().acquire_owned().await.ok();
        let slot = Slot { pace: self.clone(), permit };
        if !self.gap.is_zero() {
            tokio::time::sleep_until(self.turn()).await;
        }
        slot
    }

    /// Takes the next point in time that the rate allows.
    fn turn(&self) -> Instant {
        let mut state = self.lock();
        let turn = state.next.max(Instant::now());
        state.next = turn + self.gap;
        turn
    }

    /// A probe was answered at the first attempt.
    pub(crate) fn answered(&self) {
        let mut state = self.lock();
        state.credit = state.credit.saturating_add(1);
        let price = if state.opening { 1 } else { state.window };
        if state.credit >= price && state.window < self.most {
            state.credit = 0;
            state.window += 1;
            match state.debt.checked_sub(1) {
                Some(debt) => state.debt = debt,
                None => self.slots.add_permits(1),
            }
        }
    }

    /// A packet was lost, or this machine ran short of something. Losses that come together count as one.
    pub(crate) fn lost(&self) {
        let mut state = self.lock();
        let now = Instant::now();
        if state.halved.is_some_and(|last| now.duration_since(last) < SAME_LOSS) {
            return;
        }
        state.halved = Some(now);
        let window = (state.window / 2).max(self.least);
        state.debt += state.window - window;
        (state.window, state.credit, state.opening) = (window, 0, false);
    }

    /// How many probes may be under way now.
    #[cfg(test)]
    fn window(&self) -> u32 {
        self.lock().window
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.pace.lock();
        if let Some(debt) = state.debt.checked_sub(1)
            && let Some(permit) = self.permit.take()
        {
            state.debt = debt;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_follows_the_round_trip_between_floor_and_ceiling() {
        let mut trip = RoundTrip::new(Timing::template(3));
        assert_eq!(trip.patience(), Duration::from_secs(1));
        trip.observe(Duration::from_millis(200));
        assert_eq!(trip.patience(), Duration::from_millis(600));
        (0..50).for_each(|_| trip.observe(Duration::from_millis(1)));
        assert_eq!(trip.patience(), Duration::from_millis(100));
        (0..50).for_each(|_| trip.observe(Duration::from_secs(9)));
        assert_eq!(trip.patience(), Duration::from_secs(3));
    }

    #[tokio::test]
    async fn the_window_grows_with_answers_and_halves_with_a_loss_even_while_probes_are_under_way() {
        let pace = Pace::new(2, 1, 8, None);
        (0..20).for_each(|_| pace.answered());
        assert_eq!(pace.window(), 8);
        let mut held = Vec::new();
        for _ in 0..8 {
            held.push(pace.slot().await);
        }
        (0..5).for_each(|_| pace.lost());
        assert_eq!(pace.window(), 4, "losses that come together count as one");
        held.truncate(4);
        assert_eq!(pace.slots.available_permits(), 0, "the first four to come back stay out of use");
        held.truncate(3);
        assert_eq!(pace.slots.available_permits(), 1);
        (0..4).for_each(|_| pace.answered());
        assert_eq!(pace.window(), 5, "after a loss it takes a window of answers to grow by one");
    }

    #[test]
    fn the_rate_is_not_exceeded() {
        let pace = Pace::new(64, 1, 64, Some(100));
        let first = pace.turn();
        let last = (0..50).fold(first, |_, _| pace.turn());
        assert!(last - first >= Duration::from_millis(500), "{:?}", last - first);
    }
}
