//! Invites: the line that lets a node ask to join, or lets it in at once.

use super::Body;
use crate::App;
use crate::error::WebError;
use crate::expiry;
use crate::session::Caller;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use coordinator::registry::PreApproval;
use coordinator::{InviteRequest, InviteView};
use protocol::{TargetSet, Timestamp};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
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
    /// Enrolment ports where the node is to ask, such as `192.0.2.1:9431`; empty or absent: the coordinator's and those
    /// of members that may sponsor.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub addresses: Vec<SocketAddr>,
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
    /// Where a node asks.
    #[schema(value_type = Vec<String>)]
    pub addresses: Vec<SocketAddr>,
}

/// An invite that lets in the first node that shows it, and was shown by none yet. Its secret is told to nobody again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OpenInvite {
    /// Names it, to revoke it.
    pub id: String,
    /// What the node may scan.
    #[schema(value_type = String)]
    pub ranges: TargetSet,
    /// Where the node will stand.
    pub site: String,
    /// After this it is of no use.
    #[schema(value_type = String, format = DateTime)]
    pub expires: Timestamp,
    /// Who made it.
    pub by: String,
}

impl From<InviteView> for OpenInvite {
    fn from(InviteView { id, approval }: InviteView) -> Self {
        let PreApproval { ranges, site, expires, by, used_by: _ } = approval;
        Self { id, ranges, site: site.into(), expires, by: by.into() }
    }
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

/// The invites that let in the first node that shows them, without their secrets.
#[utoipa::path(get, path = "/api/v1/invites", tag = "invites", responses((status = 200, body = Vec<OpenInvite>)))]
pub(crate) async fn list(State(app): State<App>, Caller(actor): Caller) -> Result<Json<Vec<OpenInvite>>, WebError> {
    Ok(Json(app.coordinator.invites(&actor).await?.into_iter().map(OpenInvite::from).collect()))
}

/// Takes an invite back: it lets nobody in any more.
#[utoipa::path(delete, path = "/api/v1/invites/{id}", tag = "invites", params(("id" = String, Path)), responses((status = 200, body = OpenInvite)))]
pub(crate) async fn revoke(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Json<OpenInvite>, WebError> {
    Ok(Json(app.coordinator.revoke_invite(&actor, &id).await?.into()))
}

impl NewInvite {
    /// As the coordinator takes it.
    pub(crate) fn request(self, now: Timestamp) -> Result<InviteRequest, WebError> {
        let Self { ranges, site, expires, addresses } = self;
        let lifetime = expiry::lifetime(&expires, now).map_err(|fault| WebError::field("expires", fault))?;
        Ok(InviteRequest { lifetime: lifetime.unwrap_or(LIFETIME), ranges, site, addresses })
    }
}

impl From<protocol::invite::Invite> for Invite {
    fn from(invite: protocol::invite::Invite) -> Self {
        let text = invite.to_string();
        let protocol::invite::Invite { mesh: _, addresses, expires, secret } = invite;
        Self { invite: text, expires, pre_approved: secret.is_some(), addresses }
    }
}
