//! A peer that opens the right protocol and then says whatever it likes, or nothing.

use super::kit::{self, PATIENCE};
use crate::mesh::wire::Dialect;
use crate::mesh::{peer, transport};
use futures::prelude::*;
use libp2p::request_response::{self, Behaviour, Codec, Event, ProtocolSupport};
use libp2p::swarm::SwarmEvent;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::{PeerId, StreamProtocol, Swarm};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// What goes over one stream.
#[derive(Clone, Debug)]
pub(super) enum Saying {
    /// These bytes, and the end.
    Bytes(Vec<u8>),
    /// Zeros for as long as they are taken; 64 MiB at most.
    Endless,
    /// One byte, and then neither more nor the end.
    Half,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Rude;

impl Codec for Rude {
    type Protocol = StreamProtocol;
    type Request = Saying;
    type Response = Vec<u8>;

    async fn read_request<T: AsyncRead + Unpin + Send>(&mut self, _: &StreamProtocol, _: &mut T) -> io::Result<Saying> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        let mut bytes = Vec::new();
        io.take(1 << 20).read_to_end(&mut bytes).await?;
        if bytes.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(bytes) }
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, saying: Saying) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        match saying {
            Saying::Bytes(bytes) => io.write_all(&bytes).await,
            Saying::Endless => {
                for _ in 0..1_024 {
                    io.write_all(&[0; 64 * 1_024]).await?;
                }
                Ok(())
            }
            Saying::Half => {
                io.write_all(&[1]).await?;
                io.flush().await?;
                future::pending().await
            }
        }
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, _: &mut T, _: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        Ok(())
    }
}

pub(super) struct RudePeer {
    swarm: Swarm<Behaviour<Rude>>,
    victim: PeerId,
}

impl RudePeer {
    /// Connects with the key of `seed`, to speak the protocol of `D`.
    pub(super) async fn connect<D: Dialect>(seed: u8, address: SocketAddr) -> Self {
        let config =
            request_response::Config::default().with_request_timeout(PATIENCE).with_max_concurrent_streams(500);
        let behaviour =
            Behaviour::with_codec(Rude, [(StreamProtocol::new(D::NAME), ProtocolSupport::Outbound)], config);
        let mut swarm = transport::swarm(&kit::keys(seed), kit::mesh_id(), behaviour, Duration::MAX).unwrap();
        swarm.dial(DialOpts::unknown_peer_id().address(peer::multiaddr(address)).build()).unwrap();
        let connected = async {
            loop {
                if let SwarmEvent::ConnectionEstablished { peer_id, .. } = swarm.select_next_some().await {
                    return peer_id;
                }
            }
        };
        let victim = tokio::time::timeout(PATIENCE, connected).await.unwrap();
        Self { swarm, victim }
    }

    /// Begins to say this.
    pub(super) fn begin(&mut self, saying: Saying) {
        self.swarm.behaviour_mut().send_request(&self.victim, saying);
    }

    /// Says this; true when something is answered.
    pub(super) async fn say(&mut self, saying: Saying) -> bool {
        self.begin(saying);
        let outcome = async {
            loop {
                match self.swarm.select_next_some().await {
                    SwarmEvent::Behaviour(Event::Message { .. }) => return true,
                    SwarmEvent::Behaviour(Event::OutboundFailure { .. }) => return false,
                    SwarmEvent::ConnectionClosed { .. } => panic!("one bad frame costs a stream, not the connection"),
                    _ => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, outcome).await.unwrap()
    }

    /// Goes on for as long as `other` takes.
    pub(super) async fn while_going_on<T>(&mut self, other: impl Future<Output = T>) -> T {
        tokio::pin!(other);
        loop {
            tokio::select! {
                done = &mut other => return done,
                _ = self.swarm.select_next_some() => {}
            }
        }
    }
}
