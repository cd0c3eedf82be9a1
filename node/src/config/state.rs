//! Which mesh a node belongs to: its key, the coordinator's card and the highest roster seen. It never goes lower.

use crate::durable;
use protocol::card::{Card, Endorsement};
use protocol::codec::{self, Decode, Encode};
use protocol::identity::MeshId;
use protocol::roster::{self, Precedence, Roster, SignedRoster};
use std::io;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"pdriftms";
const CHECKSUM_BYTES: usize = 4;
const MAX_STATE_BYTES: usize = 2 << 20;

/// The mesh, as this node knows it. Everything in it was verified under the mesh key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshState {
    record: Record,
    roster: Roster,
}

/// What is on disk.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Record {
    mesh: MeshId,
    endorsement: Endorsement,
    roster: SignedRoster,
}

/// Why a mesh state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Cut, changed, or not ours.
    #[error("{} is damaged ({reason}); restore it from a backup, or remove it and join again with a new invite", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How one can tell.
        reason: String,
    },
    /// A roster or card that the mesh key did not sign.
    #[error("the mesh state is not signed by the mesh's key: {0}")]
    NotSigned(String),
    /// A roster at or below the held epoch.
    #[error("roster epoch {offered} is not newer than the held epoch {held}")]
    NotNewer {
        /// What is held.
        held: u64,
        /// What was offered.
        offered: u64,
    },
}

impl MeshState {
    /// Checks both under the key of `mesh`.
    pub fn new(mesh: MeshId, endorsement: Endorsement, signed: SignedRoster) -> Result<Self, StateError> {
        endorsement.verify(mesh).map_err(|error| StateError::NotSigned(error.to_string()))?;
        let roster = signed.verify(mesh).map_err(|error| StateError::NotSigned(error.to_string()))?;
        Ok(Self { record: Record { mesh, endorsement, roster: signed }, roster })
    }

    /// Reads the state; `None` when there is no file.
    pub fn load(path: &Path) -> Result<Option<Self>, StateError> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StateError::Io { action: "read", path: path.to_owned(), source }),
        };
        let damaged = |reason: String| StateError::Damaged { path: path.to_owned(), reason };
        let record = parse(&bytes).map_err(damaged)?;
        let Record { mesh, endorsement, roster } = record;
        Self::new(mesh, endorsement, roster).map(Some).map_err(|error| damaged(error.to_string()))
    }

    /// Makes it durable.
    pub fn save(&self, path: &Path) -> Result<(), StateError> {
        let body = codec::encode(&self.record);
        let sum = crc32c::crc32c(&body).to_be_bytes();
        durable::replace(path, &[MAGIC, &body, &sum]).map_err(|source| StateError::Io {
            action: "write",
            path: path.to_owned(),
            source,
        })
    }

    /// Takes a newer roster; refuses a lower epoch, and another roster of the same epoch.
    pub fn adopt(&mut self, signed: SignedRoster) -> Result<(), StateError> {
        let roster = signed.verify(self.record.mesh).map_err(|error| StateError::NotSigned(error.to_string()))?;
        let held = (self.roster.epoch, self.record.roster.hash());
        match roster::precedence(Some(held), (roster.epoch, signed.hash())) {
            Precedence::Newer => {
                self.record.roster = signed;
                self.roster = roster;
                Ok(())
            }
            Precedence::Same => Ok(()),
            Precedence::Older | Precedence::Conflict => {
                Err(StateError::NotNewer { held: self.roster.epoch, offered: roster.epoch })
            }
        }
    }

    /// The same membership with the coordinator's newest card and, if it is newer, the roster of `joined`.
    pub fn renewed(self, joined: Self) -> Result<Self, StateError> {
        let Record { mesh: _, endorsement, roster } = joined.record;
        let mut renewed = Self { record: Record { endorsement, ..self.record }, roster: self.roster };
        renewed.adopt(roster)?;
        Ok(renewed)
    }

    /// The mesh.
    pub fn mesh(&self) -> MeshId {
        self.record.mesh
    }

    /// How the coordinator is reached and written to.
    pub fn coordinator(&self) -> &Card {
        &self.record.endorsement.card
    }

    /// The roster in force.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The same, with its signature.
    pub fn signed_roster(&self) -> &SignedRoster {
        &self.record.roster
    }
}

