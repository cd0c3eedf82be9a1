//! `/auth/login`: the form that opens a session.

use crate::App;
use crate::error::WebError;
use crate::filters;
use crate::page::{Head, Page, View};
use crate::session::{self, Visitor, device};
use crate::throttle::Attempt;
use askama::Template;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form};
use coordinator::accounts::UserState;
use coordinator::{SignIn, SignedIn};
use protocol::Timestamp;
use serde::Deserialize;
use std::time::Duration;
use tower_sessions::Session;

#[derive(Default, Template)]
#[template(path = "login.html")]
pub(crate) struct Login {
    pub(crate) name: String,
    /// Where to go afterwards, a path of ours.
    pub(crate) next: String,
    pub(crate) fault: Option<String>,
    /// Whether a forgotten password can be mailed about.
    pub(crate) can_forget: bool,
    /// Whether everybody may ask for an account.
    pub(crate) can_register: bool,
}

impl View for Login {
    fn head(&self) -> Head {
        Head { title: "Sign in".to_owned(), ..Head::default() }
    }
}

/// Where to go after signing in.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Next {
    next: String,
}

/// What the form sends.
#[derive(Deserialize)]
pub(crate) struct Credentials {
    name: String,
    password: String,
    #[serde(default)]
    next: String,
}

impl Login {
    async fn of(app: &App, name: String, next: String, fault: Option<String>) -> Result<Self, WebError> {
        let can_register = app.coordinator.registration().await?.is_public();
        Ok(Self { name, next, fault, can_forget: app.coordinator.mail().is_some(), can_register })
    }
}

/// `GET /auth/login`
pub(crate) async fn show(State(app): State<App>, Query(Next { next }): Query<Next>) -> Result<Page<Login>, WebError> {
    Ok(Page(Login::of(&app, String::new(), next, None).await?))
}

/// `POST /auth/login`
pub(crate) async fn sign_in(
    State(app): State<App>,
    session: Session,
    visitor: Visitor,
    headers: HeaderMap,
    Form(Credentials { name, password, next }): Form<Credentials>,
) -> Result<Response, WebError> {
    let now = Timestamp::now();
    let account = app.coordinator.account_name(&name).await?;
    let browser = device::known(&app, &visitor, &headers, &account, now).await;
    let attempt = Attempt::of(&account, visitor.address(), browser.clone());
    if let Some(wait) = app.throttle.wait(&attempt, now) {
        return refused(&app, name, next, StatusCode::TOO_MANY_REQUESTS, too_many(wait)).await;
    }
    match app.coordinator.sign_in(&name, &password, visitor.from).await? {
        SignIn::Opened(user) => {
            app.throttle.succeeded(&attempt);
            welcome(&app, &session, user, &visitor, browser, &next).await
        }
        SignIn::Closed(state) => refused(&app, name, next, StatusCode::FORBIDDEN, closed(state)).await,
        SignIn::Wrong => {
            // Counted from here on: on a busy machine the comparison alone may take as long as the wait.
            app.throttle.failed(&attempt, Timestamp::now());
            let fault = "name and password do not belong together; check both and try again";
            refused(&app, name, next, StatusCode::UNAUTHORIZED, fault.to_owned()).await
        }
    }
}

/// Opens the session of who has just shown who they are, and leads on.
pub(crate) async fn welcome(
    app: &App,
    session: &Session,
    user: SignedIn,
    visitor: &Visitor,
    browser: Option<Vec<u8>>,
    next: &str,
) -> Result<Response, WebError> {
    let now = Timestamp::now();
    session::sweep(app, now).await?;
    let cookie = device::remember(app, visitor, &user.name, now).await?;
    if let Some(former) = browser {
        device::forget(app, &former).await?;
    }
    session::open(session, user, visitor).await?;
    Ok((Extension(cookie), Redirect::to(&app.link(own_path(next)))).into_response())
}

async fn refused(
    app: &App,
    name: String,
    next: String,
    status: StatusCode,
    fault: String,
) -> Result<Response, WebError> {
    Ok((status, Page(Login::of(app, name, next, Some(fault)).await?)).into_response())
}

fn too_many(wait: Duration) -> String {
    let wait = filters::span_text(wait.max(Duration::from_secs(1)));
    format!("too many wrong passwords; wait {wait} and try again, or ask an administrator to unlock the account")
}

fn closed(state: UserState) -> String {
    let told = match state {
        UserState::Active => "the account is open; try again",
        UserState::Disabled => "an administrator has closed this account; ask one",
        UserState::AwaitingVerification => {
            "confirm your e-mail address first; the link is in the mail that was sent to it"
        }
        UserState::AwaitingApproval => "an administrator has not let you in yet; try again later",
    };
    told.to_owned()
}

/// `POST /auth/logout`
pub(crate) async fn sign_out(State(app): State<App>, session: Session) -> Result<Redirect, WebError> {
    session::close(&session).await?;
    Ok(Redirect::to(&app.link("/auth/login")))
}

/// The path when it is one of ours; else the overview. `//host`, `/\\host` and `/<TAB>/host` lead elsewhere.
pub(crate) fn own_path(next: &str) -> &str {
    let is_own =
        next.starts_with('/') && !next.starts_with("//") && !next.contains(|c: char| c == '\\' || c.is_control());
    if is_own { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_signing_in_nobody_is_led_elsewhere() {
        assert_eq!(own_path("/reports/7?x=1"), "/reports/7?x=1");
        for foreign in [
            "",
            "reports",
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "/a\r\nb",
            "/\t/evil.example",
            "javascript:x",
        ] {
            assert_eq!(own_path(foreign), "/", "{foreign}");
        }
    }
}
