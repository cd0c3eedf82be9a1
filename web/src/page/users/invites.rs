//! `/settings/invites`: who may make an account, and the invites that wait for their person.

use super::{role_of, roles};
use crate::App;
use crate::api::users::{INVITE_LIFETIME, UserLink};
use crate::error::WebError;
use crate::expiry;
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
use coordinator::accounts::RegistrationMode;
use coordinator::{Actor, Invitation, OpenInvitation};
use protocol::Timestamp;
use serde::Deserialize;
use tower_sessions::Session;

pub(crate) const PATH: &str = "/settings/invites";

#[derive(Template)]
#[template(path = "invites.html")]
pub(crate) struct Invites {
    pub(crate) mode: RegistrationMode,
    pub(crate) open: Vec<OpenInvitation>,
    pub(crate) can_mail: bool,
    pub(crate) form: InviteForm,
    pub(crate) faults: Faults,
    /// The link of an invite that was made just now, shown once.
    pub(crate) link: Option<UserLink>,
    /// What came of the last form.
    pub(crate) told: Option<String>,
}

/// Whom to invite.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct InviteForm {
    pub(crate) email: String,
    pub(crate) role: String,
    pub(crate) expires: String,
}

/// Who may make an account.
#[derive(Deserialize)]
pub(crate) struct ModeForm {
    mode: String,
}

impl View for Invites {
    fn head(&self) -> Head {
        Head::settings(PATH, "Invites")
    }
}

impl Invites {
    async fn read(app: &App, actor: &Actor, form: InviteForm) -> Result<Self, WebError> {
        let (mode, open) = (app.coordinator.registration().await?, app.coordinator.invitations(actor).await?);
        let can_mail = app.coordinator.mail().is_some();
        Ok(Self { mode, open, can_mail, form, faults: Faults::default(), link: None, told: None })
    }

    fn role(&self) -> Choice<'_> {
        roles(&self.form.role)
    }

    fn modes(&self) -> [(RegistrationMode, &'static str, bool); 4] {
        let words = |mode: RegistrationMode| match mode {
            RegistrationMode::Closed => "Closed: only administrators make accounts",
            RegistrationMode::Invite => "Invite: who holds an invite makes an account",
            RegistrationMode::Approval => "Approval: everybody may ask, an administrator lets them in",
            RegistrationMode::Open => "Open: everybody gets an account as a viewer",
        };
        RegistrationMode::ALL.map(|mode| (mode, words(mode), mode == self.mode))
    }
}

/// `GET /settings/invites`
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
) -> Result<Page<Invites>, WebError> {
    let told = session::told(&session).await?;
    Ok(Page(Invites { told, ..Invites::read(&app, &actor, InviteForm::default()).await? }))
}

/// `POST /settings/invites`
pub(crate) async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    outside: Outside,
    Form(form): Form<InviteForm>,
) -> Result<Response, WebError> {
    match invite(&app, &actor, &outside, &form).await {
        Ok(link) => {
            let page = Invites { link: Some(link), ..Invites::read(&app, &actor, InviteForm::default()).await? };
            Ok(Page(page).into_response())
        }
        Err(WebError::Invalid(faults)) => {
            let page = Invites { faults: faults.into(), ..Invites::read(&app, &actor, form).await? };
            Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response())
        }
        Err(error) => Err(error),
    }
}

async fn invite(app: &App, actor: &Actor, outside: &Outside, form: &InviteForm) -> Result<UserLink, WebError> {
    let role = role_of(&form.role)?;
    let lifetime = expiry::lifetime(&form.expires, Timestamp::now());
    let lifetime = lifetime.map_err(|fault| WebError::field("expires", fault))?.unwrap_or(INVITE_LIFETIME);
    let wanted = Invitation { email: form.email.clone(), role, lifetime };
    let made = app.coordinator.invite_user(actor, &wanted).await?;
    Ok(UserLink::of(app, outside, Words::Invite(role.name()), &made))
}

/// `POST /settings/invites/{id}/revoke`
pub(crate) async fn revoke(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
    Path(id): Path<String>,
) -> Result<Redirect, WebError> {
    app.coordinator.revoke_invitation(&actor, &id).await?;
    session::tell(&session, "the invite is taken back".to_owned()).await?;
    Ok(Redirect::to(&app.link(PATH)))
}

/// `POST /settings/registration`
pub(crate) async fn set_mode(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
    Form(ModeForm { mode }): Form<ModeForm>,
) -> Result<Redirect, WebError> {
    let mode = RegistrationMode::of_name(&mode)
        .ok_or_else(|| WebError::field("mode", "choose one of closed, invite, approval and open"))?;
    app.coordinator.set_registration(&actor, mode).await?;
    session::tell(&session, format!("registration is {} from now on", mode.name())).await?;
    Ok(Redirect::to(&app.link(PATH)))
}
