//! Every way in, in one table: method, path, who may, how large, whether it is audited, and whether the
//! password must have been typed lately.

use crate::dress::dress;
use crate::error::WebError;
use crate::session::Caller;
use crate::{App, api, assets, export, headers, live, page, session};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use coordinator::Right;
use std::any::Any;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::csrf::CsrfLayer;

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody who reaches the port.
    Anyone,
    /// Who has the right.
    Needs(Right),
}

/// One line of the table.
pub(crate) struct Route {
    #[cfg_attr(not(test), expect(dead_code, reason = "tests walk by it; the handler knows it too"))]
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    /// The largest body taken, in bytes.
    pub(crate) body_cap: usize,
    /// Whether the coordinator writes an audit entry for it.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests check it; the coordinator writes the entry"))]
    pub(crate) is_audited: bool,
    /// Whether a person must have typed the password lately.
    pub(crate) needs_proof: bool,
    handler: MethodRouter<App>,
}

const SMALL: usize = 64 * 1024;
/// For lists of many ids.
const LARGE: usize = 1024 * 1024;

/// A definition with a thousand targets, each a range of IPv6 in a form's encoding.
const DEFINITION: usize = 256 * 1024;

/// A roster of 1 MiB in base 64.
const ROSTER: usize = 1536 * 1024;

/// The largest document of another scanner: about 50,000 hosts with 20 ports each.
const DOCUMENT: usize = 256 << 20;

fn get<H: Handler<T, App>, T: 'static>(path: &'static str, access: Access, handler: H) -> Route {
    let handler = on(MethodFilter::GET, handler);
    Route { method: Method::GET, path, access, body_cap: 0, is_audited: false, needs_proof: false, handler }
}

fn post<H: Handler<T, App>, T: 'static>(path: &'static str, access: Access, handler: H) -> Route {
    let handler = on(MethodFilter::POST, handler);
    Route { method: Method::POST, path, access, body_cap: SMALL, is_audited: true, needs_proof: false, handler }
}

fn put<H: Handler<T, App>, T: 'static>(path: &'static str, access: Access, handler: H) -> Route {
    let handler = on(MethodFilter::PUT, handler);
    Route { method: Method::PUT, path, access, body_cap: DEFINITION, is_audited: true, needs_proof: false, handler }
}

fn delete<H: Handler<T, App>, T: 'static>(path: &'static str, access: Access, handler: H) -> Route {
    let handler = on(MethodFilter::DELETE, handler);
    Route { method: Method::DELETE, path, access, body_cap: SMALL, is_audited: true, needs_proof: false, handler }
}

impl Route {
    /// Who is signed in must have typed the password lately. Source: SECURITY-DESIGN section 8.
    fn proven(self) -> Self {
        Self { needs_proof: true, ..self }
    }
}

