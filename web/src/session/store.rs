//! Sessions in the coordinator's store: under the hash of their id, so that a stolen disk opens none.

use async_trait::async_trait;
use coordinator::sessions::Sessions;
use protocol::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt;
use tower_sessions::SessionStore;
use tower_sessions::cookie::time::OffsetDateTime;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result};

/// What the key of a session begins with.
const PREFIX: &[u8] = b"session/";

/// tower-sessions' door to the rows that may be lost.
#[derive(Clone)]
pub(crate) struct CoordinatorStore(Sessions);

type Data = HashMap<String, serde_json::Value>;

/// A session without its id.
#[derive(Serialize, Deserialize)]
struct Row {
    data: Data,
    /// Seconds since 1970.
    expires: i64,
}

impl Row {
    fn is_over(&self, now: Timestamp) -> bool {
        i64::try_from(now.as_millis() / 1_000).is_ok_and(|now| self.expires <= now)
    }
}

impl CoordinatorStore {
    pub(crate) fn new(sessions: Sessions) -> Self {
        Self(sessions)
    }

    /// Every session that has not run out, by its key.
    pub(super) async fn all(&self, now: Timestamp) -> Result<Vec<(Vec<u8>, Data)>> {
        let rows = self.0.all(PREFIX).await.map_err(backend)?;
        let read = |(key, bytes): (Vec<u8>, Vec<u8>)| Some((key, serde_json::from_slice::<Row>(&bytes).ok()?));
        let open = rows.into_iter().filter_map(read).filter(|(_, row)| !row.is_over(now));
        Ok(open.map(|(key, row)| (key, row.data)).collect())
    }

    /// Removes the sessions that have run out, and the browsers that were not seen for long.
    pub(super) async fn sweep(&self, now: Timestamp) -> Result<()> {
        for (key, bytes) in self.0.all(PREFIX).await.map_err(backend)? {
            if serde_json::from_slice::<Row>(&bytes).map_or(true, |row| row.is_over(now)) {
                self.0.remove(&key).await.map_err(backend)?;
            }
        }
        super::device::sweep(&self.0, now).await.map_err(backend)
    }
}

impl fmt::Debug for CoordinatorStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CoordinatorStore")
    }
}

fn bytes_of(record: &Record) -> Result<Vec<u8>> {
    let Record { id: _, data, expiry_date } = record;
    let row = Row { data: data.clone(), expires: expiry_date.unix_timestamp() };
    serde_json::to_vec(&row).map_err(|error| Error::Encode(error.to_string()))
}

#[async_trait]
impl SessionStore for CoordinatorStore {
    async fn create(&self, record: &mut Record) -> Result<()> {
        // An id has 128 random bits: two alike do not happen.
        self.0.put(&key(&record.id), bytes_of(record)?).await.map_err(backend)
    }

    /// A session that was ended while a request was under way stays ended.
    async fn save(&self, record: &Record) -> Result<()> {
        self.0.replace(&key(&record.id), bytes_of(record)?).await.map_err(backend)
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

/// What a session is kept under.
pub(super) fn key(id: &Id) -> Vec<u8> {
    let hash = Sha256::new().chain_update(b"portdrift/1/session").chain_update(id.0.to_be_bytes()).finalize();
    [PREFIX, hash.as_slice()].concat()
}

fn backend(error: impl fmt::Display) -> Error {
    Error::Backend(error.to_string())
}
