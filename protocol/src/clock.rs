//! Mesh time: the coordinator's clock, as its beacons tell it to members whose own clock may be wrong.
//!
//! A member's clock is believed until three beacons have come; from then on the median of the latest ones is. Beacons
//! count in the order in which the coordinator signed them, so an old recording moves nothing. What is measured against
//! is a clock that nobody can set, so a member's own clock may be set while it runs.

use crate::identity::NodeId;
use crate::time::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Beacons that overrule a member's own clock.
const ENOUGH: usize = 3;

/// The latest beacons that count.
const LATEST: usize = 5;

/// A member's own clock that is this far off gets nothing believed, so it waits for enough beacons.
const DOUBTFUL: Duration = Duration::from_secs(60);

/// Which of a coordinator's messages: its boot, and the number within it. Later ones are greater.
pub type Order = (u64, u64);

/// What time it is in the mesh.
#[derive(Debug)]
pub struct MeshClock {
    start: Instant,
    /// The newest beacon, and who signed it.
    newest: Option<(NodeId, Order)>,
    /// What time it was in the mesh at `start`, as each of the latest beacons has it.
    samples: VecDeque<Timestamp>,
}

impl MeshClock {
    /// Knows nothing yet.
    pub fn new(start: Instant) -> Self {
        Self { start, newest: None, samples: VecDeque::with_capacity(LATEST) }
    }

    /// Beacons of `coordinator` up to this one were heard before a restart; they move nothing any more.
    pub fn has_heard(&mut self, coordinator: NodeId, order: Order) {
        self.newest = Some((coordinator, order));
    }

    /// The newest beacon that was heard, and who signed it.
    pub fn newest(&self) -> Option<(NodeId, Order)> {
        self.newest
    }

    /// True when a beacon of this order would count. Another coordinator's counting begins anew.
    pub fn counts(&self, coordinator: NodeId, order: Order) -> bool {
        self.newest.is_none_or(|(known, newest)| known != coordinator || order > newest)
    }

    /// A proven beacon; nothing happens when a newer one was heard.
    pub fn hear(&mut self, coordinator: NodeId, order: Order, issued: Timestamp, now: Instant) {
        if !self.counts(coordinator, order) {
            return;
        }
        self.newest = Some((coordinator, order));
        self.samples.truncate(LATEST - 1);
        self.samples.push_front(issued.minus(now.saturating_duration_since(self.start)));
    }

    /// Mesh time at `now`, when this machine's own clock says `wall`.
    pub fn time(&self, wall: Timestamp, now: Instant) -> Timestamp {
        let settled = self.median().map(|start| start.plus(now.saturating_duration_since(self.start)));
        settled.unwrap_or(wall)
    }

    /// `wall` minus mesh time in milliseconds, once enough beacons have come.
    pub fn offset_ms(&self, wall: Timestamp, now: Instant) -> Option<i64> {
        self.median().map(|_| difference_ms(wall, self.time(wall, now)))
    }

    /// True while this machine's own clock must be used though the newest beacon contradicts it.
    pub fn is_doubtful(&self, wall: Timestamp, now: Instant) -> bool {
        let there = self.samples.front().map(|start| start.plus(now.saturating_duration_since(self.start)));
        let far = |there: Timestamp| there.since(wall).max(wall.since(there)) > DOUBTFUL;
        self.samples.len() < ENOUGH && there.is_some_and(far)
    }

    fn median(&self) -> Option<Timestamp> {
        let mut sorted: Vec<Timestamp> = self.samples.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().filter(|_| sorted.len() >= ENOUGH)
    }
}

