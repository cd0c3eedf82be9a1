//! Compaction: the journal is cut at a snapshot of all rows, and the index is made anew without what is dead.
//!
//! Both grow from the journal's own files beside the open store, so that what comes out is what the records say, and
//! nothing waits. The writer stops only for what came in meanwhile: then both derivations of the rows, the one that
//! followed every update and the one from the files, must agree. One renaming makes snapshot and index count.

use std::path::Path;

use tokio::sync::oneshot;

use super::error::StoreError;
use super::index::{self, Index, Sum};
use super::journal::{self, Place, SnapshotFile, Unseen, read_changes};
use super::room::Room;
use super::start::{contents, not_changes, open_index_folder, replay, tidy};
use super::writer::{Message, Writer};
use super::{Shared, Store, StoreOptions};

/// Smaller stores are not worth the work.
const SMALL_BYTES: u64 = 16 << 20;

/// How often what came in meanwhile is taken in before the writer is stopped for the rest.
const ROUNDS: u32 = 8;

/// What a compaction did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// The last record that the snapshot stands for.
    pub records: u64,
    /// Rows in it.
    pub rows: u64,
    /// The size of journal and index before, in bytes.
    pub bytes_before: u64,
    /// And after.
    pub bytes_after: u64,
}

/// What a store takes of the disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The rows with their keys, each as it is now.
    pub live: u64,
    /// The journal's snapshot and segments.
    pub journal: u64,
    /// The index.
    pub index: u64,
    /// Of the journal, what came after its snapshot.
    pub since: u64,
}

impl Usage {
    fn total(self) -> u64 {
        self.journal + self.index
    }

    /// Whether so much of it is dead that a compaction is worth its work: it takes more than 2.2 times what lives, and
    /// a quarter of that was written since the last compaction, so that one is never followed by another in vain.
    pub(crate) fn is_compaction_due(self) -> bool {
        self.total() > SMALL_BYTES && self.total() > self.live / 5 * 11 && self.since > self.live / 4
    }
}

/// The next index and the next snapshot, before they count.
struct Fresh {
    index: Index,
    snapshot: Unseen,
    sum: Sum,
    applied: Place,
}

impl Store {
    /// What the store takes of the disk now.
    pub(crate) async fn usage(&self) -> Result<Usage, StoreError> {
        self.on_thread(|shared| {
            let note = shared.index.with(Index::note)?;
            usage(&shared.dir, &shared.options, note.map_or(0, |note| note.sum.bytes))
        })
        .await
    }

    /// Cuts the journal at a snapshot, and makes the index anew. Reads and updates go on meanwhile; they wait for the
    /// end of it, which takes as long as the last few of their own.
    ///
    /// Broken off anywhere, even by a power cut, the store is what it was, or compacted. `None` when nothing was written
    /// since the last time.
    ///
    /// # Errors
    /// When there is no room for both at once, a file fails, or the journal does not bear out what the index has.
    pub(crate) async fn compact(&self) -> Result<Option<Compacted>, StoreError> {
        let _alone = self.shared.compacting.lock().await;
        let before = self.usage().await?;
        let cut = self.between(|writer| Ok((writer.roll()?, writer.journal.id()))).await?;
        let Some(fresh) = self.on_thread(move |shared| build(shared, before, cut)).await? else { return Ok(None) };
        let rows = fresh.sum.rows;
        let old = self.between(|writer| writer.swap(fresh)).await?;
        self.on_thread(move |shared| {
            // The files of an index go after the last one who reads them.
            drop(old);
            tidy(&shared.dir, &shared.options)
        })
        .await?;
        let bytes_after = self.usage().await?.total();
        Ok(Some(Compacted { records: cut.0.sequence, rows, bytes_before: before.total(), bytes_after }))
    }

    async fn on_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = self.shared.clone();
        tokio::task::spawn_blocking(move || work(&shared)).await.unwrap_or(Err(StoreError::Interrupted))
    }

    /// Runs `work` on the writer's thread, between two groups of updates.
    async fn between<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (tell, told) = oneshot::channel();
        let work = Box::new(move |writer: &mut Writer| {
            // The one who asked may have gone.
            let _ = tell.send(work(writer));
        });
        if self.inbox.send(Message::Between(work)).await.is_err() {
            return Err(self.why_unanswered());
        }
        told.await.unwrap_or_else(|_| Err(self.why_unanswered()))
    }
}

