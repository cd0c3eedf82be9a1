//! `/profile/preferences`: the time zone, the colours and the keys of one's own pages.

use super::Parts;
use crate::App;
use crate::error::WebError;
use crate::faults::Faults;
use crate::filters;
use crate::page::choices::Choice;
use crate::page::{Head, Page, View};
use crate::session::{self, Caller};
use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use coordinator::Actor;
use coordinator::accounts::{Preferences, Theme};
use serde::Deserialize;
use tower_sessions::Session;

const PATH: &str = "/profile/preferences";

#[derive(Template)]
#[template(path = "profile_preferences.html")]
pub(crate) struct Preferred {
    pub(crate) form: PreferencesForm,
    pub(crate) faults: Faults,
    /// What came of the last form.
    pub(crate) told: Option<String>,
}

/// What a person chooses.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PreferencesForm {
    pub(crate) zone: String,
    pub(crate) colours: String,
    /// Given when the box is ticked.
    pub(crate) shortcuts: Option<String>,
}

impl From<Preferences> for PreferencesForm {
    fn from(Preferences { zone, theme, has_shortcuts }: Preferences) -> Self {
        let shortcuts = has_shortcuts.then(|| "on".to_owned());
        Self { zone: zone.into(), colours: theme.name().to_owned(), shortcuts }
    }
}

impl View for Preferred {
    fn head(&self) -> Head {
        Head { title: "Preferences".to_owned(), ..Head::default() }
    }
}

impl Preferred {
    fn parts(&self) -> Parts {
        Parts::at(PATH)
    }

    fn colours(&self) -> Choice<'_> {
        let themes = [("system", "As the system"), ("light", "Light"), ("dark", "Dark")];
        Choice::of("colours", "Colours", themes, &self.form.colours)
    }
}

impl PreferencesForm {
    fn read(&self) -> Result<Preferences, WebError> {
        let theme =
            Theme::of_name(&self.colours).ok_or_else(|| WebError::field("colours", "choose one of the colours"))?;
        let checked = Preferences::check(&self.zone, theme, self.shortcuts.is_some());
        checked.map_err(|error| WebError::field(error.field(), error))
    }
}

/// `GET /profile/preferences`
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
) -> Result<Page<Preferred>, WebError> {
    let told = session::told(&session).await?;
    let preferences = app.coordinator.profile(&actor).await?.preferences;
    Ok(Page(Preferred { form: preferences.into(), faults: Faults::default(), told }))
}

/// `POST /profile/preferences`
pub(crate) async fn set(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
    Form(form): Form<PreferencesForm>,
) -> Result<Response, WebError> {
    match store(&app, &actor, &form).await {
        Ok(()) => {
            session::tell(&session, "your preferences are saved".to_owned()).await?;
            Ok(Redirect::to(&app.link(PATH)).into_response())
        }
        Err(WebError::Invalid(faults)) => {
            let page = Preferred { form, faults: faults.into(), told: None };
            Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response())
        }
        Err(error) => Err(error),
    }
}

async fn store(app: &App, actor: &Actor, form: &PreferencesForm) -> Result<(), WebError> {
    let preferences = form.read()?;
    app.coordinator.set_preferences(actor, preferences).await?;
    Ok(())
}
