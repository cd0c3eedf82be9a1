//! `/auth/verify/{link}`: proving that an address is one's own. Looking at it changes nothing: programs that check mail
//! open links too.

use crate::App;
use crate::error::WebError;
use crate::filters;
use crate::page::register::void;
use crate::page::settled::Settled;
use crate::page::{Head, Page, View};
use crate::session::Visitor;
use askama::Template;
use axum::extract::{Path, State};
use coordinator::LinkFor;
use coordinator::accounts::UserState;

#[derive(Template)]
#[template(path = "verify.html")]
pub(crate) struct Verify {
    pub(crate) email: String,
    pub(crate) secret: String,
}

impl View for Verify {
    fn head(&self) -> Head {
        Head { title: "Confirm your address".to_owned(), ..Head::default() }
    }
}

/// `GET /auth/verify/{link}`
pub(crate) async fn show(State(app): State<App>, Path(secret): Path<String>) -> Result<Page<Verify>, WebError> {
    match app.coordinator.link(&secret).await? {
        Some(LinkFor::Verify(email)) => Ok(Page(Verify { email: email.into(), secret })),
        Some(LinkFor::Invite(..) | LinkFor::Reset(_)) | None => Err(void()),
    }
}

/// `POST /auth/verify/{link}`
pub(crate) async fn verify(
    State(app): State<App>,
    visitor: Visitor,
    Path(secret): Path<String>,
) -> Result<Page<Settled>, WebError> {
    let words = match app.coordinator.confirm_email(&secret, visitor.from).await? {
        UserState::AwaitingApproval => "you can sign in once an administrator has let you in",
        UserState::Active | UserState::Disabled | UserState::AwaitingVerification => "the address is yours from now on",
    };
    Ok(Page(Settled::then_sign_in("The address is confirmed", words)))
}
