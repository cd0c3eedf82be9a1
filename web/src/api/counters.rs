//! What the mesh has passed on, lost and refused: an attack that fails leaves its traces here.

use crate::App;
use crate::error::WebError;
use crate::session::Caller;
use axum::Json;
use axum::extract::State;
use coordinator::{MeshCounters, Refused};
use protocol::mesh::{Counters, EnrolCounters};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Counted since the coordinator started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MeshCounts {
    /// Letters of others that were passed on.
    pub letters_forwarded: u64,
    /// Letters of others that were not passed on, for whatever reason.
    pub letters_not_forwarded: u64,
    /// Connections refused at the mesh port: strangers, another mesh, too many, or silent in the handshake.
    pub connections_refused: u64,
    /// Frames of members that were too long, garbled, or never finished.
    pub frames_unreadable: u64,
    /// Messages that no honest member hands over.
    pub messages_forged: u64,
    /// Messages that were overtaken by something newer.
    pub messages_outdated: u64,
    /// Messages that are too old, or from the future.
    pub messages_out_of_time: u64,
    /// Letters that are not sealed to the coordinator, or were changed.
    pub letters_unopened: u64,
    /// Letters of keys that are no approved node.
    pub letters_of_strangers: u64,
    /// Letters that are forged, damaged, or out of time.
    pub letters_unbelieved: u64,
    /// Letters that were heard before.
    pub letters_replayed: u64,
    /// Letters of a kind that nodes may not send.
    pub letters_of_wrong_role: u64,
    /// Results that are too large, damaged, or claim what their task does not ask.
    pub results_refused: u64,
    /// Connections refused at the enrolment port.
    pub enrolment_connections_refused: u64,
    /// Frames at the enrolment port that were too long, garbled, or never finished.
    pub enrolment_frames_unreadable: u64,
    /// Requests to join that are forged, too many, or show a secret that opens nothing.
    pub enrolment_requests_refused: u64,
}

impl From<MeshCounters> for MeshCounts {
    fn from(counted: MeshCounters) -> Self {
        let MeshCounters { mesh, enrolment, refused } = counted;
        let Counters { forwarded, busy, no_way, circled, too_many_hops, late, .. } = mesh;
        let Counters { refused_connections, unreadable, forged, outdated, out_of_time, .. } = mesh;
        let Refused { unopened, strangers, unbelieved, replayed, wrong_role, results, requests } = refused;
        let EnrolCounters { refused_connections: enrolment_refused, unreadable: enrolment_unreadable } = enrolment;
        Self {
            letters_forwarded: forwarded,
            letters_not_forwarded: busy + no_way + circled + too_many_hops + late,
            connections_refused: refused_connections,
            frames_unreadable: unreadable,
            messages_forged: forged,
            messages_outdated: outdated,
            messages_out_of_time: out_of_time,
            letters_unopened: unopened,
            letters_of_strangers: strangers,
            letters_unbelieved: unbelieved,
            letters_replayed: replayed,
            letters_of_wrong_role: wrong_role,
            results_refused: results,
            enrolment_connections_refused: enrolment_refused,
            enrolment_frames_unreadable: enrolment_unreadable,
            enrolment_requests_refused: requests,
        }
    }
}

/// What was passed on, lost and refused.
#[utoipa::path(get, path = "/api/v1/mesh/counters", tag = "mesh", responses((status = 200, body = MeshCounts)))]
pub(crate) async fn show(State(app): State<App>, Caller(actor): Caller) -> Result<Json<MeshCounts>, WebError> {
    Ok(Json(app.coordinator.mesh_counters(&actor).await?.into()))
}
