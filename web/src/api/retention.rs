//! Retention: how long runs are kept.

use super::Body;
use crate::App;
use crate::error::WebError;
use crate::session::Caller;
use axum::Json;
use axum::extract::{Path, State};
use coordinator::{ScanRetention, retention};
use protocol::Timestamp;
use protocol::task::ScanId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How long runs are kept: both are upper limits, and a run goes when it is beyond one of them. The latest report, and
/// the one that it was compared with, always stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// At most so many runs, the latest ones: 2 to 100,000; `null` for no limit.
    pub runs: Option<u32>,
    /// None that ended longer ago than so many days: 1 to 36,500; `null` for no limit.
    pub days: Option<u32>,
}

/// How long the runs of one scan are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RetentionOfScan {
    /// Which scan.
    #[schema(value_type = u64)]
    pub scan: ScanId,
    /// Its name.
    pub name: String,
    /// Its own limits; `null`: the default ones are in force.
    pub own: Option<Retention>,
    /// How many runs it has.
    pub runs: u64,
    /// When the oldest of them was asked for.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub oldest: Option<Timestamp>,
}

/// How long runs are kept, everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RetentionOverview {
    /// Where a scan has no limits of its own.
    pub default: Retention,
    /// Every scan, by number.
    pub scans: Vec<RetentionOfScan>,
}

impl From<retention::Retention> for Retention {
    fn from(retention::Retention { runs, days }: retention::Retention) -> Self {
        Self { runs, days }
    }
}

impl From<Retention> for retention::Retention {
    fn from(Retention { runs, days }: Retention) -> Self {
        Self { runs, days }
    }
}

impl From<ScanRetention> for RetentionOfScan {
    fn from(of: ScanRetention) -> Self {
        let ScanRetention { scan, name, own, runs, oldest } = of;
        Self { scan, name: name.into(), own: own.map(Retention::from), runs, oldest }
    }
}

/// How long runs are kept, by default and for each scan.
#[utoipa::path(get, path = "/api/v1/retention", tag = "retention", responses((status = 200, body = RetentionOverview)))]
pub(crate) async fn show(State(app): State<App>, Caller(actor): Caller) -> Result<Json<RetentionOverview>, WebError> {
    let view = app.coordinator.retention(&actor).await?;
    let scans = view.scans.into_iter().map(RetentionOfScan::from).collect();
    Ok(Json(RetentionOverview { default: view.default.into(), scans }))
}

/// Sets the limits of scans that have none of their own. What is beyond is removed within the hour.
#[utoipa::path(put, path = "/api/v1/retention", tag = "retention", request_body = Retention, responses((status = 200, body = Retention)))]
pub(crate) async fn set(
    State(app): State<App>,
    Caller(actor): Caller,
    Body(retention): Body<Retention>,
) -> Result<Json<Retention>, WebError> {
    Ok(Json(app.coordinator.set_retention(&actor, retention.into()).await?.into()))
}

/// Gives a scan limits of its own. What is beyond is removed within the hour.
#[utoipa::path(put, path = "/api/v1/scans/{scan}/retention", tag = "retention", params(("scan" = u64, Path)), request_body = Retention, responses((status = 200, body = RetentionOfScan)))]
pub(crate) async fn set_of_scan(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(scan): Path<ScanId>,
    Body(retention): Body<Retention>,
) -> Result<Json<RetentionOfScan>, WebError> {
    Ok(Json(app.coordinator.set_scan_retention(&actor, scan, Some(retention.into())).await?.into()))
}

/// Takes a scan's own limits away: the default ones are in force again.
#[utoipa::path(delete, path = "/api/v1/scans/{scan}/retention", tag = "retention", params(("scan" = u64, Path)), responses((status = 200, body = RetentionOfScan)))]
pub(crate) async fn reset_of_scan(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(scan): Path<ScanId>,
) -> Result<Json<RetentionOfScan>, WebError> {
    Ok(Json(app.coordinator.set_scan_retention(&actor, scan, None).await?.into()))
}
