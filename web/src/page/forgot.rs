//! `/auth/forgot` and `/auth/reset/{link}`: a new password for who forgot the old one.

use crate::App;
use crate::error::WebError;
use crate::faults::Faults;
use crate::filters;
use crate::mail::{self, Outside, Words};
use crate::page::register::void;
use crate::page::settled::Settled;
use crate::page::{Head, Page, View};
use crate::session::Visitor;
use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use coordinator::{LinkFor, Origin};
use serde::Deserialize;

#[derive(Default, Template)]
#[template(path = "forgot.html")]
pub(crate) struct Forgot {
    /// Whether this coordinator sends mail.
    pub(crate) can_mail: bool,
}

impl View for Forgot {
    fn head(&self) -> Head {
        Head { title: "Forgotten password".to_owned(), ..Head::default() }
    }
}

#[derive(Default, Template)]
#[template(path = "reset.html")]
pub(crate) struct Reset {
    pub(crate) user: String,
    pub(crate) secret: String,
    pub(crate) faults: Faults,
}

impl View for Reset {
    fn head(&self) -> Head {
        Head { title: "Set a new password".to_owned(), ..Head::default() }
    }
}

/// Who forgot it.
#[derive(Deserialize)]
pub(crate) struct Who {
    name: String,
}

/// The new one, twice.
#[derive(Deserialize)]
pub(crate) struct NewPassword {
    password: String,
    again: String,
}

/// `GET /auth/forgot`
pub(crate) async fn show(State(app): State<App>) -> Page<Forgot> {
    Page(Forgot { can_mail: app.coordinator.mail().is_some() })
}

/// `POST /auth/forgot`: the answer is the same, and as quick, whether there is such an account or not.
pub(crate) async fn send(
    State(app): State<App>,
    outside: Outside,
    visitor: Visitor,
    Form(Who { name }): Form<Who>,
) -> Result<Page<Settled>, WebError> {
    if app.coordinator.mail().is_none() {
        return Err(WebError::Conflict(
            "no mail can be sent from here; ask an administrator for a new password".to_owned(),
        ));
    }
    match app.resets.clone().try_acquire_owned() {
        Ok(permit) => {
            let work = app.clone();
            tokio::spawn(async move {
                let _permit = permit;
                mail_reset(&work, &outside, &name, visitor.from).await;
            });
        }
        Err(_) => tracing::warn!("many passwords are asked for at once; a request was dropped"),
    }
    let words =
        "if there is such an account with a confirmed address, a mail is on its way; the link in it works for an hour";
    Ok(Page(Settled::then_sign_in("Look into your mail", words)))
}

async fn mail_reset(app: &App, outside: &Outside, name: &str, from: Origin) {
    match app.coordinator.forgotten(name, from).await {
        Ok(Some(link)) => {
            let user = link.user.clone().unwrap_or_default();
            mail::send_link(app, outside, Words::Reset(user.as_str()), &link);
        }
        Ok(None) => {}
        Err(error) => tracing::error!(%error, "a link for a new password could not be made"),
    }
}

/// `GET /auth/reset/{link}`
pub(crate) async fn show_reset(State(app): State<App>, Path(secret): Path<String>) -> Result<Page<Reset>, WebError> {
    Ok(Page(Reset::open(&app, secret).await?))
}

/// `POST /auth/reset/{link}`
pub(crate) async fn reset(
    State(app): State<App>,
    outside: Outside,
    visitor: Visitor,
    Path(secret): Path<String>,
    Form(NewPassword { password, again }): Form<NewPassword>,
) -> Result<Response, WebError> {
    let page = Reset::open(&app, secret.clone()).await?;
    match app.coordinator.reset_password(&secret, &password, &again, visitor.from).await.map_err(WebError::from) {
        Ok(profile) => {
            app.throttle.unlock(profile.name.as_str());
            if let Some(email) = &profile.email {
                mail::send_notice(&app, &outside, Words::Changed(profile.name.as_str()), email);
            }
            let words = format!("sign in as {} with it; every session that was open has ended", profile.name);
            Ok(Page(Settled::then_sign_in("The password is set", words)).into_response())
        }
        Err(WebError::Invalid(faults)) => {
            let page = Reset { faults: faults.into(), ..page };
            Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response())
        }
        Err(error) => Err(error),
    }
}

impl Reset {
    async fn open(app: &App, secret: String) -> Result<Self, WebError> {
        match app.coordinator.link(&secret).await? {
            Some(LinkFor::Reset(user)) => Ok(Self { user: user.into(), secret, faults: Faults::default() }),
            Some(LinkFor::Invite(..) | LinkFor::Verify(_)) | None => Err(void()),
        }
    }
}
