//! A member hands over a roster that is newer than the store knows: the store is an older one, or a copy of it signs
//! elsewhere. What the roster says is true; what was decided here since it was signed is kept and issued after it.

use super::{Admission, Approval, NodeRecord};
use protocol::message::NodeFacts;
use protocol::roster::{Member, MemberState, Role, Roster};
use protocol::text::Text;
use protocol::{NodeId, Timestamp};
use std::collections::BTreeMap;

/// In whose name records are changed.
const BY: &str = "roster";

/// The records that must change so that they agree with `roster`.
pub(crate) fn reconcile(nodes: &[NodeRecord], roster: &Roster, now: Timestamp) -> Vec<NodeRecord> {
    let mut known: BTreeMap<NodeId, &NodeRecord> = nodes.iter().map(|node| (node.key, node)).collect();
    let mut changed = Vec::new();
    for member in roster.members.iter().filter(|member| member.role == Role::Node) {
        let before = known.remove(&member.key);
        let after = match before {
            Some(node) => agreed(node, member, roster),
            None => Some(NodeRecord { admission: of_member(member, roster), ..unheard(member.key, now) }),
        };
        changed.extend(after.filter(|after| Some(after) != before));
    }
    let left_out = known.into_values().filter(|node| is_older(node, roster)).map(|node| NodeRecord {
        admission: Admission::Denied { reason: not_named(roster), by: BY.into(), at: roster.issued },
        ..node.clone()
    });
    changed.extend(left_out);
    changed
}

/// The record of a key that only a roster names.
fn unheard(key: NodeId, now: Timestamp) -> NodeRecord {
    let label: String = key.fingerprint().to_string().chars().take(9).collect();
    NodeRecord {
        key,
        sealing: None,
        label: Text::new(&label),
        facts: NodeFacts::default(),
        sponsor: None,
        first_asked: now,
        last_asked: now,
        admission: Admission::Pending,
        hidden: false,
        cloned: None,
    }
}

fn agreed(node: &NodeRecord, member: &Member, roster: &Roster) -> Option<NodeRecord> {
    let is_newer = match (&node.admission, member.state) {
        (Admission::Revoked { .. }, _) => true,
        (_, MemberState::Revoked) => false,
        (Admission::Approved(approval), MemberState::Approved) => {
            approval.at > roster.issued || node.member().as_ref() == Some(member)
        }
        (Admission::Suspended { at, .. }, MemberState::Approved) => {
            *at > roster.issued || node.member().as_ref() == Some(member)
        }
        (Admission::Denied { at, .. }, MemberState::Approved) => *at > roster.issued,
        (Admission::Pending, MemberState::Approved) => false,
    };
    (!is_newer).then(|| NodeRecord { admission: of_member(member, roster), ..node.clone() })
}

/// What a member's line says, as a decision.
fn of_member(member: &Member, roster: &Roster) -> Admission {
    let Member { key: _, role: _, state, site, ranges, expires, may_sponsor } = member.clone();
    let (by, at) = (Text::from(BY), roster.issued);
    match state {
        MemberState::Approved => Admission::Approved(Approval { ranges, site, expires, may_sponsor, by, at }),
        MemberState::Revoked => {
            let reason = Text::new(&format!("roster epoch {} names it as revoked", roster.epoch));
            Admission::Revoked { reason, by, at }
        }
    }
}

/// True for a node that was let in before `roster` was signed, which does not name it.
fn is_older(node: &NodeRecord, roster: &Roster) -> bool {
    match &node.admission {
        Admission::Approved(Approval { at, .. }) | Admission::Suspended { at, .. } => *at <= roster.issued,
        Admission::Pending | Admission::Denied { .. } | Admission::Revoked { .. } => false,
    }
}

fn not_named(roster: &Roster) -> Text {
    Text::new(&format!("roster epoch {}, which is newer than this store, does not name it", roster.epoch))
}

