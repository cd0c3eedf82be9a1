//! What a report does not count, and why, in words.

use super::lines::words;
use crate::look::{Badge, Tone};
use coordinator::analysis::delta::{Note, NoteKind, Side};
use coordinator::report::Report;

/// The most lines of one kind that a page shows; exports have all of them.
const MOST: usize = 50;

/// Lines that do not count for the same reason.
pub(crate) struct NoteGroup {
    pub(crate) badge: Badge,
    /// What that means.
    pub(crate) why: &'static str,
    pub(crate) count: usize,
    pub(crate) lines: Vec<String>,
}

impl NoteGroup {
    /// How many lines are not shown.
    pub(crate) fn more(&self) -> usize {
        self.count.saturating_sub(self.lines.len())
    }
}

/// What was not looked at, then the notes by kind.
pub(super) fn of_report(report: &Report) -> Vec<NoteGroup> {
    let missing = NoteGroup {
        badge: Badge::plain(Tone::High, "triangle-alert", "Not looked at"),
        why: "Nothing is said about these addresses: what is known of them stays as it was.",
        count: report.uncovered.len(),
        lines: report
            .uncovered
            .iter()
            .take(MOST)
            .map(|part| format!("{}: {}", part.targets, part.reason.words()))
            .collect(),
    };
    [missing].into_iter().filter(|group| group.count > 0).chain(groups(&report.notes)).collect()
}

/// Notes by kind.
pub(crate) fn groups(notes: &[Note]) -> Vec<NoteGroup> {
    let group = |kind: NoteKind| {
        let lines = || notes.iter().filter(|note| note.kind == kind);
        let (word, why) = told(kind);
        NoteGroup {
            badge: Badge::plain(Tone::Muted, "info", word),
            why,
            count: lines().count(),
            lines: lines().take(MOST).map(line).collect(),
        }
    };
    let kinds = [
        NoteKind::Unconfirmed,
        NoteKind::Contradicted,
        NoteKind::IdentifiedDifferently,
        NoteKind::NewlyCovered,
        NoteKind::NoLongerCovered,
        NoteKind::Volatile,
    ];
    kinds.into_iter().map(group).filter(|group| group.count > 0).collect()
}

fn told(kind: NoteKind) -> (&'static str, &'static str) {
    match kind {
        NoteKind::IdentifiedDifferently => (
            "Identified differently",
            "Another engine, version or effort identified these, so that a difference proves nothing.",
        ),
        NoteKind::Unconfirmed => (
            "Unconfirmed",
            "These seemed to be gone and a second look could not settle it. They stay as they were known.",
        ),
        NoteKind::Contradicted => {
            ("Not so at a second look", "The first look missed these, and the second one found them as they were.")
        }
        NoteKind::NewlyCovered => {
            ("Newly covered", "These were looked at for the first time, so there is nothing to compare them with.")
        }
        NoteKind::NoLongerCovered => (
            "No longer covered",
            "These are known from before and were not looked at this time. They stay as they were known.",
        ),
        NoteKind::Volatile => ("Changes by itself", "These take another random link address again and again."),
    }
}

fn line(Note { kind, change }: &Note) -> String {
    let port = change.port.map(|port| format!(" {}/{}", port.port, port.protocol)).unwrap_or_default();
    let [mut before, mut after] = words(change);
    if *kind == NoteKind::IdentifiedDifferently {
        before.push_str(&engine_words(change.before.as_ref()));
        after.push_str(&engine_words(change.after.as_ref()));
    }
    format!("{}{port}: {before} → {after}", change.address)
}

/// Which engine named the service, where more than one looked.
fn engine_words(side: Option<&Side>) -> String {
    let Some(Side::Port { service: Some(service), .. }) = side else { return String::new() };
    if service.by.is_empty() { String::new() } else { format!(", named by {}", service.by) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coordinator::analysis::delta::{Change, ChangeKind, Confirmation, PortId};
    use protocol::Protocol;
    use protocol::observation::{PortState, Service};

    #[test]
    fn what_was_identified_differently_says_by_whom() {
        let side = |by: &str| {
            let service = Service { name: "http".into(), by: by.into(), ..Service::default() };
            Some(Side::Port { state: PortState::Open, service: Some(service) })
        };
        let change = Change {
            kind: ChangeKind::ServiceChange,
            address: [192, 0, 2, 7].into(),
            port: Some(PortId { protocol: Protocol::Tcp, port: 80 }),
            before: side(""),
            after: side("nmap"),
            confirmation: Confirmation::NotNeeded,
        };
        let told = [NoteKind::IdentifiedDifferently, NoteKind::Unconfirmed]
            .map(|kind| line(&Note { kind, change: change.clone() }));
        insta::assert_snapshot!(told.join("\n"), @"
        192.0.2.7 80/tcp: open: http → open: http, named by nmap
        192.0.2.7 80/tcp: open: http → open: http
        ");
    }
}
