//! The approved keys at an epoch, signed by the mesh key.

use crate::codec::{self, CodecError, Decode, Encode};
use crate::identity::{BadSignature, Keypair, MeshId, NodeId, SignatureBytes};
use crate::target::TargetSet;
use crate::text::Text;
use crate::time::Timestamp;
use sha2::{Digest, Sha256};
use std::time::Duration;

mod changes;
pub use changes::{Change, changes};

/// SHA-256 of a signed roster's body.
pub type RosterHash = [u8; 32];

/// How long a roster lets nodes take new tasks after it was issued.
pub const ROSTER_LIFETIME: Duration = Duration::from_secs(90 * 24 * 3600);

/// The most bytes of a roster: with it, an answer to a request to join still fits into one letter.
pub const MAX_ROSTER_BYTES: usize = 240 * 1024;

const ROSTER_TAG: &[u8] = b"portdrift/1/roster";

/// Who belongs to the mesh at one epoch.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Roster {
    /// Whose roster this is.
    pub mesh: MeshId,
    /// Rises with every change, never falls.
    pub epoch: u64,
    /// Hash of the roster before; zero for the first.
    pub previous: RosterHash,
    /// When it was signed.
    pub issued: Timestamp,
    /// After this no node takes a new task on its word.
    pub not_after: Timestamp,
    /// Sorted by key, each once; revoked keys stay.
    pub members: Vec<Member>,
}

/// One key and what it may do.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Member {
    /// The key.
    pub key: NodeId,
    /// What it is.
    pub role: Role,
    /// Whether it is in or out.
    pub state: MemberState,
    /// The site it belongs to.
    pub site: Text,
    /// What it may scan.
    pub ranges: TargetSet,
    /// After this the key counts as revoked.
    pub expires: Option<Timestamp>,
    /// Whether it may pass on the requests of strangers.
    pub may_sponsor: bool,
}

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Role {
    /// Hands out tasks and takes results.
    Coordinator,
    /// Scans.
    Node,
}

/// Whether a member is in or out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum MemberState {
    /// In.
    Approved,
    /// Out for good.
    Revoked,
}

/// A roster as it travels: its bytes, and the mesh key's signature over them.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SignedRoster {
    body: Vec<u8>,
    signature: SignatureBytes,
}

/// Why a roster is not believed.
#[derive(Debug, thiserror::Error)]
pub enum RosterError {
    /// Forged, or another mesh's.
    #[error("the roster is not signed by this mesh's key")]
    BadSignature(#[from] BadSignature),
    /// Unreadable.
    #[error("the roster cannot be read: {0}")]
    Unreadable(#[from] CodecError),
    /// More members, or more ranges, than travel in one piece.
    #[error(
        "the roster would have {0} bytes, and no more than {MAX_ROSTER_BYTES} travel; give nodes fewer and larger ranges, or run a second mesh"
    )]
    TooLarge(usize),
    /// Signed, but it breaks a rule.
    #[error("the roster is signed but not sound: {0}")]
    Unsound(&'static str),
}

/// How a roster relates to the one that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precedence {
    /// To be taken.
    Newer,
    /// The one that is held.
    Same,
    /// To be refused: epochs never fall.
    Older,
    /// Same epoch, other content: somebody signs two truths. An alarm.
    Conflict,
}

impl Roster {
    /// The member with this key, in or out.
    pub fn member(&self, key: &NodeId) -> Option<&Member> {
        self.members.binary_search_by_key(key, |member| member.key).ok().and_then(|index| self.members.get(index))
    }

    /// The members that are in at `now`.
    pub fn approved(&self, now: Timestamp) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(move |member| member.is_in(now))
    }

    /// The coordinator that is in at `now`.
    pub fn coordinator(&self, now: Timestamp) -> Option<&Member> {
        self.approved(now).find(|member| member.role == Role::Coordinator)
    }

    /// What names this roster among others, signed or not.
    pub fn hash(&self) -> RosterHash {
        Sha256::digest(codec::encode(self)).into()
    }

    /// Fails when this roster is too large to be handed on; to be asked before it is signed.
    pub fn check_size(&self) -> Result<(), RosterError> {
        let size = codec::encode(self).len();
        if size > MAX_ROSTER_BYTES { Err(RosterError::TooLarge(size)) } else { Ok(()) }
    }

    fn check(&self, mesh: MeshId) -> Result<(), RosterError> {
        if self.mesh != mesh {
            return Err(BadSignature.into());
        }
        if !self.members.is_sorted_by(|a, b| a.key < b.key) {
            return Err(RosterError::Unsound("its keys are not sorted, each once"));
        }
        let coordinators = self
            .members
            .iter()
            .filter(|member| member.role == Role::Coordinator && member.state == MemberState::Approved);
        if coordinators.count() > 1 { Err(RosterError::Unsound("it names two coordinators")) } else { Ok(()) }
    }
}

impl Member {
    /// True when this member may take part at `now`.
    pub fn is_in(&self, now: Timestamp) -> bool {
        self.state == MemberState::Approved && self.expires.is_none_or(|end| now <= end)
    }
}

impl SignedRoster {
    /// Signs a roster with the mesh key.
    pub fn sign(roster: &Roster, mesh_key: &Keypair) -> Self {
        let body = codec::encode(roster);
        let signature = mesh_key.sign(&[ROSTER_TAG, &body].concat());
        Self { body, signature }
    }

    /// Checks the signature, then reads and checks the roster.
    pub fn verify(&self, mesh: MeshId) -> Result<Roster, RosterError> {
        mesh.verify(&[ROSTER_TAG, &self.body].concat(), &self.signature)?;
        let roster: Roster = codec::decode(&self.body, MAX_ROSTER_BYTES)?;
        roster.check(mesh)?;
        Ok(roster)
    }

