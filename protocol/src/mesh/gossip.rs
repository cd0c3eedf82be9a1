//! Gossip: two topics, our own envelopes, and the rules that decide what is believed and passed on.

use super::MeshError;
use crate::envelope::Kind;
use crate::envelope::{Channel, Envelope, EnvelopeError, Header, SenderRole, Verified};
use crate::identity::MeshId;
use crate::message::{Announcement, Beacon, Cancel, RosterHead};
use crate::roster::{Role, Roster};
use crate::time::Timestamp;
use libp2p::gossipsub::{
    self, Behaviour, Config, ConfigBuilder, IdentTopic, IdentityTransform, MessageAcceptance, MessageAuthenticity,
    MessageId, PeerScoreParams, PeerScoreThresholds, TopicHash, TopicScoreParams, ValidationMode, Version,
    WhitelistSubscriptionFilter,
};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Gossip with two topics that nobody can add to.
pub(super) type Gossip = Behaviour<IdentityTransform, WhitelistSubscriptionFilter>;

pub(super) const PROTOCOL: &str = "/portdrift/gossip/1";
const MAX_MESSAGE_BYTES: usize = 64 * 1024;
const MESSAGE_ID_BYTES: usize = 20;

/// Neighbours outside gossip's own mesh that are told once what there is. With six, an idle node sent more of such words
/// than of beacons; and what they miss is pulled.
const GOSSIP_LAZY: usize = 2;

/// How often gossip looks after its mesh. A lost neighbour leaves it at once; only its replacement waits for this.
const UPKEEP: Duration = Duration::from_secs(10);

/// How often what neighbours did wrong fades. Each of these times wakes every member.
const FADES_EVERY: Duration = Duration::from_secs(10);

/// The two topics. Their names travel with every message and every word about one, so they are short; meshes are kept
/// apart in the handshake.
#[derive(Clone, Debug)]
pub(super) struct Topics {
    pub(super) control: IdentTopic,
    pub(super) tasks: IdentTopic,
}

impl Topics {
    pub(super) fn new() -> Self {
        Self { control: IdentTopic::new("1/control"), tasks: IdentTopic::new("1/tasks") }
    }

    /// The topic that a kind belongs on, if it is gossiped at all.
    pub(super) fn of(&self, kind: Kind) -> Option<&IdentTopic> {
        match kind.channel() {
            Channel::Control => Some(&self.control),
            Channel::Tasks => Some(&self.tasks),
            Channel::Letter | Channel::Enrolment => None,
        }
    }

    fn hashes(&self) -> [TopicHash; 2] {
        [self.control.hash(), self.tasks.hash()]
    }
}

/// Gossip of one member. Small meshes of two or three work with the same numbers.
pub(super) fn behaviour(topics: &Topics, role: Role) -> Result<Gossip, MeshError> {
    let setup = |error: &dyn std::fmt::Display| MeshError::Setup(format!("gossip: {error}"));
    let filter = WhitelistSubscriptionFilter(topics.hashes().into_iter().collect());
    let config = config(role).map_err(|error| setup(&error))?;
    let mut gossip = Gossip::new_with_subscription_filter(MessageAuthenticity::Anonymous, config, filter)
        .map_err(|error| setup(&error))?;
    gossip.with_peer_score(scores(topics), PeerScoreThresholds::default()).map_err(|error| setup(&error))?;
    for topic in [&topics.control, &topics.tasks] {
        gossip.subscribe(topic).map_err(|error| setup(&error))?;
    }
    Ok(gossip)
}

fn config(role: Role) -> Result<Config, gossipsub::ConfigBuilderError> {
    ConfigBuilder::default()
        .protocol_id(PROTOCOL, Version::V1_1)
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .message_id_fn(message_id)
        .max_transmit_size(MAX_MESSAGE_BYTES)
        .mesh_n_low(2)
        .mesh_n(3)
        .mesh_n_high(5)
        .mesh_outbound_min(1)
        .history_length(10)
        .history_gossip(1)
        // The coordinator has told everybody it is connected to.
        .gossip_lazy(if role == Role::Coordinator { 0 } else { GOSSIP_LAZY })
        .gossip_factor(0.0)
        .duplicate_cache_time(Duration::from_secs(600))
        .connection_handler_queue_len(512)
        .heartbeat_initial_delay(Duration::from_secs(1))
        .heartbeat_interval(UPKEEP)
        .flood_publish(role == Role::Coordinator)
        .build()
}

