//! The enrolment port: all that a stranger may speak to, and the stranger's side of it.

use super::counters::Unreadable;
use super::door::{Door, DoorLimits};
use super::wire::{EnrolDialect, Talk, talk, talk_counted};
use super::{MeshError, peer, transport};
use crate::envelope::Envelope;
use crate::identity::{Keypair, MeshId, NodeId};
use futures::StreamExt;
use libp2p::Swarm;
use libp2p::request_response::{Event, Message, OutboundFailure, ProtocolSupport, ResponseChannel};
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Strangers have no standing, so they are counted by where they come from.
const DOOR: DoorLimits = DoorLimits { pending: 32, pending_each: 16, standing: 32, standing_each: 16 };

/// How long a connection may stand without a request.
const IDLE: Duration = Duration::from_secs(10);

/// Nothing but the enrolment protocol.
#[derive(NetworkBehaviour)]
struct EnrolBehaviour {
    door: Door,
    talk: Talk<EnrolDialect>,
}

/// Answers strangers on the enrolment port.
pub struct EnrolServer {
    swarm: Swarm<EnrolBehaviour>,
    /// The other ends of the connections that stand; no more than the limits allow.
    strangers: BTreeMap<libp2p::swarm::ConnectionId, Option<SocketAddr>>,
    refused_connections: u64,
    unreadable: Unreadable,
}

impl fmt::Debug for EnrolServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolServer").field("connections", &self.strangers.len()).finish_non_exhaustive()
    }
}

/// A stranger asks. Nothing in the envelope is checked yet; its sender must equal `from`.
#[derive(Debug)]
pub struct EnrolRequestArrived {
    /// The key at the other end of the connection, proven by the handshake.
    pub from: NodeId,
    /// The other end of the connection.
    pub address: Option<SocketAddr>,
    /// What it says.
    pub envelope: Envelope,
    /// Where the answer goes; within 30 s.
    pub reply: ReplyTo,
}

/// What an enrolment port has refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EnrolCounters {
    /// Connections refused: another mesh, too many, or silent in the handshake.
    pub refused_connections: u64,
    /// Requests that could not be read: too long, garbled, or never finished.
    pub unreadable: u64,
}

/// The way back to one asker. Dropping it refuses the request without a word.
#[derive(Debug)]
pub struct ReplyTo(ResponseChannel<Envelope>);

impl EnrolServer {
    /// Opens the enrolment port. Needs a tokio runtime.
    pub async fn new(keypair: &Arc<Keypair>, mesh: MeshId, listen: Vec<SocketAddr>) -> Result<Self, MeshError> {
        let unreadable = Unreadable::default();
        let talk = talk_counted(ProtocolSupport::Inbound, &unreadable);
        let behaviour = EnrolBehaviour { door: Door::new(DOOR), talk };
        let mut swarm = transport::swarm(keypair, mesh, behaviour, IDLE)?;
        transport::listen(&mut swarm, &listen)?;
        let mut server = Self { swarm, strangers: BTreeMap::new(), refused_connections: 0, unreadable };
        server.wait_for_listeners(&listen).await?;
        Ok(server)
    }

    /// A request that comes this early is dropped; its sender asks again.
    async fn wait_for_listeners(&mut self, wanted: &[SocketAddr]) -> Result<(), MeshError> {
        let mut missing = wanted.len();
        let heard = async {
            while missing > 0 {
                let event = self.swarm.select_next_some().await;
                missing -= usize::from(matches!(event, SwarmEvent::NewListenAddr { .. }));
                drop(self.on_swarm(event));
            }
        };
        transport::in_time(heard, wanted).await
    }

    /// Where it really listens.
    pub fn listen_addresses(&self) -> Vec<SocketAddr> {
        self.swarm.listeners().filter_map(peer::socket_addr).collect()
    }

    /// Connections refused, and requests that could not be read, since it was opened.
    pub fn counters(&self) -> EnrolCounters {
        EnrolCounters { refused_connections: self.refused_connections, unreadable: self.unreadable.count() }
    }