fn parse(bytes: &[u8]) -> Result<Record, String> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("it does not start as one")?;
    let (body, sum) = rest.split_last_chunk::<CHECKSUM_BYTES>().ok_or("it is cut")?;
    if crc32c::crc32c(body).to_be_bytes() != *sum {
        return Err("its checksum is wrong".to_owned());
    }
    codec::decode(body, MAX_STATE_BYTES).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::Timestamp;
    use protocol::identity::Keypair;
    use protocol::letter::SealingKey;
    use std::net::SocketAddr;

    fn signed(key: &Keypair, epoch: u64, seconds: u64) -> SignedRoster {
        let issued = Timestamp::from_millis(seconds * 1_000);
        let members = Vec::new();
        let roster = Roster { mesh: key.mesh_id(), epoch, previous: [0; 32], issued, not_after: issued, members };
        SignedRoster::sign(&roster, key)
    }

    fn card(key: &Keypair, addresses: Vec<SocketAddr>) -> Card {
        let sealing = SealingKey::from_bytes([1; 32]);
        Card { key: key.node_id(), sealing, addresses, label: "hub".into(), issued: Timestamp::from_millis(1) }
    }

    fn state(key: &Keypair) -> MeshState {
        MeshState::new(key.mesh_id(), Endorsement::sign(card(key, Vec::new()), key), signed(key, 5, 1)).unwrap()
    }

    #[test]
    fn a_state_survives_its_file_and_no_damage_goes_unnoticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mesh.state");
        assert_eq!(MeshState::load(&path).unwrap(), None);
        let state = state(&Keypair::from_seed(&[1; 32]));
        state.save(&path).unwrap();
        assert_eq!(MeshState::load(&path).unwrap(), Some(state));
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            assert!(matches!(MeshState::load(&path), Err(StateError::Damaged { .. })), "changed byte {at}");
            std::fs::write(&path, &good[..at]).unwrap();
            assert!(matches!(MeshState::load(&path), Err(StateError::Damaged { .. })), "cut at {at}");
        }
    }

    #[test]
    fn epochs_never_fall_and_foreign_rosters_are_refused() {
        let (key, rival) = (Keypair::from_seed(&[1; 32]), Keypair::from_seed(&[2; 32]));
        let mut state = state(&key);
        assert!(matches!(state.adopt(signed(&key, 4, 9)), Err(StateError::NotNewer { held: 5, offered: 4 })));
        assert!(matches!(state.adopt(signed(&key, 5, 9)), Err(StateError::NotNewer { .. })), "two truths");
        assert!(matches!(state.adopt(signed(&rival, 6, 9)), Err(StateError::NotSigned(_))));
        assert_eq!(state.roster().epoch, 5);
        state.adopt(signed(&key, 5, 1)).unwrap();
        state.adopt(signed(&key, 6, 1)).unwrap();
        assert_eq!(state.roster().epoch, 6);
    }

    #[test]
    fn joining_again_renews_the_card_but_brings_back_no_old_roster() {
        let key = Keypair::from_seed(&[1; 32]);
        let moved = |epoch| {
            let card = card(&key, vec!["127.0.0.1:9".parse().unwrap()]);
            MeshState::new(key.mesh_id(), Endorsement::sign(card, &key), signed(&key, epoch, 1)).unwrap()
        };
        assert_eq!(state(&key).renewed(moved(5)).unwrap(), moved(5));
        assert_eq!(state(&key).renewed(moved(6)).unwrap(), moved(6));
        assert!(matches!(state(&key).renewed(moved(4)), Err(StateError::NotNewer { held: 5, offered: 4 })));
    }
}
