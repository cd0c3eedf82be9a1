//! When expressions come: through summer time, and against a clock that is watched minute by minute.

use super::*;
use proptest::prelude::*;
use protocol::codec::{decode, encode};
use std::time::Duration;

fn cron(expression: &str, zone: &str) -> Cron {
    Cron::parse(expression, zone).unwrap_or_else(|error| panic!("{error}"))
}

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

/// The next times after `start`, shown by the local clock with its offset.
fn coming(cron: &Cron, start: &str, count: usize) -> Vec<String> {
    let next = |time: &Timestamp| cron.first_after(*time);
    let times = std::iter::successors(next(&at(start)), next).take(count);
    let shown = |time: Timestamp| {
        let instant = jiff::Timestamp::from_millisecond(i64::try_from(time.as_millis()).unwrap()).unwrap();
        instant.to_zoned(cron.clock.clone()).strftime("%d.%m. %H:%M %:z").to_string()
    };
    times.map(shown).collect()
}

#[test]
fn a_time_that_spring_skips_comes_once_when_the_clock_has_jumped() {
    let start = "2026-03-27T12:00:00Z";
    assert_eq!(
        coming(&cron("30 2 * * *", "Europe/Berlin"), start, 3),
        ["28.03. 02:30 +01:00", "29.03. 03:00 +02:00", "30.03. 02:30 +02:00"]
    );
    assert_eq!(
        coming(&cron("*/30 1-3 29 3 *", "Europe/Berlin"), start, 5),
        [
            "29.03. 01:00 +01:00",
            "29.03. 01:30 +01:00",
            "29.03. 03:00 +02:00",
            "29.03. 03:30 +02:00",
            "29.03. 01:00 +02:00"
        ],
        "half past two and two come with three o'clock; the last one is a year later"
    );
    assert_eq!(
        coming(&cron("30 2 * * *", "America/New_York"), "2026-03-08T05:00:00Z", 2),
        ["08.03. 03:00 -04:00", "09.03. 02:30 -04:00"]
    );
}

#[test]
fn a_time_that_autumn_has_twice_comes_once_the_first_time() {
    let start = "2026-10-24T12:00:00Z";
    assert_eq!(coming(&cron("30 2 * * *", "Europe/Berlin"), start, 2), ["25.10. 02:30 +02:00", "26.10. 02:30 +01:00"]);
    assert_eq!(
        coming(&cron("*/30 * * * *", "Europe/Berlin"), "2026-10-24T23:50:00Z", 5),
        [
            "25.10. 02:00 +02:00",
            "25.10. 02:30 +02:00",
            "25.10. 03:00 +01:00",
            "25.10. 03:30 +01:00",
            "25.10. 04:00 +01:00"
        ]
    );
    let second_pass = "2026-10-25T01:10:00Z";
    assert_eq!(coming(&cron("30 2 * * *", "Europe/Berlin"), second_pass, 1), ["26.10. 02:30 +01:00"]);
    assert_eq!(coming(&cron("* * * * *", "Europe/Berlin"), second_pass, 1), ["25.10. 03:00 +01:00"]);
}

#[test]
fn utc_is_the_zone_of_those_who_name_none_and_a_skipped_day_comes_the_next() {
    let plain = cron("  15   4 * * 1 ", "");
    assert_eq!((plain.expression(), plain.zone()), ("15 4 * * 1", "UTC"));
    assert_eq!(coming(&plain, "2026-10-24T00:00:00Z", 1), ["26.10. 04:15 +00:00"]);
    assert_eq!(cron("@daily", "europe/berlin").zone(), "Europe/Berlin");
    // Samoa had no 30 December 2011.
    assert_eq!(
        coming(&cron("0 12 * * *", "Pacific/Apia"), "2011-12-30T00:00:00Z", 2),
        ["31.12. 00:00 +14:00", "31.12. 12:00 +14:00"]
    );
}

