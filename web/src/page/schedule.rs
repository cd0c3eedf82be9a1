//! `/schedule`: what the running scheduler holds, beside what the store says.

use crate::App;
use crate::error::WebError;
use crate::filters;
use crate::look::{Badge, Tone};
use crate::page::{Head, Page, Section, View};
use crate::session::Caller;
use askama::Template;
use axum::extract::{Query, State};
use axum::response::Redirect;
use coordinator::{JobFault, JobView, Right};
use protocol::Timestamp;
use protocol::task::ScanId;
use serde::Deserialize;

#[derive(Template)]
#[template(path = "schedule.html")]
pub(crate) struct Schedule {
    pub(crate) jobs: Vec<JobRow>,
    pub(crate) may_reload: bool,
    /// How many wake-ups were wrong before they were all made anew.
    pub(crate) reloaded: Option<usize>,
}

/// A wake-up, or a scan that lacks one.
pub(crate) struct JobRow {
    pub(crate) scan: Option<ScanId>,
    pub(crate) name: String,
    pub(crate) wakes: Option<Timestamp>,
    pub(crate) due: Option<Timestamp>,
    pub(crate) woken: Option<Timestamp>,
    pub(crate) state: Badge,
    /// How it differs from the store; empty when it does not.
    pub(crate) fault: &'static str,
}

/// What a reload has just done.
#[derive(Deserialize)]
pub(crate) struct Outcome {
    reloaded: Option<usize>,
}

impl View for Schedule {
    fn head(&self) -> Head {
        Head::below(Section::Scans, "Schedule")
    }
}

/// `GET /schedule`
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(Outcome { reloaded }): Query<Outcome>,
) -> Result<Page<Schedule>, WebError> {
    let mut jobs: Vec<JobRow> = app.coordinator.jobs(&actor).await?.into_iter().map(JobRow::from).collect();
    jobs.sort_by_key(|job| (job.fault.is_empty(), job.wakes));
    Ok(Page(Schedule { jobs, may_reload: actor.role.may(Right::Administer), reloaded }))
}

/// `POST /schedule/reload`
pub(crate) async fn reload(State(app): State<App>, Caller(actor): Caller) -> Result<Redirect, WebError> {
    let differed = app.coordinator.reload_jobs(&actor).await?.differed.len();
    Ok(Redirect::to(&app.link(&format!("/schedule?reloaded={differed}"))))
}

impl From<JobView> for JobRow {
    fn from(JobView { scan, name, job: _, wakes, due, woken, fault }: JobView) -> Self {
        let state = match fault {
            None => Badge::plain(Tone::Ok, "circle-check", "held"),
            Some(_) => Badge::plain(Tone::Critical, "circle-alert", "differs"),
        };
        Self { scan, name: name.into(), wakes, due, woken, state, fault: fault.map_or("", JobFault::words) }
    }
}
