//! Which neighbour a letter goes to next: up along the way that a beacon came down, and back. Pure: time is passed in.
//!
//! A member's parent for a beacon had that beacon before the member itself, so whoever follows the parents of one
//! beacon never comes by the same member twice, and ends at the coordinator.

use crate::codec::{Decode, Encode};
use crate::identity::NodeId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// Beacons whose parents are kept.
const MAX_BEACONS: usize = 16;

/// Ways back that are kept; the one not used for longest goes first.
const MAX_BACK: usize = 4_096;

/// How long a way back is good for after the last letter that came by it.
const BACK_FOR: Duration = Duration::from_secs(3_600);

/// How long a first hop that led nowhere is passed over, while there is another one.
const AVOIDED_FOR: Duration = Duration::from_secs(600);

/// One beacon; later ones are greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub(super) struct BeaconId {
    /// The coordinator's boot.
    pub(super) boot: u64,
    /// Its number within that boot.
    pub(super) counter: u64,
}

/// What one member knows of ways.
#[derive(Debug, Default)]
pub(super) struct Ways {
    /// Who was first to bring a beacon.
    parents: BTreeMap<BeaconId, NodeId>,
    back: BTreeMap<NodeId, Back>,
    /// First hops that led nowhere, and until when they are passed over.
    avoided: BTreeMap<NodeId, Instant>,
    last: Option<NodeId>,
}

#[derive(Debug)]
struct Back {
    next: NodeId,
    since: Instant,
}

impl Ways {
    /// A beacon was heard for the first time, from this neighbour.
    pub(super) fn heard(&mut self, beacon: BeaconId, from: NodeId) {
        self.parents.entry(beacon).or_insert(from);
        if self.parents.len() > MAX_BEACONS {
            self.parents.pop_first();
        }
    }

    /// Who brought that beacon.
    pub(super) fn parent(&self, beacon: BeaconId) -> Option<NodeId> {
        self.parents.get(&beacon).copied()
    }

    /// The newest beacon, and who brought it.
    pub(super) fn newest(&self) -> Option<(BeaconId, NodeId)> {
        self.parents.last_key_value().map(|(beacon, parent)| (*beacon, *parent))
    }

    /// Where an own letter up is handed first, and which beacon it follows from there. `neighbours` are those connected.
    ///
    /// The newest beacon that a neighbour brought which has not led nowhere lately. A neighbour that brought none may
    /// know a way too: it is tried when no other is left, and after it all begin anew.
    pub(super) fn first_hop(&mut self, neighbours: &BTreeSet<NodeId>, now: Instant) -> Option<(BeaconId, NodeId)> {
        self.avoided.retain(|_, until| *until > now);
        if neighbours.iter().all(|node| self.avoided.contains_key(node)) {
            self.avoided.clear();
        }
        let (newest, _) = self.newest()?;
        let brought = self.parents.iter().rev().map(|(beacon, parent)| (*beacon, *parent));
        let others = neighbours.iter().map(|node| (newest, *node));
        let is_open = |(_, node): &(BeaconId, NodeId)| neighbours.contains(node) && !self.avoided.contains_key(node);
        let found = brought.chain(others).find(is_open);
        self.last = found.map(|(_, node)| node);
        found
    }

    /// A letter that was handed there first did not arrive.
    pub(super) fn avoid(&mut self, first: NodeId, now: Instant) {
        self.avoided.insert(first, now + AVOIDED_FOR);
    }

    /// The answer to the latest letter stays out, wherever that was lost.
    pub(super) fn avoid_last(&mut self, now: Instant) {
        if let Some(last) = self.last {
            self.avoid(last, now);
        }
    }

    /// A letter of `writer` came by `next`: answers go back there.
    pub(super) fn came_by(&mut self, writer: NodeId, next: NodeId, now: Instant) {
        self.back.insert(writer, Back { next, since: now });
        if self.back.len() > MAX_BACK {
            let oldest = self.back.iter().min_by_key(|(_, back)| back.since).map(|(writer, _)| *writer);
            oldest.and_then(|writer| self.back.remove(&writer));
        }
    }

