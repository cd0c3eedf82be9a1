//! sled as an index over the journal: it can be lost and made again, and it notices when it is not what it was.
//!
//! sled opens many damaged files without complaint, some of them as empty. So one row of the store's own notes how
//! many rows there are and the sum of their hashes; it changes in the same atomic batch as the rows do.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use sha2::{Digest, Sha256};

use super::error::StoreError;
use super::files::patiently;
use super::journal::Place;
use super::schema::{OWN_PREFIX, damaged, open, seal};

/// The index's folder within the data folder, until a first compaction.
pub(super) const FOLDER: &str = "index";

/// The folder in `dir` of the index that goes with a journal whose snapshot ends at the record `base`; 0 without one.
///
/// A new snapshot has a new folder, so that the step that makes the one count makes the other count too.
pub(super) fn folder(dir: &Path, base: u64) -> PathBuf {
    if base == 0 { dir.join(FOLDER) } else { dir.join(format!("{FOLDER}-{base}")) }
}

/// Deletes the folders in `dir` of every index but the one that goes with `base`.
pub(super) fn discard_others(dir: &Path, base: u64) -> Result<(), StoreError> {
    let kept = folder(dir, base);
    for entry in fs::read_dir(dir).map_err(StoreError::io("list", dir))? {
        let path = entry.map_err(StoreError::io("list", dir))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_index = name.strip_prefix(FOLDER).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
        if is_index && path != kept {
            discard(&path)?;
        }
    }
    Ok(())
}

/// The size of all files in the folder `dir` and below, in bytes; those that go meanwhile do not count.
pub(super) fn size(dir: &Path) -> Result<u64, StoreError> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir).map_err(StoreError::io("list", dir))? {
        let entry = entry.map_err(StoreError::io("list", dir))?;
        match entry.metadata() {
            Ok(about) if about.is_dir() => bytes += size(&entry.path())?,
            Ok(about) => bytes += about.len(),
            Err(_) => {}
        }
    }
    Ok(bytes)
}

const NOTE_KEY: &[u8] = &[OWN_PREFIX];
const VOLATILE_TREE: &[u8] = b"volatile";

/// A new sealed value, or `None` for a removal.
pub(super) type Staged = Option<Vec<u8>>;
/// Changes by key.
pub(super) type Changes = BTreeMap<Vec<u8>, Staged>;

/// The most rows in one batch. sled holds on to every node that a batch replaces until the batch is through, and lets
/// nobody read meanwhile: 600,000 rows at once took 4.6 GiB.
pub(super) const BATCH_ROWS: usize = 256;

/// What the index notes about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Note {
    /// The last record that was applied.
    pub(super) applied: Place,
    /// The number of the last record of which some rows may be there already; that of `applied` between two applications.
    pub(super) begun: u64,
    /// What the rows add up to.
    pub(super) sum: Sum,
}

/// Rows in the order of their keys, as many as one batch takes.
pub(super) type Piece<'a> = Vec<(&'a Vec<u8>, &'a Staged)>;

/// Changes in pieces. The last one is full, where there are several: most of what makes an ending count sorts behind
/// the many rows that it touches, so that it is seen together.
pub(super) fn pieces(changes: &Changes) -> Vec<Piece<'_>> {
    let rows: Piece<'_> = changes.iter().collect();
    let mut pieces: Vec<Piece<'_>> = rows.rchunks(BATCH_ROWS).map(<[_]>::to_vec).collect();
    pieces.reverse();
    if pieces.is_empty() { vec![Vec::new()] } else { pieces }
}

/// How many rows there are, how large they are with their keys, and the sum of their hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) hashes: u128,
}

impl Sum {
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.rows = self.rows.wrapping_add(1);
        self.bytes = self.bytes.wrapping_add(size_of(key, value));
        self.hashes = self.hashes.wrapping_add(row_hash(key, value));
    }

    fn remove(&mut self, key: &[u8], value: &[u8]) {
        self.rows = self.rows.wrapping_sub(1);
        self.bytes = self.bytes.wrapping_sub(size_of(key, value));
        self.hashes = self.hashes.wrapping_sub(row_hash(key, value));
    }
}

fn size_of(key: &[u8], value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64
}

