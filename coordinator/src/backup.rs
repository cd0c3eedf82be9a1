//! Backups: the journal of a coordinator, and if wanted its keys, in one file under one checksum.
//!
//! The journal is only ever appended to, so its files up to a record are a backup as of that record: it needs neither a
//! pause nor a word from the process that writes it. After a restore, numbers that were given since the backup are not
//! given again, and no roster is issued before the nodes were heard; see [`Restored`].
//!
//! Layout: magic, version (4), parts, a zero (2), SHA-256 of all before. A part is the length of its name (2), the name,
//! pieces each behind its length (4), and a zero (4). Numbers are big-endian.

mod archive;
#[cfg(test)]
mod tests;

use crate::audit;
use crate::keys::{DataFolder, MeshKey};
use crate::run::Run;
use crate::store::tables::{BOOTS, RESTORED, RUN_FLOOR, RUNS};
use crate::store::{self, Reads, Sink, Store, StoreError, StoreOptions};
use archive::{Archive, Writing};
use protocol::codec::{Decode, Encode};
use protocol::identity::KeyFileError;
use protocol::task::RunId;
use protocol::{Keypair, Timestamp};
use std::path::Path;

/// So many numbers of runs are left out after a restore: more than anybody starts between two backups. A node may still
/// bring the result of a run that the backup does not know, and no other run may have its number.
const RUNS_LEFT_OUT: u64 = 100_000;

/// The names of parts besides the journal's.
const COORDINATOR_KEY: &str = "coordinator.key";
const MESH_KEY: &str = "mesh.key";
const MESH_NAME: &str = "mesh.public";
const JOURNAL: &str = "journal/";

/// Why a backup was not made or not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file, or what it holds.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key file.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// A backup never takes the place of another file.
    #[error("{} exists already; choose another name", .0.display())]
    Exists(std::path::PathBuf),
    /// Nothing is ever overwritten.
    #[error("{} is not empty; a backup is restored into an empty folder only", .0.display())]
    NotEmpty(std::path::PathBuf),
}

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupMade {
    /// The number of its last record: it is consistent as of that one.
    pub records: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// The names of the secret keys in it.
    pub keys: Vec<&'static str>,
}

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreMade {
    /// The number of its last record.
    pub records: u64,
    /// The key files that are still to be brought before a start.
    pub missing_keys: Vec<&'static str>,
}

/// The store was restored, and nodes may know rosters that it does not: none is issued until they were heard.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Restored {
    /// When.
    pub(crate) at: Timestamp,
}

/// Writes a backup of the coordinator in `dir`, which may run, into the new file `to`, which only its owner can read.
///
/// # Errors
/// When the journal is damaged, `to` exists, or a file fails. Then there is no file `to`.
pub fn backup(dir: &Path, to: &Path, with_keys: bool) -> Result<BackupMade, BackupError> {
    let folder = DataFolder::new(dir);
    let mesh_key = MeshKey::load(&folder)?;
    let mut writing = Writing::begin(to)?;
    let written = write(&mut writing, &folder, &mesh_key, with_keys).and_then(|(records, keys)| {
        let bytes = writing.finish()?;
        Ok(BackupMade { records, bytes, keys })
    });
    written.inspect_err(|_| archive::discard(to))
}

fn write(
    writing: &mut Writing,
    folder: &DataFolder,
    mesh_key: &MeshKey,
    with_keys: bool,
) -> Result<(u64, Vec<&'static str>), BackupError> {
    let mut keys = Vec::new();
    let mut key = |writing: &mut Writing, name, path: &Path| {
        // Refuses one that is not whole, or that others could read.
        Keypair::load(path)?;
        writing.whole(name, &archive::read(path)?)?;
        keys.push(name);
        Ok::<_, BackupError>(())
    };
    if with_keys {
        key(writing, COORDINATOR_KEY, &folder.coordinator_key())?;
        if mesh_key.is_here() {
            key(writing, MESH_KEY, &folder.mesh_key())?;
        }
    }
    if !keys.contains(&MESH_KEY) {
        writing.whole(MESH_NAME, mesh_key.id().as_bytes())?;
    }
    let records = store::copy_out(&folder.store(), writing)?;
    Ok((records, keys))
}

impl Sink for Writing {
    fn file(&mut self, name: &str) -> Result<(), StoreError> {
        self.part(&format!("{JOURNAL}{name}"))
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.piece(bytes)
    }
}

/// Restores the backup `from` into the folder `dir`, which is made if missing and must be empty.
///
/// # Errors
/// When `from` is not whole, `dir` is not empty, or a file fails. What an error leaves in `dir` never starts.
pub async fn restore(dir: &Path, from: &Path, now: Timestamp) -> Result<RestoreMade, BackupError> {
    let folder = DataFolder::new(dir);
    let archive = Archive::open(from)?;
    archive.verify()?;
    archive::make_empty(dir)?;
    let store = folder.store();
    let journal = store::journal_folder(&store);
    archive.extract(&|name| match name.strip_prefix(JOURNAL) {
        Some(file) if is_journal_file(file) => Some(journal.join(file)),
        Some(_) | None => None,
    })?;
    let records = store::take_over(&store)?;
    note_restore(&store, now).await?;
    // Written last: a folder with these was restored whole.
    archive.extract(&|name| match name {
        COORDINATOR_KEY => Some(folder.coordinator_key()),
        MESH_KEY => Some(folder.mesh_key()),
        MESH_NAME => Some(folder.mesh_name()),
        _ => None,
    })?;
    archive::sync_dir(dir)?;
    let keys = [(COORDINATOR_KEY, folder.coordinator_key()), (MESH_KEY, folder.mesh_key())];
    let missing_keys = keys.into_iter().filter(|(_, path)| !path.exists()).map(|(name, _)| name).collect();
    Ok(RestoreMade { records, missing_keys })
}

/// Digits and an ending, so that no part can name a place outside of its folder.
fn is_journal_file(name: &str) -> bool {
    let digits = name.strip_suffix(".journal").or_else(|| name.strip_suffix(".snapshot"));
    digits.is_some_and(|digits| digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Has the store go on with numbers that were never given, and wait for the nodes before it issues a roster.
async fn note_restore(dir: &Path, now: Timestamp) -> Result<(), StoreError> {
    let store = Store::open(dir, StoreOptions::default())?;
    let noted = store.update(move |draft| {
        // Nodes drop what was signed by an earlier start than they have heard. No coordinator starts once a second.
        let boot = draft.get(&BOOTS, &())?.unwrap_or(0).max(now.as_millis() / 1_000);
        draft.put(&BOOTS, &(), &boot)?;
        let last = draft.last::<RunId, Run>(&RUNS)?.map_or(0, |(id, _)| id.0);
        let floor = draft.get(&RUN_FLOOR, &())?.unwrap_or(0).max(last) + RUNS_LEFT_OUT;
        draft.put(&RUN_FLOOR, &(), &floor)?;
        draft.put(&RESTORED, &(), &Restored { at: now })?;
        audit::note(draft, &audit::operator(), "store restore", "from a backup", now)
    });
    let noted: Result<(), StoreError> = noted.await;
    store.close().await;
    noted
}
