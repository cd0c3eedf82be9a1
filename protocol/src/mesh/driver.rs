//! One step of a member: what the swarm reports, and what is due by the clock.

use super::behaviour::{MeshBehaviour, MeshBehaviourEvent};
use super::board::Novelty;
use super::chance::{jitter, lot};
use super::dialler::Standing;
use super::gossip::{self, Heard, Refusal};
use super::neighbour::Neighbour;
use super::pairs::Connection;
use super::ways::BeaconId;
use super::{Mesh, MeshError, MeshEvent, peer, transport};
use crate::envelope::Envelope;
use crate::identity::NodeId;
use crate::roster::Role;
use crate::time::Timestamp;
use futures::{FutureExt, StreamExt};
use libp2p::core::ConnectedPoint;
use libp2p::gossipsub::{self, MessageAcceptance, PublishError};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{PeerId, Swarm};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;
use tokio::time::Instant;

/// How often expired keys, silence and surplus connections are looked for, while neighbours come and go.
const TICK: Duration = Duration::from_secs(1);

/// The same when there was no change for [`STIRRED_FOR`]; waking up is most of what a member at rest costs.
const CALM_TICK: Duration = Duration::from_secs(10);

/// How long a change of neighbours may have consequences.
const STIRRED_FOR: Duration = Duration::from_secs(60);

/// When a new neighbour is asked a second time: by then it passes gossip on to us.
const SETTLING: Duration = Duration::from_secs(1);

/// The least time between two warnings about clocks.
const CLOCK_WARNING: Duration = Duration::from_secs(300);

/// The most events that are dealt with before our owner goes on.
const AT_A_TIME: usize = 1_024;

impl Mesh {
    pub(super) async fn wait_for_listeners(&mut self, wanted: &[SocketAddr]) -> Result<(), MeshError> {
        let mut missing = wanted.len();
        let heard = async {
            while missing > 0 {
                let event = self.swarm.select_next_some().await;
                missing -= usize::from(matches!(event, SwarmEvent::NewListenAddr { .. }));
                self.on_swarm(event, self.time());
            }
            // Who listens at every address tells of one after another, all of them known by now.
            self.let_go(self.time());
        };
        transport::in_time(heard, wanted).await
    }

    /// Gives what is to be said to the connections, which say it while our owner is busy.
    pub(super) fn let_go(&mut self, now: Timestamp) {
        for _ in 0..AT_A_TIME {
            let Some(event) = self.swarm.select_next_some().now_or_never() else { break };
            self.on_swarm(event, now);
        }
    }

    /// Waits for one thing to happen, and deals with it. Nothing is lost when the wait is given up.
    pub(super) async fn step(&mut self) {
        let due = [self.dialler.wake(), self.outbox.next_due(), self.pulls.next_due(), self.roster_due];
        let wake = due.into_iter().flatten().fold(self.next_tick, Instant::min);
        tokio::select! {
            event = self.swarm.select_next_some() => self.on_swarm(event, self.time()),
            () = tokio::time::sleep_until(wake) => self.on_time(Instant::now()),
        }
    }

    pub(super) fn on_time(&mut self, now: Instant) {
        if self.next_tick <= now {
            self.tick(now);
        }
        self.pull_late_roster(now);
        self.give_up_late(now);
        self.ask_silent_again(now);
        if self.dialler.wake().is_some_and(|wake| wake <= now) {
            self.dial_due(now);
        }
    }

    fn tick(&mut self, now: Instant) {
        self.next_tick = now + if now < self.calm_from { TICK } else { CALM_TICK };
        let time = self.time();
        self.apply_gate(time);
        self.tell_hearing(now);
        if self.next_pull <= now {
            self.next_pull = now + self.pull_every;
            self.board.sweep(time);
            self.pull_when_needed(now);
        }
        self.close_surplus(now);
    }

    /// Something changed whose consequences are to be seen to soon.
    pub(super) fn stir(&mut self, now: Instant) {
        self.calm_from = now + STIRRED_FOR;
        self.next_tick = self.next_tick.min(now + TICK);
    }

