//! Reads the journal from front to back and checks every link of its chain: the snapshot first, if there is one.

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::super::error::StoreError;
use super::super::files::Disk;
use super::super::schema::VERSION;
use super::record::{
    BadHeader, HEADER_BYTES, Header, MAX_RECORD_BYTES, PREAMBLE_BYTES, Place, Preamble, RunningSums, is_whole,
};
use super::snapshot::{self, Snapshot};

/// What the name of every segment ends with.
pub(super) const SUFFIX: &str = ".journal";

/// One file of the journal.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    /// Where it is.
    pub(super) path: PathBuf,
    /// Its header; `None` for a last segment whose header never got to disk.
    pub(super) header: Option<Header>,
}

/// The end of the last segment that no one was ever told about.
#[derive(Clone, Debug)]
pub(crate) struct Torn {
    /// The last segment.
    pub(super) path: PathBuf,
    /// Its bytes up to the last whole record; `None` when not even the header is whole.
    pub(crate) keep_bytes: Option<u64>,
}

/// What a walk over the whole journal found.
#[derive(Clone, Debug)]
pub(crate) struct Survey {
    /// Which store the journal belongs to.
    pub(crate) id: [u8; 16],
    /// Its files.
    pub(crate) contents: Contents,
    /// The last whole record.
    pub(crate) head: Place,
    /// The bytes of the last segment's whole records and header.
    pub(super) last_bytes: u64,
    /// What is to be cut off.
    pub(crate) torn: Option<Torn>,
}

/// The files of a journal that count.
#[derive(Clone, Debug)]
pub(crate) struct Contents {
    /// Stands for every record up to its place.
    pub(crate) snapshot: Option<Snapshot>,
    /// The segments after it, oldest first.
    pub(crate) segments: Vec<Segment>,
}

impl Contents {
    /// The number of the record that the snapshot ends with; 0 without one.
    pub(crate) fn base(&self) -> u64 {
        self.snapshot.as_ref().map_or(0, |snapshot| snapshot.place.sequence)
    }

    /// The snapshot's size in bytes; 0 without one.
    pub(crate) fn snapshot_bytes(&self, disk: &dyn Disk) -> Result<u64, StoreError> {
        let size = |path: &Path| disk.read(path).map(|(size, _)| size).map_err(StoreError::io("read", path));
        self.snapshot.as_ref().map_or(Ok(0), |snapshot| size(&snapshot.path))
    }

    /// Without the segments that begin after the record `last`.
    pub(crate) fn up_to(mut self, last: u64) -> Self {
        self.segments.retain(|segment| segment.header.is_some_and(|header| header.before.sequence < last));
        self
    }

    /// Without a last segment whose header never got to disk, for another walk after the tail was cut.
    pub(crate) fn whole(&self) -> Self {
        let segments = self.segments.iter().filter(|segment| segment.header.is_some()).cloned().collect();
        Self { snapshot: self.snapshot.clone(), segments }
    }
}

/// The names in the journal's folder `dir`; none when there is no folder.
pub(super) fn names(disk: &dyn Disk, dir: &Path) -> Result<Vec<String>, StoreError> {
    match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed.map_err(StoreError::io("list", dir)),
    }
}

/// The file name of the segment or snapshot (by its `suffix`) with this number.
pub(super) fn name_of(number: u64, suffix: &str) -> String {
    format!("{number:020}{suffix}")
}

/// The number in the name of a segment or snapshot.
pub(super) fn number_of(name: &str, suffix: &str) -> Option<u64> {
    name.strip_suffix(suffix)?.parse().ok()
}

/// The journal's files in `dir` with their headers. Refuses a later schema before anything else.
pub(crate) fn contents(disk: &dyn Disk, dir: &Path) -> Result<Contents, StoreError> {
    let names = names(disk, dir)?;
    let snapshot = snapshot::latest(disk, dir, &names)?;
    let base = snapshot.as_ref().map_or(0, |snapshot| snapshot.place.sequence);
    // What the snapshot stands for may be there still, or in part.
    let counts = |name: &&String| name.ends_with(SUFFIX) && number_of(name, SUFFIX).is_none_or(|number| number > base);
    let paths: Vec<PathBuf> = names.iter().filter(counts).map(|name| dir.join(name)).collect();
    let last = paths.len().saturating_sub(1);
    let segments = paths.into_iter().enumerate();
    let segments = segments.map(|(index, path)| segment(disk, path, index == last && index > 0));
    Ok(Contents { snapshot, segments: segments.collect::<Result<_, _>>()? })
}

