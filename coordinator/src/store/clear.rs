//! Removing every row of a table.

use super::error::StoreError;
use super::view::Draft;
use super::{Store, files};
use std::path::Path;

/// How many rows one commit removes.
const PIECE: usize = 2_000;

impl Store {
    /// Removes every row of the table whose keys begin with `prefix`, some at a time. Gives how many there were.
    ///
    /// # Errors
    /// When the store fails; what was removed until then stays removed.
    pub(crate) async fn clear(&self, prefix: u8) -> Result<u64, StoreError> {
        let mut gone = 0;
        loop {
            let removed = self.update(move |draft: &mut Draft| draft.remove_some(prefix, PIECE)).await?;
            if removed == 0 {
                return Ok(gone);
            }
            gone += removed;
        }
    }
}

/// Holds the store in `dir` for this process, as one that is open does, until it is dropped.
///
/// # Errors
/// When another process has it.
pub(crate) fn lock(dir: &Path) -> Result<files::Lock, StoreError> {
    files::private_dir(dir).map_err(StoreError::io("make", dir))?;
    files::Lock::take(dir)
}
