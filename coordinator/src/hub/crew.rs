//! Who is there: approved nodes on today's terms, as the planner sees them.

use super::Hub;
use crate::dispatch::crew::{Candidate, Standing};
use crate::presence::Presence;
use crate::registry::issuing::revoked_lately;
use crate::registry::{Approval, NodeRecord};
use crate::settings::Timing;
use crate::store::StoreError;
use protocol::letter::SealingKey;
use protocol::message::Room;
use protocol::roster::{MemberState, Roster};
use protocol::{NodeId, TargetSet, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What the hub keeps in mind of an approved node.
pub(super) struct Member {
    /// What to seal to.
    pub(super) sealing: SealingKey,
    /// Since when its key is known to be used on two machines.
    pub(super) cloned: Option<Timestamp>,
    approval: Approval,
    /// What its owner lets it scan; `None` for all.
    own: Option<TargetSet>,
}

impl Member {
    /// A node that was let in, on terms that hold already: the roster in force says the same or more.
    fn of(node: &NodeRecord, roster: &Roster) -> Option<Self> {
        let member = roster.member(&node.key).filter(|member| member.state == MemberState::Approved)?;
        let mut approval = node.approval()?.clone();
        approval.ranges = approval.ranges.intersection(&member.ranges);
        Some(Self { sealing: node.sealing?, cloned: node.cloned, approval, own: node.facts.policy_ranges.clone() })
    }

    /// When its approval ends.
    pub(super) fn ends(&self) -> Option<Timestamp> {
        self.approval.expires
    }

    fn candidate(&self, node: NodeId, standing: Standing) -> Candidate {
        let Approval { ranges, site, .. } = &self.approval;
        let allowed = self.own.as_ref().map_or_else(|| ranges.clone(), |own| own.intersection(ranges));
        Candidate { node, site: site.clone(), approved: ranges.clone(), allowed, standing }
    }
}

/// When each node last changed what it may be asked for.
#[derive(Debug, Default)]
pub(super) struct RangesTaken(BTreeMap<NodeId, Timestamp>);

impl RangesTaken {
    /// True when a change of this node counts now, and then none for as long as `pause`.
    fn take(&mut self, node: NodeId, now: Timestamp, pause: Duration) -> bool {
        // A clock that was set back must not shut a node out.
        let is_free = self.0.get(&node).is_none_or(|last| now < *last || now.since(*last) >= pause);
        if is_free {
            self.0.insert(node, now);
        }
        is_free
    }
}

/// Since when each node says that its disk takes nothing more.
#[derive(Debug, Default)]
pub(super) struct Full(BTreeMap<NodeId, Timestamp>);

impl Full {
    /// The nodes that are given nothing now. After `patience` one is asked all the same: its own refusal, with what it
    /// lacks, then ends what nobody else can do.
    fn passed_over(&mut self, said: &BTreeMap<NodeId, Room>, now: Timestamp, patience: Duration) -> BTreeSet<NodeId> {
        let full = said.iter().filter(|(_, room)| **room != Room::Free).map(|(node, _)| *node);
        // A clock that was set back starts the wait anew.
        let since = |node: &NodeId| self.0.get(node).map_or(now, |since| (*since).min(now));
        self.0 = full.map(|node| (node, since(&node))).collect();
        self.0.iter().filter(|(_, since)| now.since(**since) <= patience).map(|(node, _)| *node).collect()
    }
}

impl Hub {
    /// Reads every approved node. One that is let in on other terms than before is asked again for what it declined.
    pub(super) async fn read_members(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let nodes = self.store.read(crate::use_case::nodes::all).await?;
        self.revoked = revoked_lately(&nodes, now);
        let roster = self.mesh.roster();
        let member = |node: &NodeRecord| Some((node.key, Member::of(node, roster?)?));
        let members: BTreeMap<NodeId, Member> = nodes.iter().filter_map(member).collect();
        for (node, member) in &members {
            let same = |before: &Member| before.approval == member.approval && before.own == member.own;
            if !self.members.get(node).is_some_and(same) {
                self.work.ask_again(*node);
            }
        }
        let was_cloned = |node: &NodeId| self.members.get(node).is_some_and(|before| before.cloned.is_some());
        let is_trusted_again = |node: &NodeId, member: &Member| member.cloned.is_none() && was_cloned(node);
        self.twins.keep(|node| members.get(node).is_some_and(|member| !is_trusted_again(node, member)));
        self.members = members;
        Ok(())
    }

    /// Notes what a node's owner lets it scan now; true when that is news.
    ///
    /// Each change is stored and planned for, so a node may make one in the time of a lease; until then its first word
    /// stands, and its own policy refuses what it may not scan.
    pub(super) fn note_own_ranges(&mut self, node: NodeId, own: Option<&TargetSet>, now: Timestamp) -> bool {
        match self.members.get_mut(&node) {
            Some(member) if member.own.as_ref() != own && self.ranges_taken.take(node, now, self.timing.lease) => {
                member.own = own.cloned();
                self.work.ask_again(node);
                true
            }
            Some(_) | None => false,
        }
    }

    /// Looks who is there now, on approvals that still hold.
    pub(super) fn look_around(&mut self, now: Timestamp) {
        let Timing { offline_after, grace, queue_deadline, .. } = self.timing;
        let just_started = now.since(self.began) <= grace;
        let seen = |node: NodeId, presence: &Presence| {
            let standing = if presence.is_online(now, offline_after) {
                Standing::Online
            } else if now.since(presence.last_seen) <= grace {
                Standing::Expected
            } else {
                Standing::Away
            };
            (node, (standing, presence.load_hundredths, presence.room))
        };
        let seen: BTreeMap<NodeId, (Standing, u32, Room)> = self.presences.each(seen).into_iter().collect();
        let standing = |node: &NodeId| {
            let standing = seen.get(node).map_or(Standing::Away, |(standing, ..)| *standing);
            if standing == Standing::Away && just_started { Standing::Expected } else { standing }
        };
        let is_valid = |member: &Member| member.cloned.is_none() && !member.approval.has_ended(now);
        let valid = self.members.iter().filter(|(_, member)| is_valid(member));
        let candidates: Vec<Candidate> = valid.map(|(node, member)| member.candidate(*node, standing(node))).collect();
        let rooms = seen.iter().map(|(node, (.., room))| (*node, *room)).collect();
        self.crew.pass_over(self.full.passed_over(&rooms, now, queue_deadline));
        self.crew.update(candidates, seen.into_iter().map(|(node, (_, load, _))| (node, load)).collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_without_room_is_passed_over_until_it_has_some_or_was_waited_for_long_enough() {
        let (mut full, node, patience) = (Full::default(), NodeId::from_bytes([1; 32]), Duration::from_secs(600));
        let mut passes = |room: Room, seconds: u64| {
            let said = BTreeMap::from([(node, room), (NodeId::from_bytes([2; 32]), Room::Free)]);
            full.passed_over(&said, Timestamp::from_millis(seconds * 1_000), patience).contains(&node)
        };
        let steps = [(Room::Free, 0), (Room::Full, 100), (Room::Tight, 700), (Room::Full, 701), (Room::Free, 702)];
        assert_eq!(steps.map(|(room, seconds)| passes(room, seconds)), [false, true, true, false, false]);
        assert!(passes(Room::Full, 900), "the wait begins anew");
        assert!(
            [50, 650].map(|seconds| passes(Room::Full, seconds)).iter().all(|passed| *passed),
            "the clock was set back"
        );
        assert!(!passes(Room::Full, 651));
    }

    #[test]
    fn a_node_changes_its_ranges_once_in_the_time_of_a_lease() {
        let (mut taken, node, other) =
            (RangesTaken::default(), NodeId::from_bytes([1; 32]), NodeId::from_bytes([2; 32]));
        let (pause, at) = (Duration::from_secs(45), |seconds: u64| Timestamp::from_millis(seconds * 1_000));
        let steps = [(node, 100), (node, 101), (other, 101), (node, 144), (node, 145), (node, 146), (node, 90)];
        let counted = steps.map(|(node, seconds)| taken.take(node, at(seconds), pause));
        assert_eq!(counted, [true, false, true, false, true, false, true]);
    }
}
