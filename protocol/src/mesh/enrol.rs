//! The enrolment port: all that a stranger may speak to, and the stranger's side of it.
//!
//! It is open at the coordinator, and at members that may sponsor. A sponsor hands the request on and the answer back.
//! It proves nothing, and can do no more than withhold: the request is signed with the stranger's key, the answer with
//! the coordinator's.

use super::counters::Unreadable;
use super::door::{Door, DoorLimits};
use super::wire::{EnrolDialect, Talk, is_not_spoken, talk, talk_counted};
use super::{Mesh, MeshError, peer, transport};
use crate::card::SignedCard;
use crate::codec::{CodecError, Decode, Encode};
use crate::envelope::Envelope;
use crate::identity::{Keypair, MeshId, NodeId};
use futures::{FutureExt, StreamExt};
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
pub struct ReplyTo(ResponseChannel<EnrolReply>);

/// What comes back to a stranger.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct EnrolReply {
    /// The [`crate::message::EnrolAnswer`], signed by the coordinator whoever hands it over.
    pub answer: Envelope,
    /// Cards of members that the new one can dial, best first, at most [`Self::MAX_CARDS`]; none before it is approved.
    /// Only the word of whoever hands them over.
    pub cards: Vec<SignedCard>,
}

impl EnrolReply {
    /// The most cards in one reply.
    pub const MAX_CARDS: usize = 16;
}

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
            // Who listens at every address tells of one after another, all of them known by now.
            while let Some(event) = self.swarm.select_next_some().now_or_never() {
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

    fn on_talk(&self, event: Event<Envelope, EnrolReply>) -> Option<EnrolRequestArrived> {
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
    pub fn reply(&mut self, to: ReplyTo, reply: EnrolReply) {
        if self.swarm.behaviour_mut().talk.send_response(to.0, reply).is_err() {
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

/// Asks to join: tries the addresses in turn, each for at most `patience`, until `believe` takes what one answers.
///
/// An answer proves nothing by itself: `believe` is told the key at the other end, and verifies it. Gives the address, and what `believe` made of the reply.
pub async fn ask<T>(
    keypair: &Keypair,
    mesh: MeshId,
    addresses: &[SocketAddr],
    request: &Envelope,
    patience: Duration,
    mut believe: impl FnMut(NodeId, EnrolReply) -> Result<T, String>,
) -> Result<(SocketAddr, T), AskError> {
    let mut tried = Vec::new();
    for address in addresses {
        let asked = tokio::time::timeout(patience, ask_at(keypair, mesh, *address, request.clone()));
        let late = || Err(format!("no answer within {} s", patience.as_secs()));
        match asked.await.unwrap_or_else(|_| late()).and_then(|(from, reply)| believe(from, reply)) {
            Ok(believed) => return Ok((*address, believed)),
            Err(reason) => tried.push((*address, reason)),
        }
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
) -> Result<(NodeId, EnrolReply), String> {
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
                let from = peer::node_id(&peer).ok_or("its key is of an unknown kind")?;
                return Ok((from, response));
            }
            SwarmEvent::Behaviour(Event::OutboundFailure { error, .. }) => return Err(ask_reason(&error)),
            _ => {}
        }
    }
}

const NO_ENROLMENT_PORT: &str = "this is no enrolment port; it is usually the mesh port plus one";

fn ask_reason(error: &OutboundFailure) -> String {
    match error {
        OutboundFailure::UnsupportedProtocols => NO_ENROLMENT_PORT.into(),
        OutboundFailure::ConnectionClosed => {
            "the connection was closed; this may be the mesh port (enrolment is usually one higher), or too many ask"
                .into()
        }
        OutboundFailure::Timeout => "no answer in time".into(),
        OutboundFailure::DialFailure => "it cannot be dialled".into(),
        OutboundFailure::Io(error) if is_not_spoken(error) => NO_ENROLMENT_PORT.into(),
        OutboundFailure::Io(error) if is_empty(error) => "it takes no request now; wait a minute".into(),
        OutboundFailure::Io(error) => format!("the request or its answer cannot be used: {error}"),
    }
}

/// Whoever does not take a request ends the stream without a word.
fn is_empty(error: &std::io::Error) -> bool {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<CodecError>());
    matches!(error, Some(CodecError::Empty))
}

impl Mesh {
    /// The cards that a new member is handed: one's own, then those of neighbours that can be dialled.
    pub fn introduce(&self) -> Vec<SignedCard> {
        let me = self.author.id();
        let keys = std::iter::once(&me).chain(self.neighbours.keys());
        let can_be_dialled = |key: &&NodeId| self.card(key).is_some_and(|card| !card.addresses.is_empty());
        let cards = keys.filter(can_be_dialled).filter_map(|key| self.signed_card(key));
        cards.take(EnrolReply::MAX_CARDS).cloned().collect()
    }
}
