//! Troubleshooting by what is known now.

use super::UseCaseError;
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::checkup::{Cause, Facts, Question};
use protocol::Timestamp;

impl Coordinator {
    /// What people ask when something does not happen, each with the causes that are there now.
    pub async fn checkup(&self, actor: &Actor) -> Result<Vec<(Question, Vec<Cause>)>, UseCaseError> {
        actor.require(Right::Read)?;
        let (scans, nodes) = (self.scans(actor).await?, self.nodes(actor).await?);
        let refusal = self.ready().await.err().map(|error| error.to_string());
        let facts = Facts { scans: &scans, nodes: &nodes, refusal, now: Timestamp::now() };
        Ok(Question::ALL.into_iter().map(|question| (question, facts.causes(question))).collect())
    }
}
