//! Jobs: what the running scheduler holds, and making it anew from the store.

use super::UseCaseError;
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::audit;
use crate::schedule::jobs::JobView;
use protocol::Timestamp;

/// What a reload found and what it left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// Wake-ups that did not agree with the store.
    pub differed: Vec<JobView>,
    /// Every wake-up that is held now.
    pub jobs: Vec<JobView>,
}

impl Coordinator {
    /// Every wake-up of the running scheduler, and scans that lack one.
    pub async fn jobs(&self, actor: &Actor) -> Result<Vec<JobView>, UseCaseError> {
        actor.require(Right::Read)?;
        Ok(self.schedule().jobs().await?)
    }

    /// Drops every wake-up and makes them anew from the store.
    pub async fn reload_jobs(&self, actor: &Actor) -> Result<Reloaded, UseCaseError> {
        actor.require(Right::Administer)?;
        let (now, who) = (Timestamp::now(), actor.clone());
        self.store().update(move |draft| audit::note(draft, &who, "jobs reload", "all", now)).await?;
        let differed = self.schedule().reload().await?;
        Ok(Reloaded { differed, jobs: self.schedule().jobs().await? })
    }
}
