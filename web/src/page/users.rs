//! `/settings/users`: who has an account, who asks for one, and how mail goes; one user is a page of its own.

pub(crate) mod invites;
pub(crate) mod user;

use crate::App;
use crate::error::WebError;
use crate::faults::Faults;
use crate::filters;
use crate::look::{Badge, Tone};
use crate::page::choices::Choice;
use crate::page::{Head, Page, View};
use crate::session::{self, Caller};
use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use coordinator::accounts::UserState;
use coordinator::mail::MailStatus;
use coordinator::{Actor, NewUser, Role, UserView};
use protocol::Timestamp;
use serde::Deserialize;
use std::time::Duration;
use tower_sessions::Session;

pub(crate) const PATH: &str = "/settings/users";

#[derive(Template)]
#[template(path = "users.html")]
pub(crate) struct Users {
    /// Those who ask to be let in.
    pub(crate) asking: Vec<UserRow>,
    pub(crate) users: Vec<UserRow>,
    pub(crate) form: UserForm,
    pub(crate) faults: Faults,
    /// How sending goes; nothing when no mail is sent.
    pub(crate) mail: Option<MailStatus>,
    /// What came of the last form.
    pub(crate) told: Option<String>,
}

/// One user of the list.
pub(crate) struct UserRow {
    pub(crate) user: UserView,
    pub(crate) state: Badge,
    /// For how long strangers must wait before they may try a password.
    pub(crate) locked: Option<Duration>,
}

/// What a person types to make a user.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct UserForm {
    pub(crate) name: String,
    pub(crate) first: String,
    pub(crate) last: String,
    pub(crate) email: String,
    pub(crate) role: String,
    pub(crate) password: String,
}

impl UserRow {
    pub(crate) fn of(app: &App, user: UserView, now: Timestamp) -> Self {
        let locked = app.throttle.locked(user.name.as_str(), now);
        Self { state: state(user.state), locked, user }
    }

    fn called(&self) -> String {
        format!("{} {}", self.user.first, self.user.last).trim().to_owned()
    }
}

fn state(state: UserState) -> Badge {
    match state {
        UserState::Active => Badge::plain(Tone::Ok, "circle", state.name()),
        UserState::Disabled => Badge::plain(Tone::Muted, "ban", state.name()),
        UserState::AwaitingVerification | UserState::AwaitingApproval => {
            Badge::plain(Tone::Medium, "diamond", state.name())
        }
    }
}

/// The roles to choose from.
pub(crate) fn roles(chosen: &str) -> Choice<'_> {
    let roles = [
        ("viewer", "Viewer: sees everything but administration"),
        ("operator", "Operator: also runs and edits scans, handles alerts"),
        ("approver", "Approver: also approves and revokes nodes"),
        ("admin", "Administrator: everything"),
    ];
    Choice::of("role", "Role", roles, if chosen.is_empty() { "viewer" } else { chosen })
}

/// The role of that name.
pub(crate) fn role_of(name: &str) -> Result<Role, WebError> {
    Role::of_name(name).ok_or_else(|| WebError::field("role", "choose one of viewer, operator, approver and admin"))
}

impl View for Users {
    fn head(&self) -> Head {
        Head::settings(PATH, "Users")
    }
}

impl Users {
    async fn read(app: &App, actor: &Actor, form: UserForm) -> Result<Self, WebError> {
        let now = Timestamp::now();
        let rows = app.coordinator.users(actor).await?.into_iter().map(|user| UserRow::of(app, user, now));
        let (asking, users) = rows.partition(|row| row.user.state == UserState::AwaitingApproval);
        let mail = app.coordinator.mail().map(|mail| mail.status());
        Ok(Self { asking, users, form, faults: Faults::default(), mail, told: None })
    }

    fn role(&self) -> Choice<'_> {
        roles(&self.form.role)
    }
}

/// `GET /settings/users`
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
) -> Result<Page<Users>, WebError> {
    let told = session::told(&session).await?;
    Ok(Page(Users { told, ..Users::read(&app, &actor, UserForm::default()).await? }))
}

/// `POST /settings/users`
pub(crate) async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
    Form(form): Form<UserForm>,
) -> Result<Response, WebError> {
    match try_create(&app, &actor, form.clone()).await {
        Ok(user) => {
            let told = format!("{} can sign in as {}; tell them the password yourself", user.name, user.role.name());
            session::tell(&session, told).await?;
            Ok(Redirect::to(&app.link(PATH)).into_response())
        }
        Err(WebError::Invalid(faults)) => {
            let page = Users { faults: faults.into(), ..Users::read(&app, &actor, form).await? };
            Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response())
        }
        Err(error) => Err(error),
    }
}

async fn try_create(app: &App, actor: &Actor, form: UserForm) -> Result<UserView, WebError> {
    let role = role_of(&form.role)?;
    let UserForm { name, first, last, email, role: _, password } = form;
    let new = NewUser { name, first, last, email, role, password };
    Ok(app.coordinator.create_user(actor, &new).await?)
}
