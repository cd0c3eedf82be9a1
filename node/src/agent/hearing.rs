//! Whether the coordinator is alive, and what time it is there: from its beacons.

use super::{Agent, Engine};
use crate::config::write_beacon;
use protocol::time::Timestamp;
use std::time::Duration;
use tokio::time::Instant;

/// A clock that is off by less is not worth telling.
const WORTH_TELLING_MS: u64 = 30_000;

/// How often the newest beacon is kept on disk.
const KEPT_EVERY: Duration = Duration::from_secs(600);

/// The last beacon.
#[derive(Debug)]
pub(super) struct Hearing {
    silence: Duration,
    last: Option<(Instant, Timestamp)>,
    silent: bool,
    /// How far off this machine's clock was when it was last told.
    told_offset_ms: i64,
    /// When a beacon was last kept on disk.
    kept: Option<Instant>,
}

impl Hearing {
    /// Without a beacon for `silence` nothing new is started.
    pub(super) fn new(silence: Duration) -> Self {
        Self { silence, last: None, silent: false, told_offset_ms: 0, kept: None }
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

    /// How long nothing was heard; nothing before the first beacon.
    pub(super) fn silent_for(&self, now: Instant) -> Duration {
        self.last.map_or(Duration::ZERO, |(at, _)| now.saturating_duration_since(at))
    }

    /// How far off this machine's clock is, once for each offset that differs much from the one that was told last.
    pub(super) fn news_of_clock(&mut self, offset_ms: i64) -> Option<i64> {
        let is_news = offset_ms.abs_diff(self.told_offset_ms) >= WORTH_TELLING_MS;
        is_news.then(|| {
            self.told_offset_ms = offset_ms;
            offset_ms
        })
    }

    /// True once in a while: the newest beacon is to be kept.
    fn is_to_keep(&mut self, now: Instant) -> bool {
        let is_due = self.kept.is_none_or(|kept| now.saturating_duration_since(kept) >= KEPT_EVERY);
        if is_due {
            self.kept = Some(now);
        }
        is_due
    }

    /// When the silence becomes too long, if it has not yet.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.ends().filter(|_| !self.silent)
    }

    fn ends(&self) -> Option<Instant> {
        self.last.map(|(at, _)| at + self.silence)
    }
}

impl<E: Engine> Agent<E> {
    /// Keeps the newest beacon's place over a restart: the first one at once, later ones now and then.
    pub(super) async fn keep_beacon_sometimes(&mut self, now: Instant) {
        if self.hearing.is_to_keep(now) {
            self.keep_beacon().await;
        }
    }

    pub(super) async fn keep_beacon(&mut self) {
        let Some((coordinator, order)) = self.mesh.newest_beacon() else { return };
        let path = self.beacon_path.clone();
        let kept = tokio::task::spawn_blocking(move || write_beacon(&path, &coordinator, order)).await;
        if !matches!(kept, Ok(Ok(()))) {
            tracing::warn!(path = %self.beacon_path.display(), ?kept, "the newest beacon could not be kept");
        }
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
        assert_eq!([70, 75].map(|at| hearing.silent_for(now + at * second)), [Duration::ZERO, 5 * second]);
    }

    #[test]
    fn the_first_beacon_is_kept_at_once_and_then_one_every_ten_minutes() {
        let (mut hearing, now) = (Hearing::new(Duration::from_secs(60)), Instant::now());
        let kept = [0, 1, 599, 600, 601].map(|at| hearing.is_to_keep(now + Duration::from_secs(at)));
        assert_eq!(kept, [true, false, false, true, false]);
    }

    #[test]
    fn an_offset_is_told_once_and_again_when_it_is_another() {
        let mut hearing = Hearing::new(Duration::from_secs(60));
        let told = [29_999, -600_000, -600_100, -570_001, 20_000, 0, i64::MAX]
            .map(|offset| hearing.news_of_clock(offset).is_some());
        assert_eq!(told, [false, true, false, false, true, false, true]);
    }
}
