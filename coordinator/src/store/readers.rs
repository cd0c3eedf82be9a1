//! The threads that read: a few, and the one that worked last is the first to work again.
//!
//! What the index keeps in memory was allocated by the thread that read it, and allocators give each thread a heap of its
//! own, from which little comes back. So work stays on as few threads as it can: the store is opened on the first, and a
//! second one is only used while that one is at work.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use tokio::sync::{Semaphore, oneshot};

/// How many read at the same time; who comes later waits.
const MOST: usize = 8;

/// What is to be done. What it gives tells who asked, as soon as the thread is free again.
type Job = Box<dyn FnOnce() -> Answer + Send>;
type Answer = Box<dyn FnOnce()>;

/// Threads that may wait for the disk. They end when this is dropped.
pub(super) struct Readers {
    /// A permit for each thread that there may be.
    turns: Arc<Semaphore>,
    idle: Arc<Mutex<Idle>>,
}

/// Who waits for work, the one that worked last at the end.
#[derive(Default)]
struct Idle {
    threads: Vec<mpsc::Sender<Call>>,
    is_closed: bool,
}

/// A job, and the way to whoever does it, for the time when it is done.
struct Call {
    job: Job,
    back: mpsc::Sender<Call>,
}

impl Readers {
    pub(super) fn new() -> Self {
        Self { turns: Arc::new(Semaphore::new(MOST)), idle: Arc::default() }
    }

    /// Runs `work`; `None` when it panicked or no thread could be had. Dropping the future does not stop it.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let turn = self.turns.clone().acquire_owned().await.ok()?;
        let (tell, told) = oneshot::channel();
        self.call(Box::new(move || {
            let done = work();
            Box::new(move || {
                drop(turn);
                // Who asked may have gone.
                let _ = tell.send(done);
            })
        }));
        told.await.ok()
    }

    /// As [`Readers::run`], for a thread that may wait.
    pub(super) fn run_and_wait<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (tell, told) = mpsc::channel();
        self.call(Box::new(move || {
            let done = work();
            Box::new(move || {
                // Who asked waits for it.
                let _ = tell.send(done);
            })
        }));
        told.recv().ok()
    }

    fn call(&self, job: Job) {
        let waiting = lock(&self.idle).threads.pop();
        let Some(back) = waiting.or_else(|| self.start()) else { return };
        let call = Call { job, back: back.clone() };
        if back.send(call).is_err() {
            tracing::error!("a thread that reads the store has ended");
        }
    }

    fn start(&self) -> Option<mpsc::Sender<Call>> {
        let (sender, calls) = mpsc::channel();
        let idle = self.idle.clone();
        let thread = std::thread::Builder::new().name("store-read".to_owned());
        match thread.spawn(move || work(&calls, &idle)) {
            Ok(_) => Some(sender),
            Err(error) => {
                tracing::error!(%error, "a thread that reads the store cannot be started");
                None
            }
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        let mut idle = lock(&self.idle);
        idle.is_closed = true;
        idle.threads.clear();
    }
}

/// Does what comes until there is no way here any more.
fn work(calls: &mpsc::Receiver<Call>, idle: &Mutex<Idle>) {
    while let Ok(Call { job, back }) = calls.recv() {
        // Whoever waits for the job learns of a panic, as its channel is dropped.
        let answer = catch_unwind(AssertUnwindSafe(job));
        let mut idle = lock(idle);
        if !idle.is_closed {
            idle.threads.push(back);
        }
        drop(idle);
        answer.into_iter().for_each(|answer| answer());
    }
}

fn lock(idle: &Mutex<Idle>) -> MutexGuard<'_, Idle> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::{ThreadId, current};

    async fn who(readers: &Readers) -> ThreadId {
        readers.run(|| current().id()).await.unwrap()
    }

    #[tokio::test]
    async fn work_stays_on_one_thread_while_that_is_free() {
        let readers = Readers::new();
        let first = readers.run_and_wait(|| current().id()).unwrap();
        for _ in 0..20 {
            assert_eq!(who(&readers).await, first);
        }
        let (begin, begun) = oneshot::channel();
        let (go, gone) = mpsc::channel::<()>();
        let busy = readers.run(move || {
            begin.send(current().id()).unwrap();
            gone.recv().unwrap();
        });
        let other = async {
            let busy = begun.await.unwrap();
            let other = who(&readers).await;
            assert_ne!(busy, other);
            go.send(()).unwrap();
        };
        assert_eq!(tokio::join!(busy, other).0, Some(()));
        assert_eq!(who(&readers).await, first, "the one that worked last");
        assert_eq!(lock(&readers.idle).threads.len(), 2);
    }

    #[tokio::test]
    async fn a_panic_harms_nobody_else_and_many_wait_for_their_turn() {
        let readers = Readers::new();
        assert_eq!(readers.run(|| panic!("a fault")).await, None::<()>);
        let many = (0..100).map(|number| readers.run(move || number));
        let done = futures::future::join_all(many).await;
        assert_eq!(done, (0..100).map(Some).collect::<Vec<_>>());
        assert!(lock(&readers.idle).threads.len() <= MOST + 1, "the panic gave its turn back before its thread");
    }
}
