//! One result as a file: a header that names it, the compressed bytes, and a checksum over both.

use super::ResultKey;
use protocol::task::{RunId, TaskId};

const MAGIC: &[u8; 8] = b"pdriftsp";
const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 4;

/// Bytes before the compressed result: magic, version, run, index, fence.
pub(super) const HEADER_BYTES: usize = 8 + 1 + 8 + 4 + 8;

/// What an entry has beside the compressed result.
pub(super) const FRAME_BYTES: usize = HEADER_BYTES + CHECKSUM_BYTES;

/// Why a file is no whole entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum EntryError {
    /// Shorter than a header and a checksum, or not ours.
    #[error("it is not a spooled result")]
    NotAnEntry,
    /// Written by a newer program.
    #[error("it has format version {0}, this program reads {VERSION}")]
    UnknownVersion(u8),
    /// Cut or changed.
    #[error("its checksum is wrong")]
    Checksum,
    /// Renamed, or copied from elsewhere.
    #[error("its name and its content differ")]
    WrongName,
}

/// What stands before the compressed bytes of `key`.
pub(super) fn header(key: ResultKey) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.push(VERSION);
    bytes.extend_from_slice(&key.task.run.0.to_be_bytes());
    bytes.extend_from_slice(&key.task.index.to_be_bytes());
    bytes.extend_from_slice(&key.fence.to_be_bytes());
    bytes
}

/// What stands behind them.
pub(super) fn checksum(header: &[u8], compressed: &[u8]) -> [u8; CHECKSUM_BYTES] {
    crc32c::crc32c_append(crc32c::crc32c(header), compressed).to_be_bytes()
}

/// The compressed bytes of a whole entry for `key`.
pub(super) fn parse(key: ResultKey, bytes: &[u8]) -> Result<&[u8], EntryError> {
    let (whole, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(EntryError::NotAnEntry)?;
    let (head, compressed) = whole.split_at_checked(HEADER_BYTES).ok_or(EntryError::NotAnEntry)?;
    let [version, ..] = head.strip_prefix(MAGIC).ok_or(EntryError::NotAnEntry)? else {
        return Err(EntryError::NotAnEntry);
    };
    if *version != VERSION {
        return Err(EntryError::UnknownVersion(*version));
    }
    if checksum(head, compressed) != *sum {
        return Err(EntryError::Checksum);
    }
    if head == header(key) { Ok(compressed) } else { Err(EntryError::WrongName) }
}

/// The name of the file of `key`.
pub(super) fn file_name(key: ResultKey) -> String {
    format!("{}.{}.{}.result", key.task.run, key.task.index, key.fence)
}

/// The key that a file name stands for, if it is one of ours.
pub(super) fn key_of(file_name: &str) -> Option<ResultKey> {
    let mut parts = file_name.strip_suffix(".result")?.split('.');
    let run = RunId(parts.next()?.parse().ok()?);
    let index = parts.next()?.parse().ok()?;
    let key = ResultKey { task: TaskId { run, index }, fence: parts.next()?.parse().ok()? };
    // Only the one spelling that we write: `+1` and `01` are numbers too.
    (self::file_name(key) == file_name).then_some(key)
}
