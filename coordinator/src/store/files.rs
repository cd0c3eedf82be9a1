//! Files as the store uses them, behind a seam so that tests can cut the power.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use super::error::StoreError;
use super::room::Space;

/// The folder in which the journal and its marks live.
pub(crate) trait Disk: Send + Sync + 'static {
    /// The names in `dir`, in order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Makes `dir` and its parents, for the owner only; no error when it exists.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// Makes the new file `path`.
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;
    /// Opens the existing file `path` for writing at its end.
    fn append_to(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;
    /// Opens `path` for reading from its start; also gives its size in bytes.
    fn read(&self, path: &Path) -> io::Result<(u64, Box<dyn Read + Send>)>;
    /// Gives `from` the name `to`, in place of what had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Deletes the file `path`.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// The room on the disk of `dir`.
    fn space(&self, dir: &Path) -> io::Result<Space>;
    /// Returns when the names in `dir` would survive a power cut.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// A file that grows at its end.
pub(crate) trait LogFile: Send {
    /// Writes `bytes` at the end.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns when everything written would survive a power cut (fdatasync).
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file to `size_bytes`.
    fn truncate(&mut self, size_bytes: u64) -> io::Result<()>;
}

/// The system's own files.
#[derive(Debug)]
pub(crate) struct RealDisk;

impl Disk for RealDisk {
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        private_dir(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?))
    }

    fn append_to(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(OpenOptions::new().append(true).open(path)?))
    }

    fn read(&self, path: &Path) -> io::Result<(u64, Box<dyn Read + Send>)> {
        let file = File::open(path)?;
        Ok((file.metadata()?.len(), Box::new(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        let disk = rustix::fs::statvfs(dir)?;
        let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        Ok(Space { free: bytes(disk.f_bavail), total: bytes(disk.f_blocks) })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

/// Whether a write failed for lack of room alone; then what stood before it is as it was.
pub(super) fn lacks_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl LogFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&mut self, size_bytes: u64) -> io::Result<()> {
        self.set_len(size_bytes)
    }
}

/// Makes `dir` and its parents, and closes it to all but the owner.
pub(super) fn private_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
}

/// Replaces the small file `dir/name` by `bytes`; after a power cut it is the old or the new one.
pub(super) fn replace(disk: &dyn Disk, dir: &Path, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let (path, fresh) = (dir.join(name), dir.join(format!("{name}.new")));
    remove_if_there(disk, &fresh)?;
    let mut file = disk.create(&fresh).map_err(StoreError::io("create", &fresh))?;
    file.append(bytes).and_then(|()| file.sync()).map_err(StoreError::io("write", &fresh))?;
    disk.rename(&fresh, &path).map_err(StoreError::io("replace", &path))?;
    disk.sync_dir(dir).map_err(StoreError::io("sync", dir))
}

/// The bytes of the small file `path`; `None` when there is no such file.
pub(super) fn read_small(disk: &dyn Disk, path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    const LIMIT: u64 = 1 << 16;
    let reader = match disk.read(path) {
        Ok((_, reader)) => reader,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("read", path)(error)),
    };
    let mut bytes = Vec::new();
    reader.take(LIMIT).read_to_end(&mut bytes).map_err(StoreError::io("read", path))?;
    Ok(Some(bytes))
}

/// Deletes `path`; no error when it is not there.
pub(super) fn remove_if_there(disk: &dyn Disk, path: &Path) -> Result<(), StoreError> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io("delete", path)(error)),
        _ => Ok(()),
    }
}

/// Holds a data folder for this process until dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// The name of the lock file.
    pub(super) const NAME: &'static str = "lock";

    /// Takes `dir`, or says which process has it.
    pub(super) fn take(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(Self::NAME);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).map_err(StoreError::io("open", &path))?;
        match patiently(|| file.try_lock(), |error| matches!(error, TryLockError::WouldBlock)) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::InUse { dir: dir.to_owned(), holder: holder(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(StoreError::io("lock", &path)(error)),
        }
        let pid = std::process::id().to_string();
        file.set_len(0).and_then(|()| file.write_all(pid.as_bytes())).map_err(StoreError::io("write", &path))?;
        Ok(Self { _file: file })
    }
}

/// Tries to lock for half a second: a child of this process has a copy of every lock until it runs its own program.
pub(super) fn patiently<T, E>(mut lock: impl FnMut() -> Result<T, E>, is_held: impl Fn(&E) -> bool) -> Result<T, E> {
    for _ in 0..20 {
        match lock() {
            Err(error) if is_held(&error) => std::thread::sleep(Duration::from_millis(25)),
            done => return done,
        }
    }
    lock()
}

/// Who wrote the lock file: its pid, or that it is not known.
fn holder(file: &mut File) -> String {
    let mut pid = String::new();
    match file.take(20).read_to_string(&mut pid) {
        Ok(_) if !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit()) => format!("process {pid}"),
        _ => "a process that did not leave its number".to_owned(),
    }
}