/// `one` minus `other` in milliseconds.
pub fn difference_ms(one: Timestamp, other: Timestamp) -> i64 {
    let whole = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    whole(one.since(other)) - whole(other.since(one))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HUB: NodeId = NodeId::from_bytes([1; 32]);
    const SECOND: Duration = Duration::from_secs(1);
    const TEN: Duration = Duration::from_secs(10);
    const NOON: Timestamp = Timestamp::from_millis(1_700_000_000_000);
    const TWO_YEARS: Duration = Duration::from_secs(2 * 365 * 86_400);

    /// A member that started when it was `NOON` in the mesh.
    fn started() -> (MeshClock, Instant) {
        let start = Instant::now();
        (MeshClock::new(start), start)
    }

    #[test]
    fn three_beacons_overrule_a_clock_that_is_minutes_or_years_off() {
        for wrong in [NOON.plus(600 * SECOND), NOON.minus(600 * SECOND), NOON.plus(TWO_YEARS), NOON.minus(TWO_YEARS)] {
            let (mut clock, start) = started();
            for beacon in 0..3u32 {
                let (now, wall) = (start + TEN * beacon, wrong.plus(TEN * beacon));
                assert_eq!((clock.time(wall, now), clock.offset_ms(wall, now)), (wall, None));
                clock.hear(HUB, (1, u64::from(beacon) + 1), NOON.plus(TEN * beacon), now);
                assert_eq!(clock.is_doubtful(wall, now), beacon < 2);
            }
            let (now, wall) = (start + 60 * SECOND, wrong.plus(60 * SECOND));
            assert_eq!(clock.time(wall, now), NOON.plus(60 * SECOND));
            assert_eq!(clock.offset_ms(wall, now), Some(difference_ms(wrong, NOON)));
        }
    }

    #[test]
    fn a_clock_that_is_right_is_used_at_once_and_one_stale_beacon_does_not_mislead_it() {
        let (mut clock, start) = started();
        clock.hear(HUB, (1, 1), NOON.minus(3 * 3_600 * SECOND), start);
        assert!(clock.is_doubtful(NOON, start));
        assert_eq!(clock.time(NOON, start), NOON);
        clock.hear(HUB, (1, 2), NOON.plus(SECOND), start + SECOND);
        assert!(!clock.is_doubtful(NOON.plus(SECOND), start + SECOND));
        clock.hear(HUB, (1, 3), NOON.plus(2 * SECOND), start + 2 * SECOND);
        assert_eq!(clock.time(NOON, start + 5 * SECOND), NOON.plus(5 * SECOND));
    }

    #[test]
    fn when_the_coordinators_clock_is_set_members_follow_after_three_beacons() {
        for set in [NOON.plus(3_600 * SECOND), NOON.minus(3_600 * SECOND)] {
            let (mut clock, start) = started();
            (1..=9).for_each(|number| clock.hear(HUB, (1, number), NOON, start));
            (1..=2).for_each(|number| clock.hear(HUB, (2, number), set, start));
            assert_eq!(clock.time(NOON, start), NOON);
            clock.hear(HUB, (2, 3), set, start);
            assert_eq!(clock.time(NOON, start), set);
        }
    }

    #[test]
    fn what_was_heard_before_a_restart_moves_nothing() {
        let (mut clock, start) = started();
        clock.has_heard(HUB, (4, 100));
        for number in 1..=100 {
            assert!(!clock.counts(HUB, (4, number)));
            clock.hear(HUB, (4, number), NOON.minus(TWO_YEARS), start);
        }
        assert_eq!((clock.time(NOON, start), clock.newest()), (NOON, Some((HUB, (4, 100)))));
        assert!(clock.counts(NodeId::from_bytes([2; 32]), (1, 1)), "another coordinator");
    }

    proptest! {
        /// Whoever stands between can hold beacons back, drop them and repeat them. He moves mesh time by no more than
        /// he held back a beacon that nobody had heard yet: a recording never brings a past moment back.
        #[test]
        fn no_recording_brings_a_past_moment_back(
            wall_off in -100_000_000i64..100_000_000,
            steps in proptest::collection::vec((0u64..400, 0u64..30), 1..200),
        ) {
            let (mut clock, start) = started();
            let wall = Timestamp::from_millis(NOON.as_millis().saturating_add_signed(wall_off));
            // Beacon `n` is signed n * 10 s after noon; at step `s` all up to `s` are known to the one in between.
            let (mut newest, mut lags) = (None, Vec::new());
            for (step, (choice, lag)) in (0u32..).zip(steps) {
                let now = start + TEN * step + Duration::from_millis(lag);
                let true_time = NOON.plus(TEN * step + Duration::from_millis(lag));
                let number = choice % (u64::from(step) + 1);
                let issued = NOON.plus(TEN * u32::try_from(number).unwrap());
                if newest < Some(number) {
                    newest = Some(number);
                    lags.push(true_time.since(issued));
                }
                clock.hear(HUB, (1, number + 1), issued, now);
                if clock.offset_ms(wall, now).is_some() {
                    let (told, most) = (clock.time(wall, now), lags.iter().rev().take(LATEST).max().copied());
                    prop_assert!(told <= true_time, "never ahead");
                    prop_assert!(Some(true_time.since(told)) <= most, "{:?} behind", true_time.since(told));
                }
            }
        }

        #[test]
        fn repeating_what_was_heard_changes_nothing(numbers in proptest::collection::vec(1u64..50, 1..100)) {
            let (mut clock, start) = started();
            (40u32..=50).for_each(|number| clock.hear(HUB, (1, number.into()), NOON.plus(TEN * number), start + TEN * number));
            let before = clock.time(NOON, start);
            for number in numbers {
                clock.hear(HUB, (1, number), NOON.minus(TWO_YEARS), start + 600 * SECOND);
            }
            prop_assert_eq!(clock.time(NOON, start), before);
        }
    }
}
