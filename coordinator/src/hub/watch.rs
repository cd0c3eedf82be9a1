//! Watching over nodes: tells of those that came or went for more than a moment, and keeps when each was last heard.

use super::Hub;
use crate::events::Event;
use crate::presence::{Absence, Condition, LastWord, Presence};
use protocol::message::Link;
use protocol::{NodeId, Timestamp, codec};
use std::collections::BTreeMap;
use std::time::Duration;

/// A change is told once it has lasted so long, so that a connection that comes and goes makes no noise.
const LASTING: Duration = Duration::from_secs(2);

/// How often the last words are written down: what a crash loses is less than this.
const KEEP_EVERY: Duration = Duration::from_secs(60);

/// Where they are.
const KEPT_UNDER: &[u8] = b"last words of nodes";

/// The most bytes they may have: far more than all nodes of a mesh.
const MAX_KEPT_BYTES: usize = 16 << 20;

/// Which nodes are known to be there, and what was written down when.
#[derive(Debug, Default)]
pub(super) struct Watch {
    told: BTreeMap<NodeId, Told>,
    kept: Timestamp,
}

/// What was told of a node: whether it is there, and since when it seems otherwise.
#[derive(Debug)]
struct Told {
    is_online: bool,
    otherwise_since: Option<Timestamp>,
}

impl Watch {
    /// The nodes that came or went and stayed so. One that is seen for the first time is news only by coming.
    fn changes(&mut self, seen: &BTreeMap<NodeId, bool>, now: Timestamp) -> Vec<NodeId> {
        self.told.retain(|node, _| seen.contains_key(node));
        let mut changed = Vec::new();
        for (node, is_online) in seen {
            let told = self.told.entry(*node).or_insert(Told { is_online: false, otherwise_since: None });
            if told.is_online == *is_online {
                told.otherwise_since = None;
                continue;
            }
            // A clock that was set back starts the wait anew.
            let since = told.otherwise_since.map_or(now, |since| since.min(now));
            told.otherwise_since = Some(since);
            if now.since(since) >= LASTING {
                *told = Told { is_online: *is_online, otherwise_since: None };
                changed.push(*node);
            }
        }
        changed
    }

    /// True when the last words are to be written down again; a clock that was set back does not stop that.
    fn is_keeping_due(&mut self, now: Timestamp) -> bool {
        let is_due = now < self.kept || now.since(self.kept) >= KEEP_EVERY;
        if is_due {
            self.kept = now;
        }
        is_due
    }
}

impl Hub {
    /// Notes the coordinator's own connections, tells of nodes that came or went, and keeps when they were heard.
    pub(super) async fn watch_nodes(&mut self, now: Timestamp) {
        self.presences.set_own_links(self.mesh.peers().into_iter().map(Link::from).collect());
        let offline_after = self.timing.offline_after;
        let condition = |node, presence: &Presence| (node, presence.condition(now, offline_after));
        let heard: BTreeMap<NodeId, Condition> = self.presences.each(condition).into_iter().collect();
        let is_online = |node| heard.get(node).is_some_and(|condition| condition.is_online());
        let seen = self.members.keys().map(|node| (*node, is_online(node))).collect();
        for node in self.watch.changes(&seen, now) {
            let condition = heard.get(&node).copied().unwrap_or(Condition::Offline(Absence::NotHeard));
            match condition {
                Condition::Online | Condition::Scanning => tracing::info!(node.id = %node, "a node is there"),
                Condition::Offline(absence) => {
                    tracing::warn!(node.id = %node, reason = absence.words(), "a node is offline");
                }
            }
            self.events.publish(Event::Node { node });
        }
        if self.watch.is_keeping_due(now) {
            self.keep_last_words().await;
        }
    }

    /// Writes down when each member was last heard. Losing that costs no more than a date on a page.
    pub(super) async fn keep_last_words(&mut self) {
        let mut words = self.presences.last_words();
        words.retain(|word| self.members.contains_key(&word.node));
        if let Err(error) = self.store.volatile().put(KEPT_UNDER.to_vec(), codec::encode(&words)).await {
            tracing::warn!(%error, "when nodes were last heard could not be kept");
        }
    }

    /// Takes up what [`Self::keep_last_words`] wrote before the last stop.
    pub(super) async fn recall_last_words(&mut self) {
        match self.store.volatile().get(KEPT_UNDER.to_vec()).await {
            Ok(None) => {}
            Ok(Some(bytes)) => match codec::decode::<Vec<LastWord>>(&bytes, MAX_KEPT_BYTES) {
                Ok(words) => self.presences.recall(words),
                Err(error) => tracing::warn!(%error, "when nodes were last heard is not known any more"),
            },
            Err(error) => tracing::warn!(%error, "when nodes were last heard could not be read"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId::from_bytes([1; 32]);
    const B: NodeId = NodeId::from_bytes([2; 32]);

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + millis)
    }

    /// What a watch tells when A is there at these times and away at all others, looked at every half second.
    fn told(is_there: impl Fn(u64) -> bool) -> Vec<u64> {
        let mut watch = Watch::default();
        let steps = (0..40u64).map(|step| step * 500);
        let news = |millis: &u64| {
            let seen = BTreeMap::from([(A, is_there(*millis)), (B, false)]);
            watch.changes(&seen, at(*millis)) == [A]
        };
        steps.filter(news).collect()
    }

    #[test]
    fn a_change_is_told_once_when_it_has_lasted_and_flapping_is_not() {
        assert_eq!(told(|_| false), [], "a node that was never there is no news");
        assert_eq!(told(|_| true), [2_000]);
        assert_eq!(told(|millis| millis < 10_000), [2_000, 12_000]);
        assert_eq!(told(|millis| !(10_000..11_500).contains(&millis)), [2_000], "away for a moment");
        assert_eq!(told(|millis| millis / 500 % 2 == 0), [], "to and fro");
        assert_eq!(told(|millis| millis < 5_000 || millis / 1_500 % 2 == 0), [2_000], "there, then to and fro");
    }

    #[test]
    fn a_clock_that_is_set_back_delays_a_change_by_no_more_than_its_wait() {
        let mut watch = Watch::default();
        let seen = BTreeMap::from([(A, true)]);
        assert_eq!(watch.changes(&seen, at(3_600_000)), []);
        assert_eq!(watch.changes(&seen, at(0)), []);
        assert_eq!(watch.changes(&seen, at(2_000)), [A]);
        let gone = BTreeMap::new();
        assert_eq!(watch.changes(&gone, at(9_000)), []);
        assert!(watch.told.is_empty(), "who is no member any more is forgotten");
    }

    #[test]
    fn last_words_are_kept_once_a_minute() {
        let mut watch = Watch::default();
        let due: Vec<u64> = (0..200).filter(|second| watch.is_keeping_due(at(second * 1_000))).collect();
        assert_eq!(due, [0, 60, 120, 180]);
        assert!(watch.is_keeping_due(Timestamp::from_millis(5)), "the clock was set back");
        assert!(!watch.is_keeping_due(Timestamp::from_millis(6)));
    }
}
