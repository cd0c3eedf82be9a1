//! A look at a node's data folder from outside: who the node is, where it belongs, whether it runs. Changes nothing.

use crate::config::{ConfigError, MeshState};
use crate::spool;
use protocol::Timestamp;
use protocol::card::Card;
use protocol::identity::{KeyFileError, Keypair, MeshId, NodeId};
use protocol::roster::{Member, Roster};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What the folder of a node tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Its key.
    pub id: NodeId,
    /// Whether a process works in the folder now.
    pub is_running: bool,
    /// Where it belongs; `None` before it has joined a mesh.
    pub membership: Option<Membership>,
    /// When it noted last that it hears the coordinator, which it does now and then.
    pub heard: Option<Timestamp>,
    /// Results that wait for delivery.
    pub waiting: usize,
    /// What they take, in bytes.
    pub waiting_bytes: u64,
}

/// Where a node belongs, as it knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The mesh.
    pub mesh: MeshId,
    /// The number of the roster that it holds.
    pub epoch: u64,
    /// After this it takes no new task on that roster's word.
    pub not_after: Timestamp,
    /// Where the coordinator is found.
    pub coordinator: Vec<SocketAddr>,
    /// What the roster says of this node; `None` when it does not name it.
    pub own: Option<Member>,
}

impl Membership {
    fn new(state: &MeshState, id: &NodeId) -> Self {
        let (Roster { epoch, not_after, .. }, Card { addresses, .. }) = (state.roster(), state.coordinator());
        Self {
            mesh: state.mesh(),
            epoch: *epoch,
            not_after: *not_after,
            coordinator: addresses.clone(),
            own: state.roster().member(id).cloned(),
        }
    }

    /// Whether the roster lets the node in at `now`.
    pub fn is_in(&self, now: Timestamp) -> bool {
        self.own.as_ref().is_some_and(|own| own.is_in(now))
    }
}

/// Looks at the data folder `dir`.
///
/// # Errors
/// There is no node in it, or a file of it cannot be used.
pub fn inspect(dir: &Path) -> Result<Inspection, ConfigError> {
    let key = dir.join("node.key");
    let id = Keypair::load(&key)?.node_id();
    let is_running = matches!(Keypair::lock(&key), Err(KeyFileError::InUse(_)));
    let state = MeshState::load(&dir.join("mesh.state"))?;
    let results = spool::sizes(&dir.join("spool"));
    Ok(Inspection {
        id,
        is_running,
        membership: state.as_ref().map(|state| Membership::new(state, &id)),
        heard: written(&dir.join("beacon")),
        waiting: results.len(),
        waiting_bytes: results.iter().sum(),
    })
}

fn written(path: &Path) -> Option<Timestamp> {
    let seconds = u64::try_from(std::fs::metadata(path).ok()?.mtime()).ok()?;
    Some(Timestamp::from_millis(seconds.saturating_mul(1_000)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DataFolder;

    #[test]
    fn a_folder_tells_who_is_in_it_and_whether_somebody_works_there() {
        let temporary = tempfile::tempdir().unwrap();
        assert!(matches!(inspect(temporary.path()), Err(ConfigError::Key(KeyFileError::Missing(_)))));
        let folder = DataFolder::open(temporary.path()).unwrap();
        let id = folder.keypair().unwrap().node_id();
        std::fs::create_dir(folder.spool_path()).unwrap();
        for (name, text) in [("7.1.2.result", "four"), ("7.1.3.bad", "x"), ("note", "x")] {
            std::fs::write(folder.spool_path().join(name), text).unwrap();
        }
        let seen = inspect(temporary.path()).unwrap();
        let expected = Inspection { id, is_running: true, membership: None, heard: None, waiting: 1, waiting_bytes: 4 };
        assert_eq!(seen, expected);
        std::fs::write(folder.beacon_path(), "x").unwrap();
        drop(folder);
        let seen = inspect(temporary.path()).unwrap();
        assert!(!seen.is_running && seen.heard.is_some(), "{seen:?}");
        std::fs::write(temporary.path().join("mesh.state"), "x").unwrap();
        assert!(matches!(inspect(temporary.path()), Err(ConfigError::State(_))));
    }
}
