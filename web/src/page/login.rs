//! `/auth/login`: the form that opens a session.

use crate::error::WebError;
use crate::filters;
use crate::page::{Head, Page, View};
use crate::{App, origin, session};
use askama::Template;
use axum::Form;
use axum::extract::{Query, State};
use axum::http::{Extensions, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use protocol::Timestamp;
use serde::Deserialize;
use tower_sessions::Session;

#[derive(Default, Template)]
#[template(path = "login.html")]
pub(crate) struct Login {
    pub(crate) name: String,
    /// Where to go afterwards, a path of ours.
    pub(crate) next: String,
    pub(crate) fault: Option<String>,
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

/// `GET /auth/login`
pub(crate) async fn show(Query(Next { next }): Query<Next>) -> Page<Login> {
    Page(Login { next, ..Login::default() })
}

/// `POST /auth/login`
pub(crate) async fn sign_in(
    State(app): State<App>,
    session: Session,
    found: Extensions,
    Form(Credentials { name, password, next }): Form<Credentials>,
) -> Result<Response, WebError> {
    let now = Timestamp::now();
    if let Some(wait) = app.throttle.wait(&name, now) {
        return Err(WebError::SlowDown(wait.as_secs().max(1)));
    }
    let from = origin::noted(&found);
    match app.coordinator.sign_in(&name, &password, from).await? {
        Some(user) => {
            app.throttle.succeeded(&name);
            session::open(&session, user).await?;
            Ok(Redirect::to(&app.link(own_path(&next))).into_response())
        }
        None => {
            // Counted from here on: on a busy machine the comparison alone may take as long as the wait.
            app.throttle.failed(&name, Timestamp::now());
            let fault = Some("name and password do not belong together; check both and try again".to_owned());
            Ok((StatusCode::UNAUTHORIZED, Page(Login { name, next, fault })).into_response())
        }
    }
}

/// `POST /auth/logout`
pub(crate) async fn sign_out(State(app): State<App>, session: Session) -> Result<Redirect, WebError> {
    session::close(&session).await?;
    Ok(Redirect::to(&app.link("/auth/login")))
}

/// The path when it is one of ours; else the overview. `//host`, `/\\host` and `/<TAB>/host` lead elsewhere.
fn own_path(next: &str) -> &str {
    let is_own = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains(|letter: char| letter == '\\' || letter.is_control());
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
