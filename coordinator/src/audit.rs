//! Who did what: an entry is part of the commit whose effect it describes.

use crate::accounts::{Actor, Role};
use crate::store::tables::AUDIT;
use crate::store::{Draft, Reads, StoreError};
use protocol::Timestamp;
use protocol::codec::{Decode, Encode};
use protocol::text::Text;

/// One thing that was done.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct AuditEntry {
    /// When.
    pub(crate) at: Timestamp,
    /// By whom.
    pub(crate) actor: Text,
    /// What, as `noun verb`.
    pub(crate) action: Text,
    /// To what, and how.
    pub(crate) subject: Text,
}

/// Stands for what rosters and members make us do.
pub(crate) fn mesh() -> Actor {
    Actor { name: "mesh".into(), role: Role::Approver }
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
    let entry =
        AuditEntry { at: now, actor: actor.name.clone(), action: Text::new(action), subject: Text::new(subject) };
    draft.put(&AUDIT, &number, &entry)
}
