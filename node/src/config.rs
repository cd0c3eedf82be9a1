//! The data folder of a node: who it is, how often it has started, which mesh it belongs to. One process uses it.
//!
//! `node.key` the identity, `next.key` the one that is to take its place, `boot` the count of starts, `mesh.state` the
//! mesh and its highest roster, `mesh.cards` where its members are found, `beacon` the newest beacon that was heard,
//! `spool/` results that wait for delivery, `policy.toml` what the owner allows.

use crate::durable;
use protocol::clock::Order;
use protocol::identity::{KeyFileError, KeyLock, Keypair, NodeId};
use std::io;
use std::path::{Path, PathBuf};

pub(crate) mod cards;
mod state;
pub use state::{MeshState, StateError};

const MESH_STATE: &str = "mesh.state";

/// An open data folder; nobody else can open it while this lives.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    _lock: KeyLock,
}

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
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
    /// Another process works in it.
    #[error("the data folder {} is in use by another node; stop that one, or choose another folder", .0.display())]
    InUse(PathBuf),
    /// The identity cannot be read or made.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The count of starts is gone or unreadable.
    #[error("{} does not hold the count of starts; write a whole number into it that is higher than before (such as 1000000), since lower ones are ignored by the mesh", .0.display())]
    Boot(PathBuf),
    /// The mesh state is unusable.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Whether a node with its data in `dir` has joined a mesh before, so that it needs no invite.
pub fn has_joined(dir: &Path) -> bool {
    dir.join(MESH_STATE).exists()
}

impl DataFolder {
    /// Opens the folder, and makes it (0700) if there is none.
    pub fn open(path: &Path) -> Result<Self, ConfigError> {
        durable::make_folder(path).map_err(io_error("make the folder", path))?;
        match Keypair::lock(&path.join("node.key")) {
            Ok(lock) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(KeyFileError::InUse(_)) => Err(ConfigError::InUse(path.to_owned())),
            Err(error) => Err(error.into()),
        }
    }

    /// The identity; made at first use.
    pub fn keypair(&self) -> Result<Keypair, ConfigError> {
        let path = self.path.join("node.key");
        if !path.exists() && self.state_path().exists() {
            // A new identity beside an old membership would look like an intruder to everyone.
            return Ok(Keypair::load(&path)?);
        }
        Ok(Keypair::load_or_create(&path)?)
    }

    /// The identity that takes the place of the present one; made at first use, and kept until it does.
    pub fn next_keypair(&self) -> Result<Keypair, ConfigError> {
        Ok(Keypair::load_or_create(&self.path.join("next.key"))?)
    }

    /// Makes the next identity the present one.
    pub fn take_next_key(&self) -> Result<(), ConfigError> {
        let (next, path) = (self.path.join("next.key"), self.path.join("node.key"));
        let renamed = std::fs::rename(&next, &path).and_then(|()| durable::sync_folder_of(&path));
        renamed.map_err(io_error("replace", &path))
    }

    /// Counts this start: one more than at any start before, and on disk before it is used.
    pub fn next_boot(&self) -> Result<u64, ConfigError> {
        let path = self.path.join("boot");
        let last = match std::fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map_err(|_| ConfigError::Boot(path.clone()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.state_path().exists() => 0u64,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
                return Err(ConfigError::Boot(path));
            }
            Err(error) => return Err(io_error("read", &path)(error)),
        };
        let boot = last.checked_add(1).ok_or_else(|| ConfigError::Boot(path.clone()))?;
        durable::replace(&path, &[format!("{boot}\n").as_bytes()]).map_err(io_error("write", &path))?;
        Ok(boot)
    }

    /// The mesh this node belongs to; `None` before it has joined one.
    pub fn state(&self) -> Result<Option<MeshState>, ConfigError> {
        Ok(MeshState::load(&self.state_path())?)
    }

    /// Where the mesh state lies.
    pub fn state_path(&self) -> PathBuf {
        self.path.join(MESH_STATE)
    }

