//! What a person can do with a scan: run, copy, switch its schedule, take it out of use and back.

use super::NextRun;
use crate::App;
use crate::error::WebError;
use crate::filters;
use crate::page::{Head, Page, Section, View};
use crate::session::Caller;
use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::Redirect;
use protocol::task::{RunId, ScanId};
use serde::Deserialize;

/// Asks before a scan is taken out of use, where the page of the scan could not ask in place.
#[derive(Template)]
#[template(path = "scan_deactivate.html")]
pub(crate) struct Deactivation {
    pub(crate) id: ScanId,
    pub(crate) name: String,
    pub(crate) open_run: Option<RunId>,
    pub(crate) next: NextRun,
}

/// Whether a scan is to run by itself.
#[derive(Deserialize)]
pub(crate) struct Scheduling {
    scheduled: bool,
}

impl View for Deactivation {
    fn head(&self) -> Head {
        Head::below(Section::Scans, "Deactivate").via(self.name.as_str(), format!("/scans/{}", self.id))
    }
}

fn to_scan(app: &App, scan: ScanId) -> Redirect {
    Redirect::to(&app.link(&format!("/scans/{scan}")))
}

/// `POST /scans/{scan}/run`
pub(crate) async fn run_now(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(scan): Path<ScanId>,
) -> Result<Redirect, WebError> {
    let run = app.coordinator.start_run(&actor, scan).await?;
    Ok(Redirect::to(&app.link(&format!("/runs/{}", run.id))))
}

/// `POST /scans/{scan}/duplicate`: on to the form of the copy, since a copy is made to be changed.
pub(crate) async fn duplicate(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(scan): Path<ScanId>,
) -> Result<Redirect, WebError> {
    let copy = app.coordinator.duplicate_scan(&actor, scan).await?;
    Ok(Redirect::to(&app.link(&format!("/scans/{}/edit", copy.id))))
}

/// `POST /scans/{scan}/schedule`
pub(crate) async fn schedule(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(scan): Path<ScanId>,
    Form(Scheduling { scheduled }): Form<Scheduling>,
) -> Result<Redirect, WebError> {
    app.coordinator.schedule_scan(&actor, scan, scheduled).await?;
    Ok(to_scan(&app, scan))
}

/// `POST /scans/{scan}/activate`
pub(crate) async fn activate(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(scan): Path<ScanId>,
) -> Result<Redirect, WebError> {
    app.coordinator.activate_scan(&actor, scan).await?;
    Ok(to_scan(&app, scan))
}

/// `GET /scans/{scan}/deactivate`
pub(crate) async fn ask_to_deactivate(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(id): Path<ScanId>,
) -> Result<Page<Deactivation>, WebError> {
    let view = app.coordinator.scan(&actor, id).await?;
    let name = view.scan.definition.name().to_string();
    Ok(Page(Deactivation { id, name, open_run: view.open_run, next: NextRun::of(&view.scan) }))
}

/// `POST /scans/{scan}/deactivate`
pub(crate) async fn deactivate(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(scan): Path<ScanId>,
) -> Result<Redirect, WebError> {
    app.coordinator.deactivate_scan(&actor, scan).await?;
    Ok(to_scan(&app, scan))
}