#[cfg(test)]
mod tests {
    use super::super::issuing::next;
    use super::super::tests::{approval, record};
    use super::*;
    use proptest::prelude::*;
    use protocol::Keypair;

    const SIGNED: Timestamp = Timestamp::from_millis(2_000);
    const NOW: Timestamp = Timestamp::from_millis(5_000);

    fn roster(nodes: &[NodeRecord]) -> Roster {
        let (mesh, hub) = (Keypair::from_seed(&[1; 32]).mesh_id(), Keypair::from_seed(&[2; 32]).node_id());
        next(None, mesh, hub, nodes, SIGNED)
    }

    fn seed(index: usize) -> u8 {
        3 + u8::try_from(index).unwrap()
    }

    fn admission(kind: u8, at: u64) -> Admission {
        let (at, reason, by) = (Timestamp::from_millis(at), Text::from("r"), Text::from("ada"));
        match kind {
            0 => Admission::Pending,
            1 => Admission::Denied { reason, by, at },
            2 => Admission::Approved(approval(at)),
            3 => Admission::Approved(Approval { ranges: "10.9.0.0/16".parse().unwrap(), ..approval(at) }),
            4 => Admission::Suspended { approval: approval(at), reason, by, at },
            _ => Admission::Revoked { reason, by, at },
        }
    }

    proptest! {
        #[test]
        fn no_tombstone_is_lost_and_what_was_decided_since_is_kept(
            here in proptest::collection::vec((0u8..6, 1_000u64..4_000), 8),
            there in proptest::collection::vec(0u8..7, 8),
        ) {
            let node = |(index, (kind, at)): (usize, &(u8, u64))| record(seed(index), admission(*kind, *at));
            let before: Vec<NodeRecord> = here.iter().enumerate().map(node).collect();
            // Kind 6: unknown there.
            let theirs = there.iter().enumerate().filter(|(_, kind)| **kind < 6);
            let theirs: Vec<NodeRecord> = theirs.map(|(i, kind)| record(seed(i), admission(*kind, 1_500))).collect();
            let roster = roster(&theirs);
            let mut after: BTreeMap<NodeId, NodeRecord> = before.iter().map(|node| (node.key, node.clone())).collect();
            after.extend(reconcile(&before, &roster, NOW).into_iter().map(|node| (node.key, node)));
            for node in &before {
                let now = &after[&node.key];
                let tombstone = roster.member(&node.key).is_some_and(|member| member.state == MemberState::Revoked);
                let revoked = |node: &NodeRecord| matches!(node.admission, Admission::Revoked { .. });
                prop_assert_eq!(revoked(now), tombstone || revoked(node));
                let decided_since = match &node.admission {
                    Admission::Approved(Approval { at, .. }) | Admission::Suspended { at, .. } => *at > SIGNED,
                    Admission::Pending | Admission::Denied { .. } | Admission::Revoked { .. } => false,
                };
                prop_assert!(!decided_since || tombstone || now == node);
                if let Some(member) = roster.member(&node.key).filter(|_| !decided_since && !revoked(now)) {
                    let denied_since = matches!(&node.admission, Admission::Denied { at, .. } if *at > SIGNED);
                    prop_assert!(denied_since || now.member().as_ref() == Some(member));
                }
            }
            let settled: Vec<NodeRecord> = after.into_values().collect();
            prop_assert!(reconcile(&settled, &roster, NOW).is_empty(), "once is enough");
        }
    }

    #[test]
    fn a_member_that_the_store_never_heard_of_is_taken_in_without_a_key_to_seal_to() {
        let found = reconcile(&[], &roster(&[record(3, admission(2, 1_500)), record(4, admission(5, 1_500))]), NOW);
        let told: Vec<_> = found.iter().map(|node| (node.sealing, node.approval().is_some())).collect();
        assert_eq!(told.iter().filter(|(_, is_in)| *is_in).count(), 1);
        assert!(told.iter().all(|(sealing, _)| sealing.is_none()));
    }
}
