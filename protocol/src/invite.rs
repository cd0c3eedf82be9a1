//! The string that lets a node ask to join: it pins the mesh key and says where to ask.

use crate::codec::{self, Decode, Encode};
use crate::identity::{BadSignature, Keypair, MeshId, NodeId, SignatureBytes};
use crate::time::Timestamp;
use data_encoding::BASE32_NOPAD;
use sha2::{Digest, Sha256};
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

const PREFIX: &str = "pdrift1";
const CHECKSUM_BYTES: usize = 5;
const MAX_INVITE_CHARS: usize = 1_024;

/// The most addresses that an invite names.
pub const MAX_ADDRESSES: usize = 8;

/// An invite; shown as `pdrift1…`, letters and digits only.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Invite {
    /// The mesh to join; the coordinator must prove to speak for it.
    pub mesh: MeshId,
    /// Where enrolment ports listen, the coordinator's or those of members that may sponsor; at most [`MAX_ADDRESSES`].
    pub addresses: Vec<SocketAddr>,
    /// After this it is of no use.
    pub expires: Timestamp,
    /// A single-use secret that pre-approves whoever is first to prove that it knows it: see [`SecretProof`].
    pub secret: Option<[u8; 16]>,
}

/// A single-use secret as the coordinator keeps it: the public half of a key that grows from the secret, and so tells
/// nothing of it.
pub type SecretName = [u8; 32];

/// Proof that a node knows the secret of an invite. It serves that node's key and no other, so whoever passes it on
/// cannot use it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SecretProof {
    name: SecretName,
    signature: SignatureBytes,
}

const SECRET_TAG: &[u8] = b"portdrift/1/invite-secret";

fn secret_key(secret: &[u8; 16]) -> Keypair {
    Keypair::from_seed(&Sha256::new().chain_update(SECRET_TAG).chain_update(secret).finalize().into())
}

fn proven(mesh: MeshId, node: NodeId) -> Vec<u8> {
    [SECRET_TAG, mesh.as_bytes(), node.as_bytes()].concat()
}

/// What a secret is kept as.
pub fn secret_name(secret: &[u8; 16]) -> SecretName {
    *secret_key(secret).node_id().as_bytes()
}

impl SecretProof {
    /// Proves to the coordinator of `mesh` that `node` knows `secret`.
    pub fn new(secret: &[u8; 16], mesh: MeshId, node: NodeId) -> Self {
        Self { name: secret_name(secret), signature: secret_key(secret).sign(&proven(mesh, node)) }
    }

    /// Which secret it is that `node` knows.
    pub fn verify(&self, mesh: MeshId, node: NodeId) -> Result<SecretName, BadSignature> {
        NodeId::from_bytes(self.name).verify(&proven(mesh, node), &self.signature)?;
        Ok(self.name)
    }
}

/// Why an invite text cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    /// Something else altogether.
    #[error("this is not an invite; it starts with {PREFIX} and is printed by `portdrift invites create`")]
    NotAnInvite,
    /// Cut, or mistyped.
    #[error("the invite is cut or mistyped; copy the whole line that `portdrift invites create` printed")]
    Damaged,
    /// Its time is over.
    #[error("the invite expired at {0}; ask for a new one (`portdrift invites create`)")]
    Expired(Timestamp),
}

impl Invite {
    /// Refuses an invite whose time is over.
    pub fn check_time(&self, now: Timestamp) -> Result<(), InviteError> {
        if now > self.expires { Err(InviteError::Expired(self.expires)) } else { Ok(()) }
    }
}

fn checksum(bytes: &[u8]) -> Vec<u8> {
    let digest = Sha256::new().chain_update(b"portdrift/1/invite").chain_update(bytes).finalize();
    digest.iter().copied().take(CHECKSUM_BYTES).collect()
}

impl fmt::Display for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = codec::encode(self);
        let sum = checksum(&bytes);
        bytes.extend(sum);
        write!(f, "{PREFIX}{}", BASE32_NOPAD.encode(&bytes).to_lowercase())
    }
}

impl FromStr for Invite {
    type Err = InviteError;

