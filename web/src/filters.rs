//! How times, numbers, addresses of pages and icons look. Templates call these by name.

#![expect(unreachable_pub, reason = "askama's filter_fn makes types that are public in their module")]

use crate::assets;
use crate::page::Context;
use askama::filters::HtmlSafeOutput;
use askama::{Values, filter_fn, get_value};
use jiff::tz::TimeZone;
use protocol::Timestamp;
use std::fmt::{self, Display};
use std::time::Duration;

type Html = HtmlSafeOutput<String>;

fn context(values: &dyn Values) -> askama::Result<&Context> {
    get_value::<Context>(values, Context::KEY)
}

/// A path of this program, below the folder that a proxy serves it under.
#[filter_fn]
pub(crate) fn link(path: impl Display, values: &dyn Values) -> askama::Result<String> {
    Ok(format!("{}{path}", context(values)?.base_path))
}

/// Where the browser finds a file of `assets/`.
#[filter_fn]
pub(crate) fn asset(path: &str, values: &dyn Values) -> askama::Result<String> {
    Ok(format!("{}/assets/{}", context(values)?.base_path, assets::served_as(path)))
}

/// A picture for the word beside it; readers of the screen skip it.
#[filter_fn]
pub(crate) fn icon(name: &str, values: &dyn Values) -> askama::Result<Html> {
    let sprite = assets::served_as("vendor/lucide-1.62.0.svg");
    let base = &context(values)?.base_path;
    Ok(HtmlSafeOutput(format!(
        r#"<svg class="icon icon-{name}" aria-hidden="true" focusable="false"><use href="{base}/assets/{sprite}#{name}"/></svg>"#
    )))
}

/// `<time>` with relative text; the absolute value is in its title.
#[filter_fn]
pub(crate) fn ago(time: &Timestamp, values: &dyn Values) -> askama::Result<Html> {
    let Context { now, zone, .. } = context(values)?;
    Ok(HtmlSafeOutput(format!(
        r#"<time datetime="{time}" title="{}">{}</time>"#,
        text_in(*time, zone),
        relative_text(*time, *now)
    )))
}

/// `<time>` with the absolute value.
#[filter_fn]
pub(crate) fn at(time: &Timestamp, values: &dyn Values) -> askama::Result<Html> {
    let zone = &context(values)?.zone;
    Ok(HtmlSafeOutput(format!(r#"<time datetime="{time}">{}</time>"#, text_in(*time, zone))))
}

/// A length of time in its two largest units.
#[filter_fn]
pub(crate) fn span(duration: &Duration, _: &dyn Values) -> askama::Result<String> {
    Ok(span_text(*duration))
}

/// A whole number with its digits in groups of three.
#[filter_fn]
pub(crate) fn grouped(number: impl Display, _: &dyn Values) -> askama::Result<String> {
    Ok(grouped_text(number))
}

/// `singular` for one, else `plural`.
#[filter_fn]
pub(crate) fn noun<'a>(
    count: impl Display,
    _: &dyn Values,
    singular: &'a str,
    plural: &'a str,
) -> askama::Result<&'a str> {
    Ok(if count.to_string() == "1" { singular } else { plural })
}

/// With a capital in front.
#[filter_fn]
pub(crate) fn capital(text: &str, _: &dyn Values) -> askama::Result<String> {
    Ok(capital_text(text))
}

/// A message as a sentence: with a capital and a full stop.
#[filter_fn]
pub(crate) fn sentence(message: impl Display, _: &dyn Values) -> askama::Result<String> {
    Ok(sentence_text(&message.to_string()))
}

/// `2026-01-31 12:00:00 UTC`
pub(crate) fn absolute_text(time: Timestamp) -> String {
    let text = time.to_string();
    let seconds = text.get(..19).unwrap_or(&text);
    format!("{} UTC", seconds.replace('T', " "))
}

/// `2026-01-31 13:00:00 CET`
fn text_in(time: Timestamp, zone: &TimeZone) -> String {
    let moment = i64::try_from(time.as_millis()).ok().and_then(|time| jiff::Timestamp::from_millisecond(time).ok());
    match moment {
        Some(moment) => moment.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
        None => absolute_text(time),
    }
}

/// `3 min ago`, `in 2 h`, `just now`.
pub(crate) fn relative_text(time: Timestamp, now: Timestamp) -> String {
    let (gap, is_past) = if time <= now { (now.since(time), true) } else { (time.since(now), false) };
    if gap < Duration::from_secs(5) {
        return "just now".to_owned();
    }
    let amount = largest_unit(gap);
    if is_past { format!("{amount} ago") } else { format!("in {amount}") }
}

/// `2 h 5 min`, `48 s`.
pub(crate) fn span_text(duration: Duration) -> String {
    let units = split(duration);
    let shown: Vec<String> = units
        .into_iter()
        .skip_while(|(count, _)| *count == 0)
        .take(2)
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count} {unit}"))
        .collect();
    if shown.is_empty() { "under 1 s".to_owned() } else { shown.join(" ") }
}

