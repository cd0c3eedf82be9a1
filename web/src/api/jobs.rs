//! Jobs: the wake-ups that the running scheduler holds.

use crate::App;
use crate::error::WebError;
use crate::session::Caller;
use axum::Json;
use axum::extract::State;
use coordinator::{JobFault, JobView, Reloaded as ReloadedView};
use protocol::Timestamp;
use protocol::task::ScanId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A wake-up of the running scheduler, or a scan that lacks one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// The scan that it wakes for.
    #[schema(value_type = Option<u64>)]
    pub scan: Option<ScanId>,
    /// The scan's name.
    pub name: String,
    /// The scheduler's number for it; absent when it holds none.
    pub job: Option<String>,
    /// When the scheduler will wake, in whole seconds.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub wakes: Option<Timestamp>,
    /// When the scan is due by the store.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub due: Option<Timestamp>,
    /// When the scheduler last woke for this scan since the coordinator started.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_woken: Option<Timestamp>,
    /// Whether scheduler and store agree.
    pub agrees: bool,
    /// How they differ.
    pub fault: Option<String>,
}

/// What a reload found and what it left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Reloaded {
    /// Wake-ups that did not agree with the store.
    pub differed: Vec<Job>,
    /// Every wake-up that is held now.
    pub jobs: Vec<Job>,
}

impl From<JobView> for Job {
    fn from(view: JobView) -> Self {
        let JobView { scan, name, job, wakes, due, woken, fault } = view;
        let (agrees, fault) = (fault.is_none(), fault.map(JobFault::words).map(str::to_owned));
        Self { scan, name: name.into(), job, wakes, due, last_woken: woken, agrees, fault }
    }
}

fn jobs(views: Vec<JobView>) -> Vec<Job> {
    views.into_iter().map(Job::from).collect()
}

/// What the running scheduler holds.
#[utoipa::path(get, path = "/api/v1/jobs", tag = "jobs", responses((status = 200, body = Vec<Job>)))]
pub(crate) async fn list(State(app): State<App>, Caller(actor): Caller) -> Result<Json<Vec<Job>>, WebError> {
    Ok(Json(jobs(app.coordinator.jobs(&actor).await?)))
}

/// Makes every wake-up anew from the store.
#[utoipa::path(post, path = "/api/v1/jobs/reload", tag = "jobs", responses((status = 200, body = Reloaded)))]
pub(crate) async fn reload(State(app): State<App>, Caller(actor): Caller) -> Result<Json<Reloaded>, WebError> {
    let ReloadedView { differed, jobs: held } = app.coordinator.reload_jobs(&actor).await?;
    Ok(Json(Reloaded { differed: jobs(differed), jobs: jobs(held) }))
}
