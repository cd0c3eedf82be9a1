//! One step of a member: what the swarm reports, and what is due by the clock.

use super::behaviour::{MeshBehaviour, MeshBehaviourEvent};
use super::board::Novelty;
use super::dialler::Standing;
use super::gossip::{self, Heard, Refusal};
use super::letters::Allowance;
use super::{Mesh, MeshError, MeshEvent, PeerLink, peer, transport};
use crate::envelope::Envelope;
use crate::identity::NodeId;
use crate::roster::{Precedence, RosterHash};
use crate::time::Timestamp;
use futures::StreamExt;
use libp2p::core::ConnectedPoint;
use libp2p::gossipsub::{self, MessageAcceptance, PublishError};
use libp2p::swarm::SwarmEvent;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{PeerId, Swarm, ping};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;
use tokio::time::Instant;

/// How often expired keys are looked for.
const TICK: Duration = Duration::from_secs(1);

/// When a new neighbour is asked a second time: by then it passes gossip on to us.
const SETTLING: Duration = Duration::from_secs(1);

/// The least time between two warnings about clocks.
const CLOCK_WARNING: Duration = Duration::from_secs(300);

/// Unanswered pings that close a connection.
const MAX_MISSED_PINGS: u32 = 2;

/// A connected member.
#[derive(Debug)]
pub(super) struct Neighbour {
    address: Option<SocketAddr>,
    round_trip: Option<Duration>,
    missed_pings: u32,
    pub(super) allowance: Allowance,
    pub(super) asked: Option<Instant>,
}

impl Neighbour {
    fn new(address: Option<SocketAddr>) -> Self {
        let allowance = Allowance::new(Instant::now());
        Self { address, round_trip: None, missed_pings: 0, allowance, asked: None }
    }

    pub(super) fn link(&self, node: NodeId) -> PeerLink {
        PeerLink { node, address: self.address, round_trip: self.round_trip }
    }
}

impl Mesh {
    pub(super) async fn wait_for_listeners(&mut self, wanted: &[SocketAddr]) -> Result<(), MeshError> {
        let mut missing = wanted.len();
        let heard = async {
            while missing > 0 {
                let event = self.swarm.select_next_some().await;
                missing -= usize::from(matches!(event, SwarmEvent::NewListenAddr { .. }));
                self.on_swarm(event, Timestamp::now());
            }
        };
        transport::in_time(heard, wanted).await
    }

    /// Waits for one thing to happen, and deals with it. Nothing is lost when the wait is given up.
    pub(super) async fn step(&mut self) {
        let wake = self.dialler.next_due().map_or(self.next_tick, |due| due.min(self.next_tick));
        tokio::select! {
            event = self.swarm.select_next_some() => self.on_swarm(event, Timestamp::now()),
            () = tokio::time::sleep_until(wake) => self.on_time(Instant::now()),
        }
    }

    fn on_time(&mut self, now: Instant) {
        if self.next_tick <= now {
            self.next_tick = now + TICK;
            let wall = Timestamp::now();
            self.apply_gate(wall);
            if self.next_pull <= now {
                self.next_pull = now + self.pull_every;
                self.board.sweep(wall);
                self.pull_from_best();
            }
        }
        let gate = &self.gate;
        let standing = |node: &NodeId| match (gate.lets_in(node), gate.is_coordinator(node)) {
            (false, _) => Standing::Outside,
            (true, true) => Standing::Coordinator,
            (true, false) => Standing::Other,
        };
        for (node, addresses) in self.dialler.due(now, standing) {
            if let Err(reason) = dial(&mut self.swarm, &node, &addresses) {
                self.on_dial_failed(&node, &reason);
            }
        }
    }

