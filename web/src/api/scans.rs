//! Scans: definitions, each one monitored network.

mod check;

pub use check::ScanCheck;
pub(crate) use check::{__path_check, check};

use super::paging::{Cursor, Listed};
use super::reports::ReportSummary;
use super::runs::RunSummary;
use super::{Body, Params};
use crate::App;
use crate::error::WebError;
use crate::session::Caller;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use coordinator::scan::{Cadence, Interval, ScanDefinition, ScanDraft};
use coordinator::{Actor, ScanView};
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
    #[schema(value_type = Option<String>)]
    pub exclusions: Option<TargetSet>,
    /// The most addresses that are meant.
    pub budget: u64,
    /// Whether ranges are meant that nobody scans by accident, such as multicast.
    pub special: bool,
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
    /// In place of an interval: a cron expression of five fields.
    pub cron: Option<String>,
    /// The time zone of the cron expression.
    pub zone: Option<String>,
    /// Whether interval or cron expression count.
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

/// A scan to be made, or what a scan is to become: a field that is left out takes its default.
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
    /// The most addresses that are meant, at most 33554432; left out for 65536.
    #[serde(default)]
    pub budget: Option<u64>,
    /// Whether ranges are meant that nobody scans by accident, such as multicast.
    #[serde(default)]
    pub special: bool,
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
    /// In place of an interval: a cron expression of five fields, such as `30 2 * * 1-5`.
    #[serde(default)]
    pub cron: String,
    /// The IANA time zone of the cron expression; empty for UTC.
    #[serde(default)]
    pub zone: String,
    /// Whether it runs by itself at these times.
    #[serde(default)]
    pub scheduled: bool,
}

/// Whether a scan is to run by itself.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct Scheduling {
    /// Its cadence stays either way.
    pub scheduled: bool,
}

/// Which scans to list.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) struct Which {
    #[serde(default)]
    inactive: bool,
}

impl From<Scan> for NewScan {
    /// What would make this scan as it is.
    fn from(scan: Scan) -> Self {
        Self {
            name: scan.name,
            description: scan.description,
            targets: scan.targets.to_string(),
            exclusions: scan.exclusions.map(|targets| targets.to_string()).unwrap_or_default(),
            budget: Some(scan.budget),
            special: scan.special,
            ports: scan.ports.map(|ports| ports.to_string()).unwrap_or_default(),
            args: scan.args,
            engine: scan.engine.name().to_owned(),
            site: scan.site,
            interval_minutes: scan.interval_minutes,
            cron: scan.cron.unwrap_or_default(),
            zone: scan.zone.unwrap_or_default(),
            scheduled: scan.scheduled,
        }
    }
}

impl From<NewScan> for ScanDraft {
    fn from(new: NewScan) -> Self {
        let NewScan {
            name,
            description,
            targets,
            exclusions,
            budget,
            special,
            ports,
            args,
            engine,
            site,
            interval_minutes,
            cron,
            zone,
            scheduled,
        } = new;
        let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        let (budget, interval) = (number(budget), number(interval_minutes.map(u64::from)));
        Self {
            name,
            description,
            targets,
            exclusions,
            budget,
            special,
            ports,
            args,
            engine,
            site,
            interval,
            cron,
            zone,
            scheduled,
        }
    }
}

