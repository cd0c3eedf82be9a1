//! The one thread that changes the store: it groups waiting updates, journals them with one sync, applies, answers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tokio::sync::{mpsc, oneshot};

use super::StoreOptions;
use super::error::StoreError;
use super::files::{Lock, lacks_room};
use super::index::{Changes, Index, OpenIndex, Sum};
use super::journal::{Journal, Place};
use super::revision::Revisions;
use super::room::{Room, Shortage};
use super::view::Draft;
use super::{head, start};

/// The most updates in one group, and in the queue.
pub(super) const GROUP_JOBS: usize = 256;
/// A group takes no more updates when its records reach this size.
const GROUP_BYTES: usize = 16 << 20;

/// Tells the caller of an update how it ended.
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// An update, to be run on a draft, or told why it cannot be.
type Update = Box<dyn FnOnce(Result<&mut Draft, StoreError>) -> Verdict + Send>;

/// Work on the writer itself.
pub(super) type Between = Box<dyn FnOnce(&mut Writer) + Send>;

/// What became of one update before it is journalled.
pub(super) struct Verdict {
    /// Whether its changes are to be kept.
    pub(super) keep: bool,
    /// Called when they are, or cannot be.
    pub(super) answer: Answer,
}

/// What the writer is asked.
pub(super) enum Message {
    /// Run an update.
    Update(Update),
    /// The index failed: open it again.
    Mend,
    /// Do this between two groups.
    Between(Between),
    /// End: flush, mark the head, release the folder, then answer.
    Close(oneshot::Sender<()>),
}

/// Why the writer takes no more changes; set once.
pub(super) type Failure = Arc<OnceLock<Arc<str>>>;

/// Why a group was not stored, or not as it should be.
#[derive(Clone)]
enum Refusal {
    /// Nothing of it is stored; it can be tried again.
    NoRoom(Shortage),
    /// Nothing of it is stored until the index is open again.
    NoIndex(Arc<str>),
    /// It is in the journal, and will be in the index once that is open again.
    Unapplied(Arc<str>),
    /// A write failed; nothing is stored any more.
    Stopped(Arc<str>),
}

impl From<Refusal> for StoreError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoRoom(shortage) => Self::DiskFull(shortage),
            Refusal::NoIndex(reason) => Self::Index(reason.to_string()),
            Refusal::Unapplied(reason) => Self::Unapplied(reason),
            Refusal::Stopped(reason) => Self::Stopped(reason),
        }
    }
}

/// The state of the thread.
pub(super) struct Writer {
    pub(super) dir: PathBuf,
    pub(super) options: StoreOptions,
    pub(super) journal: Journal,
    pub(super) open_index: OpenIndex,
    pub(super) sum: Sum,
    pub(super) revisions: Revisions,
    pub(super) failure: Failure,
    lock: Lock,
    /// The index lacks what the journal has, or failed.
    is_behind: bool,
    /// The head file is to be written.
    is_unmarked: bool,
}

impl Writer {
    pub(super) fn new(
        dir: &Path,
        options: &StoreOptions,
        journal: Journal,
        open_index: OpenIndex,
        sum: Sum,
        lock: Lock,
    ) -> Self {
        let (dir, options, failure) = (dir.to_owned(), options.clone(), Failure::default());
        let revisions = Revisions::default();
        Self { dir, options, journal, open_index, sum, revisions, failure, lock, is_behind: false, is_unmarked: false }
    }

