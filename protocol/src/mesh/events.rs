//! What the mesh tells its owner.

use crate::envelope::Verified;
use crate::identity::NodeId;
use crate::letter::Letter;
use crate::message::{Announcement, Beacon, Cancel, Link};
use crate::roster::{Roster, RosterHash, SignedRoster};
use std::net::SocketAddr;
use std::time::Duration;

/// Names one letter between [`super::Mesh::send_letter`] and its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LetterId(pub u64);

/// No way is open to the reader of a letter; send it again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no way to {0} is open, or too many letters are on it; send it again later")]
pub struct NotConnected(pub NodeId);

/// A neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerLink {
    /// Who it is.
    pub node: NodeId,
    /// The other end of the connection.
    pub address: Option<SocketAddr>,
    /// How long the last ping took.
    pub round_trip: Option<Duration>,
    /// Whether this end dialled.
    pub is_dialled: bool,
}

impl From<PeerLink> for Link {
    fn from(link: PeerLink) -> Self {
        let PeerLink { node, address: _, round_trip, is_dialled } = link;
        let micros = |round_trip: Duration| u32::try_from(round_trip.as_micros()).unwrap_or(u32::MAX);
        Self { node, round_trip_us: round_trip.map(micros), is_dialled }
    }
}

/// What happened in the mesh.
#[derive(Clone, Debug)]
pub enum MeshEvent {
    /// A member is connected.
    Connected {
        /// Who.
        node: NodeId,
        /// The other end of the connection.
        address: Option<SocketAddr>,
    },
    /// The last connection to a member is gone.
    Disconnected {
        /// Who.
        node: NodeId,
    },
    /// The coordinator's newest sign of life.
    Beacon(Verified<Beacon>),
    /// A newer roster was pulled and is in force.
    RosterAdopted {
        /// To be kept on disk.
        signed: SignedRoster,
        /// What it says.
        roster: Roster,
    },
    /// The mesh key signed two rosters of one epoch. An alarm.
    RosterConflict {
        /// Of which epoch.
        epoch: u64,
        /// The one in force.
        held: RosterHash,
        /// The other one, which is refused.
        offered: RosterHash,
        /// Who handed it over.
        from: NodeId,
    },
    /// A run was cancelled.
    Cancel(Verified<Cancel>),
    /// A task for some holder. Each (task, fence) comes at most once, gossiped or pulled, and fences of one task rise.
    Announcement(Verified<Announcement>),
    /// A letter to this member.
    Letter {
        /// The neighbour that handed it over; who wrote it stands in the envelope.
        from: NodeId,
        /// Who is said to have written it, when that is to be answered the same way: see [`super::Mesh::learn_way`].
        writer: Option<NodeId>,
        /// Still sealed.
        letter: Letter,
    },
    /// The reader has the letter; where others passed it on, they say so.
    LetterDelivered {
        /// Which.
        id: LetterId,
    },
    /// The letter may not have arrived; send it again.
    LetterFailed {
        /// Which.
        id: LetterId,
        /// Why.
        reason: String,
    },
}
