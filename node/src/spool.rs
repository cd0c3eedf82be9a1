//! Results on disk until the coordinator has acknowledged them. One file per (task, lease number), whole or absent.
//!
//! A file that is not whole is set aside under another name and told of; it never holds up the others.

use crate::durable;
use protocol::message::{CHUNK_BYTES, MAX_PACKED_BYTES, ResultManifest, TaskResult};
use protocol::task::TaskId;
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{DirEntry, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

mod entry;
mod space;
#[cfg(test)]
mod tests;

use space::Disk;
pub use space::{Space, SpoolLimits};

/// What files that were set aside end in.
const BAD: &str = "bad";
const REJECTED: &str = "rejected";

/// What the spool keeps a result under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResultKey {
    /// Which task.
    pub task: TaskId,
    /// Under which lease it was made.
    pub fence: u64,
}

/// Results on disk. Clones share it; the files are read and written off the async threads.
#[derive(Clone, Debug)]
pub struct Spool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    limits: SpoolLimits,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    entries: BTreeMap<ResultKey, ResultManifest>,
    /// As last measured.
    disk: Option<Disk>,
}

/// A file that was moved out of the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Which result it was.
    pub key: ResultKey,
    /// Where it lies now.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// Why the spool cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}; see that the disk has room and the folder belongs to this user", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not whole any more and was set aside.
    #[error("the spooled result {} was damaged ({}) and is set aside", .0.path.display(), .0.reason)]
    Damaged(SetAside),
    /// No coordinator would take it.
    #[error(
        "the result has {0} bytes when compressed, more than the {MAX_PACKED_BYTES} that one may have; scan fewer addresses or ports at a time"
    )]
    TooLarge(u64),
    /// There is no such result, or no such piece.
    #[error("there is no such spooled result or piece")]
    Missing,
    /// The worker thread died.
    #[error("the thread that works on the spool ended early")]
    Interrupted,
}

impl fmt::Display for ResultKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.task, self.fence)
    }
}

/// What each result takes in a spool that somebody may be working in, in bytes; nothing when there is no spool.
pub(crate) fn sizes(folder: &Path) -> Vec<u64> {
    let size = |file: DirEntry| {
        entry::key_of(file.file_name().to_str()?)?;
        Some(file.metadata().ok()?.len())
    };
    std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).filter_map(size).collect()
}

impl Spool {
    /// Opens the spool in `folder` (made if missing) and checks every entry; tells which ones it set aside.
    pub fn open(folder: &Path, limits: SpoolLimits) -> Result<(Self, Vec<SetAside>), SpoolError> {
        durable::make_folder(folder).map_err(io_error("make the folder", folder))?;
        let (mut entries, mut aside) = (BTreeMap::new(), Vec::new());
        for file in std::fs::read_dir(folder).map_err(io_error("list", folder))? {
            match take_up(folder, &file.map_err(io_error("list", folder))?) {
                Ok(Some((key, manifest))) => drop(entries.insert(key, manifest)),
                Ok(None) => {}
                Err(SpoolError::Damaged(file)) => aside.push(file),
                Err(error) => return Err(error),
            }
        }
        let held = Held { entries, disk: Disk::read(folder) };
        let shared = Shared { folder: folder.to_owned(), limits, held: Mutex::new(held) };
        Ok((Self(Arc::new(shared)), aside))
    }

    /// Compresses and stores a result. It is on disk for good when this returns.
    pub async fn store(&self, result: TaskResult) -> Result<ResultKey, SpoolError> {
        self.work(move |shared| {
            let key = ResultKey { task: result.task, fence: result.fence };
            let path = shared.folder.join(entry::file_name(key));
            let compressed = result.pack();
            let manifest = ResultManifest::of(&compressed);
            if manifest.size > MAX_PACKED_BYTES {
                return Err(SpoolError::TooLarge(manifest.size));
            }
            let header = entry::header(key);
            let sum = entry::checksum(&header, &compressed);
            durable::replace(&path, &[&header, &compressed, &sum]).map_err(io_error("write", &path))?;
            shared.held().entries.insert(key, manifest);
            shared.measure();
            Ok(key)
        })
        .await
    }

    /// Size and hash of a result, after a check that its file is still whole. A damaged one is set aside.
    pub async fn manifest(&self, key: ResultKey) -> Result<ResultManifest, SpoolError> {
        self.work(move |shared| {
            let held = shared.held().entries.get(&key).cloned().ok_or(SpoolError::Missing)?;
            shared.checked(key).map(|_| held)
        })
        .await
    }

    /// Piece `index` of the compressed bytes, [`CHUNK_BYTES`] long, the last one shorter. The whole is checked by
    /// [`Self::manifest`], which comes before every upload, and by the coordinator after it.
    pub async fn chunk(&self, key: ResultKey, index: u32) -> Result<Vec<u8>, SpoolError> {
        self.work(move |shared| {
            let size = shared.held().entries.get(&key).ok_or(SpoolError::Missing)?.size;
            let from = u64::from(index) * CHUNK_BYTES as u64;
            let length = size.saturating_sub(from).min(CHUNK_BYTES as u64);
            if length == 0 {
                return Err(SpoolError::Missing);
            }
            let path = shared.folder.join(entry::file_name(key));
            read_piece(&path, entry::HEADER_BYTES as u64 + from, length).map_err(io_error("read", &path))
        })
        .await
    }

