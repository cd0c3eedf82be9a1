//! The signed outer layer of every message: checked cheapest first, verified before its body is read.
//!
//! Layout, all numbers big-endian: version 1, kind 1, mesh 32, sender 32, boot 8, sequence 8, issued 8 (milliseconds),
//! time to live 4 (seconds), roster epoch 8, body length 4, body, signature 64. The signature covers a domain tag with
//! the kind's number, and all bytes before itself. An unknown kind can thus be skipped without being understood.

use crate::codec::{self, CodecError, Decode, Encode};
use crate::identity::{BadSignature, Keypair, MeshId, NodeId, SignatureBytes};
use crate::time::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

mod kind;
mod replay;
pub use kind::{Channel, Kind, SenderRole};
pub use replay::ReplayGuard;

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 106;
const SIGNATURE_BYTES: usize = 64;

/// How far a sender's clock may run ahead of ours.
pub const MAX_CLOCK_LEAD: Duration = Duration::from_secs(120);

/// A message body and the kind that announces it.
pub trait Message: Encode + Decode<()> {
    /// The number that stands for this type on the wire.
    const KIND: Kind;
}

/// Signed bytes from anywhere; nothing in them is believed until [`Envelope::verify`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Envelope(Vec<u8>);

/// The readable outside of an envelope. Not yet proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the body is.
    pub kind: Kind,
    /// Which mesh it is for.
    pub mesh: MeshId,
    /// Who signed it.
    pub sender: NodeId,
    /// How often the sender has started.
    pub boot: u64,
    /// Rises with every message of one boot.
    pub sequence: u64,
    /// When it was signed, by the sender's clock.
    pub issued: Timestamp,
    /// How long it is good for.
    pub time_to_live: Duration,
    /// The roster epoch that the sender held.
    pub epoch: u64,
}

/// A message whose signature, mesh, kind and age were checked. Only [`Envelope::verify`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<M> {
    header: Header,
    message: M,
}

/// Why an envelope is not believed.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Shorter than its own layout, or longer than its kind allows.
    #[error("the message has an impossible length of {0} bytes")]
    Length(usize),
    /// From a newer program.
    #[error("the message has version {0}, this program reads {VERSION}")]
    UnknownVersion(u8),
    /// A kind added later; may be ignored.
    #[error("the message is of kind {0}, which this program does not know")]
    UnknownKind(u8),
    /// Another kind than the place allows.
    #[error("the message is {found:?} where {wanted:?} belongs")]
    WrongKind {
        /// What it says it is.
        found: Kind,
        /// What may stand here.
        wanted: Kind,
    },
    /// Meant for another mesh.
    #[error("the message belongs to another mesh")]
    WrongMesh,
    /// Too old, or from a clock too far ahead.
    #[error("the message was good for {}s from {issued}, and now is {now}; check the clocks", time_to_live.as_secs())]
    Expired {
        /// When it was signed.
        issued: Timestamp,
        /// How long it was good for.
        time_to_live: Duration,
        /// Our time.
        now: Timestamp,
    },
    /// Forged or damaged.
    #[error(transparent)]
    BadSignature(#[from] BadSignature),
    /// Signed, but its body does not follow the format.
    #[error("the body of the message cannot be read: {0}")]
    Body(#[from] CodecError),
}

/// Signs messages in one identity's name; numbers them within one boot.
#[derive(Clone, Debug)]
pub struct Author {
    keypair: Arc<Keypair>,
    mesh: MeshId,
    boot: u64,
    sequence: Arc<AtomicU64>,
}

impl Author {
    /// Signs for `mesh`; `boot` must be higher than at every earlier start of this identity.
    pub fn new(keypair: Arc<Keypair>, mesh: MeshId, boot: u64) -> Self {
        Self { keypair, mesh, boot, sequence: Arc::new(AtomicU64::new(0)) }
    }

    /// Whose name it signs in.
    pub fn id(&self) -> NodeId {
        self.keypair.node_id()
    }

    /// For which mesh.
    pub fn mesh(&self) -> MeshId {
        self.mesh
    }

    /// The secret behind it, for sealing keys and the transport.
    pub fn keypair(&self) -> &Arc<Keypair> {
        &self.keypair
    }

    /// Which start of this identity this is.
    pub fn boot(&self) -> u64 {
        self.boot
    }

    /// Signs `message` as of `now`; `epoch` is the roster epoch that this identity holds.
    pub fn sign<M: Message>(&self, message: &M, epoch: u64, now: Timestamp) -> Envelope {
        let body = codec::encode(message);
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len() + SIGNATURE_BYTES);
        bytes.extend_from_slice(&[VERSION, M::KIND.number()]);
        bytes.extend_from_slice(self.mesh.as_bytes());
        bytes.extend_from_slice(self.id().as_bytes());
        bytes.extend_from_slice(&self.boot.to_be_bytes());
        bytes.extend_from_slice(&sequence.to_be_bytes());
        bytes.extend_from_slice(&now.as_millis().to_be_bytes());
        let seconds = u32::try_from(M::KIND.time_to_live().as_secs()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&seconds.to_be_bytes());
        bytes.extend_from_slice(&epoch.to_be_bytes());
        bytes.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(&body);
        let signature = self.keypair.sign(&tagged(M::KIND, &bytes));
        bytes.extend_from_slice(&signature);
        Envelope(bytes)
    }
}

/// What is really signed: a tag per purpose, so that no signature can serve for another one.
fn tagged(kind: Kind, bytes: &[u8]) -> Vec<u8> {
    [b"portdrift/1/envelope/".as_slice(), &[kind.number()], bytes].concat()
}

/// Reads fixed-size numbers from the front.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }
}

