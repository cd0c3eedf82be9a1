//! The data of a coordinator: checked, compacted, backed up, restored, reset. All but a backup need a stopped one.

pub use crate::backup::{BackupError, BackupMade, RestoreMade, backup, restore};
use crate::keys::DataFolder;
pub use crate::reset::{ResetError, reset, reset_all};
use crate::store;
pub use crate::store::{CheckReport, Compacted, Rebuilt, StoreError, TableReport};
use crate::store::{Store, StoreOptions};
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

/// Cuts the journal at a snapshot and makes the index without what is dead. `None`: nothing was written since the last
/// time.
pub async fn compact(dir: &Path) -> Result<Option<Compacted>, StoreError> {
    let store = Store::open(&DataFolder::new(dir).store(), StoreOptions::default())?;
    let compacted = store.compact().await;
    store.close().await;
    compacted
}