    /// Runs until it is told to close or no one can ask any more.
    pub(super) fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        let mut closed = None;
        while closed.is_none() {
            let Some(first) = inbox.blocking_recv() else { break };
            closed = self.group(first, &mut inbox);
        }
        inbox.close();
        self.end();
        if let Some(closed) = closed {
            // The one who asked may have gone; there is nothing left to tell.
            let _ = closed.send(());
        }
    }

    /// Runs one group of updates. Gives back who asked to close, if someone did.
    fn group(&mut self, first: Message, inbox: &mut mpsc::Receiver<Message>) -> Option<oneshot::Sender<()>> {
        let mut group = Group::new(self.room(), self.index());
        let mut next = Some(first);
        let (mut closed, mut between) = (None, None);
        while let Some(message) = next.take() {
            match message {
                Message::Update(update) => group.run(update),
                Message::Mend => self.is_behind = true,
                Message::Between(work) => {
                    between = Some(work);
                    break;
                }
                Message::Close(asked) => {
                    closed = Some(asked);
                    break;
                }
            }
            if group.answers.len() < GROUP_JOBS && group.bytes < GROUP_BYTES {
                next = inbox.try_recv().ok();
            }
        }
        self.commit(group);
        if let Some(work) = between {
            // A panic drops what it would have answered with, which tells the caller.
            drop(catch_unwind(AssertUnwindSafe(|| work(self))));
        }
        closed
    }

    /// Begins a new file of the journal, unless the last one is new. Says where the one before ends.
    pub(super) fn roll(&mut self) -> Result<Place, StoreError> {
        self.stopped()?;
        self.journal.roll()?;
        self.is_unmarked = true;
        self.mark()?;
        Ok(self.journal.head())
    }

    /// The index, with all that the journal has.
    pub(super) fn caught_up(&mut self) -> Result<(), StoreError> {
        self.stopped()?;
        Ok(self.index().map(drop)?)
    }

    fn room(&self) -> Room {
        Room::of(self.options.disk.as_ref(), &self.dir, self.options.keep_free)
    }

    /// The index with all that the journal has.
    fn index(&mut self) -> Result<Index, Refusal> {
        if self.is_behind {
            self.mend()?;
        }
        self.open_index.with(|index| Ok(index.clone())).map_err(|error| Refusal::NoIndex(error.to_string().into()))
    }

    /// Opens the index again, beside the journal, once there is room for that. Until then it can be read as it is.
    fn mend(&mut self) -> Result<(), Refusal> {
        self.room().for_change(0).map_err(Refusal::NoRoom)?;
        let reopened = self.open_index.reopen(|| start::reopen(&self.dir, &self.options, self.journal.head()));
        self.sum = reopened.map_err(|error| Refusal::NoIndex(error.to_string().into()))?;
        self.is_behind = false;
        self.revisions.note_all();
        tracing::info!("the index failed and is open again, with all that the journal has");
        Ok(())
    }

    /// Journals, applies and answers; after a failure only answers.
    fn commit(&mut self, group: Group) {
        let Group { staged, records, answers, index, .. } = group;
        let stored = match index {
            Ok(index) if !records.is_empty() => self.store(index, &staged, &records),
            Ok(_) | Err(_) => self.stopped(),
        };
        for answer in answers {
            answer(stored.clone().map_err(StoreError::from));
        }
    }

    fn store(&mut self, index: Index, staged: &Changes, records: &[Vec<u8>]) -> Result<(), Refusal> {
        self.stopped()?;
        match self.journal.append(records) {
            Ok(rolled) => self.is_unmarked |= rolled,
            Err(StoreError::Io { source, .. }) if lacks_room(&source) => {
                tracing::warn!(error = %source, "the disk has no room for a change; it was not made");
                return Err(Refusal::NoRoom(Shortage::from(&self.room())));
            }
            Err(error) => return Err(self.stop(&error)),
        }
        let applied = self.apply(index, staged);
        self.revisions.note(staged);
        applied?;
        self.mark()
    }

    fn apply(&mut self, index: Index, staged: &Changes) -> Result<(), Refusal> {
        let error = match index.apply(self.sum, staged, self.journal.head()) {
            Ok(sum) => {
                self.sum = sum;
                return Ok(());
            }
            Err(error) => error,
        };
        tracing::warn!(%error, "the index does not take what the journal has");
        self.is_behind = true;
        drop(index);
        self.mend().map_err(|_| Refusal::Unapplied(error.to_string().into()))
    }

    /// Notes the journal's end after a new file was begun. Without room for that it is noted later.
    fn mark(&mut self) -> Result<(), Refusal> {
        if !self.is_unmarked {
            return Ok(());
        }
        match head::write(self.options.disk.as_ref(), &self.dir, self.journal.head()) {
            Ok(()) => self.is_unmarked = false,
            Err(StoreError::Io { source, .. }) if lacks_room(&source) => {
                tracing::warn!(error = %source, "the disk has no room to note the journal's end; it is noted later");
            }
            Err(error) => return Err(self.stop(&error)),
        }
        Ok(())
    }

    /// Takes no more changes from now on.
    fn stop(&mut self, error: &StoreError) -> Refusal {
        tracing::error!(%error, "the store takes no more changes");
        Refusal::Stopped(self.failure.get_or_init(|| error.to_string().into()).clone())
    }

    fn stopped(&self) -> Result<(), Refusal> {
        self.failure.get().map_or(Ok(()), |reason| Err(Refusal::Stopped(reason.clone())))
    }

    /// Leaves everything on disk, and releases the folder last.
    fn end(self) {
        let Self { dir, options, journal, open_index, failure, lock, .. } = self;
        let index = open_index.close();
        let marked = index.as_ref().map_or(Ok(()), Index::flush).and_then(|()| match failure.get() {
            None => head::write(options.disk.as_ref(), &dir, journal.head()),
            Some(_) => Ok(()),
        });
        if let Err(error) = marked {
            tracing::warn!(%error, "closing the store; what was acknowledged is in the journal");
        }
        drop((journal, index));
        drop(lock);
    }
}

/// Updates that are journalled with one sync.
struct Group {
    room: Room,
    index: Result<Index, Refusal>,
    staged: Changes,
    records: Vec<Vec<u8>>,
    bytes: usize,
    answers: Vec<Answer>,
}

impl Group {
    fn new(room: Room, index: Result<Index, Refusal>) -> Self {
        Self { room, index, staged: Changes::new(), records: Vec::new(), bytes: 0, answers: Vec::new() }
    }

    fn run(&mut self, update: Update) {
        let index = match &self.index {
            Ok(index) => index,
            Err(refusal) => {
                let error = StoreError::from(refusal.clone());
                // A panic drops the answer, which tells the caller.
                if let Ok(Verdict { answer, .. }) = catch_unwind(AssertUnwindSafe(|| update(Err(error)))) {
                    self.answers.push(answer);
                }
                return;
            }
        };
        let mut draft = Draft::new(&index.rows, &self.room, &mut self.staged);
        let Ok(Verdict { keep, answer }) = catch_unwind(AssertUnwindSafe(|| update(Ok(&mut draft)))) else {
            return draft.undo();
        };
        if !keep {
            draft.undo();
            return self.answers.push(answer);
        }
        let record = draft.record().and_then(|record| {
            let bytes = self.bytes + record.as_ref().map_or(0, Vec::len);
            let is_change = record.is_some();
            if is_change {
                self.room.for_change(bytes as u64).map_err(StoreError::DiskFull)?
            }
            Ok((record, bytes))
        });
        match record {
            Ok((record, bytes)) => {
                self.bytes = bytes;
                self.records.extend(record);
                self.answers.push(answer);
            }
            Err(error) => {
                draft.undo();
                // Told with the others: whoever asks again then is of another group, which looks at the room anew.
                self.answers.push(Box::new(|_| answer(Err(error))));
            }
        }
    }
}
