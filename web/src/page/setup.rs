//! `/setup`: the first administrator, made with the code that the coordinator printed. There only until there is one;
//! until then every other page leads here.

use crate::App;
use crate::dress::is_machine_end;
use crate::error::WebError;
use crate::faults::Faults;
use crate::filters;
use crate::page::login::welcome;
use crate::page::{Head, Page, View};
use crate::session::Visitor;
use crate::throttle::Attempt;
use askama::Template;
use axum::Form;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use coordinator::{FirstAdmin, FirstSignIn};
use protocol::Timestamp;
use serde::Deserialize;
use std::time::Duration;
use tower_sessions::Session;

const PATH: &str = "/setup";

#[derive(Default, Template)]
#[template(path = "setup.html")]
pub(crate) struct Setup {
    pub(crate) form: SetupForm,
    pub(crate) faults: Faults,
}

/// What a person types.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SetupForm {
    pub(crate) code: String,
    pub(crate) name: String,
    pub(crate) password: String,
    pub(crate) again: String,
}

impl View for Setup {
    fn head(&self) -> Head {
        Head { title: "Set up".to_owned(), ..Head::default() }
    }
}

/// Leads people to the setup page while nobody could sign in; programs get the answers that they always get.
pub(crate) async fn lead(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path == PATH || is_machine_end(path) {
        return next.run(request).await;
    }
    match app.coordinator.has_admin().await {
        Ok(true) => next.run(request).await,
        Ok(false) => Redirect::to(&app.link(PATH)).into_response(),
        Err(error) => WebError::from(error).into_response(),
    }
}

/// `GET /setup`
pub(crate) async fn show(State(app): State<App>) -> Result<Page<Setup>, WebError> {
    refuse_once_done(&app).await?;
    Ok(Page(Setup::default()))
}

/// `POST /setup`
pub(crate) async fn create(
    State(app): State<App>,
    session: Session,
    visitor: Visitor,
    Form(form): Form<SetupForm>,
) -> Result<Response, WebError> {
    refuse_once_done(&app).await?;
    let attempt = Attempt::of_setup(visitor.address());
    if let Some(wait) = app.throttle.wait(&attempt, Timestamp::now()) {
        let wait = filters::span_text(wait.max(Duration::from_secs(1)));
        let fault = format!("too many wrong codes; wait {wait} and try again");
        return Ok(refused(form, StatusCode::TOO_MANY_REQUESTS, WebError::field("code", fault)));
    }
    let SetupForm { code, name, password, again } = form.clone();
    let wanted = FirstAdmin { code, name, password, again, from: visitor.from };
    match app.coordinator.create_first_admin(wanted).await.map_err(WebError::from) {
        Ok(FirstSignIn::Opened(user)) => welcome(&app, &session, user, &visitor, None, "/first-run").await,
        Ok(FirstSignIn::WrongCode) => {
            app.throttle.failed(&attempt, Timestamp::now());
            let fault = "this is not the setup code; the coordinator has printed it where it was started";
            Ok(refused(form, StatusCode::FORBIDDEN, WebError::field("code", fault)))
        }
        Ok(FirstSignIn::TooLate) => Err(WebError::NoSuchPage),
        Err(faults @ WebError::Invalid(_)) => Ok(refused(form, StatusCode::UNPROCESSABLE_ENTITY, faults)),
        Err(error) => Err(error),
    }
}

async fn refuse_once_done(app: &App) -> Result<(), WebError> {
    if app.coordinator.has_admin().await? { Err(WebError::NoSuchPage) } else { Ok(()) }
}

/// The form again, with what is wrong; passwords are typed anew.
fn refused(form: SetupForm, status: StatusCode, error: WebError) -> Response {
    let WebError::Invalid(faults) = error else { return error.into_response() };
    (status, Page(Setup { form, faults: faults.into() })).into_response()
}
