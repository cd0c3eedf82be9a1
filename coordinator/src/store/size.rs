//! How large the store is, and what its disk has left.

use std::path::Path;

use super::error::StoreError;
use super::room::Space;
use super::start::contents;
use super::{Store, index, journal};

/// How large a store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreSize {
    /// How many changes there were since the store was made.
    pub sequence: u64,
    /// Rows of the index.
    pub rows: u64,
    /// The journal's files, in bytes.
    pub journal_bytes: u64,
    /// The index's files, in bytes.
    pub index_bytes: u64,
    /// What the disk has left, in bytes; 0 when it does not tell.
    pub free_bytes: u64,
    /// What the disk holds in all, in bytes; 0 when it does not tell.
    pub disk_bytes: u64,
}

impl Store {
    /// Looks how large it is now.
    pub(crate) async fn size(&self) -> Result<StoreSize, StoreError> {
        let shared = self.shared.clone();
        self.with_index(move |open| {
            let note = open.note()?;
            let base = contents(&shared.dir, &shared.options)?.base();
            let Space { free, total } = shared.options.disk.space(&shared.dir).unwrap_or(Space { free: 0, total: 0 });
            Ok(StoreSize {
                sequence: note.map_or(0, |note| note.applied.sequence),
                rows: note.map_or(0, |note| note.sum.rows),
                journal_bytes: bytes_below(&shared.dir.join(journal::FOLDER)),
                index_bytes: bytes_below(&index::folder(&shared.dir, base)),
                free_bytes: free,
                disk_bytes: total,
            })
        })
        .await
    }
}

/// What the files in a folder and the folders in it hold. A file that goes meanwhile counts as nothing.
fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(about) if about.is_dir() => bytes_below(&entry.path()),
        Ok(about) => about.len(),
        Err(_) => 0,
    });
    sizes.sum()
}
