//! Every way in, in one table: method, path, who may, with which kind of token, how large, whether it is audited.

mod guard;

use crate::error::{ErrorPage, Problem, WebError};
use crate::headers::RequestId;
use crate::origin::{self, Origin};
use crate::page::{Context, Frame, Undrawn};
use crate::query::percent_encoded;
use crate::session::Caller;
use crate::session::bearer;
use crate::{App, api, assets, export, headers, limits, live, metrics, page, session};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::handler::Handler;
use axum::http::{HeaderName, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use coordinator::tokens::Scope;
use coordinator::{Actor, Counts, Right};
use protocol::Timestamp;
use std::any::Any;
use tower::ServiceExt;
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
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    /// What a token must open to be let in; `None` where tokens are not.
    pub(crate) scope: Option<Scope>,
    /// The largest body taken, in bytes.
    pub(crate) body_cap: usize,
    /// Whether the coordinator writes an audit entry for it.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests check it; the coordinator writes the entry"))]
    pub(crate) is_audited: bool,
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
    let (scope, handler) = (usual_scope(path, access), on(MethodFilter::GET, handler));
    Route { method: Method::GET, path, access, scope, body_cap: 0, is_audited: false, handler }
}

fn post<H: Handler<T, App>, T: 'static>(path: &'static str, access: Access, handler: H) -> Route {
    let (scope, handler) = (usual_scope(path, access), on(MethodFilter::POST, handler));
    Route { method: Method::POST, path, access, scope, body_cap: SMALL, is_audited: true, handler }
}

fn put<H: Handler<T, App>, T: 'static>(path: &'static str, access: Access, handler: H) -> Route {
    let (scope, handler) = (usual_scope(path, access), on(MethodFilter::PUT, handler));
    Route { method: Method::PUT, path, access, scope, body_cap: DEFINITION, is_audited: true, handler }
}

fn delete<H: Handler<T, App>, T: 'static>(path: &'static str, access: Access, handler: H) -> Route {
    let (scope, handler) = (usual_scope(path, access), on(MethodFilter::DELETE, handler));
    Route { method: Method::DELETE, path, access, scope, body_cap: SMALL, is_audited: true, handler }
}

/// What a token must open, where the line of the table does not say. Pages are for people, who have no tokens.
fn usual_scope(path: &str, access: Access) -> Option<Scope> {
    let Access::Needs(right) = access else { return None };
    let is_for_programs = path.starts_with("/api/v1/") || path == "/metrics";
    is_for_programs.then_some(match right {
        Right::Read => Scope::Read,
        Right::Operate => Scope::Scans,
        Right::Approve => Scope::Nodes,
        Right::Administer => Scope::Admin,
    })
}

impl Route {
    /// For tokens that open this area.
    fn scoped(self, scope: Scope) -> Self {
        Self { scope: Some(scope), ..self }
    }
}

