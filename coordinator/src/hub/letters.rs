//! Letters from nodes: presence, answers to tasks, and results piece by piece.

use super::uploads::UploadError;
use super::{Hub, ledger, twins};
use crate::dispatch::Dispatch;
use crate::dispatch::lease::Renewal;
use crate::intake;
use crate::presence::Presence;
use crate::store::Reads;
use crate::store::StoreError;
use crate::store::tables::NODES;
use protocol::clock::difference_ms;
use protocol::envelope::{Envelope, EnvelopeError, Header, Kind, Message, Verified};
use protocol::letter::Letter;
use protocol::message::{
    Answer, ChunksWanted, LeaseLost, MAX_LINKS, Presence as PresenceMessage, PresenceHeard, Receipt, ReceiptOutcome,
    ResultChunk, ResultOffer, RunningTask, SponsoredRequest, TaskAnswer, TaskResult,
};
use protocol::roster::Role;
use protocol::task::TaskId;
use protocol::text::Text;
use protocol::{NodeId, Timestamp};

/// The most tasks that a presence may name: a node holds a few, and may still name some that it has lost.
const MAX_RUNNING: usize = 64;

/// The most answers to one presence, which are signed and sealed one by one; the rest is told at the next.
const MAX_LOST_TOLD: usize = 8;

/// How a letter came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Came {
    /// The neighbour that handed it over.
    pub(super) by: NodeId,
    /// Who is said to have written it, and to be answered the same way.
    pub(super) writer: Option<NodeId>,
}

impl Hub {
    /// Opens a letter, proves who wrote it, and does what it says. What cannot be believed is dropped.
    pub(super) async fn on_letter(&mut self, letter: &Letter, came: Came, now: Timestamp) {
        let Ok(envelope) = letter.open(&self.opener, self.author.mesh()) else {
            self.refused.unopened += 1;
            return tracing::debug!("a letter that is not for us was dropped");
        };
        let done = match envelope.header() {
            Ok(header) if self.is_node(&header, now) => self.read(header, &envelope, came, now).await,
            Ok(header) => {
                self.refused.strangers += 1;
                return tracing::warn!(node.id = %header.sender, "a letter of no approved node was dropped");
            }
            Err(error) => Err(LetterFault::Envelope(error)),
        };
        if let Some(node) = self.twins.take_found() {
            self.on_twins(node, now).await;
        }
        match done {
            Ok(()) => {}
            Err(LetterFault::Envelope(error)) => {
                self.refused.unbelieved += 1;
                tracing::debug!(%error, "a letter was dropped");
            }
            Err(LetterFault::Replayed) => {
                self.refused.replayed += 1;
                tracing::debug!("a letter that was heard before was dropped");
            }
            Err(LetterFault::Store(error)) => tracing::error!(%error, "a letter could not be dealt with"),
        }
    }

    fn is_node(&self, header: &Header, now: Timestamp) -> bool {
        // One whose revocation still waits for the mesh key is on the roster, but no member here.
        let named = self.mesh.roster().and_then(|roster| roster.member(&header.sender));
        named.is_some_and(|member| member.role == Role::Node && member.is_in(now))
            && self.members.contains_key(&header.sender)
    }

    async fn read(
        &mut self,
        header: Header,
        envelope: &Envelope,
        came: Came,
        now: Timestamp,
    ) -> Result<(), LetterFault> {
        let is_alarmed = self.is_cloned(&header.sender);
        match header.kind {
            // Whose answers and results these are is not known; a result is offered again when it is.
            Kind::TaskAnswer | Kind::ResultOffer | Kind::ResultChunk if is_alarmed => Ok(()),
            Kind::Presence => {
                let presence = self.believe::<PresenceMessage>(envelope, came, now)?;
                if came.by != header.sender {
                    self.write_to(header.sender, &PresenceHeard { clock: presence.message().clock }, now);
                }
                self.on_presence(presence, now).await
            }
            Kind::TaskAnswer => {
                let answer = self.believe::<TaskAnswer>(envelope, came, now)?;
                self.on_answer(answer, now).await
            }
            Kind::ResultOffer => {
                let offer = self.believe::<ResultOffer>(envelope, came, now)?;
                self.on_offer(offer, now).await
            }
            Kind::ResultChunk => {
                let chunk = self.believe::<ResultChunk>(envelope, came, now)?;
                self.on_chunk(chunk, now).await
            }
            Kind::SponsoredRequest => {
                let request = self.believe::<SponsoredRequest>(envelope, came, now)?;
                self.on_sponsored(request, now).await;
                Ok(())
            }
            kind @ (Kind::Beacon
            | Kind::RosterHead
            | Kind::Cancel
            | Kind::Announcement
            | Kind::ChunksWanted
            | Kind::Receipt
            | Kind::LeaseLost
            | Kind::EnrolRequest
            | Kind::EnrolAnswer
            | Kind::SponsoredAnswer
            | Kind::PresenceHeard) => {
                self.refused.wrong_role += 1;
                tracing::warn!(node.id = %header.sender, ?kind, "a node sent what only others may send");
                Ok(())
            }
        }
    }

