//! Who is there now: what each node last said and when, and what follows from it. Pages and the planner read it.
//!
//! Kept in memory; of the time before a restart only the last words are known (see [`LastWord`]).

use protocol::codec::{Decode, Encode};
use protocol::message::{Link, Room, RunningTask};
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
    /// Its place among the messages of that start.
    pub sequence: u64,
    /// The other end of its connection.
    pub address: Option<SocketAddr>,
    /// Load average over one minute, in hundredths.
    pub load_hundredths: u32,
    /// What it works on.
    pub running: Vec<RunningTask>,
    /// Results that wait on its disk.
    pub spooled: u32,
    /// How much more its disk takes.
    pub room: Room,
    /// Its clock minus ours, in milliseconds, as it says itself.
    pub clock_offset_ms: i64,
    /// Whether its connection stands. A node is heard through others too.
    pub connected: bool,
    /// Whether a connection to it was lost and it was not heard since.
    pub lost: bool,
    /// Its connections, in its own words.
    pub links: Vec<Link>,
    /// The neighbour that its letters go to, in its own words; `None` when it writes to us directly, or knows no way.
    pub through: Option<NodeId>,
    /// It said that it stops.
    pub has_left: bool,
}

/// How an approved node is (SPEC M6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// There, with nothing to do.
    Online,
    /// There, at work.
    Scanning,
    /// Not there.
    Offline(Absence),
}

/// Why a node counts as offline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absence {
    /// No word from it since the coordinator started.
    NotHeard,
    /// It said that it stops.
    Stopped,
    /// Three heartbeats are missing and its connection is gone: no ping was answered, or it was closed.
    ConnectionLost,
    /// Heartbeats are missing, and no connection tells more.
    HeartbeatsStopped,
}

impl Absence {
    /// The reason in words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::NotHeard => "not heard since the coordinator started",
            Self::Stopped => "it was stopped in order",
            Self::ConnectionLost => "its connection was lost",
            Self::HeartbeatsStopped => "its heartbeats stopped",
        }
    }
}

impl Condition {
    /// True for one that is there.
    pub(crate) fn is_online(self) -> bool {
        match self {
            Self::Online | Self::Scanning => true,
            Self::Offline(_) => false,
        }
    }
}

impl Presence {
    /// True while it can be given work: heard recently enough, on whichever way, and no connection lost since.
    pub fn is_online(&self, now: Timestamp, offline_after: Duration) -> bool {
        !self.has_left && !self.lost && now.since(self.last_seen) <= offline_after
    }

    /// How the node is. One whose connection stands has answered a ping lately, so its silence may last twice as long.
    pub(crate) fn condition(&self, now: Timestamp, offline_after: Duration) -> Condition {
        let patience = if self.connected { offline_after * 2 } else { offline_after };
        if self.has_left {
            Condition::Offline(Absence::Stopped)
        } else if now.since(self.last_seen) <= patience {
            if self.running.is_empty() { Condition::Online } else { Condition::Scanning }
        } else if self.lost {
            Condition::Offline(Absence::ConnectionLost)
        } else {
            Condition::Offline(Absence::HeartbeatsStopped)
        }
    }

    /// True when `newer` tells of a return: another start, or after an absence, or over a new connection.
    fn is_left_behind_by(&self, newer: &Self, offline_after: Duration) -> bool {
        newer.boot != self.boot || !self.is_online(newer.last_seen, offline_after)
    }

    /// True when `other` was said before this by the same start of the node, and came late on a longer way.
    fn overtakes(&self, other: &Self) -> bool {
        self.boot == other.boot && self.sequence > other.sequence
    }

    fn last_word(&self, node: NodeId) -> LastWord {
        LastWord { node, at: self.last_seen, has_left: self.has_left }
    }
}

/// When a node was last heard: what of a [`Presence`] outlives the coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct LastWord {
    /// Who.
    pub(crate) node: NodeId,
    /// By our clock.
    pub(crate) at: Timestamp,
    /// It said that it stops.
    pub(crate) has_left: bool,
}

