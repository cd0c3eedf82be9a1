//! Every way in, in one table: method, path, who may, with which kind of token, how large, whether it is audited, and
//! whether the password must have been typed lately.

mod api;
mod guard;
mod pages;

pub(crate) use api::api_table;
pub(crate) use pages::page_table;

use crate::dress::dress;
use crate::error::WebError;
use crate::origin::{self, Origin};
use crate::page::setup;
use crate::session::{self, bearer, device};
use crate::{App, headers, limits, metrics};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use coordinator::Right;
use coordinator::tokens::Scope;
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
    let (scope, handler) = (usual_scope(path, access), on(MethodFilter::GET, handler));
    Route { method: Method::GET, path, access, scope, body_cap: 0, is_audited: false, needs_proof: false, handler }
}

fn post<H: Handler<T, App>, T: 'static>(path: &'static str, access: Access, handler: H) -> Route {
    let (scope, handler) = (usual_scope(path, access), on(MethodFilter::POST, handler));
    Route { method: Method::POST, path, access, scope, body_cap: SMALL, is_audited: true, needs_proof: false, handler }
}

fn put<H: Handler<T, App>, T: 'static>(path: &'static str, access: Access, handler: H) -> Route {
    let (scope, handler) = (usual_scope(path, access), on(MethodFilter::PUT, handler));
    Route {
        method: Method::PUT,
        path,
        access,
        scope,
        body_cap: DEFINITION,
        is_audited: true,
        needs_proof: false,
        handler,
    }
}

fn delete<H: Handler<T, App>, T: 'static>(path: &'static str, access: Access, handler: H) -> Route {
    let (scope, handler) = (usual_scope(path, access), on(MethodFilter::DELETE, handler));
    Route {
        method: Method::DELETE,
        path,
        access,
        scope,
        body_cap: SMALL,
        is_audited: true,
        needs_proof: false,
        handler,
    }
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

    /// Who is signed in must have typed the password lately. Source: SECURITY-DESIGN section 8.
    fn proven(self) -> Self {
        Self { needs_proof: true, ..self }
    }
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
        .layer(from_fn_with_state(app.clone(), setup::lead))
        .layer(from_fn_with_state(app.clone(), limits::hold))
        .layer(from_fn_with_state(app.clone(), bearer::identify))
        .layer(session::layer(app, is_tls))
        .layer(from_fn(device::send_cookie))
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
        let Route { method: _, path, access, scope, body_cap, is_audited: _, needs_proof, handler } = route;
        let guarded = handler
            .route_layer(from_fn_with_state((access, scope, needs_proof), guard::hold))
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

fn on_panic(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a handler panicked; the panic stands above");
    WebError::Internal.into_response()
}
