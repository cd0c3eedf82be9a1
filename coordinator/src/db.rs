//! The data of a stopped coordinator: checked, or its index made anew.

use crate::keys::DataFolder;
use crate::store;
pub use crate::store::{CheckReport, Rebuilt, StoreError, TableReport};
use std::path::Path;

/// Reads the whole journal and compares the index with it; changes nothing.
pub fn check(dir: &Path) -> Result<CheckReport, StoreError> {
    store::check(&DataFolder::new(dir).store())
}

/// What errors and reports call the table with this prefix.
pub fn table_name(prefix: u8) -> &'static str {
    store::tables::NAMES.iter().find(|(known, _)| *known == prefix).map_or("unknown", |(_, name)| name)
}

/// Drops the index and makes it anew from the journal.
pub fn rebuild(dir: &Path) -> Result<Rebuilt, StoreError> {
    store::rebuild(&DataFolder::new(dir).store())
}