#[test]
fn what_is_no_expression_or_no_zone_is_named_with_its_remedy() {
    let errors: Vec<String> = [
        ("every day", ""),
        ("* * * * * *", ""),
        ("61 2 * * *", ""),
        ("0 24 * * *", ""),
        ("0 2 0 * *", ""),
        ("0 2 * DAY *", ""),
        ("0 2 * * 9", ""),
        ("0 2 30 2 *", ""),
        ("@reboot", ""),
        ("0 2 * * *", "Mars/Olympus"),
        ("0 2 * * *", "Etc/Unknown"),
        (&"1,".repeat(60), ""),
    ]
    .iter()
    .map(|(expression, zone)| Cron::parse(expression, zone).expect_err(expression).to_string())
    .collect();
    insta::assert_snapshot!(errors.join("\n"), @r#"
    "every day" is no cron expression; write five fields (minute, hour, day of month, month, weekday), for instance 30 2 * * 1-5, or @hourly, @daily, @weekly or @monthly
    "* * * * * *" is no cron expression; write five fields (minute, hour, day of month, month, weekday), for instance 30 2 * * 1-5, or @hourly, @daily, @weekly or @monthly
    "61" is no minute; write 0 to 59; also * for all, lists with commas, ranges with -, steps with /
    "24" is no hour; write 0 to 23; also * for all, lists with commas, ranges with -, steps with /
    "0" is no day of month; write 1 to 31, L for the last; also * for all, lists with commas, ranges with -, steps with /
    "DAY" is no month; write 1 to 12 or JAN to DEC; also * for all, lists with commas, ranges with -, steps with /
    "9" is no weekday; write 0 to 7 or SUN to SAT, 0 and 7 being Sunday; also * for all, lists with commas, ranges with -, steps with /
    "0 2 30 2 *" names a day that no year has; change day or month
    "@reboot" is no cron expression; write five fields (minute, hour, day of month, month, weekday), for instance 30 2 * * 1-5, or @hourly, @daily, @weekly or @monthly
    time zone "Mars/Olympus" is unknown; write its IANA name, such as Europe/Berlin, or UTC
    time zone "Etc/Unknown" is unknown; write its IANA name, such as Europe/Berlin, or UTC
    120 characters are more than the 100 that a cron expression may have; shorten it
    "#);
}

/// The first minute after `time` at which the clock reaches a named time, found by watching it.
fn watched(cron: &Cron, time: Timestamp) -> Option<Timestamp> {
    let minute = |step: u64| Timestamp::from_millis((time.as_millis() / 60_000 + step) * 60_000);
    let shown = |time: Timestamp| {
        let instant = jiff::Timestamp::from_millisecond(i64::try_from(time.as_millis()).unwrap()).unwrap();
        as_if_utc(cron.clock.to_datetime(instant)).unwrap()
    };
    // The latest time that the clock has ever shown: only what lies beyond it is reached for the first time.
    let day_before = time.minus(Duration::from_secs(24 * 3600));
    let mut latest = (0..=24 * 60).map(|step| shown(day_before.plus(Duration::from_secs(step * 60)))).max()?;
    for step in 1..=3 * 24 * 60 {
        let now = shown(minute(step));
        while latest < now {
            latest += chrono::Duration::minutes(1);
            if cron.times.is_time_matching(&latest).unwrap() {
                return Some(minute(step));
            }
        }
    }
    None
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_next_time_is_the_first_at_which_a_watched_clock_reaches_it(
        minute in prop_oneof![Just("*".to_owned()), (0..60u8).prop_map(|n| n.to_string()), Just("*/17".to_owned())],
        hour in prop_oneof![Just("*".to_owned()), (0..24u8).prop_map(|n| n.to_string()), Just("1-3".to_owned())],
        zone in proptest::sample::select(vec!["UTC", "Europe/Berlin", "Europe/Berlin", "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
        // In the nights when Central Europe changes its clocks, and anywhere in a year.
        start in prop_oneof![1_774_735_200u64..1_774_753_200, 1_792_879_200u64..1_792_897_200, 1_767_225_600u64..1_798_761_600],
    ) {
        let cron = cron(&format!("{minute} {hour} * * *"), zone);
        let start = Timestamp::from_millis(start / 60 * 60_000);
        let next = cron.first_after(start);
        prop_assert!(next > Some(start));
        prop_assert_eq!(next, watched(&cron, start), "{} after {}", cron, start);
    }

    #[test]
    fn any_text_is_read_or_refused_and_what_was_read_is_kept(text in "[0-9*/,LW# @a-z-]{0,24}", zone in "[A-Za-z/]{0,12}") {
        if let Ok(cron) = Cron::parse(&text, &zone) {
            prop_assert_eq!(decode::<Cron>(&encode(&cron), 1 << 10).unwrap(), cron);
        }
    }
}
