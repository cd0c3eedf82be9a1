//! `db reset`: what was scanned is dropped, who is who stays; or all of it goes.

use crate::audit;
use crate::keys::DataFolder;
use crate::store::tables::{
    ACCEPTED, ALERTS, HISTORY, KNOWN_COVERAGE, OPEN_RUNS, REPORT_PARTS, REPORT_SUMMARIES, REPORTS, RETENTION_OF_SCAN,
    RETIRED, RUN_FLOOR, RUN_LOOKS, RUNS, RUNS_OF_SCAN, SCANS, STAGED, STAGED_AGAIN, TALLIES, TASK_COVERAGE, TASKS,
    UNCUT, VERIFIED,
};
use crate::store::{self, Reads, Store, StoreError, StoreOptions};
use protocol::identity::KeyFileError;
use protocol::{Keypair, Timestamp};
use std::fs;
use std::io;
use std::path::Path;

/// The tables that hold what was scanned, and what follows from it. Last the runs: their numbers are read before.
const SCANNED: [u8; 21] = [
    OPEN_RUNS.label().0,
    SCANS.label().0,
    RUNS_OF_SCAN.label().0,
    TASKS.label().0,
    UNCUT.label().0,
    TALLIES.label().0,
    TASK_COVERAGE.label().0,
    STAGED.label().0,
    STAGED_AGAIN.label().0,
    HISTORY.label().0,
    KNOWN_COVERAGE.label().0,
    RUN_LOOKS.label().0,
    REPORTS.label().0,
    REPORT_SUMMARIES.label().0,
    REPORT_PARTS.label().0,
    ALERTS.label().0,
    ACCEPTED.label().0,
    RETENTION_OF_SCAN.label().0,
    RETIRED.label().0,
    VERIFIED.label().0,
    RUNS.label().0,
];

/// Why nothing, or not all, was dropped; asked again, it goes on.
#[derive(Debug, thiserror::Error)]
pub enum ResetError {
    /// The store, or a file.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The coordinator runs, or its key cannot be locked.
    #[error(transparent)]
    Key(#[from] KeyFileError),
}

/// Drops scans, runs, reports and alerts of the stopped coordinator in `dir`. Keys, nodes, accounts, settings, rules and
/// the audit log stay. Gives how many rows are gone.
pub async fn reset(dir: &Path, now: Timestamp) -> Result<u64, ResetError> {
    let folder = DataFolder::new(dir);
    let _lock = Keypair::lock(&folder.coordinator_key())?;
    let store = Store::open(&folder.store(), StoreOptions::default())?;
    let dropped = drop_scanned(&store, now).await;
    store.close().await;
    Ok(dropped?)
}

async fn drop_scanned(store: &Store, now: Timestamp) -> Result<u64, StoreError> {
    let noted = store.update(move |draft| {
        // A node may still bring the result of a run that is dropped; no other run may have its number.
        let last = draft.last(&RUNS)?.map_or(0, |(id, _)| id.0);
        let floor = draft.get(&RUN_FLOOR, &())?.unwrap_or(0).max(last);
        draft.put(&RUN_FLOOR, &(), &floor)?;
        audit::note(draft, &audit::operator(), "store reset", "scans, runs, reports and alerts", now)
    });
    noted.await?;
    let mut rows = 0;
    for table in SCANNED {
        rows += store.clear(table).await?;
    }
    store.compact().await?;
    Ok(rows)
}

/// Deletes keys and store of the stopped coordinator in `dir`: the mesh is lost for good, and every node has to join
/// another one. Other files stay.
pub fn reset_all(dir: &Path) -> Result<(), ResetError> {
    let folder = DataFolder::new(dir);
    let _lock = Keypair::lock(&folder.coordinator_key())?;
    let _store = store::lock(&folder.store())?;
    // What says that the folder is set up goes first.
    for path in [folder.mesh_key(), folder.mesh_name(), folder.coordinator_key()] {
        gone(fs::remove_file(&path), &path)?;
    }
    gone(fs::remove_dir_all(folder.store()), &folder.store())?;
    Ok(())
}

fn gone(removed: io::Result<()>, path: &Path) -> Result<(), StoreError> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io("delete", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}
