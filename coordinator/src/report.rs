//! Reports: what a run found changed against what was known, as kept and shown.

mod lines;
mod summary;

pub use lines::Lines;
pub(crate) use lines::{Collector, MAX_LINES};
pub use summary::ReportSummary;

use crate::analysis::alert::Rule;
use crate::analysis::delta::{Change, ChangeKind, Note, Status};
use crate::analysis::score::Score;
use crate::run::Uncovered;
use crate::store::tables::{REPORT_PARTS, REPORTS};
use crate::store::{Reads, StoreError};
use protocol::Timestamp;
use protocol::codec::{Decode, Encode};
use protocol::task::{RunId, ScanId};
use protocol::text::Text;

/// The report of one run; it has the run's number. Its lines never change; what was accepted of them may.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Report {
    /// Of which run.
    pub run: RunId,
    /// Of which network.
    pub scan: ScanId,
    /// The run before, that ended with a report; `None` for a baseline, which changes nothing.
    pub baseline: Option<RunId>,
    /// When it was made.
    pub made: Timestamp,
    /// What changed, by address, port and kind.
    pub changes: Vec<Change>,
    /// Which of them a person accepted as expected; they do not count in status and score.
    pub accepted: Vec<Acceptance>,
    /// What looks like a change and counts as none, in the same order.
    pub notes: Vec<Note>,
    /// Lines beyond the limits of a report, which are not kept. The status counts them.
    pub left_out: u64,
    /// At a glance.
    pub status: Status,
    /// With its parts.
    pub score: Score,
    /// The rules that both were made with.
    pub rules: Vec<Rule>,
    /// Hosts known up when it was made.
    pub known_hosts: u64,
    /// How much of what the scan asks for was looked at, in hundredths of a percent of its addresses.
    pub coverage_hundredths: u32,
    /// What was not looked at, and why.
    pub uncovered: Vec<Uncovered>,
    /// Hosts that this run found up.
    pub hosts_up: u32,
    /// Open ports that this run found.
    pub open_ports: u32,
    /// Cells looked at for the first time; they count as no change.
    pub newly_covered_cells: u64,
    /// Cells looked at before and not by this run.
    pub no_longer_covered_cells: u64,
}

/// Lines of a report that a person accepted as expected (SPEC R11).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Acceptance {
    /// Who.
    pub by: Text,
    /// When.
    pub at: Timestamp,
    /// Why; may be empty.
    pub comment: Text,
    /// Places in the report's changes, rising, counted from 0.
    pub lines: Vec<u32>,
}

impl Report {
    /// Who accepted the change at this place, if someone did.
    pub fn acceptance_of(&self, line: usize) -> Option<&Acceptance> {
        let line = u32::try_from(line).ok()?;
        self.accepted.iter().find(|accepted| accepted.lines.binary_search(&line).is_ok())
    }

    /// The changes that nobody accepted: those that status and score count.
    pub fn counted(&self) -> impl Iterator<Item = &Change> {
        self.changes
            .iter()
            .enumerate()
            .filter(|(line, _)| self.acceptance_of(*line).is_none())
            .map(|(_, change)| change)
    }

    /// How many changes of one kind.
    pub fn count(&self, kind: ChangeKind) -> usize {
        self.changes.iter().filter(|change| change.kind == kind).count()
    }

    /// True for the first report of a network, which only says what is there.
    pub fn is_baseline(&self) -> bool {
        self.baseline.is_none()
    }
}

/// A report as it is stored: its first lines, and how many parts hold the others.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct StoredReport {
    /// With its first lines only.
    pub(crate) report: Report,
    /// How many parts follow.
    pub(crate) parts: u32,
}

/// The whole report of a run.
pub(crate) fn read(reads: &impl Reads, run: RunId) -> Result<Option<Report>, StoreError> {
    reads.get(&REPORTS, &run)?.map(|stored| whole(reads, stored)).transpose()
}

/// A stored report with the lines of its other parts.
pub(crate) fn whole(
    reads: &impl Reads,
    StoredReport { mut report, parts }: StoredReport,
) -> Result<Report, StoreError> {
    for part in 0..parts {
        let missing = || StoreError::Damaged { table: "lines of reports", key: format!("{} {part}", report.run) };
        let Lines { changes, notes } = reads.get(&REPORT_PARTS, &(report.run, part))?.ok_or_else(missing)?;
        report.changes.extend(changes);
        report.notes.extend(notes);
    }
    Ok(report)
}
