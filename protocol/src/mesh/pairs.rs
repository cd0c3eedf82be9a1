//! One connection a pair: which stays when two members have dialled each other at the same time.
//!
//! Both ends must let go of the same one, and only after both have seen both: else a member would look gone for a moment.

use crate::identity::NodeId;
use libp2p::swarm::ConnectionId;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

/// How long two connections stand side by side: by then both ends know of both.
const GRACE: Duration = Duration::from_secs(1);

/// Dials that overlap end no farther apart than this; a connection that is older is a dead one, of which only the
/// other end knows.
const OVERLAP: Duration = Duration::from_secs(10);

/// The connections that stand, by member.
#[derive(Debug, Default)]
pub(super) struct Pairs(BTreeMap<NodeId, Vec<Connection>>);

/// One connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    /// The other end.
    pub(super) address: Option<SocketAddr>,
    /// Whether this end dialled.
    pub(super) is_dialled: bool,
    pub(super) since: Instant,
}

impl Pairs {
    /// A connection stands.
    pub(super) fn opened(&mut self, node: NodeId, connection: Connection) {
        self.0.entry(node).or_default().push(connection);
    }

    /// A connection is gone; gives the one that is left, if there is one.
    pub(super) fn closed(&mut self, node: &NodeId, id: ConnectionId) -> Option<Connection> {
        let connections = self.0.get_mut(node)?;
        connections.retain(|connection| connection.id != id);
        let left = connections.first().copied();
        if left.is_none() {
            self.0.remove(node);
        }
        left
    }

    #[cfg(test)]
    pub(super) fn has_several(&self) -> bool {
        self.0.values().any(|connections| connections.len() > 1)
    }

    /// The connections that `me` closes now.
    pub(super) fn surplus(&self, me: &NodeId, now: Instant) -> Vec<ConnectionId> {
        let several = self.0.iter().filter(|(_, connections)| connections.len() > 1);
        let surplus = several.flat_map(|(node, connections)| {
            let kept = kept(me, node, connections);
            let known_to_both = connections.iter().all(|connection| now >= connection.since + GRACE);
            connections.iter().map(|connection| connection.id).filter(move |id| known_to_both && Some(*id) != kept)
        });
        surplus.collect()
    }
}

/// The one that stays: of dials that overlap the one of the lower key, else the latest.
fn kept(me: &NodeId, node: &NodeId, connections: &[Connection]) -> Option<ConnectionId> {
    let latest = connections.iter().max_by_key(|connection| connection.since)?;
    let overlaps = |connection: &&Connection| latest.since < connection.since + OVERLAP;
    let of_lower = |connection: &&Connection| connection.is_dialled == (me < node);
    let chosen = connections.iter().filter(overlaps).filter(of_lower).max_by_key(|connection| connection.since);
    Some(chosen.unwrap_or(latest).id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(id: usize, is_dialled: bool, since: Instant) -> Connection {
        Connection { id: ConnectionId::new_unchecked(id), address: None, is_dialled, since }
    }

    const LOW: NodeId = NodeId::from_bytes([1; 32]);
    const HIGH: NodeId = NodeId::from_bytes([2; 32]);

    /// Which of these (dialled by the lower key, at this second) both ends close; connections count from 0.
    fn closed(connections: &[(bool, u64)]) -> Vec<usize> {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let seen_by = |me, other, swap: bool| {
            let mut pairs = Pairs::default();
            for (id, (by_low, since)) in connections.iter().enumerate() {
                pairs.opened(other, connection(id, *by_low != swap, at(*since)));
            }
            pairs.surplus(&me, at(100))
        };
        let (low, high) = (seen_by(LOW, HIGH, false), seen_by(HIGH, LOW, true));
        assert_eq!(low, high, "both ends decide alike");
        (0..connections.len()).filter(|id| low.contains(&ConnectionId::new_unchecked(*id))).collect()
    }

    #[test]
    fn both_ends_close_the_same_connections() {
        let none: [usize; 0] = [];
        assert_eq!(closed(&[(true, 0)]), none);
        assert_eq!(closed(&[(true, 0), (false, 1)]), [1], "the lower key's dial stays");
        assert_eq!(closed(&[(false, 0), (true, 1)]), [0]);
        assert_eq!(closed(&[(true, 0), (true, 1)]), [0], "who dials again has lost the first");
        assert_eq!(closed(&[(false, 0), (false, 1)]), [0]);
        assert_eq!(closed(&[(true, 0), (false, 20)]), [0], "the old one is dead at the other end");
    }

    #[tokio::test]
    async fn nothing_is_closed_before_both_ends_know_of_both() {
        let start = Instant::now();
        let mut pairs = Pairs::default();
        pairs.opened(HIGH, connection(1, true, start));
        pairs.opened(HIGH, connection(2, false, start + Duration::from_millis(10)));
        assert_eq!(pairs.surplus(&LOW, start + GRACE), []);
        let late = start + GRACE + Duration::from_millis(10);
        assert_eq!(pairs.surplus(&LOW, late), [ConnectionId::new_unchecked(2)]);
        let left = pairs.closed(&HIGH, ConnectionId::new_unchecked(2));
        assert_eq!(left.map(|left| left.id), Some(ConnectionId::new_unchecked(1)));
        assert_eq!(pairs.surplus(&LOW, late), []);
        assert_eq!(pairs.closed(&HIGH, ConnectionId::new_unchecked(1)), None);
    }
}
