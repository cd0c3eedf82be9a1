//! Typed reading and staging: what the rest of the crate sees of the store.

use std::marker::PhantomData;
use std::ops::Bound;

use protocol::codec::{Decode, Encode};

use super::error::StoreError;
use super::index::{Changes, Index, Staged};
use super::journal::{MAX_RECORD_BYTES, write_changes};
use super::keys::{Key, PrefixOf};
use super::room::Room;
use super::schema::Table;
use super::walk::{Layers, RawRow, Walk};

/// What can be read, from a [`View`] and from a [`Draft`] alike.
pub(crate) trait Reads {
    /// Where the rows come from.
    fn layers(&self) -> Layers<'_>;

    /// The value under `key`.
    fn get<K: Key, V: Encode + Decode<()>>(&self, table: &Table<K, V>, key: &K) -> Result<Option<V>, StoreError> {
        let key = table.begin(key);
        self.layers().get(&key)?.map(|sealed| table.open(&key, &sealed)).transpose()
    }

    /// Whether there is a value under `key`.
    fn contains<K: Key, V>(&self, table: &Table<K, V>, key: &K) -> Result<bool, StoreError> {
        self.layers().get(&table.begin(key)).map(|found| found.is_some())
    }

    /// All rows in key order; `.rev()` gives them in reverse.
    fn iter<'a, K: Key, V>(&'a self, table: &'a Table<K, V>) -> Rows<'a, K, V> {
        Rows::new(self.layers(), table, table.begin(&()))
    }

    /// The rows whose key begins with `prefix`.
    fn within<'a, K, V, P: PrefixOf<K>>(&'a self, table: &'a Table<K, V>, prefix: &P) -> Rows<'a, K, V> {
        Rows::new(self.layers(), table, table.begin(prefix))
    }

    /// The row with the highest key.
    fn last<K: Key, V: Encode + Decode<()>>(&self, table: &Table<K, V>) -> Result<Option<(K, V)>, StoreError> {
        self.iter(table).next_back().transpose()
    }
}

/// The stored state. Each read sees the latest; what must agree is read inside one update, or stands in one value.
pub(crate) struct View {
    index: Index,
    staged: Changes,
}

impl View {
    pub(super) fn new(index: Index) -> Self {
        Self { index, staged: Changes::new() }
    }
}

impl Reads for View {
    fn layers(&self) -> Layers<'_> {
        Layers { rows: &self.index.rows, staged: &self.staged }
    }
}

/// The state that an update sees and changes: no other update runs between its reads and its writes.
pub(crate) struct Draft<'a> {
    rows: &'a sled::Tree,
    room: &'a Room,
    staged: &'a mut Changes,
    /// What `staged` held before for each key that this update touched.
    undo: Vec<(Vec<u8>, Option<Staged>)>,
}

impl Reads for Draft<'_> {
    fn layers(&self) -> Layers<'_> {
        Layers { rows: self.rows, staged: self.staged }
    }
}

impl<'a> Draft<'a> {
    /// A draft over `rows` and what earlier updates of the same group staged.
    pub(super) fn new(rows: &'a sled::Tree, room: &'a Room, staged: &'a mut Changes) -> Self {
        Self { rows, room, staged, undo: Vec::new() }
    }

    /// Whether the disk has room for new work: asked by what begins some, not by what ends or corrects it.
    pub(crate) fn room_for_work(&self) -> Result<(), StoreError> {
        self.room.for_work()
    }

    /// Sets the value under `key`.
    pub(crate) fn put<K: Key, V: Encode + Decode<()>>(
        &mut self,
        table: &Table<K, V>,
        key: &K,
        value: &V,
    ) -> Result<(), StoreError> {
        let key = table.begin(key);
        let sealed = Table::<K, V>::seal(&key, value)?;
        self.stage(key, Some(sealed));
        Ok(())
    }

    /// Removes the value under `key`; no error when there is none.
    pub(crate) fn remove<K: Key, V>(&mut self, table: &Table<K, V>, key: &K) -> Result<(), StoreError> {
        let key = table.begin(key);
        if self.layers().get(&key)?.is_some() {
            self.stage(key, None);
        }
        Ok(())
    }

    /// Removes at most `most` rows of the table whose keys begin with `prefix`; says how many.
    pub(super) fn remove_some(&mut self, prefix: u8, most: usize) -> Result<u64, StoreError> {
        let keys: Vec<Vec<u8>> = {
            let rows = self.layers().range(Bound::Included(vec![prefix]), end_of(&[prefix]));
            rows.take(most).map(|row| row.map(|(key, _)| key.to_vec())).collect::<Result<_, _>>()?
        };
        let removed = keys.len() as u64;
        keys.into_iter().for_each(|key| self.stage(key, None));
        Ok(removed)
    }

    fn stage(&mut self, key: Vec<u8>, change: Staged) {
        let before = self.staged.insert(key.clone(), change);
        self.undo.push((key, before));
    }

