//! A hand-made peer that follows the wire but none of the rules.

use super::kit::{self, PATIENCE};
use crate::envelope::Envelope;
use crate::identity::{MeshId, NodeId};
use crate::mesh::gossip::{PROTOCOL, Topics, message_id};
use crate::mesh::sync::words::{NewsRequest, SyncRequest};
use crate::mesh::wire::{LetterDialect, SyncDialect, Talk, talk};
use crate::mesh::{peer, transport};
use futures::StreamExt;
use libp2p::gossipsub::{self, MessageAuthenticity, ValidationMode, Version};
use libp2p::request_response::{self, ProtocolSupport};
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{PeerId, Swarm};
use std::net::SocketAddr;
use std::time::Duration;

#[derive(NetworkBehaviour)]
pub(super) struct Anything {
    pub(super) gossip: gossipsub::Behaviour,
    pub(super) sync: Talk<SyncDialect>,
    pub(super) letters: Talk<LetterDialect>,
}

pub(super) struct Intruder {
    pub(super) swarm: Swarm<Anything>,
    topics: Topics,
}

/// What an intruder got to see of the mesh.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Loot {
    pub(super) subscriptions: usize,
    pub(super) messages: usize,
    pub(super) answers: usize,
}

impl Intruder {
    /// With the key of `seed`, in the mesh `mesh` by its handshake, on the topics of our mesh.
    pub(super) fn new(seed: u8, mesh: MeshId) -> Self {
        let config = gossipsub::ConfigBuilder::default()
            .protocol_id(PROTOCOL, Version::V1_1)
            .validation_mode(ValidationMode::Anonymous)
            .message_id_fn(message_id)
            .max_transmit_size(64 * 1024)
            .build()
            .unwrap();
        let mut gossip = gossipsub::Behaviour::new(MessageAuthenticity::Anonymous, config).unwrap();
        let topics = Topics::new();
        gossip.subscribe(&topics.control).unwrap();
        gossip.subscribe(&topics.tasks).unwrap();
        let behaviour = Anything { gossip, sync: talk(ProtocolSupport::Full), letters: talk(ProtocolSupport::Full) };
        let swarm = transport::swarm(&kit::keys(seed), mesh, behaviour, Duration::MAX).unwrap();
        Self { swarm, topics }
    }

    pub(super) fn dial(&mut self, address: SocketAddr) {
        let options = DialOpts::unknown_peer_id().address(peer::multiaddr(address)).allocate_new_port().build();
        self.swarm.dial(options).unwrap();
    }

    /// Connects, and waits until the other side would pass gossip on.
    pub(super) async fn join(&mut self, address: SocketAddr) -> PeerId {
        self.dial(address);
        let joined = async {
            loop {
                let event = self.swarm.select_next_some().await;
                if let SwarmEvent::Behaviour(AnythingEvent::Gossip(gossipsub::Event::Subscribed { peer_id, .. })) =
                    event
                {
                    return peer_id;
                }
            }
        };
        tokio::time::timeout(PATIENCE, joined).await.unwrap()
    }

    pub(super) fn ask(&mut self, peer: &PeerId) {
        let (epoch, hash, beacon, holder, cards) = (0, [0; 32], None, Some(kit::id(2)), 0);
        let request = NewsRequest { epoch, hash, beacon, holder, have: vec![], cancelled: vec![], cards, hears: false };
        self.swarm.behaviour_mut().sync.send_request(peer, SyncRequest::News(request));
    }

    pub(super) fn publish(&mut self, envelope: &Envelope) -> bool {
        let topic = self.topics.tasks.clone();
        self.swarm.behaviour_mut().gossip.publish(topic, envelope.as_bytes().to_vec()).is_ok()
    }

    /// Dials and asks without end, until `done` is; counts all that comes in.
    pub(super) async fn rob(&mut self, address: SocketAddr, victim: PeerId, done: impl Future<Output = ()>) -> Loot {
        let mut loot = Loot::default();
        let mut refused = 0;
        tokio::pin!(done);
        self.dial(address);
        loop {
            let event = tokio::select! {
                () = &mut done, if refused > 2 => return loot,
                event = self.swarm.select_next_some() => event,
            };
            match event {
                SwarmEvent::ConnectionEstablished { .. } => self.ask(&victim),
                SwarmEvent::ConnectionClosed { .. } | SwarmEvent::OutgoingConnectionError { .. } => {
                    refused += 1;
                    self.dial(address);
                }
                SwarmEvent::Behaviour(AnythingEvent::Gossip(gossipsub::Event::Message { .. })) => loot.messages += 1,
                SwarmEvent::Behaviour(AnythingEvent::Gossip(gossipsub::Event::Subscribed { .. })) => {
                    loot.subscriptions += 1;
                }
                SwarmEvent::Behaviour(AnythingEvent::Sync(request_response::Event::Message { .. })) => {
                    loot.answers += 1;
                }
                _ => {}
            }
        }
    }

    /// Dials once, asks for everything as soon as it can, and waits until the other side hangs up.
    pub(super) async fn knock(&mut self, address: SocketAddr, victim: &NodeId) -> Loot {
        let (mut loot, victim) = (Loot::default(), peer::peer_id(victim).unwrap());
        self.dial(address);
        loop {
            match self.swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished { .. } => self.ask(&victim),
                SwarmEvent::ConnectionClosed { .. } | SwarmEvent::OutgoingConnectionError { .. } => return loot,
                SwarmEvent::Behaviour(AnythingEvent::Gossip(gossipsub::Event::Message { .. })) => loot.messages += 1,
                SwarmEvent::Behaviour(AnythingEvent::Gossip(gossipsub::Event::Subscribed { .. })) => {
                    loot.subscriptions += 1;
                }
                SwarmEvent::Behaviour(AnythingEvent::Sync(request_response::Event::Message { .. })) => {
                    loot.answers += 1;
                }
                _ => {}
            }
        }
    }
}
