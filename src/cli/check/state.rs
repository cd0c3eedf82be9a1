//! What a monitoring system is told: a state, a sentence, and numbers it can draw.

use crate::cli::print;
use coordinator::analysis::alert::Severity;
use protocol::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use web::api::scans::Scan;

/// How it is, the worse the later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum State {
    Ok,
    Warning,
    Critical,
    Unknown,
}

/// What was found; `--json` prints it so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Found {
    state: State,
    found: String,
    numbers: Vec<Number>,
}

/// One number with the limits from which on it is too high.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Number {
    name: &'static str,
    value: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    critical: Option<u64>,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }
}

impl Number {
    fn plain(name: &'static str, value: u64) -> Self {
        Self { name, value, warning: None, critical: None }
    }

    /// As monitoring systems read it: a range `N` alarms above N, so a limit that is itself too high is one more.
    fn perfdata(&self) -> String {
        let range = |limit: Option<u64>| limit.map(|limit| limit.saturating_sub(1).to_string()).unwrap_or_default();
        let Self { name, value, warning, critical } = self;
        format!("{name}={value};{};{};0", range(*warning), range(*critical))
    }
}

impl Found {
    /// Nothing can be said, and why.
    pub(super) fn unknown(why: &str) -> Self {
        Self { state: State::Unknown, found: why.to_owned(), numbers: Vec::new() }
    }

    /// The exit code that stands for the state.
    pub(super) fn code(&self) -> u8 {
        match self.state {
            State::Ok => 0,
            State::Warning => 1,
            State::Critical => 2,
            State::Unknown => super::UNKNOWN,
        }
    }