    /// The changes of this update as one record; `None` when there are none.
    pub(super) fn record(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let mut keys: Vec<&[u8]> = self.undo.iter().map(|(key, _)| key.as_slice()).collect();
        keys.sort_unstable();
        keys.dedup();
        let changes = keys.iter().filter_map(|key| self.staged.get(*key).map(|value| (*key, value.as_deref())));
        let record = write_changes(changes);
        if record.len() > MAX_RECORD_BYTES {
            return Err(StoreError::TooLarge { size: record.len(), limit: MAX_RECORD_BYTES });
        }
        Ok((!record.is_empty()).then_some(record))
    }

    /// Takes everything back that this update staged.
    pub(super) fn undo(self) {
        for (key, before) in self.undo.into_iter().rev() {
            match before {
                Some(change) => self.staged.insert(key, change),
                None => self.staged.remove(&key),
            };
        }
    }
}

/// Rows of one table in key order, read and checked one by one. Narrow it first, then iterate.
pub(crate) struct Rows<'a, K, V> {
    layers: Layers<'a>,
    table: &'a Table<K, V>,
    low: Bound<Vec<u8>>,
    high: Bound<Vec<u8>>,
    walk: Option<Walk<'a>>,
    row: PhantomData<fn() -> (K, V)>,
}

impl<'a, K, V> Rows<'a, K, V> {
    fn new(layers: Layers<'a>, table: &'a Table<K, V>, prefix: Vec<u8>) -> Self {
        let high = end_of(&prefix);
        Self { layers, table, low: Bound::Included(prefix), high, walk: None, row: PhantomData }
    }

    fn walk(&mut self) -> &mut Walk<'a> {
        let (layers, low, high) = (self.layers, &self.low, &self.high);
        self.walk.get_or_insert_with(|| layers.range(low.clone(), high.clone()))
    }
}

/// A row whose value is read when it is asked for.
pub(crate) struct Row<'a, K, V> {
    table: &'a Table<K, V>,
    /// Its key.
    pub(crate) key: K,
    raw: RawRow,
}

impl<K: Key, V: Encode + Decode<()>> Row<'_, K, V> {
    /// Its value, checked.
    pub(crate) fn value(&self) -> Result<V, StoreError> {
        let (key, sealed) = &self.raw;
        self.table.open(key, sealed)
    }

    /// The first part of its value, checked, and the bytes of the rest: equal bytes are equal values.
    pub(crate) fn start<S: Decode<()>>(&self) -> Result<(S, &[u8]), StoreError> {
        let (key, sealed) = &self.raw;
        self.table.open_start(key, sealed)
    }
}

impl<'a, K: Key, V> Rows<'a, K, V> {
    /// The rows with their values unread, for a walk that needs few of them.
    pub(crate) fn unread(mut self) -> impl Iterator<Item = Result<Row<'a, K, V>, StoreError>> {
        let table = self.table;
        let rows = std::iter::from_fn(move || self.walk().next());
        rows.map(move |raw| raw.and_then(|raw| Ok(Row { table, key: table.parse(&raw.0)?, raw })))
    }

    /// Only rows after `key`: the next page of a list in key order.
    pub(crate) fn after(mut self, key: &K) -> Self {
        let key = self.table.begin(key);
        let is_tighter = match &self.low {
            Bound::Included(low) | Bound::Excluded(low) => key >= *low,
            Bound::Unbounded => true,
        };
        if is_tighter {
            self.low = Bound::Excluded(key);
        }
        self
    }

    /// Only rows behind all that begin with `prefix`.
    pub(crate) fn beyond<P: PrefixOf<K>>(self, prefix: &P) -> Self {
        let low = match end_of(&self.table.begin(prefix)) {
            Bound::Included(end) | Bound::Excluded(end) => Bound::Included(end),
            Bound::Unbounded => self.high.clone(),
        };
        Self { low, ..self }
    }

    /// Only rows before `key`: with `.rev()`, the next page of a list that shows the newest first.
    pub(crate) fn before(mut self, key: &K) -> Self {
        let key = self.table.begin(key);
        let is_tighter = match &self.high {
            Bound::Included(high) | Bound::Excluded(high) => key < *high,
            Bound::Unbounded => true,
        };
        if is_tighter {
            self.high = Bound::Excluded(key);
        }
        self
    }
}

impl<K: Key, V: Encode + Decode<()>> Rows<'_, K, V> {
    fn open(&self, (key, sealed): RawRow) -> Result<(K, V), StoreError> {
        Ok((self.table.parse(&key)?, self.table.open(&key, &sealed)?))
    }
}

impl<K: Key, V: Encode + Decode<()>> Iterator for Rows<'_, K, V> {
    type Item = Result<(K, V), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.walk().next()?;
        Some(row.and_then(|row| self.open(row)))
    }
}

impl<K: Key, V: Encode + Decode<()>> DoubleEndedIterator for Rows<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let row = self.walk().next_back()?;
        Some(row.and_then(|row| self.open(row)))
    }
}

/// The bound behind everything that begins with `prefix`.
fn end_of(prefix: &[u8]) -> Bound<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Bound::Excluded(end);
        }
    }
    Bound::Unbounded
}
