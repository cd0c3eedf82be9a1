//! Who may be connected: the approved members of the roster in force, and nobody without one.

use crate::identity::{MeshId, NodeId};
use crate::message::RosterHead;
use crate::roster::{Precedence, Role, Roster, RosterError, RosterHash, SignedRoster, precedence};
use crate::time::Timestamp;
use std::collections::BTreeSet;

/// The most keys that are shut out on a roster head's word.
const MAX_BARRED: usize = 1_024;

/// The roster in force and whom it lets in.
#[derive(Debug)]
pub(super) struct Gate {
    mesh: MeshId,
    me: NodeId,
    held: Option<Held>,
    /// Keys that a head calls revoked, until the roster of its epoch comes.
    barred: BTreeSet<NodeId>,
    barred_epoch: u64,
    /// The highest epoch that anyone spoke of.
    sought: u64,
    inside: BTreeSet<NodeId>,
    /// The times around now at which a key expires; who is in changes there, and with a roster or a head.
    between: Option<(Option<Timestamp>, Option<Timestamp>)>,
}

#[derive(Debug)]
struct Held {
    signed: SignedRoster,
    roster: Roster,
    hash: RosterHash,
}

/// Whom to let in and whom to throw out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) entering: Vec<NodeId>,
    pub(super) leaving: Vec<NodeId>,
}

impl Gate {
    pub(super) fn new(mesh: MeshId, me: NodeId) -> Self {
        Self {
            mesh,
            me,
            held: None,
            barred: BTreeSet::new(),
            barred_epoch: 0,
            sought: 0,
            inside: BTreeSet::new(),
            between: None,
        }
    }

    /// Takes the roster in force if it is newer; [`Self::changes`] tells what follows.
    pub(super) fn adopt(&mut self, signed: SignedRoster) -> Result<Precedence, RosterError> {
        let roster = signed.verify(self.mesh)?;
        let hash = signed.hash();
        let found = precedence(self.version(), (roster.epoch, hash));
        if found == Precedence::Newer {
            if roster.epoch >= self.barred_epoch {
                self.barred.clear();
            }
            self.held = Some(Held { signed, roster, hash });
            self.between = None;
        }
        Ok(found)
    }

    /// Shuts out the keys that a newer roster is said to revoke.
    pub(super) fn bar(&mut self, head: &RosterHead) {
        if head.epoch > self.epoch() {
            self.barred_epoch = self.barred_epoch.max(head.epoch);
            let room = MAX_BARRED.saturating_sub(self.barred.len());
            self.barred.extend(head.revoked.iter().copied().take(room));
            self.between = None;
        }
    }

    /// What changed since the last call: by a new roster, a head, or a key that expired.
    pub(super) fn changes(&mut self, now: Timestamp) -> Changes {
        let is_between = |(before, after): (Option<Timestamp>, Option<Timestamp>)| {
            before.is_none_or(|end| end < now) && after.is_none_or(|end| now <= end)
        };
        if self.between.is_some_and(is_between) {
            return Changes::default();
        }
        let ends = || self.roster().into_iter().flat_map(|roster| &roster.members).filter_map(|member| member.expires);
        self.between = Some((ends().filter(|end| *end < now).max(), ends().filter(|end| *end >= now).min()));
        let wanted = self.wanted(now);
        let entering = wanted.difference(&self.inside).copied().collect();
        let leaving = self.inside.difference(&wanted).copied().collect();
        self.inside = wanted;
        Changes { entering, leaving }
    }

    /// When the next key expires, as of the latest [`Self::changes`].
    pub(super) fn next_end(&self) -> Option<Timestamp> {
        self.between.and_then(|(_, end)| end)
    }

    fn wanted(&self, now: Timestamp) -> BTreeSet<NodeId> {
        let approved = self.held.iter().flat_map(|held| held.roster.approved(now));
        approved.map(|member| member.key).filter(|key| *key != self.me && !self.barred.contains(key)).collect()
    }

    /// Everybody who is let in.
    pub(super) fn inside(&self) -> &BTreeSet<NodeId> {
        &self.inside
    }

    pub(super) fn lets_in(&self, node: &NodeId) -> bool {
        self.inside.contains(node)
    }

    pub(super) fn is_coordinator(&self, node: &NodeId) -> bool {
        self.lets_in(node) && self.roster().and_then(|r| r.member(node)).is_some_and(|m| m.role == Role::Coordinator)
    }

