//! Whether the coordinator is alive, and what time it is there: from its beacons.

use protocol::time::Timestamp;
use std::time::Duration;
use tokio::time::Instant;

/// The last beacon.
#[derive(Debug)]
pub(super) struct Hearing {
    silence: Duration,
    last: Option<(Instant, Timestamp)>,
    silent: bool,
}

impl Hearing {
    /// Without a beacon for `silence` nothing new is started.
    pub(super) fn new(silence: Duration) -> Self {
        Self { silence, last: None, silent: false }
    }

    /// A beacon that was signed at `issued`; true when it ends a silence.
    pub(super) fn beacon(&mut self, issued: Timestamp, now: Instant) -> bool {
        self.last = Some((now, issued));
        std::mem::take(&mut self.silent)
    }

    /// True once when the silence has become too long.
    pub(super) fn falls_silent(&mut self, now: Instant) -> bool {
        let long = self.ends().is_some_and(|end| now >= end);
        long && !std::mem::replace(&mut self.silent, true)
    }

    /// The time at the coordinator while it is heard; `None` in silence, and before the first beacon.
    pub(super) fn there(&self, now: Instant) -> Option<Timestamp> {
        let (at, issued) = self.last?;
        let since = now.saturating_duration_since(at);
        (since < self.silence).then(|| issued.plus(since))
    }

    /// When the silence becomes too long, if it has not yet.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.ends().filter(|_| !self.silent)
    }

    fn ends(&self) -> Option<Instant> {
        self.last.map(|(at, _)| at + self.silence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beacon_counts_until_the_silence_is_too_long() {
        let (second, now) = (Duration::from_secs(1), Instant::now());
        let mut hearing = Hearing::new(60 * second);
        assert_eq!((hearing.there(now), hearing.wake_at()), (None, None));
        let issued = Timestamp::from_millis(5_000);
        assert!(!hearing.beacon(issued, now));
        assert_eq!(hearing.there(now + 59 * second), Some(issued.plus(59 * second)));
        assert!(!hearing.falls_silent(now + 59 * second));
        assert_eq!(hearing.there(now + 60 * second), None);
        assert!(hearing.falls_silent(now + 60 * second));
        assert!(!hearing.falls_silent(now + 61 * second), "told once");
        assert_eq!(hearing.wake_at(), None);
        assert!(hearing.beacon(issued.plus(70 * second), now + 70 * second), "heard again");
        assert_eq!(hearing.there(now + 70 * second), Some(issued.plus(70 * second)));
    }
}