impl LastWord {
    /// Why a node is offline that said this before the coordinator started, and nothing since.
    pub(crate) fn absence(self) -> Absence {
        if self.has_left { Absence::Stopped } else { Absence::NotHeard }
    }
}

/// Shared between the hub, which writes, and the use cases, which read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Presences(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    heard: BTreeMap<NodeId, Presence>,
    /// Of nodes that were heard before the coordinator started.
    before: BTreeMap<NodeId, LastWord>,
    /// The coordinator's own connections.
    links: Vec<Link>,
}

impl Presences {
    fn with<T>(&self, f: impl FnOnce(&mut Known) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What a node last said.
    pub(crate) fn get(&self, node: &NodeId) -> Option<Presence> {
        self.with(|known| known.heard.get(node).cloned())
    }

    /// The connections that a node last told of.
    pub(crate) fn links(&self, node: &NodeId) -> Vec<Link> {
        self.with(|known| known.heard.get(node).map(|presence| presence.links.clone()).unwrap_or_default())
    }

    /// Every node that was heard since the start.
    pub(crate) fn all(&self) -> BTreeMap<NodeId, Presence> {
        self.with(|known| known.heard.clone())
    }

    /// What `f` makes of each node that was heard since the start.
    pub(crate) fn each<T>(&self, f: impl Fn(NodeId, &Presence) -> T) -> Vec<T> {
        self.with(|known| known.heard.iter().map(|(node, presence)| f(*node, presence)).collect())
    }

    /// Notes what a node says, unless something newer overtook it on the way; true when the node is back with it.
    pub(crate) fn heard(&self, node: NodeId, presence: Presence, offline_after: Duration) -> bool {
        self.with(|known| {
            let before = known.heard.get(&node);
            if before.is_some_and(|before| before.overtakes(&presence)) {
                return false;
            }
            let is_back = before.is_none_or(|before| before.is_left_behind_by(&presence, offline_after));
            known.heard.insert(node, presence);
            is_back
        })
    }

    /// Forgets every node but these.
    pub(crate) fn keep(&self, is_kept: impl Fn(&NodeId) -> bool) {
        self.with(|known| {
            known.heard.retain(|node, _| is_kept(node));
            known.before.retain(|node, _| is_kept(node));
        });
    }

    /// When a node was last heard, before the coordinator started or since.
    pub(crate) fn last_word(&self, node: &NodeId) -> Option<LastWord> {
        self.with(|known| {
            let heard = known.heard.get(node).map(|presence| presence.last_word(*node));
            heard.or_else(|| known.before.get(node).copied())
        })
    }

    /// The last word of every node, in key order.
    pub(crate) fn last_words(&self) -> Vec<LastWord> {
        self.with(|known| {
            let mut words = known.before.clone();
            words.extend(known.heard.iter().map(|(node, presence)| (*node, presence.last_word(*node))));
            words.into_values().collect()
        })
    }

    /// Takes up what was known before the coordinator started.
    pub(crate) fn recall(&self, words: Vec<LastWord>) {
        self.with(|known| known.before = words.into_iter().map(|word| (word.node, word)).collect());
    }

    /// The clock was set back: nobody was heard later than now.
    pub(crate) fn clock_was_set(&self, now: Timestamp) {
        self.with(|known| {
            for presence in known.heard.values_mut() {
                presence.last_seen = presence.last_seen.min(now);
            }
            known.before.values_mut().for_each(|word| word.at = word.at.min(now));
        });
    }

    /// Notes that a node's connection stands or is lost.
    pub(crate) fn set_connected(&self, node: &NodeId, connected: bool, address: Option<SocketAddr>) {
        self.with(|known| {
            if let Some(presence) = known.heard.get_mut(node) {
                presence.lost = presence.connected && !connected;
                presence.connected = connected;
                presence.address = address.or(presence.address);
            }
        });
    }

    /// The coordinator's own connections.
    pub(crate) fn own_links(&self) -> Vec<Link> {
        self.with(|known| known.links.clone())
    }

    /// Notes the coordinator's own connections.
    pub(crate) fn set_own_links(&self, links: Vec<Link>) {
        self.with(|known| known.links = links);
    }
}

#[cfg(test)]
mod tests;
