//! How much room the disk must keep. Below the mark no new work is begun; far below it nothing is written any more.

use std::fmt;
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::files::Disk;

/// What no change may use up, in bytes, where the mark is not lower still.
const MAX_FLOOR_BYTES: u64 = 16 << 20;

/// A change takes room more than once: in the journal, in the index, and while the index tidies its files.
const COPIES: u64 = 4;

/// How much of the data folder's disk is to stay free: the larger of two amounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepFree {
    /// Bytes.
    pub bytes: u64,
    /// A part of the whole disk, in percent.
    pub percent: u64,
}

impl Default for KeepFree {
    fn default() -> Self {
        Self { bytes: 512 << 20, percent: 5 }
    }
}

impl KeepFree {
    /// So many bytes, however large the disk is.
    pub fn bytes(bytes: u64) -> Self {
        Self { bytes, percent: 0 }
    }

    /// The mark on a disk of this size, in bytes: below it no new work is begun.
    pub fn mark(self, total_bytes: u64) -> u64 {
        self.bytes.max(total_bytes / 100 * self.percent)
    }
}

/// What a disk has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Space {
    /// Free for us, in bytes.
    pub(crate) free: u64,
    /// In all, in bytes.
    pub(crate) total: u64,
}

/// A look at the room of a data folder's disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Room {
    dir: PathBuf,
    free: u64,
    mark: u64,
}

impl Room {
    /// Looks now. A disk that does not tell is taken to have room: then a write says what is wrong.
    pub(super) fn of(disk: &dyn Disk, dir: &Path, keep: KeepFree) -> Self {
        let (free, mark) = match disk.space(dir) {
            Ok(Space { free, total }) => (free, keep.mark(total)),
            Err(error) => {
                tracing::warn!(%error, dir = %dir.display(), "the disk does not tell how much room it has");
                (u64::MAX, 0)
            }
        };
        Self { dir: dir.to_owned(), free, mark }
    }

    /// Whether new work may begin.
    pub(super) fn for_work(&self) -> Result<(), StoreError> {
        if self.free >= self.mark { Ok(()) } else { Err(StoreError::DiskLow(self.into())) }
    }

    /// Whether there is room for `bytes` that stay above the mark.
    pub(super) fn for_bytes(&self, bytes: u64) -> Result<(), StoreError> {
        if self.free >= self.mark.saturating_add(bytes) { Ok(()) } else { Err(StoreError::DiskLow(self.into())) }
    }

    /// Whether a change of `bytes` may be written.
    pub(super) fn for_change(&self, bytes: u64) -> Result<(), Shortage> {
        let floor = (self.mark / 8).min(MAX_FLOOR_BYTES);
        let is_enough = self.free >= floor.saturating_add(bytes.saturating_mul(COPIES));
        if is_enough { Ok(()) } else { Err(self.into()) }
    }
}

/// A disk that lacks room, as people are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// The data folder.
    dir: PathBuf,
    free: u64,
    mark: u64,
}

impl From<&Room> for Shortage {
    fn from(room: &Room) -> Self {
        let Room { dir, free, mark } = room.clone();
        Self { dir, free, mark }
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes >> 20;
        let Self { dir, free, mark } = self;
        write!(f, "the disk of {} has {} MiB free and is to keep {} MiB", dir.display(), mib(*free), mib(*mark))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_of_both_amounts_is_kept_free() {
        let mib = |count: u64| count << 20;
        for (keep, total, mark) in [
            (KeepFree::default(), mib(100), mib(512)),
            (KeepFree::default(), mib(102_400), mib(5_120)),
            (KeepFree::bytes(mib(8)), mib(102_400), mib(8)),
        ] {
            assert_eq!(keep.mark(total) >> 20, mark >> 20, "{keep:?} of {total}");
        }
    }

    #[test]
    fn work_is_refused_before_changes_are() {
        let told = |free: u64, bytes: u64| {
            let room = Room { dir: "/data".into(), free: free << 20, mark: 512 << 20 };
            let words =
                |outcome: Result<(), StoreError>| outcome.map_or_else(|error| error.to_string(), |()| "yes".to_owned());
            format!(
                "{} | {}",
                words(room.for_work()),
                words(room.for_change(bytes << 20).map_err(StoreError::DiskFull))
            )
        };
        insta::assert_snapshot!([told(512, 1), told(511, 1), told(20, 1), told(20, 2), told(0, 0)].join("\n"), @"
        yes | yes
        the disk of /data has 511 MiB free and is to keep 512 MiB; nothing new is begun until there is room, so free some | yes
        the disk of /data has 20 MiB free and is to keep 512 MiB; nothing new is begun until there is room, so free some | yes
        the disk of /data has 20 MiB free and is to keep 512 MiB; nothing new is begun until there is room, so free some | the disk of /data has 20 MiB free and is to keep 512 MiB; nothing is changed until there is room, so free some
        the disk of /data has 0 MiB free and is to keep 512 MiB; nothing new is begun until there is room, so free some | the disk of /data has 0 MiB free and is to keep 512 MiB; nothing is changed until there is room, so free some
        ");
    }
}