/// The same bytes on the same topic are the same message, whoever sends them.
pub(super) fn message_id(message: &gossipsub::Message) -> MessageId {
    let digest = Sha256::new().chain_update(message.topic.as_str()).chain_update([0]).chain_update(&message.data);
    let digest = digest.finalize();
    MessageId::new(digest.get(..MESSAGE_ID_BYTES).unwrap_or(&digest))
}

/// Only invalid messages cost a neighbour its standing. A quiet mesh, slow links and one address for many are normal.
fn scores(topics: &Topics) -> PeerScoreParams {
    let topic = TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        first_message_deliveries_weight: 0.1,
        first_message_deliveries_cap: 10.0,
        invalid_message_deliveries_weight: -1.0,
        invalid_message_deliveries_decay: 0.9,
        ..TopicScoreParams::default()
    };
    PeerScoreParams {
        topics: topics.hashes().into_iter().map(|hash| (hash, topic.clone())).collect(),
        topic_score_cap: 10.0,
        app_specific_weight: 0.0,
        ip_colocation_factor_weight: 0.0,
        behaviour_penalty_threshold: 6.0,
        retain_score: Duration::from_secs(600),
        decay_interval: FADES_EVERY,
        ..PeerScoreParams::default()
    }
}

/// A proven gossip message.
#[derive(Clone, Debug)]
pub(super) enum Heard {
    Beacon(Verified<Beacon>),
    Head(Verified<RosterHead>),
    Cancel(Verified<Cancel>),
    Announcement(Verified<Announcement>),
}

/// Why a message goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Repeated, or from a roster or program that is not ours: no one's fault.
    Stale,
    /// Too old, or from the future: late, or the clocks differ.
    OutOfTime,
    /// No honest member passes this on.
    Forged,
}

impl Refusal {
    pub(super) fn acceptance(self) -> MessageAcceptance {
        match self {
            Self::Stale | Self::OutOfTime => MessageAcceptance::Ignore,
            Self::Forged => MessageAcceptance::Reject,
        }
    }
}

/// Judges what came over gossip or a pull: outside, right to speak, then age, signature and body.
pub(super) fn judge(envelope: &Envelope, mesh: MeshId, roster: &Roster, now: Timestamp) -> Result<Heard, Refusal> {
    let header = envelope.header().map_err(|error| refusal(&error))?;
    may_speak(&header, roster, now)?;
    read(envelope, header.kind, mesh, now).map_err(|error| refusal(&error))?.ok_or(Refusal::Forged)
}

/// Judges a message and the topic that it came on.
pub(super) fn on_its_topic(envelope: &Envelope, topic: &TopicHash, topics: &Topics) -> Result<(), Refusal> {
    let header = envelope.header().map_err(|error| refusal(&error))?;
    if topics.of(header.kind).is_some_and(|own| own.hash() == *topic) { Ok(()) } else { Err(Refusal::Forged) }
}

/// Whether everybody passes this on to everybody: what is urgent and rare.
pub(super) fn is_for_all(envelope: &Envelope) -> bool {
    envelope.header().is_ok_and(|header| matches!(header.kind, Kind::RosterHead | Kind::Cancel))
}

/// Verifies a message of a gossiped kind; `None` for other kinds.
pub(super) fn read(
    envelope: &Envelope,
    kind: Kind,
    mesh: MeshId,
    now: Timestamp,
) -> Result<Option<Heard>, EnvelopeError> {
    Ok(Some(match kind {
        Kind::Beacon => Heard::Beacon(envelope.verify(mesh, now)?),
        Kind::RosterHead => Heard::Head(envelope.verify(mesh, now)?),
        Kind::Cancel => Heard::Cancel(envelope.verify(mesh, now)?),
        Kind::Announcement => Heard::Announcement(envelope.verify(mesh, now)?),
        Kind::Presence
        | Kind::TaskAnswer
        | Kind::ResultOffer
        | Kind::ResultChunk
        | Kind::ChunksWanted
        | Kind::Receipt
        | Kind::LeaseLost
        | Kind::EnrolRequest
        | Kind::EnrolAnswer
        | Kind::SponsoredRequest
        | Kind::SponsoredAnswer
        | Kind::PresenceHeard => return Ok(None),
    }))
}

