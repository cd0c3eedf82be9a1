//! How an answer looks in the end: the page that a handler made is drawn in its frame, and every failure gets its face.

use crate::App;
use crate::error::{ErrorPage, Problem};
use crate::headers::RequestId;
use crate::page::{Context, Frame, Undrawn};
use crate::query::percent_encoded;
use crate::session::Caller;
use axum::extract::{Request, State};
use axum::http::{HeaderName, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use coordinator::events::EventId;
use coordinator::{Actor, Counts, Profile};
use jiff::tz::TimeZone;
use protocol::Timestamp;

/// Headers of a failure that its face keeps.
const KEPT: [HeaderName; 3] = [header::ALLOW, header::RETRY_AFTER, header::WWW_AUTHENTICATE];

/// Whether programs ask there, not people.
pub(crate) fn is_machine_end(path: &str) -> bool {
    let ends = ["/api/", "/assets/", "/events", "/healthz", "/metrics", "/readyz"];
    path != "/api/docs" && ends.iter().any(|end| path.starts_with(end))
}

/// Draws the page that a handler made, and gives every failure its face.
pub(crate) async fn dress(State(app): State<App>, request: Request, next: Next) -> Response {
    let asked = Asked::of(&request);
    let newest = app.coordinator.events().subscribe(None).newest;
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
    draw(&app, &page, newest, response).await
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
        let back = request.uri().path_and_query().map(|back| back.as_str()).filter(|_| request.method() == Method::GET);
        Self {
            id: request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default(),
            speaks_json: is_machine_end(path),
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
async fn draw(app: &App, page: &Undrawn, newest: EventId, mut response: Response) -> Response {
    let caller = response.extensions().get::<Caller>().cloned();
    let (counts, shortage) = match &caller {
        Some(Caller(actor)) if page.is_framed() => (counts(app, actor).await, shortage(app).await),
        _ => (Counts::default(), None),
    };
    let profile = response.extensions().get::<Profile>();
    let preferences = profile.map(|profile| profile.preferences.clone()).unwrap_or_default();
    let zone = TimeZone::get(preferences.zone.as_str()).unwrap_or(TimeZone::UTC);
    let context = Context { base_path: app.settings.base_path.clone(), now: Timestamp::now(), zone };
    match page.draw(&Frame { caller, preferences, counts, shortage, newest }, &context) {
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
