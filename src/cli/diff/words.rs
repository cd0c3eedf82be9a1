//! A comparison as text: one line a change, a sign and words, so that no line depends on colour.

use super::file::Facts;
use super::{Comparison, Line};
use coordinator::analysis::delta::{ChangeKind, NoteKind, Side};
use protocol::observation::Service;
use protocol::text::Text;

/// Header, changes, what was not compared, and a sum.
pub(super) fn sentences(comparison: &Comparison) -> String {
    let mut text = format!("from {}\nto   {}\n", file(&comparison.before), file(&comparison.after));
    for line in &comparison.changes {
        text.push_str(&format!("{}\n", change(line)));
    }
    for line in &comparison.not_compared {
        text.push_str(&format!("  {}\n", note(line)));
    }
    text.push_str(&sum(&comparison.changes));
    text
}

fn file(facts: &Facts) -> String {
    let started = facts.started.map(|time| format!(", {time}")).unwrap_or_default();
    let unfinished = if facts.finished { "" } else { ", did not finish: speaks only for the hosts it lists" };
    let Facts { file, scanner, version, hosts_up, .. } = facts;
    format!("{file}: {scanner} {version}{started}, hosts up: {hosts_up}{unfinished}")
}

fn place(line: &Line) -> String {
    match (line.protocol, line.port) {
        (Some(protocol), Some(port)) => format!("{} port {port}/{protocol}", line.host),
        _ => format!("host {}", line.host),
    }
}

fn change(line: &Line) -> String {
    let place = place(line);
    let (before, after) = (side(line.before.as_ref()), side(line.after.as_ref()));
    match line.kind {
        ChangeKind::NewHost => format!("+ {place} is new"),
        ChangeKind::RemovedHost => format!("− {place} is gone"),
        ChangeKind::NewPort => format!("+ {place} is now {after}"),
        ChangeKind::ClosedPort => format!("− {place} is no longer {before}, now: {after}"),
        ChangeKind::ServiceChange => format!("~ {place} changed from {before} to {after}"),
        ChangeKind::OsChange => format!("~ {place} changed its operating system from {before} to {after}"),
        ChangeKind::NameChange => format!("~ {place} changed its name from {before} to {after}"),
        ChangeKind::MacChange => format!("~ {place} changed its link address from {before} to {after}"),
    }
}

fn side(side: Option<&Side>) -> String {
    match side {
        None => "not there".to_owned(),
        Some(Side::Host { .. }) => "there".to_owned(),
        Some(Side::Os(os)) => os.name.to_string(),
        Some(Side::Names(names)) => names.iter().map(Text::as_str).collect::<Vec<_>>().join(", "),
        Some(Side::Mac(mac)) => mac.address.to_string(),
        Some(Side::Port { state, service: None }) => state.to_string(),
        Some(Side::Port { state, service: Some(service) }) => format!("{state} ({})", service_words(service)),
    }
}

fn service_words(service: &Service) -> String {
    let tls = Text::new(if service.tls { "TLS" } else { "" });
    let words = [&tls, &service.name, &service.product, &service.version, &service.extra];
    words.into_iter().filter(|word| !word.is_empty()).map(Text::as_str).collect::<Vec<_>>().join(" ")
}

fn note(line: &Line) -> String {
    let (before, after) = (side(line.before.as_ref()), side(line.after.as_ref()));
    match line.because {
        Some(NoteKind::NewlyCovered) => format!("{}: {after}; the first file did not look", place(line)),
        Some(NoteKind::NoLongerCovered) => format!("{}: was {before}; the second file did not look", place(line)),
        Some(NoteKind::IdentifiedDifferently) => {
            format!("{}: {before}, then {after}; identified differently", place(line))
        }
        Some(NoteKind::Volatile) => format!("{}: {before}, then {after}; changes by itself", place(line)),
        Some(NoteKind::Unconfirmed | NoteKind::Contradicted) | None => {
            format!("{}: {before}, then {after}; not settled", place(line))
        }
    }
}

fn sum(changes: &[Line]) -> String {
    let count = |kind: ChangeKind| changes.iter().filter(|line| line.kind == kind).count();
    if changes.is_empty() {
        return "No changes.\n".to_owned();
    }
    format!(
        "Hosts: {} new, {} gone. Ports: {} new, {} closed. Changed services: {}, systems: {}, names: {}, link addresses: {}.\n",
        count(ChangeKind::NewHost),
        count(ChangeKind::RemovedHost),
        count(ChangeKind::NewPort),
        count(ChangeKind::ClosedPort),
        count(ChangeKind::ServiceChange),
        count(ChangeKind::OsChange),
        count(ChangeKind::NameChange),
        count(ChangeKind::MacChange),
    )
}
