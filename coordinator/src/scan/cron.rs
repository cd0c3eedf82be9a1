//! Cron expressions with a time zone, and when they come next.
//!
//! An expression names times of the local clock. Such a time comes at the first moment at which that clock shows it or a
//! later one: a time that summer time skips comes when the clock has jumped, one that it shows twice comes the first time.
//! So each named time comes exactly once, and an hourly expression is one hour longer apart in the night that has an
//! hour twice; who wants equal distances writes an interval.

use chrono::{DateTime, Datelike, NaiveDate, Timelike, Utc};
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use protocol::Timestamp;
use protocol::codec::{BorrowDecode, BorrowDecoder, Decode, DecodeError, Decoder, Encode, EncodeError, Encoder};
use std::fmt;

/// The zone of an expression that names none.
pub const DEFAULT_ZONE: &str = "UTC";

const MAX_CHARS: usize = 100;

/// The most named times that are passed over because they have come already: an hour that a clock shows twice has 60.
const MAX_PASSED: usize = 2_000;

/// The fields of an expression and what may stand in them.
const FIELDS: [(&str, &str); 5] = [
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of month", "1 to 31, L for the last"),
    ("month", "1 to 12 or JAN to DEC"),
    ("weekday", "0 to 7 or SUN to SAT, 0 and 7 being Sunday"),
];

/// A cron expression of five fields in a zone of the IANA database. Only [`Cron::parse`] makes one.
///
/// Seconds are not taken: no scan is due more often than once a minute. Days follow the rule of cron: where day of month
/// and weekday are both restricted, either is enough.
#[derive(Clone, Debug)]
pub struct Cron {
    expression: String,
    zone: String,
    times: croner::Cron,
    clock: TimeZone,
}

/// Why an expression or a zone was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Not of the form of one.
    #[error(
        "{0:?} is no cron expression; write five fields (minute, hour, day of month, month, weekday), for instance 30 2 * * 1-5, or @hourly, @daily, @weekly or @monthly"
    )]
    Unreadable(String),
    /// One field.
    #[error("{text:?} is no {field}; write {allowed}; also * for all, lists with commas, ranges with -, steps with /")]
    BadField {
        /// What stands in this place.
        field: &'static str,
        /// As written.
        text: String,
        /// What may stand there.
        allowed: &'static str,
    },
    /// Too long to be meant.
    #[error("{0} characters are more than the {MAX_CHARS} that a cron expression may have; shorten it")]
    TooLong(usize),
    /// For instance the 30th of February.
    #[error("{0:?} names a day that no year has; change day or month")]
    Never(String),
    /// Not in the database.
    #[error("time zone {0:?} is unknown; write its IANA name, such as Europe/Berlin, or UTC")]
    UnknownZone(String),
}

impl Cron {
    /// Reads `expression`; an empty `zone` stands for [`DEFAULT_ZONE`].
    ///
    /// The zones are those built into the program, so that every machine knows the same ones.
    pub fn parse(expression: &str, zone: &str) -> Result<Self, CronError> {
        let length = expression.chars().count();
        if length > MAX_CHARS {
            return Err(CronError::TooLong(length));
        }
        let expression = expression.split_whitespace().collect::<Vec<_>>().join(" ");
        let times = read(&expression)?;
        let (zone, clock) = find_zone(zone)?;
        let cron = Self { expression, zone, times, clock };
        match cron.first_after(Timestamp::default()) {
            Some(_) => Ok(cron),
            None => Err(CronError::Never(cron.expression)),
        }
    }

    /// As written, with single blanks.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// Its IANA name.
    pub fn zone(&self) -> &str {
        &self.zone
    }

    /// The first of its times that comes after `time`.
    pub fn first_after(&self, time: Timestamp) -> Option<Timestamp> {
        let instant = jiff::Timestamp::from_millisecond(i64::try_from(time.as_millis()).ok()?).ok()?;
        let mut local = as_if_utc(self.clock.to_datetime(instant))?;
        for _ in 0..MAX_PASSED {
            local = self.times.find_next_occurrence(&local, false).ok()?;
            let comes = self.comes_at(local)?;
            if comes > instant {
                return u64::try_from(comes.as_millisecond()).ok().map(Timestamp::from_millis);
            }
        }
        None
    }