/// The pages. Nothing answers a browser that is not here or in [`api_table`].
#[expect(clippy::too_many_lines, reason = "a table: a line for each route")]
pub(crate) fn page_table() -> Vec<Route> {
    use Access::{Anyone, Needs};
    use Right::{Administer, Approve, Operate, Read};
    vec![
        get("/assets/{name}", Anyone, assets::serve),
        get("/auth/login", Anyone, page::login::show),
        post("/auth/login", Anyone, page::login::sign_in),
        Route { is_audited: false, ..post("/auth/logout", Needs(Read), page::login::sign_out) },
        get("/", Needs(Read), page::overview::show),
        get("/alerts", Needs(Read), page::alerts::show),
        Route { body_cap: LARGE, ..post("/alerts", Needs(Operate), page::alerts::decide) },
        get("/alerts/{id}", Needs(Read), page::alert::show),
        post("/alerts/{id}", Needs(Operate), page::alert::decide),
        get("/api/docs", Needs(Read), api::docs::show),
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
        post("/nodes/enrol", Needs(Approve), page::enrol::create),
        post("/nodes/alarm/acknowledge", Needs(Approve), page::nodes::roster::acknowledge),
        get("/nodes/decide", Needs(Approve), page::nodes::decide::ask),
        post("/nodes/decide", Needs(Approve), page::nodes::decide::decide),
        get("/nodes/{node}", Needs(Read), page::node::show),
        post("/nodes/{node}/approve", Needs(Approve), page::nodes::approve),
        post("/nodes/{node}/deny", Needs(Approve), page::nodes::deny),
        get("/profile/tokens", Needs(Read), page::tokens::show_own),
        post("/profile/tokens", Needs(Read), page::tokens::create),
        post("/profile/tokens/revoke", Needs(Read), page::tokens::revoke_own),
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
        get("/settings/general", Needs(Administer), page::general::show),
        get("/settings/logs", Needs(Administer), page::logs::show),
        get("/settings/logs/newer", Needs(Administer), page::logs::newer),
        get("/settings/logs/parts/{name}", Needs(Administer), page::logs::download),
        get("/settings/retention", Needs(Read), page::retention::show),
        post("/settings/retention", Needs(Administer), page::retention::set),
        post("/settings/retention/reset", Needs(Administer), page::retention::reset),
        get("/settings/rules", Needs(Read), page::rules::show),
        post("/settings/rules", Needs(Administer), page::rules::set),
        post("/settings/rules/remove", Needs(Administer), page::rules::remove),
        post("/settings/rules/reset", Needs(Administer), page::rules::reset),
        get("/settings/tokens", Needs(Administer), page::tokens::show_all),
        post("/settings/tokens/revoke", Needs(Administer), page::tokens::revoke_any),
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
        get("/metrics", Needs(Read), metrics::show),
        get("/api/openapi.json", Anyone, api::openapi),
        get("/api/v1/alerts", Needs(Read), api::alerts::list),
        Route { body_cap: LARGE, ..post("/api/v1/alerts/bulk", Needs(Operate), api::alerts::decide_all) }
            .scoped(Scope::Alerts),
        get("/api/v1/alerts/{id}", Needs(Read), api::alerts::show),
        post("/api/v1/alerts/{id}/{action}", Needs(Operate), api::alerts::decide).scoped(Scope::Alerts),
        get("/api/v1/audit", Needs(Administer), api::audit::list),
        get("/api/v1/compare", Needs(Read), api::compare::show),
        get("/api/v1/events", Needs(Read), live::events),
        get("/api/v1/hosts", Needs(Read), api::hosts::list),
        get("/api/v1/hosts/{host}", Needs(Read), api::hosts::show),
        get("/api/v1/invites", Needs(Approve), api::invites::list),
        post("/api/v1/invites", Needs(Approve), api::invites::create),
        delete("/api/v1/invites/{id}", Needs(Approve), api::invites::revoke),
        get("/api/v1/jobs", Needs(Read), api::jobs::list),
        post("/api/v1/jobs/reload", Needs(Administer), api::jobs::reload),
        get("/api/v1/logs", Needs(Administer), api::logs::show),
        get("/api/v1/mesh", Needs(Read), api::mesh::show),
        get("/api/v1/mesh/counters", Needs(Read), api::counters::show),
        get("/api/v1/nodes", Needs(Read), api::nodes::list),
        Route { body_cap: LARGE, ..post("/api/v1/nodes/bulk", Needs(Approve), api::nodes::decide_many) },
        get("/api/v1/nodes/{node}", Needs(Read), api::nodes::show),
        post("/api/v1/nodes/{node}/{action}", Needs(Approve), api::nodes::decide),
        get("/api/v1/reports", Needs(Read), api::reports::list),
        get("/api/v1/reports/{run}", Needs(Read), api::reports::show),
        get("/api/v1/reports/{run}/export", Needs(Read), api::exports::one),
        post("/api/v1/reports/{run}/accept", Needs(Operate), api::acceptance::accept),
        post("/api/v1/reports/{run}/unaccept", Needs(Operate), api::acceptance::unaccept),
        get("/api/v1/retention", Needs(Read), api::retention::show),
        put("/api/v1/retention", Needs(Administer), api::retention::set),
        get("/api/v1/roster", Needs(Read), api::roster::show),
        post("/api/v1/roster/acknowledge", Needs(Approve), api::roster::acknowledge),
        post("/api/v1/roster/rotate-coordinator", Needs(Approve), api::roster::rotate),
        Route { body_cap: ROSTER, ..post("/api/v1/roster/sign", Needs(Approve), api::roster::sign) },
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
        put("/api/v1/scans/{scan}/retention", Needs(Administer), api::retention::set_of_scan),
        delete("/api/v1/scans/{scan}/retention", Needs(Administer), api::retention::reset_of_scan),
        post("/api/v1/scans/{scan}/run", Needs(Operate), api::scans::run),
        post("/api/v1/scans/{scan}/schedule", Needs(Operate), api::scans::schedule),
        get("/api/v1/services", Needs(Read), api::hosts::services),
        get("/api/v1/statistics", Needs(Read), api::statistics::show),
        get("/api/v1/tokens", Needs(Read), api::tokens::list).scoped(Scope::Admin),
        post("/api/v1/tokens", Needs(Read), api::tokens::create).scoped(Scope::Admin),
        delete("/api/v1/tokens/{id}", Needs(Read), api::tokens::revoke).scoped(Scope::Admin),
    ]
}

