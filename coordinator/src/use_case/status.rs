//! What the coordinator says of itself: how long it has run, where it listens, whether it begins new work.

use super::UseCaseError;
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use protocol::{MeshId, NodeId};
use std::net::SocketAddr;
use std::time::Duration;

/// How the coordinator is at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Since it was started, by a clock that nobody can set.
    pub uptime: Duration,
    /// The mesh.
    pub mesh: MeshId,
    /// Its own key.
    pub key: NodeId,
    /// Where nodes reach it.
    pub mesh_addresses: Vec<SocketAddr>,
    /// Where nodes ask to join.
    pub enrolment_addresses: Vec<SocketAddr>,
    /// Why no new work is begun, if none is.
    pub refusal: Option<String>,
}

impl Coordinator {
    /// How the coordinator is now.
    pub async fn status(&self, actor: &Actor) -> Result<Status, UseCaseError> {
        actor.require(Right::Read)?;
        Ok(Status {
            uptime: self.0.started.elapsed(),
            mesh: self.mesh_id(),
            key: self.id(),
            mesh_addresses: self.mesh_addresses(),
            enrolment_addresses: self.enrolment_addresses(),
            refusal: self.room().await.err().map(|refusal| refusal.to_string()),
        })
    }
}
