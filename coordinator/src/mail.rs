//! Sending mail: a bounded queue and the task that empties it. What a mail says is written elsewhere.

mod settings;
#[cfg(test)]
mod tests;
mod transport;

pub use settings::{MailError, MailSettings, Security, TransportKind};

use crate::accounts::Email;
use protocol::Timestamp;
use protocol::text::Text;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use transport::{SendError, Transport};

/// Mails that wait to be sent.
const QUEUE: usize = 64;
/// Failures that are remembered.
const FAILURES: usize = 20;
/// How often a mail is tried, and how long is waited between.
const WAITS: [Duration; 3] = [Duration::ZERO, Duration::from_secs(5), Duration::from_secs(30)];

/// One mail, as plain text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// To whom.
    pub to: Email,
    /// One line.
    pub subject: String,
    /// The text.
    pub body: String,
}

/// A mail that could not be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailFailure {
    /// When it was given up.
    pub at: Timestamp,
    /// To whom.
    pub to: Text,
    /// What it was about.
    pub subject: Text,
    /// Why.
    pub reason: Text,
}

/// How sending goes, since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailStatus {
    /// Mails that were handed over.
    pub sent: u64,
    /// Mails that were not, with the latest ones first.
    pub failed: u64,
    /// The latest failures, the newest first.
    pub failures: Vec<MailFailure>,
}

/// The queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{QUEUE} mails wait to be sent; see on the page Users why they are not, or try again in a minute")]
pub struct QueueFull;

/// The handle of the task that sends; clones are the same.
#[derive(Clone, Debug)]
pub struct Mailer {
    queue: mpsc::Sender<Mail>,
    seen: Arc<Mutex<Seen>>,
    url: Option<Arc<str>>,
    task: TaskTracker,
    stop: CancellationToken,
}

#[derive(Debug, Default)]
struct Seen {
    sent: u64,
    failed: u64,
    failures: VecDeque<MailFailure>,
}

impl Mailer {
    /// Starts the task.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub(crate) fn start(settings: &MailSettings) -> Result<Self, MailError> {
        let transport = Transport::new(settings)?;
        let (queue, waiting) = mpsc::channel(QUEUE);
        let seen = Arc::<Mutex<Seen>>::default();
        let url = settings.url.as_deref().map(|url| Arc::from(url.trim_end_matches('/')));
        let (task, stop) = (TaskTracker::new(), CancellationToken::new());
        task.spawn(Sender { transport, waiting, seen: seen.clone() }.run(stop.clone()));
        Ok(Self { queue, seen, url, task, stop })
    }

    /// Ends the task. What waits is dropped: whoever needs it asks again.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.task.close();
        self.task.wait().await;
    }

    /// Puts a mail into the queue.
    ///
    /// # Errors
    /// [`QueueFull`].
    pub fn send(&self, mail: Mail) -> Result<(), QueueFull> {
        self.queue.try_send(mail).map_err(|_| {
            tracing::warn!("a mail was dropped: the queue is full");
            QueueFull
        })
    }

    /// How sending goes.
    pub fn status(&self) -> MailStatus {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        MailStatus { sent: seen.sent, failed: seen.failed, failures: seen.failures.iter().cloned().collect() }
    }

    /// Where the dashboard is reached from outside, as the settings say; links in mails begin with it.
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }
}

/// The task that sends.
struct Sender {
    transport: Transport,
    waiting: mpsc::Receiver<Mail>,
    seen: Arc<Mutex<Seen>>,
}

impl Sender {
    async fn run(mut self, stop: CancellationToken) {
        loop {
            let mail = tokio::select! {
                () = stop.cancelled() => return,
                mail = self.waiting.recv() => mail,
            };
            let Some(mail) = mail else { return };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.deliver(&mail) => {}
            }
        }
    }

    async fn deliver(&self, mail: &Mail) {
        let mut last = None;
        for wait in WAITS {
            tokio::time::sleep(wait).await;
            match self.transport.send(mail).await {
                Ok(()) => {
                    self.with(|seen| seen.sent = seen.sent.saturating_add(1));
                    return;
                }
                Err(SendError::Passing(reason)) => last = Some(reason),
                Err(SendError::Final(reason)) => {
                    last = Some(reason);
                    break;
                }
            }
        }
        let reason = last.unwrap_or_default();
        tracing::error!(%reason, "a mail could not be sent");
        let failure = MailFailure {
            at: Timestamp::now(),
            to: mail.to.text().clone(),
            subject: Text::new(&mail.subject),
            reason: Text::new(&reason),
        };
        self.with(|seen| {
            seen.failed = seen.failed.saturating_add(1);
            seen.failures.push_front(failure);
            seen.failures.truncate(FAILURES);
        });
    }

    fn with(&self, f: impl FnOnce(&mut Seen)) {
        f(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
