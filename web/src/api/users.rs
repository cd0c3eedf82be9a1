//! Users: who may sign in, and as what; invites for people, and who may make an account. For administrators.

use super::Body;
use crate::App;
use crate::error::WebError;
use crate::expiry;
use crate::mail::{self, Outside, Words};
use crate::page::users::role_of;
use crate::session::Caller;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use coordinator::accounts::RegistrationMode;
use coordinator::{Invitation, MadeLink, NewUser, OpenInvitation, UserView};
use protocol::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// How long an invite is good for when nothing else is said.
pub(crate) const INVITE_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// Somebody who has an account, or asks for one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// Signs in with this.
    pub name: String,
    /// First name.
    pub first: String,
    /// Last name.
    pub last: String,
    /// The confirmed e-mail address.
    pub email: Option<String>,
    /// The e-mail address that is not confirmed yet.
    pub unconfirmed_email: Option<String>,
    /// `viewer`, `operator`, `approver` or `admin`.
    pub role: String,
    /// `active`, `disabled`, `awaiting verification` or `awaiting approval`.
    pub state: String,
    /// When the account was made.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// When they signed in last.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_sign_in: Option<Timestamp>,
}

/// A user to make.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateUser {
    /// 1 to 64 of a-z, 0-9, `.`, `_` and `-`.
    pub name: String,
    /// `viewer`, `operator`, `approver` or `admin`.
    pub role: String,
    /// 15 to 128 characters.
    pub password: String,
    /// First name.
    #[serde(default)]
    pub first: String,
    /// Last name.
    #[serde(default)]
    pub last: String,
    /// E-mail address; counts as confirmed.
    #[serde(default)]
    pub email: String,
}

/// Which role a user is to have.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetRole {
    /// `viewer`, `operator`, `approver` or `admin`.
    pub role: String,
}

/// A new password of a user.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetPassword {
    /// 15 to 128 characters.
    pub password: String,
}

/// Whom to invite.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteUser {
    /// `viewer`, `operator`, `approver` or `admin`.
    pub role: String,
    /// E-mail address; the invite is mailed there where mail can be sent.
    #[serde(default)]
    pub email: String,
    /// When the invite ends: a length such as `7d`, a date, or a time (RFC 3339). Absent: in seven days.
    #[serde(default)]
    pub expires: String,
}

/// A link that works once; it is told only now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserLink {
    /// The whole link, or its path where nobody knows how the dashboard is reached from outside.
    pub link: String,
    /// After this it is of no use.
    #[schema(value_type = String, format = DateTime)]
    pub expires: Timestamp,
    /// To whom it was mailed.
    pub mailed: Option<String>,
}

/// An invite that nobody has used yet. Its link is told to nobody again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OpenUserInvite {
    /// Names it, to take it back.
    pub id: String,
    /// What the account will be allowed to do.
    pub role: String,
    /// To whom it was sent.
    pub email: Option<String>,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    pub expires: Timestamp,
    /// Who made it.
    pub by: String,
}

/// Who may make an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// `closed`, `invite`, `approval` or `open`.
    pub mode: String,
}

impl From<UserView> for User {
    fn from(user: UserView) -> Self {
        let UserView { name, first, last, email, unconfirmed, role, state, created, last_sign_in } = user;
        Self {
            name: name.into(),
            first: first.into(),
            last: last.into(),
            email: email.map(String::from),
            unconfirmed_email: unconfirmed.map(String::from),
            role: role.name().to_owned(),
            state: state.name().to_owned(),
            created,
            last_sign_in,
        }
    }
}

impl From<OpenInvitation> for OpenUserInvite {
    fn from(OpenInvitation { id, role, email, expires, by }: OpenInvitation) -> Self {
        Self { id, role: role.name().to_owned(), email: email.map(String::from), expires, by: by.into() }
    }
}

impl UserLink {
    /// Mails the link where it belongs, and shows it.
    pub(crate) fn of(app: &App, outside: &Outside, words: Words<'_>, made: &MadeLink) -> Self {
        let is_mailed = mail::send_link(app, outside, words, made);
        let mailed = made.email.as_ref().filter(|_| is_mailed).map(ToString::to_string);
        Self { link: outside.link(&mail::path_of(words, made)), expires: made.expires, mailed }
    }
}

/// Every user, by name.
#[utoipa::path(get, path = "/api/v1/users", tag = "users", responses((status = 200, body = Vec<User>)))]
pub(crate) async fn list(State(app): State<App>, Caller(actor): Caller) -> Result<Json<Vec<User>>, WebError> {
    Ok(Json(app.coordinator.users(&actor).await?.into_iter().map(User::from).collect()))
}

/// Makes a user who may sign in at once.
#[utoipa::path(post, path = "/api/v1/users", tag = "users", request_body = CreateUser, responses((status = 201, body = User)))]
pub(crate) async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    Body(new): Body<CreateUser>,
) -> Result<(StatusCode, Json<User>), WebError> {
    let role = role_of(&new.role)?;
    let CreateUser { name, role: _, password, first, last, email } = new;
    let new = NewUser { name, first, last, email, role, password };
    Ok((StatusCode::CREATED, Json(app.coordinator.create_user(&actor, &new).await?.into())))
}

/// One user.
#[utoipa::path(get, path = "/api/v1/users/{user}", tag = "users", params(("user" = String, Path)), responses((status = 200, body = User)))]
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(name): Path<String>,
) -> Result<Json<User>, WebError> {
    Ok(Json(app.coordinator.user(&actor, &name).await?.into()))
}