    /// The first moment at which the local clock shows `local` or a later time.
    fn comes_at(&self, local: DateTime<Utc>) -> Option<jiff::Timestamp> {
        let shown = civil_of(local)?;
        match self.clock.to_ambiguous_timestamp(shown).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(shown).ok(),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(shown).ok(),
            AmbiguousOffset::Gap { after, .. } => {
                let shortly_before = after.to_timestamp(shown).ok()?;
                self.clock.following(shortly_before).next().map(|jump| jump.timestamp())
            }
        }
    }
}

/// croner is asked in local time alone and told that it is UTC, so that summer time is decided here.
fn as_if_utc(local: civil::DateTime) -> Option<DateTime<Utc>> {
    let part = |number: i8| u32::try_from(number).ok();
    let date = NaiveDate::from_ymd_opt(i32::from(local.year()), part(local.month())?, part(local.day())?)?;
    date.and_hms_opt(part(local.hour())?, part(local.minute())?, part(local.second())?).map(|time| time.and_utc())
}

fn civil_of(local: DateTime<Utc>) -> Option<civil::DateTime> {
    let part = |number: u32| i8::try_from(number).ok();
    civil::DateTime::new(
        i16::try_from(local.year()).ok()?,
        part(local.month())?,
        part(local.day())?,
        part(local.hour())?,
        part(local.minute())?,
        part(local.second())?,
        0,
    )
    .ok()
}

fn parser() -> CronParser {
    CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build()
}

/// Reads the whole; when it fails, each field alone says which one is wrong.
fn read(expression: &str) -> Result<croner::Cron, CronError> {
    let unreadable = || CronError::Unreadable(expression.to_owned());
    let fields: Vec<&str> = expression.split(' ').collect();
    if fields.len() != FIELDS.len() && !expression.starts_with('@') {
        return Err(unreadable());
    }
    parser().parse(expression).map_err(|_| {
        let mut places = fields.iter().zip(FIELDS).enumerate();
        let wrong = places.find(|(place, (text, _))| parser().parse(&alone(*place, text)).is_err());
        match wrong {
            Some((_, (text, (field, allowed)))) if fields.len() == FIELDS.len() => {
                CronError::BadField { field, text: (*text).to_owned(), allowed }
            }
            _ => unreadable(),
        }
    })
}

/// An expression that restricts only one field.
fn alone(place: usize, text: &str) -> String {
    let fields = (0..FIELDS.len()).map(|other| if other == place { text } else { "*" });
    fields.collect::<Vec<_>>().join(" ")
}

/// The zone and its canonical name.
fn find_zone(zone: &str) -> Result<(String, TimeZone), CronError> {
    let wanted = if zone.trim().is_empty() { DEFAULT_ZONE } else { zone.trim() };
    let found = TimeZoneDatabase::bundled().get(wanted).ok();
    let named = found.and_then(|clock| clock.iana_name().map(str::to_owned).map(|name| (name, clock)));
    named.ok_or_else(|| CronError::UnknownZone(wanted.chars().take(MAX_CHARS).collect()))
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        (&self.expression, &self.zone) == (&other.expression, &other.zone)
    }
}

impl Eq for Cron {}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.expression, self.zone)
    }
}

impl Encode for Cron {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.expression.encode(encoder)?;
        self.zone.encode(encoder)
    }
}

impl<C> Decode<C> for Cron {
    /// Refuses what [`Cron::parse`] refuses, whoever wrote the bytes.
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let (expression, zone) = (String::decode(decoder)?, String::decode(decoder)?);
        Self::parse(&expression, &zone).map_err(|error| DecodeError::OtherString(error.to_string()))
    }
}

impl<'de, C> BorrowDecode<'de, C> for Cron {
    fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Self::decode(decoder)
    }
}

#[cfg(test)]
mod tests;
