//! Every message that travels inside an envelope, one struct per kind.
//!
//! A released struct never changes; enums grow only at the end. `tests/golden/` freezes the bytes.

use crate::codec::{self, Decode, Encode};
use crate::envelope::{Kind, Message};
use crate::identity::NodeId;
use crate::invite::SecretProof;
use crate::letter::Sealed;
use crate::observation::{Coverage, HostObservation};
use crate::port::PortSet;
use crate::roster::{RosterHash, SignedRoster};
use crate::target::TargetSet;
use crate::task::{RunId, TaskId};
use crate::text::Text;
use crate::time::Timestamp;
use sha2::{Digest, Sha256};
use std::net::IpAddr;

mod packed;
mod sponsored;
mod succession;
pub use packed::{MAX_PACKED_BYTES, UnpackError};
pub use sponsored::{NEW_KEYS_A_MINUTE, SPONSORED_A_MINUTE, SponsoredAnswer, SponsoredRequest};
pub use succession::Succession;

/// The coordinator's sign of life, every 10 s.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Beacon {
    /// Rises by one with each beacon of a boot.
    pub counter: u64,
    /// The roster in force.
    pub roster_epoch: u64,
    /// Its hash.
    pub roster_hash: RosterHash,
    /// How many announcements this boot has made; whoever saw fewer asks for the rest.
    pub announced: u64,
    /// A sum over the cards and open cancellations; whoever holds others asks for them.
    pub digest: u64,
}

/// A newer roster exists.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RosterHead {
    /// Its epoch.
    pub epoch: u64,
    /// Its hash.
    pub hash: RosterHash,
    /// Keys revoked lately, enforced at once.
    pub revoked: Vec<NodeId>,
    /// The roster itself; without it any neighbour is asked.
    pub roster: Option<SignedRoster>,
}

impl RosterHead {
    /// The same, without a roster that is too large to go with it.
    pub fn fitting(self) -> Self {
        let fits = codec::encode(&self).len() <= Kind::RosterHead.max_body_bytes();
        if fits { self } else { Self { roster: None, ..self } }
    }
}

/// A run was cancelled; its tasks stop.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Cancel {
    /// Which run.
    pub run: RunId,
}

/// A task under a lease, for one holder; only that one can read what to scan.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Announcement {
    /// Counts the announcements of one coordinator boot, from 1.
    pub number: u64,
    /// Who may run it.
    pub holder: NodeId,
    /// Which task.
    pub task: TaskId,
    /// The number of this attempt.
    pub fence: u64,
    /// Length of the lease without renewal, in milliseconds.
    pub lease_ms: u32,
    /// A [`crate::task::TaskSpec`], sealed to the holder.
    pub spec: Sealed,
}

/// A node's sign of life, every 10 s; renews every lease it lists.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Presence {
    /// What the node says of itself.
    pub facts: NodeFacts,
    /// Load average over one minute, in hundredths.
    pub load_hundredths: u32,
    /// What it works on.
    pub running: Vec<RunningTask>,
    /// How many results wait on its disk.
    pub spooled: u32,
    /// How much more its disk takes.
    pub room: Room,
    /// What its own clock shows; nothing else is measured by it.
    pub clock: Timestamp,
    /// Its connections, at most [`MAX_LINKS`]; `None` while they are those that it told of last.
    pub links: Option<Vec<Link>>,
    /// The neighbour that its letters go to; `None` while it is connected to the coordinator, or knows no way.
    pub through: Option<NodeId>,
    /// It has stopped in order, and this is its last word.
    pub is_farewell: bool,
}

/// Answers a [`Presence`] that did not come over its writer's own connection: whoever passed it on could have kept it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PresenceHeard {
    /// The presence's own clock, which tells which one it was.
    pub clock: Timestamp,
}

/// Connections that one [`Presence`] tells of.
pub const MAX_LINKS: usize = 64;

/// A connection between two members, as one of its ends sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Link {
    /// The other end.
    pub node: NodeId,
    /// How long the last ping took, in microseconds; `None` before the first answer.
    pub round_trip_us: Option<u32>,
    /// Whether this end dialled.
    pub is_dialled: bool,
}

/// How many more results a node's disk takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Room {
    /// As many as come.
    #[default]
    Free,
    /// What it holds is still run; it takes nothing new.
    Tight,
    /// It runs nothing.
    Full,
}

/// What a node says of itself. Shown, never trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct NodeFacts {
    /// Host name.
    pub hostname: Text,
    /// Version of the program.
    pub version: Text,
    /// Operating system.
    pub system: Text,
    /// Its own addresses.
    pub addresses: Vec<IpAddr>,
    /// Its link addresses.
    pub macs: Vec<Text>,
    /// What it can scan with.
    pub engines: Vec<EngineFact>,
    /// What its owner's policy file lets it scan; `None` when the policy sets no limit of its own.
    pub policy_ranges: Option<TargetSet>,
}

/// One engine of a node.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct EngineFact {
    /// `builtin` or `nmap`.
    pub name: Text,
    /// Its version.
    pub version: Text,
    /// Whether it may send raw packets.
    pub raw: bool,
}

/// Progress of one running task.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RunningTask {
    /// Which task.
    pub task: TaskId,
    /// Under which lease.
    pub fence: u64,
    /// Cells settled so far.
    pub cells_done: u64,
    /// Cells in all.
    pub cells_total: u64,
    /// Hosts found up so far.
    pub hosts_found: u32,
}