impl From<ScanView> for Scan {
    fn from(view: ScanView) -> Self {
        let ScanView { scan, open_run, last_run, last_report } = view;
        let coordinator::scan::Scan { id, definition, active, created, created_by, next_due, last_due: _ } = scan;
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
        let (interval, cron) =
            (definition.cadence().and_then(Cadence::interval), definition.cadence().and_then(Cadence::cron));
        Self {
            id: ScanId(0),
            name: definition.name().to_string(),
            description: definition.description().to_string(),
            targets: definition.targets().clone(),
            exclusions,
            budget: definition.budget(),
            special: definition.special(),
            ports: definition.ports().cloned(),
            args: definition.args().to_string(),
            engine: definition.engine(),
            site: definition.site().to_string(),
            interval_minutes: interval.map(Interval::minutes),
            cron: cron.map(|cron| cron.expression().to_owned()),
            zone: cron.map(|cron| cron.zone().to_owned()),
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

/// Every active scan; with `inactive=true` deactivated ones too.
#[utoipa::path(get, path = "/api/v1/scans", tag = "scans", params(("inactive" = Option<bool>, Query), Cursor), responses((status = 200, body = Vec<Scan>)))]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Params(which): Params<Which>,
    cursor: Cursor,
) -> Result<Listed<Scan>, WebError> {
    let coordinator = &app.coordinator;
    let scans = if which.inactive { coordinator.every_scan(&actor).await? } else { coordinator.scans(&actor).await? };
    cursor.cut(scans.into_iter().map(Scan::from).collect(), |scan| scan.id.to_string())
}

/// One scan.
#[utoipa::path(get, path = "/api/v1/scans/{scan}", tag = "scans", params(("scan" = u64, Path)), responses((status = 200, body = Scan)))]
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(scan): Path<ScanId>,
) -> Result<Json<Scan>, WebError> {
    as_it_is(&app, &actor, scan).await
}

/// Makes a scan.
#[utoipa::path(post, path = "/api/v1/scans", tag = "scans", request_body = NewScan, responses((status = 201, body = Scan)))]
pub(crate) async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    Body(new): Body<NewScan>,
) -> Result<(StatusCode, Json<Scan>), WebError> {
    let scan = app.coordinator.create_scan(&actor, &new.into()).await?;
    Ok((StatusCode::CREATED, as_it_is(&app, &actor, scan.id).await?))
}

/// Changes a scan as a whole. A run that is under way keeps the definition that it was started with.
#[utoipa::path(put, path = "/api/v1/scans/{scan}", tag = "scans", params(("scan" = u64, Path)), request_body = NewScan, responses((status = 200, body = Scan)))]
pub(crate) async fn edit(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(scan): Path<ScanId>,
    Body(new): Body<NewScan>,
) -> Result<Json<Scan>, WebError> {
    app.coordinator.edit_scan(&actor, scan, &new.into()).await?;
    as_it_is(&app, &actor, scan).await
}

/// Makes a copy that does not run by itself.
#[utoipa::path(post, path = "/api/v1/scans/{scan}/duplicate", tag = "scans", params(("scan" = u64, Path)), responses((status = 201, body = Scan)))]
pub(crate) async fn duplicate(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(scan): Path<ScanId>,
) -> Result<(StatusCode, Json<Scan>), WebError> {
    let copy = app.coordinator.duplicate_scan(&actor, scan).await?;
    Ok((StatusCode::CREATED, as_it_is(&app, &actor, copy.id).await?))
}

/// Lets a deactivated scan run again.
#[utoipa::path(post, path = "/api/v1/scans/{scan}/activate", tag = "scans", params(("scan" = u64, Path)), responses((status = 200, body = Scan)))]
pub(crate) async fn activate(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(scan): Path<ScanId>,
) -> Result<Json<Scan>, WebError> {
    app.coordinator.activate_scan(&actor, scan).await?;
    as_it_is(&app, &actor, scan).await
}

/// Takes a scan out of use; its history stays, and a run that is under way ends as it would.
#[utoipa::path(post, path = "/api/v1/scans/{scan}/deactivate", tag = "scans", params(("scan" = u64, Path)), responses((status = 200, body = Scan)))]
pub(crate) async fn deactivate(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(scan): Path<ScanId>,
) -> Result<Json<Scan>, WebError> {
    app.coordinator.deactivate_scan(&actor, scan).await?;
    as_it_is(&app, &actor, scan).await
}

/// Switches running by itself on or off.
#[utoipa::path(post, path = "/api/v1/scans/{scan}/schedule", tag = "scans", params(("scan" = u64, Path)), request_body = Scheduling, responses((status = 200, body = Scan)))]
pub(crate) async fn schedule(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(scan): Path<ScanId>,
    Body(Scheduling { scheduled }): Body<Scheduling>,
) -> Result<Json<Scan>, WebError> {
    app.coordinator.schedule_scan(&actor, scan, scheduled).await?;
    as_it_is(&app, &actor, scan).await
}

async fn as_it_is(app: &App, actor: &Actor, scan: ScanId) -> Result<Json<Scan>, WebError> {
    Ok(Json(app.coordinator.scan(actor, scan).await?.into()))
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
