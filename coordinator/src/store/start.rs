//! From a folder to an open store: makes it, or finds out what state it is in and brings the index up to the journal.

use std::path::Path;

use super::StoreOptions;
use super::error::StoreError;
use super::files::{Disk, Lock, remove_if_there};
use super::head;
use super::index::{self, Changes, Index, Note, OpenIndex, Sum};
use super::journal::{self, Contents, Journal, Place, Survey, Visit, read_changes, walk};
use super::room::Room;
use super::writer::Writer;

/// How many bytes of records are replayed in one batch.
const REPLAY_BATCH_BYTES: usize = 4 << 20;

/// Lays down a new store in `dir`, which must be empty. What an interrupted creation left does not count.
pub(super) fn create(dir: &Path, options: &StoreOptions) -> Result<(), StoreError> {
    let disk = options.disk.as_ref();
    disk.create_dir(dir).map_err(StoreError::io("make", dir))?;
    let _lock = Lock::take(dir)?;
    clear_leftovers(disk, dir)?;
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| StoreError::io("find random bytes for", dir)(error.into()))?;
    let journal = Journal::create(options.disk.clone(), dir.join(journal::FOLDER), id, options.segment_bytes)?;
    let index = open_index_folder(dir, 0, options)?;
    index.apply(Sum::default(), &Changes::new(), journal.head())?;
    index.flush()?;
    head::write(disk, dir, journal.head())?;
    disk.sync_dir(dir).map_err(StoreError::io("sync", dir))?;
    head::write_marker(disk, dir, &id)
}

/// Deletes what a creation left that did not get to its marker; any other file is an error.
fn clear_leftovers(disk: &dyn Disk, dir: &Path) -> Result<(), StoreError> {
    let head_new = format!("{}.new", head::HEAD);
    let marker_new = format!("{}.new", head::MARKER);
    let leftovers = [Lock::NAME, journal::FOLDER, index::FOLDER, head::HEAD, &head_new, &marker_new];
    let names = disk.list(dir).map_err(StoreError::io("list", dir))?;
    if let Some(found) = names.into_iter().find(|name| !leftovers.contains(&name.as_str())) {
        return Err(StoreError::NotEmpty { dir: dir.to_owned(), found });
    }
    if was_used(disk, dir)? {
        return Err(StoreError::MarkerDamaged { dir: dir.to_owned() });
    }
    let folder = dir.join(journal::FOLDER);
    for name in disk.list(&folder).unwrap_or_default() {
        remove_if_there(disk, &folder.join(name))?;
    }
    index::discard(&dir.join(index::FOLDER))
}

/// Whether the folder holds more than creation writes. Without a marker, that is damage and no first start.
fn was_used(disk: &dyn Disk, dir: &Path) -> Result<bool, StoreError> {
    let folder = dir.join(journal::FOLDER);
    let mut bytes = 0;
    for name in disk.list(&folder).unwrap_or_default() {
        let path = folder.join(name);
        bytes += disk.read(&path).map_err(StoreError::io("read", &path))?.0;
    }
    Ok(bytes > journal::NEW_BYTES || head::read(disk, dir).is_ok_and(|head| head.sequence > 1))
}

/// Opens the store in `dir`. Also says why the index had to be made anew, if it had.
pub(super) fn open(dir: &Path, options: &StoreOptions) -> Result<(Writer, Option<String>), StoreError> {
    refuse_newer(dir, options)?;
    let lock = Lock::take(dir)?;
    let disk = options.disk.clone();
    // Else an index that cannot be opened for lack of room would be taken for a damaged one.
    Room::of(disk.as_ref(), dir, options.keep_free).for_change(0).map_err(StoreError::DiskFull)?;
    let known = head::read(disk.as_ref(), dir)?;
    let found = sound_index(dir, contents(dir, options)?.base(), options)?;
    let survey = survey(dir, options, known, found.as_ref().ok().map(|(_, note)| note.applied))?;
    let journal = Journal::open(disk.clone(), dir.join(journal::FOLDER), &survey, options.segment_bytes)?;
    let (index, sum, rebuilt) = follow(dir, options, &survey, found)?;
    head::write(disk.as_ref(), dir, journal.head())?;
    if let Err(error) = tidy(dir, options) {
        tracing::warn!(%error, "what a compaction has left over could not be deleted; the next start tries again");
    }
    Ok((Writer::new(dir, options, journal, OpenIndex::new(index), sum, lock), rebuilt))
}

/// The journal's files in `dir`.
pub(super) fn contents(dir: &Path, options: &StoreOptions) -> Result<Contents, StoreError> {
    journal::contents(options.disk.as_ref(), &dir.join(journal::FOLDER))
}

/// Deletes what the journal's snapshot made superfluous, and what a compaction that was cut short has left.
pub(super) fn tidy(dir: &Path, options: &StoreOptions) -> Result<(), StoreError> {
    let base = contents(dir, options)?.base();
    journal::tidy(options.disk.as_ref(), &dir.join(journal::FOLDER), base)?;
    index::discard_others(dir, base)
}

/// Opens the index again beside a journal that is open and ends at `head`.
pub(super) fn reopen(dir: &Path, options: &StoreOptions, head: Place) -> Result<(Index, Sum), StoreError> {
    let found = sound_index(dir, contents(dir, options)?.base(), options)?;
    let survey = survey(dir, options, head, found.as_ref().ok().map(|(_, note)| note.applied))?;
    let (index, sum, _) = follow(dir, options, &survey, found)?;
    Ok((index, sum))
}

