//! Who is there now: what each node last said and when. In memory only; pages and the planner read it.

use protocol::message::RunningTask;
use protocol::{NodeId, Timestamp};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What one node last said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// When it was last heard, by our clock.
    pub last_seen: Timestamp,
    /// Which start of the node this is.
    pub boot: u64,
    /// The other end of its connection.
    pub address: Option<SocketAddr>,
    /// Load average over one minute, in hundredths.
    pub load_hundredths: u32,
    /// What it works on.
    pub running: Vec<RunningTask>,
    /// Results that wait on its disk.
    pub spooled: u32,
    /// Its clock minus ours, in milliseconds; the way here is part of it.
    pub clock_offset_ms: i64,
    /// Whether its connection stands. A node is heard through others too.
    pub connected: bool,
    /// Whether a connection to it was lost and it was not heard since.
    pub lost: bool,
}

impl Presence {
    /// True while it was heard recently enough, on whichever way, and no connection to it was lost since.
    pub fn is_online(&self, now: Timestamp, offline_after: Duration) -> bool {
        !self.lost && now.since(self.last_seen) <= offline_after
    }
}

/// Shared between the hub, which writes, and the use cases, which read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Presences(Arc<Mutex<BTreeMap<NodeId, Presence>>>);

impl Presences {
    fn with<T>(&self, f: impl FnOnce(&mut BTreeMap<NodeId, Presence>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What a node last said.
    pub(crate) fn get(&self, node: &NodeId) -> Option<Presence> {
        self.with(|map| map.get(node).cloned())
    }

    /// Every node that was heard since the start.
    pub(crate) fn all(&self) -> BTreeMap<NodeId, Presence> {
        self.with(|map| map.clone())
    }

    /// What `f` makes of each node that was heard since the start.
    pub(crate) fn each<T>(&self, f: impl Fn(NodeId, &Presence) -> T) -> Vec<T> {
        self.with(|map| map.iter().map(|(node, presence)| f(*node, presence)).collect())
    }

    /// Notes what a node says; true when it was not online before.
    pub(crate) fn heard(&self, node: NodeId, presence: Presence, offline_after: Duration) -> bool {
        self.with(|map| {
            let now = presence.last_seen;
            map.insert(node, presence).is_none_or(|before| !before.is_online(now, offline_after))
        })
    }

    /// The clock was set back: nobody was heard later than now.
    pub(crate) fn clock_was_set(&self, now: Timestamp) {
        self.with(|map| map.values_mut().for_each(|presence| presence.last_seen = presence.last_seen.min(now)));
    }

    /// Notes that a node's connection stands or is lost.
    pub(crate) fn set_connected(&self, node: &NodeId, connected: bool, address: Option<SocketAddr>) {
        self.with(|map| {
            if let Some(presence) = map.get_mut(node) {
                presence.lost = presence.connected && !connected;
                presence.connected = connected;
                presence.address = address.or(presence.address);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::Keypair;

    fn presence(last_seen: Timestamp, connected: bool) -> Presence {
        Presence {
            last_seen,
            boot: 1,
            address: None,
            load_hundredths: 0,
            running: Vec::new(),
            spooled: 0,
            clock_offset_ms: 0,
            connected,
            lost: false,
        }
    }

    #[test]
    fn a_node_is_online_while_it_is_heard_on_any_way() {
        let (presences, node) = (Presences::default(), Keypair::from_seed(&[1; 32]).node_id());
        let (second, noon) = (Duration::from_secs(1), Timestamp::from_millis(43_200_000));
        let is_online = |after: u32| presences.get(&node).unwrap().is_online(noon.plus(after * second), 30 * second);
        presences.heard(node, presence(noon, false), 30 * second);
        assert_eq!([is_online(30), is_online(31)], [true, false], "through others");
        presences.set_connected(&node, true, None);
        assert!(is_online(30));
        presences.set_connected(&node, false, None);
        assert!(!is_online(1), "a lost connection is known before heartbeats are missed");
        assert!(presences.heard(node, presence(noon.plus(second), false), 30 * second), "it is back through others");
        assert!(is_online(31));
    }

    #[test]
    fn a_node_that_died_before_the_clock_was_set_back_is_offline_after_the_usual_time() {
        let (presences, node) = (Presences::default(), Keypair::from_seed(&[1; 32]).node_id());
        let (noon, offline_after) = (Timestamp::from_millis(43_200_000), Duration::from_secs(30));
        presences.heard(node, presence(noon, true), offline_after);
        let set_back = Timestamp::from_millis(3_600_000);
        presences.clock_was_set(set_back);
        let is_online =
            |after| presences.get(&node).unwrap().is_online(set_back.plus(Duration::from_secs(after)), offline_after);
        assert_eq!([is_online(0), is_online(30), is_online(31)], [true, true, false]);
        presences.clock_was_set(noon);
        assert!(!is_online(31), "a clock that is set forward makes nobody seen");
    }
}
