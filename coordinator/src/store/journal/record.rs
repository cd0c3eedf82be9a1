//! The journal's bytes: segment headers, records, and the changes in them.
//!
//! A segment is a header and records. A record is length (4), CRC32C of all else (4), sequence (8), `durable` (8),
//! hash of the record before it (32), changes. Numbers are big-endian.

use sha2::{Digest, Sha256};

use super::super::schema::VERSION;

/// The bytes before a record's changes.
pub(super) const PREAMBLE_BYTES: usize = 56;
/// The bytes before a segment's first record.
pub(super) const HEADER_BYTES: usize = 72;
/// The most bytes that the changes of one record may have: some 1.5 million alerts of one run.
pub(crate) const MAX_RECORD_BYTES: usize = 256 << 20;

const MAGIC: [u8; 8] = *b"pd-jrnl\n";
const REMOVED: u32 = u32::MAX;

/// A place in the chain: the last record up to here, and its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The record's sequence, from 1; 0 is before the first.
    pub(crate) sequence: u64,
    /// SHA-256 of its bytes.
    pub(crate) hash: [u8; 32],
}

impl Place {
    /// The place before the first record of the store `id`.
    pub(crate) fn start(id: &[u8; 16]) -> Self {
        Self { sequence: 0, hash: Sha256::digest(id).into() }
    }

    /// The place after the record with these bytes.
    pub(super) fn after(self, record: &[u8]) -> Self {
        Self { sequence: self.sequence + 1, hash: Sha256::digest(record).into() }
    }
}

/// What a segment begins with. Magic and schema keep their place in every later version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The store it belongs to.
    pub(super) id: [u8; 16],
    /// The place before its first record.
    pub(super) before: Place,
}

/// Why the bytes are no header of this version.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadHeader {
    /// A later version wrote it.
    Newer(u32),
    /// It is not what was written.
    Damaged,
}

impl Header {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.extend_from_slice(&self.id);
        bytes.extend_from_slice(&self.before.sequence.to_be_bytes());
        bytes.extend_from_slice(&self.before.hash);
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_be_bytes());
        bytes
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, BadHeader> {
        let mut rest = bytes;
        let mut parse = || {
            let magic: [u8; 8] = take(&mut rest)?;
            let schema = u32::from_be_bytes(take(&mut rest)?);
            Some((magic, schema)).filter(|(magic, _)| *magic == MAGIC)
        };
        match parse() {
            Some((_, VERSION)) => {}
            Some((_, schema)) if schema > VERSION => return Err(BadHeader::Newer(schema)),
            _ => return Err(BadHeader::Damaged),
        }
        Self::body(bytes, rest).ok_or(BadHeader::Damaged)
    }

    fn body(bytes: &[u8], mut rest: &[u8]) -> Option<Self> {
        let id = take(&mut rest)?;
        let before = Place { sequence: u64::from_be_bytes(take(&mut rest)?), hash: take(&mut rest)? };
        let covered = bytes.len() - rest.len();
        let crc = u32::from_be_bytes(take(&mut rest)?);
        (crc == crc32c::crc32c(bytes.get(..covered)?)).then_some(Self { id, before })
    }
}

/// What stands before a record's changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Preamble {
    /// How many bytes of changes follow.
    pub(super) length: u32,
    /// CRC32C of everything else in the record.
    pub(super) crc: u32,
    /// The record's number; one more than that of the record before.
    pub(super) sequence: u64,
    /// Every record up to this number was on disk when this one was written.
    pub(super) durable: u64,
    /// The hash of the record before.
    pub(super) previous: [u8; 32],
}

impl Preamble {
    pub(super) fn parse(mut bytes: &[u8]) -> Option<Self> {
        Some(Self {
            length: u32::from_be_bytes(take(&mut bytes)?),
            crc: u32::from_be_bytes(take(&mut bytes)?),
            sequence: u64::from_be_bytes(take(&mut bytes)?),
            durable: u64::from_be_bytes(take(&mut bytes)?),
            previous: take(&mut bytes)?,
        })
    }
}

/// The bytes of the record that follows `head`.
pub(super) fn record(head: Place, durable: u64, changes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(changes.len()).expect("the caller keeps to MAX_RECORD_BYTES").to_be_bytes();
    let [sequence, durable] = [head.sequence + 1, durable].map(u64::to_be_bytes);
    let parts: [&[u8]; 4] = [&sequence, &durable, &head.hash, changes];
    let crc = parts.iter().fold(crc32c::crc32c(&length), |crc, part| crc32c::crc32c_append(crc, part));
    [&length[..], &crc.to_be_bytes(), &sequence, &durable, &head.hash, changes].concat()
}

