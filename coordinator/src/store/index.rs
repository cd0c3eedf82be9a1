//! sled as an index over the journal: it can be lost and made again, and it notices when it is not what it was.
//!
//! sled opens many damaged files without complaint, some of them as empty. So one row of the store's own notes how
//! many rows there are and the sum of their hashes; it changes in the same atomic batch as the rows do.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use sha2::{Digest, Sha256};

use super::error::StoreError;
use super::files::patiently;
use super::journal::Place;
use super::schema::{OWN_PREFIX, damaged, open, seal};

/// The index's folder within the data folder.
pub(super) const FOLDER: &str = "index";

const NOTE_KEY: &[u8] = &[OWN_PREFIX];
const VOLATILE_TREE: &[u8] = b"volatile";

/// A new sealed value, or `None` for a removal.
pub(super) type Staged = Option<Vec<u8>>;
/// Changes by key.
pub(super) type Changes = BTreeMap<Vec<u8>, Staged>;

/// What the index notes about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Note {
    /// The last record that was applied.
    pub(super) applied: Place,
    /// What the rows add up to.
    pub(super) sum: Sum,
}

/// How many rows there are, and the sum of their hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) rows: u64,
    pub(super) hashes: u128,
}

impl Sum {
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.rows = self.rows.wrapping_add(1);
        self.hashes = self.hashes.wrapping_add(row_hash(key, value));
    }

    fn remove(&mut self, key: &[u8], value: &[u8]) {
        self.rows = self.rows.wrapping_sub(1);
        self.hashes = self.hashes.wrapping_sub(row_hash(key, value));
    }
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
        guarded(|| {
            let mut sum = Sum::default();
            for row in self.rows.range::<&[u8], _>(&[OWN_PREFIX + 1][..]..) {
                let (key, value) = row?;
                sum.add(&key, &value);
                visit(&key, &value);
            }
            Ok(sum)
        })
    }

    /// Applies `changes` as one atomic batch that leads to the record `applied`.
    pub(super) fn apply(&self, before: Sum, changes: &Changes, applied: Place) -> Result<Sum, StoreError> {
        guarded(|| {
            let (mut sum, mut batch) = (before, sled::Batch::default());
            for (key, value) in changes {
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
            batch.insert(NOTE_KEY, write_note(&Note { applied, sum }));
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
    let Note { applied: Place { sequence, hash }, sum: Sum { rows, hashes } } = note;
    let body = [&sequence.to_be_bytes()[..], hash, &rows.to_be_bytes(), &hashes.to_be_bytes()].concat();
    seal(NOTE_KEY, &body)
}

fn parse_note(sealed: &[u8]) -> Option<Note> {
    let (sequence, rest) = open(NOTE_KEY, sealed)?.split_first_chunk()?;
    let (hash, rest) = rest.split_first_chunk()?;
    let (rows, rest) = rest.split_first_chunk()?;
    let (hashes, rest) = rest.split_first_chunk()?;
    let applied = Place { sequence: u64::from_be_bytes(*sequence), hash: *hash };
    let sum = Sum { rows: u64::from_be_bytes(*rows), hashes: u128::from_be_bytes(*hashes) };
    rest.is_empty().then_some(Note { applied, sum })
}