    /// The line. A `|` in the words would end them.
    pub(super) fn line(&self, what: &str) -> String {
        let words = self.found.replace(['|', '\n'], " ");
        let numbers: Vec<String> = self.numbers.iter().map(Number::perfdata).collect();
        let behind = if numbers.is_empty() { String::new() } else { format!(" | {}", numbers.join(" ")) };
        format!("PORTDRIFT {what} {} - {words}{behind}", self.state.name())
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Approved nodes that are not there, by the counts of each state.
pub(super) fn nodes(counts: &BTreeMap<String, usize>, warning: u64, critical: Option<u64>) -> Found {
    let of = |states: &[&str]| number(states.iter().filter_map(|state| counts.get(*state)).sum());
    let (there, away, pending) = (of(&["online", "scanning"]), of(&["offline", "cloned", "expired"]), of(&["pending"]));
    let all = there + away;
    let is_critical = all > 0 && there == 0 || critical.is_some_and(|limit| away >= limit.max(1));
    let state = match away {
        _ if is_critical => State::Critical,
        _ if all == 0 || away >= warning.max(1) => State::Warning,
        _ => State::Ok,
    };
    let found = if all == 0 { "no node is approved".to_owned() } else { format!("{there} of {all} nodes are there") };
    let limits = Number { name: "away", value: away, warning: Some(warning), critical };
    Found { state, found, numbers: vec![Number::plain("there", there), limits, Number::plain("pending", pending)] }
}

/// Open alerts, by the counts of each severity.
pub(super) fn alerts(counts: &BTreeMap<String, usize>, warning: Severity, critical: Severity) -> Found {
    let count = |severity: Severity| number(counts.get(severity.name()).copied().unwrap_or(0));
    // The worst comes first.
    let as_bad_as =
        |limit: Severity| Severity::ALL.into_iter().any(|severity| severity <= limit && count(severity) > 0);
    let state = match (as_bad_as(critical), as_bad_as(warning)) {
        (true, _) => State::Critical,
        (false, true) => State::Warning,
        (false, false) => State::Ok,
    };
    let told: Vec<String> =
        Severity::ALL.into_iter().map(|severity| format!("{} {}", count(severity), severity.name())).collect();
    let limit = |severity: Severity, limit: Severity| (severity <= limit).then_some(1);
    let numbers = Severity::ALL.map(|severity| Number {
        name: severity.name(),
        value: count(severity),
        warning: limit(severity, warning),
        critical: limit(severity, critical),
    });
    Found { state, found: format!("open alerts: {}", told.join(", ")), numbers: numbers.into() }
}

/// How the latest run of each active scan went, and which is late.
pub(super) fn scans(all: &[Scan], late: Duration, now: Timestamp) -> Found {
    let mut by_state: BTreeMap<State, Vec<String>> = BTreeMap::new();
    for scan in all.iter().filter(|scan| scan.active) {
        let (state, words) = scan_state(scan, late, now);
        by_state.entry(state).or_default().push(words);
    }
    let count = |state: State| by_state.get(&state).map_or(0, |scans| number(scans.len()));
    let (good, warned, failed) = (count(State::Ok), count(State::Warning), count(State::Critical));
    let worst = by_state.last_key_value().map_or(State::Ok, |(state, _)| *state);
    let told: Vec<String> =
        by_state.iter().rev().filter(|(state, _)| **state > State::Ok).flat_map(|(_, scans)| scans.clone()).collect();
    let found = match (told.is_empty(), good) {
        (true, 0) => "no scan is active".to_owned(),
        (true, good) => format!("{}, each as it should be", print::counted(good, "scan")),
        (false, _) => told.join(", "),
    };
    let running = number(all.iter().filter(|scan| scan.open_run.is_some()).count());
    let numbers = [("good", good), ("doubtful", warned), ("failed", failed), ("running", running)];
    Found { state: worst, found, numbers: numbers.map(|(name, value)| Number::plain(name, value)).into() }
}

fn scan_state(scan: &Scan, late: Duration, now: Timestamp) -> (State, String) {
    let name = &scan.name;
    let is_late = scan.open_run.is_none() && scan.next_due.is_some_and(|due| due.plus(late) < now);
    let last = scan.last_run.as_ref().map(|run| (run.id, run.state.as_str()));
    match last {
        Some((run, "failed")) => (State::Critical, format!("run {run} of {name} failed")),
        _ if is_late => (State::Warning, format!("{name} is late")),
        Some((run, "partial")) => (State::Warning, format!("run {run} of {name} is partial")),
        Some(_) | None => (State::Ok, name.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn counts(all: &[(&str, usize)]) -> BTreeMap<String, usize> {
        all.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    fn scan(name: &str, last: &Value, next_due: &Value) -> Scan {
        let last = last.as_str().map(|state| {
            json!({
                "id": 7, "scan": 1, "scan_name": name, "state": state, "ended": true, "trigger": "ada",
                "created_at": "2026-01-31T12:00:00Z", "uncovered": [],
            })
        });
        serde_json::from_value(json!({
            "id": 1, "name": name, "description": "", "targets": "10.0.0.0/24", "exclusions": null, "budget": 256,
            "special": false, "ports": null, "args": "", "engine": "auto", "site": "main", "interval_minutes": 60,
            "cron": null, "zone": null, "scheduled": true, "active": true, "created": "2026-01-31T12:00:00Z",
            "created_by": "ada", "next_due": next_due, "open_run": null, "last_run": last, "last_report": null,
        }))
        .unwrap()
    }

    #[test]
    fn nodes_are_counted_against_their_limits() {
        let lines = [
            nodes(&counts(&[("online", 2), ("scanning", 1), ("pending", 1)]), 1, None),
            nodes(&counts(&[("online", 2), ("offline", 1)]), 1, None),
            nodes(&counts(&[("online", 2), ("offline", 1)]), 2, None),
            nodes(&counts(&[("online", 2), ("offline", 2)]), 1, Some(2)),
            nodes(&counts(&[("offline", 2)]), 9, None),
            nodes(&counts(&[]), 1, None),
        ]
        .map(|found| format!("{} {}", found.code(), found.line("NODES")));
        insta::assert_snapshot!(lines.join("\n"), @"
        0 PORTDRIFT NODES OK - 3 of 3 nodes are there | there=3;;;0 away=0;0;;0 pending=1;;;0
        1 PORTDRIFT NODES WARNING - 2 of 3 nodes are there | there=2;;;0 away=1;0;;0 pending=0;;;0
        0 PORTDRIFT NODES OK - 2 of 3 nodes are there | there=2;;;0 away=1;1;;0 pending=0;;;0
        2 PORTDRIFT NODES CRITICAL - 2 of 4 nodes are there | there=2;;;0 away=2;0;1;0 pending=0;;;0
        2 PORTDRIFT NODES CRITICAL - 0 of 2 nodes are there | there=0;;;0 away=2;8;;0 pending=0;;;0
        1 PORTDRIFT NODES WARNING - no node is approved | there=0;;;0 away=0;0;;0 pending=0;;;0
        ");
    }

    #[test]
    fn alerts_count_from_their_severity_on() {
        let high = counts(&[("high", 2), ("low", 1)]);
        let lines = [
            alerts(&high, Severity::High, Severity::Critical),
            alerts(&high, Severity::Medium, Severity::High),
            alerts(&counts(&[("low", 1)]), Severity::High, Severity::Critical),
        ]
        .map(|found| format!("{} {}", found.code(), found.line("ALERTS")));
        insta::assert_snapshot!(lines.join("\n"), @"
        1 PORTDRIFT ALERTS WARNING - open alerts: 0 critical, 2 high, 0 medium, 1 low | critical=0;0;0;0 high=2;0;;0 medium=0;;;0 low=1;;;0
        2 PORTDRIFT ALERTS CRITICAL - open alerts: 0 critical, 2 high, 0 medium, 1 low | critical=0;0;0;0 high=2;0;0;0 medium=0;0;;0 low=1;;;0
        0 PORTDRIFT ALERTS OK - open alerts: 0 critical, 0 high, 0 medium, 1 low | critical=0;0;0;0 high=0;0;;0 medium=0;;;0 low=1;;;0
        ");
    }

    #[test]
    fn a_scan_is_failed_or_late_or_as_it_should_be() {
        let now: Timestamp = "2026-01-31T14:00:00Z".parse().unwrap();
        let of = |all: &[Scan]| {
            let found = scans(all, Duration::from_secs(900), now);
            format!("{} {}", found.code(), found.line("SCANS"))
        };
        let good = scan("lab", &json!("completed"), &json!("2026-01-31T13:50:00Z"));
        let late = scan("office", &json!("completed"), &json!("2026-01-31T13:40:00Z"));
        let (partial, failed) =
            (scan("dmz", &json!("partial"), &Value::Null), scan("plant", &json!("failed"), &Value::Null));
        let idle = Scan { active: false, ..failed.clone() };
        let lines = [
            of(&[good.clone(), idle.clone()]),
            of(&[good.clone(), late.clone(), partial]),
            of(&[late, failed]),
            of(&[idle]),
        ];
        insta::assert_snapshot!(lines.join("\n"), @"
        0 PORTDRIFT SCANS OK - 1 scan, each as it should be | good=1;;;0 doubtful=0;;;0 failed=0;;;0 running=0;;;0
        1 PORTDRIFT SCANS WARNING - office is late, run 7 of dmz is partial | good=1;;;0 doubtful=2;;;0 failed=0;;;0 running=0;;;0
        2 PORTDRIFT SCANS CRITICAL - run 7 of plant failed, office is late | good=0;;;0 doubtful=1;;;0 failed=1;;;0 running=0;;;0
        0 PORTDRIFT SCANS OK - no scan is active | good=0;;;0 doubtful=0;;;0 failed=0;;;0 running=0;;;0
        ");
    }

    #[test]
    fn what_is_not_known_is_one_line_without_numbers() {
        let line = Found::unknown("no answer | a\nb").line("NODES");
        assert_eq!(line, "PORTDRIFT NODES UNKNOWN - no answer   a b");
    }
}