fn segment(disk: &dyn Disk, path: PathBuf, may_be_torn: bool) -> Result<Segment, StoreError> {
    let (size, reader) = disk.read(&path).map_err(StoreError::io("open", &path))?;
    let mut bytes = Vec::new();
    reader.take(HEADER_BYTES as u64).read_to_end(&mut bytes).map_err(StoreError::io("read", &path))?;
    match Header::parse(&bytes) {
        Ok(header) => Ok(Segment { path, header: Some(header) }),
        Err(BadHeader::Newer(found)) => Err(StoreError::NewerSchema { found, known: VERSION }),
        Err(BadHeader::Damaged) if may_be_torn && size <= HEADER_BYTES as u64 => Ok(Segment { path, header: None }),
        Err(BadHeader::Damaged) => Err(damage(&path, 0, 0, "the header is not what was written")),
    }
}

pub(super) fn damage(segment: &Path, offset: u64, after: u64, what: &'static str) -> StoreError {
    StoreError::JournalDamaged { segment: segment.to_owned(), offset, after, what }
}

/// Takes a record: the place it leads to, and the bytes of its changes.
type TakeChanges<'a> = &'a mut dyn FnMut(Place, &[u8]) -> Result<(), StoreError>;

/// What a walk is for.
pub(crate) enum Visit<'a> {
    /// Is given each record whole.
    Changes(TakeChanges<'a>),
    /// Is given only the place that each record leads to. Its changes are checked and not held, however many they are.
    Places(&'a mut dyn FnMut(Place)),
}

impl Visit<'_> {
    fn take(&mut self, place: Place, changes: &[u8]) -> Result<(), StoreError> {
        match self {
            Self::Changes(visit) => visit(place, changes),
            Self::Places(visit) => {
                visit(place);
                Ok(())
            }
        }
    }
}

/// Walks the journal, giving every record after `skip` to `visit`. A snapshot after `skip` comes first, in pieces that
/// lead to the start of the journal, and an empty one that leads to the snapshot's place.
///
/// Files that end before `skip` are not read. Says where the journal ends and what of it is torn.
pub(crate) fn walk(disk: &dyn Disk, contents: Contents, skip: u64, mut visit: Visit<'_>) -> Result<Survey, StoreError> {
    let first = contents.segments.first().and_then(|segment| segment.header).ok_or_else(no_segments)?;
    let start = Place::start(&first.id);
    let mut survey = Survey { id: first.id, contents, head: start, last_bytes: 0, torn: None };
    if let Some(snapshot) = &survey.contents.snapshot {
        if snapshot.id != first.id {
            return Err(damage(&snapshot.path, 0, 0, "it is a snapshot of another store"));
        }
        survey.head = snapshot.place;
        if skip < snapshot.place.sequence {
            snapshot::read(disk, snapshot, &mut |piece| visit.take(start, piece))?;
            visit.take(snapshot.place, &[])?;
        }
    }
    let segments = &survey.contents.segments;
    let starts: Vec<Option<u64>> =
        segments.iter().map(|segment| segment.header.map(|header| header.before.sequence)).collect();
    for ((earlier, later), segment) in starts.iter().zip(starts.iter().skip(1)).zip(segments.iter().skip(1)) {
        if later.is_some() && later <= earlier {
            // Else the walk would begin at the later one, and never see the earlier.
            let after = earlier.unwrap_or_default();
            return Err(damage(&segment.path, 0, after, "the segment does not follow the one before"));
        }
    }
    let begin = starts.iter().rposition(|start| start.is_some_and(|start| start <= skip)).unwrap_or(0);
    if let (Some(header), true) = (segments.get(begin).and_then(|segment| segment.header), begin > 0) {
        survey.head = header.before;
    }
    for index in begin..survey.contents.segments.len() {
        walk_segment(disk, &mut survey, index, skip, &mut visit)?;
    }
    Ok(survey)
}

