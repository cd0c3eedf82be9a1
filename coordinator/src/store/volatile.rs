//! Rows that may be lost: sessions and caches. They lie beside the index and never pass the journal.

use super::Store;
use super::error::StoreError;
use super::index::{Index, guarded};
use super::schema::{damaged, open, seal};

const NAME: &str = "volatile";

/// The handle to the volatile rows. A rebuild of the index drops them all.
#[derive(Clone)]
pub(crate) struct Volatile {
    store: Store,
}

impl Volatile {
    pub(super) fn new(store: Store) -> Self {
        Self { store }
    }

    /// The value under `key`.
    pub(crate) async fn get(&self, key: Vec<u8>) -> Result<Option<Vec<u8>>, StoreError> {
        self.with(move |index| {
            let sealed = guarded(|| index.volatile.get(&key))?;
            sealed.map(|sealed| body(&key, &sealed)).transpose()
        })
        .await
    }

    /// Sets the value under `key`.
    pub(crate) async fn put(&self, key: Vec<u8>, value: Vec<u8>) -> Result<(), StoreError> {
        self.with(move |index| guarded(|| index.volatile.insert(&key, seal(&key, &value)).map(|_| ()))).await
    }

    /// Sets the value under `key` where there is one; in one step, so that what was removed meanwhile stays away.
    pub(crate) async fn replace(&self, key: Vec<u8>, value: Vec<u8>) -> Result<(), StoreError> {
        self.with(move |index| {
            let sealed = seal(&key, &value);
            let fresh = |old: Option<&[u8]>| old.map(|_| sealed.clone());
            guarded(|| index.volatile.update_and_fetch(&key, fresh).map(|_| ()))
        })
        .await
    }

    /// Every row whose key begins with `prefix`; damaged ones are left out, as they may be lost.
    pub(crate) async fn all(&self, prefix: Vec<u8>) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        self.with(move |index| {
            let rows = guarded(|| index.volatile.scan_prefix(&prefix).collect::<Result<Vec<_>, _>>())?;
            Ok(rows.iter().filter_map(|(key, sealed)| Some((key.to_vec(), body(key, sealed).ok()?))).collect())
        })
        .await
    }

    /// Removes the value under `key`; no error when there is none.
    pub(crate) async fn remove(&self, key: Vec<u8>) -> Result<(), StoreError> {
        self.with(move |index| guarded(|| index.volatile.remove(&key).map(|_| ()))).await
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Index) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let done = self.store.with_index(work).await;
        if matches!(done, Err(StoreError::Index(_))) {
            self.store.mend_index().await;
        }
        done
    }
}

fn body(key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
    open(key, sealed).map(<[u8]>::to_vec).ok_or_else(|| damaged(NAME, key))
}
