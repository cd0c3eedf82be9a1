//! Strangers at the enrolment port: noted, answered at once when decided, kept waiting a while when not.

mod succession;

use super::Hub;
use super::sponsored::Back;
use crate::accounts::{Actor, Role};
use crate::audit;
use crate::events::Event;
use crate::registry::issuing::{Issued, Issuer};
use crate::registry::{Admission, Approval, MAX_PENDING, MAX_PENDING_THROUGH_ANY, MAX_PENDING_THROUGH_ONE, NodeRecord};
use crate::store::tables::{INVITES, NODES};
use crate::store::{Draft, Reads, StoreError};
use protocol::card::Endorsement;
use protocol::envelope::Verified;
use protocol::invite::SecretName;
use protocol::mesh::{EnrolRequestArrived, Turnstile, place};
use protocol::message::{EnrolRequest, Enrolment as Decision, NEW_KEYS_A_MINUTE, SPONSORED_A_MINUTE};
use protocol::roster::{MemberState, Roster};
use protocol::text::Text;
use protocol::{NodeId, Timestamp};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// How long an undecided request is held before it is answered with "ask again".
const HOLD: Duration = Duration::from_secs(20);

/// How often a waiting node's asking is written down; asking costs the asker nothing and must cost us no disk.
const NOTE_AGAIN: Duration = Duration::from_secs(600);

/// What the hub needs to deal with strangers.
pub(crate) struct Enrolment {
    pub(super) endorsement: Endorsement,
    pub(super) issuer: Issuer,
    waiting: BTreeMap<NodeId, (Back, Timestamp)>,
    /// By address, where one sponsor or this coordinator saw it; a valid secret is not counted.
    new_keys: Turnstile<(Option<NodeId>, Option<IpAddr>)>,
    /// What each sponsor passes on.
    pub(super) sponsored: Turnstile<NodeId>,
    /// Which start of which node was told that it waits, and when.
    told: BTreeMap<NodeId, (u64, Timestamp)>,
}

/// What the store says about a request.
enum Outcome {
    Waiting { is_new: bool },
    Let(Issued),
    Decided(Decision),
}

impl Enrolment {
    /// Nobody waits yet.
    pub(crate) fn new(endorsement: Endorsement, issuer: Issuer) -> Self {
        Self {
            endorsement,
            issuer,
            waiting: BTreeMap::new(),
            new_keys: Turnstile::new(NEW_KEYS_A_MINUTE),
            sponsored: Turnstile::new(SPONSORED_A_MINUTE),
            told: BTreeMap::new(),
        }
    }

    /// The clock was set back: nobody is held, or counted, for longer than usual.
    pub(super) fn clock_was_set(&mut self, now: Timestamp) {
        self.waiting.values_mut().for_each(|(_, until)| *until = (*until).min(now.plus(HOLD)));
        self.new_keys.clock_was_set(now);
        self.sponsored.clock_was_set(now);
        self.told.values_mut().for_each(|(_, at)| *at = (*at).min(now));
    }

    /// True the first time that this start of a node asks: it is told at once that it waits, and held when it asks on.
    fn is_first_word(&mut self, node: NodeId, boot: u64, now: Timestamp) -> bool {
        if self.told.len() > 2 * MAX_PENDING {
            self.told.clear();
        }
        let is_first = self.told.get(&node).is_none_or(|(told, at)| *told != boot && now.since(*at) > HOLD);
        if is_first {
            self.told.insert(node, (boot, now));
        }
        is_first
    }
}

impl Hub {
    /// A request came in at the enrolment port.
    pub(super) async fn on_enrol_request(&mut self, arrived: EnrolRequestArrived) {
        let now = Timestamp::now();
        let EnrolRequestArrived { from, address, envelope, reply } = arrived;
        // The connection proves that its key asks now; its clock, which it has no beacon to set by, may be wrong.
        let asked = envelope.header().map_or(now, |header| header.issued);
        let request = match envelope.verify::<EnrolRequest>(self.author.mesh(), asked) {
            Ok(request) if request.sender() == from => request,
            Ok(_) => {
                self.refused.requests += 1;
                return tracing::warn!(node.id = %from, "an enrolment request in another key's name was dropped");
            }
            Err(error) => {
                self.refused.requests += 1;
                return tracing::debug!(%error, "an unreadable enrolment request was dropped");
            }
        };
        self.on_request(request, address.map(|address| address.ip()), Back::Here(reply), now).await;
    }

