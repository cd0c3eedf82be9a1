//! A copy of the journal as of one record, taken beside the process that writes it: what was written there is never
//! changed, and files that a compaction deletes stay readable for who has them open.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::super::error::StoreError;
use super::super::files::Disk;
use super::record::{Header, Place};
use super::snapshot::{self, Snapshot};
use super::walk::{Contents, Found, SegmentReader, contents, damage};

/// How often the files are listed anew because one of them was deleted before it was open.
const ATTEMPTS: u32 = 16;

/// Takes the bytes of files, one file after the other.
pub(crate) trait Sink {
    /// The next file begins; it has this name in the journal's folder.
    fn file(&mut self, name: &str) -> Result<(), StoreError>;
    /// More bytes of it.
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), StoreError>;
}

/// A file that is open at its start.
struct OpenFile {
    path: PathBuf,
    size: u64,
    reader: Box<dyn Read + Send>,
}

impl OpenFile {
    fn open(disk: &dyn Disk, path: &Path) -> Result<Self, StoreError> {
        let (size, reader) = disk.read(path).map_err(StoreError::io("open", path))?;
        Ok(Self { path: path.to_owned(), size, reader })
    }
}

/// Gives the journal in `dir` to `sink`, every link of its chain checked, up to the last whole record. Says which store
/// it is of, and that record.
///
/// # Errors
/// When the journal is damaged, or a file cannot be read.
pub(crate) fn copy(disk: &dyn Disk, dir: &Path, sink: &mut dyn Sink) -> Result<([u8; 16], Place), StoreError> {
    let (known, snapshot, segments) = opened(disk, dir)?;
    let missing = || StoreError::JournalMissing { dir: dir.to_owned() };
    let id = known.segments.first().and_then(|segment| segment.header).ok_or_else(missing)?.id;
    let mut head = Place::start(&id);
    if let (Some(about), Some(file)) = (&known.snapshot, snapshot) {
        head = about.place;
        let header = Header { id: about.id, before: about.place };
        copy_file(file, header, snapshot::chain_start(about.place), false, sink)?;
    }
    let last = segments.len().saturating_sub(1);
    for (index, (segment, file)) in known.segments.iter().zip(segments).enumerate() {
        // The next segment was being begun.
        let Some(header) = segment.header else { break };
        if header.id != id || header.before != head {
            return Err(damage(&segment.path, 0, head.sequence, "the segment does not follow the one before"));
        }
        head = copy_file(file, header, head, index == last, sink)?;
    }
    Ok((id, head))
}

type Opened = (Contents, Option<OpenFile>, Vec<OpenFile>);

/// The journal's files, all of them open.
fn opened(disk: &dyn Disk, dir: &Path) -> Result<Opened, StoreError> {
    let open = || {
        let known = contents(disk, dir)?;
        let of = |snapshot: &Snapshot| OpenFile::open(disk, &snapshot.path);
        let snapshot = known.snapshot.as_ref().map(of).transpose()?;
        let segments = known.segments.iter().map(|segment| OpenFile::open(disk, &segment.path));
        let segments = segments.collect::<Result<Vec<_>, _>>()?;
        Ok((known, snapshot, segments))
    };
    for _ in 1..ATTEMPTS {
        match open() {
            Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
            opened => return opened,
        }
    }
    open()
}

/// Copies header and whole records. Only the last file may end in a part of one, which is being written.
fn copy_file(
    OpenFile { path, size, reader }: OpenFile,
    header: Header,
    mut head: Place,
    is_last: bool,
    sink: &mut dyn Sink,
) -> Result<Place, StoreError> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    sink.file(name)?;
    sink.bytes(&header.to_bytes())?;
    let mut reader = SegmentReader::over(&path, size, reader)?;
    loop {
        match reader.next(head)? {
            Found::Record(place, bytes) => {
                sink.bytes(&bytes)?;
                head = place;
            }
            Found::End => return Ok(head),
            Found::Broken(_) if is_last && !reader.was_durable(head.sequence + 1)? => return Ok(head),
            Found::Broken(what) => return Err(damage(&path, reader.offset, head.sequence, what)),
        }
    }
}
