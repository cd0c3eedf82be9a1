//! When something ends, as people write it: `90d`, a date, or a time.

use protocol::Timestamp;
use std::time::Duration;

const DAY: u64 = 24 * 3600;

/// Why an end was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExpiryError {
    #[error("{0:?} is no end; write a length such as 90d or 12h, a date such as 2026-12-31, or a time (RFC 3339)")]
    Unreadable(String),
    #[error("{0:?} is already over; take a later one")]
    Over(String),
}

/// From `now` to the end that `text` tells; nothing for empty text. A date ends when its day ends, in UTC.
pub(crate) fn lifetime(text: &str, now: Timestamp) -> Result<Option<Duration>, ExpiryError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let lifetime = length(text).or_else(|| Some(moment(text)?.since(now)));
    match lifetime {
        None => Err(ExpiryError::Unreadable(text.to_owned())),
        Some(lifetime) if lifetime.is_zero() => Err(ExpiryError::Over(text.to_owned())),
        some => Ok(some),
    }
}

fn length(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => DAY,
        _ => return None,
    };
    let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
    Some(Duration::from_secs(count.saturating_mul(seconds)))
}

fn moment(text: &str) -> Option<Timestamp> {
    let date: Option<Timestamp> = format!("{text}T00:00:00Z").parse().ok();
    date.map(|midnight| midnight.plus(Duration::from_secs(DAY))).or_else(|| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_a_length_a_date_or_a_time() {
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        let told = |text: &str| lifetime(text, now).map(|lifetime| lifetime.map(|length| length.as_secs()));
        assert_eq!(told(" "), Ok(None));
        assert_eq!(told("90d"), Ok(Some(90 * DAY)));
        assert_eq!(told("2026-01-31"), Ok(Some(DAY / 2)));
        assert_eq!(told("2026-01-31T13:00:00+00:00"), Ok(Some(3600)));
        for over in ["0d", "2026-01-30", "2026-01-31T12:00:00Z"] {
            assert_eq!(told(over), Err(ExpiryError::Over(over.to_owned())));
        }
        for unreadable in ["soon", "9w", "-1d", "1.5h", "d", "2026-02-30", "é"] {
            assert_eq!(told(unreadable), Err(ExpiryError::Unreadable(unreadable.to_owned())));
        }
    }
}
