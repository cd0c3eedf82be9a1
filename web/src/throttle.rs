//! Slows down guessing: from the fifth wrong password of a name on, the next try has to wait, each time longer.

use protocol::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Wrong passwords that cost nothing.
const FREE: u32 = 4;
/// After so many in a row, a name rests for a day.
const MOST: u32 = 100;
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
const REST: Duration = Duration::from_secs(24 * 3600);
/// How many names are remembered; beyond it, those that may try again soonest are forgotten.
const NAMES: usize = 10_000;

/// Wrong passwords in a row, by the name that was typed, known or not.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<BTreeMap<String, Failures>>);

#[derive(Clone, Copy, Debug, Default)]
struct Failures {
    count: u32,
    until: Timestamp,
}

impl Throttle {
    /// How long this name must still wait; `None` when it may try now.
    pub(crate) fn wait(&self, name: &str, now: Timestamp) -> Option<Duration> {
        self.with(|names| names.get(name).map(|failures| failures.until.since(now)).filter(|wait| !wait.is_zero()))
    }

    /// Notes a wrong password.
    pub(crate) fn failed(&self, name: &str, now: Timestamp) {
        self.with(|names| {
            make_room(names);
            let failures = names.entry(name.to_owned()).or_default();
            failures.count = failures.count.saturating_add(1);
            failures.until = now.plus(wait_after(failures.count));
        });
    }

    /// Notes a right password.
    pub(crate) fn succeeded(&self, name: &str) {
        self.with(|names| names.remove(name));
    }

    fn with<T>(&self, f: impl FnOnce(&mut BTreeMap<String, Failures>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn wait_after(failures: u32) -> Duration {
    match failures {
        0..=FREE => Duration::ZERO,
        MOST.. => REST,
        more => Duration::from_secs(2u64.saturating_pow(more - FREE)).min(LONGEST_WAIT),
    }
}

fn make_room(names: &mut BTreeMap<String, Failures>) {
    while names.len() >= NAMES {
        let soonest = names.iter().min_by_key(|(_, failures)| failures.until).map(|(name, _)| name.clone());
        match soonest {
            Some(name) => names.remove(&name),
            None => return,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fifth_wrong_password_makes_the_next_wait_longer_and_longer() {
        let (throttle, now) = (Throttle::default(), Timestamp::from_millis(1_000_000));
        let waits: Vec<u64> = (0..15)
            .map(|_| {
                throttle.failed("ada", now);
                throttle.wait("ada", now).map_or(0, |wait| wait.as_secs())
            })
            .collect();
        assert_eq!(waits, [0, 0, 0, 0, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
        assert_eq!(throttle.wait("bob", now), None);
        assert_eq!(throttle.wait("ada", now.plus(LONGEST_WAIT)), None);
        throttle.succeeded("ada");
        assert_eq!(throttle.wait("ada", now), None);
    }

    #[test]
    fn a_hundred_in_a_row_rest_for_a_day_and_memory_stays_bounded() {
        let (throttle, now) = (Throttle::default(), Timestamp::from_millis(1_000_000));
        (0..MOST).for_each(|_| throttle.failed("ada", now));
        (0..NAMES + 5).for_each(|number| throttle.failed(&format!("name-{number}"), now));
        assert_eq!(throttle.wait("ada", now), Some(REST));
        assert_eq!(throttle.with(|names| names.len()), NAMES);
    }
}