    /// The message, if it is proven and was not heard before. Only then is it known which way its sender is answered.
    fn believe<M: Message>(
        &mut self,
        envelope: &Envelope,
        came: Came,
        now: Timestamp,
    ) -> Result<Verified<M>, LetterFault> {
        let message = envelope.verify::<M>(self.author.mesh(), now)?;
        self.twins.hear(message.header(), twins::mark_of(envelope), now);
        if !self.replay.admit(message.header()) {
            return Err(LetterFault::Replayed);
        }
        let sender = message.sender();
        if came.writer == Some(sender) {
            self.mesh.learn_way(sender, came.by);
        } else {
            tracing::warn!(node.id = %sender, from.id = %came.by, "a letter came under another writer's name; no way back is taken from it");
        }
        Ok(message)
    }

    async fn on_presence(&mut self, message: Verified<PresenceMessage>, now: Timestamp) -> Result<(), LetterFault> {
        let (node, header) = (message.sender(), *message.header());
        self.hear_epoch(node, header.epoch);
        let PresenceMessage { facts, load_hundredths, running, spooled, room, clock, links, through, is_farewell } =
            message.into_message();
        let mut links = links.unwrap_or_else(|| self.presences.links(&node));
        links.truncate(MAX_LINKS);
        let until = now.plus(self.timing.lease);
        let Some(lost) = renewed(&mut self.work, node, header.boot, &running, until) else {
            let tasks = running.len();
            tracing::warn!(node.id = %node, tasks, "a node names more tasks than it can have; it is not heard");
            return Ok(());
        };
        for lost in lost {
            self.write_to(node, &lost, now);
        }
        let touched: Vec<TaskId> = running.iter().map(|running| running.task).collect();
        let presence = Presence {
            last_seen: now,
            boot: header.boot,
            sequence: header.sequence,
            address: self.mesh.peers().into_iter().find(|peer| peer.node == node).and_then(|peer| peer.address),
            load_hundredths,
            running,
            spooled,
            room,
            clock_offset_ms: difference_ms(clock, now),
            connected: self.mesh.connected(&node),
            lost: false,
            links,
            through,
            has_left: is_farewell,
        };
        let is_new = self.presences.heard(node, presence, self.timing.offline_after);
        for run in touched.iter().map(|task| task.run).collect::<std::collections::BTreeSet<_>>() {
            self.tell_run(run);
        }
        let has_other_ranges = self.note_own_ranges(node, facts.policy_ranges.as_ref(), now);
        if is_new {
            self.work.ask_again(node);
        }
        if is_new || has_other_ranges {
            self.keep_facts(node, facts).await?;
            self.on_tick(now).await;
        }
        Ok(())
    }

    /// Keeps what a node says of itself when it is heard for the first time in a while, or on other terms.
    async fn keep_facts(&mut self, node: NodeId, facts: protocol::message::NodeFacts) -> Result<(), StoreError> {
        self.store
            .update(move |draft| match draft.get(&NODES, &node)? {
                Some(mut record) if record.facts != facts => {
                    record.facts = facts;
                    draft.put(&NODES, &node, &record)
                }
                Some(_) | None => Ok(()),
            })
            .await
    }

    async fn on_answer(&mut self, message: Verified<TaskAnswer>, now: Timestamp) -> Result<(), LetterFault> {
        let (node, boot) = (message.sender(), message.header().boot);
        let TaskAnswer { task, fence, answer } = message.into_message();
        let until = now.plus(self.timing.lease);
        if self.work.renew(task, node, boot, fence, until) == Renewal::Lost {
            return Ok(());
        }
        match answer {
            Answer::Taken => return Ok(()),
            Answer::Refused(reason) => {
                tracing::warn!(node.id = %node, task.id = %task, %reason, "a node refused a task");
                self.work.declined(node, task.run, None);
                self.release(task, fence, Release::Refused(reason), now).await?;
            }
            Answer::HandedBack(reason) => {
                tracing::info!(node.id = %node, task.id = %task, %reason, "a node handed a task back");
                self.work.declined(node, task.run, Some(now.plus(self.timing.lease)));
                self.release(task, fence, Release::Lost(reason), now).await?;
            }
        }
        self.go_on(now).await;
        Ok(())
    }

    /// Takes a lease away and stores what becomes of the task.
    pub(super) async fn release(
        &mut self,
        task: TaskId,
        fence: u64,
        release: Release,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let after = self.store.update(move |draft| ledger::release(draft, task, fence, release, now)).await?;
        self.work.end_lease(task, fence);
        self.uploads.forget(|(_, id, held)| *id == task && *held <= fence);
        if let Some(record) = after {
            self.mesh.forget_announcement(task, fence);
            self.tell_run(task.run);
            self.work.settle(record);
        }
        Ok(())
    }