/// The caller has looked that there is a segment; this keeps the error typed all the same.
fn no_segments() -> StoreError {
    damage(Path::new("journal"), 0, 0, "there is no segment")
}

fn walk_segment(
    disk: &dyn Disk,
    survey: &mut Survey,
    index: usize,
    skip: u64,
    visit: &mut Visit<'_>,
) -> Result<(), StoreError> {
    let Some(Segment { path, header }) = survey.contents.segments.get(index).cloned() else { return Ok(()) };
    let Some(header) = header else {
        survey.torn = Some(Torn { path, keep_bytes: None });
        return Ok(());
    };
    if header.id != survey.id || header.before != survey.head {
        return Err(damage(&path, 0, survey.head.sequence, "the segment does not follow the one before"));
    }
    let mut reader = SegmentReader::open(disk, &path)?;
    loop {
        let is_wanted = matches!(visit, Visit::Changes(_)) && survey.head.sequence >= skip;
        let found = if is_wanted { reader.next(survey.head)? } else { reader.pass(survey.head)? };
        match found {
            Found::End => break,
            Found::Record(place, bytes) => {
                survey.head = place;
                if place.sequence > skip {
                    visit.take(place, bytes.get(PREAMBLE_BYTES..).unwrap_or_default())?;
                }
            }
            Found::Broken(what) => {
                let is_last = index + 1 == survey.contents.segments.len();
                let (offset, after) = (reader.offset, survey.head.sequence);
                if !is_last || SegmentReader::at(disk, &path, offset)?.was_durable(after + 1)? {
                    return Err(damage(&path, offset, after, what));
                }
                survey.torn = Some(Torn { path: path.clone(), keep_bytes: Some(offset) });
                break;
            }
        }
    }
    survey.last_bytes = reader.offset;
    Ok(())
}

pub(super) enum Found {
    Record(Place, Vec<u8>),
    Broken(&'static str),
    End,
}

/// What stands at the start of a record.
enum Begun {
    /// A record whose changes are so many bytes and may be whole.
    Record(Preamble, usize),
    No(Found),
}

const BAD_SUM: &str = "a record does not fit its checksum";

/// Reads one segment; `offset` is the end of the last whole record.
pub(super) struct SegmentReader {
    path: PathBuf,
    reader: BufReader<Box<dyn Read + Send>>,
    /// What was read past `offset`.
    pending: Vec<u8>,
    pub(super) offset: u64,
    size: u64,
}

impl SegmentReader {
    pub(super) fn open(disk: &dyn Disk, path: &Path) -> Result<Self, StoreError> {
        let (size, reader) = disk.read(path).map_err(StoreError::io("open", path))?;
        Self::over(path, size, reader)
    }

    /// Over a file that is open at its start.
    pub(super) fn over(path: &Path, size: u64, reader: Box<dyn Read + Send>) -> Result<Self, StoreError> {
        let mut opened = Self {
            path: path.to_owned(),
            reader: BufReader::with_capacity(1 << 18, reader),
            pending: Vec::new(),
            offset: 0,
            size,
        };
        opened.fill(HEADER_BYTES)?;
        opened.pending.clear();
        opened.offset = HEADER_BYTES as u64;
        Ok(opened)
    }

    /// From the record that begins at `offset`.
    fn at(disk: &dyn Disk, path: &Path, offset: u64) -> Result<Self, StoreError> {
        let (size, mut reader) = disk.read(path).map_err(StoreError::io("open", path))?;
        io::copy(&mut (&mut reader).take(offset), &mut io::sink()).map_err(StoreError::io("read", path))?;
        let reader = BufReader::with_capacity(1 << 18, reader);
        Ok(Self { path: path.to_owned(), reader, pending: Vec::new(), offset, size })
    }

