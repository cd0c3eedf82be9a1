//! The libp2p behaviour of one member: the gate first, then limits, then what is spoken.

use super::counters::Unreadable;
use super::door::{Door, DoorLimits};
use super::gossip::{self, Gossip, Topics};
use super::wire::{LetterDialect, SyncDialect, Talk, talk_counted};
use super::{MeshError, Tunables};
use crate::roster::Role;
use libp2p::allow_block_list::{self, AllowedPeers};
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::ping;
use libp2p::request_response::ProtocolSupport;
use libp2p::swarm::NetworkBehaviour;
use std::time::Duration;

/// Members may share an address, so only strangers in the handshake are counted by it.
const DOOR: DoorLimits = DoorLimits { pending: 64, pending_each: 16, standing: usize::MAX, standing_each: usize::MAX };
const PENDING_OUT: u32 = 64;
const PER_PEER: u32 = 2;
const TOTAL: u32 = 600;
const NODE_INBOUND: u32 = 24;
const COORDINATOR_INBOUND: u32 = 512;
pub(super) const PING_PATIENCE: Duration = Duration::from_secs(10);
/// Nodes ping so much more seldom than the coordinator, which must know who is gone. At rest most of a node's bytes were
/// pings between nodes; letters and pulls notice a dead neighbour when it matters.
const PINGS_OF_NODES: u32 = 10;

/// Order matters: a connection that the gate refuses reaches nothing below it.
#[derive(NetworkBehaviour)]
pub(super) struct MeshBehaviour {
    pub(super) gate: allow_block_list::Behaviour<AllowedPeers>,
    pub(super) door: Door,
    pub(super) limits: connection_limits::Behaviour,
    pub(super) gossip: Gossip,
    pub(super) sync: Talk<SyncDialect>,
    pub(super) letters: Talk<LetterDialect>,
    pub(super) ping: ping::Behaviour,
}

impl MeshBehaviour {
    pub(super) fn new(
        topics: &Topics,
        role: Role,
        tunables: &Tunables,
        unreadable: &Unreadable,
    ) -> Result<Self, MeshError> {
        let every = match role {
            Role::Coordinator => tunables.ping_every,
            Role::Node => PINGS_OF_NODES * tunables.ping_every,
        };
        let ping = ping::Config::new().with_interval(every).with_timeout(PING_PATIENCE);
        Ok(Self {
            gate: allow_block_list::Behaviour::default(),
            door: Door::new(DOOR),
            limits: connection_limits::Behaviour::new(limits(role)),
            gossip: gossip::behaviour(topics, role)?,
            sync: talk_counted(ProtocolSupport::Full, unreadable),
            letters: talk_counted(ProtocolSupport::Full, unreadable),
            ping: ping::Behaviour::new(ping),
        })
    }
}

fn limits(role: Role) -> ConnectionLimits {
    let inbound = match role {
        Role::Coordinator => COORDINATOR_INBOUND,
        Role::Node => NODE_INBOUND,
    };
    ConnectionLimits::default()
        .with_max_pending_outgoing(Some(PENDING_OUT))
        .with_max_established_incoming(Some(inbound))
        .with_max_established(Some(TOTAL))
        .with_max_established_per_peer(Some(PER_PEER))
}