    /// What names this roster among others.
    pub fn hash(&self) -> RosterHash {
        Sha256::digest(&self.body).into()
    }
}

/// How a roster with (epoch, hash) `offered` relates to `held`.
pub fn precedence(held: Option<(u64, RosterHash)>, offered: (u64, RosterHash)) -> Precedence {
    match held {
        None => Precedence::Newer,
        Some((epoch, _)) if offered.0 > epoch => Precedence::Newer,
        Some((epoch, _)) if offered.0 < epoch => Precedence::Older,
        Some((_, hash)) if offered.1 == hash => Precedence::Same,
        Some(_) => Precedence::Conflict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(seed: u8, role: Role) -> Member {
        Member {
            key: Keypair::from_seed(&[seed; 32]).node_id(),
            role,
            state: MemberState::Approved,
            site: "main".into(),
            ranges: "10.0.0.0/24".parse().unwrap(),
            expires: None,
            may_sponsor: false,
        }
    }

    fn roster(mesh: &Keypair, mut members: Vec<Member>) -> Roster {
        members.sort_by_key(|member| member.key);
        let issued = Timestamp::from_millis(1_000_000);
        let not_after = issued.plus(ROSTER_LIFETIME);
        Roster { mesh: mesh.mesh_id(), epoch: 3, previous: [0; 32], issued, not_after, members }
    }

    #[test]
    fn only_the_mesh_key_makes_a_roster() {
        let (mesh, rival) = (Keypair::from_seed(&[1; 32]), Keypair::from_seed(&[2; 32]));
        let roster = roster(&mesh, vec![member(3, Role::Coordinator), member(4, Role::Node)]);
        let signed = SignedRoster::sign(&roster, &mesh);
        assert_eq!(signed.verify(mesh.mesh_id()).unwrap(), roster);
        assert!(SignedRoster::sign(&roster, &rival).verify(mesh.mesh_id()).is_err());
        assert!(signed.verify(rival.mesh_id()).is_err());
        assert!(SignedRoster::sign(&roster, &rival).verify(rival.mesh_id()).is_err());
    }

    #[test]
    fn a_signed_roster_must_still_be_sound() {
        let mesh = Keypair::from_seed(&[1; 32]);
        let two = roster(&mesh, vec![member(3, Role::Coordinator), member(4, Role::Coordinator)]);
        assert!(matches!(SignedRoster::sign(&two, &mesh).verify(mesh.mesh_id()), Err(RosterError::Unsound(_))));
        let mut twice = roster(&mesh, vec![member(3, Role::Node)]);
        twice.members.push(member(3, Role::Node));
        assert!(matches!(SignedRoster::sign(&twice, &mesh).verify(mesh.mesh_id()), Err(RosterError::Unsound(_))));
    }

    /// A mesh of so many nodes, each with so many /24.
    fn large(mesh: &Keypair, nodes: u16, ranges: u8) -> Roster {
        let node = |number: u16| {
            let [high, low] = number.to_be_bytes();
            let mut key = [high; 32];
            key[31] = low;
            let networks: Vec<String> = (0..ranges).map(|range| format!("10.{low}.{}.0/24", range * 2)).collect();
            let ranges = networks.join(",").parse().unwrap();
            let expires = Some(Timestamp::from_millis(1_800_000_000_000));
            Member { key: NodeId::from_bytes(key), ranges, expires, ..member(4, Role::Node) }
        };
        roster(mesh, (0..nodes).map(node).collect())
    }

    #[test]
    fn a_thousand_members_with_ordinary_ranges_fit_and_what_does_not_fit_is_said_before_it_is_signed() {
        let mesh = Keypair::from_seed(&[1; 32]);
        let thousand = large(&mesh, 1_000, 8);
        thousand.check_size().unwrap();
        assert_eq!(SignedRoster::sign(&thousand, &mesh).verify(mesh.mesh_id()).unwrap(), thousand);
        let more = large(&mesh, 2_000, 8);
        assert!(matches!(more.check_size(), Err(RosterError::TooLarge(_))));
        assert!(SignedRoster::sign(&more, &mesh).verify(mesh.mesh_id()).is_err(), "nobody would take it");
        insta::assert_snapshot!(RosterError::TooLarge(300_000).to_string(), @"the roster would have 300000 bytes, and no more than 245760 travel; give nodes fewer and larger ranges, or run a second mesh");
    }

    #[test]
    fn the_largest_roster_fits_the_answer_that_lets_a_node_in() {
        let answer = crate::envelope::Kind::EnrolAnswer.max_body_bytes();
        assert!(MAX_ROSTER_BYTES + 8 * 1024 <= answer, "card, endorsement and signatures need room too");
        assert!(answer <= crate::letter::MAX_LETTER_BYTES);
    }

    #[test]
    fn an_expired_or_revoked_key_is_out() {
        let end = Timestamp::from_millis(500);
        let mut expiring = member(3, Role::Node);
        expiring.expires = Some(end);
        assert!(expiring.is_in(end));
        assert!(!expiring.is_in(end.plus(Duration::from_millis(1))));
        let revoked = Member { state: MemberState::Revoked, ..member(3, Role::Node) };
        assert!(!revoked.is_in(end));
    }

    #[test]
    fn epochs_never_fall() {
        let held = Some((5, [1; 32]));
        let found: Vec<Precedence> =
            [(6, [2; 32]), (5, [1; 32]), (4, [9; 32]), (5, [2; 32])].map(|offered| precedence(held, offered)).to_vec();
        assert_eq!(found, [Precedence::Newer, Precedence::Same, Precedence::Older, Precedence::Conflict]);
        assert_eq!(precedence(None, (0, [0; 32])), Precedence::Newer);
    }
}
