//! Every kind of row there is. A prefix byte is for ever; a new kind of row takes a new one.

use super::Table;
use crate::accounts::{Link, LinkName, RegistrationMode, User};
use crate::analysis::alert::{Alert, AlertKey, Rule};
use crate::analysis::coverage::RunCoverage;
use crate::analysis::delta::PortId;
use crate::audit::AuditEntry;
use crate::backup::Restored;
use crate::history::{RunLook, Version};
use crate::intake::TaskCoverage;
use crate::registry::{CurrentRoster, NodeRecord, PreApproval, RosterAlarm};
use crate::report::{Lines, ReportSummary, StoredReport};
use crate::retention::Retention;
use crate::run::{Run, Tally, TaskRecord};
use crate::scan::Scan;
use crate::settings::Settings;
use crate::tokens::Token;
use crate::verified::Verified;
use protocol::card::{Card, Endorsement};
use protocol::invite::SecretName;
use protocol::observation::HostObservation;
use protocol::roster::Roster;
use protocol::task::{RunId, ScanId, TaskId};
use protocol::{NodeId, TargetSet};
use std::net::IpAddr;

/// The one row of settings.
pub(crate) const SETTINGS: Table<(), Settings> = Table::new(b's', "settings");
/// How often the coordinator has started.
pub(crate) const BOOTS: Table<(), u64> = Table::new(b'B', "boots");
/// Users by name.
pub(crate) const USERS: Table<String, User> = Table::new(b'U', "users");
/// API tokens by the hash of their text.
pub(crate) const TOKENS: Table<[u8; 32], Token> = Table::new(b't', "tokens");
/// Which user has a confirmed e-mail address, by the address in lower case.
pub(crate) const EMAILS: Table<String, String> = Table::new(b'e', "e-mail addresses");
/// Links that are good for something once, by what their secret is kept as.
pub(crate) const LINKS: Table<LinkName, Link> = Table::new(b'v', "links");
/// Who may make an account, once someone chose.
pub(crate) const REGISTRATION: Table<(), RegistrationMode> = Table::new(b'g', "registration");
/// Nodes by key.
pub(crate) const NODES: Table<NodeId, NodeRecord> = Table::new(b'N', "nodes");
/// The one roster in force.
pub(crate) const ROSTER: Table<(), CurrentRoster> = Table::new(b'R', "roster");
/// The one roster that waits for the mesh key, if it is kept elsewhere.
pub(crate) const AWAITED: Table<(), Roster> = Table::new(b'W', "awaited roster");
/// The coordinator's card as the mesh key last endorsed it.
pub(crate) const ENDORSEMENT: Table<(), Endorsement> = Table::new(b'E', "endorsement");
/// The card of the coordinator that rosters name from now on.
pub(crate) const COORDINATOR: Table<(), Card> = Table::new(b'H', "coordinator");
/// That two rosters of one epoch were seen, until a person has seen it.
pub(crate) const ROSTER_ALARM: Table<(), RosterAlarm> = Table::new(b'w', "roster alarm");
/// Pre-approvals by what their secret is kept as.
pub(crate) const INVITES: Table<SecretName, PreApproval> = Table::new(b'I', "invites");
/// Scan definitions.
pub(crate) const SCANS: Table<ScanId, Scan> = Table::new(b'S', "scans");
/// Runs of all scans.
pub(crate) const RUNS: Table<RunId, Run> = Table::new(b'r', "runs");
/// Which runs a scan has.
pub(crate) const RUNS_OF_SCAN: Table<(ScanId, RunId), ()> = Table::new(b'b', "runs of scans");
/// The run of a scan that has not ended; at most one.
pub(crate) const OPEN_RUNS: Table<ScanId, RunId> = Table::new(b'a', "open runs");
/// Tasks of all runs.
pub(crate) const TASKS: Table<TaskId, TaskRecord> = Table::new(b'T', "tasks");
/// Addresses of open runs that are in no task yet.
pub(crate) const UNCUT: Table<RunId, TargetSet> = Table::new(b'u', "addresses not cut yet");
/// What each node has done of a run.
pub(crate) const TALLIES: Table<(RunId, NodeId), Tally> = Table::new(b'n', "tallies of runs");
/// What each task with a result looked at. A row here means: accepted, once.
pub(crate) const TASK_COVERAGE: Table<TaskId, TaskCoverage> = Table::new(b'c', "task coverage");
/// Hosts of runs that are not closed yet.
pub(crate) const STAGED: Table<(RunId, IpAddr), HostObservation> = Table::new(b'o', "staged observations");
/// Hosts of runs that are not closed yet, as a second look found them.
pub(crate) const STAGED_AGAIN: Table<(RunId, IpAddr), HostObservation> =
    Table::new(b'O', "observations of a second look");