    /// Lets in and throws out whom the roster, a head or the clock says.
    pub(super) fn apply_gate(&mut self, now: Timestamp) {
        let changes = self.gate.changes(now);
        let behaviour = &mut self.swarm.behaviour_mut().gate;
        for peer in changes.leaving.iter().filter_map(peer::peer_id) {
            behaviour.disallow_peer(peer);
        }
        for peer in changes.entering.iter().filter_map(peer::peer_id) {
            behaviour.allow_peer(peer);
        }
        if !changes.entering.is_empty() {
            self.dialler.look_again(Instant::now());
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "libp2p's events are many and may grow; the rest is not ours to act on"
    )]
    fn on_swarm(&mut self, event: SwarmEvent<MeshBehaviourEvent>, now: Timestamp) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour(event, now),
            SwarmEvent::ConnectionEstablished { peer_id, endpoint, num_established: NonZeroU32::MIN, .. } => {
                self.on_connected(&peer_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } => self.on_disconnected(&peer_id),
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), error, .. } => {
                if let Some(node) = peer::node_id(&peer) {
                    self.on_dial_failed(&node, &transport::dial_reason(&error));
                }
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                tracing::debug!(address = %send_back_addr, %error, "a connection was refused");
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "the mesh port has a problem"),
            SwarmEvent::ListenerClosed { reason: Err(error), .. } => tracing::error!(%error, "the mesh port is closed"),
            _ => {}
        }
    }

    fn on_behaviour(&mut self, event: MeshBehaviourEvent, now: Timestamp) {
        match event {
            MeshBehaviourEvent::Gossip(event) => self.on_gossip(event, now),
            MeshBehaviourEvent::Sync(event) => self.on_sync(event, now),
            MeshBehaviourEvent::Letters(event) => self.on_letters(event),
            MeshBehaviourEvent::Ping(event) => self.on_ping(&event),
        }
    }

    fn on_connected(&mut self, peer: &PeerId, endpoint: &ConnectedPoint) {
        let Some(node) = peer::node_id(peer) else { return };
        let address = peer::socket_addr(endpoint.get_remote_address());
        self.neighbours.insert(node, Neighbour::new(address));
        self.dialler.connected(&node);
        self.events.push_back(MeshEvent::Connected { node, address });
        self.pull_from(node);
        self.next_pull = self.next_pull.min(Instant::now() + SETTLING);
    }

    fn on_disconnected(&mut self, peer: &PeerId) {
        let Some(node) = peer::node_id(peer) else { return };
        self.neighbours.remove(&node);
        self.dialler.lost(&node, Instant::now(), jitter());
        self.events.push_back(MeshEvent::Disconnected { node });
    }

    fn on_dial_failed(&mut self, node: &NodeId, reason: &str) {
        if self.connected(node) {
            self.dialler.connected(node);
        } else {
            tracing::info!(node.id = %node, reason, "a member cannot be reached");
            self.dialler.lost(node, Instant::now(), jitter());
        }
    }

    fn on_ping(&mut self, event: &ping::Event) {
        let node = peer::node_id(&event.peer);
        let Some(neighbour) = node.and_then(|node| self.neighbours.get_mut(&node)) else { return };
        match &event.result {
            Ok(round_trip) => (neighbour.round_trip, neighbour.missed_pings) = (Some(*round_trip), 0),
            Err(_) => neighbour.missed_pings += 1,
        }
        if neighbour.missed_pings >= MAX_MISSED_PINGS {
            tracing::info!(peer = %event.peer, "a member no longer answers; its connection is closed");
            self.swarm.close_connection(event.connection);
        }
    }

    fn on_gossip(&mut self, event: gossipsub::Event, now: Timestamp) {
        let gossipsub::Event::Message { propagation_source, message_id, message } = event else { return };
        let envelope = Envelope::from_bytes(message.data);
        let verdict = gossip::on_its_topic(&envelope, &message.topic, &self.topics);
        let acceptance = match verdict.and_then(|()| self.hear(envelope, now)) {
            Ok(_) => MessageAcceptance::Accept,
            Err(refusal) => {
                self.warn_of_clocks(refusal);
                refusal.acceptance()
            }
        };
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        gossip.report_message_validation_result(&message_id, &propagation_source, acceptance);
    }

    /// Gossip is fresh, so what is out of time there points to a clock; without this line nobody would find out.
    fn warn_of_clocks(&mut self, refusal: Refusal) {
        let now = Instant::now();
        if refusal == Refusal::OutOfTime && self.next_clock_warning <= now {
            self.next_clock_warning = now + CLOCK_WARNING;
            tracing::warn!(
                "gossip came that is out of date or from the future; compare this clock with the coordinator's"
            );
        }
    }

    /// Judges a gossiped or pulled message, keeps it, and tells of it the first time. What is outdated is refused.
    pub(super) fn hear(&mut self, envelope: Envelope, now: Timestamp) -> Result<Novelty, Refusal> {
        let roster = self.gate.roster().ok_or(Refusal::Stale)?;
        let heard = gossip::judge(&envelope, self.author.mesh(), roster, now)?;
        match self.keep(&heard, envelope) {
            Novelty::Outdated => Err(Refusal::Stale),
            Novelty::Repeat => Ok(Novelty::Repeat),
            Novelty::First => {
                self.act_on(heard, now);
                Ok(Novelty::First)
            }
        }
    }

    fn keep(&mut self, heard: &Heard, envelope: Envelope) -> Novelty {
        match heard {
            Heard::Beacon(beacon) => self.board.beacon(beacon, envelope),
            Heard::Head(head) => self.board.head(head),
            Heard::Cancel(cancel) => self.board.cancel(cancel),
            Heard::Announcement(announcement) => self.board.announcement(announcement, envelope),
        }
    }

    fn act_on(&mut self, heard: Heard, now: Timestamp) {
        match heard {
            Heard::Beacon(beacon) => {
                let message = beacon.message();
                if self.lacks((message.roster_epoch, message.roster_hash)) || self.board.missing().is_some() {
                    self.pull_from_best();
                }
                self.events.push_back(MeshEvent::Beacon(beacon));
            }
            Heard::Head(head) => {
                let message = head.message();
                if self.lacks((message.epoch, message.hash)) {
                    self.gate.bar(message);
                    self.apply_gate(now);
                    self.pull_from_best();
                }
            }
            Heard::Cancel(cancel) => self.events.push_back(MeshEvent::Cancel(cancel)),
            Heard::Announcement(announcement) => self.events.push_back(MeshEvent::Announcement(announcement)),
        }
    }

    /// True when a roster like this is to be pulled: to be taken, or as proof of two truths.
    fn lacks(&mut self, offered: (u64, RosterHash)) -> bool {
        matches!(self.gate.seek(offered), Precedence::Newer | Precedence::Conflict)
    }

    pub(super) fn gossip_own(&mut self, envelope: Envelope, now: Timestamp) {
        let header = envelope.header();
        let read = header.and_then(|header| gossip::read(&envelope, header.kind, self.author.mesh(), now));
        let heard = match read {
            Ok(Some(heard)) => heard,
            Ok(None) => return tracing::error!("a message that is not gossiped was given to gossip"),
            Err(error) => return tracing::error!(%error, "an own message cannot be gossiped"),
        };
        if let Heard::Head(head) = &heard {
            self.gate.bar(head.message());
            self.apply_gate(now);
        }
        let topic = match &heard {
            Heard::Announcement(_) => self.topics.tasks.clone(),
            Heard::Beacon(_) | Heard::Head(_) | Heard::Cancel(_) => self.topics.control.clone(),
        };
        let bytes = envelope.as_bytes().to_vec();
        self.keep(&heard, envelope);
        match self.swarm.behaviour_mut().gossip.publish(topic, bytes) {
            Ok(_) | Err(PublishError::NoPeersSubscribedToTopic | PublishError::Duplicate) => {}
            Err(error) => tracing::warn!(%error, "gossip did not take a message; members will pull it"),
        }
    }
}

fn dial(swarm: &mut Swarm<MeshBehaviour>, node: &NodeId, addresses: &[SocketAddr]) -> Result<(), String> {
    let peer = peer::peer_id(node).ok_or("its key is unusable")?;
    let options = DialOpts::peer_id(peer)
        .condition(PeerCondition::DisconnectedAndNotDialing)
        .addresses(addresses.iter().copied().map(peer::multiaddr).collect())
        .allocate_new_port()
        .build();
    swarm.dial(options).map_err(|error| transport::dial_reason(&error))
}

/// Keeps members that lost the same neighbour from coming back all at once.
fn jitter() -> u8 {
    let mut byte = [128];
    // Without randomness every wait has its middle length, which is no harm.
    let _ = getrandom::fill(&mut byte);
    let [jitter] = byte;
    jitter
}
