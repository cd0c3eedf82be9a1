//! How a node becomes a member: it asks with an invite, waits for a person's word, and keeps the roster that says so.
//!
//! It asks the coordinator, or a member that passes the request on. Who hands the answer over proves nothing and changes
//! nothing: the answer is signed by the coordinator, whose card the mesh key of the invite has signed.

use crate::config::{MeshState, StateError};
use crate::notice::{Notice, Notices};
use crate::timing::Timing;
use protocol::card::SignedCard;
use protocol::codec;
use protocol::envelope::{Author, Envelope, EnvelopeError, Kind};
use protocol::identity::{MeshId, NodeId};
use protocol::invite::{Invite, InviteError, SecretProof};
use protocol::letter::Opener;
use protocol::mesh::{self, AskError, EnrolReply};
use protocol::message::{EnrolAnswer, EnrolRequest, Enrolment, NodeFacts, Succession};
use protocol::roster::{Role, Roster};
use protocol::text::Text;
use protocol::time::Timestamp;
use std::net::SocketAddr;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

#[cfg(test)]
mod tests;

/// Why a node did not become a member.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// Nothing says which mesh to join.
    #[error(
        "this node belongs to no mesh yet; make an invite on the coordinator with `portdrift invites create`, then run `portdrift node join INVITE` here"
    )]
    NoInvite,
    /// The invite is of no use any more.
    #[error(transparent)]
    Invite(#[from] InviteError),
    /// The folder holds a membership of another mesh.
    #[error("this data folder already belongs to another mesh; choose another folder to join this one")]
    OtherMesh,
    /// The answer is forged, damaged, or from a clock far off.
    #[error("the coordinator's answer cannot be believed: {0}")]
    Unbelievable(#[from] EnvelopeError),
    /// Whoever answered does not speak for the mesh of the invite.
    #[error(
        "whoever answered does not speak for the mesh of this invite ({0}); do not go on, and tell the mesh's administrator"
    )]
    Impostor(&'static str),
    /// A person said no.
    #[error("this node was not approved{}", reason(.0))]
    Denied(Text),
    /// The request was not taken.
    #[error("the coordinator does not take the request{}", reason(.0))]
    Refused(Text),
    /// Approved, but the roster says something else.
    #[error("the coordinator says that this node is approved, but the roster does not name it; approve it again")]
    NotOnRoster,
    /// What was decided could not be kept.
    #[error(transparent)]
    State(#[from] StateError),
}

fn reason(text: &Text) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

/// What a node tells of itself when it asks.
pub(crate) struct Asker {
    /// Signs for the mesh of the invite.
    pub(crate) author: Author,
    /// What the node calls itself.
    pub(crate) label: Text,
    /// What it says of itself.
    pub(crate) facts: NodeFacts,
    pub(crate) timing: Timing,
    pub(crate) notices: Notices,
    /// The word of the key whose place this one takes.
    pub(crate) succeeds: Option<Succession>,
}

/// A new member.
#[derive(Debug)]
pub(crate) struct Joined {
    /// The caller keeps it.
    pub(crate) state: MeshState,
    /// Cards of members that it can dial, each signed by its own member.
    pub(crate) cards: Vec<SignedCard>,
}

/// Why no address gave an answer.
enum Unanswered {
    /// It is worth another try.
    ForNow(AskError),
    /// Every address answered, and no answer can be believed.
    Lies(JoinError),
}

impl Asker {
    /// Asks until somebody decides; `None` when `stop` fires first.
    pub(crate) async fn join(&self, invite: &Invite, stop: &CancellationToken) -> Result<Option<Joined>, JoinError> {
        tokio::select! {
            joined = self.ask_until_decided(invite) => joined.map(Some),
            () = stop.cancelled() => Ok(None),
        }
    }

    async fn ask_until_decided(&self, invite: &Invite) -> Result<Joined, JoinError> {
        self.notices.tell(Notice::Asking { addresses: invite.addresses.clone() });
        let (mut addresses, mut heard, mut failures) = (invite.addresses.clone(), false, 0);
        loop {
            if !heard {
                // Once the request is pending at the coordinator, its own deadline counts.
                invite.check_time(Timestamp::now())?;
            }
            match self.ask(invite, &addresses).await {
                Ok((address, answer, cards)) => {
                    if let Some(joined) = self.decided(invite, answer, cards)? {
                        return Ok(joined);
                    }
                    // Whoever answered is asked first from now on.
                    addresses.sort_by_key(|other| *other != address);
                    if !std::mem::replace(&mut heard, true) {
                        self.notices.tell(Notice::Pending { fingerprint: self.author.id().fingerprint() });
                    }
                    failures = 0;
                }
                Err(Unanswered::Lies(error)) => return Err(error),
                Err(Unanswered::ForNow(error)) => {
                    failures += 1;
                    let retry_in = self.timing.retry_after(failures);
                    tracing::warn!(%error, ?retry_in, "nobody answered the enrolment request");
                    self.notices.tell(Notice::Unreachable { reason: error.to_string(), retry_in });
                    sleep(retry_in).await;
                    continue;
                }
            }
            // The coordinator holds a request while it is pending; this is for one that does not.
            sleep(self.timing.retry_after(1)).await;
        }
    }

    /// Asks each address in turn until one gives an answer that can be believed.
    async fn ask(
        &self,
        invite: &Invite,
        addresses: &[SocketAddr],
    ) -> Result<(SocketAddr, (EnrolAnswer, Timestamp), Vec<SignedCard>), Unanswered> {
        let (mesh, me) = (invite.mesh, self.author.id());
        let secret = invite.secret.map(|secret| SecretProof::new(&secret, mesh, me));
        let request = self.request(secret, Timestamp::now());
        let mut lies = Vec::new();
        let believe = |from, EnrolReply { answer, cards }| match believe(mesh, me, from, &answer, Timestamp::now()) {
            Ok(answer) => Ok((answer, cards)),
            Err(error) => {
                let reason = error.to_string();
                lies.push(error);
                Err(reason)
            }
        };
        let (keypair, patience) = (self.author.keypair(), self.timing.enrol_patience);
        match mesh::ask(keypair, mesh, addresses, &request, patience, believe).await {
            Ok((address, (answer, cards))) => Ok((address, answer, cards)),
            // One liar among others must not keep a node out.
            Err(error) if lies.len() < addresses.len() => Err(Unanswered::ForNow(error)),
            Err(error) => Err(lies.into_iter().next().map_or(Unanswered::ForNow(error), Unanswered::Lies)),
        }
    }

    /// Asks to be let in, and so for what was decided of this key.
    pub(crate) fn request(&self, secret: Option<SecretProof>, now: Timestamp) -> Envelope {
        let mut request = EnrolRequest {
            sealing: Opener::new(self.author.keypair()).key(),
            label: self.label.clone(),
            facts: self.facts.clone(),
            secret,
            succeeds: self.succeeds.clone(),
        };
        if codec::encode(&request).len() > Kind::EnrolRequest.max_body_bytes() {
            // Told with every presence later on.
            request.facts.policy_ranges = None;
        }
        self.author.sign(&request, 0, now)
    }

    /// What the answer comes to, by the clock of whoever gave it.
    fn decided(
        &self,
        invite: &Invite,
        (answer, now): (EnrolAnswer, Timestamp),
        cards: Vec<SignedCard>,
    ) -> Result<Option<Joined>, JoinError> {
        let roster = match answer.decision {
            Enrolment::Pending => return Ok(None),
            Enrolment::Denied(reason) => return Err(JoinError::Denied(reason)),
            Enrolment::Refused(reason) => return Err(JoinError::Refused(reason)),
            Enrolment::Approved(roster) => roster,
        };
        let state = MeshState::new(invite.mesh, answer.endorsement, roster)?;
        let coordinator = state.roster().coordinator(now).map(|member| member.key);
        if coordinator != Some(state.coordinator().key) {
            return Err(JoinError::Impostor("the roster names another coordinator"));
        }
        let member = state.roster().member(&self.author.id()).filter(|member| member.is_in(now));
        if member.is_none_or(|member| member.role != Role::Node) {
            return Err(JoinError::NotOnRoster);
        }
        let cards = of_members(cards, state.roster(), self.author.id(), now);
        Ok(Some(Joined { state, cards }))
    }
}

/// Those cards that other members of the roster have signed.
fn of_members(cards: Vec<SignedCard>, roster: &Roster, me: NodeId, now: Timestamp) -> Vec<SignedCard> {
    let is_in = |key| key != me && roster.member(&key).is_some_and(|member| member.is_in(now));
    let is_good = |card: &SignedCard| card.verify().is_ok_and(|card| is_in(card.key));
    cards.into_iter().take(EnrolReply::MAX_CARDS).filter(is_good).collect()
}

/// The answer, if `mesh` vouches for whoever signed it, and it is for us; and when it was given.
///
/// Who answers over the connection of its own key says so now, whatever our clock shows.
pub(crate) fn believe(
    mesh: MeshId,
    me: NodeId,
    from: NodeId,
    answer: &Envelope,
    now: Timestamp,
) -> Result<(EnrolAnswer, Timestamp), JoinError> {
    let header = answer.header()?;
    let now = if header.sender == from { header.issued } else { now };
    let verified = answer.verify::<EnrolAnswer>(mesh, now)?;
    let signer = verified.sender();
    let answer = verified.into_message();
    let card =
        answer.endorsement.verify(mesh).map_err(|_| JoinError::Impostor("its card is not signed by the mesh key"))?;
    if signer != card.key {
        return Err(JoinError::Impostor("the answer is signed by another key than its card's"));
    }
    if answer.node != me { Err(JoinError::Impostor("the answer is for another node")) } else { Ok((answer, now)) }
}
