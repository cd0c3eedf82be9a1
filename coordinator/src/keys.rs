//! Where a coordinator keeps its keys and its store.

use std::path::{Path, PathBuf};

/// The files of one data folder.
#[derive(Clone, Debug)]
pub(crate) struct DataFolder(PathBuf);

impl DataFolder {
    pub(crate) fn new(dir: &Path) -> Self {
        Self(dir.to_owned())
    }

    /// Signs rosters.
    pub(crate) fn mesh_key(&self) -> PathBuf {
        self.0.join("mesh.key")
    }

    /// The coordinator's identity.
    pub(crate) fn coordinator_key(&self) -> PathBuf {
        self.0.join("coordinator.key")
    }

    /// The journal and its index.
    pub(crate) fn store(&self) -> PathBuf {
        self.0.join("store")
    }
}
