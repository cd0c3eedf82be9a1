//! Where a coordinator keeps its keys and its store, and whether the mesh key is among them.

use protocol::identity::{KeyFileError, KeyLock};
use protocol::{Keypair, MeshId, NodeId};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files of one data folder.
#[derive(Clone, Debug)]
pub(crate) struct DataFolder(PathBuf);

/// Signs rosters; or only its name, while it is kept elsewhere.
#[derive(Clone, Debug)]
pub(crate) enum MeshKey {
    /// In the data folder.
    Here(Arc<Keypair>),
    /// Whoever holds it signs what waits.
    Elsewhere(MeshId),
}

/// Why the mesh key was not moved.
#[derive(Debug, thiserror::Error)]
pub enum MoveKeyError {
    /// A key file.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// There is none to move.
    #[error("the mesh key is not in {}; it was exported before", .0.display())]
    NotHere(PathBuf),
    /// There is one already.
    #[error("the mesh key is in {} already", .0.display())]
    AlreadyHere(PathBuf),
    /// A key, but of another mesh.
    #[error("{} holds another key than this mesh's; its fingerprint is {found}, this mesh is {mesh}", file.display())]
    OtherMesh {
        /// Which file.
        file: PathBuf,
        /// What it holds.
        found: MeshId,
        /// What is wanted.
        mesh: MeshId,
    },
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
}

impl MeshKey {
    /// The mesh.
    pub(crate) fn id(&self) -> MeshId {
        match self {
            Self::Here(key) => key.mesh_id(),
            Self::Elsewhere(mesh) => *mesh,
        }
    }

    /// True while rosters are signed here.
    pub(crate) fn is_here(&self) -> bool {
        matches!(self, Self::Here(_))
    }

    /// As it lies in a folder that was set up.
    pub(crate) fn load(folder: &DataFolder) -> Result<Self, KeyFileError> {
        if folder.mesh_key().exists() {
            return Ok(Self::Here(Arc::new(Keypair::load(&folder.mesh_key())?)));
        }
        let name = folder.mesh_name();
        let bytes =
            fs::read(&name).map_err(|source| KeyFileError::Io { action: "read", path: name.clone(), source })?;
        let bytes = bytes.try_into().map_err(|_| KeyFileError::Damaged(name))?;
        Ok(Self::Elsewhere(MeshId::from_bytes(bytes)))
    }
}

