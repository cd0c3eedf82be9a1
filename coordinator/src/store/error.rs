//! What can be wrong with a store, and what to do about each.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::room::Shortage;

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file operation failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has the folder open.
    #[error("{} is a data folder in use by {holder}; stop that process, or choose another folder", dir.display())]
    InUse {
        /// The data folder.
        dir: PathBuf,
        /// Who holds it.
        holder: String,
    },
    /// A new store needs an empty folder.
    #[error("{} already holds {found:?}; a new store needs an empty folder", dir.display())]
    NotEmpty {
        /// The data folder.
        dir: PathBuf,
        /// One thing that is there.
        found: String,
    },
    /// Nothing was ever made here.
    #[error("{} holds no store; `portdrift db init` makes one", dir.display())]
    NoStore {
        /// The data folder.
        dir: PathBuf,
    },
    /// The marker that the first start writes last is gone or another store's, but there are records.
    #[error("{} holds parts of a store, but its marker is missing, damaged or another store's; restore the folder from a backup", dir.display())]
    MarkerDamaged {
        /// The data folder.
        dir: PathBuf,
    },
    /// A later version wrote this store. Nothing was changed.
    #[error("the store has schema {found}, this program knows up to {known}; use the newer program")]
    NewerSchema {
        /// In the file.
        found: u32,
        /// The newest that this program reads.
        known: u32,
    },
    /// There is a marker, but no journal.
    #[error("the journal in {} is missing or empty; restore the folder from a backup", dir.display())]
    JournalMissing {
        /// The data folder.
        dir: PathBuf,
    },
    /// The journal is damaged where acknowledged records stood.
    #[error(
        "the journal is damaged in {} at byte {offset}, after record {after}: {what}; restore the folder from a backup",
        segment.display()
    )]
    JournalDamaged {
        /// The file.
        segment: PathBuf,
        /// Where in the file, in bytes.
        offset: u64,
        /// The last whole record before the damage.
        after: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// Records are missing at the end of the journal.
    #[error(
        "the journal ends at record {head}, but {witness} knows record {known}: acknowledged changes are missing; \
         restore the folder from a backup, or accept the loss with `portdrift db rebuild`"
    )]
    JournalBehind {
        /// The last record there is.
        head: u64,
        /// The last record there was.
        known: u64,
        /// Which file remembers it.
        witness: &'static str,
    },
    /// The file that remembers the journal's end cannot be read.
    #[error("{} is damaged; `portdrift db rebuild` writes it anew", path.display())]
    HeadDamaged {
        /// The file.
        path: PathBuf,
    },
    /// The index or the head file was made from another journal.
    #[error(
        "{witness} does not belong to this journal (they differ at record {sequence}); \
         `portdrift db rebuild` makes it anew from the journal"
    )]
    OtherHistory {
        /// Which file differs.
        witness: &'static str,
        /// Where.
        sequence: u64,
    },
    /// A compaction found that the journal does not lead to the rows that the index has. Nothing was changed.
    #[error(
        "the journal and the index do not agree at record {sequence}, so the store was not compacted; \
         stop the coordinator and run `portdrift db check`"
    )]
    Disagree {
        /// Where.
        sequence: u64,
    },
    /// A backup is not what was written.
    #[error("{} is no whole backup: {what}; take another one", path.display())]
    BackupDamaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// sled failed.
    #[error("the index failed: {0}; `portdrift db rebuild` makes it anew from the journal")]
    Index(String),
    /// A stored value is not what was written.
    #[error("{table}: the entry {key} is damaged; `portdrift db rebuild` makes it anew from the journal")]
    Damaged {
        /// The table's name.
        table: &'static str,
        /// The key's bytes in hex.
        key: String,
    },
    /// A change is larger than one record may be.
    #[error("the change has {size} bytes, more than the {limit} of one record; split it")]
    TooLarge {
        /// Bytes there are.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The nodes that the change comes to make a roster that nobody could hand on.
    #[error(transparent)]
    Roster(#[from] protocol::roster::RosterError),
    /// It is not known which coordinator rosters name; each start writes that down.
    #[error("the store does not say which coordinator rosters name; start the coordinator once")]
    NoCoordinator,
    /// There is room for small changes, but no new work is begun.
    #[error("{0}; nothing new is begun until there is room, so free some")]
    DiskLow(Shortage),
    /// There is no room for a change.
    #[error("{0}; nothing is changed until there is room, so free some")]
    DiskFull(Shortage),
    /// The journal has the change, the index could not follow.
    #[error("what was asked is written down, but shows only once the index can be written again ({0})")]
    Unapplied(Arc<str>),
    /// An earlier write failed; nothing is accepted any more.
    #[error("the store takes no more changes since a write failed ({0}); mend the cause and start again")]
    Stopped(Arc<str>),
    /// The work given to the store panicked.
    #[error("the store's work was broken off by a fault in the program; its change was not kept")]
    Interrupted,
    /// What a long piece of work rests on changed each time before it could be stored.
    #[error("what is to be stored was overtaken by other changes each time; it is tried again later")]
    Overtaken,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Turns the failure to `action` on `path` into an error.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}
