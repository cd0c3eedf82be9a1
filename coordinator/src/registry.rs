//! Nodes: who asked, who was let in with which ranges, and the rosters that say so.

pub(crate) mod decision;
pub mod ending;
pub(crate) mod issuing;
pub(crate) mod reconcile;

pub use decision::Misfit;
pub use issuing::{CurrentRoster, RosterAlarm};

use protocol::codec::{Decode, Encode};
use protocol::letter::SealingKey;
use protocol::message::{EnrolRequest, NodeFacts};
use protocol::roster::{Member, MemberState, Role};
use protocol::text::Text;
use protocol::{NodeId, TargetSet, Timestamp};
use std::time::Duration;

/// The most nodes that may wait for a decision.
pub const MAX_PENDING: usize = 500;

/// How many of them one sponsor may have passed on, and all sponsors together: what it costs to make up keys is little,
/// and neither a hostile sponsor nor all of them shut out who asks elsewhere.
pub const MAX_PENDING_THROUGH_ONE: usize = MAX_PENDING / 10;
/// See [`MAX_PENDING_THROUGH_ONE`].
pub const MAX_PENDING_THROUGH_ANY: usize = MAX_PENDING / 2;

/// How long a waiting node is remembered after it last asked.
pub const PENDING_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// A node as kept: what it said of itself, and what was decided.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NodeRecord {
    /// Its key, which is its identity.
    pub key: NodeId,
    /// What to seal to; `None` for a node that a roster names and that never asked this store.
    pub sealing: Option<SealingKey>,
    /// What people call it; at first what it calls itself.
    pub label: Text,
    /// What it says of itself.
    pub facts: NodeFacts,
    /// The member that passed its request on; `None` when it asked here.
    pub sponsor: Option<NodeId>,
    /// When it first asked.
    pub first_asked: Timestamp,
    /// When it last asked.
    pub last_asked: Timestamp,
    /// What was decided.
    pub admission: Admission,
    /// Left out of lists unless asked for; it works all the same.
    pub hidden: bool,
    /// Since when its key is known to be used on two machines: it is given nothing until a person trusts it again.
    pub cloned: Option<Timestamp>,
}

/// What was decided about a node.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Admission {
    /// Nothing yet.
    Pending,
    /// In.
    Approved(Approval),
    /// Out.
    Denied {
        /// Why, in the words of whoever decided.
        reason: Text,
        /// Who.
        by: Text,
        /// When.
        at: Timestamp,
    },
    /// Out for good: every later roster names this key as revoked.
    Revoked {
        /// Why, in the words of whoever decided.
        reason: Text,
        /// Who.
        by: Text,
        /// When.
        at: Timestamp,
    },
    /// Out until it is approved again; rosters name it as a key whose time is over.
    Suspended {
        /// The terms on which it was in, and will be again.
        approval: Approval,
        /// Why, in the words of whoever decided.
        reason: Text,
        /// Who.
        by: Text,
        /// When.
        at: Timestamp,
    },
}

/// On which terms a node is in.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Approval {
    /// What it may scan; never empty.
    pub ranges: TargetSet,
    /// Where it stands.
    pub site: Text,
    /// After this it counts as out.
    pub expires: Option<Timestamp>,
    /// Whether it may pass on the requests of strangers.
    pub may_sponsor: bool,
    /// Who let it in; `invite` for a pre-approved one.
    pub by: Text,
    /// When.
    pub at: Timestamp,
}

/// A pre-approval that an invite carries; kept under the name of its secret.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PreApproval {
    /// What the node will be allowed to scan.
    pub ranges: TargetSet,
    /// Where it stands.
    pub site: Text,
    /// After this the secret opens nothing.
    pub expires: Timestamp,
    /// Who made it.
    pub by: Text,
    /// Which node used it; it works once.
    pub used_by: Option<NodeId>,
}

impl PreApproval {
    /// True while it lets in the first node that proves to know its secret.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.used_by.is_none() && now <= self.expires
    }
}

