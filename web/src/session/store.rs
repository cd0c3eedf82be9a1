//! Sessions in the coordinator's store: under the hash of their id, so that a stolen disk opens none.

use async_trait::async_trait;
use coordinator::sessions::Sessions;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt;
use tower_sessions::SessionStore;
use tower_sessions::cookie::time::OffsetDateTime;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result};

/// tower-sessions' door to the rows that may be lost.
#[derive(Clone)]
pub(crate) struct CoordinatorStore(Sessions);

/// A session without its id.
#[derive(Serialize, Deserialize)]
struct Row {
    data: HashMap<String, serde_json::Value>,
    /// Seconds since 1970.
    expires: i64,
}

impl CoordinatorStore {
    pub(crate) fn new(sessions: Sessions) -> Self {
        Self(sessions)
    }
}

impl fmt::Debug for CoordinatorStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CoordinatorStore")
    }
}

#[async_trait]
impl SessionStore for CoordinatorStore {
    async fn create(&self, record: &mut Record) -> Result<()> {
        // An id has 128 random bits: two alike do not happen.
        self.save(record).await
    }

    async fn save(&self, record: &Record) -> Result<()> {
        let Record { id, data, expiry_date } = record;
        let row = Row { data: data.clone(), expires: expiry_date.unix_timestamp() };
        let bytes = serde_json::to_vec(&row).map_err(|error| Error::Encode(error.to_string()))?;
        self.0.put(&key(id), bytes).await.map_err(backend)
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let Some(bytes) = self.0.get(&key(id)).await.map_err(backend)? else { return Ok(None) };
        let row: Row = serde_json::from_slice(&bytes).map_err(|error| Error::Decode(error.to_string()))?;
        let expiry_date =
            OffsetDateTime::from_unix_timestamp(row.expires).map_err(|error| Error::Decode(error.to_string()))?;
        let is_active = expiry_date > OffsetDateTime::now_utc();
        Ok(is_active.then_some(Record { id: *id, data: row.data, expiry_date }))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        self.0.remove(&key(id)).await.map_err(backend)
    }
}

fn key(id: &Id) -> [u8; 32] {
    Sha256::new().chain_update(b"portdrift/1/session").chain_update(id.0.to_be_bytes()).finalize().into()
}

fn backend(error: impl fmt::Display) -> Error {
    Error::Backend(error.to_string())
}