impl Envelope {
    /// Bytes as they came in.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Bytes as they go out.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads the outside and checks lengths; believes nothing.
    pub fn header(&self) -> Result<Header, EnvelopeError> {
        let bytes = &self.0;
        let length = || EnvelopeError::Length(bytes.len());
        let mut cursor = Cursor(bytes);
        let [version, kind] = cursor.take().ok_or_else(length)?;
        if version != VERSION {
            return Err(EnvelopeError::UnknownVersion(version));
        }
        let kind = Kind::from_number(kind).ok_or(EnvelopeError::UnknownKind(kind))?;
        let read = |cursor: &mut Cursor| {
            let header = Header {
                kind,
                mesh: MeshId::from_bytes(cursor.take()?),
                sender: NodeId::from_bytes(cursor.take()?),
                boot: cursor.number()?,
                sequence: cursor.number()?,
                issued: Timestamp::from_millis(cursor.number()?),
                time_to_live: Duration::from_secs(cursor.take().map(u32::from_be_bytes)?.into()),
                epoch: cursor.number()?,
            };
            Some((header, u32::from_be_bytes(cursor.take()?)))
        };
        let (header, body) = read(&mut cursor).ok_or_else(length)?;
        let body = usize::try_from(body).map_err(|_| length())?;
        let whole = body.checked_add(HEADER_BYTES + SIGNATURE_BYTES);
        if body > kind.max_body_bytes() || whole != Some(bytes.len()) { Err(length()) } else { Ok(header) }
    }

    /// Checks mesh, kind, age and signature in this order, then reads the body.
    ///
    /// `now` is mesh time. That the sender may say this at all is the caller's to check.
    pub fn verify<M: Message>(&self, mesh: MeshId, now: Timestamp) -> Result<Verified<M>, EnvelopeError> {
        let header = self.header()?;
        if header.kind != M::KIND {
            return Err(EnvelopeError::WrongKind { found: header.kind, wanted: M::KIND });
        }
        self.check(&header, mesh, now)?;
        let body = self.0.get(HEADER_BYTES..self.0.len() - SIGNATURE_BYTES).unwrap_or_default();
        Ok(Verified { header, message: codec::decode(body, M::KIND.max_body_bytes())? })
    }

    /// As [`Self::verify`], for those who pass a message on without reading it.
    pub fn check(&self, header: &Header, mesh: MeshId, now: Timestamp) -> Result<(), EnvelopeError> {
        if header.mesh != mesh {
            return Err(EnvelopeError::WrongMesh);
        }
        let Header { issued, time_to_live, .. } = *header;
        if now > issued.plus(time_to_live) || issued > now.plus(MAX_CLOCK_LEAD) {
            return Err(EnvelopeError::Expired { issued, time_to_live, now });
        }
        let (signed, signature): (_, &SignatureBytes) =
            self.0.split_last_chunk().ok_or(EnvelopeError::Length(self.0.len()))?;
        Ok(header.sender.verify(&tagged(header.kind, signed), signature)?)
    }
}

impl<M> Verified<M> {
    /// Who signed it.
    pub fn sender(&self) -> NodeId {
        self.header.sender
    }

    /// Its proven outside.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Its body.
    pub fn message(&self) -> &M {
        &self.message
    }

    /// Its body, taken out.
    pub fn into_message(self) -> M {
        self.message
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Cancel;
    use crate::task::RunId;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn author() -> Author {
        Author::new(Arc::new(Keypair::from_seed(&[3; 32])), MeshId::from_bytes([9; 32]), 5)
    }

    #[test]
    fn a_signed_message_is_verified_and_read() {
        let author = author();
        let verified = author.sign(&Cancel { run: RunId(7) }, 4, NOW).verify::<Cancel>(author.mesh(), NOW).unwrap();
        assert_eq!((verified.sender(), verified.message().run), (author.id(), RunId(7)));
        assert_eq!((verified.header().boot, verified.header().sequence, verified.header().epoch), (5, 1, 4));
    }

    #[test]
    fn no_changed_or_cut_message_is_believed() {
        let author = author();
        let good = author.sign(&Cancel { run: RunId(7) }, 4, NOW);
        for at in 0..good.0.len() {
            let mut bad = good.clone();
            bad.0[at] ^= 1;
            assert!(bad.verify::<Cancel>(author.mesh(), NOW).is_err(), "changed byte {at}");
            bad.0.truncate(at);
            assert!(bad.verify::<Cancel>(author.mesh(), NOW).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn age_mesh_and_kind_are_checked() {
        let author = author();
        let envelope = author.sign(&Cancel { run: RunId(7) }, 4, NOW);
        let end = NOW.plus(Kind::Cancel.time_to_live());
        assert!(envelope.verify::<Cancel>(author.mesh(), end).is_ok());
        let late = envelope.verify::<Cancel>(author.mesh(), end.plus(Duration::from_millis(1)));
        assert!(matches!(late, Err(EnvelopeError::Expired { .. })));
        let early = envelope.verify::<Cancel>(author.mesh(), NOW.minus(MAX_CLOCK_LEAD + Duration::from_millis(1)));
        assert!(matches!(early, Err(EnvelopeError::Expired { .. })));
        let foreign = envelope.verify::<Cancel>(MeshId::from_bytes([8; 32]), NOW);
        assert!(matches!(foreign, Err(EnvelopeError::WrongMesh)));
        let other = envelope.verify::<crate::message::Receipt>(author.mesh(), NOW);
        assert!(matches!(other, Err(EnvelopeError::WrongKind { .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(Envelope::from_bytes(bytes).verify::<Cancel>(MeshId::from_bytes([9; 32]), NOW).is_err());
        }
    }
}
