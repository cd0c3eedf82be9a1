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
    /// Whether its connection stands.
    pub connected: bool,
}

impl Presence {
    /// True while it was heard recently enough.
    pub fn is_online(&self, now: Timestamp, offline_after: Duration) -> bool {
        self.connected && now.since(self.last_seen) <= offline_after
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

    /// Forgets every node but these.
    pub(crate) fn keep(&self, is_kept: impl Fn(&NodeId) -> bool) {
        self.with(|map| map.retain(|node, _| is_kept(node)));
    }

    /// The clock was set back: nobody was heard later than now.
    pub(crate) fn clock_was_set(&self, now: Timestamp) {
        self.with(|map| map.values_mut().for_each(|presence| presence.last_seen = presence.last_seen.min(now)));
    }

    /// Notes that a node's connection stands or is lost.
    pub(crate) fn set_connected(&self, node: &NodeId, connected: bool, address: Option<SocketAddr>) {
        self.with(|map| {
            if let Some(presence) = map.get_mut(node) {
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

    #[test]
    fn a_node_that_died_before_the_clock_was_set_back_is_offline_after_the_usual_time() {
        let (presences, node) = (Presences::default(), Keypair::from_seed(&[1; 32]).node_id());
        let (noon, offline_after) = (Timestamp::from_millis(43_200_000), Duration::from_secs(30));
        let presence = Presence {
            last_seen: noon,
            boot: 1,
            address: None,
            load_hundredths: 0,
            running: Vec::new(),
            spooled: 0,
            clock_offset_ms: 0,
            connected: true,
        };
        presences.heard(node, presence, offline_after);
        let set_back = Timestamp::from_millis(3_600_000);
        presences.clock_was_set(set_back);
        let is_online =
            |after| presences.get(&node).unwrap().is_online(set_back.plus(Duration::from_secs(after)), offline_after);
        assert_eq!([is_online(0), is_online(30), is_online(31)], [true, true, false]);
        presences.clock_was_set(noon);
        assert!(!is_online(31), "a clock that is set forward makes nobody seen");
    }
}
