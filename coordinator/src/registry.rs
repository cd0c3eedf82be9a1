//! Nodes: who asked, who was let in with which ranges, and the rosters that say so.

use protocol::codec::{Decode, Encode};
use protocol::letter::SealingKey;
use protocol::message::{EnrolRequest, NodeFacts};
use protocol::roster::{Member, MemberState, ROSTER_LIFETIME, Role, Roster, RosterHash, SignedRoster};
use protocol::text::Text;
use protocol::{Keypair, NodeId, TargetSet, Timestamp};
use std::time::Duration;

/// The most nodes that may wait for a decision.
pub const MAX_PENDING: usize = 500;

/// How long a waiting node is remembered after it last asked.
pub const PENDING_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// A node as kept: what it said of itself, and what was decided.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NodeRecord {
    /// Its key, which is its identity.
    pub key: NodeId,
    /// What to seal to.
    pub sealing: SealingKey,
    /// What people call it; at first what it calls itself.
    pub label: Text,
    /// What it says of itself.
    pub facts: NodeFacts,
    /// When it first asked.
    pub first_asked: Timestamp,
    /// When it last asked.
    pub last_asked: Timestamp,
    /// What was decided.
    pub admission: Admission,
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
    /// Who let it in; `invite` for a pre-approved one.
    pub by: Text,
    /// When.
    pub at: Timestamp,
}

/// The roster in force, as kept.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CurrentRoster {
    /// Its epoch.
    pub epoch: u64,
    /// As it travels.
    pub signed: SignedRoster,
}

impl CurrentRoster {
    /// Its hash.
    pub fn hash(&self) -> RosterHash {
        self.signed.hash()
    }
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
            sealing: request.sealing,
            label: request.label.clone(),
            facts: request.facts.clone(),
            first_asked: now,
            last_asked: now,
            admission: Admission::Pending,
        }
    }

    /// On which terms it is in.
    pub fn approval(&self) -> Option<&Approval> {
        match &self.admission {
            Admission::Approved(approval) => Some(approval),
            Admission::Pending | Admission::Denied { .. } => None,
        }
    }

    /// True while nothing was decided.
    pub fn is_pending(&self) -> bool {
        self.admission == Admission::Pending
    }

    /// True when a waiting node has not asked for too long to be kept.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        self.is_pending() && now.since(self.last_asked) > PENDING_LIFETIME
    }

    fn member(&self) -> Option<Member> {
        let Approval { ranges, site, expires, by: _, at: _ } = self.approval()?.clone();
        Some(Member {
            key: self.key,
            role: Role::Node,
            state: MemberState::Approved,
            site,
            ranges,
            expires,
            may_sponsor: false,
        })
    }
}

/// The roster after `before` that lets in `coordinator` and every approved one of `nodes`.
pub fn issue(
    before: Option<&CurrentRoster>,
    coordinator: NodeId,
    nodes: &[NodeRecord],
    mesh_key: &Keypair,
    now: Timestamp,
) -> CurrentRoster {
    let hub = Member {
        key: coordinator,
        role: Role::Coordinator,
        state: MemberState::Approved,
        site: Text::default(),
        ranges: TargetSet::empty(),
        expires: None,
        may_sponsor: true,
    };
    let mut members: Vec<Member> = nodes.iter().filter_map(NodeRecord::member).chain([hub]).collect();
    members.sort_by_key(|member| member.key);
    let epoch = before.map_or(0, |before| before.epoch) + 1;
    let roster = Roster {
        mesh: mesh_key.mesh_id(),
        epoch,
        previous: before.map_or([0; 32], CurrentRoster::hash),
        issued: now,
        not_after: now.plus(ROSTER_LIFETIME),
        members,
    };
    CurrentRoster { epoch, signed: SignedRoster::sign(&roster, mesh_key) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(seed: u8, admission: Admission) -> NodeRecord {
        let key = Keypair::from_seed(&[seed; 32]).node_id();
        let request = EnrolRequest {
            sealing: SealingKey::from_bytes([seed; 32]),
            label: "lab".into(),
            facts: NodeFacts::default(),
            secret: None,
        };
        NodeRecord { admission, ..NodeRecord::asked(key, &request, Timestamp::from_millis(1)) }
    }

    #[test]
    fn a_roster_lets_in_the_approved_and_nobody_else() {
        let (mesh, hub) = (Keypair::from_seed(&[1; 32]), Keypair::from_seed(&[2; 32]).node_id());
        let now = Timestamp::from_millis(1_000);
        let approval = Approval {
            ranges: "10.0.0.0/24".parse().unwrap(),
            site: "main".into(),
            expires: None,
            by: "ada".into(),
            at: now,
        };
        let denied = Admission::Denied { reason: "unknown".into(), by: "ada".into(), at: now };
        let nodes =
            [record(3, Admission::Pending), record(4, Admission::Approved(approval.clone())), record(5, denied)];
        let first = issue(None, hub, &nodes, &mesh, now);
        let second = issue(Some(&first), hub, &nodes, &mesh, now);
        let roster = second.signed.verify(mesh.mesh_id()).unwrap();
        assert_eq!((first.epoch, roster.epoch, roster.previous), (1, 2, first.hash()));
        assert_eq!(roster.coordinator(now).map(|member| member.key), Some(hub));
        assert_eq!(roster.members.len(), 2);
        assert_eq!(roster.member(&nodes[1].key).map(|member| &member.ranges), Some(&approval.ranges));
    }

    #[test]
    fn a_waiting_node_is_forgotten_after_a_day_of_silence() {
        let node = record(3, Admission::Pending);
        assert!(!node.is_stale(node.last_asked.plus(PENDING_LIFETIME)));
        assert!(node.is_stale(node.last_asked.plus(PENDING_LIFETIME + Duration::from_millis(1))));
    }
}
