//! `/profile`: what a user sees and changes of the own account; each part is a page and a file below.

pub(crate) mod password;
pub(crate) mod preferences;
pub(crate) mod security;

use crate::App;
use crate::error::WebError;
use crate::faults::Faults;
use crate::filters;
use crate::mail::{self, Outside, Words};
use crate::page::{Head, Page, View};
use crate::session::{self, Caller};
use askama::Template;
use askama::filters::HtmlSafe;
use axum::Form;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use coordinator::{Actor, Profile};
use serde::Deserialize;
use tower_sessions::Session;

const PATH: &str = "/profile";

/// The pages of an account, with what they are called.
const PARTS: [(&str, &str); 5] = [
    (PATH, "Profile"),
    ("/profile/password", "Password"),
    ("/profile/security", "Sessions"),
    ("/profile/tokens", "API tokens"),
    ("/profile/preferences", "Preferences"),
];

/// The way between the pages of an account.
#[derive(Template)]
#[template(path = "partials/profile.html")]
pub(crate) struct Parts {
    current: &'static str,
}

impl HtmlSafe for Parts {}

impl Parts {
    /// On the page with this path.
    pub(crate) fn at(current: &'static str) -> Self {
        Self { current }
    }
}

#[derive(Template)]
#[template(path = "profile.html")]
pub(crate) struct Own {
    pub(crate) profile: Profile,
    pub(crate) form: OwnForm,
    /// Whether a new address must be confirmed.
    pub(crate) can_mail: bool,
    pub(crate) faults: Faults,
    /// What came of the last form.
    pub(crate) told: Option<String>,
}

/// What a person types.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct OwnForm {
    pub(crate) first: String,
    pub(crate) last: String,
    pub(crate) email: String,
}

impl From<&Profile> for OwnForm {
    fn from(profile: &Profile) -> Self {
        let email = profile.unconfirmed.as_ref().or(profile.email.as_ref());
        Self {
            first: profile.first.to_string(),
            last: profile.last.to_string(),
            email: email.map(ToString::to_string).unwrap_or_default(),
        }
    }
}

impl View for Own {
    fn head(&self) -> Head {
        Head { title: "Profile".to_owned(), ..Head::default() }
    }
}

impl Own {
    fn parts(&self) -> Parts {
        Parts::at(PATH)
    }

    async fn read(app: &App, actor: &Actor) -> Result<Self, WebError> {
        let profile = app.coordinator.profile(actor).await?;
        let (form, can_mail) = (OwnForm::from(&profile), app.coordinator.mail().is_some());
        Ok(Self { profile, form, can_mail, faults: Faults::default(), told: None })
    }
}

/// `GET /profile`
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
) -> Result<Page<Own>, WebError> {
    let told = session::told(&session).await?;
    Ok(Page(Own { told, ..Own::read(&app, &actor).await? }))
}

/// `POST /profile`
pub(crate) async fn edit(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
    outside: Outside,
    Form(form): Form<OwnForm>,
) -> Result<Response, WebError> {
    let outcome = app.coordinator.set_profile(&actor, &form.first, &form.last, &form.email).await;
    match outcome.map_err(WebError::from) {
        Ok(profile) => {
            let told = after_edit(&app, &actor, &outside, &profile).await?;
            session::tell(&session, told).await?;
            Ok(Redirect::to(&app.link(PATH)).into_response())
        }
        Err(WebError::Invalid(faults)) => {
            let page = Own { form, faults: faults.into(), ..Own::read(&app, &actor).await? };
            Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response())
        }
        Err(error) => Err(error),
    }
}

/// Sends what a new address needs; says what was done.
async fn after_edit(app: &App, actor: &Actor, outside: &Outside, profile: &Profile) -> Result<String, WebError> {
    let Some(unconfirmed) = &profile.unconfirmed else { return Ok("your profile is saved".to_owned()) };
    if let Some(link) = app.coordinator.prove_email(actor).await? {
        mail::send_link(app, outside, Words::Verify(profile.name.as_str()), &link);
    }
    if let Some(former) = &profile.email {
        mail::send_notice(app, outside, Words::Moved(profile.name.as_str(), unconfirmed.as_str()), former);
    }
    Ok(format!("your profile is saved; a link is on its way to {unconfirmed}, and the address counts once you open it"))
}