    /// Reads on until `wanted` bytes are pending; fewer when the file ends.
    fn fill(&mut self, wanted: usize) -> Result<(), StoreError> {
        let missing = wanted.saturating_sub(self.pending.len());
        self.pending.reserve_exact(missing);
        let mut part = (&mut self.reader).take(missing as u64);
        part.read_to_end(&mut self.pending).map_err(StoreError::io("read", &self.path))?;
        Ok(())
    }

    /// The record after `head`.
    pub(super) fn next(&mut self, head: Place) -> Result<Found, StoreError> {
        let (preamble, length) = match self.begin()? {
            Begun::Record(preamble, length) => (preamble, length),
            Begun::No(found) => return Ok(found),
        };
        self.fill(PREAMBLE_BYTES + length)?;
        if !is_whole(&self.pending) {
            return Ok(Found::Broken(BAD_SUM));
        }
        self.check_link(&preamble, head)?;
        let bytes = std::mem::take(&mut self.pending);
        self.offset += bytes.len() as u64;
        Ok(Found::Record(head.after(&bytes), bytes))
    }

    /// As [`next`](Self::next), but its bytes are checked and not kept.
    fn pass(&mut self, head: Place) -> Result<Found, StoreError> {
        let (preamble, length) = match self.begin()? {
            Begun::Record(preamble, length) => (preamble, length),
            Begun::No(found) => return Ok(found),
        };
        let mut sums = RunningSums::of(&std::mem::take(&mut self.pending));
        let mut left = length;
        while left > 0 {
            let buffer = self.reader.fill_buf().map_err(StoreError::io("read", &self.path))?;
            let part = buffer.get(..left.min(buffer.len())).unwrap_or_default();
            if part.is_empty() {
                break;
            }
            sums.add(part);
            let read = part.len();
            left -= read;
            self.reader.consume(read);
        }
        let Some(hash) = sums.finish(&preamble) else { return Ok(Found::Broken(BAD_SUM)) };
        self.check_link(&preamble, head)?;
        self.offset += (PREAMBLE_BYTES + length) as u64;
        Ok(Found::Record(Place { sequence: preamble.sequence, hash }, Vec::new()))
    }

    fn check_link(&self, preamble: &Preamble, head: Place) -> Result<(), StoreError> {
        if preamble.sequence == head.sequence + 1 && preamble.previous == head.hash {
            return Ok(());
        }
        Err(damage(&self.path, self.offset, head.sequence, "a record does not follow the one before"))
    }

    /// Reads what stands before a record's changes, and how many bytes they are.
    fn begin(&mut self) -> Result<Begun, StoreError> {
        self.fill(PREAMBLE_BYTES)?;
        if self.pending.is_empty() {
            return Ok(Begun::No(Found::End));
        }
        let Some(preamble) = Preamble::parse(&self.pending) else {
            return Ok(Begun::No(Found::Broken("a record is cut off")));
        };
        let length = usize::try_from(preamble.length).unwrap_or(usize::MAX);
        let left = self.size.saturating_sub(self.offset);
        if length > MAX_RECORD_BYTES || (PREAMBLE_BYTES + length) as u64 > left {
            return Ok(Begun::No(Found::Broken("a record's length runs past its end")));
        }
        Ok(Begun::Record(preamble, length))
    }

    /// Whether a whole record further on says that the record `sequence`, which is broken, once was on disk.
    pub(super) fn was_durable(&mut self, sequence: u64) -> Result<bool, StoreError> {
        self.reader.read_to_end(&mut self.pending).map_err(StoreError::io("read", &self.path))?;
        Ok((1..self.pending.len()).any(|start| self.proves(start, sequence)))
    }

    fn proves(&self, start: usize, sequence: u64) -> bool {
        let Some(rest) = self.pending.get(start..) else { return false };
        let Some(preamble) = Preamble::parse(rest) else { return false };
        // More records than a segment has bytes cannot lie between; this spares most checksums.
        if preamble.durable < sequence
            || preamble.sequence <= preamble.durable
            || preamble.sequence - sequence > 1 << 32
        {
            return false;
        }
        let length = usize::try_from(preamble.length).unwrap_or(usize::MAX);
        length <= MAX_RECORD_BYTES && rest.get(..PREAMBLE_BYTES + length).is_some_and(is_whole)
    }
}
