//! After a restore: nodes may hold rosters that the store does not know, and a second one of an epoch must never be
//! signed. So none is issued until the nodes were heard; what newer ones they hold is taken over meanwhile.

use super::Hub;
use crate::audit;
use crate::store::tables::RESTORED;
use crate::store::{Draft, Reads, StoreError};
use protocol::{NodeId, Timestamp};
use std::collections::BTreeSet;
use std::time::Duration;

/// Nodes that stay silent for so many times the patience with one that is away are not waited for when none was heard.
const SILENT_ROUNDS: u32 = 6;

/// The wait for the nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listening {
    /// Since when nodes had time to make themselves heard.
    since: Timestamp,
    /// Members that hold no later roster than this store.
    agreed: BTreeSet<NodeId>,
}

impl Listening {
    fn new(since: Timestamp) -> Self {
        Self { since, agreed: BTreeSet::new() }
    }

    /// Takes in which roster epoch a node holds, by a message that it signed.
    fn hear(&mut self, node: NodeId, theirs: u64, ours: u64) {
        if theirs <= ours {
            self.agreed.insert(node);
        } else {
            self.agreed.remove(&node);
        }
    }

    /// Whether no later roster is to be expected: every member agrees; or one does, and the others had `patience` to be
    /// heard; or nobody was heard for long.
    fn is_over<'a>(&self, mut members: impl Iterator<Item = &'a NodeId>, patience: Duration, now: Timestamp) -> bool {
        let waited = now.since(self.since);
        members.all(|member| self.agreed.contains(member))
            || !self.agreed.is_empty() && waited >= patience
            || waited >= patience * SILENT_ROUNDS
    }
}

impl Hub {
    /// Reads whether the store was restored and the nodes were not heard since.
    pub(super) async fn read_restored(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if self.store.read(|view| view.get(&RESTORED, &())).await?.is_some() {
            tracing::warn!("the store was restored: no roster is issued until the nodes were heard");
            self.listening = Some(Listening::new(now));
        }
        Ok(())
    }

    /// Notes which roster a node holds.
    pub(super) fn hear_epoch(&mut self, node: NodeId, epoch: u64) {
        let ours = self.roster.epoch;
        if let Some(listening) = &mut self.listening {
            listening.hear(node, epoch, ours);
        }
    }

    /// Goes back to issuing rosters once the nodes were heard; what was decided meanwhile is issued then.
    pub(super) async fn mind_restore(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let patience = self.timing.queue_deadline;
        let is_over = |listening: &Listening| listening.is_over(self.members.keys(), patience, now);
        let Some(listening) = self.listening.take_if(|listening| is_over(listening)) else { return Ok(()) };
        let (issuer, epoch, heard) = (self.enrolment.issuer.clone(), self.roster.epoch, listening.agreed.len());
        tracing::warn!(epoch, nodes = heard, "the nodes were heard after the restore; rosters are issued again");
        let over = self.store.update(move |draft: &mut Draft| {
            draft.remove(&RESTORED, &())?;
            let subject = format!("rosters are issued again from epoch {epoch} on; {heard} nodes were heard");
            audit::note(draft, &audit::mesh(), "store restored", &subject, now)?;
            issuer.issue(draft, now)
        });
        match over.await {
            Ok(issued) => self.on_issued(issued, &[], now).await,
            Err(error) => {
                self.listening = Some(listening);
                return Err(error);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId::from_bytes([1; 32]);
    const B: NodeId = NodeId::from_bytes([2; 32]);
    const PATIENCE: Duration = Duration::from_secs(600);

    #[test]
    fn rosters_wait_until_no_later_one_is_to_be_expected() {
        let at = |seconds: u64| Timestamp::from_millis(1_000_000 + 1_000 * seconds);
        let is_over = |said: &[(NodeId, u64)], members: &[NodeId], seconds: u64| {
            let mut listening = Listening::new(at(0));
            said.iter().for_each(|(node, epoch)| listening.hear(*node, *epoch, 5));
            listening.is_over(members.iter(), PATIENCE, at(seconds))
        };
        assert!(is_over(&[], &[], 0), "a mesh without nodes has nobody to ask");
        assert!(!is_over(&[], &[A], 3_599));
        assert!(is_over(&[], &[A], 3_600), "nobody will answer any more");
        assert!(is_over(&[(A, 5), (B, 4)], &[A, B], 0));
        assert!(!is_over(&[(A, 5)], &[A, B], 599), "the other one may know more");
        assert!(is_over(&[(A, 5)], &[A, B], 600));
        assert!(!is_over(&[(A, 6)], &[A], 600), "its roster is still to come");
        assert!(!is_over(&[(A, 5), (A, 6)], &[A], 600), "it has heard of a later one meanwhile");
    }
}