/// Half of the SHA-256 of a row.
pub(super) fn row_hash(key: &[u8], value: &[u8]) -> u128 {
    let hash = Sha256::new().chain_update((key.len() as u64).to_be_bytes()).chain_update(key).chain_update(value);
    let hash: [u8; 32] = hash.finalize().into();
    u128::from_be_bytes(*hash.first_chunk().expect("32 bytes begin with 16"))
}

/// The open index.
#[derive(Clone)]
pub(super) struct Index {
    /// The rows.
    pub(super) rows: sled::Tree,
    /// What may be lost.
    pub(super) volatile: sled::Tree,
    db: sled::Db,
}

impl Index {
    /// Opens the index in `dir`, or makes an empty one.
    pub(super) fn open(dir: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        let config = sled::Config::new().path(dir).cache_capacity(cache_bytes);
        let opened = guarded(|| match patiently(|| config.open(), is_locked) {
            Ok(db) => Ok(Some(Self { rows: (*db).clone(), volatile: db.open_tree(VOLATILE_TREE)?, db })),
            Err(error) if is_locked(&error) => Ok(None),
            Err(error) => Err(error),
        })?;
        let holder = "a process that did not take the folder's own lock".to_owned();
        opened.ok_or_else(|| StoreError::InUse { dir: dir.to_owned(), holder })
    }

    /// What it notes about itself; `None` when it is empty.
    pub(super) fn note(&self) -> Result<Option<Note>, StoreError> {
        match guarded(|| self.rows.get(NOTE_KEY))? {
            None => Ok(None),
            Some(bytes) => parse_note(&bytes).map(Some).ok_or_else(|| damaged("index", NOTE_KEY)),
        }
    }

    /// What its rows really add up to, each row given to `visit`.
    pub(super) fn add_up(&self, mut visit: impl FnMut(&[u8], &[u8])) -> Result<Sum, StoreError> {
        let mut sum = Sum::default();
        self.each(|key, value| {
            sum.add(key, value);
            visit(key, value);
            Ok(())
        })?;
        Ok(sum)
    }

    /// Gives every row to `visit`, in order of the keys.
    pub(super) fn each(&self, mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let mut rows = guarded(|| Ok(self.rows.range::<&[u8], _>(&[OWN_PREFIX + 1][..]..)))?;
        while let Some((key, value)) = guarded(|| rows.next().transpose())? {
            visit(&key, &value)?;
        }
        Ok(())
    }

    /// Takes over what `other` has that may be lost.
    fn inherit(&self, other: &Self) -> Result<(), StoreError> {
        guarded(|| {
            for row in &other.volatile {
                let (key, value) = row?;
                self.volatile.insert(key, value)?;
            }
            Ok(())
        })
    }

    /// Applies `changes`, which lead to the record `applied`, in batches that each leave rows and note in agreement.
    ///
    /// Broken off between two, it is done again from the note on: a row that is there already changes nothing. An index
    /// without a note gets one with the last batch, since what it has is of no use before.
    pub(super) fn apply(&self, before: Sum, changes: &Changes, applied: Place) -> Result<Sum, StoreError> {
        let mut sum = before;
        let mut pieces = pieces(changes);
        let last = pieces.pop().unwrap_or_default();
        let former = if pieces.is_empty() { None } else { self.note()? };
        for piece in pieces {
            let note = former.map(|former| Note { begun: applied.sequence, ..former });
            sum = self.apply_piece(sum, &piece, note)?;
        }
        self.apply_piece(sum, &last, Some(Note { applied, begun: applied.sequence, sum }))
    }

    /// Applies `piece` as one atomic batch, with a note if there is to be one; the note's sum is worked out here.
    pub(super) fn apply_piece(&self, before: Sum, piece: &Piece<'_>, note: Option<Note>) -> Result<Sum, StoreError> {
        guarded(|| {
            let (mut sum, mut batch) = (before, sled::Batch::default());
            for (key, value) in piece {
                if let Some(old) = self.rows.get(key)? {
                    sum.remove(key, &old);
                }
                match value {
                    Some(value) => {
                        sum.add(key, value);
                        batch.insert(key.as_slice(), value.as_slice());
                    }
                    None => batch.remove(key.as_slice()),
                }
            }
            if let Some(note) = note {
                batch.insert(NOTE_KEY, write_note(&Note { sum, ..note }));
            }
            self.rows.apply_batch(batch)?;
            Ok(sum)
        })
    }

