//! Issuing rosters: signed at once while the mesh key lies here, else left to whoever holds it.

use super::{Admission, NodeRecord};
use crate::keys::MeshKey;
use crate::store::tables::{AWAITED, COORDINATOR, NODES, RESTORED, ROSTER};
use crate::store::{Draft, Reads, StoreError};
use protocol::codec::{Decode, Encode};
use protocol::roster::{Member, MemberState, ROSTER_LIFETIME, Role, Roster, RosterHash, SignedRoster};
use protocol::text::Text;
use protocol::{NodeId, TargetSet, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// For so long the heads of rosters name a revoked key; by then every node that lives holds a roster that names it.
const NAMED_IN_HEADS: Duration = Duration::from_secs(30 * 24 * 3600);

/// The most keys that a head names, and that a node shuts out on a head's word.
const MAX_NAMED: usize = 1_024;

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

/// Two rosters of one epoch are signed with the mesh key: it is in two hands, or a restored store signs anew.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RosterAlarm {
    /// Of which epoch.
    pub epoch: u64,
    /// The one in force here.
    pub held: RosterHash,
    /// The other one.
    pub offered: RosterHash,
    /// Who handed it over.
    pub from: NodeId,
    /// When.
    pub at: Timestamp,
}

/// Makes the roster that the nodes in the store come to.
#[derive(Clone, Debug)]
pub(crate) struct Issuer {
    /// Signs, when it lies here.
    pub(crate) mesh_key: MeshKey,
}

/// What came of a change of nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Issued {
    /// In force from now on.
    Signed(CurrentRoster),
    /// It waits for the mesh key, or after a restore for the nodes to be heard.
    Awaited(Roster),
    /// The roster in force says it already.
    Unchanged,
}

impl Issuer {
    /// Issues a roster when the nodes of `draft` are others, or on other terms, than the one in force says.
    pub(crate) fn issue(&self, draft: &mut Draft, now: Timestamp) -> Result<Issued, StoreError> {
        let held = draft.get(&ROSTER, &())?;
        let next = self.next(draft, held.as_ref(), now)?;
        let before = held.as_ref().and_then(|held| held.signed.verify(self.mesh_key.id()).ok());
        if before.is_some_and(|before| before.members == next.members) {
            draft.remove(&AWAITED, &())?;
            return Ok(Issued::Unchanged);
        }
        self.put(draft, next)
    }

    /// Issues a roster even if it only lasts longer than the one in force.
    pub(crate) fn renew(&self, draft: &mut Draft, now: Timestamp) -> Result<Issued, StoreError> {
        let held = draft.get(&ROSTER, &())?;
        let next = self.next(draft, held.as_ref(), now)?;
        self.put(draft, next)
    }

    fn next(&self, draft: &Draft, held: Option<&CurrentRoster>, now: Timestamp) -> Result<Roster, StoreError> {
        let nodes = draft.iter(&NODES).map(|row| row.map(|(_, node)| node)).collect::<Result<Vec<_>, _>>()?;
        let coordinator = draft.get(&COORDINATOR, &())?.ok_or(StoreError::NoCoordinator)?.key;
        Ok(next(held, self.mesh_key.id(), coordinator, &nodes, now))
    }

    fn put(&self, draft: &mut Draft, next: Roster) -> Result<Issued, StoreError> {
        next.check_size()?;
        let is_restored = draft.contains(&RESTORED, &())?;
        match &self.mesh_key {
            MeshKey::Here(key) if !is_restored => {
                let fresh = CurrentRoster { epoch: next.epoch, signed: SignedRoster::sign(&next, key) };
                draft.put(&ROSTER, &(), &fresh)?;
                draft.remove(&AWAITED, &())?;
                Ok(Issued::Signed(fresh))
            }
            MeshKey::Here(_) | MeshKey::Elsewhere(_) => {
                draft.put(&AWAITED, &(), &next)?;
                Ok(Issued::Awaited(next))
            }
        }
    }
}

/// The roster after `held`: `coordinator`, the approved ones of `nodes`, and a tombstone for every key that was ever
/// revoked, or was the coordinator's.
pub(crate) fn next(
    held: Option<&CurrentRoster>,
    mesh: protocol::MeshId,
    coordinator: NodeId,
    nodes: &[NodeRecord],
    now: Timestamp,
) -> Roster {
    let hub = Member {
        key: coordinator,
        role: Role::Coordinator,
        state: MemberState::Approved,
        site: Text::default(),
        ranges: TargetSet::empty(),
        expires: None,
        may_sponsor: true,
    };
    let before = held.and_then(|held| held.signed.verify(mesh).ok());
    // A tombstone outlives its record.
    let is_gone = |member: &Member| member.state == MemberState::Revoked || member.role == Role::Coordinator;
    let gone = before.into_iter().flat_map(|before| before.members).filter(is_gone);
    let gone = gone.map(|member| Member { state: MemberState::Revoked, ..member });
    let known = nodes.iter().filter_map(NodeRecord::member);
    let members: BTreeMap<NodeId, Member> = known.chain(gone).chain([hub]).map(|member| (member.key, member)).collect();
    Roster {
        mesh,
        epoch: held.map_or(0, |held| held.epoch) + 1,
        previous: held.map_or([0; 32], CurrentRoster::hash),
        issued: now,
        not_after: now.plus(ROSTER_LIFETIME),
        members: members.into_values().collect(),
    }
}

