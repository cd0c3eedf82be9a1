//! How many connections one address may open: checked before the handshake, so that a flood from one place shuts
//! nobody else out.

use super::turnstile;
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
    dummy,
};
use libp2p::{Multiaddr, PeerId};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::task::{Context, Poll};

/// How many inbound connections there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct DoorLimits {
    /// In the handshake.
    pub(super) pending: usize,
    /// In the handshake, from one address.
    pub(super) pending_each: usize,
    /// Past the handshake.
    pub(super) standing: usize,
    /// Past the handshake, from one address.
    pub(super) standing_each: usize,
}

/// Counts inbound connections by address; an IPv6 network of 64 bits counts as one.
#[derive(Debug)]
pub(super) struct Door {
    limits: DoorLimits,
    pending: BTreeMap<ConnectionId, Option<IpAddr>>,
    standing: BTreeMap<ConnectionId, Option<IpAddr>>,
}

/// Too many connections from there.
#[derive(Debug, thiserror::Error)]
#[error("too many connections, from this address or in all")]
struct TooMany;

impl Door {
    pub(super) fn new(limits: DoorLimits) -> Self {
        Self { limits, pending: BTreeMap::new(), standing: BTreeMap::new() }
    }

    fn check(
        connections: &BTreeMap<ConnectionId, Option<IpAddr>>,
        from: Option<IpAddr>,
        all: usize,
        each: usize,
    ) -> Result<(), ConnectionDenied> {
        let same = connections.values().filter(|other| **other == from).count();
        if connections.len() >= all || same >= each { Err(ConnectionDenied::new(TooMany)) } else { Ok(()) }
    }
}

fn place(address: &Multiaddr) -> Option<IpAddr> {
    super::peer::socket_addr(address).map(|address| turnstile::place(address.ip()))
}

impl NetworkBehaviour for Door {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let from = place(remote);
        Self::check(&self.pending, from, self.limits.pending, self.limits.pending_each)?;
        self.pending.insert(id, from);
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.pending.remove(&id);
        let from = place(remote);
        Self::check(&self.standing, from, self.limits.standing, self.limits.standing_each)?;
        self.standing.insert(id, from);
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "only the end of a connection matters here")]
    fn on_swarm_event(&mut self, event: FromSwarm) {
        let ended = match event {
            FromSwarm::ConnectionClosed(closed) => closed.connection_id,
            FromSwarm::ListenFailure(failure) => failure.connection_id,
            _ => return,
        };
        self.pending.remove(&ended);
        self.standing.remove(&ended);
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libp2p::swarm::{ListenError, behaviour::ListenFailure};

    const LIMITS: DoorLimits = DoorLimits { pending: 4, pending_each: 2, standing: 3, standing_each: 2 };

    fn from(address: &str) -> Multiaddr {
        super::super::peer::multiaddr(address.parse().unwrap())
    }

    fn knock(door: &mut Door, id: usize, address: &str) -> bool {
        let id = ConnectionId::new_unchecked(id);
        door.handle_pending_inbound_connection(id, &Multiaddr::empty(), &from(address)).is_ok()
    }

    fn enter(door: &mut Door, id: usize, address: &str) -> bool {
        let id = ConnectionId::new_unchecked(id);
        let peer = super::super::peer::peer_id(&crate::mesh::tests::kit::id(2)).unwrap();
        door.handle_established_inbound_connection(id, peer, &Multiaddr::empty(), &from(address)).is_ok()
    }

    fn fail(door: &mut Door, id: usize) {
        door.on_swarm_event(FromSwarm::ListenFailure(ListenFailure {
            local_addr: &Multiaddr::empty(),
            send_back_addr: &Multiaddr::empty(),
            error: &ListenError::Aborted,
            connection_id: ConnectionId::new_unchecked(id),
            peer_id: None,
        }));
    }

    #[test]
    fn one_address_cannot_take_every_place_in_the_handshake() {
        let mut door = Door::new(LIMITS);
        let knocks = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "127.0.0.2:1", "127.0.0.3:1", "127.0.0.4:1"];
        let heard: Vec<bool> = knocks.iter().enumerate().map(|(id, from)| knock(&mut door, id, from)).collect();
        assert_eq!(heard, [true, true, false, true, true, false]);
        fail(&mut door, 0);
        assert!(knock(&mut door, 9, "127.0.0.1:4"));
    }

    #[test]
    fn nor_every_place_behind_it() {
        let mut door = Door::new(LIMITS);
        let entries = ["[::1]:1", "[::2]:1", "[::3]:1", "127.0.0.1:1", "127.0.0.2:1"];
        let let_in: Vec<bool> = entries.iter().enumerate().map(|(id, from)| enter(&mut door, id, from)).collect();
        assert_eq!(let_in, [true, true, false, true, false]);
        fail(&mut door, 1);
        assert!(enter(&mut door, 9, "127.0.0.2:1"));
        assert!(door.pending.is_empty());
    }
}
