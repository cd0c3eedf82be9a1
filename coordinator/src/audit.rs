//! Who did what, when and from where: an entry is part of the commit whose effect it describes.

use crate::accounts::{Actor, Origin, Role};
use crate::store::tables::AUDIT;
use crate::store::{Draft, Reads, StoreError};
use protocol::Timestamp;
use protocol::codec::{Decode, Encode};
use protocol::text::Text;

/// One thing that was done.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub actor: Text,
    /// From where.
    pub from: Origin,
    /// What, as `noun verb`.
    pub action: Text,
    /// To what, and how.
    pub subject: Text,
}

/// Stands for what rosters and members make us do.
pub(crate) fn mesh() -> Actor {
    Actor::new("mesh".into(), Role::Approver)
}

/// Stands for the removal of runs that are not to be kept.
pub(crate) fn retention() -> Actor {
    Actor::new("retention".into(), Role::Admin)
}

/// Stands for whoever types a command on the data of a stopped coordinator.
pub(crate) fn operator() -> Actor {
    Actor::local(rustix::process::getuid().as_raw())
}

/// Notes what `actor` does in this draft.
pub(crate) fn note(
    draft: &mut Draft,
    actor: &Actor,
    action: &str,
    subject: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let number = draft.last(&AUDIT)?.map_or(0, |(number, _)| number) + 1;
    let (actor, from) = (actor.name.clone(), actor.from);
    let entry = AuditEntry { at: now, actor, from, action: Text::new(action), subject: Text::new(subject) };
    draft.put(&AUDIT, &number, &entry)
}