    pub(super) fn roster(&self) -> Option<&Roster> {
        self.held.as_ref().map(|held| &held.roster)
    }

    pub(super) fn signed(&self) -> Option<&SignedRoster> {
        self.held.as_ref().map(|held| &held.signed)
    }

    /// Epoch and hash.
    pub(super) fn version(&self) -> Option<(u64, RosterHash)> {
        self.held.as_ref().map(|held| (held.roster.epoch, held.hash))
    }

    /// 0 without a roster.
    pub(super) fn epoch(&self) -> u64 {
        self.version().map_or(0, |(epoch, _)| epoch)
    }

    /// The highest epoch that a beacon or head spoke of.
    pub(super) fn sought(&self) -> u64 {
        self.sought
    }

    /// How (epoch, hash), which the coordinator speaks of, relates to the roster in force.
    pub(super) fn seek(&mut self, offered: (u64, RosterHash)) -> Precedence {
        self.sought = self.sought.max(offered.0);
        precedence(self.version(), offered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Keypair;
    use crate::mesh::tests::kit;
    use crate::roster::MemberState;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn key(seed: u8) -> NodeId {
        Keypair::from_seed(&[seed; 32]).node_id()
    }

    #[test]
    fn without_a_roster_nobody_comes_in() {
        let mut gate = Gate::new(kit::mesh_id(), key(1));
        assert_eq!(gate.changes(NOW), Changes::default());
        assert!(!gate.lets_in(&key(2)));
    }

    #[test]
    fn a_newer_roster_changes_who_is_in_and_an_older_one_nothing() {
        let mut gate = Gate::new(kit::mesh_id(), key(1));
        let both = kit::roster(1, &[(1, Role::Coordinator), (2, Role::Node), (3, Role::Node)]);
        assert_eq!(gate.adopt(both.clone()).unwrap(), Precedence::Newer);
        let mut expected = vec![key(2), key(3)];
        expected.sort();
        assert_eq!(gate.changes(NOW).entering, expected);
        let revoked = kit::roster_with(2, &[(1, Role::Coordinator), (2, Role::Node), (3, Role::Node)], |member| {
            if member.key == key(3) {
                member.state = MemberState::Revoked;
            }
        });
        assert_eq!(gate.adopt(revoked).unwrap(), Precedence::Newer);
        assert_eq!(gate.changes(NOW), Changes { entering: vec![], leaving: vec![key(3)] });
        assert_eq!(gate.adopt(both).unwrap(), Precedence::Older);
        assert_eq!(gate.changes(NOW), Changes::default());
    }

    #[test]
    fn a_key_leaves_when_it_expires() {
        let mut gate = Gate::new(kit::mesh_id(), key(1));
        gate.adopt(kit::roster_with(1, &[(2, Role::Node)], |member| member.expires = Some(NOW))).unwrap();
        assert_eq!((gate.changes(NOW).entering, gate.next_end()), (vec![key(2)], Some(NOW)));
        assert_eq!(gate.changes(NOW.plus(Duration::from_millis(1))).leaving, [key(2)]);
        assert_eq!(gate.next_end(), None);
        assert_eq!(gate.changes(NOW).entering, [key(2)], "the clock was set back");
    }

    #[test]
    fn a_head_shuts_a_key_out_until_its_roster_comes() {
        let mut gate = Gate::new(kit::mesh_id(), key(1));
        gate.adopt(kit::roster(1, &[(1, Role::Coordinator), (2, Role::Node)])).unwrap();
        gate.changes(NOW);
        gate.bar(&RosterHead { epoch: 1, hash: [0; 32], revoked: vec![key(2)], roster: None });
        assert_eq!(gate.changes(NOW), Changes::default(), "a head that is not newer changes nothing");
        gate.bar(&RosterHead { epoch: 3, hash: [0; 32], revoked: vec![key(2)], roster: None });
        assert_eq!(gate.changes(NOW).leaving, [key(2)]);
        gate.adopt(kit::roster(2, &[(1, Role::Coordinator), (2, Role::Node)])).unwrap();
        assert_eq!(gate.changes(NOW), Changes::default());
        gate.adopt(kit::roster(3, &[(1, Role::Coordinator), (2, Role::Node)])).unwrap();
        assert_eq!(gate.changes(NOW).entering, [key(2)]);
    }
}