    /// Where a letter to `reader` goes next.
    pub(super) fn back(&self, reader: &NodeId, now: Instant) -> Option<NodeId> {
        let back = self.back.get(reader)?;
        (now.saturating_duration_since(back.since) <= BACK_FOR).then_some(back.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COORDINATOR: usize = 0;

    fn node(number: usize) -> NodeId {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&u64::try_from(number).unwrap().to_be_bytes());
        NodeId::from_bytes(bytes)
    }

    fn beacon(counter: u64) -> BeaconId {
        BeaconId { boot: 1, counter }
    }

    fn nodes(numbers: &[usize]) -> BTreeSet<NodeId> {
        numbers.iter().copied().map(node).collect()
    }

    #[test]
    fn the_first_to_bring_a_beacon_is_the_parent_for_the_latest_sixteen() {
        let mut ways = Ways::default();
        assert_eq!((ways.newest(), ways.first_hop(&nodes(&[1]), Instant::now())), (None, None));
        (1..=17).for_each(|counter| ways.heard(beacon(counter), node(1)));
        ways.heard(beacon(17), node(2));
        assert_eq!([1, 2, 17].map(|counter| ways.parent(beacon(counter))), [None, Some(node(1)), Some(node(1))]);
        let restarted = BeaconId { boot: 2, counter: 1 };
        ways.heard(restarted, node(2));
        assert_eq!(ways.newest(), Some((restarted, node(2))));
    }

    #[test]
    fn a_first_hop_that_led_nowhere_is_passed_over_while_there_is_another_one() {
        let (mut ways, now) = (Ways::default(), Instant::now());
        ways.heard(beacon(1), node(2));
        ways.heard(beacon(2), node(1));
        let all = nodes(&[1, 2, 3]);
        let hop = |ways: &mut Ways, after: Duration| ways.first_hop(&all, now + after);
        assert_eq!(hop(&mut ways, Duration::ZERO), Some((beacon(2), node(1))));
        ways.avoid_last(now);
        assert_eq!(hop(&mut ways, Duration::ZERO), Some((beacon(1), node(2))), "it brought an older one");
        ways.avoid(node(2), now);
        assert_eq!(hop(&mut ways, Duration::ZERO), Some((beacon(2), node(3))), "it brought none");
        assert_eq!(hop(&mut ways, AVOIDED_FOR), Some((beacon(2), node(1))), "not for ever");
        ways.avoid(node(1), now);
        ways.avoid(node(2), now);
        ways.avoid(node(3), now);
        assert_eq!(hop(&mut ways, Duration::ZERO), Some((beacon(2), node(1))), "all were tried");
        assert_eq!(ways.first_hop(&nodes(&[2]), now), Some((beacon(1), node(2))), "the newest one's parent is gone");
        assert_eq!(ways.first_hop(&nodes(&[]), now), None);
    }

    #[test]
    fn a_way_back_follows_the_latest_letter_for_an_hour() {
        let (mut ways, now) = (Ways::default(), Instant::now());
        ways.came_by(node(5), node(1), now);
        ways.came_by(node(5), node(2), now + Duration::from_secs(1));
        let at = |seconds| ways.back(&node(5), now + Duration::from_secs(seconds));
        assert_eq!([at(1), at(3_601), at(3_602)], [Some(node(2)), Some(node(2)), None]);
        assert_eq!(ways.back(&node(6), now), None);
    }

    #[test]
    fn ways_back_are_bounded_and_the_oldest_goes() {
        let (mut ways, now) = (Ways::default(), Instant::now());
        for number in 0..MAX_BACK + 10 {
            ways.came_by(node(number), node(1), now + Duration::from_millis(u64::try_from(number).unwrap()));
        }
        assert_eq!(ways.back.len(), MAX_BACK);
        assert_eq!([9, 10].map(|number| ways.back(&node(number), now).is_some()), [false, true]);
    }

    /// A mesh in which a beacon runs from neighbour to neighbour.
    #[derive(Debug)]
    struct Net {
        members: Vec<Ways>,
        links: BTreeSet<(usize, usize)>,
        dead: BTreeSet<usize>,
    }

    impl Net {
        fn linked(&self, from: usize, to: usize) -> bool {
            let alive = |member| !self.dead.contains(&member);
            alive(from) && alive(to) && (self.links.contains(&(from, to)) || self.links.contains(&(to, from)))
        }

        /// Each link may carry the beacon at any time; `order` says which does when.
        fn spread(&mut self, beacon: BeaconId, order: &[prop::sample::Index]) -> BTreeSet<usize> {
            let mut have = BTreeSet::from([COORDINATOR]);
            for index in order {
                let all = 0..self.members.len();
                let ready: Vec<(usize, usize)> = have
                    .iter()
                    .flat_map(|from| all.clone().map(move |to| (*from, to)))
                    .filter(|(from, to)| !have.contains(to) && self.linked(*from, *to))
                    .collect();
                if ready.is_empty() {
                    break;
                }
                let (from, to) = ready[index.index(ready.len())];
                self.members[to].heard(beacon, node(from));
                have.insert(to);
            }
            have
        }

        /// The members by which a letter comes that follows `beacon`, its writer first, as far as they live.
        fn follow(&self, writer: usize, beacon: BeaconId) -> Vec<usize> {
            let mut way = vec![writer];
            while way.len() <= 2 * self.members.len() {
                let here = way[way.len() - 1];
                let next = self.members[here].parent(beacon);
                let next = (0..self.members.len()).find(|other| Some(node(*other)) == next);
                match next.filter(|next| here != COORDINATOR && self.linked(here, *next)) {
                    Some(next) => way.push(next),
                    None => break,
                }
            }
            way
        }
    }

    proptest! {
        #[test]
        fn parents_of_one_beacon_lead_to_the_coordinator_and_never_in_a_circle(
            size in 2usize..12,
            links in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..40),
            orders in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 16), 1..5),
            deaths in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let links = links.iter().map(|(a, b)| (a.index(size), b.index(size))).filter(|(a, b)| a != b).collect();
            let members = (0..size).map(|_| Ways::default()).collect();
            let mut net = Net { members, links, dead: BTreeSet::new() };
            let mut deaths = deaths.iter().map(|index| index.index(size)).filter(|member| *member != COORDINATOR);
            let mut heard = Vec::new();
            for (counter, order) in (1..).zip(&orders) {
                heard.push((beacon(counter), net.spread(beacon(counter), order)));
                // Who dies after a beacon has spread is missing on its ways, and when the next one spreads.
                net.dead.extend(deaths.next());
                for (old, have) in &heard {
                    for writer in have.iter().filter(|member| !net.dead.contains(member)) {
                        let way = net.follow(*writer, *old);
                        let distinct: BTreeSet<&usize> = way.iter().collect();
                        prop_assert_eq!(distinct.len(), way.len(), "twice by one member: {:?}", way);
                        let last = way[way.len() - 1];
                        let cut = net.members[last].parent(*old).is_some_and(|next| net.dead.iter().any(|dead| node(*dead) == next));
                        prop_assert!(last == COORDINATOR || cut, "{:?} ends nowhere", way);
                    }
                }
            }
            // The dead are missing on no way of the next beacon.
            let order = orders.iter().flatten().copied().collect::<Vec<_>>();
            let next = beacon(100);
            for writer in net.spread(next, &order) {
                prop_assert_eq!(net.follow(writer, next).pop(), Some(COORDINATOR));
            }
        }
    }
}
