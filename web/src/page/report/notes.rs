//! What a report does not count, and why, in words.

use super::lines::words;
use crate::look::{Badge, Tone};
use coordinator::analysis::delta::{Change, Note, NoteKind};
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
            lines: lines().take(MOST).map(|note| line(&note.change)).collect(),
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

fn line(change: &Change) -> String {
    let port = change.port.map(|port| format!(" {}/{}", port.port, port.protocol)).unwrap_or_default();
    let [before, after] = words(change);
    format!("{}{port}: {before} → {after}", change.address)
}