/// What a node does with an announced task.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TaskAnswer {
    /// Which task.
    pub task: TaskId,
    /// Under which lease.
    pub fence: u64,
    /// Its answer.
    pub answer: Answer,
}

/// See [`TaskAnswer`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Answer {
    /// It is started.
    Taken,
    /// The node's roster or policy forbids it; another node may be asked.
    Refused(Text),
    /// It was begun or queued and is given back, for instance because the node stops or its engine failed.
    HandedBack(Text),
}

/// A finished result waits at the node.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ResultOffer {
    /// Which task.
    pub task: TaskId,
    /// Under which lease it was made.
    pub fence: u64,
    /// Its size and hash.
    pub manifest: ResultManifest,
}

/// Size and hash of a compressed [`TaskResult`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ResultManifest {
    /// Bytes, compressed.
    pub size: u64,
    /// Pieces of [`CHUNK_BYTES`], the last one shorter.
    pub chunks: u32,
    /// SHA-256 of the compressed bytes.
    pub sha256: [u8; 32],
}

impl ResultManifest {
    /// Describes `compressed`, a compressed [`TaskResult`] in pieces of [`CHUNK_BYTES`].
    pub fn of(compressed: &[u8]) -> Self {
        Self {
            size: u64::try_from(compressed.len()).unwrap_or(u64::MAX),
            chunks: u32::try_from(compressed.len().div_ceil(CHUNK_BYTES)).unwrap_or(u32::MAX),
            sha256: Sha256::digest(compressed).into(),
        }
    }
}

/// Bytes in one [`ResultChunk`].
pub const CHUNK_BYTES: usize = 192 * 1024;

/// A piece of a result.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ResultChunk {
    /// Which task.
    pub task: TaskId,
    /// Under which lease it was made.
    pub fence: u64,
    /// Which piece, from 0.
    pub index: u32,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Which pieces of an offered result the coordinator lacks.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ChunksWanted {
    /// Which task.
    pub task: TaskId,
    /// Under which lease it was made.
    pub fence: u64,
    /// Missing pieces, in order, at most 1,024 at a time.
    pub missing: Vec<u32>,
}

/// The result has been dealt with for good; the node deletes it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Receipt {
    /// Which task.
    pub task: TaskId,
    /// Under which lease the result was made.
    pub fence: u64,
    /// What became of it.
    pub outcome: ReceiptOutcome,
}

/// See [`Receipt`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ReceiptOutcome {
    /// Durably stored.
    Stored,
    /// This task's result was stored before.
    Duplicate,
    /// The lease had moved on, or the run had ended.
    Superseded,
    /// It breaks a rule, and was kept aside.
    Rejected(Text),
}

/// A lease that the node listed in its presence is not its own any more; it stops that work.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LeaseLost {
    /// Which task.
    pub task: TaskId,
    /// The number that no longer counts.
    pub fence: u64,
}

/// Asks to join the mesh. Signed with the key that wants in, which proves that the sender owns it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct EnrolRequest {
    /// Key for sealing to this node.
    pub sealing: crate::letter::SealingKey,
    /// What the node calls itself.
    pub label: Text,
    /// What the node says of itself.
    pub facts: NodeFacts,
    /// Proof that the sender knows the invite's single-use secret, if it had one.
    pub secret: Option<SecretProof>,
    /// The word of the member whose place this key takes, if it takes one.
    pub succeeds: Option<Succession>,
}

/// Answers [`EnrolRequest`]; signed with the coordinator's key, which `endorsement` lets the reader trust.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct EnrolAnswer {
    /// The coordinator's card, signed with the mesh key that the invite pins.
    pub endorsement: crate::card::Endorsement,
    /// Whom this answers.
    pub node: NodeId,
    /// What was decided.
    pub decision: Enrolment,
}

/// See [`EnrolAnswer`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Enrolment {
    /// A person must decide; ask again.
    Pending,
    /// A member now; here is the roster that says so.
    Approved(crate::roster::SignedRoster),
    /// A person said no.
    Denied(Text),
    /// The request cannot be taken; the text says what to do.
    Refused(Text),
}

/// What a task found: kept on the node's disk, sent in pieces, compressed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TaskResult {
    /// Which task.
    pub task: TaskId,
    /// Under which lease.
    pub fence: u64,
    /// When the first probe went out, by the node's clock.
    pub started: Timestamp,
    /// When the last one was settled.
    pub ended: Timestamp,
    /// What was really looked at.
    pub coverage: Coverage,
    /// Hosts, sorted by address, each once.
    pub hosts: Vec<HostObservation>,
    /// Why less than asked was covered, if so.
    pub shortfall: Option<Text>,
    /// Ports that the engine took when the scan named none.
    pub default_ports: Option<PortSet>,
}

macro_rules! messages {
    ($($kind:ident),* $(,)?) => {$(
        impl Message for $kind {
            const KIND: Kind = Kind::$kind;
        }
    )*};
}
messages!(
    Beacon,
    RosterHead,
    Cancel,
    Announcement,
    Presence,
    TaskAnswer,
    ResultOffer,
    ResultChunk,
    ChunksWanted,
    Receipt,
    LeaseLost,
    EnrolRequest,
    EnrolAnswer,
    SponsoredRequest,
    SponsoredAnswer,
    PresenceHeard,
);
