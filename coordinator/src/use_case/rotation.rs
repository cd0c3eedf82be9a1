//! The coordinator goes on under another key: decided here, in force once a roster says so.
//!
//! What is on its way meanwhile is sealed to the old key, and opened by nobody any more: nodes keep what has no receipt,
//! and seal it anew to the card of whom the roster names. The old key opens nothing from then on, because a key that may
//! have been stolen is the usual reason to replace it.

use super::UseCaseError;
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::audit;
use crate::hub::Command;
use crate::registry::issuing::{Issued, Issuer};
use crate::start::card_of;
use crate::store::tables::COORDINATOR;
use crate::store::{Draft, Reads, StoreError};
use protocol::card::Card;
use protocol::{Keypair, NodeId, Timestamp};

/// The key that takes the place of the coordinator's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Which one.
    pub next: NodeId,
    /// True while the roster that says so waits for the mesh key; the old key serves until then.
    pub is_awaited: bool,
}

impl Coordinator {
    /// Has the coordinator go on under a new key, and makes a tombstone of its old one. Invites stay good.
    pub async fn rotate_key(&self, actor: &Actor) -> Result<Rotation, UseCaseError> {
        actor.require(Right::Approve)?;
        // Beside the present one, and on disk before anything names it: a crash leaves a key that serves.
        let next = self.next_keypair().await?;
        let now = Timestamp::now();
        let card = card_of(&next, self.mesh_addresses(), now);
        let (who, issuer, own) = (actor.clone(), self.issuer().clone(), self.id());
        let begun = self.store().update(move |draft| begin(draft, own, &card, &issuer, &who, now)).await?;
        let is_awaited = matches!(begun, Issued::Awaited(_));
        self.hub().tell(Command::Issued(begun, Vec::new())).await;
        Ok(Rotation { next: next.node_id(), is_awaited })
    }

    async fn next_keypair(&self) -> Result<Keypair, UseCaseError> {
        let folder = self.folder().clone();
        match tokio::task::spawn_blocking(move || folder.next_keypair()).await {
            Ok(Ok(next)) => Ok(next),
            Ok(Err(error)) => Err(UseCaseError::Conflict(format!("no new key can be kept: {error}"))),
            Err(_) => Err(StoreError::Interrupted.into()),
        }
    }
}

fn begin(
    draft: &mut Draft,
    own: NodeId,
    card: &Card,
    issuer: &Issuer,
    actor: &Actor,
    now: Timestamp,
) -> Result<Issued, UseCaseError> {
    if draft.get(&COORDINATOR, &())?.is_some_and(|meant| meant.key != own) {
        let reason = if issuer.mesh_key.is_here() {
            "the coordinator is about to go on under a new key; look again in a moment"
        } else {
            "a new key of the coordinator waits for its signature already; sign it with `portdrift keys approve --mesh-key FILE`"
        };
        return Err(UseCaseError::Conflict(reason.to_owned()));
    }
    audit::note(draft, actor, "coordinator rotate", &format!("{own} goes on as {}", card.key), now)?;
    draft.put(&COORDINATOR, &(), card)?;
    Ok(issuer.issue(draft, now)?)
}

#[cfg(test)]
mod tests;