/// A version of a host, written only by a run that left it otherwise than it was known. It counts once that run has a
/// row in [`RUN_LOOKS`]; the latest one that counts is the baseline.
pub(crate) const HISTORY: Table<(ScanId, IpAddr, RunId), Version> = Table::new(b'h', "host history");
/// What a network's runs ever looked at.
pub(crate) const KNOWN_COVERAGE: Table<ScanId, RunCoverage> = Table::new(b'K', "known coverage");
/// What one run with a report looked at, and where it saw hosts.
pub(crate) const RUN_LOOKS: Table<RunId, RunLook> = Table::new(b'C', "looks of runs");
/// Reports, under the number of their run, with their first lines; [`report::read`](crate::report::read) reads them whole.
pub(crate) const REPORTS: Table<RunId, StoredReport> = Table::new(b'p', "reports");
/// Reports without lines, one for each report: what lists read.
pub(crate) const REPORT_SUMMARIES: Table<RunId, ReportSummary> = Table::new(b'm', "summaries of reports");
/// Further lines of long reports, in parts. They count once the report is there.
pub(crate) const REPORT_PARTS: Table<(RunId, u32), Lines> = Table::new(b'l', "lines of reports");
/// Alerts of all networks.
pub(crate) const ALERTS: Table<AlertKey, Alert> = Table::new(b'A', "alerts");
/// The one row of alert rules, once someone edited them.
pub(crate) const RULES: Table<(), Vec<Rule>> = Table::new(b'q', "rules");
/// Cells that are as someone accepted them, with the run whose report said so.
pub(crate) const ACCEPTED: Table<(ScanId, IpAddr, PortId), RunId> = Table::new(b'x', "accepted cells");
/// How long runs are kept, where a scan does not say otherwise; the usual one without a row.
pub(crate) const RETENTION: Table<(), Retention> = Table::new(b'1', "retention");
/// How long the runs of a scan are kept, where it says so.
pub(crate) const RETENTION_OF_SCAN: Table<ScanId, Retention> = Table::new(b'2', "retention of scans");
/// Runs that are being removed: nobody sees them any more, and what is left of them goes piece by piece.
pub(crate) const RETIRED: Table<(ScanId, RunId), ()> = Table::new(b'3', "runs being removed");
/// That the store was restored, until the nodes were heard.
pub(crate) const RESTORED: Table<(), Restored> = Table::new(b'4', "restored");
/// The highest number that a run may have had before; the next one gets a higher one.
pub(crate) const RUN_FLOOR: Table<(), u64> = Table::new(b'5', "floor of run numbers");
/// When runs of a network last looked at its cells.
pub(crate) const VERIFIED: Table<ScanId, Verified> = Table::new(b'6', "latest looks");
/// Who did what, in order.
pub(crate) const AUDIT: Table<u64, AuditEntry> = Table::new(b'z', "audit");

/// The prefix and name of every table.
pub(crate) const NAMES: [(u8, &str); 40] = [
    SETTINGS.label(),
    BOOTS.label(),
    USERS.label(),
    TOKENS.label(),
    EMAILS.label(),
    LINKS.label(),
    REGISTRATION.label(),
    NODES.label(),
    ROSTER.label(),
    AWAITED.label(),
    ENDORSEMENT.label(),
    COORDINATOR.label(),
    ROSTER_ALARM.label(),
    INVITES.label(),
    SCANS.label(),
    RUNS.label(),
    RUNS_OF_SCAN.label(),
    OPEN_RUNS.label(),
    TASKS.label(),
    UNCUT.label(),
    TALLIES.label(),
    TASK_COVERAGE.label(),
    STAGED.label(),
    STAGED_AGAIN.label(),
    HISTORY.label(),
    KNOWN_COVERAGE.label(),
    RUN_LOOKS.label(),
    REPORTS.label(),
    REPORT_SUMMARIES.label(),
    REPORT_PARTS.label(),
    ALERTS.label(),
    RULES.label(),
    ACCEPTED.label(),
    RETENTION.label(),
    RETENTION_OF_SCAN.label(),
    RETIRED.label(),
    RESTORED.label(),
    RUN_FLOOR.label(),
    VERIFIED.label(),
    AUDIT.label(),
];

#[cfg(test)]
mod tests {
    use super::NAMES;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_tables_share_a_prefix() {
        assert_eq!(NAMES.iter().map(|(prefix, _)| prefix).collect::<BTreeSet<_>>().len(), NAMES.len());
    }
}
