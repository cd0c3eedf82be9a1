//! Scans: definitions, each one monitored network.

use super::Body;
use super::reports::ReportSummary;
use super::runs::RunSummary;
use crate::App;
use crate::error::WebError;
use crate::session::Caller;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use coordinator::ScanView;
use coordinator::scan::{Interval, ScanDefinition, ScanDraft};
use protocol::task::{EngineChoice, RunId, ScanId};
use protocol::{PortSet, TargetSet, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A scan with where it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Scan {
    /// Its number, which is also the network's.
    #[schema(value_type = u64)]
    pub id: ScanId,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Addresses, merged.
    #[schema(value_type = String)]
    pub targets: TargetSet,
    /// Addresses left out.
    #[schema(value_type = String)]
    pub exclusions: Option<TargetSet>,
    /// Ports; absent for the engine's own set.
    #[schema(value_type = Option<String>)]
    pub ports: Option<PortSet>,
    /// nmap's options.
    pub args: String,
    /// `auto`, `nmap` or `builtin`.
    #[schema(value_type = String)]
    pub engine: EngineChoice,
    /// Where its nodes are.
    pub site: String,
    /// Minutes between two runs.
    pub interval_minutes: Option<u32>,
    /// Whether the interval counts.
    pub scheduled: bool,
    /// False once it was deactivated.
    pub active: bool,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When it runs next by itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_due: Option<Timestamp>,
    /// The run that has not ended.
    #[schema(value_type = Option<u64>)]
    pub open_run: Option<RunId>,
    /// The latest run.
    pub last_run: Option<RunSummary>,
    /// The latest report.
    pub last_report: Option<ReportSummary>,
}

/// A scan to be made.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct NewScan {
    /// Shown everywhere.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Addresses, CIDR and ranges, with commas between them.
    pub targets: String,
    /// Addresses to leave out.
    #[serde(default)]
    pub exclusions: String,
    /// Such as `T:22,80,U:53`; empty for the engine's own set.
    #[serde(default)]
    pub ports: String,
    /// nmap's options.
    #[serde(default)]
    pub args: String,
    /// `auto`, `nmap` or `builtin`; empty for `auto`.
    #[serde(default)]
    pub engine: String,
    /// Empty for `main`.
    #[serde(default)]
    pub site: String,
    /// Minutes between two runs.
    #[serde(default)]
    pub interval_minutes: Option<u32>,
    /// Whether it runs by itself in that interval.
    #[serde(default)]
    pub scheduled: bool,
}

impl From<NewScan> for ScanDraft {
    fn from(new: NewScan) -> Self {
        let NewScan { name, description, targets, exclusions, ports, args, engine, site, interval_minutes, scheduled } =
            new;
        let interval = interval_minutes.map(|minutes| minutes.to_string()).unwrap_or_default();
        Self { name, description, targets, exclusions, ports, args, engine, site, interval, scheduled }
    }
}

impl From<ScanView> for Scan {
    fn from(view: ScanView) -> Self {
        let ScanView { scan, open_run, last_run, last_report } = view;
        let coordinator::scan::Scan { id, definition, active, created, created_by, next_due } = scan;
        Self {
            id,
            active,
            created,
            created_by: created_by.into(),
            next_due,
            open_run,
            last_run: last_run.map(RunSummary::from),
            last_report: last_report.as_ref().map(ReportSummary::from),
            ..definition.into()
        }
    }
}

impl From<ScanDefinition> for Scan {
    fn from(definition: ScanDefinition) -> Self {
        let exclusions = Some(definition.exclusions().clone()).filter(|exclusions| !exclusions.is_empty());
        Self {
            id: ScanId(0),
            name: definition.name().to_string(),
            description: definition.description().to_string(),
            targets: definition.targets().clone(),
            exclusions,
            ports: definition.ports().cloned(),
            args: definition.args().to_string(),
            engine: definition.engine(),
            site: definition.site().to_string(),
            interval_minutes: definition.interval().map(Interval::minutes),
            scheduled: definition.scheduled(),
            active: true,
            created: Timestamp::default(),
            created_by: String::new(),
            next_due: None,
            open_run: None,
            last_run: None,
            last_report: None,
        }
    }
}

/// Every active scan.
#[utoipa::path(get, path = "/api/v1/scans", tag = "scans", responses((status = 200, body = Vec<Scan>)))]
pub(crate) async fn list(State(app): State<App>, Caller(actor): Caller) -> Result<Json<Vec<Scan>>, WebError> {
    let scans = app.coordinator.scans(&actor).await?;
    Ok(Json(scans.into_iter().map(Scan::from).collect()))
}

/// One scan.
#[utoipa::path(get, path = "/api/v1/scans/{scan}", tag = "scans", params(("scan" = u64, Path)), responses((status = 200, body = Scan)))]
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(scan): Path<ScanId>,
) -> Result<Json<Scan>, WebError> {
    Ok(Json(app.coordinator.scan(&actor, scan).await?.into()))
}

/// Makes a scan.
#[utoipa::path(post, path = "/api/v1/scans", tag = "scans", request_body = NewScan, responses((status = 201, body = Scan)))]
pub(crate) async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    Body(new): Body<NewScan>,
) -> Result<(StatusCode, Json<Scan>), WebError> {
    let scan = app.coordinator.create_scan(&actor, &new.into()).await?;
    Ok((StatusCode::CREATED, Json(app.coordinator.scan(&actor, scan.id).await?.into())))
}

/// Runs a scan now; refused while a run of it has not ended.
#[utoipa::path(post, path = "/api/v1/scans/{scan}/run", tag = "scans", params(("scan" = u64, Path)), responses((status = 202, body = RunSummary)))]
pub(crate) async fn run(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(scan): Path<ScanId>,
) -> Result<(StatusCode, Json<RunSummary>), WebError> {
    Ok((StatusCode::ACCEPTED, Json(app.coordinator.start_run(&actor, scan).await?.into())))
}
