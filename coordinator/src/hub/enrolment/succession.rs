//! A member goes on under a new key: the old one vouched for it, and is out from then on.

use super::Outcome;
use crate::audit;
use crate::registry::issuing::Issuer;
use crate::registry::{Admission, Approval, NodeRecord};
use crate::store::tables::NODES;
use crate::store::{Draft, Reads, StoreError};
use protocol::message::{EnrolRequest, Enrolment as Decision, Succession};
use protocol::text::Text;
use protocol::{NodeId, Timestamp};

/// Lets `key` in on the terms of the member that named it, which becomes a tombstone; in one commit and one roster.
pub(super) fn succeed(
    draft: &mut Draft,
    key: NodeId,
    request: &EnrolRequest,
    word: &Succession,
    issuer: &Issuer,
    now: Timestamp,
) -> Result<Outcome, StoreError> {
    let refused = |reason: &str| Ok(Outcome::Decided(Decision::Refused(reason.into())));
    let Ok(old) = word.verify(issuer.mesh_key.id(), key) else {
        return refused("the word of the old key does not hold; start the rotation anew");
    };
    let before = draft.get(&NODES, &old)?.filter(|node| node.is_in(now));
    let Some((before, terms)) = before.and_then(|node| Some((node.clone(), node.approval()?.clone()))) else {
        return refused("the old key is no member any more; join with a new invite");
    };
    let by = Text::new(&format!("rotation of {old}"));
    let subject = format!("{old} ({}) goes on as {key}", before.label);
    audit::note(draft, &audit::mesh(), "node rotate", &subject, now)?;
    let approval = Approval { by: by.clone(), at: now, ..terms };
    let after = NodeRecord {
        label: before.label.clone(),
        hidden: before.hidden,
        admission: Admission::Approved(approval),
        ..NodeRecord::asked(key, request, now)
    };
    let reason = Text::new(&format!("{key} took its place"));
    let gone = NodeRecord { admission: Admission::Revoked { reason, by, at: now }, hidden: true, ..before };
    draft.put(&NODES, &key, &after)?;
    draft.put(&NODES, &old, &gone)?;
    issuer.issue(draft, now).map(Outcome::Let)
}