/// `16 777 216`, with thin spaces that do not break.
pub(crate) fn grouped_text(number: impl Display) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// With a capital in front.
pub(crate) fn capital_text(text: &str) -> String {
    let mut characters = text.chars();
    let first: String = characters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}", characters.as_str())
}

fn sentence_text(message: &str) -> String {
    let stop = if message.ends_with(['.', '?', ':']) || message.is_empty() { "" } else { "." };
    format!("{}{stop}", capital_text(message))
}

fn largest_unit(gap: Duration) -> String {
    let unit = split(gap).into_iter().find(|(count, _)| *count > 0);
    unit.map_or_else(|| "0 s".to_owned(), |(count, unit)| format!("{count} {unit}"))
}

fn split(duration: Duration) -> [(u64, &'static str); 4] {
    let seconds = duration.as_secs();
    [(seconds / 86_400, "d"), (seconds / 3_600 % 24, "h"), (seconds / 60 % 60, "min"), (seconds % 60, "s")]
}

/// A share in whole percent. Never rounds up to 100: what is missing must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Percent(pub(crate) u8);

impl Percent {
    /// `part` of `whole`; all of nothing is 100.
    pub(crate) fn of(part: u128, whole: u128) -> Self {
        if part >= whole {
            return Self(100);
        }
        let share = part.checked_mul(100).map_or_else(|| part / (whole / 100), |hundredfold| hundredfold / whole);
        Self(u8::try_from(share.min(99)).unwrap_or(99))
    }
}

impl Percent {
    /// From hundredths of a percent.
    pub(crate) fn of_hundredths(hundredths: u32) -> Self {
        Self(u8::try_from(hundredths / 100).unwrap_or(100).min(100))
    }
}

impl Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\u{202f}%", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_its_largest_unit() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let told = |seconds: u64| relative_text(now.minus(Duration::from_secs(seconds)), now);
        assert_eq!(
            [told(0), told(4), told(59), told(60), told(7_199), told(86_400 * 3)],
            ["just now", "just now", "59 s ago", "1 min ago", "1 h ago", "3 d ago"]
        );
        assert_eq!(relative_text(now.plus(Duration::from_secs(7_200)), now), "in 2 h");
        assert_eq!(absolute_text(now), "2023-11-14 22:13:20 UTC");
    }

    #[test]
    fn a_span_has_two_units_and_no_zeros() {
        let told = |seconds| span_text(Duration::from_secs(seconds));
        assert_eq!(
            [told(0), told(48), told(3_600), told(7_500), told(90_061)],
            ["under 1 s", "48 s", "1 h", "2 h 5 min", "1 d 1 h"]
        );
    }

    #[test]
    fn large_numbers_are_grouped() {
        assert_eq!(
            [grouped_text(0), grouped_text(999), grouped_text(16_777_216)],
            ["0", "999", "16\u{202f}777\u{202f}216"]
        );
    }

    #[test]
    fn a_share_reaches_a_hundred_only_when_nothing_is_missing() {
        assert_eq!(
            [
                Percent::of(255, 256).0,
                Percent::of(256, 256).0,
                Percent::of(0, 0).0,
                Percent::of(u128::MAX / 2, u128::MAX).0
            ],
            [99, 100, 100, 50]
        );
    }
}
