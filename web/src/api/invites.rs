//! Invites: the line that lets a node ask to join, or lets it in at once.

use super::Body;
use crate::App;
use crate::error::WebError;
use crate::expiry;
use crate::session::Caller;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use coordinator::InviteRequest;
use protocol::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// How long an invite is good for when nothing else is said.
pub(crate) const LIFETIME: Duration = Duration::from_secs(3600);

/// What kind of invite to make.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct NewInvite {
    /// Ranges of a single-use approval in advance, such as `192.0.2.0/24`. Absent: a person approves the node.
    #[serde(default)]
    pub ranges: Option<String>,
    /// Site of an approval in advance; empty or absent: `main`.
    #[serde(default)]
    pub site: String,
    /// When the invite ends: a length such as `1h`, a date, or a time (RFC 3339). Absent: in one hour.
    #[serde(default)]
    pub expires: String,
}

/// An invite, shown once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Invite {
    /// For `portdrift node run --join`.
    pub invite: String,
    /// After this it is of no use.
    #[schema(value_type = String, format = DateTime)]
    pub expires: Timestamp,
    /// Whether it lets in the first node that shows it.
    pub pre_approved: bool,
}

/// Makes an invite.
#[utoipa::path(post, path = "/api/v1/invites", tag = "invites", request_body = NewInvite, responses((status = 201, body = Invite)))]
pub(crate) async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    Body(new): Body<NewInvite>,
) -> Result<(StatusCode, Json<Invite>), WebError> {
    let invite = app.coordinator.create_invite(&actor, &new.request(Timestamp::now())?).await?;
    Ok((StatusCode::CREATED, Json(invite.into())))
}

impl NewInvite {
    /// As the coordinator takes it.
    pub(crate) fn request(self, now: Timestamp) -> Result<InviteRequest, WebError> {
        let Self { ranges, site, expires } = self;
        let lifetime = expiry::lifetime(&expires, now).map_err(|fault| WebError::field("expires", fault))?;
        Ok(InviteRequest { lifetime: lifetime.unwrap_or(LIFETIME), ranges, site })
    }
}

impl From<protocol::invite::Invite> for Invite {
    fn from(invite: protocol::invite::Invite) -> Self {
        Self { expires: invite.expires, pre_approved: invite.secret.is_some(), invite: invite.to_string() }
    }
}