/// The pages. Nothing answers a browser that is not here or in [`api_table`].
#[expect(clippy::too_many_lines, reason = "a table: a line for each route")]
pub(crate) fn page_table() -> Vec<Route> {
    use Access::{Anyone, Needs};
    use Right::{Administer, Approve, Operate, Read};
    vec![
        get("/assets/{name}", Anyone, assets::serve),
        get("/auth/confirm", Needs(Read), page::confirm::show),
        Route { is_audited: false, ..post("/auth/confirm", Needs(Read), page::confirm::done) }.proven(),
        get("/auth/forgot", Anyone, page::forgot::show),
        post("/auth/forgot", Anyone, page::forgot::send),
        get("/auth/login", Anyone, page::login::show),
        post("/auth/login", Anyone, page::login::sign_in),
        Route { is_audited: false, ..post("/auth/logout", Needs(Read), page::login::sign_out) },
        get("/auth/register", Anyone, page::register::show),
        post("/auth/register", Anyone, page::register::register),
        get("/auth/register/{link}", Anyone, page::register::show_invited),
        post("/auth/register/{link}", Anyone, page::register::register_invited),
        get("/auth/reset/{link}", Anyone, page::forgot::show_reset),
        post("/auth/reset/{link}", Anyone, page::forgot::reset),
        get("/auth/verify/{link}", Anyone, page::verify::show),
        post("/auth/verify/{link}", Anyone, page::verify::verify),
        get("/", Needs(Read), page::overview::show),
        get("/alerts", Needs(Read), page::alerts::show),
        Route { body_cap: LARGE, ..post("/alerts", Needs(Operate), page::alerts::decide) },
        get("/alerts/{id}", Needs(Read), page::alert::show),
        post("/alerts/{id}", Needs(Operate), page::alert::decide),
        get("/compare", Needs(Read), page::compare::show),
        get("/events", Needs(Read), live::events),
        get("/help", Needs(Read), page::help::show),
        get("/hosts", Needs(Read), page::hosts::show),
        get("/hosts/{id}", Needs(Read), page::host::show),
        get("/mesh", Needs(Read), page::mesh::show),
        get("/navigation", Needs(Read), page::navigation::show),
        get("/networks/{scan}/history", Needs(Read), page::history::show),
        get("/networks/{scan}/reports.zip", Needs(Read), export::of_network),
        get("/nodes", Needs(Read), page::nodes::show),
        get("/nodes/enrol", Needs(Approve), page::enrol::show),
        post("/nodes/enrol", Needs(Approve), page::enrol::create).proven(),
        post("/nodes/alarm/acknowledge", Needs(Approve), page::nodes::roster::acknowledge),
        get("/nodes/decide", Needs(Approve), page::nodes::decide::ask),
        post("/nodes/decide", Needs(Approve), page::nodes::decide::decide).proven(),
        get("/nodes/{node}", Needs(Read), page::node::show),
        post("/nodes/{node}/approve", Needs(Approve), page::nodes::approve).proven(),
        post("/nodes/{node}/deny", Needs(Approve), page::nodes::deny).proven(),
        get("/profile", Needs(Read), page::profile::show),
        post("/profile", Needs(Read), page::profile::edit),
        get("/profile/password", Needs(Read), page::profile::password::show),
        post("/profile/password", Needs(Read), page::profile::password::change),
        get("/profile/preferences", Needs(Read), page::profile::preferences::show),
        post("/profile/preferences", Needs(Read), page::profile::preferences::set),
        get("/profile/security", Needs(Read), page::profile::security::show),
        post("/profile/security/others", Needs(Read), page::profile::security::end_others),
        get("/reports", Needs(Read), page::reports::show),
        get("/reports/{run}", Needs(Read), export::page_or_file),
        post("/reports/{run}/accept", Needs(Operate), page::report::accept),
        post("/reports/{run}/unaccept", Needs(Operate), page::report::unaccept),
        get("/runs/{run}", Needs(Read), page::run::show),
        post("/runs/{run}/cancel", Needs(Operate), page::run::cancel),
        post("/runs/{run}/retry-missing", Needs(Operate), page::run::retry_missing),
        get("/scans", Needs(Read), page::scans::show),
        Route { body_cap: DEFINITION, ..post("/scans", Needs(Operate), page::scan_form::create) },
        get("/scans/check", Needs(Operate), page::scan_check::show),
        get("/scans/new", Needs(Operate), page::scan_form::show_new),
        get("/scans/{scan}", Needs(Read), page::scan::show),
        post("/scans/{scan}/activate", Needs(Operate), page::scan::actions::activate),
        get("/scans/{scan}/deactivate", Needs(Operate), page::scan::actions::ask_to_deactivate),
        post("/scans/{scan}/deactivate", Needs(Operate), page::scan::actions::deactivate),
        post("/scans/{scan}/duplicate", Needs(Operate), page::scan::actions::duplicate),
        get("/scans/{scan}/edit", Needs(Operate), page::scan_form::show_edit),
        Route { body_cap: DEFINITION, ..post("/scans/{scan}/edit", Needs(Operate), page::scan_form::edit) },
        post("/scans/{scan}/run", Needs(Operate), page::scan::actions::run_now),
        post("/scans/{scan}/schedule", Needs(Operate), page::scan::actions::schedule),
        get("/schedule", Needs(Operate), page::schedule::show),
        post("/schedule/reload", Needs(Administer), page::schedule::reload),
        get("/search", Needs(Read), page::search::show),
        get("/services", Needs(Read), page::services::show),
        get("/settings", Needs(Read), page::settings::show),
        get("/settings/about", Needs(Read), page::about::show),
        get("/settings/audit", Needs(Administer), page::audit::show),
        get("/settings/audit.csv", Needs(Administer), export::audit::as_csv),
        get("/settings/audit.json", Needs(Administer), export::audit::as_json),
        get("/settings/invites", Needs(Administer), page::users::invites::show),
        post("/settings/invites", Needs(Administer), page::users::invites::create).proven(),
        post("/settings/invites/{id}/revoke", Needs(Administer), page::users::invites::revoke).proven(),
        post("/settings/registration", Needs(Administer), page::users::invites::set_mode).proven(),
        get("/settings/rules", Needs(Read), page::rules::show),
        post("/settings/rules", Needs(Administer), page::rules::set),
        post("/settings/rules/remove", Needs(Administer), page::rules::remove),
        post("/settings/rules/reset", Needs(Administer), page::rules::reset),
        get("/settings/users", Needs(Administer), page::users::show),
        post("/settings/users", Needs(Administer), page::users::create).proven(),
        get("/settings/users/{user}", Needs(Administer), page::users::user::show),
        post("/settings/users/{user}/reset", Needs(Administer), page::users::user::reset).proven(),
        post("/settings/users/{user}/role", Needs(Administer), page::users::user::set_role).proven(),
        post("/settings/users/{user}/{action}", Needs(Administer), page::users::user::act).proven(),
    ]
}