    /// Waits for the next request. May be dropped at any time without losing one.
    pub async fn next(&mut self) -> EnrolRequestArrived {
        loop {
            let event = self.swarm.select_next_some().await;
            if let Some(arrived) = self.on_swarm(event) {
                return arrived;
            }
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "libp2p's events are many and may grow; the rest is not ours to act on"
    )]
    fn on_swarm(&mut self, event: SwarmEvent<EnrolBehaviourEvent>) -> Option<EnrolRequestArrived> {
        match event {
            SwarmEvent::ConnectionEstablished { connection_id, endpoint, .. } => {
                self.strangers.insert(connection_id, peer::socket_addr(endpoint.get_remote_address()));
            }
            SwarmEvent::ConnectionClosed { connection_id, .. } => {
                self.strangers.remove(&connection_id);
            }
            SwarmEvent::Behaviour(EnrolBehaviourEvent::Talk(event)) => return self.on_talk(event),
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                self.refused_connections += 1;
                tracing::debug!(address = %send_back_addr, %error, "a connection for enrolment was refused");
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "the enrolment port has a problem"),
            SwarmEvent::ListenerClosed { reason: Err(error), .. } => {
                tracing::error!(%error, "the enrolment port is closed");
            }
            _ => {}
        }
        None
    }

    fn on_talk(&self, event: Event<Envelope, Envelope>) -> Option<EnrolRequestArrived> {
        match event {
            Event::Message { peer, connection_id, message: Message::Request { request, channel, .. } } => {
                let address = self.strangers.get(&connection_id).copied().flatten();
                let reply = ReplyTo(channel);
                peer::node_id(&peer).map(|from| EnrolRequestArrived { from, address, envelope: request, reply })
            }
            Event::InboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, %error, "a request to enrol did not come through");
                None
            }
            Event::Message { message: Message::Response { .. }, .. }
            | Event::OutboundFailure { .. }
            | Event::ResponseSent { .. } => None,
        }
    }

    /// Answers a request; the answer leaves while [`Self::next`] is waited for. Does nothing when the asker has gone.
    pub fn reply(&mut self, to: ReplyTo, envelope: Envelope) {
        if self.swarm.behaviour_mut().talk.send_response(to.0, envelope).is_err() {
            tracing::debug!("who asked to enrol left before the answer");
        }
    }
}

/// No address gave an answer.
#[derive(Debug, thiserror::Error)]
pub struct AskError {
    /// Each address that was tried, and why it gave no answer.
    pub tried: Vec<(SocketAddr, String)>,
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.tried.is_empty() {
            return f.write_str("the invite names no address; ask for a new one");
        }
        f.write_str("no answer to the request to join: ")?;
        let tried: Vec<String> = self.tried.iter().map(|(address, reason)| format!("{address}: {reason}")).collect();
        f.write_str(&tried.join("; "))
    }
}

/// Asks to join: tries the addresses in turn, each for at most `patience`; says who answered, and what.
///
/// The answer proves nothing yet: it must be verified, and its sender believed on the mesh key's word.
pub async fn ask(
    keypair: Arc<Keypair>,
    mesh: MeshId,
    addresses: &[SocketAddr],
    request: Envelope,
    patience: Duration,
) -> Result<(NodeId, Envelope), AskError> {
    let mut tried = Vec::new();
    for address in addresses {
        let asked = ask_at(&keypair, mesh, *address, request.clone());
        let reason = match tokio::time::timeout(patience, asked).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(reason)) => reason,
            Err(_) => format!("no answer within {} s", patience.as_secs()),
        };
        tried.push((*address, reason));
    }
    Err(AskError { tried })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "libp2p's events are many and may grow; the rest is not ours to act on"
)]
async fn ask_at(
    keypair: &Keypair,
    mesh: MeshId,
    address: SocketAddr,
    request: Envelope,
) -> Result<(NodeId, Envelope), String> {
    let behaviour = talk::<EnrolDialect>(ProtocolSupport::Outbound);
    let mut swarm = transport::swarm(keypair, mesh, behaviour, IDLE).map_err(|error| error.to_string())?;
    let options = DialOpts::unknown_peer_id().address(peer::multiaddr(address)).allocate_new_port().build();
    swarm.dial(options).map_err(|error| transport::dial_reason(&error))?;
    let mut request = Some(request);
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                if let Some(request) = request.take() {
                    swarm.behaviour_mut().send_request(&peer_id, request);
                }
            }
            SwarmEvent::OutgoingConnectionError { error, .. } => return Err(transport::dial_reason(&error)),
            SwarmEvent::Behaviour(Event::Message { peer, message: Message::Response { response, .. }, .. }) => {
                let node = peer::node_id(&peer).ok_or("its key is of an unknown kind")?;
                return Ok((node, response));
            }
            SwarmEvent::Behaviour(Event::OutboundFailure { error, .. }) => return Err(ask_reason(&error)),
            _ => {}
        }
    }
}

fn ask_reason(error: &OutboundFailure) -> String {
    match error {
        OutboundFailure::UnsupportedProtocols => {
            "this is no enrolment port; it is usually the mesh port plus one".into()
        }
        OutboundFailure::ConnectionClosed => {
            "the connection was closed; this may be the mesh port (enrolment is usually one higher), or too many ask"
                .into()
        }
        OutboundFailure::Timeout => "no answer in time".into(),
        OutboundFailure::DialFailure => "it cannot be dialled".into(),
        OutboundFailure::Io(error) => format!("the request or its answer cannot be used: {error}"),
    }
}
