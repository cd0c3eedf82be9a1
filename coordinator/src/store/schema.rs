//! How rows lie in the index: a prefix byte per table, ordered keys, values under a checksum.

use std::fmt::Write;
use std::marker::PhantomData;

use protocol::codec::{self, Decode, Encode};

use super::error::StoreError;
use super::keys::Key;

/// The schema that this program writes. A store with a higher one is refused.
pub(crate) const VERSION: u32 = 1;

/// The most bytes that one stored value may have.
pub(crate) const MAX_VALUE_BYTES: usize = 32 << 20;

/// The prefix of what the store notes about itself; no table has it.
pub(super) const OWN_PREFIX: u8 = 0;

/// A kind of row: keys of type `K` in order, values of type `V`.
pub(crate) struct Table<K, V> {
    prefix: u8,
    name: &'static str,
    row: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Table<K, V> {
    /// The table whose keys begin with `prefix` (not 0, and no other table's); errors call it `name`.
    pub(crate) const fn new(prefix: u8, name: &'static str) -> Self {
        assert!(prefix != OWN_PREFIX, "prefix 0 belongs to the store itself");
        Self { prefix, name, row: PhantomData }
    }

    /// Its prefix and its name, to show what [`check`](super::check()) counted.
    pub(crate) const fn label(&self) -> (u8, &'static str) {
        (self.prefix, self.name)
    }

    /// The bytes that every key with this first part begins with.
    pub(super) fn begin<P: Key>(&self, part: &P) -> Vec<u8> {
        let mut bytes = vec![self.prefix];
        part.write(&mut bytes);
        bytes
    }
}

impl<K: Key, V> Table<K, V> {
    /// Reads a key of this table.
    pub(super) fn parse(&self, key: &[u8]) -> Result<K, StoreError> {
        let mut rest = key.get(1..).unwrap_or_default();
        K::read(&mut rest).filter(|_| rest.is_empty()).ok_or_else(|| damaged(self.name, key))
    }
}

impl<K: Key, V: Encode + Decode<()>> Table<K, V> {
    /// The value's bytes under `key`, with their checksum.
    pub(super) fn seal(key: &[u8], value: &V) -> Result<Vec<u8>, StoreError> {
        let body = codec::encode(value);
        if body.len() > MAX_VALUE_BYTES {
            return Err(StoreError::TooLarge { size: body.len(), limit: MAX_VALUE_BYTES });
        }
        Ok(seal(key, &body))
    }

    /// Reads what [`Table::seal`] wrote under the same key.
    pub(super) fn open(&self, key: &[u8], sealed: &[u8]) -> Result<V, StoreError> {
        let body = open(key, sealed).ok_or_else(|| damaged(self.name, key))?;
        codec::decode(body, MAX_VALUE_BYTES).map_err(|_| damaged(self.name, key))
    }

    /// As [`open`](Self::open), but reads only the first part of the value; the bytes of the others come with it.
    pub(super) fn open_start<'a, S: Decode<()>>(
        &self,
        key: &[u8],
        sealed: &'a [u8],
    ) -> Result<(S, &'a [u8]), StoreError> {
        let body = open(key, sealed).ok_or_else(|| damaged(self.name, key))?;
        codec::decode_start(body).map_err(|_| damaged(self.name, key))
    }
}

/// `body` behind a CRC32C of the key and itself, so that a value under a wrong key is noticed too.
pub(super) fn seal(key: &[u8], body: &[u8]) -> Vec<u8> {
    let mut sealed = checksum(key, body).to_be_bytes().to_vec();
    sealed.extend_from_slice(body);
    sealed
}

/// What [`seal`] wrapped; `None` when key or value is not what it was.
pub(super) fn open<'a>(key: &[u8], sealed: &'a [u8]) -> Option<&'a [u8]> {
    let (crc, body) = sealed.split_first_chunk::<4>()?;
    (u32::from_be_bytes(*crc) == checksum(key, body)).then_some(body)
}

fn checksum(key: &[u8], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(key), body)
}

/// The error that names `table` and the key in hex.
pub(super) fn damaged(table: &'static str, key: &[u8]) -> StoreError {
    StoreError::Damaged { table, key: hex(key) }
}

/// The bytes as hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes every write");
        text
    })
}