/// The API and the machine ends, the same over TCP and over the local socket.
#[expect(clippy::too_many_lines, reason = "a table: a line for each route")]
pub(crate) fn api_table() -> Vec<Route> {
    use Access::{Anyone, Needs};
    use Right::{Administer, Approve, Operate, Read};
    vec![
        get("/healthz", Anyone, api::health::alive),
        get("/readyz", Anyone, api::health::ready),
        get("/api/openapi.json", Anyone, api::openapi),
        get("/api/v1/alerts", Needs(Read), api::alerts::list),
        Route { body_cap: LARGE, ..post("/api/v1/alerts/bulk", Needs(Operate), api::alerts::decide_all) },
        get("/api/v1/alerts/{id}", Needs(Read), api::alerts::show),
        post("/api/v1/alerts/{id}/{action}", Needs(Operate), api::alerts::decide),
        get("/api/v1/audit", Needs(Administer), api::audit::list),
        get("/api/v1/compare", Needs(Read), api::compare::show),
        get("/api/v1/events", Needs(Read), live::events),
        get("/api/v1/invites", Needs(Approve), api::invites::list),
        post("/api/v1/invites", Needs(Approve), api::invites::create).proven(),
        delete("/api/v1/invites/{id}", Needs(Approve), api::invites::revoke).proven(),
        get("/api/v1/jobs", Needs(Read), api::jobs::list),
        post("/api/v1/jobs/reload", Needs(Administer), api::jobs::reload),
        get("/api/v1/mesh", Needs(Read), api::mesh::show),
        get("/api/v1/mesh/counters", Needs(Read), api::counters::show),
        get("/api/v1/nodes", Needs(Read), api::nodes::list),
        Route { body_cap: LARGE, ..post("/api/v1/nodes/bulk", Needs(Approve), api::nodes::decide_many) }.proven(),
        get("/api/v1/nodes/{node}", Needs(Read), api::nodes::show),
        post("/api/v1/nodes/{node}/{action}", Needs(Approve), api::nodes::decide).proven(),
        get("/api/v1/registration", Needs(Administer), api::users::registration),
        put("/api/v1/registration", Needs(Administer), api::users::set_registration).proven(),
        get("/api/v1/reports", Needs(Read), api::reports::list),
        get("/api/v1/reports/{run}", Needs(Read), api::reports::show),
        get("/api/v1/reports/{run}/export", Needs(Read), api::exports::one),
        post("/api/v1/reports/{run}/accept", Needs(Operate), api::acceptance::accept),
        post("/api/v1/reports/{run}/unaccept", Needs(Operate), api::acceptance::unaccept),
        get("/api/v1/roster", Needs(Read), api::roster::show),
        post("/api/v1/roster/acknowledge", Needs(Approve), api::roster::acknowledge),
        Route { body_cap: ROSTER, ..post("/api/v1/roster/sign", Needs(Approve), api::roster::sign) }.proven(),
        get("/api/v1/rules", Needs(Read), api::rules::list),
        post("/api/v1/rules/reset", Needs(Administer), api::rules::reset),
        put("/api/v1/rules/{protocol}/{port}", Needs(Administer), api::rules::set),
        delete("/api/v1/rules/{protocol}/{port}", Needs(Administer), api::rules::remove),
        get("/api/v1/runs", Needs(Read), api::runs::list),
        get("/api/v1/runs/{run}", Needs(Read), api::runs::show),
        post("/api/v1/runs/{run}/cancel", Needs(Operate), api::runs::cancel),
        post("/api/v1/runs/{run}/retry-missing", Needs(Operate), api::runs::retry_missing),
        get("/api/v1/runs/{run}/tasks", Needs(Read), api::runs::tasks),
        get("/api/v1/scans", Needs(Read), api::scans::list),
        Route { body_cap: DEFINITION, ..post("/api/v1/scans", Needs(Operate), api::scans::create) },
        Route {
            is_audited: false,
            body_cap: DEFINITION,
            ..post("/api/v1/scans/check", Needs(Read), api::scans::check)
        },
        get("/api/v1/scans/{scan}", Needs(Read), api::scans::show),
        put("/api/v1/scans/{scan}", Needs(Operate), api::scans::edit),
        post("/api/v1/scans/{scan}/activate", Needs(Operate), api::scans::activate),
        post("/api/v1/scans/{scan}/deactivate", Needs(Operate), api::scans::deactivate),
        post("/api/v1/scans/{scan}/duplicate", Needs(Operate), api::scans::duplicate),
        get("/api/v1/scans/{scan}/reports", Needs(Read), api::reports::of_scan),
        get("/api/v1/scans/{scan}/reports/export", Needs(Read), api::exports::all),
        get("/api/v1/scans/{scan}/reports/latest", Needs(Read), api::reports::latest),
        Route { body_cap: DOCUMENT, ..post("/api/v1/scans/{scan}/import", Needs(Operate), api::imports::create) },
        post("/api/v1/scans/{scan}/run", Needs(Operate), api::scans::run),
        post("/api/v1/scans/{scan}/schedule", Needs(Operate), api::scans::schedule),
        get("/api/v1/user-invites", Needs(Administer), api::users::invites),
        post("/api/v1/user-invites", Needs(Administer), api::users::invite).proven(),
        delete("/api/v1/user-invites/{id}", Needs(Administer), api::users::revoke_invite).proven(),
        get("/api/v1/users", Needs(Administer), api::users::list),
        post("/api/v1/users", Needs(Administer), api::users::create).proven(),
        get("/api/v1/users/{user}", Needs(Administer), api::users::show),
        put("/api/v1/users/{user}/password", Needs(Administer), api::users::set_password).proven(),
        post("/api/v1/users/{user}/reset-link", Needs(Administer), api::users::reset_link).proven(),
        put("/api/v1/users/{user}/role", Needs(Administer), api::users::set_role).proven(),
        post("/api/v1/users/{user}/{action}", Needs(Administer), api::users::act).proven(),
    ]
}

