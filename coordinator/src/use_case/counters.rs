//! What the mesh has counted, for those who watch it.

use super::UseCaseError;
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::hub::{Command, MeshCounters};
use tokio::sync::oneshot;

impl Coordinator {
    /// What was refused, passed on and lost at the mesh since the coordinator started.
    pub async fn mesh_counters(&self, actor: &Actor) -> Result<MeshCounters, UseCaseError> {
        actor.require(Right::Read)?;
        let (asked, answer) = oneshot::channel();
        self.hub().tell(Command::Counters(asked)).await;
        answer
            .await
            .map_err(|_| UseCaseError::Conflict("the coordinator is stopping; ask again when it is back".into()))
    }
}