    /// Where the members' cards lie.
    pub fn cards_path(&self) -> PathBuf {
        self.path.join("mesh.cards")
    }

    /// Where the newest beacon's place in the order of all is kept.
    pub fn beacon_path(&self) -> PathBuf {
        self.path.join("beacon")
    }

    /// Where results wait.
    pub fn spool_path(&self) -> PathBuf {
        self.path.join("spool")
    }

    /// Where the owner's policy lies unless told otherwise.
    pub fn policy_path(&self) -> PathBuf {
        self.path.join("policy.toml")
    }
}

/// The place of the newest beacon of this coordinator that was heard before this start, if that is known.
pub(crate) fn read_beacon(path: &Path, coordinator: &NodeId) -> Option<Order> {
    let text = std::fs::read_to_string(path).ok()?;
    let [boot, sequence, by] = text.split_whitespace().collect::<Vec<_>>().try_into().ok()?;
    (by == coordinator.fingerprint().to_string()).then_some((boot.parse().ok()?, sequence.parse().ok()?))
}

/// Keeps the place of the newest beacon, so that after a restart no recording of older ones passes for the present.
pub(crate) fn write_beacon(path: &Path, coordinator: &NodeId, (boot, sequence): Order) -> io::Result<()> {
    durable::replace(path, &[format!("{boot} {sequence} {}\n", coordinator.fingerprint()).as_bytes()])
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ConfigError {
    move |source| ConfigError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_folder_is_private_and_used_by_one_process() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("a/node");
        let folder = DataFolder::open(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(matches!(DataFolder::open(&path), Err(ConfigError::InUse(_))));
        let id = folder.keypair().unwrap().node_id();
        drop(folder);
        assert_eq!(DataFolder::open(&path).unwrap().keypair().unwrap().node_id(), id);
    }

    #[test]
    fn the_count_of_starts_rises_and_is_never_begun_anew() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = DataFolder::open(temporary.path()).unwrap();
        assert_eq!([folder.next_boot().unwrap(), folder.next_boot().unwrap()], [1, 2]);
        let path = temporary.path().join("boot");
        for damage in ["", "x", "-1", "18446744073709551615"] {
            std::fs::write(&path, damage).unwrap();
            assert!(matches!(folder.next_boot(), Err(ConfigError::Boot(_))), "{damage:?}");
        }
        std::fs::write(&path, b"\xff").unwrap();
        assert!(matches!(folder.next_boot(), Err(ConfigError::Boot(_))));
        std::fs::write(&path, "41").unwrap();
        assert_eq!(folder.next_boot().unwrap(), 42);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(folder.state_path(), "joined").unwrap();
        assert!(matches!(folder.next_boot(), Err(ConfigError::Boot(_))), "a member's count is gone");
    }

    #[test]
    fn the_newest_beacon_is_read_back_and_damage_counts_as_none() {
        let temporary = tempfile::tempdir().unwrap();
        let path = DataFolder::open(temporary.path()).unwrap().beacon_path();
        let [hub, other] = [1, 2].map(|seed| Keypair::from_seed(&[seed; 32]).node_id());
        assert_eq!(read_beacon(&path, &hub), None);
        write_beacon(&path, &hub, (3, u64::MAX)).unwrap();
        assert_eq!((read_beacon(&path, &hub), read_beacon(&path, &other)), (Some((3, u64::MAX)), None));
        for damage in ["", "3", "3 x y", "\u{fffd} 4 5", &format!("3 -4 {}", hub.fingerprint())] {
            std::fs::write(&path, damage).unwrap();
            assert_eq!(read_beacon(&path, &hub), None, "{damage:?}");
        }
    }

    #[test]
    fn a_member_gets_no_second_identity() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = DataFolder::open(temporary.path()).unwrap();
        std::fs::write(folder.state_path(), "joined").unwrap();
        assert!(matches!(folder.keypair(), Err(ConfigError::Key(_))));
    }
}