    /// A proven request; `address` is where it was first seen.
    pub(super) async fn on_request(
        &mut self,
        request: Verified<EnrolRequest>,
        address: Option<IpAddr>,
        back: Back,
        now: Timestamp,
    ) {
        let (from, boot, sponsor) = (request.sender(), request.header().boot, back.sponsor());
        match self.consider(request, (sponsor, address.map(place)), now).await {
            Ok(Outcome::Waiting { is_new }) => {
                if self.enrolment.is_first_word(from, boot, now) {
                    self.answer(from, back, Decision::Pending, now);
                } else {
                    self.enrolment.waiting.insert(from, (back, now.plus(HOLD)));
                }
                if is_new {
                    tracing::info!(node.id = %from, sponsor = ?sponsor, ?address, "a node asks to join");
                    self.events.publish(Event::Node { node: from });
                }
            }
            Ok(Outcome::Let(issued)) => {
                self.on_issued(issued, &[], now).await;
                self.events.publish(Event::Node { node: from });
                let decision = self.as_the_roster_says(from);
                self.answer(from, back, decision, now);
            }
            Ok(Outcome::Decided(decision)) => self.answer(from, back, decision, now),
            Err(error) => {
                tracing::error!(%error, node.id = %from, "an enrolment request could not be stored");
                let busy = "the coordinator cannot store requests now; try again later";
                self.answer(from, back, Decision::Refused(busy.into()), now);
            }
        }
    }

    async fn consider(
        &mut self,
        request: Verified<EnrolRequest>,
        came: (Option<NodeId>, Option<IpAddr>),
        now: Timestamp,
    ) -> Result<Outcome, StoreError> {
        let key = request.sender();
        let request = request.into_message();
        let secret = request.secret.as_ref().and_then(|proof| proof.verify(self.author.mesh(), key).ok());
        let seen = self.store.read(move |view| {
            let is_open =
                |name| Ok::<_, StoreError>(view.get(&INVITES, &name)?.is_some_and(|found| found.is_open(now)));
            Ok::<_, StoreError>((view.contains(&NODES, &key)?, secret.map(is_open).transpose()?.unwrap_or(false)))
        });
        let (known, is_invited) = seen.await?;
        if !known && !is_invited && !self.enrolment.new_keys.admit(came, now) {
            let reason = "too many new keys came from this address; wait a minute";
            return Ok(Outcome::Decided(Decision::Refused(reason.into())));
        }
        if let Some(reason) = self.mesh.roster().and_then(|roster| revoked(roster, key)).filter(|_| !known) {
            return Ok(Outcome::Decided(Decision::Denied(reason)));
        }
        let (issuer, sponsor) = (self.enrolment.issuer.clone(), came.0);
        match self.store.update(move |draft| consider(draft, key, &request, sponsor, &issuer, now)).await? {
            Outcome::Decided(Decision::Pending) => Ok(match self.as_the_roster_says(key) {
                // Decided on a moment ago: the word of it is on its way here, and whoever is held hears it then.
                Decision::Pending => Outcome::Waiting { is_new: false },
                decision @ (Decision::Approved(_) | Decision::Denied(_) | Decision::Refused(_)) => {
                    Outcome::Decided(decision)
                }
            }),
            outcome @ (Outcome::Waiting { .. } | Outcome::Let(_) | Outcome::Decided(_)) => Ok(outcome),
        }
    }

    /// Answers a held request of a node that was decided on.
    pub(super) async fn answer_waiting(&mut self, node: NodeId) {
        let Some((back, _)) = self.enrolment.waiting.remove(&node) else { return };
        let found = self.store.read(move |view| view.get(&NODES, &node)).await;
        let decision = match found.map(|record| record.map(|record| record.admission)) {
            Ok(Some(Admission::Approved(_) | Admission::Suspended { .. })) => self.as_the_roster_says(node),
            Ok(Some(Admission::Denied { reason, .. })) => Decision::Denied(reason),
            Ok(Some(Admission::Revoked { reason, .. })) => Decision::Denied(revoked_words(&reason)),
            Ok(Some(Admission::Pending) | None) | Err(_) => Decision::Pending,
        };
        self.answer(node, back, decision, Timestamp::now());
    }

