//! Whether this node still belongs to the mesh, asked where strangers ask, at the coordinator or at a sponsor: one that
//! was thrown out hears nothing else, and one that was away for long learns there who is in now.

use super::{Agent, AgentError};
use crate::engine::Engine;
use crate::join::{self, Asker};
use protocol::card::Card;
use protocol::mesh::{self, AskError, EnrolReply};
use protocol::message::{EnrolAnswer, Enrolment};
use protocol::roster::{Member, Precedence, Role, SignedRoster};
use protocol::time::Timestamp;
use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;

/// How many addresses of members that may sponsor are tried in one question, and of each of them.
const SPONSORS: usize = 8;
const EACH: usize = 2;

/// How much longer than the silence that leads to the first question the next ones wait.
const PATIENCE: u32 = 5;

type Answer = Result<(SocketAddr, EnrolAnswer), AskError>;

/// When to ask, and the question that is under way.
#[derive(Debug)]
pub(super) struct Standing {
    due: Instant,
    asking: Option<JoinHandle<Answer>>,
    /// How many questions there were.
    asked: usize,
}

impl Standing {
    /// The first question after this much silence.
    pub(super) fn new(silence: Duration, now: Instant) -> Self {
        Self { due: now + silence, asking: None, asked: 0 }
    }

    /// The coordinator was heard: nothing to ask for as long as it takes to fall silent.
    pub(super) fn heard(&mut self, silence: Duration, now: Instant) {
        self.due = now + silence;
    }

    /// The answer, once there is one.
    pub(super) async fn next(&mut self) -> Result<Answer, JoinError> {
        let Some(asking) = &mut self.asking else { return pending().await };
        let answer = asking.await;
        self.asking = None;
        answer
    }

    /// When the next question is due.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.asking.is_none().then_some(self.due)
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        if let Some(asking) = &self.asking {
            asking.abort();
        }
    }
}

impl<E: Engine> Agent<E> {
    /// Asks, when the coordinator has been silent for long.
    pub(super) fn ask_standing(&mut self, now: Instant) {
        if self.standing.asking.is_some() || now < self.standing.due {
            return;
        }
        self.standing.due = now + self.timing.silence * PATIENCE;
        if self.stopping {
            return;
        }
        let author = self.post.author().clone();
        let asker = Asker {
            label: self.facts.hostname.clone(),
            facts: self.facts.clone(),
            timing: self.timing,
            notices: self.notices.clone(),
            author: author.clone(),
            succeeds: None,
        };
        let request = asker.request(None, Timestamp::now());
        let me = self.me;
        let addresses = self.desks(Timestamp::now());
        self.standing.asked = self.standing.asked.wrapping_add(1);
        let patience = self.timing.enrol_patience;
        let asking = async move {
            let believe = |from, reply: EnrolReply| {
                let answer = join::believe(author.mesh(), me, from, &reply.answer, Timestamp::now());
                answer.map(|(answer, _)| answer).map_err(|error| error.to_string())
            };
            mesh::ask(author.keypair(), author.mesh(), &addresses, &request, patience, believe).await
        };
        self.standing.asking = Some(tokio::spawn(asking));
    }

    /// Where requests to join are taken: at the coordinator, and at members that may sponsor, since far from it there is
    /// nobody else. Of many sponsors each question takes others.
    fn desks(&self, now: Timestamp) -> Vec<SocketAddr> {
        let is_sponsor = |member: &&Member| member.role == Role::Node && member.may_sponsor && member.key != self.me;
        let sponsors = self.state.roster().approved(now).filter(is_sponsor);
        let cards = sponsors.filter_map(|member| self.mesh.card(&member.key));
        let ports = |card: &Card| enrolment_ports(&card.addresses).into_iter().take(EACH).collect::<Vec<_>>();
        let mut sponsors: Vec<SocketAddr> = cards.flat_map(ports).collect();
        let turn = (self.standing.asked.wrapping_mul(SPONSORS)).checked_rem(sponsors.len()).unwrap_or_default();
        sponsors.rotate_left(turn);
        let coordinator = enrolment_ports(&self.state.coordinator().addresses);
        coordinator.into_iter().chain(sponsors.into_iter().take(SPONSORS)).collect()
    }

    /// Takes what the coordinator says of this node: a newer roster, or that it is out.
    pub(super) async fn on_standing(&mut self, answer: Result<Answer, JoinError>) -> Result<(), AgentError> {
        let decision = match answer {
            Ok(Ok((_, answer))) => answer.decision,
            Ok(Err(error)) => {
                tracing::debug!(%error, "no enrolment port gives an answer either");
                return Ok(());
            }
            Err(error) => {
                tracing::error!(%error, "asking for this node's standing failed");
                return Ok(());
            }
        };
        match decision {
            Enrolment::Approved(roster) => self.on_handed_roster(roster).await,
            Enrolment::Denied(reason) => Err(AgentError::ShutOut(reason)),
            Enrolment::Pending | Enrolment::Refused(_) => Ok(()),
        }
    }

    async fn on_handed_roster(&mut self, signed: SignedRoster) -> Result<(), AgentError> {
        match self.mesh.set_roster(signed.clone()) {
            Ok(Precedence::Newer) => self.on_roster(signed).await,
            Ok(Precedence::Same | Precedence::Older | Precedence::Conflict) => Ok(()),
            Err(error) => {
                tracing::warn!(%error, "the coordinator handed over a bad roster");
                Ok(())
            }
        }
    }
}

/// The enrolment port is the one after the mesh port.
pub(crate) fn enrolment_ports(mesh: &[SocketAddr]) -> Vec<SocketAddr> {
    let after = |address: &SocketAddr| Some(SocketAddr::new(address.ip(), address.port().checked_add(1)?));
    mesh.iter().filter_map(after).collect()
}
