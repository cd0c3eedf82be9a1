//! A snapshot: every row as one record left it, in place of all records up to that one.
//!
//! It lies among the segments under the number of that record, and its bytes are a segment's: a header with the place,
//! then records in a chain of their own that begins with that place. The last one is empty, so that a lost end is seen.
//! Rows are packed (zlib): hosts of a network are much alike, and so a store takes little more than its index.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use sha2::{Digest, Sha256};

use super::super::error::StoreError;
use super::super::files::{Disk, LogFile, remove_if_there};
use super::super::schema::VERSION;
use super::record::{BadHeader, HEADER_BYTES, Header, MAX_RECORD_BYTES, PREAMBLE_BYTES, Place, record, write_changes};
use super::walk::{Found, SegmentReader, damage, name_of, number_of};

/// What the name of every snapshot ends with.
pub(super) const SUFFIX: &str = ".snapshot";
/// What the name of one that is being written ends with.
pub(super) const UNFINISHED: &str = ".snapshot.new";

/// The size at which rows are written as a record, in bytes.
const PIECE_BYTES: usize = 1 << 20;

/// A snapshot that counts.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// Where it is.
    pub(super) path: PathBuf,
    /// Whose rows.
    pub(super) id: [u8; 16],
    /// The last record that it stands for.
    pub(super) place: Place,
}

/// The first place of the snapshot's own chain.
pub(super) fn chain_start(place: Place) -> Place {
    let hash = Sha256::new().chain_update(b"portdrift/1/snapshot").chain_update(place.sequence.to_be_bytes());
    Place { sequence: 0, hash: hash.chain_update(place.hash).finalize().into() }
}

/// The latest snapshot among `names` in `dir`.
pub(super) fn latest(disk: &dyn Disk, dir: &Path, names: &[String]) -> Result<Option<Snapshot>, StoreError> {
    let numbered = names.iter().filter_map(|name| Some((number_of(name, SUFFIX)?, name)));
    let Some((number, name)) = numbered.max() else { return Ok(None) };
    let path = dir.join(name);
    let (_, reader) = disk.read(&path).map_err(StoreError::io("open", &path))?;
    let mut bytes = Vec::new();
    reader.take(HEADER_BYTES as u64).read_to_end(&mut bytes).map_err(StoreError::io("read", &path))?;
    match Header::parse(&bytes) {
        Ok(Header { id, before: place }) if place.sequence == number => Ok(Some(Snapshot { path, id, place })),
        Err(BadHeader::Newer(found)) => Err(StoreError::NewerSchema { found, known: VERSION }),
        Ok(_) | Err(BadHeader::Damaged) => Err(damage(&path, 0, 0, "the header is not what was written")),
    }
}