/// For browsers and API clients over TCP.
pub(crate) fn browser_router(app: App) -> Router {
    let routes = page_table().into_iter().chain(api_table());
    let inner = build(routes)
        .layer(from_fn_with_state(app.clone(), session::identify))
        .layer(session::layer(&app))
        .layer(from_fn(session::device::send_cookie))
        .layer(CsrfLayer::new())
        .layer(from_fn_with_state(app.settings.clone(), headers::check_host));
    let whole = frame(inner, &app);
    if app.settings.base_path.is_empty() { whole } else { Router::new().nest(&app.settings.base_path, whole) }
}

/// For the command line, over a Unix socket.
pub(crate) fn local_router(app: App) -> Router {
    let inner = build(api_table()).layer(from_fn(session::identify_local));
    frame(inner, &app)
}

pub(crate) fn build(routes: impl IntoIterator<Item = Route>) -> Router<App> {
    let add = |router: Router<App>, route: Route| {
        let Route { method: _, path, access, body_cap, is_audited: _, needs_proof, handler } = route;
        let guarded = handler
            .route_layer(from_fn_with_state((access, needs_proof), guard))
            .layer(DefaultBodyLimit::max(body_cap));
        router.route(path, guarded)
    };
    routes.into_iter().fold(Router::new(), add).fallback(async || WebError::NoSuchPage)
}

/// What stands around both routers.
pub(crate) fn frame(inner: Router<App>, app: &App) -> Router {
    inner
        .layer(CatchPanicLayer::custom(on_panic))
        .layer(from_fn_with_state(app.clone(), dress))
        .layer(from_fn(headers::number))
        .layer(from_fn_with_state(app.settings.clone(), headers::bind))
        .with_state(app.clone())
}

/// Lets in who may; tells others what they lack, and asks who typed the password too long ago for it.
async fn guard(State((access, needs_proof)): State<(Access, bool)>, request: Request, next: Next) -> Response {
    let Access::Needs(right) = access else { return next.run(request).await };
    match request.extensions().get::<Caller>().map(|caller| caller.0.require(right)) {
        Some(Ok(())) if needs_proof => session::proof::require(request, next).await,
        Some(Ok(())) => next.run(request).await,
        Some(Err(error)) => WebError::Forbidden(error.to_string()).into_response(),
        None => WebError::SignedOut.into_response(),
    }
}

fn on_panic(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a handler panicked; the panic stands above");
    WebError::Internal.into_response()
}