    fn dial_due(&mut self, now: Instant) {
        let gate = &self.gate;
        let standing = |node: &NodeId| match (gate.lets_in(node), gate.is_coordinator(node)) {
            (false, _) => Standing::Outside,
            (true, true) => Standing::Coordinator,
            (true, false) => Standing::Other,
        };
        for (node, addresses) in self.dialler.due(now, lot(), standing) {
            if let Err(reason) = dial(&mut self.swarm, &node, &addresses) {
                self.on_dial_failed(&node, &reason);
            }
        }
    }

    /// One connection a pair is enough, and six that a node made; a coordinator keeps whom it has reached.
    fn close_surplus(&mut self, now: Instant) {
        for connection in self.pairs.surplus(&self.author.id(), now) {
            self.swarm.close_connection(connection);
        }
        if self.role == Role::Coordinator {
            return;
        }
        let badness = |node: &NodeId| self.neighbours.get(node).map(Neighbour::badness).unwrap_or_default();
        let worst = self.dialler.worst(now, self.through(), badness);
        if let Some(peer) = worst.as_ref().and_then(peer::peer_id) {
            tracing::debug!(%peer, "a connection makes room for a new one");
            // It fails only when the connection has gone by itself.
            let _ = self.swarm.disconnect_peer_id(peer);
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
        let at = Instant::now();
        if !changes.leaving.is_empty() {
            let (gate, me) = (&self.gate, self.author.id());
            self.cards.retain(|key| gate.lets_in(key) || *key == me);
            changes.leaving.iter().for_each(|key| self.dialler.forget_card(key, at));
        }
        if !changes.entering.is_empty() {
            self.dialler.look_again(at);
        }
        if let Some(end) = self.gate.next_end() {
            // Who expires is thrown out at that time, however calm it is.
            let wait = end.since(now) + Duration::from_millis(1);
            self.next_tick = self.next_tick.min(at + wait.min(CALM_TICK));
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "libp2p's events are many and may grow; the rest is not ours to act on"
    )]
    fn on_swarm(&mut self, event: SwarmEvent<MeshBehaviourEvent>, now: Timestamp) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour(event, now),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, num_established, .. } => {
                self.on_connected(&peer_id, connection_id, &endpoint, num_established);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, .. } => {
                self.on_disconnected(&peer_id, connection_id);
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), error, .. } => {
                if let Some(node) = peer::node_id(&peer) {
                    self.on_dial_failed(&node, &transport::dial_reason(&error));
                }
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                self.counters.refused_connections += 1;
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

    fn on_connected(&mut self, peer: &PeerId, id: ConnectionId, endpoint: &ConnectedPoint, count: NonZeroU32) {
        let Some(node) = peer::node_id(peer) else { return };
        let (address, is_dialled) = (peer::socket_addr(endpoint.get_remote_address()), endpoint.is_dialer());
        let since = Instant::now();
        self.stir(since);
        self.pairs.opened(node, Connection { id, address, is_dialled, since });
        if count > NonZeroU32::MIN {
            // The other connection may be a dead one; this one is not.
            self.spoke_up(peer);
            return;
        }
        self.neighbours.insert(node, Neighbour::new(address, is_dialled, since));
        self.dialler.connected(node, is_dialled, address, since);
        self.events.push_back(MeshEvent::Connected { node, address });
        self.pull_from(node);
        self.hearing.insist();
        self.next_pull = self.next_pull.min(since + SETTLING);
    }

    fn on_disconnected(&mut self, peer: &PeerId, id: ConnectionId) {
        let Some(node) = peer::node_id(peer) else { return };
        self.stir(Instant::now());
        if let Some(left) = self.pairs.closed(&node, id) {
            self.dialler.left(&node, left.is_dialled);
            if let Some(neighbour) = self.neighbours.get_mut(&node) {
                (neighbour.address, neighbour.is_dialled) = (left.address, left.is_dialled);
            }
            return;
        }
        self.neighbours.remove(&node);
        self.dialler.lost(&node, Instant::now(), jitter());
        self.events.push_back(MeshEvent::Disconnected { node });
    }

    fn on_dial_failed(&mut self, node: &NodeId, reason: &str) {
        if !self.connected(node) {
            if self.gate.is_coordinator(node) {
                tracing::info!(node.id = %node, reason, "the coordinator cannot be reached");
            } else {
                // In a mesh of several segments most members are out of reach for good.
                tracing::debug!(node.id = %node, reason, "a member cannot be reached");
            }
            self.dialler.lost(node, Instant::now(), jitter());
        }
    }

    fn on_gossip(&mut self, event: gossipsub::Event, now: Timestamp) {
        let gossipsub::Event::Message { propagation_source, message_id, message } = event else { return };
        self.spoke_up(&propagation_source);
        let envelope = Envelope::from_bytes(message.data);
        let verdict = gossip::on_its_topic(&envelope, &message.topic, &self.topics);
        let from = peer::node_id(&propagation_source).ok_or(Refusal::Forged);
        let is_for_all = gossip::is_for_all(&envelope);
        let heard = verdict.and(from).and_then(|from| self.hear(envelope, from, now).map(|_| from));
        let acceptance = match heard {
            Ok(from) => {
                self.heard_by(from, Instant::now());
                if is_for_all || self.is_to_pass_on() { MessageAcceptance::Accept } else { MessageAcceptance::Ignore }
            }
            Err(refusal) => {
                self.counters.refuse(refusal);
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

    /// Judges what this neighbour gossiped or handed over, keeps it, and tells of it the first time. What is outdated is
    /// refused.
    pub(super) fn hear(&mut self, envelope: Envelope, from: NodeId, now: Timestamp) -> Result<Novelty, Refusal> {
        let now = self.learn_time(&envelope).unwrap_or(now);
        let roster = self.gate.roster().ok_or(Refusal::Stale)?;
        let heard = gossip::judge(&envelope, self.author.mesh(), roster, now)?;
        match self.keep(&heard, envelope) {
            Novelty::Outdated => Err(Refusal::Stale),
            Novelty::Repeat => Ok(Novelty::Repeat),
            Novelty::First => {
                self.act_on(heard, from, now);
                Ok(Novelty::First)
            }
        }
    }

    fn keep(&mut self, heard: &Heard, envelope: Envelope) -> Novelty {
        match heard {
            Heard::Beacon(beacon) => self.board.beacon(beacon, envelope),
            Heard::Head(head) => self.board.head(head, envelope),
            Heard::Cancel(cancel) => self.board.cancel(cancel, envelope),
            Heard::Announcement(announcement) => self.board.announcement(announcement, envelope),
        }
    }

    fn act_on(&mut self, heard: Heard, from: NodeId, now: Timestamp) {
        match heard {
            Heard::Beacon(beacon) => {
                self.hearing.beacon(Instant::now());
                let message = beacon.message();
                let coordinator = self.neighbours.keys().find(|node| self.gate.is_coordinator(node));
                let parent = *coordinator.unwrap_or(&from);
                self.ways.heard(BeaconId { boot: beacon.header().boot, counter: message.counter }, parent);
                self.seek_roster((message.roster_epoch, message.roster_hash));
                if self.board.missing().is_some() {
                    self.pull_from_best();
                }
                self.events.push_back(MeshEvent::Beacon(beacon));
            }
            Heard::Head(head) => self.heed_head(head.into_message(), from, now),
            Heard::Cancel(cancel) => self.events.push_back(MeshEvent::Cancel(cancel)),
            Heard::Announcement(announcement) => self.events.push_back(MeshEvent::Announcement(announcement)),
        }
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
        let is_urgent = matches!(heard, Heard::Head(_));
        self.keep(&heard, envelope);
        match self.swarm.behaviour_mut().gossip.publish(topic, bytes) {
            Ok(_) | Err(PublishError::NoPeersSubscribedToTopic | PublishError::Duplicate) => {}
            Err(error) => tracing::warn!(%error, "gossip did not take a message; members will pull it"),
        }
        if is_urgent {
            self.let_go(now);
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