/// Gives the rows of a snapshot to `visit`, as changes in pieces; every byte is checked.
pub(super) fn read(
    disk: &dyn Disk,
    snapshot: &Snapshot,
    visit: &mut dyn FnMut(&[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let Snapshot { path, place, .. } = snapshot;
    let mut reader = SegmentReader::open(disk, path)?;
    let (mut head, mut has_ended) = (chain_start(*place), false);
    loop {
        match reader.next(head)? {
            Found::Record(_, _) if has_ended => {
                return Err(damage(path, reader.offset, place.sequence, "something follows the end of the snapshot"));
            }
            Found::Record(next, bytes) => {
                let rows = bytes.get(PREAMBLE_BYTES..).unwrap_or_default();
                (head, has_ended) = (next, rows.is_empty());
                if !has_ended {
                    let rows = unpack(rows);
                    visit(
                        &rows.ok_or_else(|| damage(path, reader.offset, place.sequence, "rows cannot be unpacked"))?,
                    )?;
                }
            }
            Found::End if has_ended => return Ok(()),
            Found::End => {
                return Err(damage(path, reader.offset, place.sequence, "the end of the snapshot is missing"));
            }
            Found::Broken(what) => return Err(damage(path, reader.offset, place.sequence, what)),
        }
    }
}

fn pack(rows: &[u8]) -> Vec<u8> {
    let mut packer = ZlibEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(rows).and_then(|()| packer.finish()).expect("memory does not fail to write")
}

/// What [`pack`] was given; `None` when the bytes are something else.
fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let (mut rows, limit) = (Vec::new(), MAX_RECORD_BYTES as u64);
    ZlibDecoder::new(packed).take(limit + 1).read_to_end(&mut rows).ok()?;
    (rows.len() <= MAX_RECORD_BYTES).then_some(rows)
}

/// A snapshot that is being written.
pub(crate) struct SnapshotFile {
    file: Box<dyn LogFile>,
    dir: PathBuf,
    id: [u8; 16],
    place: Place,
    head: Place,
    rows: Vec<(Vec<u8>, Vec<u8>)>,
    bytes: usize,
}

impl SnapshotFile {
    /// Begins the snapshot of the store `id` at `place` in the journal's folder `dir`.
    pub(crate) fn begin(disk: &dyn Disk, dir: &Path, id: [u8; 16], place: Place) -> Result<Self, StoreError> {
        let path = dir.join(name_of(place.sequence, UNFINISHED));
        remove_if_there(disk, &path)?;
        let mut file = disk.create(&path).map_err(StoreError::io("create", &path))?;
        file.append(&Header { id, before: place }.to_bytes()).map_err(StoreError::io("write", &path))?;
        let (dir, head) = (dir.to_owned(), chain_start(place));
        Ok(Self { file, dir, id, place, head, rows: Vec::new(), bytes: 0 })
    }

    /// Adds one row.
    pub(crate) fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.bytes += key.len() + value.len();
        self.rows.push((key.to_vec(), value.to_vec()));
        if self.bytes >= PIECE_BYTES { self.write_piece() } else { Ok(()) }
    }

    fn write_piece(&mut self) -> Result<(), StoreError> {
        let rows = self.rows.iter().map(|(key, value)| (key.as_slice(), Some(value.as_slice())));
        let rows = write_changes(rows);
        let packed = if rows.is_empty() { rows } else { pack(&rows) };
        let piece = record(self.head, 0, &packed);
        self.head = self.head.after(&piece);
        self.rows.clear();
        self.bytes = 0;
        self.file.append(&piece).map_err(StoreError::io("write a snapshot in", &self.dir))
    }

    /// Writes the end; it is on disk, but does not count before [`Unseen::show`].
    pub(crate) fn finish(mut self) -> Result<Unseen, StoreError> {
        if !self.rows.is_empty() {
            self.write_piece()?;
        }
        self.write_piece()?;
        self.file.sync().map_err(StoreError::io("write a snapshot in", &self.dir))?;
        let Self { dir, id, place, .. } = self;
        let path = dir.join(name_of(place.sequence, UNFINISHED));
        Ok(Unseen { snapshot: Snapshot { path, id, place }, dir })
    }
}

/// A whole snapshot that does not count yet.
pub(crate) struct Unseen {
    snapshot: Snapshot,
    dir: PathBuf,
}

impl Unseen {
    /// The last record that it stands for.
    pub(crate) fn place(&self) -> Place {
        self.snapshot.place
    }

    /// Gives its rows to `visit`, read from the disk again.
    pub(crate) fn read(
        &self,
        disk: &dyn Disk,
        visit: &mut dyn FnMut(&[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        read(disk, &self.snapshot, visit)
    }

    /// Makes it count, in one step: before it all older files do, and after it none of them.
    pub(crate) fn show(&self, disk: &dyn Disk) -> Result<(), StoreError> {
        let Self { snapshot: Snapshot { path, place, .. }, dir } = self;
        disk.rename(path, &dir.join(name_of(place.sequence, SUFFIX))).map_err(StoreError::io("name", path))?;
        disk.sync_dir(dir).map_err(StoreError::io("sync", dir))
    }
}
