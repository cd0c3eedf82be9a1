//! `/profile/password`: changing one's own password, which ends every other session.

use super::Parts;
use crate::App;
use crate::error::WebError;
use crate::faults::Faults;
use crate::filters;
use crate::mail::{self, Outside, Words};
use crate::page::{Head, Page, View};
use crate::session::{self, Caller};
use crate::throttle::Attempt;
use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use coordinator::Actor;
use protocol::Timestamp;
use serde::Deserialize;
use tower_sessions::Session;

const PATH: &str = "/profile/password";

#[derive(Template)]
#[template(path = "profile_password.html")]
pub(crate) struct Password {
    pub(crate) user: String,
    pub(crate) faults: Faults,
    /// What came of the last form.
    pub(crate) told: Option<String>,
}

/// What a person types.
#[derive(Deserialize)]
pub(crate) struct Change {
    current: String,
    password: String,
    again: String,
}

impl View for Password {
    fn head(&self) -> Head {
        Head { title: "Password".to_owned(), ..Head::default() }
    }
}

impl Password {
    fn parts(&self) -> Parts {
        Parts::at(PATH)
    }
}

/// `GET /profile/password`
pub(crate) async fn show(Caller(actor): Caller, session: Session) -> Result<Page<Password>, WebError> {
    let told = session::told(&session).await?;
    Ok(Page(Password { user: actor.name.into(), faults: Faults::default(), told }))
}

/// `POST /profile/password`
pub(crate) async fn change(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
    outside: Outside,
    Form(form): Form<Change>,
) -> Result<Response, WebError> {
    match try_change(&app, &actor, &session, &form).await {
        Ok(()) => {
            if let Some(email) = app.coordinator.profile(&actor).await?.email {
                mail::send_notice(&app, &outside, Words::Changed(actor.name.as_str()), &email);
            }
            session::tell(&session, "your password is changed; every other session has ended".to_owned()).await?;
            Ok(Redirect::to(&app.link(PATH)).into_response())
        }
        Err(WebError::Invalid(faults)) => {
            let page = Password { user: actor.name.into(), faults: faults.into(), told: None };
            Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response())
        }
        Err(error) => Err(error),
    }
}

/// Whoever found a session open must not find out its password by trying.
async fn try_change(app: &App, actor: &Actor, session: &Session, form: &Change) -> Result<(), WebError> {
    let (now, attempt) = (Timestamp::now(), Attempt::of_session(actor.name.as_str()));
    if let Some(wait) = app.throttle.wait(&attempt, now) {
        return Err(WebError::SlowDown(wait.as_secs().max(1)));
    }
    let Change { current, password, again } = form;
    let changed = app.coordinator.change_password(actor, current, password, again).await.map_err(WebError::from);
    match changed {
        Ok(user) => {
            app.throttle.unlock(actor.name.as_str());
            Ok(session::renew(session, user, true).await?)
        }
        Err(WebError::Invalid(faults)) if faults.contains_key("current") => {
            app.throttle.failed(&attempt, now);
            Err(WebError::Invalid(faults))
        }
        Err(error) => Err(error),
    }
}
