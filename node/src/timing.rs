//! The clockwork of a node: every wait it knows, in one place, so that tests can shorten them, and how far off its own
//! clock is.

use protocol::Timestamp;
use protocol::mesh::Tunables;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// Waits and limits of time; [`Timing::default`] for all but tests.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How often the node tells the coordinator that it lives, and renews its leases.
    pub presence_every: Duration,
    /// Without a beacon for so long nothing new is started.
    pub silence: Duration,
    /// How long an offered result or a sent piece waits for the coordinator's answer.
    pub answer_within: Duration,
    /// First wait after a failure; doubles up to `retry_most`. A random part is added.
    pub retry_first: Duration,
    /// Longest such wait.
    pub retry_most: Duration,
    /// After the coordinator's return, results are offered within a random part of this.
    pub return_spread: Duration,
    /// How long one enrolment request may wait for its answer at one address; the coordinator may hold it for 25 s.
    pub enrol_patience: Duration,
    /// How long an engine that was told to stop may take.
    pub engine_patience: Duration,
    /// How long stopping may take in all; running tasks get half of it to finish.
    pub grace: Duration,
    /// Times of the mesh.
    pub mesh: Tunables,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            presence_every: Duration::from_secs(10),
            silence: Duration::from_secs(60),
            answer_within: Duration::from_secs(30),
            retry_first: Duration::from_secs(1),
            retry_most: Duration::from_secs(60),
            return_spread: Duration::from_secs(30),
            enrol_patience: Duration::from_secs(35),
            engine_patience: Duration::from_secs(15),
            grace: Duration::from_secs(20),
            mesh: Tunables::default(),
        }
    }
}

impl Timing {
    /// How long to wait after so many failures in a row: doubled each time, half of it at random.
    pub(crate) fn retry_after(&self, failures: u32) -> Duration {
        let doubled = self.retry_first.saturating_mul(2u32.saturating_pow(failures.saturating_sub(1)));
        let most = doubled.min(self.retry_most);
        most / 2 + part_of(most / 2)
    }

    /// A random part of the spread after the coordinator's return.
    pub(crate) fn return_after(&self) -> Duration {
        part_of(self.return_spread)
    }
}

/// This machine's clock minus mesh time. The agent sets it; whoever writes times into results reads it. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClockOffset(Arc<AtomicI64>);

impl ClockOffset {
    pub(crate) fn set(&self, offset_ms: i64) {
        self.0.store(offset_ms, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// A time that was read off this machine's clock, as the mesh has it.
    pub(crate) fn in_mesh_time(&self, own: Timestamp) -> Timestamp {
        Timestamp::from_millis(own.as_millis().saturating_add_signed(self.get().saturating_neg()))
    }
}

/// A random part of `whole`, so that many nodes do not come at once.
fn part_of(whole: Duration) -> Duration {
    // Without randomness all come at once, which is slow but not wrong.
    let random = getrandom::u32().unwrap_or(u32::MAX);
    whole.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_times_are_told_in_mesh_time() {
        let offset = ClockOffset::default();
        let told = [0, 600_000, -600_000, i64::MIN, i64::MAX].map(|off| {
            offset.set(off);
            offset.in_mesh_time(Timestamp::from_millis(1_000_000)).as_millis()
        });
        assert_eq!(told, [1_000_000, 400_000, 1_600_000, 1_000_000 + i64::MAX.unsigned_abs(), 0]);
    }

    #[test]
    fn waits_double_up_to_the_most_and_vary_by_half() {
        let timing =
            Timing { retry_first: Duration::from_secs(1), retry_most: Duration::from_secs(10), ..Timing::default() };
        for (failures, most) in [(0, 1), (1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (40, 10), (u32::MAX, 10)] {
            let most = Duration::from_secs(most);
            for _ in 0..50 {
                let wait = timing.retry_after(failures);
                assert!(most / 2 <= wait && wait <= most, "{failures} failures: {wait:?}");
            }
        }
    }
}
