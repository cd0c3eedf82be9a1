//! Whether a table has changed since something was worked out from it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Store;
use super::index::Changes;

/// How often each table was changed since the store was opened, by its prefix.
#[derive(Clone)]
pub(super) struct Revisions(Arc<[AtomicU64; 256]>);

impl Default for Revisions {
    fn default() -> Self {
        Self(Arc::new([const { AtomicU64::new(0) }; 256]))
    }
}

impl Revisions {
    /// Counts changes that reads see from now on.
    pub(super) fn note(&self, changes: &Changes) {
        let mut last = None;
        // The keys of a table stand together.
        for prefix in changes.keys().filter_map(|key| key.first().copied()) {
            if last != Some(prefix) {
                self.of(prefix).fetch_add(1, Ordering::AcqRel);
            }
            last = Some(prefix);
        }
    }

    /// Counts for every table: what changed is not known.
    pub(super) fn note_all(&self) {
        for revision in self.0.iter() {
            revision.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn of(&self, prefix: u8) -> &AtomicU64 {
        self.0.get(usize::from(prefix)).expect("there is one for each byte")
    }
}

/// What was last worked out from some tables, for as long as none of them changes.
pub(crate) struct Memo<T>(Mutex<Option<(u64, T)>>);

impl<T> Default for Memo<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Memo<T> {
    /// What was worked out, if these `tables` are as they were then; before it what is to be given to [`Self::keep`] with
    /// a result that is read from now on.
    pub(crate) fn get(&self, store: &Store, tables: &[(u8, &str)]) -> (u64, Option<T>) {
        let revision = |(prefix, _): &(u8, &str)| store.shared.revisions.of(*prefix).load(Ordering::Acquire);
        let revision = tables.iter().map(revision).fold(0, u64::wrapping_add);
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What is out of date makes room for what is read now.
        held.take_if(|(known, _)| *known < revision);
        let known = held.as_ref().filter(|(known, _)| *known == revision);
        (revision, known.map(|(_, value)| value.clone()))
    }

    /// Keeps what was read after [`Self::get`] gave this revision.
    pub(crate) fn keep(&self, revision: u64, value: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((revision, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Reads, StoreError, StoreOptions, Table};

    const ONE: Table<u64, u64> = Table::new(b'o', "one");
    const OTHER: Table<u64, u64> = Table::new(b't', "other");

    #[tokio::test]
    async fn what_was_worked_out_holds_until_its_own_table_changes() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path(), StoreOptions::default()).unwrap();
        let memo = Memo::default();
        let count = async || match memo.get(&store, &[ONE.label()]) {
            (_, Some(known)) => (known, "known"),
            (revision, None) => {
                let counted = store.read(|view| Ok(view.iter(&ONE).count())).await.unwrap();
                memo.keep(revision, counted);
                (counted, "read")
            }
        };
        let put = async |table: &'static Table<u64, u64>, key: u64| {
            store.update::<_, StoreError>(move |draft| draft.put(table, &key, &1)).await.unwrap();
        };
        assert_eq!((count().await, count().await), ((0, "read"), (0, "known")));
        put(&OTHER, 1).await;
        assert_eq!(count().await, (0, "known"));
        put(&ONE, 1).await;
        assert_eq!((count().await, count().await), ((1, "read"), (1, "known")));
        let late = memo.get(&store, &[ONE.label()]);
        put(&ONE, 2).await;
        memo.keep(0, 7);
        assert_eq!(
            (late.1, count().await),
            (Some(1), (2, "read")),
            "what was read before a change is not kept after it"
        );
        store.close().await;
    }
}
