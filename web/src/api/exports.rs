//! Exports: reports as files for other programs.

use crate::App;
use crate::error::WebError;
use crate::export::{self, Document};
use crate::session::Caller;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use protocol::task::{RunId, ScanId};
use serde::Deserialize;
use utoipa::IntoParams;

/// As what.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct As {
    /// `csv`, `json` or `xml`.
    #[serde(default)]
    format: String,
}

/// One report as a file: a flat CSV table with one row per change, a JSON document with
/// everything, or the run behind it as nmap XML.
#[utoipa::path(
    get,
    path = "/api/v1/reports/{run}/export",
    tag = "exports",
    params(("run" = u64, Path), As),
    responses((status = 200, description = "The file", content((Document = "application/json"), (String = "text/csv"), (String = "application/xml"))))
)]
pub(crate) async fn one(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(run): Path<RunId>,
    Query(As { format }): Query<As>,
) -> Result<Response, WebError> {
    export::file(&app, &actor, run, format.parse()?).await
}

/// All reports of a network as a ZIP archive: each as JSON and CSV, and `index.csv` with a row per report.
#[utoipa::path(
    get,
    path = "/api/v1/scans/{scan}/reports/export",
    tag = "exports",
    params(("scan" = u64, Path)),
    responses((status = 200, description = "The archive", content_type = "application/zip"))
)]
pub(crate) async fn all(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(scan): Path<ScanId>,
) -> Result<Response, WebError> {
    export::zip(&app, &actor, scan).await
}
