//! The record that comes first: an append-only chain of changes in segments, synced before anyone is told.

mod copy;
mod record;
mod snapshot;
mod walk;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::StoreError;
use super::files::{Disk, LogFile, lacks_room, remove_if_there};
pub(crate) use copy::{Sink, copy};
use record::{HEADER_BYTES, Header, PREAMBLE_BYTES, record};
pub(super) use record::{MAX_RECORD_BYTES, Place, read_changes, write_changes};
pub(super) use snapshot::{SnapshotFile, Unseen};
pub(super) use walk::{Contents, Survey, Visit, contents, walk};

/// The journal's folder within the data folder.
pub(super) const FOLDER: &str = "journal";

/// The size of a new journal in bytes: a header, and a record that changes nothing.
pub(super) const NEW_BYTES: u64 = (HEADER_BYTES + PREAMBLE_BYTES) as u64;

/// The journal open at its end. Only the writer thread has it.
pub(super) struct Journal {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    id: [u8; 16],
    head: Place,
    file: Box<dyn LogFile>,
    file_bytes: u64,
    segment_bytes: u64,
}

impl Journal {
    /// Makes the first segment of the store `id`, with one record that changes nothing.
    ///
    /// That record tells a journal that lost everything from a new one.
    pub(super) fn create(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        id: [u8; 16],
        segment_bytes: u64,
    ) -> Result<Self, StoreError> {
        disk.create_dir(&dir).map_err(StoreError::io("make", &dir))?;
        let head = Place::start(&id);
        let (file, file_bytes) = new_segment(disk.as_ref(), &dir, id, head)?;
        let mut journal = Self { disk, dir, id, head, file, file_bytes, segment_bytes };
        journal.append(&[Vec::new()])?;
        Ok(journal)
    }

    /// Opens the journal that `survey` describes for appending, and cuts its torn tail.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        survey: &Survey,
        segment_bytes: u64,
    ) -> Result<Self, StoreError> {
        let mut paths: Vec<&Path> = survey.contents.segments.iter().map(|segment| segment.path.as_path()).collect();
        if let Some(torn) = survey.torn.as_ref().filter(|torn| torn.keep_bytes.is_none()) {
            disk.remove(&torn.path).map_err(StoreError::io("delete", &torn.path))?;
            disk.sync_dir(&dir).map_err(StoreError::io("sync", &dir))?;
            paths.pop();
        }
        let path = paths.last().copied().ok_or_else(|| StoreError::JournalMissing { dir: dir.clone() })?;
        let mut file = disk.append_to(path).map_err(StoreError::io("open", path))?;
        if let Some(keep) = survey.torn.as_ref().and_then(|torn| torn.keep_bytes) {
            file.truncate(keep).map_err(StoreError::io("cut", path))?;
        }
        // Whole records after the last sync are kept, so they have to be on disk before they are built upon.
        file.sync().map_err(StoreError::io("sync", path))?;
        let (id, head, file_bytes) = (survey.id, survey.head, survey.last_bytes);
        Ok(Self { disk, dir, id, head, file, file_bytes, segment_bytes })
    }

    /// The last record.
    pub(super) fn head(&self) -> Place {
        self.head
    }

    /// The store that it belongs to.
    pub(super) fn id(&self) -> [u8; 16] {
        self.id
    }

    /// Begins a new segment, unless the last one has no record yet. On an error the last one is gone on with.
    pub(super) fn roll(&mut self) -> Result<(), StoreError> {
        if self.file_bytes > HEADER_BYTES as u64 {
            (self.file, self.file_bytes) = new_segment(self.disk.as_ref(), &self.dir, self.id, self.head)?;
        }
        Ok(())
    }

    /// Appends one record for each of `changes` and returns when all are on disk. Says whether a segment was begun.
    ///
    /// An error that says [`lacks_room`](super::files::lacks_room) leaves the journal as it was. After any other its end
    /// is unknown: nothing may be appended any more.
    pub(super) fn append(&mut self, changes: &[Vec<u8>]) -> Result<bool, StoreError> {
        let rolls = self.file_bytes >= self.segment_bytes;
        if rolls {
            self.roll()?;
        }
        let durable = self.head.sequence;
        let mut head = self.head;
        let mut bytes = Vec::new();
        for changes in changes {
            let mut record = record(head, durable, changes);
            head = head.after(&record);
            // A large record comes alone, and is not copied.
            if bytes.is_empty() { bytes = record } else { bytes.append(&mut record) }
        }
        if let Err(error) = self.file.append(&bytes).and_then(|()| self.file.sync()) {
            return Err(self.take_back(error));
        }
        self.head = head;
        self.file_bytes += bytes.len() as u64;
        Ok(rolls)
    }

    /// Cuts what a write for which there is no room has left.
    fn take_back(&mut self, error: io::Error) -> StoreError {
        if lacks_room(&error)
            && let Err(error) = self.file.truncate(self.file_bytes).and_then(|()| self.file.sync())
        {
            // Told as a failure of its own, after which nothing is written any more.
            let error = io::Error::other(error.to_string());
            return StoreError::io("take back a part of a write to", &self.dir)(error);
        }
        StoreError::io("append to", &self.dir)(error)
    }
}

/// Makes the segment that follows `before`; it is on disk, name and header, before any record is.
fn new_segment(
    disk: &dyn Disk,
    dir: &Path,
    id: [u8; 16],
    before: Place,
) -> Result<(Box<dyn LogFile>, u64), StoreError> {
    let path = dir.join(walk::name_of(before.sequence + 1, walk::SUFFIX));
    // One that is there already got no record: there was no room for its header.
    remove_if_there(disk, &path)?;
    let mut file = disk.create(&path).map_err(StoreError::io("create", &path))?;
    let header = Header { id, before }.to_bytes();
    file.append(&header).and_then(|()| file.sync()).map_err(StoreError::io("write", &path))?;
    disk.sync_dir(dir).map_err(StoreError::io("sync", dir))?;
    Ok((file, header.len() as u64))
}

/// Deletes what the snapshot `base` stands for, and snapshots that were never finished.
pub(super) fn tidy(disk: &dyn Disk, dir: &Path, base: u64) -> Result<(), StoreError> {
    let is_old = |name: &str| {
        let is_before = |suffix, first| walk::number_of(name, suffix).is_some_and(|number| number < first);
        is_before(walk::SUFFIX, base + 1) || is_before(snapshot::SUFFIX, base) || name.ends_with(snapshot::UNFINISHED)
    };
    let old: Vec<String> = walk::names(disk, dir)?.into_iter().filter(|name| is_old(name)).collect();
    if !old.is_empty() {
        // The snapshot's own name must survive a power cut before what it stands for may go.
        disk.sync_dir(dir).map_err(StoreError::io("sync", dir))?;
    }
    old.iter().try_for_each(|name| remove_if_there(disk, &dir.join(name)))
}

/// The size of all files of the journal, in bytes.
pub(super) fn size(disk: &dyn Disk, dir: &Path) -> Result<u64, StoreError> {
    let mut bytes = 0;
    for name in walk::names(disk, dir)? {
        let path = dir.join(name);
        bytes += disk.read(&path).map_err(StoreError::io("read", &path))?.0;
    }
    Ok(bytes)
}
