//! The only door to sled. A change is journalled and synced, then applied to sled, then acknowledged.
//!
//! The journal is the truth; sled is an index over it that can be made anew. See [`Store::update`] for how to change
//! something and [`Reads`] for how to read. Sessions and caches go into [`Store::volatile`].

mod backup;
mod bare;
mod check;
mod clear;
mod compact;
mod error;
mod files;
mod head;
mod index;
mod journal;
mod keys;
mod readers;
mod revision;
mod room;
mod schema;
mod size;
mod start;
pub(crate) mod tables;
#[cfg(test)]
pub(crate) mod tests;
mod view;
mod volatile;
mod walk;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};

pub(crate) use backup::{copy_out, journal_folder, take_over};
pub(crate) use bare::bare_loop;
pub use check::{CheckReport, Rebuilt, TableReport};
pub(crate) use check::{check, rebuild};
pub(crate) use clear::lock;
pub use compact::{Compacted, Usage};
pub use error::StoreError;
pub(crate) use files::Disk;
use files::RealDisk;
use index::{Index, OpenIndex};
pub(crate) use journal::Sink;
pub(crate) use keys::{Key, PrefixOf};
use readers::Readers;
pub(crate) use revision::Memo;
use revision::Revisions;
pub use room::KeepFree;
use room::Room;
pub(crate) use schema::Table;
pub use size::StoreSize;
pub(crate) use view::{Draft, Reads, Row, Rows, View};
pub(crate) use volatile::Volatile;
use writer::{Failure, GROUP_JOBS, Message, Verdict};

/// How a store is opened.
#[derive(Clone)]
pub(crate) struct StoreOptions {
    /// What sled may keep in memory, in bytes; it takes about twice as much.
    pub(crate) cache_bytes: u64,
    /// The size at which the journal begins a new file, in bytes.
    pub(crate) segment_bytes: u64,
    /// Where the journal is kept.
    pub(crate) disk: Arc<dyn Disk>,
    /// The room that is to stay on the disk.
    pub(crate) keep_free: KeepFree,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 16 << 20,
            segment_bytes: 64 << 20,
            disk: Arc::new(RealDisk),
            keep_free: KeepFree::default(),
        }
    }
}

/// The open store; clones are the same store.
#[derive(Clone)]
pub(crate) struct Store {
    shared: Arc<Shared>,
    inbox: mpsc::Sender<Message>,
}

struct Shared {
    index: OpenIndex,
    failure: Failure,
    readers: Readers,
    dir: PathBuf,
    options: StoreOptions,
    rebuilt: Option<String>,
    revisions: Revisions,
    /// Held by the one compaction at a time.
    compacting: Mutex<()>,
}

impl Store {
    /// Makes a store in the empty folder `dir`, and opens it.
    ///
    /// # Errors
    /// When something else is in the folder, another process uses it, or a file cannot be written.
    pub(crate) fn create(dir: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        start::create(dir, &options)?;
        Self::open(dir, options)
    }

    /// Opens the store in `dir`: checks the journal, cuts a torn end, brings the index up to it.
    ///
    /// # Errors
    /// Every damage that the journal cannot mend, by name and with what to do; see [`StoreError`].
    pub(crate) fn open(dir: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let readers = Readers::new();
        let (at, how) = (dir.to_owned(), options.clone());
        let opened = readers.run_and_wait(move || start::open(&at, &how));
        let (writer, rebuilt) = opened.unwrap_or(Err(StoreError::Interrupted))?;
        let (inbox, messages) = mpsc::channel(GROUP_JOBS);
        let (index, failure) = (writer.open_index.clone(), writer.failure.clone());
        let (revisions, compacting) = (writer.revisions.clone(), Mutex::default());
        let shared = Shared { index, failure, readers, dir: dir.to_owned(), options, rebuilt, revisions, compacting };
        let shared = Arc::new(shared);
        let thread = std::thread::Builder::new().name("store".to_owned());
        thread.spawn(move || writer.run(messages)).map_err(StoreError::io("start the writer of", dir))?;
        Ok(Self { shared, inbox })
    }

    /// Why the index was made anew when the store was opened; `None` when it was sound.
    pub(crate) fn rebuilt(&self) -> Option<&str> {
        self.shared.rebuilt.as_deref()
    }

    /// Whether the disk has room for new work; [`Draft::room_for_work`] says the same within an update.
    ///
    /// # Errors
    /// [`StoreError::DiskLow`] when it has not.
    pub(crate) async fn room_for_work(&self) -> Result<(), StoreError> {
        let shared = self.shared.clone();
        let look = move || Room::of(shared.options.disk.as_ref(), &shared.dir, shared.options.keep_free).for_work();
        tokio::task::spawn_blocking(look).await.unwrap_or(Err(StoreError::Interrupted))
    }

    /// Has the index opened anew, since it failed outside of an update.
    async fn mend_index(&self) {
        // A store that is closing is mended by its next opening.
        let _ = self.inbox.send(Message::Mend).await;
    }

    /// Runs `f` on the stored state, on a thread that may wait for the disk.
    ///
    /// # Errors
    /// What `f` gives; [`StoreError::Closed`] after [`Store::close`].
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        f: impl FnOnce(&View) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.with_index(|index| f(&View::new(index.clone()))).await
    }

    /// Runs `f` on a draft, alone among updates, and keeps what it staged: all of it, or on `Err` nothing.
    ///
    /// Returns when the changes are in the journal, on disk, and seen by reads. Dropping the future does not stop an
    /// update that has been queued. `f` runs on the writer's thread: it should not compute for long.
    ///
    /// # Errors
    /// What `f` gives, or why the changes could not be kept.
    pub(crate) async fn update<T, E>(&self, f: impl FnOnce(&mut Draft) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        let update = Box::new(move |draft: Result<&mut Draft, StoreError>| {
            let outcome = draft.map_err(E::from).and_then(f);
            let keep = outcome.is_ok();
            let answer = Box::new(move |stored: Result<(), StoreError>| {
                // The caller may have gone; the change is kept all the same.
                let _ = tell.send(outcome.and_then(|value| stored.map(|()| value).map_err(E::from)));
            });
            Verdict { keep, answer }
        });
        if self.inbox.send(Message::Update(update)).await.is_err() {
            return Err(self.why_unanswered().into());
        }
        told.await.unwrap_or_else(|_| Err(self.why_unanswered().into()))
    }

    /// The rows that may be lost.
    pub(crate) fn volatile(&self) -> Volatile {
        Volatile::new(self.clone())
    }

    /// Ends running reads and queued updates, leaves everything on disk and releases the folder.
    pub(crate) async fn close(self) {
        let (tell, told) = oneshot::channel();
        if self.inbox.send(Message::Close(tell)).await.is_ok() && told.await.is_ok() {
            return;
        }
        let shared = self.shared.clone();
        if tokio::task::spawn_blocking(move || drop(shared.index.close())).await.is_err() {
            tracing::warn!("closing the store: a reader did not end");
        }
        tracing::warn!("closing the store: its writer had ended before");
    }

    async fn with_index<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Index) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = self.shared.clone();
        let read = move || shared.index.with(work);
        self.shared.readers.run(read).await.unwrap_or(Err(StoreError::Interrupted))
    }

    /// Why the writer dropped an update.
    fn why_unanswered(&self) -> StoreError {
        let is_open = self.shared.index.is_there();
        match self.shared.failure.get() {
            Some(reason) => StoreError::Stopped(reason.clone()),
            None if is_open && !self.inbox.is_closed() => StoreError::Interrupted,
            None => StoreError::Closed,
        }
    }
}