    fn from_str(text: &str) -> Result<Self, InviteError> {
        let letters = text.trim().to_ascii_uppercase();
        let letters = letters.strip_prefix(&PREFIX.to_ascii_uppercase()).ok_or(InviteError::NotAnInvite)?;
        if letters.len() > MAX_INVITE_CHARS {
            return Err(InviteError::Damaged);
        }
        let bytes = BASE32_NOPAD.decode(letters.as_bytes()).map_err(|_| InviteError::Damaged)?;
        let at = bytes.len().checked_sub(CHECKSUM_BYTES).ok_or(InviteError::Damaged)?;
        let (body, sum) = bytes.split_at_checked(at).ok_or(InviteError::Damaged)?;
        if checksum(body) != sum {
            return Err(InviteError::Damaged);
        }
        let invite: Self = codec::decode(body, MAX_INVITE_CHARS).map_err(|_| InviteError::Damaged)?;
        if invite.addresses.is_empty() || invite.addresses.len() > MAX_ADDRESSES {
            return Err(InviteError::Damaged);
        }
        Ok(invite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn invite() -> Invite {
        Invite {
            mesh: MeshId::from_bytes([7; 32]),
            addresses: vec!["127.0.0.1:9431".parse().unwrap(), "[::1]:9431".parse().unwrap()],
            expires: Timestamp::from_millis(1_700_000_000_000),
            secret: Some([5; 16]),
        }
    }

    #[test]
    fn an_invite_is_read_back_whatever_its_case() {
        let shown = invite().to_string();
        insta::assert_snapshot!(shown, @"pdrift1aedqobyha4dqobyha4dqobyha4dqobyha4dqobyha4dqobyha4dqoaqap4aaaap324sacaaaaaaaaaaaaaaaaaaaaaaaaap324sp2adi4xhywaiaaaaqkbifaucqkbifaucqkbifaucqlmsh3euro");
        assert_eq!(shown.parse(), Ok(invite()));
        assert_eq!(format!("  {}\n", shown.to_uppercase()).parse(), Ok(invite()));
    }

    #[test]
    fn a_cut_mistyped_foreign_or_expired_invite_says_so() {
        let shown = invite().to_string();
        for at in PREFIX.len()..shown.len() {
            assert_eq!(shown[..at].parse::<Invite>(), Err(InviteError::Damaged), "cut at {at}");
            let mut typo = shown.clone().into_bytes();
            typo[at] = if typo[at] == b'a' { b'b' } else { b'a' };
            assert_eq!(String::from_utf8(typo).unwrap().parse::<Invite>(), Err(InviteError::Damaged), "typo at {at}");
        }
        assert_eq!("https://example.org".parse::<Invite>(), Err(InviteError::NotAnInvite));
        let late = Timestamp::from_millis(1_700_000_000_001);
        assert_eq!(invite().check_time(late), Err(InviteError::Expired(invite().expires)));
    }

    #[test]
    fn a_secret_is_proven_by_one_key_for_one_mesh_and_never_shown() {
        let (mesh, node) = (MeshId::from_bytes([7; 32]), NodeId::from_bytes([8; 32]));
        let proof = SecretProof::new(&[5; 16], mesh, node);
        assert_eq!(proof.verify(mesh, node), Ok(secret_name(&[5; 16])));
        assert_eq!(proof.verify(mesh, NodeId::from_bytes([9; 32])), Err(BadSignature), "stolen by another key");
        assert_eq!(proof.verify(MeshId::from_bytes([9; 32]), node), Err(BadSignature), "shown to another mesh");
        let renamed = SecretProof { name: secret_name(&[6; 16]), ..proof.clone() };
        assert_eq!(renamed.verify(mesh, node), Err(BadSignature), "passed off as another secret");
        assert!(!codec::encode(&proof).windows(16).any(|bytes| bytes == [5; 16]));
    }

    proptest! {
        #[test]
        fn any_text_is_refused_without_panic(text in "(pdrift1)?[a-z2-7é]{0,80}") {
            prop_assert!(text.parse::<Invite>().is_err());
        }
    }
}