/// Whether the record's checksum fits its bytes.
pub(super) fn is_whole(record: &[u8]) -> bool {
    let (Some((length, rest)), Some(preamble)) = (record.split_at_checked(4), Preamble::parse(record)) else {
        return false;
    };
    let body = rest.get(4..).unwrap_or_default();
    preamble.crc == crc32c::crc32c_append(crc32c::crc32c(length), body)
}

/// Checksum and hash of a record that is read in pieces.
pub(super) struct RunningSums {
    crc: u32,
    hash: Sha256,
}

impl RunningSums {
    /// Begins with the bytes of a preamble.
    pub(super) fn of(preamble: &[u8]) -> Self {
        let (length, rest) = preamble.split_at_checked(4).unwrap_or_default();
        let crc = crc32c::crc32c_append(crc32c::crc32c(length), rest.get(4..).unwrap_or_default());
        Self { crc, hash: Sha256::new().chain_update(preamble) }
    }

    /// Goes on with changes.
    pub(super) fn add(&mut self, changes: &[u8]) {
        self.crc = crc32c::crc32c_append(self.crc, changes);
        self.hash.update(changes);
    }

    /// The record's hash; `None` when its checksum does not fit.
    pub(super) fn finish(self, preamble: &Preamble) -> Option<[u8; 32]> {
        (self.crc == preamble.crc).then(|| self.hash.finalize().into())
    }
}

/// Changes as they are journalled: key length, key, value length or "removed", value.
pub(crate) fn write_changes<'a>(changes: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>) -> Vec<u8> {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("keys and values are far below 4 GiB").to_be_bytes();
    let mut out = Vec::new();
    for (key, value) in changes {
        out.extend_from_slice(&length(key));
        out.extend_from_slice(key);
        out.extend_from_slice(&value.map_or(REMOVED.to_be_bytes(), length));
        out.extend_from_slice(value.unwrap_or_default());
    }
    out
}

/// A key, and its new value or that it was removed.
pub(crate) type Change = (Vec<u8>, Option<Vec<u8>>);

/// Reads what [`write_changes`] wrote; `None` when the bytes are something else.
pub(crate) fn read_changes(mut bytes: &[u8]) -> Option<Vec<Change>> {
    let mut changes = Vec::new();
    while !bytes.is_empty() {
        let length = u32::from_be_bytes(take(&mut bytes)?);
        let key = take_slice(&mut bytes, length)?.to_vec();
        let value = match u32::from_be_bytes(take(&mut bytes)?) {
            REMOVED => None,
            length => Some(take_slice(&mut bytes, length)?.to_vec()),
        };
        changes.push((key, value));
    }
    Some(changes)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*taken)
}

fn take_slice<'a>(bytes: &mut &'a [u8], length: u32) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::super::super::schema::hex;
    use super::*;

    #[test]
    fn the_bytes_of_schema_1_stay_as_they_are() {
        let start = Place::start(&[7; 16]);
        let changes = [(&b"Skey"[..], Some(&b"value"[..])), (b"Sgone", None)];
        let record = record(start, 0, &write_changes(changes.into_iter()));
        let lines =
            [hex(&Header { id: [7; 16], before: start }.to_bytes()), hex(&record), hex(&start.after(&record).hash)];
        insta::assert_snapshot!(lines.join("\n"), @"
        70642d6a726e6c0a00000001070707070707070707070707070707070000000000000000d761d406af2a4a5a15f67c924378ed88d1f85c13f1a37fc7366f59789b3bcd658b15fbe6
        0000001e136747e700000000000000010000000000000000d761d406af2a4a5a15f67c924378ed88d1f85c13f1a37fc7366f59789b3bcd6500000004536b65790000000576616c75650000000553676f6e65ffffffff
        48f3811336f391cb4d48a4ce3e8bc6105f3dd72a55dc5532688787abb2ee0b44
        ");
    }

    #[test]
    fn a_record_reads_back_and_every_flipped_bit_is_seen() {
        let changes = write_changes([(&b"Skey"[..], Some(&b"value"[..])), (b"Sgone", None)].into_iter());
        let whole = record(Place::start(&[7; 16]), 0, &changes);
        let read = read_changes(whole.get(PREAMBLE_BYTES..).unwrap());
        assert_eq!(read, Some(vec![(b"Skey".to_vec(), Some(b"value".to_vec())), (b"Sgone".to_vec(), None)]));
        assert!(is_whole(&whole));
        for bit in 0..8 * whole.len() {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_whole(&flipped), "bit {bit}");
        }
    }
}
