//! The file that keeps a secret key: private to its owner, whole or absent, used by one process at a time.

use super::Keypair;
use sha2::{Digest, Sha256};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const MAGIC: &[u8; 8] = b"pdriftky";
const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 8;
const FILE_BYTES: usize = MAGIC.len() + 1 + 32 + CHECKSUM_BYTES;

/// Why a key file cannot be used; each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
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
    /// There is none.
    #[error("{} is missing; restore it from a backup, or start anew in another folder", .0.display())]
    Missing(PathBuf),
    /// Somebody else could read it.
    #[error("{} can be read by others (mode {mode:04o}); run `chmod 600 {}`, and make a new key if someone may have", path.display(), path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not written by us, or cut, or changed.
    #[error("{} is not a whole key file; restore it from a backup, or remove it to make a new identity", .0.display())]
    Damaged(PathBuf),
    /// Written by a newer program.
    #[error("{} has key format {version}, this program reads {VERSION}; update it", path.display())]
    UnknownVersion {
        /// The file.
        path: PathBuf,
        /// Its format.
        version: u8,
    },
    /// There is one already.
    #[error("{} exists already; it is kept as it is", .0.display())]
    Exists(PathBuf),
    /// Another process uses it.
    #[error("{} is in use by another process; stop that one first", .0.display())]
    InUse(PathBuf),
}

/// Holds a key's lock file until dropped, so that one process uses it.
#[derive(Debug)]
pub struct KeyLock(#[expect(dead_code, reason = "the lock lives as long as the open file")] File);

impl Keypair {
    /// Reads the key at `path`, or makes one there when there is none.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyFileError> {
        match Self::load(path) {
            Err(KeyFileError::Missing(_)) => Self::create(path),
            loaded => loaded,
        }
    }

    /// Reads the key at `path`; refuses a file that others can read, and one that is not whole.
    pub fn load(path: &Path) -> Result<Self, KeyFileError> {
        let error = |action| move |source| KeyFileError::Io { action, path: path.to_owned(), source };
        let mut file = match File::open(path) {
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                return Err(KeyFileError::Missing(path.to_owned()));
            }
            opened => opened.map_err(error("open"))?,
        };
        let mode = file.metadata().map_err(error("read the mode of"))?.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_BYTES + 1));
        Read::take(&mut file, FILE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(error("read"))?;
        parse(path, &bytes)
    }

    /// Makes a new key and its file. Never overwrites.
    pub fn create(path: &Path) -> Result<Self, KeyFileError> {
        let key = Self::generate();
        key.save(path)?;
        Ok(key)
    }

    /// Writes the key into a new file, and makes the folder (0700) if there is none. Never overwrites.
    pub fn save(&self, path: &Path) -> Result<(), KeyFileError> {
        let error = |action| move |source| KeyFileError::Io { action, path: path.to_owned(), source };
        if path.exists() {
            return Err(KeyFileError::Exists(path.to_owned()));
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(error("make the folder of"))?;
        let temporary = path.with_extension("new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(error("make"))?;
        file.write_all(&serialise(self)).and_then(|()| file.sync_all()).map_err(error("write"))?;
        std::fs::rename(&temporary, path).map_err(error("name"))?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(error("sync the folder of"))
    }

    /// Claims the key at `path` for this process.
    pub fn lock(path: &Path) -> Result<KeyLock, KeyFileError> {
        let lock = path.with_extension("lock");
        let error = |source| KeyFileError::Io { action: "lock", path: lock.clone(), source };
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(&lock).map_err(error)?;
        match file.try_lock() {
            Ok(()) => Ok(KeyLock(file)),
            Err(TryLockError::WouldBlock) => Err(KeyFileError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(error(source)),
        }
    }
}

fn checksum(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).iter().copied().take(CHECKSUM_BYTES).collect()
}

fn serialise(key: &Keypair) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_BYTES));
    bytes.extend_from_slice(MAGIC);
    bytes.push(VERSION);
    bytes.extend_from_slice(key.seed());
    let sum = checksum(&bytes);
    bytes.extend_from_slice(&sum);
    bytes
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Keypair, KeyFileError> {
    let damaged = || KeyFileError::Damaged(path.to_owned());
    let body = bytes.strip_prefix(MAGIC).ok_or_else(damaged)?;
    let (version, body) = body.split_first().ok_or_else(damaged)?;
    if *version != VERSION {
        return Err(KeyFileError::UnknownVersion { path: path.to_owned(), version: *version });
    }
    let (seed, sum) = body.split_first_chunk::<32>().ok_or_else(damaged)?;
    let signed = bytes.len().saturating_sub(CHECKSUM_BYTES);
    match bytes.split_at_checked(signed) {
        Some((whole, end)) if sum.len() == CHECKSUM_BYTES && checksum(whole) == end => Ok(Keypair::from_seed(seed)),
        _ => Err(damaged()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_file_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/node.key");
        let made = Keypair::load_or_create(&path).unwrap();
        assert_eq!(Keypair::load_or_create(&path).unwrap().node_id(), made.node_id());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(matches!(Keypair::create(&path), Err(KeyFileError::Exists(_))));
    }

    #[test]
    fn an_exposed_cut_or_changed_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        Keypair::create(&path).unwrap();
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            assert!(Keypair::load(&path).is_err(), "changed byte {at}");
            std::fs::write(&path, &good[..at]).unwrap();
            assert!(Keypair::load(&path).is_err(), "cut at {at}");
        }
        std::fs::write(&path, [good.as_slice(), b"x"].concat()).unwrap();
        assert!(matches!(Keypair::load(&path), Err(KeyFileError::Damaged(_))));
        std::fs::write(&path, &good).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Keypair::load(&path), Err(KeyFileError::Exposed { mode: 0o640, .. })));
    }

    #[test]
    fn one_process_uses_a_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        let held = Keypair::lock(&path).unwrap();
        assert!(matches!(Keypair::lock(&path), Err(KeyFileError::InUse(_))));
        drop(held);
        Keypair::lock(&path).unwrap();
    }
}
