//! The one thread that changes the store: it groups waiting updates, journals them with one sync, applies, answers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use tokio::sync::{mpsc, oneshot};

use super::error::StoreError;
use super::files::{Disk, Lock};
use super::head;
use super::index::{Changes, Index, Sum};
use super::journal::Journal;
use super::view::Draft;

/// The most updates in one group, and in the queue.
pub(super) const GROUP_JOBS: usize = 256;
/// A group takes no more updates when its records reach this size.
const GROUP_BYTES: usize = 16 << 20;

/// Tells the caller of an update how it ended.
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

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
    Update(Box<dyn FnOnce(&mut Draft) -> Verdict + Send>),
    /// End: flush, mark the head, release the folder, then answer.
    Close(oneshot::Sender<()>),
}

/// Why the writer takes no more changes; set once.
pub(super) type Failure = Arc<OnceLock<Arc<str>>>;

/// The state of the thread.
pub(super) struct Writer {
    pub(super) dir: PathBuf,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) journal: Journal,
    pub(super) index: Index,
    pub(super) sum: Sum,
    pub(super) failure: Failure,
    pub(super) lock: Lock,
}

impl Writer {
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
        let mut group = Group::default();
        let mut next = Some(first);
        let mut closed = None;
        while let Some(message) = next.take() {
            match message {
                Message::Update(update) => group.run(&self.index, update),
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
        closed
    }

    /// Journals, applies and answers; after a failure only answers.
    fn commit(&mut self, group: Group) {
        let Group { staged, records, answers, .. } = group;
        let stored = if records.is_empty() { Ok(()) } else { self.store(&staged, &records) };
        if let Err(error) = &stored {
            tracing::error!(%error, "the store takes no more changes");
            self.failure.get_or_init(|| error.to_string().into());
        }
        for answer in answers {
            answer(self.failed());
        }
    }

    fn store(&mut self, staged: &Changes, records: &[Vec<u8>]) -> Result<(), StoreError> {
        self.failed()?;
        let rolled = self.journal.append(records)?;
        self.sum = self.index.apply(self.sum, staged, self.journal.head())?;
        if rolled {
            head::write(self.disk.as_ref(), &self.dir, self.journal.head())?;
        }
        Ok(())
    }

    fn failed(&self) -> Result<(), StoreError> {
        self.failure.get().map_or(Ok(()), |reason| Err(StoreError::Stopped(reason.clone())))
    }

    /// Leaves everything on disk, and releases the folder last.
    fn end(self) {
        let Self { dir, disk, journal, index, failure, lock, .. } = self;
        let marked = index.flush().and_then(|()| match failure.get() {
            None => head::write(disk.as_ref(), &dir, journal.head()),
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
#[derive(Default)]
struct Group {
    staged: Changes,
    records: Vec<Vec<u8>>,
    bytes: usize,
    answers: Vec<Answer>,
}

impl Group {
    fn run(&mut self, index: &Index, update: Box<dyn FnOnce(&mut Draft) -> Verdict + Send>) {
        let mut draft = Draft::new(&index.rows, &mut self.staged);
        // A panic drops the answer, which tells the caller.
        let Ok(Verdict { keep, answer }) = catch_unwind(AssertUnwindSafe(|| update(&mut draft))) else {
            return draft.undo();
        };
        if !keep {
            draft.undo();
            return self.answers.push(answer);
        }
        match draft.record() {
            Ok(record) => {
                self.bytes += record.as_ref().map_or(0, Vec::len);
                self.records.extend(record);
                self.answers.push(answer);
            }
            Err(error) => {
                draft.undo();
                answer(Err(error));
            }
        }
    }
}
