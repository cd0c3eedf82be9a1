//! `/settings/users/{user}`: one user, and what an administrator may do with the account.

use super::{UserRow, role_of, roles};
use crate::App;
use crate::api::users::UserLink;
use crate::error::WebError;
use crate::faults::Faults;
use crate::filters;
use crate::mail::{Outside, Words};
use crate::page::choices::Choice;
use crate::page::{Head, Page, View};
use crate::session::{self, Caller};
use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use coordinator::Actor;
use coordinator::accounts::UserState;
use protocol::Timestamp;
use serde::Deserialize;
use tower_sessions::Session;

#[derive(Template)]
#[template(path = "user.html")]
pub(crate) struct OneUser {
    pub(crate) row: UserRow,
    pub(crate) faults: Faults,
    /// A link for a new password, shown once.
    pub(crate) link: Option<UserLink>,
    /// What came of the last form.
    pub(crate) told: Option<String>,
}

/// Which role.
#[derive(Deserialize)]
pub(crate) struct RoleForm {
    role: String,
}

impl View for OneUser {
    fn head(&self) -> Head {
        Head::settings(super::PATH, self.row.user.name.as_str()).via("Users", super::PATH)
    }
}

impl OneUser {
    async fn read(app: &App, actor: &Actor, name: &str) -> Result<Self, WebError> {
        let user = app.coordinator.user(actor, name).await?;
        let row = UserRow::of(app, user, Timestamp::now());
        Ok(Self { row, faults: Faults::default(), link: None, told: None })
    }

    fn role(&self) -> Choice<'_> {
        roles(self.row.user.role.name())
    }

    fn path(&self) -> String {
        format!("{}/{}", super::PATH, self.row.user.name)
    }

    fn is_asking(&self) -> bool {
        matches!(self.row.user.state, UserState::AwaitingApproval | UserState::AwaitingVerification)
    }

    fn is_active(&self) -> bool {
        self.row.user.state == UserState::Active
    }
}

/// `GET /settings/users/{user}`
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
    Path(name): Path<String>,
) -> Result<Page<OneUser>, WebError> {
    let told = session::told(&session).await?;
    Ok(Page(OneUser { told, ..OneUser::read(&app, &actor, &name).await? }))
}

/// `POST /settings/users/{user}/role`
pub(crate) async fn set_role(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
    Path(name): Path<String>,
    Form(RoleForm { role }): Form<RoleForm>,
) -> Result<Response, WebError> {
    let outcome = match role_of(&role) {
        Ok(role) => app.coordinator.set_role(&actor, &name, role).await.map_err(WebError::from),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(user) => {
            session::tell(&session, format!("{} is {} from now on", user.name, user.role.name())).await?;
            Ok(Redirect::to(&app.link(&format!("{}/{name}", super::PATH))).into_response())
        }
        Err(WebError::Invalid(faults)) => {
            let page = OneUser { faults: faults.into(), ..OneUser::read(&app, &actor, &name).await? };
            Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response())
        }
        Err(error) => Err(error),
    }
}

/// `POST /settings/users/{user}/reset`
pub(crate) async fn reset(
    State(app): State<App>,
    Caller(actor): Caller,
    outside: Outside,
    Path(name): Path<String>,
) -> Result<Page<OneUser>, WebError> {
    let made = app.coordinator.reset_link(&actor, &name).await?;
    let link = Some(UserLink::of(&app, &outside, Words::Reset(&name), &made));
    Ok(Page(OneUser { link, ..OneUser::read(&app, &actor, &name).await? }))
}

/// `POST /settings/users/{user}/{action}`
pub(crate) async fn act(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
    Path((name, action)): Path<(String, String)>,
) -> Result<Redirect, WebError> {
    let coordinator = &app.coordinator;
    let told = match action.as_str() {
        "disable" => {
            coordinator.disable_user(&actor, &name).await?;
            format!("the account of {name} is closed; its sessions have ended")
        }
        "enable" => {
            coordinator.enable_user(&actor, &name).await?;
            format!("{name} may sign in")
        }
        "deny" => {
            coordinator.deny_user(&actor, &name).await?;
            session::tell(&session, format!("the request of {name} was turned down")).await?;
            return Ok(Redirect::to(&app.link(super::PATH)));
        }
        "sign-out" => {
            coordinator.end_sessions_of(&actor, &name).await?;
            format!("every session of {name} has ended")
        }
        "unlock" => {
            coordinator.note_unlocked(&actor, &name).await?;
            app.throttle.unlock(&name);
            format!("wrong passwords of {name} are forgotten")
        }
        _ => return Err(WebError::NoSuchPage),
    };
    session::tell(&session, told).await?;
    Ok(Redirect::to(&app.link(&format!("{}/{name}", super::PATH))))
}
