//! Letters between this node and its coordinator: signed and sealed on the way out, opened and believed on the way in.

use protocol::card::Card;
use protocol::codec;
use protocol::envelope::{Author, EnvelopeError, Kind, Message, ReplayGuard, Verified};
use protocol::identity::NodeId;
use protocol::letter::{BadSealingKey, CannotOpen, Letter, Opener, Purpose};
use protocol::message::{Announcement, ChunksWanted, LeaseLost, PresenceHeard, Receipt, SponsoredAnswer};
use protocol::task::{Task, TaskSpec, seal_context};
use protocol::time::Timestamp;
use std::time::Duration;

/// The largest task body, in bytes; an announcement is smaller.
const MAX_SPEC_BYTES: usize = 64 * 1024;

/// Writes to and reads from the coordinator.
pub(super) struct Post {
    author: Author,
    opener: Opener,
    coordinator: Card,
    guard: ReplayGuard,
}

/// What the coordinator writes to a node.
#[derive(Debug)]
pub(super) enum Received {
    Wanted(ChunksWanted),
    Receipt(Receipt),
    LeaseLost(LeaseLost),
    Sponsored(SponsoredAnswer),
    Heard(PresenceHeard),
}

/// Why a letter or a task is not believed.
#[derive(Debug, thiserror::Error)]
pub(super) enum PostError {
    #[error("it is not sealed to this node: {0}")]
    Sealed(#[from] CannotOpen),
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    #[error("it is from {0}, which is not the coordinator")]
    NotTheCoordinator(NodeId),
    #[error("it was heard before")]
    Replayed,
    #[error("a coordinator does not write {0:?} to a node")]
    Unexpected(Kind),
    #[error("the task in it cannot be read: {0}; update this node")]
    Unreadable(#[from] codec::CodecError),
}

impl Post {
    pub(super) fn new(author: Author, coordinator: Card) -> Self {
        let opener = Opener::new(author.keypair());
        Self { author, opener, coordinator, guard: ReplayGuard::default() }
    }

    /// In whose name it writes.
    pub(super) fn author(&self) -> &Author {
        &self.author
    }

    /// Whom letters go to.
    pub(super) fn coordinator(&self) -> NodeId {
        self.coordinator.key
    }

    /// `message` in a letter to the coordinator.
    pub(super) fn letter<M: Message>(&self, message: &M, epoch: u64, now: Timestamp) -> Result<Letter, BadSealingKey> {
        let envelope = self.author.sign(message, epoch, now);
        Letter::seal(&envelope, self.coordinator.key, &self.coordinator.sealing, self.author.mesh())
    }

    /// Opens a letter; `coordinator` is the one of the roster in force.
    pub(super) fn open(
        &mut self,
        letter: &Letter,
        coordinator: Option<NodeId>,
        now: Timestamp,
    ) -> Result<Received, PostError> {
        let envelope = letter.open(&self.opener, self.author.mesh())?;
        let header = envelope.header()?;
        if Some(header.sender) != coordinator {
            return Err(PostError::NotTheCoordinator(header.sender));
        }
        let mesh = self.author.mesh();
        if header.kind == Kind::ChunksWanted {
            self.first_time(envelope.verify::<ChunksWanted>(mesh, now)?).map(Received::Wanted)
        } else if header.kind == Kind::Receipt {
            self.first_time(envelope.verify::<Receipt>(mesh, now)?).map(Received::Receipt)
        } else if header.kind == Kind::LeaseLost {
            self.first_time(envelope.verify::<LeaseLost>(mesh, now)?).map(Received::LeaseLost)
        } else if header.kind == Kind::SponsoredAnswer {
            self.first_time(envelope.verify::<SponsoredAnswer>(mesh, now)?).map(Received::Sponsored)
        } else if header.kind == Kind::PresenceHeard {
            self.first_time(envelope.verify::<PresenceHeard>(mesh, now)?).map(Received::Heard)
        } else {
            Err(PostError::Unexpected(header.kind))
        }
    }

    /// The task that an announcement holds for this node.
    pub(super) fn open_task(&self, announcement: &Announcement) -> Result<Task, PostError> {
        let Announcement { number: _, holder: _, task, fence, lease_ms, spec } = announcement;
        let context = seal_context(*task, *fence);
        let plain = self.opener.open(spec, Purpose::TaskSpec, self.author.mesh(), &context)?;
        let spec: TaskSpec = codec::decode(&plain, MAX_SPEC_BYTES)?;
        Ok(Task { id: *task, fence: *fence, lease: Duration::from_millis((*lease_ms).into()), spec })
    }

    fn first_time<M: Message>(&mut self, verified: Verified<M>) -> Result<M, PostError> {
        if self.guard.admit(verified.header()) { Ok(verified.into_message()) } else { Err(PostError::Replayed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::identity::{Keypair, MeshId};
    use protocol::message::{Cancel, ReceiptOutcome};
    use protocol::task::{RunId, TaskId};
    use std::sync::Arc;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
    const MESH: MeshId = MeshId::from_bytes([9; 32]);

    fn author(seed: u8) -> Author {
        Author::new(Arc::new(Keypair::from_seed(&[seed; 32])), MESH, 1)
    }

    fn receipt() -> Receipt {
        let task = TaskId { run: RunId(1), index: 0 };
        Receipt { task, fence: 1, outcome: ReceiptOutcome::Stored }
    }

    fn to_node<M: Message>(from: &Author, message: &M) -> Letter {
        let node = author(2);
        let key = Opener::new(node.keypair()).key();
        Letter::seal(&from.sign(message, 1, NOW), node.id(), &key, MESH).unwrap()
    }

    #[test]
    fn only_the_coordinators_fresh_letters_are_believed() {
        let (coordinator, stranger) = (author(1), author(3));
        let sealing = Opener::new(coordinator.keypair()).key();
        let (addresses, label) = (Vec::new(), "hub".into());
        let mut post = Post::new(author(2), Card { key: coordinator.id(), sealing, addresses, label, issued: NOW });
        let letter = to_node(&coordinator, &receipt());
        let from = Some(coordinator.id());
        let late = NOW.plus(Duration::from_secs(3_600));
        let told = [
            post.open(&to_node(&stranger, &receipt()), from, NOW),
            post.open(&letter, None, NOW),
            post.open(&letter, from, late),
            post.open(&to_node(&coordinator, &Cancel { run: RunId(1) }), from, NOW),
            post.open(&Letter { to: stranger.id(), ..letter.clone() }, from, NOW),
            post.open(&letter, from, NOW),
            post.open(&letter, from, NOW),
        ];
        let told: Vec<String> =
            told.iter().map(|told| told.as_ref().map_or_else(ToString::to_string, |_| "believed".to_owned())).collect();
        insta::assert_snapshot!(told.join("\n"), @"
        it is from ad56-fkn6-4mqz-gnyt-zyvx-qi7y-jcja-fr5g, which is not the coordinator
        it is from 3mqh-7767-5ucp-4gx4-z2al-glkt-ehmm-5frs, which is not the coordinator
        the message was good for 600s from 2023-11-14T22:13:20.000Z, and now is 2023-11-14T23:13:20.000Z; check the clocks
        a coordinator does not write Cancel to a node
        it is not sealed to this node: the sealed bytes do not open with this key
        believed
        it was heard before
        ");
    }
}