impl Writer {
    /// Makes `fresh` count: snapshot and index in one step. Gives the index that counted before.
    fn swap(&mut self, mut fresh: Fresh) -> Result<Option<Index>, StoreError> {
        if let Err(error) = self.agrees(&mut fresh) {
            drop(fresh);
            abandon(&self.dir, &self.options);
            return Err(error);
        }
        fresh.snapshot.show(self.options.disk.as_ref())?;
        self.open_index.replace(fresh.index)
    }

    /// Has `fresh` take in the rest of the journal, and looks that it comes to the same rows as the index that counts.
    fn agrees(&mut self, fresh: &mut Fresh) -> Result<(), StoreError> {
        self.caught_up()?;
        fresh.take_in(&self.dir, &self.options)?;
        let is_same = fresh.applied == self.journal.head() && fresh.sum == self.sum;
        if is_same { Ok(()) } else { Err(StoreError::Disagree { sequence: self.journal.head().sequence }) }
    }
}

/// Makes what is to count next, if anything was written since the last compaction.
fn build(shared: &Shared, before: Usage, (cut, id): (Place, [u8; 16])) -> Result<Option<Fresh>, StoreError> {
    let Shared { dir, options, .. } = shared;
    if contents(dir, options)?.base() == cut.sequence {
        return Ok(None);
    }
    // The old files go after the new ones are there.
    Room::of(options.disk.as_ref(), dir, options.keep_free).for_bytes(before.total())?;
    let built = Fresh::build(dir, options, id, cut);
    built.map(Some).inspect_err(|_| abandon(dir, options))
}

/// Deletes the parts of a compaction that came to nothing.
fn abandon(dir: &Path, options: &StoreOptions) {
    if let Err(error) = tidy(dir, options) {
        tracing::warn!(%error, "what a failed compaction has left could not be deleted; the next start tries again");
    }
}

impl Fresh {
    /// Reads the journal up to its cut into a new index, and writes that as a snapshot.
    fn build(dir: &Path, options: &StoreOptions, id: [u8; 16], cut: Place) -> Result<Self, StoreError> {
        let disk = options.disk.as_ref();
        let known = contents(dir, options)?.up_to(cut.sequence);
        index::discard(&index::folder(dir, cut.sequence))?;
        let index = open_index_folder(dir, cut.sequence, options)?;
        let (sum, applied) = replay(disk, known, &index, Sum::default(), 0)?;
        let mut file = SnapshotFile::begin(disk, &dir.join(journal::FOLDER), id, cut)?;
        index.each(|key, value| file.add(key, value))?;
        let snapshot = file.finish()?;
        if applied != cut || read_back(&snapshot, options)? != sum {
            return Err(StoreError::Disagree { sequence: cut.sequence });
        }
        let mut fresh = Self { index, snapshot, sum, applied };
        for _ in 0..ROUNDS {
            let before = fresh.applied;
            fresh.take_in(dir, options)?;
            if fresh.applied == before {
                break;
            }
        }
        fresh.index.flush()?;
        Ok(fresh)
    }

    /// Takes in what the journal has got meanwhile.
    fn take_in(&mut self, dir: &Path, options: &StoreOptions) -> Result<(), StoreError> {
        let known = contents(dir, options)?.whole();
        (self.sum, self.applied) = replay(options.disk.as_ref(), known, &self.index, self.sum, self.applied.sequence)?;
        Ok(())
    }
}

/// What the rows of a snapshot come to, read from the disk again.
fn read_back(snapshot: &Unseen, options: &StoreOptions) -> Result<Sum, StoreError> {
    let (mut sum, place) = (Sum::default(), snapshot.place());
    snapshot.read(options.disk.as_ref(), &mut |piece| {
        let rows = read_changes(piece).ok_or_else(|| not_changes(place))?;
        rows.iter().for_each(|(key, value)| sum.add(key, value.as_deref().unwrap_or_default()));
        Ok(())
    })?;
    Ok(sum)
}

fn usage(dir: &Path, options: &StoreOptions, live: u64) -> Result<Usage, StoreError> {
    let (disk, folder) = (options.disk.as_ref(), dir.join(journal::FOLDER));
    let journal = journal::size(disk, &folder)?;
    let known = contents(dir, options)?;
    let since = journal.saturating_sub(known.snapshot_bytes(disk)?);
    Ok(Usage { live, journal, index: index::size(&index::folder(dir, known.base()))?, since })
}