    /// Sends those away that have waited long enough; they ask again.
    pub(super) fn release_waiting(&mut self, now: Timestamp) {
        let over: Vec<NodeId> =
            self.enrolment.waiting.iter().filter(|(_, (_, until))| *until < now).map(|(node, _)| *node).collect();
        for node in over {
            if let Some((back, _)) = self.enrolment.waiting.remove(&node) {
                self.answer(node, back, Decision::Pending, now);
            }
        }
    }

    /// The answer to a node that was let in: it waits on while the roster that says so is not signed, or names another
    /// key, which then answers.
    fn as_the_roster_says(&self, node: NodeId) -> Decision {
        if self.leaves_by.is_some() {
            return Decision::Pending;
        }
        let member = self.mesh.roster().and_then(|roster| roster.member(&node));
        match member.map(|member| member.state) {
            Some(MemberState::Approved) => Decision::Approved(self.roster.signed.clone()),
            Some(MemberState::Revoked) | None => Decision::Pending,
        }
    }
}

/// Decides on a request by what is known, and notes it.
fn consider(
    draft: &mut Draft,
    key: NodeId,
    request: &EnrolRequest,
    sponsor: Option<NodeId>,
    issuer: &Issuer,
    now: Timestamp,
) -> Result<Outcome, StoreError> {
    let known = draft.get(&NODES, &key)?;
    match known.as_ref().map(|node| &node.admission) {
        Some(Admission::Approved(_) | Admission::Suspended { .. }) => return asks_again(draft, known, request, now),
        Some(Admission::Revoked { reason, .. }) => {
            return Ok(Outcome::Decided(Decision::Denied(revoked_words(reason))));
        }
        Some(Admission::Denied { reason, .. }) => {
            return Ok(Outcome::Decided(Decision::Denied(reason.clone())));
        }
        Some(Admission::Pending) | None => {}
    }
    if let Some(word) = &request.succeeds {
        return succession::succeed(draft, key, request, word, issuer, now);
    }
    let is_new = known.is_none();
    let mut node = known.unwrap_or_else(|| NodeRecord::asked(key, request, now));
    let noted = node.last_asked;
    (node.last_asked, node.facts, node.sealing) = (now, request.facts.clone(), Some(request.sealing));
    node.sponsor = sponsor;
    if let Some(proof) = &request.secret {
        let name = proof.verify(issuer.mesh_key.id(), key).ok();
        return match name.map(|name| redeem(draft, &name, key, now)).transpose()?.flatten() {
            Some(approval) => let_in(draft, node, approval, issuer, now).map(Outcome::Let),
            None => {
                let reason = "the invite was used or has expired; ask for a new one";
                Ok(Outcome::Decided(Decision::Refused(reason.into())))
            }
        };
    }
    if is_new && !make_room(draft, sponsor, now)? {
        let reason = "too many nodes wait for a decision; try again later";
        return Ok(Outcome::Decided(Decision::Refused(reason.into())));
    }
    if is_new || now.since(noted) >= NOTE_AGAIN {
        draft.put(&NODES, &key, &node)?;
    }
    Ok(Outcome::Waiting { is_new })
}

/// A node that was let in asks again: what it seals to may be news, where only a roster was known of it.
fn asks_again(
    draft: &mut Draft,
    known: Option<NodeRecord>,
    request: &EnrolRequest,
    now: Timestamp,
) -> Result<Outcome, StoreError> {
    let Some(mut node) = known else { return Ok(Outcome::Decided(Decision::Pending)) };
    tracing::debug!(node.id = %node.key, "an approved node asks again");
    if !node.is_in(now) {
        let reason = match node.admission {
            Admission::Suspended { .. } => "this key is suspended; an administrator can let it in again",
            Admission::Approved(_) | Admission::Pending | Admission::Denied { .. } | Admission::Revoked { .. } => {
                "the approval of this key has ended; an administrator can renew it"
            }
        };
        return Ok(Outcome::Decided(Decision::Refused(reason.into())));
    }
    if node.sealing.is_none() {
        (node.sealing, node.facts, node.last_asked) = (Some(request.sealing), request.facts.clone(), now);
        draft.put(&NODES, &node.key.clone(), &node)?;
        return Ok(Outcome::Let(Issued::Unchanged));
    }
    Ok(Outcome::Decided(Decision::Pending))
}

