//! `/api/v1`: a file per resource. What it speaks are these types; the OpenAPI document is made from them.

pub mod acceptance;
pub mod alerts;
pub mod audit;
mod body;
pub mod compare;
pub mod counters;
pub(crate) mod description;
pub(crate) mod docs;
pub(crate) mod exports;
pub(crate) mod health;
pub mod hosts;
pub mod imports;
pub mod invites;
pub mod jobs;
pub mod logs;
pub mod mesh;
pub mod nodes;
pub(crate) mod paging;
pub mod reports;
pub mod retention;
pub mod roster;
pub mod rules;
pub mod runs;
pub mod scans;
pub mod statistics;
pub mod status;
pub mod tokens;
pub mod users;

use crate::App;
use crate::error::{Problem, WebError};
use axum::Json;
use axum::extract::{FromRequestParts, State};
pub(crate) use body::Body;
use protocol::TargetSet;
use serde::{Deserialize, Serialize};
use utoipa::openapi::{OpenApi as Document, Server};
use utoipa::{OpenApi, ToSchema};

/// What stands behind the `?`; what is wrong with it is said in a problem body.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(WebError))]
pub(crate) struct Params<T>(pub(crate) T);

/// Addresses that nobody looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Uncovered {
    /// Which, as ranges.
    #[schema(value_type = String)]
    pub targets: TargetSet,
    /// Why.
    pub reason: String,
}

impl From<coordinator::run::Uncovered> for Uncovered {
    fn from(uncovered: coordinator::run::Uncovered) -> Self {
        let coordinator::run::Uncovered { targets, reason } = uncovered;
        Self { targets, reason: reason.words().to_owned() }
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Portdrift",
        description = "What the dashboard shows and does, for programs. Lists are arrays; where one comes in pages, the `Link` header leads to the next. A failure is a problem body (RFC 9457) whose `detail` says what to do.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    paths(
        openapi,
        acceptance::accept,
        acceptance::unaccept,
        alerts::list,
        alerts::show,
        alerts::decide,
        alerts::decide_all,
        audit::list,
        compare::show,
        crate::live::events,
        exports::one,
        exports::all,
        hosts::list,
        hosts::show,
        hosts::services,
        imports::create,
        invites::create,
        invites::list,
        invites::revoke,
        jobs::list,
        jobs::reload,
        logs::show,
        mesh::show,
        counters::show,
        nodes::list,
        nodes::show,
        nodes::decide,
        nodes::decide_many,
        reports::list,
        reports::show,
        reports::of_scan,
        reports::latest,
        retention::show,
        retention::set,
        retention::set_of_scan,
        retention::reset_of_scan,
        roster::show,
        roster::sign,
        roster::acknowledge,
        roster::rotate,
        rules::list,
        rules::set,
        rules::remove,
        rules::reset,
        runs::list,
        runs::show,
        runs::cancel,
        runs::retry_missing,
        runs::tasks,
        scans::list,
        scans::create,
        scans::check,
        scans::show,
        scans::edit,
        scans::duplicate,
        scans::activate,
        scans::deactivate,
        scans::schedule,
        scans::run,
        statistics::show,
        status::show,
        tokens::list,
        tokens::create,
        tokens::revoke,
        users::list,
        users::create,
        users::show,
        users::set_role,
        users::set_password,
        users::reset_link,
        users::act,
        users::invite,
        users::invites,
        users::revoke_invite,
        users::registration,
        users::set_registration,
    ),
    components(schemas(Problem))
)]
struct Description;

/// The whole description.
pub(crate) fn description() -> Document {
    description::complete(Description::openapi())
}

/// What this API takes and gives.
#[utoipa::path(get, path = "/api/openapi.json", tag = "description", responses((status = 200, description = "This document")))]
pub(crate) async fn openapi(State(app): State<App>) -> Json<Document> {
    let base = Some(app.settings.base_path.as_str()).filter(|base| !base.is_empty()).unwrap_or("/");
    let mut document = description();
    document.servers = Some(vec![Server::new(base)]);
    Json(document)
}