/// For browsers and API clients over TCP.
pub(crate) fn browser_router(app: App) -> Router {
    let [plain, secure] = [false, true].map(|is_tls| browser_side(&app, is_tls));
    let by_scheme = async move |request: Request| {
        let is_tls = request.extensions().get::<Origin>().is_some_and(|origin| origin.is_tls);
        if is_tls { secure.oneshot(request).await } else { plain.oneshot(request).await }
    };
    Router::new().fallback(by_scheme).layer(from_fn_with_state(app, origin::find))
}

/// What browsers of one scheme see: they differ in the cookie.
fn browser_side(app: &App, is_tls: bool) -> Router {
    let routes = page_table().into_iter().chain(api_table());
    let inner = build(routes)
        .layer(from_fn_with_state(app.clone(), limits::hold))
        .layer(from_fn_with_state(app.clone(), bearer::identify))
        .layer(session::layer(app, is_tls))
        .layer(CsrfLayer::new())
        .layer(from_fn_with_state(app.clone(), origin::check_host));
    let whole = frame(inner, app);
    // As a service, so that the folder answers with a slash at its end and without.
    if app.settings.base_path.is_empty() { whole } else { Router::new().nest_service(&app.settings.base_path, whole) }
}

/// For the command line, over a Unix socket.
pub(crate) fn local_router(app: App) -> Router {
    let inner = build(api_table()).layer(from_fn(session::identify_local));
    frame(inner, &app)
}