    async fn on_offer(&mut self, message: Verified<ResultOffer>, now: Timestamp) -> Result<(), LetterFault> {
        let node = message.sender();
        let ResultOffer { task, fence, manifest } = message.into_message();
        let settled = self.store.read(move |view| intake::settled(view, task, fence, node)).await?;
        if let Some(outcome) = settled {
            self.uploads.forget(|key| *key == (node, task, fence));
            self.write_to(node, &Receipt { task, fence, outcome }, now);
            return Ok(());
        }
        if !self.has_room().await {
            tracing::debug!(node.id = %node, task.id = %task, "no room for a result; it waits on its node's disk");
            return Ok(());
        }
        match self.uploads.offer((node, task, fence), &manifest) {
            Ok(missing) => self.write_to(node, &ChunksWanted { task, fence, missing }, now),
            Err(UploadError::Busy) => {
                tracing::info!(node.id = %node, "too many results at a time; it will offer again");
                self.write_to(node, &ChunksWanted { task, fence, missing: Vec::new() }, now);
            }
            Err(error) => self.reject(node, task, fence, &error, now),
        }
        Ok(())
    }

    async fn on_chunk(&mut self, message: Verified<ResultChunk>, now: Timestamp) -> Result<(), LetterFault> {
        let node = message.sender();
        let ResultChunk { task, fence, index, bytes } = message.into_message();
        let Some(whole) = self.uploads.piece((node, task, fence), index, bytes) else { return Ok(()) };
        let result = match whole {
            Ok(bytes) => unpack(bytes).await,
            Err(error) => Err(error),
        };
        let result = match result {
            Ok(result) if (result.task, result.fence) == (task, fence) => result,
            Ok(_) => {
                self.reject(node, task, fence, &UploadError::OtherTask, now);
                return Ok(());
            }
            Err(error) => {
                self.reject(node, task, fence, &error, now);
                return Ok(());
            }
        };
        let taken = match intake::take(&self.store, node, result, now).await {
            Err(error @ StoreError::TooLarge { .. }) => ReceiptOutcome::Rejected(Text::new(&error.to_string())).into(),
            taken => taken?,
        };
        if let ReceiptOutcome::Rejected(reason) = &taken.outcome {
            self.refused.results += 1;
            tracing::warn!(node.id = %node, task.id = %task, %reason, "a result was rejected");
        }
        self.write_to(node, &Receipt { task, fence, outcome: taken.outcome }, now);
        if let Some(record) = taken.ended {
            self.mesh.forget_announcement(task, fence);
            self.tell_run(task.run);
            self.work.settle(record);
            self.go_on(now).await;
        }
        Ok(())
    }

    fn reject(&mut self, node: NodeId, task: TaskId, fence: u64, error: &UploadError, now: Timestamp) {
        self.refused.results += 1;
        tracing::warn!(node.id = %node, task.id = %task, %error, "a result was rejected");
        let outcome = ReceiptOutcome::Rejected(Text::new(&error.to_string()));
        self.write_to(node, &Receipt { task, fence, outcome }, now);
    }
}

/// Renews what a node works on; the first of what it has lost, to be told. `None` when it names too many.
fn renewed(
    work: &mut Dispatch,
    node: NodeId,
    boot: u64,
    running: &[RunningTask],
    until: Timestamp,
) -> Option<Vec<LeaseLost>> {
    if running.len() > MAX_RUNNING {
        return None;
    }
    let lost = |task: &&RunningTask| work.renew(task.task, node, boot, task.fence, until) == Renewal::Lost;
    let lost: Vec<&RunningTask> = running.iter().filter(lost).collect();
    Some(lost.into_iter().take(MAX_LOST_TOLD).map(|task| LeaseLost { task: task.task, fence: task.fence }).collect())
}

/// Reads a whole result where blocking is allowed.
async fn unpack(bytes: Vec<u8>) -> Result<TaskResult, UploadError> {
    match tokio::task::spawn_blocking(move || TaskResult::unpack(&bytes)).await {
        Ok(read) => Ok(read?),
        Err(_) => Err(UploadError::Failed),
    }
}

/// Why a lease ends without a result.
pub(super) enum Release {
    /// It ran out, or was handed back.
    Lost(Text),
    /// The node may not do it.
    Refused(Text),
}

enum LetterFault {
    Envelope(EnvelopeError),
    Replayed,
    Store(StoreError),
}

impl From<EnvelopeError> for LetterFault {
    fn from(error: EnvelopeError) -> Self {
        Self::Envelope(error)
    }
}

impl From<StoreError> for LetterFault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::task::RunId;

    #[test]
    fn a_presence_with_many_tasks_that_nobody_gave_is_answered_a_few_times_or_not_heard() {
        let running = |count: usize| {
            let task = TaskId { run: RunId(9), index: 0 };
            vec![RunningTask { task, fence: 1, cells_done: 0, cells_total: 0, hosts_found: 0 }; count]
        };
        let mut work = Dispatch::default();
        let mut told = |count: usize| {
            let node = NodeId::from_bytes([1; 32]);
            renewed(&mut work, node, 1, &running(count), Timestamp::from_millis(1)).map(|lost| lost.len())
        };
        assert_eq!([told(1), told(MAX_LOST_TOLD + 1)], [Some(1), Some(MAX_LOST_TOLD)]);
        assert_eq!([told(MAX_RUNNING), told(MAX_RUNNING + 1)], [Some(MAX_LOST_TOLD), None]);
    }
}