/// Gives a user another role; their sessions end.
#[utoipa::path(put, path = "/api/v1/users/{user}/role", tag = "users", params(("user" = String, Path)), request_body = SetRole, responses((status = 200, body = User)))]
pub(crate) async fn set_role(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(name): Path<String>,
    Body(SetRole { role }): Body<SetRole>,
) -> Result<Json<User>, WebError> {
    Ok(Json(app.coordinator.set_role(&actor, &name, role_of(&role)?).await?.into()))
}

/// Gives a user another password; their sessions end, and wrong passwords are forgotten.
#[utoipa::path(put, path = "/api/v1/users/{user}/password", tag = "users", params(("user" = String, Path)), request_body = SetPassword, responses((status = 200, body = User)))]
pub(crate) async fn set_password(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(name): Path<String>,
    Body(SetPassword { password }): Body<SetPassword>,
) -> Result<Json<User>, WebError> {
    let user = app.coordinator.set_password_of(&actor, &name, &password).await?;
    app.throttle.unlock(&name);
    Ok(Json(user.into()))
}

/// Makes a link with which a user sets a new password within an hour; it is mailed to them where mail can be sent.
#[utoipa::path(post, path = "/api/v1/users/{user}/reset-link", tag = "users", params(("user" = String, Path)), responses((status = 201, body = UserLink)))]
pub(crate) async fn reset_link(
    State(app): State<App>,
    Caller(actor): Caller,
    outside: Outside,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<UserLink>), WebError> {
    let made = app.coordinator.reset_link(&actor, &name).await?;
    Ok((StatusCode::CREATED, Json(UserLink::of(&app, &outside, Words::Reset(&name), &made))))
}

/// Does one of: `disable` (sessions end), `enable` (also lets in who asked), `deny` (removes who asked), `sign-out` (ends
/// every session), `unlock` (forgets wrong passwords).
#[utoipa::path(post, path = "/api/v1/users/{user}/{action}", tag = "users", params(("user" = String, Path), ("action" = String, Path)), responses((status = 200, body = User)))]
pub(crate) async fn act(
    State(app): State<App>,
    Caller(actor): Caller,
    Path((name, action)): Path<(String, String)>,
) -> Result<Json<User>, WebError> {
    let coordinator = &app.coordinator;
    let user = match action.as_str() {
        "disable" => coordinator.disable_user(&actor, &name).await?,
        "enable" => coordinator.enable_user(&actor, &name).await?,
        "deny" => coordinator.deny_user(&actor, &name).await?,
        "sign-out" => coordinator.end_sessions_of(&actor, &name).await?,
        "unlock" => {
            let user = coordinator.note_unlocked(&actor, &name).await?;
            app.throttle.unlock(&name);
            user
        }
        _ => {
            let reason = format!("{action:?} cannot be done; take disable, enable, deny, sign-out or unlock");
            return Err(WebError::NotFound(reason));
        }
    };
    Ok(Json(user.into()))
}

/// Invites somebody: with the link they make an account of that role.
#[utoipa::path(post, path = "/api/v1/user-invites", tag = "users", request_body = InviteUser, responses((status = 201, body = UserLink)))]
pub(crate) async fn invite(
    State(app): State<App>,
    Caller(actor): Caller,
    outside: Outside,
    Body(InviteUser { role, email, expires }): Body<InviteUser>,
) -> Result<(StatusCode, Json<UserLink>), WebError> {
    let role = role_of(&role)?;
    let lifetime = expiry::lifetime(&expires, Timestamp::now()).map_err(|fault| WebError::field("expires", fault))?;
    let wanted = Invitation { email, role, lifetime: lifetime.unwrap_or(INVITE_LIFETIME) };
    let made = app.coordinator.invite_user(&actor, &wanted).await?;
    Ok((StatusCode::CREATED, Json(UserLink::of(&app, &outside, Words::Invite(role.name()), &made))))
}

/// The invites for people that nobody has used yet.
#[utoipa::path(get, path = "/api/v1/user-invites", tag = "users", responses((status = 200, body = Vec<OpenUserInvite>)))]
pub(crate) async fn invites(
    State(app): State<App>,
    Caller(actor): Caller,
) -> Result<Json<Vec<OpenUserInvite>>, WebError> {
    Ok(Json(app.coordinator.invitations(&actor).await?.into_iter().map(OpenUserInvite::from).collect()))
}

/// Takes an invite back: nobody makes an account with it any more.
#[utoipa::path(delete, path = "/api/v1/user-invites/{id}", tag = "users", params(("id" = String, Path)), responses((status = 200, body = OpenUserInvite)))]
pub(crate) async fn revoke_invite(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Json<OpenUserInvite>, WebError> {
    Ok(Json(app.coordinator.revoke_invitation(&actor, &id).await?.into()))
}

/// Who may make an account.
#[utoipa::path(get, path = "/api/v1/registration", tag = "users", responses((status = 200, body = Registration)))]
pub(crate) async fn registration(State(app): State<App>) -> Result<Json<Registration>, WebError> {
    let mode = app.coordinator.registration().await?.name().to_owned();
    Ok(Json(Registration { mode }))
}

/// Says who may make an account.
#[utoipa::path(put, path = "/api/v1/registration", tag = "users", request_body = Registration, responses((status = 200, body = Registration)))]
pub(crate) async fn set_registration(
    State(app): State<App>,
    Caller(actor): Caller,
    Body(wanted): Body<Registration>,
) -> Result<Json<Registration>, WebError> {
    let mode = RegistrationMode::of_name(&wanted.mode)
        .ok_or_else(|| WebError::field("mode", "take closed, invite, approval or open"))?;
    app.coordinator.set_registration(&actor, mode).await?;
    Ok(Json(wanted))
}