/// Brings the index up to the journal; makes it anew when it is not sound, and says why.
fn follow(
    dir: &Path,
    options: &StoreOptions,
    survey: &Survey,
    found: Result<(Index, Note), String>,
) -> Result<(Index, Sum, Option<String>), StoreError> {
    let base = survey.contents.base();
    let (index, sum, applied, rebuilt) = match found {
        Ok((index, note)) => (index, note.sum, note.applied.sequence, None),
        Err(reason) => {
            tracing::warn!(reason, "the index is damaged; making it anew from the journal");
            index::discard(&index::folder(dir, base))?;
            (open_index_folder(dir, base, options)?, Sum::default(), 0, Some(reason))
        }
    };
    let (sum, _) = replay(options.disk.as_ref(), survey.contents.whole(), &index, sum, applied)?;
    Ok((index, sum, rebuilt))
}

/// Looks, without changing a byte, whether there is a store of a schema that this program knows.
pub(super) fn refuse_newer(dir: &Path, options: &StoreOptions) -> Result<(), StoreError> {
    let disk = options.disk.as_ref();
    if head::read_marker(disk, dir)?.is_none() {
        let dir = dir.to_owned();
        let was_used = was_used(disk, &dir)?;
        return Err(if was_used { StoreError::MarkerDamaged { dir } } else { StoreError::NoStore { dir } });
    }
    if contents(dir, options)?.segments.is_empty() {
        return Err(StoreError::JournalMissing { dir: dir.to_owned() });
    }
    Ok(())
}

/// Walks the whole journal, and looks that it holds everything that others know of it.
fn survey(dir: &Path, options: &StoreOptions, known: Place, applied: Option<Place>) -> Result<Survey, StoreError> {
    let witnesses = [(Some(known), "the head file"), (applied, "the index")];
    let disk = options.disk.as_ref();
    let mut differs = None;
    let mut look = |place: Place| {
        for (known, witness) in witnesses {
            if known.is_some_and(|known| known.sequence == place.sequence && known != place) {
                differs = Some(StoreError::OtherHistory { witness, sequence: place.sequence });
            }
        }
    };
    let survey = walk_all(dir, options, Visit::Places(&mut look))?;
    if head::read_marker(disk, dir)? != Some(survey.id) {
        return Err(StoreError::MarkerDamaged { dir: dir.to_owned() });
    }
    let head = survey.head.sequence;
    for (known, witness) in witnesses {
        if let Some(Place { sequence: known, .. }) = known.filter(|known| known.sequence > head) {
            return Err(StoreError::JournalBehind { head, known, witness });
        }
    }
    differs.map_or(Ok(survey), Err)
}

/// Walks the whole journal in `dir`.
pub(super) fn walk_all(dir: &Path, options: &StoreOptions, visit: Visit<'_>) -> Result<Survey, StoreError> {
    let survey = walk(options.disk.as_ref(), contents(dir, options)?, 0, visit)?;
    if survey.head.sequence == 0 {
        return Err(StoreError::JournalMissing { dir: dir.to_owned() });
    }
    Ok(survey)
}

/// The index that goes with `base`, if it is what it says it is and has all of the snapshot, or why not.
fn sound_index(dir: &Path, base: u64, options: &StoreOptions) -> Result<Result<(Index, Note), String>, StoreError> {
    let checked = open_index_folder(dir, base, options).and_then(|index| {
        let note = check_index(&index)?;
        match note.applied.sequence >= base {
            true => Ok((index, note)),
            false => Err(StoreError::Index("it has only a part of the snapshot".to_owned())),
        }
    });
    match checked {
        Err(error @ StoreError::InUse { .. }) => Err(error),
        found => Ok(found.map_err(|error| error.to_string())),
    }
}

/// What the index notes about itself, if its rows bear it out.
pub(super) fn check_index(index: &Index) -> Result<Note, StoreError> {
    let note = index.note()?.ok_or_else(|| StoreError::Index("it is empty".to_owned()))?;
    let sum = index.add_up(|_, _| ())?;
    if sum == note.sum {
        Ok(note)
    } else {
        let (noted, found) = (note.sum.rows, sum.rows);
        Err(StoreError::Index(format!("its rows are not what they were; {noted} noted, {found} found")))
    }
}

/// Opens the folder in `dir` of the index that goes with `base`, or makes it.
pub(super) fn open_index_folder(dir: &Path, base: u64, options: &StoreOptions) -> Result<Index, StoreError> {
    let folder = index::folder(dir, base);
    super::files::private_dir(&folder).map_err(StoreError::io("make", &folder))?;
    Index::open(&folder, options.cache_bytes)
}

/// Applies every record after `applied` to the index. Gives what its rows come to, and the last record.
pub(super) fn replay(
    disk: &dyn Disk,
    contents: Contents,
    index: &Index,
    before: Sum,
    applied: u64,
) -> Result<(Sum, Place), StoreError> {
    let (mut sum, mut staged, mut bytes) = (before, Changes::new(), 0);
    let mut last = None;
    let mut take = |place: Place, record: &[u8]| {
        let changes = read_changes(record).ok_or_else(|| not_changes(place))?;
        staged.extend(changes);
        last = Some(place);
        bytes += record.len();
        if bytes >= REPLAY_BATCH_BYTES {
            sum = index.apply(sum, &staged, place)?;
            (last, bytes) = (None, 0);
            staged.clear();
        }
        Ok(())
    };
    let survey = walk(disk, contents, applied, Visit::Changes(&mut take))?;
    if let Some(place) = last {
        sum = index.apply(sum, &staged, place)?;
    }
    Ok((sum, survey.head))
}

/// A whole record in the chain whose changes cannot be read: only a fault in the program writes one.
pub(super) fn not_changes(place: Place) -> StoreError {
    StoreError::JournalDamaged {
        segment: journal::FOLDER.into(),
        offset: 0,
        after: place.sequence - 1,
        what: "a record holds something other than changes",
    }
}
