//! Sessions of signed-in users: opaque bytes under a hash, outside the journal. Losing them only means signing in again.

use crate::store::{Store, StoreError};

/// Where sessions are kept.
#[derive(Clone)]
pub struct Sessions(Store);

impl Sessions {
    pub(crate) fn new(store: Store) -> Self {
        Self(store)
    }

    /// The bytes kept under `key`.
    pub async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.volatile().get(key.to_vec()).await
    }

    /// Keeps `value` under `key`, where something is kept already: what was removed meanwhile stays away.
    pub async fn replace(&self, key: &[u8], value: Vec<u8>) -> Result<(), StoreError> {
        self.0.volatile().replace(key.to_vec(), value).await
    }

    /// Every key that begins with `prefix`, with its bytes.
    pub async fn all(&self, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        self.0.volatile().all(prefix.to_vec()).await
    }

    /// Keeps `value` under `key`.
    pub async fn put(&self, key: &[u8], value: Vec<u8>) -> Result<(), StoreError> {
        self.0.volatile().put(key.to_vec(), value).await
    }

    /// Forgets what is under `key`.
    pub async fn remove(&self, key: &[u8]) -> Result<(), StoreError> {
        self.0.volatile().remove(key.to_vec()).await
    }
}