impl DataFolder {
    pub(crate) fn new(dir: &Path) -> Self {
        Self(dir.to_owned())
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Signs rosters.
    pub(crate) fn mesh_key(&self) -> PathBuf {
        self.0.join("mesh.key")
    }

    /// The public half, in place of the key while it is elsewhere.
    pub(crate) fn mesh_name(&self) -> PathBuf {
        self.0.join("mesh.public")
    }

    /// The coordinator's identity.
    pub(crate) fn coordinator_key(&self) -> PathBuf {
        self.0.join("coordinator.key")
    }

    fn next_coordinator_key(&self) -> PathBuf {
        self.0.join("coordinator.next.key")
    }

    /// The key that is to take the place of the coordinator's own; made at first use, and kept until it does.
    pub(crate) fn next_keypair(&self) -> Result<Keypair, KeyFileError> {
        Keypair::load_or_create(&self.next_coordinator_key())
    }

    /// Whose key waits to take the coordinator's place, if one does.
    pub(crate) fn next_id(&self) -> Result<Option<NodeId>, KeyFileError> {
        match Keypair::load(&self.next_coordinator_key()) {
            Ok(next) => Ok(Some(next.node_id())),
            Err(KeyFileError::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The coordinator's key. The next one takes its place, for good, once the roster in force `names` that.
    pub(crate) fn keypair(&self, names: Option<NodeId>) -> Result<Keypair, KeyFileError> {
        let path = self.coordinator_key();
        if names.is_some() && self.next_id()? == names {
            let renamed = fs::rename(self.next_coordinator_key(), &path).and_then(|()| File::open(&self.0)?.sync_all());
            renamed.map_err(|source| KeyFileError::Io { action: "replace", path: path.clone(), source })?;
        }
        Keypair::load(&path)
    }

    /// The journal and its index.
    pub(crate) fn store(&self) -> PathBuf {
        self.0.join("store")
    }

    /// True when a setup was done here.
    pub(crate) fn is_set_up(&self) -> bool {
        self.mesh_key().exists() || self.mesh_name().exists()
    }

    fn lock(&self) -> Result<KeyLock, KeyFileError> {
        Keypair::lock(&self.coordinator_key())
    }

    fn sync(&self) -> Result<(), MoveKeyError> {
        let folder = File::open(&self.0).and_then(|folder| folder.sync_all());
        folder.map_err(|source| MoveKeyError::Io { action: "sync", path: self.0.clone(), source })
    }
}

/// Moves the mesh key of a stopped coordinator into the new file `to`. From then on decisions wait for a signature.
///
/// Backups of the folder that were made before still hold the key.
pub fn export_mesh_key(dir: &Path, to: &Path) -> Result<MeshId, MoveKeyError> {
    let folder = DataFolder::new(dir);
    let _lock = folder.lock()?;
    let key = match MeshKey::load(&folder)? {
        MeshKey::Here(key) => key,
        MeshKey::Elsewhere(_) => return Err(MoveKeyError::NotHere(dir.to_owned())),
    };
    key.save(to)?;
    let name = folder.mesh_name();
    let written = File::create(&name).and_then(|mut file| {
        file.write_all(key.mesh_id().as_bytes())?;
        file.sync_all()
    });
    written.map_err(|source| MoveKeyError::Io { action: "write", path: name, source })?;
    folder.sync()?;
    let path = folder.mesh_key();
    fs::remove_file(&path).map_err(|source| MoveKeyError::Io { action: "remove", path, source })?;
    folder.sync()?;
    Ok(key.mesh_id())
}

/// Brings the mesh key of a stopped coordinator back from the file `from`, which stays.
pub fn import_mesh_key(dir: &Path, from: &Path) -> Result<MeshId, MoveKeyError> {
    let folder = DataFolder::new(dir);
    let _lock = folder.lock()?;
    let mesh = match MeshKey::load(&folder)? {
        MeshKey::Here(_) => return Err(MoveKeyError::AlreadyHere(dir.to_owned())),
        MeshKey::Elsewhere(mesh) => mesh,
    };
    let key = Keypair::load(from)?;
    if key.mesh_id() != mesh {
        return Err(MoveKeyError::OtherMesh { file: from.to_owned(), found: key.mesh_id(), mesh });
    }
    key.save(&folder.mesh_key())?;
    Ok(mesh)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_key_waits_until_the_roster_names_it_and_then_stays() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = DataFolder::new(temporary.path());
        let old = Keypair::create(&folder.coordinator_key()).unwrap().node_id();
        assert_eq!(folder.next_id().unwrap(), None);
        assert_eq!(folder.keypair(None).unwrap().node_id(), old);
        let next = folder.next_keypair().unwrap().node_id();
        assert_eq!(folder.next_keypair().unwrap().node_id(), next, "cut short and begun again, it is the same");
        for names in [None, Some(old)] {
            assert_eq!(folder.keypair(names).unwrap().node_id(), old, "{names:?}");
        }
        for _ in 0..2 {
            assert_eq!(folder.keypair(Some(next)).unwrap().node_id(), next);
            assert_eq!(folder.next_id().unwrap(), None, "no copy is left");
        }
        assert_ne!(folder.next_keypair().unwrap().node_id(), next, "the next rotation has a key of its own");
    }

    #[test]
    fn the_mesh_key_goes_out_and_comes_back_and_no_other_takes_its_place() {
        let temporary = tempfile::tempdir().unwrap();
        let (dir, file) = (temporary.path().join("hub"), temporary.path().join("safe/mesh.key"));
        let folder = DataFolder::new(&dir);
        Keypair::create(&folder.coordinator_key()).unwrap();
        assert!(!folder.is_set_up());
        let mesh = Keypair::create(&folder.mesh_key()).unwrap().mesh_id();

        assert_eq!(export_mesh_key(&dir, &file).unwrap(), mesh);
        assert!(folder.is_set_up() && !folder.mesh_key().exists());
        assert!(matches!(MeshKey::load(&folder).unwrap(), MeshKey::Elsewhere(named) if named == mesh));
        assert_eq!(Keypair::load(&file).unwrap().mesh_id(), mesh);
        assert!(matches!(export_mesh_key(&dir, &file), Err(MoveKeyError::NotHere(_))));

        let other = temporary.path().join("other.key");
        Keypair::create(&other).unwrap();
        assert!(matches!(import_mesh_key(&dir, &other), Err(MoveKeyError::OtherMesh { .. })));
        assert_eq!(import_mesh_key(&dir, &file).unwrap(), mesh);
        assert!(MeshKey::load(&folder).unwrap().is_here());
        assert!(matches!(import_mesh_key(&dir, &file), Err(MoveKeyError::AlreadyHere(_))));

        let _running = folder.lock().unwrap();
        assert!(matches!(export_mesh_key(&dir, &other), Err(MoveKeyError::Key(KeyFileError::InUse(_)))));
    }
}
