//! The rules in force: which open ports are worth an alert (SPEC A1).

use crate::analysis::alert::{Rule, default_rules};
use crate::store::{Reads, StoreError};

/// The rules as they stand.
pub(crate) fn in_force(_reads: &impl Reads) -> Result<Vec<Rule>, StoreError> {
    Ok(default_rules())
}
