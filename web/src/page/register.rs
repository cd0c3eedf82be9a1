//! `/auth/register`: making an account of one's own, with an invite or where everybody may.

use crate::App;
use crate::error::WebError;
use crate::faults::Faults;
use crate::filters;
use crate::mail::{self, Outside, Words};
use crate::page::settled::Settled;
use crate::page::{Head, Page, View};
use crate::session::Visitor;
use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use coordinator::accounts::UserState;
use coordinator::{Joined, Joining, LinkFor, Origin};
use serde::Deserialize;

#[derive(Default, Template)]
#[template(path = "register.html")]
pub(crate) struct Register {
    /// Where the form goes; ends in the secret of the invite, if there is one.
    pub(crate) action: String,
    pub(crate) form: RegisterForm,
    /// The address of the invite, which cannot be changed.
    pub(crate) invited: Option<String>,
    /// The role of the invite.
    pub(crate) role: Option<&'static str>,
    /// Whether the address must be confirmed, so that one is needed.
    pub(crate) needs_email: bool,
    pub(crate) faults: Faults,
}

/// What a person types.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RegisterForm {
    pub(crate) name: String,
    pub(crate) first: String,
    pub(crate) last: String,
    pub(crate) email: String,
    pub(crate) password: String,
    pub(crate) again: String,
}

impl View for Register {
    fn head(&self) -> Head {
        Head { title: "Create an account".to_owned(), ..Head::default() }
    }
}

impl Register {
    /// The form as it stands open to whoever asks; a conflict when it does not.
    async fn open(app: &App, invite: Option<&str>) -> Result<Self, WebError> {
        let needs_email = app.coordinator.mail().is_some();
        let Some(secret) = invite else {
            if !app.coordinator.registration().await?.is_public() {
                let reason = "an account needs an invite; ask an administrator for one";
                return Err(WebError::Forbidden(reason.to_owned()));
            }
            return Ok(Self { action: "/auth/register".to_owned(), needs_email, ..Self::default() });
        };
        let Some(LinkFor::Invite(role, email)) = app.coordinator.link(secret).await? else {
            return Err(void());
        };
        Ok(Self {
            action: format!("/auth/register/{secret}"),
            invited: email.map(String::from),
            role: Some(role.name()),
            ..Self::default()
        })
    }
}

/// A link that is used up, over, or none of ours.
pub(crate) fn void() -> WebError {
    WebError::NotFound("this link was used, is over, or was replaced by a newer one; ask for a new one".to_owned())
}

/// `GET /auth/register`
pub(crate) async fn show(State(app): State<App>) -> Result<Page<Register>, WebError> {
    Ok(Page(Register::open(&app, None).await?))
}

/// `GET /auth/register/{link}`
pub(crate) async fn show_invited(
    State(app): State<App>,
    Path(secret): Path<String>,
) -> Result<Page<Register>, WebError> {
    Ok(Page(Register::open(&app, Some(&secret)).await?))
}

/// `POST /auth/register`
pub(crate) async fn register(
    State(app): State<App>,
    outside: Outside,
    visitor: Visitor,
    Form(form): Form<RegisterForm>,
) -> Result<Response, WebError> {
    join(&app, &outside, None, form, visitor.from).await
}

/// `POST /auth/register/{link}`
pub(crate) async fn register_invited(
    State(app): State<App>,
    outside: Outside,
    visitor: Visitor,
    Path(secret): Path<String>,
    Form(form): Form<RegisterForm>,
) -> Result<Response, WebError> {
    join(&app, &outside, Some(secret), form, visitor.from).await
}

async fn join(
    app: &App,
    outside: &Outside,
    invite: Option<String>,
    form: RegisterForm,
    from: Origin,
) -> Result<Response, WebError> {
    let page = Register::open(app, invite.as_deref()).await?;
    let RegisterForm { name, first, last, email, password, again } = form.clone();
    let joining = Joining { name, first, last, email, password, again, invite, from };
    match app.coordinator.register(joining).await.map_err(WebError::from) {
        Ok(joined) => Ok(Page(settled(app, outside, &form.name, &joined)).into_response()),
        Err(WebError::Invalid(faults)) => {
            let page = Register { faults: faults.into(), form, ..page };
            Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response())
        }
        Err(error) => Err(error),
    }
}

/// Sends what is to be sent. The page is the same whether the address belongs to another account or not.
fn settled(app: &App, outside: &Outside, name: &str, joined: &Joined) -> Settled {
    if let Some(link) = &joined.verify {
        mail::send_link(app, outside, Words::Verify(name), link);
    }
    if let Some(known) = &joined.is_known {
        mail::send_notice(app, outside, Words::Known, known);
    }
    match joined.state {
        UserState::Active => Settled::then_sign_in("The account is made", format!("you can sign in as {name} now")),
        UserState::AwaitingVerification => Settled::then_sign_in(
            "Look into your mail",
            "a mail is on its way to the address that you gave; open the link in it within a day",
        ),
        UserState::AwaitingApproval | UserState::Disabled => Settled::then_sign_in(
            "Wait for an administrator",
            "the account is made; you can sign in once an administrator has let you in",
        ),
    }
}
