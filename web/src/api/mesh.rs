//! The mesh: who is linked to whom, through whom the coordinator is reached, and round trips.

use crate::App;
use crate::error::WebError;
use crate::session::Caller;
use axum::Json;
use axum::extract::State;
use coordinator::{LinkEnd, MeshLink, MeshMember, MeshPicture, NodeStatus};
use protocol::roster::Role;
use protocol::{Fingerprint, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// The mesh as it is known at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Mesh {
    /// The moment.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The coordinator first, then by hops and label; members without a known way last.
    pub members: Vec<Member>,
    /// Each connection once.
    pub links: Vec<Link>,
}

/// The coordinator or an approved node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// Its key in eight groups of four; the identity.
    #[schema(value_type = String)]
    pub fingerprint: Fingerprint,
    /// What people call it.
    pub label: String,
    /// `coordinator` or `node`.
    pub role: String,
    /// `online`, `scanning`, `offline`, `expired`.
    pub status: String,
    /// Why it is offline.
    pub reason: Option<String>,
    /// How many connections lie between it and the coordinator; absent when no way is known.
    pub hops: Option<u8>,
    /// The member next to it on its way to the coordinator.
    #[schema(value_type = Option<String>)]
    pub through: Option<Fingerprint>,
    /// When it was last heard.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_seen: Option<Timestamp>,
    /// Its clock minus the coordinator's, in milliseconds.
    pub clock_offset_ms: Option<i64>,
}

/// A connection between two members.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Link {
    /// Both ends.
    pub ends: [End; 2],
    /// The end that dialled.
    #[schema(value_type = Option<String>)]
    pub dialled_by: Option<Fingerprint>,
    /// Neither end is there now: this is how it was when they were last heard.
    pub stale: bool,
}

/// One end of a connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct End {
    /// Which member.
    #[schema(value_type = String)]
    pub node: Fingerprint,
    /// How long a ping from here to the other end took, in milliseconds; absent when this end has not told.
    pub round_trip_ms: Option<f64>,
}

impl From<MeshPicture> for Mesh {
    fn from(picture: MeshPicture) -> Self {
        let MeshPicture { at, members, links } = picture;
        Self {
            at,
            members: members.into_iter().map(Member::from).collect(),
            links: links.into_iter().map(Link::from).collect(),
        }
    }
}

impl From<MeshMember> for Member {
    fn from(member: MeshMember) -> Self {
        let MeshMember { node, label, role, status, hops, through, last_seen, clock_offset_ms } = member;
        let reason = if let NodeStatus::Offline { since: _, reason } = &status { Some(*reason) } else { None };
        Self {
            fingerprint: node.fingerprint(),
            label: label.into(),
            role: role_name(role).to_owned(),
            status: status.name().to_owned(),
            reason: reason.map(str::to_owned),
            hops,
            through: through.map(|node| node.fingerprint()),
            last_seen,
            clock_offset_ms,
        }
    }
}

impl From<MeshLink> for Link {
    fn from(link: MeshLink) -> Self {
        let MeshLink { ends, dialled_by, is_stale } = link;
        Self { ends: ends.map(End::from), dialled_by: dialled_by.map(|node| node.fingerprint()), stale: is_stale }
    }
}

impl From<LinkEnd> for End {
    fn from(end: LinkEnd) -> Self {
        let LinkEnd { node, round_trip } = end;
        let millis = |time: Duration| time.as_secs_f64() * 1_000.0;
        Self { node: node.fingerprint(), round_trip_ms: round_trip.map(millis) }
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Coordinator => "coordinator",
        Role::Node => "node",
    }
}

/// Who is linked to whom, through whom each member is reached, and how long pings take.
#[utoipa::path(get, path = "/api/v1/mesh", tag = "nodes", responses((status = 200, body = Mesh)))]
pub(crate) async fn show(State(app): State<App>, Caller(actor): Caller) -> Result<Json<Mesh>, WebError> {
    Ok(Json(app.coordinator.mesh_links(&actor).await?.into()))
}