/// Why a key that only the roster knows stays out.
fn revoked(roster: &Roster, key: NodeId) -> Option<Text> {
    let member = roster.member(&key).filter(|member| member.state == MemberState::Revoked);
    member.map(|_| revoked_words(&Text::from("the roster says so")))
}

fn revoked_words(reason: &Text) -> Text {
    Text::new(&format!("this key was revoked ({reason}) and never comes back; join with a new one"))
}

/// Uses up a pre-approval; `None` when the secret opens nothing.
fn redeem(draft: &mut Draft, name: &SecretName, key: NodeId, now: Timestamp) -> Result<Option<Approval>, StoreError> {
    let Some(mut invite) = draft.get(&INVITES, name)? else { return Ok(None) };
    if !invite.is_open(now) {
        return Ok(None);
    }
    invite.used_by = Some(key);
    draft.put(&INVITES, name, &invite)?;
    let by = protocol::text::Text::new(&format!("invite of {}", invite.by));
    Ok(Some(Approval { ranges: invite.ranges, site: invite.site, expires: None, may_sponsor: false, by, at: now }))
}

/// Approves a node and issues the roster that says so.
pub(crate) fn let_in(
    draft: &mut Draft,
    mut node: NodeRecord,
    approval: Approval,
    issuer: &Issuer,
    now: Timestamp,
) -> Result<Issued, StoreError> {
    let actor = Actor::new(approval.by.clone(), Role::Approver);
    let subject = format!("{} as {} for {}", node.key, node.label, approval.ranges);
    audit::note(draft, &actor, "node approve", &subject, now)?;
    node.admission = Admission::Approved(approval);
    draft.put(&NODES, &node.key.clone(), &node)?;
    issuer.issue(draft, now)
}

/// Forgets nodes that asked long ago; false when the list, or the share of those who ask this way, is still full.
fn make_room(draft: &mut Draft, sponsor: Option<NodeId>, now: Timestamp) -> Result<bool, StoreError> {
    let nodes = crate::use_case::nodes::all(draft)?;
    let pending = nodes.iter().filter(|node| node.is_pending());
    let (stale, pending): (Vec<&NodeRecord>, Vec<&NodeRecord>) = pending.partition(|node| node.is_stale(now));
    for node in stale {
        draft.remove(&NODES, &node.key)?;
    }
    let through: Vec<NodeId> = pending.iter().filter_map(|node| node.sponsor).collect();
    Ok(has_room(pending.len(), &through, sponsor))
}

/// Whether one more fits that asks through `sponsor`, beside so many others, of which some asked `through` sponsors.
fn has_room(pending: usize, through: &[NodeId], sponsor: Option<NodeId>) -> bool {
    let has_share = sponsor.is_none_or(|sponsor| {
        let through_it = through.iter().filter(|other| **other == sponsor).count();
        through_it < MAX_PENDING_THROUGH_ONE && through.len() < MAX_PENDING_THROUGH_ANY
    });
    pending < MAX_PENDING && has_share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sponsors_have_a_share_of_the_list_each_and_in_all() {
        let id = |number: u8| NodeId::from_bytes([number; 32]);
        let fill = |sponsors: std::ops::Range<u8>, each: usize| {
            sponsors.flat_map(|number| std::iter::repeat_n(id(number), each)).collect::<Vec<NodeId>>()
        };
        let table = [
            (0, vec![], Some(id(1)), true),
            (499, vec![], None, true),
            (500, vec![], None, false),
            (499, fill(1..2, 49), Some(id(1)), true),
            (499, fill(1..2, 50), Some(id(1)), false),
            (499, fill(1..2, 50), Some(id(2)), true),
            (499, fill(1..6, 50), Some(id(9)), false),
            (499, fill(1..6, 50), None, true),
        ];
        for (row, (pending, through, sponsor, expected)) in table.iter().enumerate() {
            assert_eq!(has_room(*pending, through, *sponsor), *expected, "row {row}");
        }
    }
}