/// Only the coordinator gossips. A sender that a roster of another epoch may allow is no reason to blame the forwarder.
fn may_speak(header: &Header, roster: &Roster, now: Timestamp) -> Result<(), Refusal> {
    let member = roster.member(&header.sender);
    let is_coordinator = member.is_some_and(|member| member.role == Role::Coordinator);
    if is_coordinator && member.is_some_and(|member| member.is_in(now)) {
        return if header.kind.sender() == SenderRole::Coordinator { Ok(()) } else { Err(Refusal::Forged) };
    }
    if is_coordinator || header.epoch > roster.epoch { Err(Refusal::Stale) } else { Err(Refusal::Forged) }
}

fn refusal(error: &EnvelopeError) -> Refusal {
    match error {
        EnvelopeError::UnknownVersion(_) | EnvelopeError::UnknownKind(_) => Refusal::Stale,
        EnvelopeError::Expired { .. } => Refusal::OutOfTime,
        EnvelopeError::Length(_)
        | EnvelopeError::WrongKind { .. }
        | EnvelopeError::WrongMesh
        | EnvelopeError::BadSignature(_)
        | EnvelopeError::Body(_) => Refusal::Forged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::tests::kit;
    use crate::task::RunId;
    use proptest::prelude::*;

    fn roster() -> Roster {
        kit::roster(4, &[(1, Role::Coordinator), (2, Role::Node)]).verify(kit::mesh_id()).unwrap()
    }

    fn verdict(envelope: &Envelope, now: Timestamp) -> Result<(), Refusal> {
        judge(envelope, kit::mesh_id(), &roster(), now).map(drop)
    }

    #[test]
    fn only_the_coordinator_is_believed() {
        let now = Timestamp::now();
        let cancel = Cancel { run: RunId(1) };
        let table = [
            (kit::author(1).sign(&cancel, 4, now), Ok(())),
            (kit::author(2).sign(&cancel, 4, now), Err(Refusal::Forged)),
            (kit::author(3).sign(&cancel, 4, now), Err(Refusal::Forged)),
            (kit::author(3).sign(&cancel, 5, now), Err(Refusal::Stale)),
            (kit::author_in(1, crate::MeshId::from_bytes([7; 32])).sign(&cancel, 4, now), Err(Refusal::Forged)),
            (kit::author(1).sign(&cancel, 4, now.minus(Duration::from_secs(3_601))), Err(Refusal::OutOfTime)),
            (
                kit::author(1).sign(&crate::message::LeaseLost { task: kit::task(1), fence: 1 }, 4, now),
                Err(Refusal::Forged),
            ),
        ];
        for (row, (envelope, expected)) in table.iter().enumerate() {
            assert_eq!(verdict(envelope, now), *expected, "row {row}");
        }
    }

    #[test]
    fn a_key_that_was_the_coordinators_is_believed_no_more_and_whoever_passes_it_on_is_not_blamed() {
        let all = [(1, Role::Coordinator), (4, Role::Coordinator), (2, Role::Node)];
        let roster = kit::roster_with(5, &all, |member| {
            if member.key == kit::id(1) {
                member.state = crate::roster::MemberState::Revoked;
            }
        });
        let (roster, now) = (roster.verify(kit::mesh_id()).unwrap(), Timestamp::now());
        for (seed, epoch, expected) in [(4, 5, Ok(())), (1, 4, Err(Refusal::Stale)), (1, 5, Err(Refusal::Stale))] {
            let envelope = kit::author(seed).sign(&Cancel { run: RunId(1) }, epoch, now);
            assert_eq!(judge(&envelope, kit::mesh_id(), &roster, now).map(drop), expected, "{seed} at {epoch}");
        }
    }

    #[test]
    fn a_kind_has_one_topic() {
        let topics = Topics::new();
        let cancel = kit::author(1).sign(&Cancel { run: RunId(1) }, 4, Timestamp::now());
        assert_eq!(on_its_topic(&cancel, &topics.control.hash(), &topics), Ok(()));
        assert_eq!(on_its_topic(&cancel, &topics.tasks.hash(), &topics), Err(Refusal::Forged));
        let offer = crate::message::LeaseLost { task: kit::task(1), fence: 1 };
        let letter = kit::author(1).sign(&offer, 4, Timestamp::now());
        assert_eq!(on_its_topic(&letter, &topics.control.hash(), &topics), Err(Refusal::Forged));
    }

    proptest! {
        #[test]
        fn a_changed_message_is_never_believed(at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let now = Timestamp::now();
            let good = kit::author(1).sign(&Cancel { run: RunId(1) }, 4, now);
            let mut bytes = good.as_bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(verdict(&Envelope::from_bytes(bytes), now).is_err());
        }
    }
}
