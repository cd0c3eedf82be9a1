//! A sealed envelope: anyone may carry it, one reader can open it, nobody can change it unseen.
//!
//! Sealing is HPKE (RFC 9180), base mode, X25519 with HKDF-SHA256 and ChaCha20-Poly1305. Who wrote a letter is proven by
//! the envelope inside, not by the seal.

use crate::codec::{Decode, Encode};
use crate::envelope::Envelope;
use crate::identity::{Keypair, MeshId, NodeId};
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use sha2::{Digest, Sha256};
use std::fmt;
use zeroize::Zeroizing;

type PrivateKey = <X25519HkdfSha256 as Kem>::PrivateKey;
const KEY_BYTES: usize = 32;

/// The largest letter, in bytes.
pub const MAX_LETTER_BYTES: usize = 256 * 1024;

/// What others need to seal to a member.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct SealingKey([u8; KEY_BYTES]);

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({})", data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl SealingKey {
    /// The key with these bytes.
    pub const fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }
}

/// The secret half of a [`SealingKey`]; grows from the identity's own seed, so that there is one secret to keep.
pub struct Opener {
    secret: PrivateKey,
    public: SealingKey,
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opener({:?})", self.public)
    }
}

/// Bytes that one reader can open: the encapsulated key, then the ciphertext.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Sealed(Vec<u8>);

/// Tells one letter from all others: the key that its sealing made, in which no two agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark([u8; KEY_BYTES]);

/// What a seal is for; mixed into its key, so that nothing sealed for one purpose opens as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// An envelope on its way to one reader.
    Letter,
    /// The body of an announced task.
    TaskSpec,
}

/// It was sealed to another key, for another purpose or context, or it was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealed bytes do not open with this key")]
pub struct CannotOpen;

/// The key to seal to is not a usable one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the reader's sealing key is unusable; the reader must enrol again")]
pub struct BadSealingKey;

impl Purpose {
    fn info(self, mesh: MeshId) -> Vec<u8> {
        let tag: &[u8] = match self {
            Self::Letter => b"portdrift/1/letter",
            Self::TaskSpec => b"portdrift/1/task-spec",
        };
        [tag, mesh.as_bytes()].concat()
    }
}

impl Opener {
    /// The sealing key of an identity.
    pub fn new(keypair: &Keypair) -> Self {
        let material: Zeroizing<[u8; 32]> = Zeroizing::new(
            Sha256::new().chain_update(b"portdrift/1/sealing-key").chain_update(keypair.seed()).finalize().into(),
        );
        let (secret, public) = X25519HkdfSha256::derive_keypair(material.as_slice());
        let mut bytes = [0; KEY_BYTES];
        public.write_exact(&mut bytes);
        Self { secret, public: SealingKey(bytes) }
    }

    /// What others seal to.
    pub fn key(&self) -> SealingKey {
        self.public
    }

    /// Opens what was sealed to this key for `purpose`, with the same `context`.
    pub fn open(&self, sealed: &Sealed, purpose: Purpose, mesh: MeshId, context: &[u8]) -> Result<Vec<u8>, CannotOpen> {
        let (key, ciphertext) = sealed.0.split_first_chunk::<KEY_BYTES>().ok_or(CannotOpen)?;
        let key = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(key).map_err(|_| CannotOpen)?;
        hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &self.secret,
            &key,
            &purpose.info(mesh),
            ciphertext,
            context,
        )
        .map_err(|_| CannotOpen)
    }
}

impl Sealed {
    /// Seals `plain` to `reader`; `context` is not hidden but must be the same when opened.
    pub fn new(
        plain: &[u8],
        reader: &SealingKey,
        purpose: Purpose,
        mesh: MeshId,
        context: &[u8],
    ) -> Result<Self, BadSealingKey> {
        let reader = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(&reader.0).map_err(|_| BadSealingKey)?;
        let (key, ciphertext) = hpke::single_shot_seal::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeS::Base,
            &reader,
            &purpose.info(mesh),
            plain,
            context,
        )
        .map_err(|_| BadSealingKey)?;
        let mut bytes = vec![0; KEY_BYTES];
        key.write_exact(&mut bytes);
        bytes.extend_from_slice(&ciphertext);
        Ok(Self(bytes))
    }

    /// Bytes that came in; nothing is known of them.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

/// An envelope on its way to one reader.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Letter {
    /// Whom it is for.
    pub to: NodeId,
    /// The envelope, sealed.
    pub sealed: Sealed,
}

impl Letter {
    /// Seals `envelope` for `to`, whose sealing key is `key`.
    pub fn seal(envelope: &Envelope, to: NodeId, key: &SealingKey, mesh: MeshId) -> Result<Self, BadSealingKey> {
        let sealed = Sealed::new(envelope.as_bytes(), key, Purpose::Letter, mesh, to.as_bytes())?;
        Ok(Self { to, sealed })
    }

    /// How many bytes it has; what is said of its way is not counted.
    pub fn size_bytes(&self) -> usize {
        self.sealed.0.len() + self.to.as_bytes().len()
    }

    /// `None` when it is too short for a sealed one.
    pub fn mark(&self) -> Option<Mark> {
        self.sealed.0.first_chunk().copied().map(Mark)
    }

    /// Opens a letter to oneself. The envelope inside is still to be verified.
    pub fn open(&self, opener: &Opener, mesh: MeshId) -> Result<Envelope, CannotOpen> {
        opener.open(&self.sealed, Purpose::Letter, mesh, self.to.as_bytes()).map(Envelope::from_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESH: MeshId = MeshId::from_bytes([9; 32]);

    #[test]
    fn one_reader_opens_a_letter_and_nobody_else() {
        let (reader, other) = (Keypair::from_seed(&[1; 32]), Keypair::from_seed(&[2; 32]));
        let envelope = Envelope::from_bytes(b"anything".to_vec());
        let opener = Opener::new(&reader);
        let letter = Letter::seal(&envelope, reader.node_id(), &opener.key(), MESH).unwrap();
        assert_eq!(letter.open(&opener, MESH), Ok(envelope));
        assert_eq!(letter.open(&Opener::new(&other), MESH), Err(CannotOpen));
        assert_eq!(letter.open(&opener, MeshId::from_bytes([8; 32])), Err(CannotOpen));
        let again = Letter::seal(&Envelope::from_bytes(b"anything".to_vec()), reader.node_id(), &opener.key(), MESH);
        assert!(letter.mark().is_some() && letter.mark() != again.unwrap().mark());
        let redirected = Letter { to: other.node_id(), ..letter.clone() };
        assert_eq!(redirected.open(&opener, MESH), Err(CannotOpen));
        for at in 0..letter.sealed.0.len() {
            let mut changed = letter.clone();
            changed.sealed.0[at] ^= 1;
            assert_eq!(changed.open(&opener, MESH), Err(CannotOpen), "changed byte {at}");
        }
    }

    #[test]
    fn a_seal_for_one_purpose_does_not_open_as_another() {
        let opener = Opener::new(&Keypair::from_seed(&[1; 32]));
        let sealed = Sealed::new(b"spec", &opener.key(), Purpose::TaskSpec, MESH, b"task 1").unwrap();
        assert_eq!(opener.open(&sealed, Purpose::TaskSpec, MESH, b"task 1"), Ok(b"spec".to_vec()));
        assert_eq!(opener.open(&sealed, Purpose::TaskSpec, MESH, b"task 2"), Err(CannotOpen));
        assert_eq!(opener.open(&sealed, Purpose::Letter, MESH, b"task 1"), Err(CannotOpen));
    }
}
