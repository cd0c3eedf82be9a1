//! Reports: what a run found changed against what was known.

use super::Uncovered;
use super::acceptance::Acceptance;
use super::paging::{Cursor, Listed};
use super::runs::percent;
use crate::App;
use crate::error::WebError;
use crate::session::Caller;
use axum::Json;
use axum::extract::{Path, State};
use coordinator::Actor;
use coordinator::analysis::delta::{self, ChangeKind, Confirmation, NoteKind, Side, Status};
use coordinator::analysis::score::{Counted, ScorePart};
use protocol::Timestamp;
use protocol::task::{RunId, ScanId};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use utoipa::ToSchema;

/// A report without its lines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReportSummary {
    /// Of which run; also the report's number.
    #[schema(value_type = u64)]
    pub run: RunId,
    /// Of which network.
    #[schema(value_type = u64)]
    pub scan: ScanId,
    /// The run it was compared with; absent for the first one.
    #[schema(value_type = Option<u64>)]
    pub baseline: Option<RunId>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub made: Timestamp,
    /// `critical`, `changes` or `stable`.
    #[schema(value_type = String)]
    pub status: Status,
    /// 0 to 100, with its parts.
    pub score: Score,
    /// Share of the wanted addresses that were looked at, in percent.
    pub coverage_percent: f64,
    /// Hosts found up.
    pub hosts_up: u32,
    /// Open ports found.
    pub open_ports: u32,
    /// How many changes of each kind.
    pub counts: Counts,
    /// How many of the changes were accepted as expected; they do not count in status and score.
    pub accepted: usize,
}

/// How many changes of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Counts {
    /// Hosts that were not there.
    pub new_hosts: usize,
    /// Hosts that are no longer there.
    pub removed_hosts: usize,
    /// Ports that were not open.
    pub new_ports: usize,
    /// Ports that are no longer open.
    pub closed_ports: usize,
    /// Other services, operating systems or names.
    pub other_changes: usize,
}

/// A report with every line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// The report without its lines.
    #[serde(flatten)]
    pub summary: ReportSummary,
    /// What changed, by address, port and kind.
    pub changes: Vec<Change>,
    /// What looks like a change and counts as none.
    pub notes: Vec<Note>,
    /// Lines beyond the limit, which are not kept; the status counts them.
    pub left_out: u64,
    /// What was not looked at, and why.
    pub uncovered: Vec<Uncovered>,
    /// Cells looked at for the first time.
    pub newly_covered_cells: u64,
    /// Cells looked at before and not by this run.
    pub no_longer_covered_cells: u64,
}

/// A score and its arithmetic: 100 − change − exposure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Score {
    /// 0 to 100.
    pub value: u8,
    /// `Excellent`, `Good`, `Monitor` or `Critical`.
    pub band: String,
    /// What changes cost, at most 60.
    pub change: u8,
    /// What open ports that match rules cost, at most 40.
    pub exposure: u8,
    /// What was counted.
    pub parts: Vec<Part>,
}

/// One line of a score's arithmetic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Part {
    /// What is counted, such as `new-ports`.
    #[schema(value_type = String)]
    pub what: Counted,
    /// How many.
    pub count: u64,
    /// Their points together, before the caps.
    pub points: u64,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// `new-host`, `removed-host`, `new-port`, `closed-port`, `service-change`, `os-change`, `name-change`.
    #[schema(value_type = String)]
    pub kind: ChangeKind,
    /// Which host.
    #[schema(value_type = String)]
    pub address: IpAddr,
    /// `443/tcp`, for changes of ports and services.
    pub port: Option<String>,
    /// What was known.
    #[schema(value_type = Option<Object>)]
    pub before: Option<Side>,
    /// What was found.
    #[schema(value_type = Option<Object>)]
    pub after: Option<Side>,
    /// `not-needed`, `wanted` or `confirmed`: whether a second look was taken.
    #[schema(value_type = String)]
    pub confirmation: Confirmation,
    /// Who accepted it as expected; absent when nobody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Acceptance>,
}

/// A line that counts as no change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Note {
    /// Why it does not count: `identified-differently`, `unconfirmed`, `contradicted`, `newly-covered`, `no-longer-covered`.
    #[schema(value_type = String)]
    pub kind: NoteKind,
    /// What it would be if it did.
    pub change: Change,
}

impl From<&coordinator::report::ReportSummary> for ReportSummary {
    fn from(report: &coordinator::report::ReportSummary) -> Self {
        Self {
            run: report.run,
            scan: report.scan,
            baseline: report.baseline,
            made: report.made,
            status: report.status,
            score: report.score.clone().into(),
            coverage_percent: percent(report.coverage_hundredths),
            hosts_up: report.hosts_up,
            open_ports: report.open_ports,
            counts: Counts {
                new_hosts: report.count(ChangeKind::NewHost),
                removed_hosts: report.count(ChangeKind::RemovedHost),
                new_ports: report.count(ChangeKind::NewPort),
                closed_ports: report.count(ChangeKind::ClosedPort),
                other_changes: [
                    ChangeKind::ServiceChange,
                    ChangeKind::OsChange,
                    ChangeKind::NameChange,
                    ChangeKind::MacChange,
                ]
                .map(|kind| report.count(kind))
                .iter()
                .sum(),
            },
            accepted: usize::try_from(report.accepted).unwrap_or(usize::MAX),
        }
    }
}

