//! One report as a JSON document with everything it says; keys as in [`Document`].
//!
//! `format` is 1. Within it keys may be added; none is renamed, removed, or given another meaning.

use super::entry::Entry;
use crate::api::Uncovered;
use crate::api::reports::Score;
use crate::api::runs::percent;
use coordinator::ReportInContext;
use coordinator::analysis::delta::{ChangeKind, Status};
use coordinator::report::Report;
use coordinator::run::Run;
use protocol::Timestamp;
use protocol::task::{RunId, ScanId};
use protocol::text::Text;
use serde::Serialize;
use std::io;
use utoipa::ToSchema;

/// The version of the document.
const FORMAT: u8 = 1;

/// A report for other programs.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Document {
    /// The version of this document: 1.
    format: u8,
    /// Number of the report, which is its run's.
    #[schema(value_type = u64)]
    report: RunId,
    /// Of which network.
    network: Network,
    /// When it was made, RFC 3339, UTC.
    #[schema(value_type = String, format = DateTime)]
    made: Timestamp,
    /// The run that it tells of.
    run: Times,
    /// The run that it was compared with; null for the first report, which changes nothing.
    baseline: Option<Times>,
    /// `critical`, `changes` or `stable`.
    #[schema(value_type = String)]
    status: Status,
    /// 0 to 100, with its parts.
    score: Score,
    /// Hosts found up.
    hosts_up: u32,
    /// Open ports found.
    open_ports: u32,
    /// Hosts known up when it was made, by this run or an earlier one; the score rests on them.
    known_hosts: u64,
    /// What was looked at.
    coverage: Coverage,
    /// Hosts that were not there.
    new_up_hosts: Vec<Entry>,
    /// Hosts that are no longer there.
    new_down_hosts: Vec<Entry>,
    /// Ports that were not open.
    added_ports: Vec<Entry>,
    /// Ports that are no longer open.
    removed_ports: Vec<Entry>,
    /// Open ports with another service, product, version or extra information.
    changed_ports: Vec<Entry>,
    /// Other operating systems, names and link addresses.
    other_changes: Vec<Entry>,
    /// What looks like a change and counts as none, with the reason.
    not_counted: Vec<Entry>,
    /// Lines beyond the limits of a report, which no list has; the status counts them.
    lines_left_out: u64,
}

/// A network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
struct Network {
    /// Number of its scan.
    #[schema(value_type = u64)]
    id: ScanId,
    /// What it is called now.
    #[schema(value_type = String)]
    name: Text,
}

/// A run and its times. What is no longer kept of an old one is null.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
struct Times {
    /// Its number.
    #[schema(value_type = u64)]
    id: RunId,
    /// `completed` or `partial`.
    state: Option<&'static str>,
    /// When it was planned.
    #[schema(value_type = Option<String>, format = DateTime)]
    started: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended: Option<Timestamp>,
}

/// What the run looked at. Only that can have changed.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
struct Coverage {
    /// Share of the wanted addresses that were looked at, in percent.
    percent: f64,
    /// Addresses that were not, and why.
    uncovered: Vec<Uncovered>,
    /// Cells (address, protocol, port) looked at for the first time.
    newly_covered_cells: u64,
    /// Cells looked at before and not by this run.
    no_longer_covered_cells: u64,
}

/// Writes the document of one report.
pub(super) fn write(report: &ReportInContext, mut out: impl io::Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut out, &Document::from(report))?;
    out.write_all(b"\n")
}

impl From<&ReportInContext> for Document {
    fn from(ReportInContext { report, network, run, baseline: before }: &ReportInContext) -> Self {
        let of = |kinds: &[ChangeKind]| Entry::of_changes(report, |kind| kinds.contains(&kind)).collect();
        let Report {
            run: number,
            scan,
            baseline,
            made,
            changes: _,
            accepted: _,
            notes: _,
            left_out,
            status,
            score,
            rules: _,
            known_hosts,
            coverage_hundredths,
            uncovered,
            hosts_up,
            open_ports,
            newly_covered_cells,
            no_longer_covered_cells,
        } = report;
        Self {
            format: FORMAT,
            report: *number,
            network: Network { id: *scan, name: network.clone() },
            made: *made,
            run: Times::of(run.id, Some(run)),
            baseline: baseline.map(|id| Times::of(id, before.as_ref())),
            status: *status,
            score: score.clone().into(),
            hosts_up: *hosts_up,
            open_ports: *open_ports,
            known_hosts: *known_hosts,
            coverage: Coverage {
                percent: percent(*coverage_hundredths),
                uncovered: uncovered.iter().cloned().map(Uncovered::from).collect(),
                newly_covered_cells: *newly_covered_cells,
                no_longer_covered_cells: *no_longer_covered_cells,
            },
            new_up_hosts: of(&[ChangeKind::NewHost]),
            new_down_hosts: of(&[ChangeKind::RemovedHost]),
            added_ports: of(&[ChangeKind::NewPort]),
            removed_ports: of(&[ChangeKind::ClosedPort]),
            changed_ports: of(&[ChangeKind::ServiceChange]),
            other_changes: of(&[ChangeKind::OsChange, ChangeKind::NameChange, ChangeKind::MacChange]),
            not_counted: Entry::of_notes(report).collect(),
            lines_left_out: *left_out,
        }
    }
}

impl Times {
    fn of(id: RunId, run: Option<&Run>) -> Self {
        let state = run.map(|run| run.state.name());
        Self { id, state, started: run.and_then(|run| run.started), ended: run.and_then(|run| run.ended) }
    }
}