    /// Deletes a result: the coordinator has dealt with it for good.
    pub async fn remove(&self, key: ResultKey) -> Result<(), SpoolError> {
        self.work(move |shared| {
            shared.held().entries.remove(&key);
            let path = shared.folder.join(entry::file_name(key));
            match std::fs::remove_file(&path).and_then(|()| durable::sync_folder_of(&path)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove", &path)(error)),
                _ => {
                    shared.measure();
                    Ok(())
                }
            }
        })
        .await
    }

    /// Keeps a result that the coordinator rejected for people to look at; it is not offered again.
    pub async fn reject(&self, key: ResultKey) -> Result<SetAside, SpoolError> {
        self.work(move |shared| {
            shared.held().entries.remove(&key);
            set_aside(&shared.folder, key, REJECTED, "the coordinator rejected it")
        })
        .await
    }

    /// Looks anew how much the file system has free.
    pub async fn measure(&self) -> Result<(), SpoolError> {
        self.work(|shared| {
            shared.measure();
            Ok(())
        })
        .await
    }

    /// Every result that waits, by task.
    pub fn keys(&self) -> Vec<ResultKey> {
        self.0.held().entries.keys().copied().collect()
    }

    /// The compressed size of a result that waits.
    pub fn size_bytes(&self, key: ResultKey) -> Option<u64> {
        self.0.held().entries.get(&key).map(|manifest| manifest.size)
    }

    /// How much may still come in, as last measured.
    pub fn space(&self) -> Space {
        let held = self.0.held();
        let used = held.entries.values().fold(0u64, |sum, manifest| sum.saturating_add(manifest.size));
        Space::of(used, held.disk, &self.0.limits)
    }

    async fn work<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Shared) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, SpoolError> {
        let shared = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || job(&shared)).await.map_err(|_| SpoolError::Interrupted)?
    }
}

impl Shared {
    /// What is held is whole whenever the lock is free: each use is one call.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn measure(&self) {
        let disk = Disk::read(&self.folder);
        self.held().disk = disk;
    }

    fn checked(&self, key: ResultKey) -> Result<Vec<u8>, SpoolError> {
        read(&self.folder, key).inspect_err(|error| {
            if matches!(error, SpoolError::Damaged(_) | SpoolError::Missing) {
                self.held().entries.remove(&key);
            }
        })
    }
}

/// What a file of the folder holds: a whole result, or nothing of ours.
fn take_up(folder: &Path, file: &DirEntry) -> Result<Option<(ResultKey, ResultManifest)>, SpoolError> {
    let path = file.path();
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
    let is_ours = entry::key_of(stem).is_some();
    if is_ours && ending == durable::UNFINISHED {
        // Never reported as done, so nobody waits for it.
        std::fs::remove_file(&path).map_err(io_error("remove", &path))?;
    } else if let Some(key) = entry::key_of(name) {
        return Ok(Some((key, ResultManifest::of(&read(folder, key)?))));
    } else if !is_ours || ![BAD, REJECTED].contains(&ending) {
        tracing::warn!(path = %path.display(), "a file that is no result lies in the spool; it is left alone and never sent");
    }
    Ok(None)
}

/// The compressed bytes of an entry; sets the file aside when it is damaged.
fn read(folder: &Path, key: ResultKey) -> Result<Vec<u8>, SpoolError> {
    let path = folder.join(entry::file_name(key));
    let damaged = match read_file(&path) {
        Ok(bytes) => match entry::parse(key, &bytes) {
            Ok(compressed) => return Ok(compressed.to_vec()),
            Err(error) => error.to_string(),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(SpoolError::Missing),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::IO) => format!("the disk cannot read it: {error}"),
        Err(error) => return Err(io_error("read", &path)(error)),
    };
    Err(SpoolError::Damaged(set_aside(folder, key, BAD, &damaged)?))
}

/// The bytes of a file; none of what is no file at all, and no more than the largest entry has.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if std::fs::symlink_metadata(path)?.is_file() {
        File::open(path)?.take(MAX_PACKED_BYTES + entry::FRAME_BYTES as u64).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn read_piece(path: &Path, from: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut piece = Vec::new();
    file.take(length).read_to_end(&mut piece)?;
    Ok(piece)
}

fn set_aside(folder: &Path, key: ResultKey, ending: &str, reason: &str) -> Result<SetAside, SpoolError> {
    let path = &folder.join(entry::file_name(key));
    let aside = path.with_added_extension(ending);
    std::fs::rename(path, &aside).and_then(|()| durable::sync_folder_of(path)).map_err(io_error("set aside", path))?;
    Ok(SetAside { key, path: aside, reason: reason.to_owned() })
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SpoolError {
    move |source| SpoolError::Io { action, path: path.to_owned(), source }
}
