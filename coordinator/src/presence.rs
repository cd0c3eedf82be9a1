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
