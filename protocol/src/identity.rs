//! Who is who: ed25519 keys, their fingerprints, and the file that keeps one secret.

use crate::codec::{Decode, Encode};
use data_encoding::BASE32_NOPAD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

mod key_file;
pub use key_file::{KeyFileError, KeyLock};

/// The bytes of an ed25519 signature.
pub type SignatureBytes = [u8; 64];

/// The public ed25519 key of a node or a coordinator. The key is the identity; labels are display only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct NodeId([u8; 32]);

/// The public ed25519 key that signs rosters. It is the mesh: every invite pins it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct MeshId([u8; 32]);

/// A key in eight groups of four letters, to be compared by people: 160 bits of its SHA-256, in base 32.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint(String);

/// The text is no fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a fingerprint; copy all eight groups of four characters, as in `portdrift keys list`")]
pub struct FingerprintError(String);

/// The signature does not belong to this key and text, or the key is unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not match its key")]
pub struct BadSignature;

const FINGERPRINT_BYTES: usize = 20;

fn fingerprint(key: &[u8; 32]) -> Fingerprint {
    let digest = Sha256::new().chain_update(b"portdrift/1/fingerprint").chain_update(key).finalize();
    let letters: Vec<u8> = digest.iter().copied().take(FINGERPRINT_BYTES).collect();
    Fingerprint(BASE32_NOPAD.encode(&letters).to_lowercase())
}

fn verify(key: &[u8; 32], message: &[u8], signature: &SignatureBytes) -> Result<(), BadSignature> {
    let key = VerifyingKey::from_bytes(key).map_err(|_| BadSignature)?;
    key.verify_strict(message, &Signature::from_bytes(signature)).map_err(|_| BadSignature)
}

macro_rules! public_key {
    ($name:ident) => {
        impl $name {
            /// The key with these 32 bytes.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes of the key.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// What a person compares.
            pub fn fingerprint(&self) -> Fingerprint {
                fingerprint(&self.0)
            }

            /// Checks a signature strictly: no small-order keys, no malleable forms.
            pub fn verify(&self, message: &[u8], signature: &SignatureBytes) -> Result<(), BadSignature> {
                verify(&self.0, message, signature)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.fingerprint().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.fingerprint())
            }
        }
    };
}
public_key!(NodeId);
public_key!(MeshId);

impl Fingerprint {
    /// The 32 letters without dashes, as a key for look-ups.
    pub fn compact(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, letter) in self.0.chars().enumerate() {
            if index > 0 && index % 4 == 0 {
                f.write_str("-")?;
            }
            write!(f, "{letter}")?;
        }
        Ok(())
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    /// Dashes, spaces and capitals do not matter; every letter does.
    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let letters: String =
            text.chars().filter(|c| !matches!(c, '-' | ' ')).map(|c| c.to_ascii_lowercase()).collect();
        match BASE32_NOPAD.decode(letters.to_uppercase().as_bytes()) {
            Ok(bytes) if bytes.len() == FINGERPRINT_BYTES => Ok(Self(letters)),
            _ => Err(FingerprintError(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = FingerprintError;

    fn try_from(text: String) -> Result<Self, FingerprintError> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

/// A secret ed25519 key; wiped from memory when dropped, never shown.
pub struct Keypair(SigningKey);

impl Keypair {
    /// A new key from the operating system's randomness.
    pub fn generate() -> Self {
        let mut seed = zeroize::Zeroizing::new([0u8; 32]);
        getrandom::fill(&mut *seed).expect("the operating system gives randomness after boot");
        Self(SigningKey::from_bytes(&seed))
    }

    /// The key that grows from `seed`; for tests and key files.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    pub(crate) fn seed(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Its public half as a node or coordinator.
    pub fn node_id(&self) -> NodeId {
        NodeId(self.0.verifying_key().to_bytes())
    }

    /// Its public half as a mesh.
    pub fn mesh_id(&self) -> MeshId {
        MeshId(self.0.verifying_key().to_bytes())
    }

    /// Signs `message`; the caller puts a domain tag first.
    pub fn sign(&self, message: &[u8]) -> SignatureBytes {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for Keypair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keypair({})", self.node_id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_however_a_person_types_it() {
        let fingerprint = Keypair::from_seed(&[7; 32]).node_id().fingerprint();
        let shown = fingerprint.to_string();
        insta::assert_snapshot!(shown, @"chh3-t6sa-zrb5-lp2h-kmmj-lubc-zux6-ovni");
        assert_eq!(shown.parse(), Ok(fingerprint.clone()));
        assert_eq!(shown.to_uppercase().replace('-', " ").parse(), Ok(fingerprint.clone()));
        assert_eq!(fingerprint.compact().parse(), Ok(fingerprint));
        assert!(shown[..38].parse::<Fingerprint>().is_err());
        assert!(shown.replace('-', "+").parse::<Fingerprint>().is_err());
    }

    #[test]
    fn a_signature_holds_for_its_key_and_text_only() {
        let (key, other) = (Keypair::from_seed(&[1; 32]), Keypair::from_seed(&[2; 32]));
        let signature = key.sign(b"text");
        assert_eq!(key.node_id().verify(b"text", &signature), Ok(()));
        assert_eq!(key.node_id().verify(b"other", &signature), Err(BadSignature));
        assert_eq!(other.node_id().verify(b"text", &signature), Err(BadSignature));
        assert_eq!(NodeId::from_bytes([0; 32]).verify(b"text", &signature), Err(BadSignature));
    }
}