/// The keys that the head of a roster names: those revoked lately, the latest first.
pub(crate) fn revoked_lately(nodes: &[NodeRecord], now: Timestamp) -> Vec<NodeId> {
    let revoked = |node: &NodeRecord| match &node.admission {
        Admission::Revoked { at, .. } if now.since(*at) <= NAMED_IN_HEADS => Some((*at, node.key)),
        Admission::Revoked { .. }
        | Admission::Pending
        | Admission::Denied { .. }
        | Admission::Approved(_)
        | Admission::Suspended { .. } => None,
    };
    let mut revoked: Vec<(Timestamp, NodeId)> = nodes.iter().filter_map(revoked).collect();
    revoked.sort_unstable_by(|a, b| b.cmp(a));
    revoked.into_iter().take(MAX_NAMED).map(|(_, key)| key).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{approval, record};
    use super::*;
    use protocol::Keypair;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    fn revoked(at: Timestamp) -> Admission {
        Admission::Revoked { reason: "stolen".into(), by: "ada".into(), at }
    }

    fn signed(nodes: &[NodeRecord], held: Option<&CurrentRoster>) -> (CurrentRoster, Roster) {
        let (mesh, hub) = (Keypair::from_seed(&[1; 32]), Keypair::from_seed(&[2; 32]).node_id());
        let roster = next(held, mesh.mesh_id(), hub, nodes, NOW);
        let signed = SignedRoster::sign(&roster, &mesh);
        assert_eq!(signed.verify(mesh.mesh_id()).unwrap(), roster, "it is sound");
        (CurrentRoster { epoch: roster.epoch, signed }, roster)
    }

    #[test]
    fn a_roster_lets_in_the_approved_and_nobody_else() {
        let denied = Admission::Denied { reason: "unknown".into(), by: "ada".into(), at: NOW };
        let terms = approval(NOW);
        let nodes = [
            record(3, Admission::Pending),
            record(4, Admission::Approved(terms.clone())),
            record(5, denied),
            record(6, revoked(NOW)),
        ];
        let (first, _) = signed(&nodes, None);
        let (_, roster) = signed(&nodes, Some(&first));
        assert_eq!((first.epoch, roster.epoch, roster.previous), (1, 2, first.hash()));
        let hub = Keypair::from_seed(&[2; 32]).node_id();
        assert_eq!(roster.coordinator(NOW).map(|member| member.key), Some(hub));
        let states: Vec<_> = nodes.iter().map(|node| roster.member(&node.key).map(|member| member.state)).collect();
        assert_eq!(states, [None, Some(MemberState::Approved), None, Some(MemberState::Revoked)]);
        assert_eq!(roster.member(&nodes[1].key).map(|member| &member.ranges), Some(&terms.ranges));
    }

    #[test]
    fn a_revoked_key_stays_out_even_when_its_record_is_lost_or_says_otherwise() {
        let (gone, back) = (record(3, revoked(NOW)), record(4, revoked(NOW)));
        let (first, _) = signed(&[gone.clone(), back.clone()], None);
        let restored = [record(4, Admission::Approved(approval(NOW)))];
        let (_, roster) = signed(&restored, Some(&first));
        for key in [gone.key, back.key] {
            assert_eq!(roster.member(&key).map(|member| member.state), Some(MemberState::Revoked));
        }
    }

    #[test]
    fn a_coordinator_that_another_takes_the_place_of_is_a_tombstone_for_good() {
        let mesh = Keypair::from_seed(&[1; 32]);
        let [first, second, third] = [2, 3, 4].map(|seed| Keypair::from_seed(&[seed; 32]).node_id());
        let mut held = None;
        for hub in [first, second, third, third] {
            let roster = next(held.as_ref(), mesh.mesh_id(), hub, &[], NOW);
            held = Some(CurrentRoster { epoch: roster.epoch, signed: SignedRoster::sign(&roster, &mesh) });
        }
        let roster = held.unwrap().signed.verify(mesh.mesh_id()).unwrap();
        assert_eq!(roster.coordinator(NOW).map(|member| member.key), Some(third));
        let told = [first, second].map(|key| roster.member(&key).map(|member| (member.role, member.state)));
        assert_eq!(told, [Some((Role::Coordinator, MemberState::Revoked)); 2]);
    }

    #[test]
    fn a_head_names_the_latest_revoked_keys_for_a_month() {
        let at = |days: u64| Timestamp::from_millis(days * 24 * 3_600_000);
        let nodes = [record(3, revoked(at(1))), record(4, revoked(at(20))), record(5, Admission::Pending)];
        assert_eq!(revoked_lately(&nodes, at(31)), [nodes[1].key, nodes[0].key]);
        assert_eq!(revoked_lately(&nodes, at(32)), [nodes[1].key]);
    }
}