pub(crate) fn build(routes: impl IntoIterator<Item = Route>) -> Router<App> {
    let add = |router: Router<App>, route: Route| {
        let Route { method: _, path, access, scope, body_cap, is_audited: _, handler } = route;
        let guarded = handler
            .route_layer(from_fn_with_state((access, scope), guard::hold))
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
        .layer(from_fn_with_state(app.clone(), metrics::count))
        .layer(from_fn(headers::number))
        .layer(from_fn(headers::bind))
        .with_state(app.clone())
}

/// Headers of a failure that its face keeps.
const KEPT: [HeaderName; 3] = [header::ALLOW, header::RETRY_AFTER, header::WWW_AUTHENTICATE];

/// Draws the page that a handler made, and gives every failure its face.
async fn dress(State(app): State<App>, request: Request, next: Next) -> Response {
    let asked = Asked::of(&request);
    let mut response = next.run(request).await;
    let page = response.extensions_mut().remove::<Undrawn>();
    let status = response.status();
    let page = match page {
        Some(page) => page,
        None if status.is_client_error() || status.is_server_error() => {
            let problem = response.extensions_mut().remove::<Problem>().unwrap_or_else(|| Problem::of(status));
            let problem = Problem { request_id: asked.id.clone(), ..problem };
            match (asked.speaks_json, status) {
                (true, _) => return keep_headers(&response, problem.into_json()),
                (false, StatusCode::UNAUTHORIZED) => return asked.to_sign_in(&app),
                (false, _) => Undrawn::framed(ErrorPage { problem }),
            }
        }
        None => return response,
    };
    draw(&app, &page, response).await
}

fn keep_headers(from: &Response, mut to: Response) -> Response {
    for name in KEPT {
        if let Some(value) = from.headers().get(&name) {
            to.headers_mut().insert(name, value.clone());
        }
    }
    to
}

/// What is kept of a request until its answer is dressed.
struct Asked {
    id: String,
    speaks_json: bool,
    /// By htmx, for a part of a page.
    is_for_part: bool,
    /// Where to come back to after signing in: only pages can be come back to.
    back: String,
}

impl Asked {
    fn of(request: &Request) -> Self {
        let path = request.uri().path();
        let machine_ends = ["/api/", "/assets/", "/events", "/healthz", "/metrics", "/readyz"];
        let back = request.uri().path_and_query().map(|back| back.as_str()).filter(|_| request.method() == Method::GET);
        Self {
            id: request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default(),
            speaks_json: path != "/api/docs" && machine_ends.iter().any(|end| path.starts_with(end)),
            is_for_part: request.headers().contains_key("hx-request"),
            back: back.unwrap_or("/").to_owned(),
        }
    }

    /// A part of a page cannot show the form: there the whole page goes to it.
    fn to_sign_in(&self, app: &App) -> Response {
        let form = app.link("/auth/login");
        match self.back.as_str() {
            _ if self.is_for_part => (StatusCode::UNAUTHORIZED, [("hx-redirect", form)]).into_response(),
            "/" => Redirect::to(&form).into_response(),
            back => Redirect::to(&format!("{form}?next={}", percent_encoded(back))).into_response(),
        }
    }
}

/// Puts the drawn page into the answer; its status and headers stay.
async fn draw(app: &App, page: &Undrawn, mut response: Response) -> Response {
    let caller = response.extensions().get::<Caller>().cloned();
    let (counts, shortage) = match &caller {
        Some(Caller(actor)) if page.is_framed() => (counts(app, actor).await, shortage(app).await),
        _ => (Counts::default(), None),
    };
    let context = Context { base_path: app.settings.base_path.clone(), now: Timestamp::now() };
    match page.draw(&Frame { caller, counts, shortage }, &context) {
        Ok(html) => {
            let drawn = html.into_response();
            if let Some(kind) = drawn.headers().get(header::CONTENT_TYPE) {
                response.headers_mut().insert(header::CONTENT_TYPE, kind.clone());
            }
            response.headers_mut().remove(header::CONTENT_LENGTH);
            *response.body_mut() = drawn.into_body();
            response
        }
        Err(problem) => problem.into_json(),
    }
}

/// A frame without numbers is better than none.
async fn counts(app: &App, actor: &Actor) -> Counts {
    match app.coordinator.counts(actor).await {
        Ok(counts) => counts,
        Err(error) => {
            tracing::error!(%error, "the numbers of the navigation could not be read");
            Counts::default()
        }
    }
}

/// Told on every page: what people begin is refused meanwhile.
async fn shortage(app: &App) -> Option<String> {
    app.coordinator.room().await.err().map(|error| error.to_string())
}

fn on_panic(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a handler panicked; the panic stands above");
    WebError::Internal.into_response()
}