impl From<&coordinator::report::Report> for ReportSummary {
    fn from(report: &coordinator::report::Report) -> Self {
        Self::from(&coordinator::report::ReportSummary::from(report))
    }
}

impl From<coordinator::report::Report> for Report {
    fn from(report: coordinator::report::Report) -> Self {
        let summary = ReportSummary::from(&coordinator::report::ReportSummary::from(&report));
        let accepted: Vec<Option<Acceptance>> =
            (0..report.changes.len()).map(|line| report.acceptance_of(line).map(Acceptance::from)).collect();
        let coordinator::report::Report {
            run: _,
            scan: _,
            baseline: _,
            made: _,
            changes,
            accepted: _,
            notes,
            left_out,
            status: _,
            score: _,
            rules: _,
            known_hosts: _,
            coverage_hundredths: _,
            uncovered,
            hosts_up: _,
            open_ports: _,
            newly_covered_cells,
            no_longer_covered_cells,
        } = report;
        Self {
            summary,
            changes: changes
                .into_iter()
                .zip(accepted)
                .map(|(change, accepted)| Change { accepted, ..change.into() })
                .collect(),
            notes: notes.into_iter().map(|delta::Note { kind, change }| Note { kind, change: change.into() }).collect(),
            left_out,
            uncovered: uncovered.into_iter().map(Uncovered::from).collect(),
            newly_covered_cells,
            no_longer_covered_cells,
        }
    }
}

impl From<&coordinator::report::Acceptance> for Acceptance {
    fn from(accepted: &coordinator::report::Acceptance) -> Self {
        Self { by: accepted.by.to_string(), at: accepted.at, comment: accepted.comment.to_string() }
    }
}

impl From<delta::Change> for Change {
    fn from(change: delta::Change) -> Self {
        let delta::Change { kind, address, port, before, after, confirmation } = change;
        let port = port.map(|port| format!("{}/{}", port.port, port.protocol));
        Self { kind, address, port, before, after, confirmation, accepted: None }
    }
}

impl From<coordinator::analysis::score::Score> for Score {
    fn from(score: coordinator::analysis::score::Score) -> Self {
        let band = score.band().name().to_owned();
        let coordinator::analysis::score::Score { value, change, exposure, parts } = score;
        let parts = parts.into_iter().map(|ScorePart { what, count, points }| Part { what, count, points }).collect();
        Self { value, band, change, exposure, parts }
    }
}

/// Reports of all networks, newest first.
#[utoipa::path(get, path = "/api/v1/reports", tag = "reports", params(Cursor), responses((status = 200, body = Vec<ReportSummary>)))]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    cursor: Cursor,
) -> Result<Listed<ReportSummary>, WebError> {
    page(&app, &actor, None, &cursor).await
}

async fn page(
    app: &App,
    actor: &Actor,
    scan: Option<ScanId>,
    cursor: &Cursor,
) -> Result<Listed<ReportSummary>, WebError> {
    let reports = app.coordinator.find_reports(actor, scan, cursor.older()?).await?;
    Ok(cursor.listed(reports.iter().map(ReportSummary::from).collect(), |report| report.run.to_string()))
}

/// The report of one run.
#[utoipa::path(get, path = "/api/v1/reports/{run}", tag = "reports", params(("run" = u64, Path)), responses((status = 200, body = Report)))]
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(run): Path<RunId>,
) -> Result<Json<Report>, WebError> {
    Ok(Json(app.coordinator.report(&actor, run).await?.into()))
}

/// The reports of one network, newest first.
#[utoipa::path(get, path = "/api/v1/scans/{scan}/reports", tag = "reports", params(("scan" = u64, Path), Cursor), responses((status = 200, body = Vec<ReportSummary>)))]
pub(crate) async fn of_scan(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(scan): Path<ScanId>,
    cursor: Cursor,
) -> Result<Listed<ReportSummary>, WebError> {
    page(&app, &actor, Some(scan), &cursor).await
}

/// The newest report of one network.
#[utoipa::path(get, path = "/api/v1/scans/{scan}/reports/latest", tag = "reports", params(("scan" = u64, Path)), responses((status = 200, body = Report)))]
pub(crate) async fn latest(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(scan): Path<ScanId>,
) -> Result<Json<Report>, WebError> {
    Ok(Json(app.coordinator.latest_report(&actor, scan).await?.into()))
}
