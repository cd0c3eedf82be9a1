//! A report in a sentence, and its score in lines.

use super::Part;
use crate::filters::Percent;
use coordinator::analysis::delta::ChangeKind;
use coordinator::analysis::score::{Counted, Score, ScorePart};
use coordinator::report::{Report, ReportSummary};

/// `2 ports opened, 1 port closed since run 6, coverage 94 %.`
pub(super) fn sentence(report: &Report) -> String {
    let coverage = Percent::of_hundredths(report.coverage_hundredths);
    let Some(baseline) = report.baseline else {
        let (hosts, ports) = (
            counted(report.hosts_up.into(), "host", "hosts"),
            counted(report.open_ports.into(), "open port", "open ports"),
        );
        return format!("First look: {hosts} with {ports}, coverage {coverage}.");
    };
    let changes = changes_words(report).unwrap_or_else(|| "Nothing changed".to_owned());
    let accepted = match report.accepted.iter().map(|accepted| accepted.lines.len()).sum::<usize>() {
        0 => String::new(),
        count => format!(", {count} accepted as expected"),
    };
    format!("{changes} since run {baseline}{accepted}, coverage {coverage}.")
}

/// What changed, counted by kind; `None` when nothing did.
pub(crate) fn changes_words(report: impl Into<ReportSummary>) -> Option<String> {
    let report = report.into();
    if report.is_baseline() {
        return Some("First look".to_owned());
    }
    let told = [
        (ChangeKind::NewHost, "host appeared", "hosts appeared"),
        (ChangeKind::RemovedHost, "host vanished", "hosts vanished"),
        (ChangeKind::NewPort, "port opened", "ports opened"),
        (ChangeKind::ClosedPort, "port closed", "ports closed"),
        (ChangeKind::ServiceChange, "service changed", "services changed"),
        (ChangeKind::OsChange, "operating system changed", "operating systems changed"),
        (ChangeKind::NameChange, "host changed its names", "hosts changed their names"),
        (ChangeKind::MacChange, "host changed its link address", "hosts changed their link addresses"),
    ];
    let parts: Vec<String> = told
        .into_iter()
        .filter_map(|(kind, one, many)| match report.count(kind) {
            0 => None,
            count => Some(counted(count.try_into().unwrap_or(u64::MAX), one, many)),
        })
        .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// The arithmetic: what each change costs, the cap where it bites, and the exposure as one line.
pub(super) fn parts(score: &Score) -> Vec<Part> {
    let (changes, alerts): (Vec<&ScorePart>, Vec<&ScorePart>) =
        score.parts.iter().partition(|part| change_words(part.what).is_some());
    let sum: u64 = changes.iter().map(|part| part.points).fold(0, u64::saturating_add);
    let each = changes.into_iter().filter_map(|part| {
        let (one, many) = change_words(part.what)?;
        Some(Part { words: counted(part.count, one, many), points: part.points })
    });
    let mut parts: Vec<Part> = each.collect();
    if sum > u64::from(score.change) {
        parts.push(Part { words: format!("changes cost at most {}, not {sum}", score.change), points: 0 });
    }
    if score.exposure > 0 {
        let what: Vec<String> = alerts.into_iter().filter_map(alert_words).collect();
        parts.push(Part { words: format!("exposure: {}", what.join(", ")), points: score.exposure.into() });
    }
    parts
}

fn change_words(what: Counted) -> Option<(&'static str, &'static str)> {
    match what {
        Counted::NewPorts => Some(("new port", "new ports")),
        Counted::ServiceChanges => Some(("changed service", "changed services")),
        Counted::NewHosts => Some(("new host", "new hosts")),
        Counted::CriticalPorts => Some(("new port with a critical rule", "new ports with a critical rule")),
        Counted::HighPorts => Some(("new port with a high rule", "new ports with a high rule")),
        Counted::MediumPorts => Some(("new port with a medium rule", "new ports with a medium rule")),
        Counted::CriticalAlerts | Counted::HighAlerts | Counted::MediumAlerts | Counted::KnownHosts => None,
    }
}

fn alert_words(part: &ScorePart) -> Option<String> {
    let (one, many) = match part.what {
        Counted::CriticalAlerts => ("critical alert", "critical alerts"),
        Counted::HighAlerts => ("high alert", "high alerts"),
        Counted::MediumAlerts => ("medium alert", "medium alerts"),
        Counted::KnownHosts => ("known host", "known hosts"),
        Counted::NewPorts
        | Counted::ServiceChanges
        | Counted::NewHosts
        | Counted::CriticalPorts
        | Counted::HighPorts
        | Counted::MediumPorts => return None,
    };
    Some(counted(part.count, one, many))
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_is_told_as_a_sum() {
        let part = |what: Counted, count: u64| ScorePart { what, count, points: count * what.each() };
        let counted = vec![
            part(Counted::NewPorts, 12),
            part(Counted::CriticalPorts, 1),
            part(Counted::HighAlerts, 2),
            part(Counted::KnownHosts, 9),
        ];
        let score = Score { value: 34, change: 60, exposure: 6, parts: counted };
        let told: Vec<String> =
            parts(&score).into_iter().map(|part| format!("{}: {}", part.words, part.points)).collect();
        insta::assert_snapshot!(told.join("\n"), @r"
        12 new ports: 60
        1 new port with a critical rule: 20
        changes cost at most 60, not 80: 0
        exposure: 2 high alerts, 9 known hosts: 6
        ");
    }
}
