//! Approvals and rosters end; people are told 30, 7 and 1 days before.

use protocol::Timestamp;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How near an end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// 30 days or less.
    Month,
    /// 7 days or less.
    Week,
    /// One day or less.
    Day,
    /// It is over.
    Over,
}

impl Ending {
    /// How near `end` is; `None` while it is far, and for what never ends.
    pub fn of(end: Option<Timestamp>, now: Timestamp) -> Option<Self> {
        let end = end?;
        let left = end.since(now);
        match left {
            _ if now > end => Some(Self::Over),
            _ if left <= DAY => Some(Self::Day),
            _ if left <= 7 * DAY => Some(Self::Week),
            _ if left <= 30 * DAY => Some(Self::Month),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_warned_of_at_thirty_seven_and_one_days() {
        let now = Timestamp::from_millis(1_000);
        let of = |left: Duration| Ending::of(Some(now.plus(left)), now);
        let (second, none) = (Duration::from_secs(1), None);
        assert_eq!(Ending::of(None, now), none);
        let steps = [30 * DAY + second, 30 * DAY, 7 * DAY + second, 7 * DAY, DAY + second, DAY, Duration::ZERO];
        let (month, week, day) = (Some(Ending::Month), Some(Ending::Week), Some(Ending::Day));
        assert_eq!(steps.map(of), [none, month, month, week, week, day, day]);
        assert_eq!(Ending::of(Some(now), now.plus(Duration::from_millis(1))), Some(Ending::Over));
    }
}
