//! TCP, Noise and yamux for both ports; strangers to the mesh fail in the handshake.

use super::quiet::QuietYamux;
use super::{MeshError, peer};
use crate::identity::{Keypair, MeshId};
use libp2p::core::upgrade::Version;
use libp2p::swarm::{DialError, NetworkBehaviour, Swarm};
use libp2p::{SwarmBuilder, TransportError, noise, tcp};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

/// From the first byte to the end of the handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// How long a new listener may take to say its address.
const LISTEN_LIMIT: Duration = Duration::from_secs(5);

/// Both ends mix this into the Noise handshake; it fails between different meshes.
pub(super) fn prologue(mesh: MeshId) -> Vec<u8> {
    [b"portdrift/1/noise/".as_slice(), mesh.as_bytes()].concat()
}

pub(super) fn swarm<B: NetworkBehaviour>(
    keys: &Keypair,
    mesh: MeshId,
    behaviour: B,
    idle: Duration,
) -> Result<Swarm<B>, MeshError> {
    let security =
        move |key: &libp2p::identity::Keypair| noise::Config::new(key).map(|noise| noise.with_prologue(prologue(mesh)));
    let builder = SwarmBuilder::with_existing_identity(peer::keypair(keys))
        .with_tokio()
        .with_tcp(tcp::Config::default(), security, QuietYamux::default)
        .map_err(|error| MeshError::Setup(error.to_string()))?
        .with_behaviour(|_| behaviour)
        .map_err(|error| MeshError::Setup(error.to_string()))?;
    Ok(builder
        .with_swarm_config(|config| {
            // Each protocol has one name, so nobody waits for its confirmation before speaking.
            config.with_idle_connection_timeout(idle).with_substream_upgrade_protocol_override(Version::V1Lazy)
        })
        .with_connection_timeout(HANDSHAKE_LIMIT)
        .build())
}

/// Starts to listen on every address; real ports follow as events.
///
/// The transport shares ports with other programs (`SO_REUSEPORT`), so a port in use must be found before it is asked.
pub(super) fn listen<B: NetworkBehaviour>(swarm: &mut Swarm<B>, addresses: &[SocketAddr]) -> Result<(), MeshError> {
    for address in addresses {
        TcpListener::bind(address).map_err(|error| cannot_listen(*address, &error))?;
    }
    for address in addresses {
        swarm.listen_on(peer::multiaddr(*address)).map_err(|error| match error {
            TransportError::Other(error) => cannot_listen(*address, &error),
            TransportError::MultiaddrNotSupported(_) => {
                MeshError::CannotListen { address: *address, reason: "this is no TCP address".into() }
            }
        })?;
    }
    Ok(())
}

/// Waits until the listeners have said their addresses.
pub(super) async fn in_time(heard: impl Future<Output = ()>, wanted: &[SocketAddr]) -> Result<(), MeshError> {
    match (tokio::time::timeout(LISTEN_LIMIT, heard).await, wanted.first()) {
        (Err(_), Some(address)) => {
            let reason = "it has no address to listen on; check that the interface is up".into();
            Err(MeshError::CannotListen { address: *address, reason })
        }
        _ => Ok(()),
    }
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> MeshError {
    if error.kind() == io::ErrorKind::AddrInUse {
        MeshError::PortInUse(address)
    } else {
        MeshError::CannotListen { address, reason: error.to_string() }
    }
}

/// Why a connection could not be made, in words for the person at the other keyboard.
pub(super) fn dial_reason(error: &DialError) -> String {
    match error {
        DialError::Transport(attempts) => {
            attempts.iter().map(|(_, error)| transport_reason(error)).collect::<Vec<_>>().join("; ")
        }
        DialError::WrongPeerId { obtained, .. } => match peer::node_id(obtained) {
            Some(node) => format!("another key answers there: {node}"),
            None => "another key answers there".into(),
        },
        DialError::LocalPeerId { .. } => "this is our own address".into(),
        DialError::NoAddresses
        | DialError::DialPeerConditionFalse(_)
        | DialError::Aborted
        | DialError::Denied { .. } => error.to_string(),
    }
}

fn transport_reason(error: &TransportError<io::Error>) -> String {
    match error {
        TransportError::MultiaddrNotSupported(_) => "this is no TCP address".into(),
        TransportError::Other(error) => {
            let cause = root_cause(error).to_string();
            // The kind of an error of the system is lost in its wrappers; the number in its text is not.
            if cause.contains("os error") {
                cause
            } else {
                format!("the handshake failed ({cause}); it may be another mesh, or no portdrift at all")
            }
        }
    }
}

/// libp2p wraps errors several times; the innermost says what happened.
fn root_cause(error: &io::Error) -> &(dyn std::error::Error + 'static) {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    loop {
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let inner: Option<&(dyn std::error::Error + 'static)> = match wrapped {
            Some(inner) => Some(inner),
            None => cause.source(),
        };
        match inner {
            Some(inner) => cause = inner,
            None => return cause,
        }
    }
}
