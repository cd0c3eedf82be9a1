//! Letters out and in: answers, results and their receipts.

use super::post::Received;
use super::{Agent, Engine};
use crate::delivery::Parcel;
use crate::notice::Notice;
use crate::spool::{ResultKey, SetAside, SpoolError};
use protocol::envelope::Message;
use protocol::letter::Letter;
use protocol::mesh::LetterId;
use protocol::message::{ChunksWanted, LeaseLost, PresenceHeard, Receipt, ReceiptOutcome, ResultChunk, ResultOffer};
use protocol::time::Timestamp;
use tokio::time::Instant;

impl<E: Engine> Agent<E> {
    /// Sends `message` to the coordinator; `None` when no way is open, or what time it is there is not known.
    pub(super) fn send<M: Message>(&mut self, message: &M, time: Timestamp) -> Option<LetterId> {
        if self.mesh.is_time_doubtful() {
            tracing::debug!("a letter has to wait until enough beacons have told the time");
            return None;
        }
        let letter = match self.post.letter(message, self.state.roster().epoch, time) {
            Ok(letter) => letter,
            Err(error) => {
                tracing::error!(%error, "no letter to the coordinator can be sealed");
                return None;
            }
        };
        self.mesh.send_letter(letter).inspect_err(|error| tracing::debug!(%error, "a letter has to wait")).ok()
    }

    pub(super) fn send_answers(&mut self, time: Timestamp, now: Instant) {
        while let Some(answer) = self.outbox.next(now) {
            match self.send(&answer, time) {
                Some(id) => self.outbox.sent(answer, id),
                None => return self.outbox.unsent(answer),
            }
        }
    }

    pub(super) async fn send_results(&mut self, time: Timestamp, now: Instant) {
        while let Some(parcel) = self.delivery.next(now) {
            let sent = match self.send_parcel(parcel, time).await {
                Ok(sent) => sent,
                Err(error) => {
                    self.on_spool_trouble(parcel.key(), error);
                    None
                }
            };
            match sent {
                Some(id) => self.delivery.sent(parcel, id),
                None => self.delivery.unsent(parcel, now),
            }
        }
        if self.delivery.take_unanswered() {
            self.mesh.seek_other_way();
        }
    }

    async fn send_parcel(&mut self, parcel: Parcel, time: Timestamp) -> Result<Option<LetterId>, SpoolError> {
        let ResultKey { task, fence } = parcel.key();
        match parcel {
            Parcel::Offer(key) => {
                let manifest = self.spool.manifest(key).await?;
                Ok(self.send(&ResultOffer { task, fence, manifest }, time))
            }
            Parcel::Chunk(key, index) => {
                let bytes = self.spool.chunk(key, index).await?;
                Ok(self.send(&ResultChunk { task, fence, index, bytes }, time))
            }
        }
    }

    /// A result that is gone or damaged is given up; one that cannot be read now is tried again.
    fn on_spool_trouble(&mut self, key: ResultKey, error: SpoolError) {
        match error {
            SpoolError::Damaged(file) => self.on_damaged_result(file),
            SpoolError::Missing if self.spool.keys().contains(&key) => {
                tracing::warn!(task.id = %key.task, task.fence = key.fence, "the coordinator wants a piece that does not exist");
            }
            SpoolError::Missing => {
                tracing::error!(task.id = %key.task, task.fence = key.fence, "a spooled result was removed by someone else");
                self.give_up_result(key);
            }
            SpoolError::Io { .. } | SpoolError::TooLarge(_) | SpoolError::Interrupted => {
                tracing::error!(task.id = %key.task, task.fence = key.fence, %error, "a spooled result cannot be read now");
            }
        }
    }

    /// Its task is handed back, so that it is scanned anew under another lease: never two results under one.
    pub(super) fn on_damaged_result(&mut self, file: SetAside) {
        let SetAside { key, path, reason } = file;
        tracing::error!(task.id = %key.task, task.fence = key.fence, path = %path.display(), reason, "a damaged result is set aside");
        self.notices.tell(Notice::SpoolEntrySetAside { path, reason });
        self.give_up_result(key);
    }

    /// True when a rejected result was damaged on this node's disk after it was offered: its task is handed back.
    async fn gives_up_damaged(&mut self, key: ResultKey) -> bool {
        match self.spool.manifest(key).await {
            Err(SpoolError::Damaged(file)) => {
                self.on_damaged_result(file);
                true
            }
            Ok(_) | Err(_) => false,
        }
    }

    fn give_up_result(&mut self, key: ResultKey) {
        self.delivery.remove(key);
        self.leases.is_news(key.task, key.fence);
        self.hand_back(key, "its result was damaged on this node's disk");
    }

    pub(super) async fn on_letter(&mut self, letter: &Letter, time: Timestamp, now: Instant) {
        let coordinator = self.state.roster().coordinator(time).map(|member| member.key);
        match self.post.open(letter, coordinator, time) {
            Ok(Received::Wanted(ChunksWanted { task, fence, missing })) => {
                self.delivery.wanted(ResultKey { task, fence }, missing, now);
            }
            Ok(Received::Receipt(receipt)) => self.on_receipt(receipt).await,
            Ok(Received::LeaseLost(LeaseLost { task, fence })) => {
                if let Some(key) = self.leases.working_on(task, fence) {
                    self.drop_work(key);
                }
            }
            Ok(Received::Sponsored(answer)) => self.on_sponsored_answer(answer, time),
            Ok(Received::Heard(PresenceHeard { clock })) => self.heartbeat.heard(clock),
            Err(error) => tracing::warn!(%error, "a letter is not believed and does nothing"),
        }
    }

    /// Only this deletes a result.
    async fn on_receipt(&mut self, receipt: Receipt) {
        let Receipt { task, fence, outcome } = receipt;
        let key = ResultKey { task, fence };
        if !self.delivery.remove(key) {
            return; // A second receipt for a result that is gone.
        }
        self.leases.forget(key);
        let done = match outcome {
            ReceiptOutcome::Stored | ReceiptOutcome::Duplicate | ReceiptOutcome::Superseded => {
                tracing::info!(task.id = %task, task.fence = fence, ?outcome, "result delivered");
                let counts = outcome != ReceiptOutcome::Superseded;
                self.notices.tell(if counts {
                    Notice::ResultDelivered { task }
                } else {
                    Notice::ResultTooLate { task }
                });
                self.spool.remove(key).await
            }
            ReceiptOutcome::Rejected(_) if self.gives_up_damaged(key).await => return,
            ReceiptOutcome::Rejected(reason) => {
                tracing::error!(task.id = %task, task.fence = fence, %reason, "the coordinator rejected a result; it is kept aside");
                self.notices.tell(Notice::ResultRejected { task, reason });
                self.spool.reject(key).await.map(drop)
            }
        };
        if let Err(error) = done {
            // It is offered again after the next start, and answered as a duplicate.
            tracing::error!(task.id = %task, task.fence = fence, %error, "a delivered result could not be removed");
        }
    }
}
