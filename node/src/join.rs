//! How a node becomes a member: it asks with an invite, waits for a person's word, and keeps the roster that says so.

use crate::config::{MeshState, StateError};
use crate::notice::{Notice, Notices};
use crate::timing::Timing;
use protocol::codec;
use protocol::envelope::{Author, Envelope, EnvelopeError, Kind};
use protocol::identity::{MeshId, NodeId};
use protocol::invite::{Invite, InviteError};
use protocol::letter::Opener;
use protocol::mesh;
use protocol::message::{EnrolAnswer, EnrolRequest, Enrolment, NodeFacts, Succession};
use protocol::roster::Role;
use protocol::text::Text;
use protocol::time::Timestamp;
use std::sync::Arc;
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

impl Asker {
    /// Asks until somebody decides; `None` when `stop` fires first. The caller keeps the state.
    pub(crate) async fn join(&self, invite: &Invite, stop: &CancellationToken) -> Result<Option<MeshState>, JoinError> {
        tokio::select! {
            state = self.ask_until_decided(invite) => state.map(Some),
            () = stop.cancelled() => Ok(None),
        }
    }

    async fn ask_until_decided(&self, invite: &Invite) -> Result<MeshState, JoinError> {
        self.notices.tell(Notice::Asking { addresses: invite.addresses.clone() });
        let (mut heard, mut failures) = (false, 0);
        loop {
            let now = Timestamp::now();
            if !heard {
                // Once the request is pending at the coordinator, its own deadline counts.
                invite.check_time(now)?;
            }
            let keypair = Arc::clone(self.author.keypair());
            let request = self.request(invite.secret, now);
            let patience = self.timing.enrol_patience;
            match mesh::ask(keypair, invite.mesh, &invite.addresses, request, patience).await {
                Ok((from, answer)) => {
                    let answer = believe(invite.mesh, self.author.id(), from, &answer, Timestamp::now())?;
                    if let Some(state) = self.decided(invite, answer)? {
                        return Ok(state);
                    }
                    if !std::mem::replace(&mut heard, true) {
                        self.notices.tell(Notice::Pending { fingerprint: self.author.id().fingerprint() });
                    }
                    failures = 0;
                }
                Err(error) => {
                    failures += 1;
                    let retry_in = self.timing.retry_after(failures);
                    tracing::warn!(%error, ?retry_in, "no coordinator answered the enrolment request");
                    self.notices.tell(Notice::Unreachable { reason: error.to_string(), retry_in });
                    sleep(retry_in).await;
                    continue;
                }
            }
            // The coordinator holds a request while it is pending; this is for one that does not.
            sleep(self.timing.retry_after(1)).await;
        }
    }

    /// Asks to be let in, and so for what was decided of this key.
    pub(crate) fn request(&self, secret: Option<[u8; 16]>, now: Timestamp) -> Envelope {
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

    fn decided(&self, invite: &Invite, answer: EnrolAnswer) -> Result<Option<MeshState>, JoinError> {
        let roster = match answer.decision {
            Enrolment::Pending => return Ok(None),
            Enrolment::Denied(reason) => return Err(JoinError::Denied(reason)),
            Enrolment::Refused(reason) => return Err(JoinError::Refused(reason)),
            Enrolment::Approved(roster) => roster,
        };
        let state = MeshState::new(invite.mesh, answer.endorsement, roster)?;
        let now = Timestamp::now();
        let coordinator = state.roster().coordinator(now).map(|member| member.key);
        if coordinator != Some(state.coordinator().key) {
            return Err(JoinError::Impostor("the roster names another coordinator"));
        }
        let member = state.roster().member(&self.author.id()).filter(|member| member.is_in(now));
        let is_node = member.is_some_and(|member| member.role == Role::Node);
        if is_node { Ok(Some(state)) } else { Err(JoinError::NotOnRoster) }
    }
}

/// The answer, if `mesh` vouches for whoever gave it, and it is for us.
pub(crate) fn believe(
    mesh: MeshId,
    me: NodeId,
    from: NodeId,
    answer: &Envelope,
    now: Timestamp,
) -> Result<EnrolAnswer, JoinError> {
    let verified = answer.verify::<EnrolAnswer>(mesh, now)?;
    let signer = verified.sender();
    let answer = verified.into_message();
    let card =
        answer.endorsement.verify(mesh).map_err(|_| JoinError::Impostor("its card is not signed by the mesh key"))?;
    if signer != card.key {
        return Err(JoinError::Impostor("the answer is signed by another key than its card's"));
    }
    if from != card.key {
        return Err(JoinError::Impostor("the connection belongs to another key than its card's"));
    }
    if answer.node != me { Err(JoinError::Impostor("the answer is for another node")) } else { Ok(answer) }
}
