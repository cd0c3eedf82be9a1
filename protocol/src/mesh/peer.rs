//! Our names for keys and addresses, and libp2p's.

use crate::identity::{Keypair, NodeId};
use libp2p::identity::{self, PublicKey, ed25519};
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use std::net::SocketAddr;

/// `None` when the bytes are no usable key.
pub(super) fn peer_id(node: &NodeId) -> Option<PeerId> {
    ed25519::PublicKey::try_from_bytes(node.as_bytes()).ok().map(|key| PublicKey::from(key).to_peer_id())
}

/// `None` when the peer's key is not ed25519. A PeerId of such a key *is* the key.
pub(super) fn node_id(peer: &PeerId) -> Option<NodeId> {
    let key = PublicKey::try_decode_protobuf(peer.as_ref().digest()).ok()?;
    key.try_into_ed25519().ok().map(|key| NodeId::from_bytes(key.to_bytes()))
}

/// The same secret, for the transport.
pub(super) fn keypair(keys: &Keypair) -> identity::Keypair {
    let seed = zeroize::Zeroizing::new(*keys.seed());
    identity::Keypair::ed25519_from_bytes(seed).expect("every 32 bytes are an ed25519 seed")
}

pub(super) fn multiaddr(address: SocketAddr) -> Multiaddr {
    Multiaddr::from(address.ip()).with(Protocol::Tcp(address.port()))
}

/// `None` for anything but an IP address with a TCP port.
#[expect(clippy::wildcard_enum_match_arm, reason = "the other parts of an address are many; none belongs in ours")]
pub(super) fn socket_addr(address: &Multiaddr) -> Option<SocketAddr> {
    let mut ip = None;
    for part in address {
        match part {
            Protocol::Ip4(v4) => ip = Some(v4.into()),
            Protocol::Ip6(v6) => ip = Some(v6.into()),
            Protocol::Tcp(port) => return ip.map(|ip| SocketAddr::new(ip, port)),
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_under_both_names() {
        let keys = Keypair::from_seed(&[5; 32]);
        let peer = peer_id(&keys.node_id()).unwrap();
        assert_eq!(peer, keypair(&keys).public().to_peer_id());
        assert_eq!(node_id(&peer), Some(keys.node_id()));
        let hashed = libp2p::multihash::Multihash::<64>::wrap(0x12, &[1; 32]).unwrap();
        assert_eq!(node_id(&PeerId::from_multihash(hashed).unwrap()), None);
    }

    #[test]
    fn an_address_is_the_same_under_both_names() {
        for address in ["127.0.0.1:9430", "[::1]:80"] {
            let address: SocketAddr = address.parse().unwrap();
            assert_eq!(socket_addr(&multiaddr(address)), Some(address));
        }
        assert_eq!(socket_addr(&"/dns4/localhost/tcp/1".parse().unwrap()), None);
        assert_eq!(socket_addr(&"/ip4/127.0.0.1/udp/1".parse().unwrap()), None);
    }
}
