//! Strangers that ask through a sponsor: judged like those that ask here, answered by letter.
//!
//! A sponsor proves nothing: whose request it is, is proven by the request itself. Only where the stranger was seen is
//! the sponsor's word, so that counts for this sponsor alone.

use super::Hub;
use protocol::envelope::Verified;
use protocol::invite::MAX_ADDRESSES;
use protocol::mesh::{EnrolReply, ReplyTo};
use protocol::message::{EnrolAnswer, EnrolRequest, Enrolment as Decision, SponsoredAnswer, SponsoredRequest};
use protocol::roster::{Member, Role};
use protocol::{NodeId, Timestamp};
use std::net::SocketAddr;

/// Addresses of one sponsor in an invite.
const EACH: usize = 2;

/// Which way an answer goes back to a stranger.
#[derive(Debug)]
pub(super) enum Back {
    /// Over the stranger's own connection.
    Here(ReplyTo),
    /// By letter to this sponsor.
    Through(NodeId),
}

impl Back {
    pub(super) fn sponsor(&self) -> Option<NodeId> {
        match self {
            Self::Here(_) => None,
            Self::Through(sponsor) => Some(*sponsor),
        }
    }
}

impl Hub {
    /// A member passes on a stranger's request.
    pub(super) async fn on_sponsored(&mut self, message: Verified<SponsoredRequest>, now: Timestamp) {
        let sponsor = message.sender();
        let member = self.mesh.roster().and_then(|roster| roster.member(&sponsor));
        if !member.is_some_and(|member| member.may_sponsor) {
            self.refused.requests += 1;
            return tracing::warn!(node.id = %sponsor, "a node that may not sponsor passed on a request to join");
        }
        if !self.enrolment.sponsored.admit(sponsor, now) {
            self.refused.requests += 1;
            return tracing::warn!(node.id = %sponsor, "a sponsor passes on too many requests; one was dropped");
        }
        let SponsoredRequest { request, address } = message.into_message();
        match request.verify::<EnrolRequest>(self.author.mesh(), now) {
            Ok(request) => self.on_request(request, address, Back::Through(sponsor), now).await,
            Err(error) => {
                self.refused.requests += 1;
                tracing::debug!(%error, node.id = %sponsor, "an unreadable sponsored request was dropped");
            }
        }
    }

    /// Where members that may sponsor take requests to join: the port after the mesh port that their cards name.
    pub(super) fn sponsor_addresses(&self, now: Timestamp) -> Vec<SocketAddr> {
        let roster = self.mesh.roster().into_iter().flat_map(|roster| roster.approved(now));
        // One whose revocation still waits for the mesh key is on the roster, but no member here.
        let is_sponsor = |member: &&Member| member.role == Role::Node && member.may_sponsor;
        let sponsors = roster.filter(is_sponsor).filter(|member| self.members.contains_key(&member.key));
        let cards = sponsors.filter_map(|member| self.mesh.card(&member.key));
        let after = |address: &SocketAddr| Some(SocketAddr::new(address.ip(), address.port().checked_add(1)?));
        cards.flat_map(|card| card.addresses.iter().take(EACH).filter_map(after)).take(MAX_ADDRESSES).collect()
    }

    /// Signs an answer and sends it back. A node that was let in is told whom else it can dial.
    pub(super) fn answer(&mut self, node: NodeId, back: Back, decision: Decision, now: Timestamp) {
        let is_in = matches!(decision, Decision::Approved(_));
        self.refused.requests += u64::from(matches!(decision, Decision::Refused(_)));
        let endorsement = self.enrolment.endorsement.clone();
        let answer = self.author.sign(&EnrolAnswer { endorsement, node, decision }, 0, now);
        match back {
            Back::Here(reply) => {
                let cards = if is_in { self.mesh.introduce() } else { Vec::new() };
                self.enrol.reply(reply, EnrolReply { answer, cards });
            }
            Back::Through(sponsor) => self.write_to(sponsor, &SponsoredAnswer { node, answer }, now),
        }
    }
}

#[cfg(test)]
mod tests;
