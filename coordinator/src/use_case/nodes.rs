//! Nodes: seeing them and how they are. What is decided about them stands beside this.

pub(crate) mod decide;
mod status;
#[cfg(test)]
mod tests;

use super::UseCaseError;
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::presence::Presence;
use crate::registry::ending::Ending;
use crate::registry::{Admission, NodeRecord};
use crate::store::tables::{NODES, ROSTER};
use crate::store::{Reads, StoreError};
use protocol::roster::{MemberState, Roster};
use protocol::text::Text;
use protocol::{Fingerprint, NodeId, Timestamp};
use std::collections::BTreeMap;

/// A node with what is known of it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// As kept.
    pub record: NodeRecord,
    /// What people call the member through which it asked, when there is one.
    pub sponsor: Option<Text>,
    /// What it last said; `None` when it was not heard since the coordinator started.
    pub presence: Option<Presence>,
    /// How it is.
    pub status: NodeStatus,
    /// True while what was decided waits for the mesh key's signature.
    pub is_awaited: bool,
    /// How near the end of its approval is.
    pub ending: Option<Ending>,
}

/// How a node is (SPEC M6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeStatus {
    /// Waits for a decision.
    Pending,
    /// Was turned away.
    Denied,
    /// Was thrown out for good.
    Revoked,
    /// Was let in by a roster that the mesh key has not signed yet.
    Awaited,
    /// There, with nothing to do.
    Online,
    /// There, at work.
    Scanning,
    /// Not there.
    Offline {
        /// The last word from it.
        since: Option<Timestamp>,
        /// Why it counts as offline.
        reason: &'static str,
    },
    /// Its approval has ended.
    Expired,
    /// Kept out until somebody approves it again.
    Suspended,
    /// Its key is used on two machines; neither is trusted until a person says so.
    Cloned {
        /// Since when that is known.
        since: Timestamp,
    },
}

impl NodeStatus {
    /// The word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Denied => "denied",
            Self::Revoked => "revoked",
            Self::Awaited => "awaiting signature",
            Self::Online => "online",
            Self::Scanning => "scanning",
            Self::Offline { .. } => "offline",
            Self::Expired => "expired",
            Self::Suspended => "suspended",
            Self::Cloned { .. } => "cloned",
        }
    }
}

/// Every node there is, in key order.
pub(crate) fn all(reads: &impl Reads) -> Result<Vec<NodeRecord>, StoreError> {
    reads.iter(&NODES).map(|row| row.map(|(_, node)| node)).collect()
}

impl Coordinator {
    /// Every node, pending ones first, then by label.
    pub async fn nodes(&self, actor: &Actor) -> Result<Vec<NodeView>, UseCaseError> {
        actor.require(Right::Read)?;
        let now = Timestamp::now();
        let (records, held) = self.store().read(|view| Ok((all(view)?, view.get(&ROSTER, &())?))).await?;
        let roster = held.and_then(|held| held.signed.verify(self.mesh_id()).ok());
        let labels: BTreeMap<NodeId, Text> = records.iter().map(|node| (node.key, node.label.clone())).collect();
        let fresh = records.into_iter().filter(|node| !node.is_stale(now));
        let view = |node: NodeRecord| {
            let sponsor = node.sponsor.and_then(|sponsor| labels.get(&sponsor).cloned());
            NodeView { sponsor, ..self.view_node(node, roster.as_ref(), now) }
        };
        let mut views: Vec<NodeView> = fresh.map(view).collect();
        views.sort_by_key(|view| (!view.record.is_pending(), view.record.label.clone(), view.record.key));
        Ok(views)
    }

    /// The node with this key.
    pub async fn node(&self, actor: &Actor, fingerprint: &Fingerprint) -> Result<NodeView, UseCaseError> {
        let nodes = self.nodes(actor).await?;
        let found = nodes.into_iter().find(|view| view.record.key.fingerprint() == *fingerprint);
        found.ok_or_else(|| UseCaseError::no_node(fingerprint))
    }

    fn view_node(&self, record: NodeRecord, roster: Option<&Roster>, now: Timestamp) -> NodeView {
        let presence = self.presences().get(&record.key);
        let named = roster.and_then(|roster| roster.member(&record.key));
        let is_named_in = named.is_some_and(|member| member.state == MemberState::Approved);
        let status = match &record.admission {
            Admission::Pending => NodeStatus::Pending,
            Admission::Denied { .. } => NodeStatus::Denied,
            Admission::Revoked { .. } => NodeStatus::Revoked,
            Admission::Suspended { .. } => NodeStatus::Suspended,
            Admission::Approved(approval) if approval.has_ended(now) => NodeStatus::Expired,
            Admission::Approved(_) if !is_named_in => NodeStatus::Awaited,
            Admission::Approved(_) if record.sealing.is_none() => {
                let reason = "only a roster names it; let it join again, so that it can be written to";
                NodeStatus::Offline { since: None, reason }
            }
            Admission::Approved(_) => match record.cloned {
                Some(since) => NodeStatus::Cloned { since },
                None => self.live_status(&record.key, presence.as_ref(), now),
            },
        };
        let ending = Ending::of(record.approval().and_then(|approval| approval.expires), now);
        let is_awaited = match (&record.admission, named) {
            (Admission::Revoked { .. }, Some(_)) => is_named_in,
            _ => record.member().as_ref() != named,
        };
        NodeView { is_awaited, record, sponsor: None, presence, status, ending }
    }
}
