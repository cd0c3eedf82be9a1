//! The lines of a report, sorted into tables, each side of a change in words.

use super::{ChangeRow, Group, Note};
use crate::look::{Badge, Tone};
use coordinator::analysis::alert::{Rule, Severity, rule_for};
use coordinator::analysis::delta::{self, Change, ChangeKind, Confirmation, NoteKind, Side};
use coordinator::report::{Acceptance, Report};
use protocol::observation::Service;
use protocol::text::Text;

/// Kinds of changes in the order in which they are shown: id, title, mark.
const GROUPS: [(ChangeKind, &str, &str, &str); 8] = [
    (ChangeKind::NewHost, "new-hosts", "New hosts", "+"),
    (ChangeKind::RemovedHost, "removed-hosts", "Removed hosts", "−"),
    (ChangeKind::NewPort, "new-ports", "New ports", "+"),
    (ChangeKind::ClosedPort, "closed-ports", "Closed ports", "−"),
    (ChangeKind::ServiceChange, "service-changes", "Service changes", "~"),
    (ChangeKind::OsChange, "os-changes", "Operating system changes", "~"),
    (ChangeKind::NameChange, "name-changes", "Name changes", "~"),
    (ChangeKind::MacChange, "mac-changes", "Link address changes", "~"),
];

/// Tables with lines: first new ports whose rule is critical or high and that nobody accepted, then by kind.
pub(super) fn groups(report: &Report) -> Vec<Group> {
    let lines = || report.changes.iter().zip((0..).map(|line| report.acceptance_of(line)));
    let rules = &report.rules;
    let is_grave = |(change, accepted): &(&Change, Option<&Acceptance>)| {
        accepted.is_none() && matches!(severity(change, rules), Some(Severity::Critical | Severity::High))
    };
    let rows = |lines: Vec<(&Change, Option<&Acceptance>)>| {
        lines.into_iter().map(|(change, accepted)| row(change, accepted, rules)).collect()
    };
    let grave = rows(lines().filter(is_grave).collect());
    let first = Group { id: "critical", title: "Critical and high", mark: "+", rows: grave };
    let by_kind = GROUPS.into_iter().map(|(kind, id, title, mark)| {
        let of_kind = lines().filter(|line| line.0.kind == kind && !is_grave(line));
        Group { id, title, mark, rows: rows(of_kind.collect()) }
    });
    [first].into_iter().chain(by_kind).filter(|group| !group.rows.is_empty()).collect()
}

/// What is no change but must not be kept quiet.
pub(super) fn notes(report: &Report) -> Vec<Note> {
    let missing = report.uncovered.iter().map(|part| Note {
        badge: Badge::plain(Tone::High, "triangle-alert", "not looked at"),
        words: format!("{}: {}", part.targets, part.reason.words()),
    });
    let lines = report
        .notes
        .iter()
        .map(|note| Note { badge: Badge::plain(Tone::Muted, "info", note_word(note.kind)), words: line(&note.change) });
    missing.chain(lines).collect()
}

/// Of the rule that a new port matches.
pub(crate) fn severity(change: &Change, rules: &[Rule]) -> Option<Severity> {
    let port = change.port.filter(|_| change.kind == ChangeKind::NewPort)?;
    rule_for(rules, port).map(|rule| rule.severity)
}

fn row(change: &Change, accepted: Option<&Acceptance>, rules: &[Rule]) -> ChangeRow {
    let mut after = side(change.after.as_ref(), change.kind);
    if change.confirmation == Confirmation::Confirmed {
        after.push_str(" (seen twice)");
    }
    if let Some(accepted) = accepted {
        after.push_str(&format!(" (accepted by {})", accepted.by));
    }
    ChangeRow {
        host: change.address.to_string(),
        name: String::new(),
        port: change.port.map(|port| format!("{}/{}", port.port, port.protocol)).unwrap_or_default(),
        before: side(change.before.as_ref(), change.kind),
        after,
        rating: severity(change, rules).map(Badge::from),
    }
}

fn note_word(kind: NoteKind) -> &'static str {
    match kind {
        NoteKind::IdentifiedDifferently => "identified differently",
        NoteKind::Unconfirmed => "unconfirmed",
        NoteKind::Contradicted => "not so at a second look",
        NoteKind::NewlyCovered => "newly covered",
        NoteKind::NoLongerCovered => "no longer covered",
        NoteKind::Volatile => "changes by itself",
    }
}

fn line(change: &delta::Change) -> String {
    let port = change.port.map(|port| format!(" {}/{}", port.port, port.protocol)).unwrap_or_default();
    let (before, after) = (side(change.before.as_ref(), change.kind), side(change.after.as_ref(), change.kind));
    format!("{}{port}: {before} → {after}", change.address)
}

/// One side in words; an absent one means that nothing was there.
fn side(side: Option<&Side>, kind: ChangeKind) -> String {
    match side {
        None if matches!(kind, ChangeKind::NewPort | ChangeKind::ClosedPort) => "not open".to_owned(),
        None => "not there".to_owned(),
        Some(Side::Host { reason: _, names, mac }) => {
            let mac = mac.as_ref().map(|mac| format!("{} {}", mac.address, mac.vendor));
            let told: Vec<String> = names.iter().map(Text::to_string).chain(mac).collect();
            if told.is_empty() { "up".to_owned() } else { format!("up: {}", told.join(", ").trim_end()) }
        }
        Some(Side::Port { state, service }) => match service.as_ref().map(service_words) {
            Some(words) if !words.is_empty() => format!("{state}: {words}"),
            _ => state.to_string(),
        },
        Some(Side::Os(os)) => format!("{} ({}\u{202f}%)", os.name, os.accuracy),
        Some(Side::Names(names)) if names.is_empty() => "no name".to_owned(),
        Some(Side::Names(names)) => names.iter().map(Text::as_str).collect::<Vec<_>>().join(", "),
        Some(Side::Mac(mac)) => mac.address.to_string(),
    }
}

/// `http, nginx 1.18.0 (Ubuntu)`
pub(crate) fn service_words(service: &Service) -> String {
    let Service { name, product, version, extra, tls, method: _ } = service;
    let product =
        [product, version].into_iter().filter(|text| !text.is_empty()).map(Text::as_str).collect::<Vec<_>>().join(" ");
    let name = if *tls { format!("{name} over TLS") } else { name.to_string() };
    let extra = if extra.is_empty() { String::new() } else { format!(" ({extra})") };
    let told = [name, product].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ");
    format!("{told}{extra}").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::observation::PortState;

    #[test]
    fn each_side_is_told_in_words() {
        let service = Service {
            name: "http".into(),
            product: "nginx".into(),
            version: "1.18.0".into(),
            extra: "Ubuntu".into(),
            tls: true,
            ..Service::default()
        };
        let port = |service| Side::Port { state: PortState::Open, service };
        let told = [
            side(None, ChangeKind::NewHost),
            side(None, ChangeKind::NewPort),
            side(Some(&port(Some(service))), ChangeKind::NewPort),
            side(Some(&port(None)), ChangeKind::NewPort),
            side(
                Some(&Side::Host { reason: "syn-ack".into(), names: vec!["a.example".into()], mac: None }),
                ChangeKind::NewHost,
            ),
            side(Some(&Side::Names(vec![])), ChangeKind::NameChange),
        ];
        insta::assert_snapshot!(told.join("\n"), @r"
        not there
        not open
        open: http over TLS, nginx 1.18.0 (Ubuntu)
        open
        up: a.example
        no name
        ");
    }
}
