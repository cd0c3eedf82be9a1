//! A bare sled and a bare file: what durable ingest costs at least. A benchmark compares the store with it.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use super::StoreOptions;
use super::error::StoreError;
use super::index::guarded;

/// Puts each of `uploads` into sled as one batch, and its bytes into a file that is synced before the next one begins.
pub(crate) fn bare_loop(dir: &Path, uploads: &[Vec<(Vec<u8>, Vec<u8>)>]) -> Result<(), StoreError> {
    let cache_bytes = StoreOptions::default().cache_bytes;
    let db = guarded(|| sled::Config::new().path(dir.join("bare")).cache_capacity(cache_bytes).open())?;
    let path = dir.join("bare.log");
    let mut log = OpenOptions::new().append(true).create(true).open(&path).map_err(StoreError::io("create", &path))?;
    for rows in uploads {
        let mut batch = sled::Batch::default();
        for (key, value) in rows {
            batch.insert(key.as_slice(), value.as_slice());
        }
        let bytes: Vec<u8> = rows.iter().flat_map(|(key, value)| [&key[..], value]).flatten().copied().collect();
        log.write_all(&bytes).and_then(|()| log.sync_data()).map_err(StoreError::io("write", &path))?;
        guarded(|| db.apply_batch(batch))?;
    }
    Ok(())
}