    /// Writes what is in memory to its files.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        guarded(|| self.db.flush().map(|_| ()))
    }
}

/// The index as its readers and the writer share it. Whoever closes or reopens it waits for reads that have begun.
#[derive(Clone)]
pub(super) struct OpenIndex(Arc<RwLock<State>>);

enum State {
    Open(Index),
    /// It failed, for this reason, and is to be opened again.
    Broken(String),
    Closed,
}

impl OpenIndex {
    pub(super) fn new(index: Index) -> Self {
        Self(Arc::new(RwLock::new(State::Open(index))))
    }

    /// Runs `work` on the index.
    pub(super) fn with<T>(&self, work: impl FnOnce(&Index) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            State::Open(index) => work(index),
            State::Broken(reason) => Err(StoreError::Index(reason.clone())),
            State::Closed => Err(StoreError::Closed),
        }
    }

    /// Whether it was not closed. The lock is only taken for long by a close.
    pub(super) fn is_there(&self) -> bool {
        self.0.try_read().is_ok_and(|state| !matches!(*state, State::Closed))
    }

    /// Puts what `open` gives in its place. The old one is dropped before: sled locks its files.
    pub(super) fn reopen<T>(&self, open: impl FnOnce() -> Result<(Index, T), StoreError>) -> Result<T, StoreError> {
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *state = State::Broken("it is opened again".to_owned());
        let (index, told) = open().inspect_err(|error| *state = State::Broken(error.to_string()))?;
        *state = State::Open(index);
        Ok(told)
    }

    /// Puts `fresh` in its place, with the rows of the old one that may be lost; gives the old one.
    pub(super) fn replace(&self, fresh: Index) -> Result<Option<Index>, StoreError> {
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Open(old) => fresh.inherit(old)?,
            State::Broken(_) => {}
            State::Closed => return Err(StoreError::Closed),
        }
        match std::mem::replace(&mut *state, State::Open(fresh)) {
            State::Open(old) => Ok(Some(old)),
            State::Broken(_) | State::Closed => Ok(None),
        }
    }

    /// Closes it for good; gives what was open.
    pub(super) fn close(&self) -> Option<Index> {
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *state, State::Closed) {
            State::Open(index) => Some(index),
            State::Broken(_) | State::Closed => None,
        }
    }
}

/// Whether sled found its file locked: that is no damage. sled has no error of its own for it.
fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.to_string().contains("could not acquire lock"))
}

/// Deletes the index in `dir`.
pub(super) fn discard(dir: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io("delete", dir)(error)),
        _ => Ok(()),
    }
}

/// Runs sled work. sled asserts on some damaged files where it should return an error; both become one.
pub(super) fn guarded<T>(work: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| StoreError::Index(error.to_string())),
        Err(_) => Err(StoreError::Index("sled broke off with a panic".to_owned())),
    }
}

fn write_note(note: &Note) -> Vec<u8> {
    let Note { applied: Place { sequence, hash }, begun, sum: Sum { rows, bytes, hashes } } = note;
    let numbers = [sequence, begun, rows, bytes].map(|number| number.to_be_bytes()).concat();
    let body = [&numbers[..], hash, &hashes.to_be_bytes()].concat();
    seal(NOTE_KEY, &body)
}

fn parse_note(sealed: &[u8]) -> Option<Note> {
    let mut rest = open(NOTE_KEY, sealed)?;
    let mut numbers = [0; 4];
    for number in &mut numbers {
        let (bytes, after) = rest.split_first_chunk()?;
        (*number, rest) = (u64::from_be_bytes(*bytes), after);
    }
    let [sequence, begun, rows, bytes] = numbers;
    let (hash, rest) = rest.split_first_chunk()?;
    let (hashes, rest) = rest.split_first_chunk()?;
    let applied = Place { sequence, hash: *hash };
    let sum = Sum { rows, bytes, hashes: u128::from_be_bytes(*hashes) };
    rest.is_empty().then_some(Note { applied, begun, sum })
}