impl NodeRecord {
    /// A node that asks for the first time.
    pub fn asked(key: NodeId, request: &EnrolRequest, now: Timestamp) -> Self {
        Self {
            key,
            sealing: Some(request.sealing),
            label: request.label.clone(),
            facts: request.facts.clone(),
            sponsor: None,
            first_asked: now,
            last_asked: now,
            admission: Admission::Pending,
            hidden: false,
            cloned: None,
        }
    }

    /// On which terms it is in.
    pub fn approval(&self) -> Option<&Approval> {
        match &self.admission {
            Admission::Approved(approval) => Some(approval),
            Admission::Pending | Admission::Denied { .. } | Admission::Revoked { .. } | Admission::Suspended { .. } => {
                None
            }
        }
    }

    /// On which terms it is in, or was until it was suspended.
    pub fn terms(&self) -> Option<&Approval> {
        match &self.admission {
            Admission::Approved(approval) | Admission::Suspended { approval, .. } => Some(approval),
            Admission::Pending | Admission::Denied { .. } | Admission::Revoked { .. } => None,
        }
    }

    /// True when it is in at `now`, as far as this store knows.
    pub fn is_in(&self, now: Timestamp) -> bool {
        self.approval().is_some_and(|approval| !approval.has_ended(now))
    }

    /// True while nothing was decided.
    pub fn is_pending(&self) -> bool {
        self.admission == Admission::Pending
    }

    /// True when a waiting node has not asked for too long to be kept.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        self.is_pending() && now.since(self.last_asked) > PENDING_LIFETIME
    }

    /// What a roster says of it; nothing of a node that was never let in.
    pub(crate) fn member(&self) -> Option<Member> {
        let (state, approval, end) = match &self.admission {
            Admission::Approved(approval) => (MemberState::Approved, Some(approval), approval.expires),
            Admission::Suspended { approval, at, .. } => {
                let end = approval.expires.map_or(*at, |end| end.min(*at));
                (MemberState::Approved, Some(approval), Some(end))
            }
            Admission::Revoked { .. } => (MemberState::Revoked, None, None),
            Admission::Pending | Admission::Denied { .. } => return None,
        };
        Some(Member {
            key: self.key,
            role: Role::Node,
            state,
            site: approval.map(|approval| approval.site.clone()).unwrap_or_default(),
            ranges: approval.map_or_else(TargetSet::empty, |approval| approval.ranges.clone()),
            expires: end,
            may_sponsor: approval.is_some_and(|approval| approval.may_sponsor),
        })
    }
}

impl Approval {
    /// True once it has ended.
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|end| now > end)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use protocol::Keypair;

    /// The record of a node that asked at 1 ms.
    pub(crate) fn record(seed: u8, admission: Admission) -> NodeRecord {
        let key = Keypair::from_seed(&[seed; 32]).node_id();
        let request = EnrolRequest {
            sealing: SealingKey::from_bytes([seed; 32]),
            label: "lab".into(),
            facts: NodeFacts::default(),
            secret: None,
            succeeds: None,
        };
        NodeRecord { admission, ..NodeRecord::asked(key, &request, Timestamp::from_millis(1)) }
    }

    /// Let in by ada for 10.0.0.0/24.
    pub(crate) fn approval(at: Timestamp) -> Approval {
        Approval {
            ranges: "10.0.0.0/24".parse().unwrap(),
            site: "main".into(),
            expires: None,
            may_sponsor: false,
            by: "ada".into(),
            at,
        }
    }

    #[test]
    fn a_waiting_node_is_forgotten_after_a_day_of_silence() {
        let node = record(3, Admission::Pending);
        assert!(!node.is_stale(node.last_asked.plus(PENDING_LIFETIME)));
        assert!(node.is_stale(node.last_asked.plus(PENDING_LIFETIME + Duration::from_millis(1))));
    }
}
