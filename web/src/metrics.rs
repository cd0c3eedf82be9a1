//! `/metrics`: what there is and what happens, for Prometheus. Labels take a fixed set of values, so that no caller can
//! make series.

mod gathered;

use crate::App;
use crate::error::WebError;
use crate::session::Caller;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokio::time::Instant;

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper ends of the buckets for how long answers take, in seconds.
const SECONDS: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.15, 0.5, 1.0, 5.0, 30.0];

/// The requests that were answered. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    answered: Family<Answered, Counter>,
    took: Family<Asked, Histogram, fn() -> Histogram>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: String,
    /// The first digit of the status, such as `2xx`.
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    method: &'static str,
    route: String,
}

impl Default for Requests {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(SECONDS);
        Self { answered: Family::default(), took: Family::new_with_constructor(histogram) }
    }
}

/// Counts the answer under the route of the table that it came from.
pub(crate) async fn count(State(app): State<App>, request: Request, next: Next) -> Response {
    let (method, route, begun) = (method(request.method()), route(&app, &request), Instant::now());
    let response = next.run(request).await;
    let asked = Asked { method, route: route.clone() };
    app.requests.took.get_or_create(&asked).observe(begun.elapsed().as_secs_f64());
    app.requests.answered.get_or_create(&Answered { method, route, status: class(response.status()) }).inc();
    response
}

/// As it stands in the table; what is in no table is one route.
fn route(app: &App, request: &Request) -> String {
    let matched = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let path = matched.map(|path| path.strip_prefix(&app.settings.base_path).unwrap_or(path));
    path.unwrap_or("none").to_owned()
}

fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        ..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        500.. => "5xx",
    }
}

/// `GET /metrics`
pub(crate) async fn show(State(app): State<App>, Caller(actor): Caller) -> Result<Response, WebError> {
    let mut registry = Registry::with_prefix("portdrift");
    gathered::register(&mut registry, app.coordinator.statistics(&actor).await?);
    let Requests { answered, took } = app.requests.clone();
    registry.register("http_requests", "Requests that were answered", answered);
    registry.register("http_request_duration_seconds", "Time until the answer began, in seconds", took);
    let mut body = String::new();
    text::encode(&mut body, &registry).map_err(|error| {
        tracing::error!(%error, "the metrics could not be written");
        WebError::Internal
    })?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], body).into_response())
}
