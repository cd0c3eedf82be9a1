//! How often a scan runs by itself: at equal distances, or at times of a local clock.

use super::cron::Cron;
use protocol::Timestamp;
use protocol::codec::{Decode, Encode};
use std::fmt;
use std::time::Duration;

/// The longest interval: a year.
pub const MAX_INTERVAL_MINUTES: u32 = 366 * 24 * 60;

/// Whole minutes between two runs, one minute to a year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Interval(u32);

impl Interval {
    /// `None` outside of one minute to [`MAX_INTERVAL_MINUTES`].
    pub fn from_minutes(minutes: u32) -> Option<Self> {
        (1..=MAX_INTERVAL_MINUTES).contains(&minutes).then_some(Self(minutes))
    }

    /// In minutes.
    pub fn minutes(self) -> u32 {
        self.0
    }

    /// As a length of time.
    pub fn duration(self) -> Duration {
        Duration::from_secs(u64::from(self.0) * 60)
    }

    /// The first time after `time` of the grid that `anchor` lies on.
    fn first_after(self, anchor: Timestamp, time: Timestamp) -> Timestamp {
        let step = u64::from(self.0) * 60_000;
        let past = (time.as_millis() % step + step - anchor.as_millis() % step) % step;
        time.plus(Duration::from_millis(step - past))
    }
}

/// When a scan runs by itself. The times that it names are its slots.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Cadence {
    /// At equal distances, whatever the local clock shows.
    Every(Interval),
    /// At times of a local clock.
    Cron(Box<Cron>),
}

impl Cadence {
    /// The minutes of an interval.
    pub fn interval(&self) -> Option<Interval> {
        match self {
            Self::Every(interval) => Some(*interval),
            Self::Cron(_) => None,
        }
    }

    /// The cron expression.
    pub fn cron(&self) -> Option<&Cron> {
        match self {
            Self::Every(_) => None,
            Self::Cron(cron) => Some(cron),
        }
    }

    /// The first slot after `time`; those of an interval lie on the grid of `anchor`.
    pub fn first_after(&self, anchor: Timestamp, time: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Every(interval) => Some(interval.first_after(anchor, time)),
            Self::Cron(cron) => cron.first_after(time),
        }
    }

    /// The slot to run next, when the latest that had its run is `last`.
    ///
    /// Missed slots are not made up one by one: it is the first slot after `now`. After the clock was set back it may be
    /// one that had its run; such a slot is passed over once, as clocks that are put right are. When the clock was set
    /// back by more than that, over two slots or more, the slots ahead count as new: waiting for the old time to come
    /// again could take years.
    pub fn next(&self, anchor: Timestamp, last: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        let first = self.first_after(anchor, now)?;
        if last.is_none_or(|last| last < first) {
            return Some(first);
        }
        let second = self.first_after(anchor, first)?;
        Some(if last.is_some_and(|last| second <= last) { first } else { second })
    }
}

impl fmt::Display for Cadence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(interval) if interval.minutes() == 1 => f.write_str("every minute"),
            Self::Every(interval) => write!(f, "every {} minutes", interval.minutes()),
            Self::Cron(cron) => write!(f, "{cron}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn minute(count: u64) -> Timestamp {
        Timestamp::from_millis(count * 60_000)
    }

    #[test]
    fn a_missed_slot_is_passed_over_and_the_grid_stays() {
        let every = Cadence::Every(Interval::from_minutes(10).unwrap());
        for (last, now, next) in [
            (103, 103, 113),
            (103, 112, 113),
            (103, 113, 123),
            (103, 158, 163),
            (103, 102, 113), // set back a little: 103 had its run
            (103, 95, 113),
            (103, 93, 113),
            (103, 92, 93), // set back over two slots: they count as new
            (103, 5, 13),
        ] {
            assert_eq!(every.next(minute(103), Some(minute(last)), minute(now)), Some(minute(next)), "{last} at {now}");
        }
        assert_eq!(every.next(minute(103), None, minute(95)), Some(minute(103)));
    }

    #[test]
    fn a_daily_run_is_not_repeated_when_the_clock_is_put_right_just_after_it() {
        let daily = Cadence::Cron(Box::new(Cron::parse("0 2 * * *", "UTC").unwrap()));
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let last = Some(at("2026-05-04T02:00:00Z"));
        let next = |now| daily.next(at(now), last, at(now)).unwrap().to_string();
        assert_eq!(next("2026-05-04T02:00:05Z"), "2026-05-05T02:00:00.000Z");
        assert_eq!(next("2026-05-04T01:00:05Z"), "2026-05-05T02:00:00.000Z");
        assert_eq!(next("2026-05-01T01:00:05Z"), "2026-05-01T02:00:00.000Z");
    }

    proptest! {
        #[test]
        fn an_interval_keeps_its_grid_wherever_it_is_asked(minutes in 1..MAX_INTERVAL_MINUTES, anchor in 0..1u64 << 45, time in 0..1u64 << 45) {
            let interval = Interval::from_minutes(minutes).unwrap();
            let next = interval.first_after(Timestamp::from_millis(anchor), Timestamp::from_millis(time)).as_millis();
            let step = u64::from(minutes) * 60_000;
            prop_assert!(next > time && next - time <= step);
            prop_assert_eq!(next.abs_diff(anchor) % step, 0);
        }
    }
}
