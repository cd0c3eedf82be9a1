//! `/nodes/enrol`: makes an invite and shows the command for the new node, once.

use crate::App;
use crate::api::invites::{Invite, LIFETIME};
use crate::error::WebError;
use crate::filters;
use crate::page::{Head, Page, Section, View};
use crate::session::Caller;
use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use coordinator::InviteRequest;
use protocol::Timestamp;

#[derive(Default, Template)]
#[template(path = "enrol.html")]
pub(crate) struct Enrol {
    pub(crate) invite: Option<String>,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) is_approved_before: bool,
    pub(crate) ranges: String,
    pub(crate) fault: Option<String>,
}

impl View for Enrol {
    fn head(&self) -> Head {
        Head::below(Section::Nodes, "Add node")
    }
}

/// What the form sends.
#[derive(serde::Deserialize)]
pub(crate) struct InviteForm {
    approval: String,
    #[serde(default)]
    ranges: String,
}

/// `GET /nodes/enrol`
pub(crate) async fn show() -> Page<Enrol> {
    Page(Enrol::default())
}

/// `POST /nodes/enrol`: the answer is the page itself, as the invite is shown only once.
pub(crate) async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    Form(InviteForm { approval, ranges }): Form<InviteForm>,
) -> Result<Response, WebError> {
    let is_approved_before = approval == "before";
    let wanted = is_approved_before.then(|| ranges.clone());
    let request = InviteRequest { lifetime: LIFETIME, ranges: wanted, site: String::new(), addresses: Vec::new() };
    match app.coordinator.create_invite(&actor, &request).await.map_err(WebError::from) {
        Ok(invite) => {
            let Invite { invite, expires, pre_approved, addresses: _ } = invite.into();
            let page = Enrol {
                invite: Some(invite),
                expires: Some(expires),
                is_approved_before: pre_approved,
                ..Enrol::default()
            };
            Ok(Page(page).into_response())
        }
        Err(fault @ WebError::Invalid(_)) => {
            let page = Enrol { is_approved_before, ranges, fault: Some(fault.to_string()), ..Enrol::default() };
            Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response())
        }
        Err(error) => Err(error),
    }
}
