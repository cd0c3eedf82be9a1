//! `db check` and `db rebuild`: the whole journal against the whole index, on a stopped store.

use std::collections::BTreeMap;
use std::path::Path;

use super::StoreOptions;
use super::error::StoreError;
use super::files::Lock;
use super::head;
use super::index::{self, Index, Note, Sum, row_hash};
use super::journal::{Place, Survey, Visit, read_changes};
use super::schema::hex;
use super::start::{contents, not_changes, open_index_folder, refuse_newer, replay, tidy, walk_all};

/// How many damaged rows are named one by one.
const MAX_NAMED: usize = 100;

/// What [`check`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// The number of the last whole record in the journal.
    pub records: u64,
    /// The number of the record up to which a snapshot stands for the records; 0 without one.
    pub snapshot: u64,
    /// Files of the journal.
    pub segments: usize,
    /// Whether the journal ends in a write that no one was told about; opening the store cuts it.
    pub has_torn_end: bool,
    /// Records that the index has yet to take in; opening the store does that.
    pub waiting: u64,
    /// By the table's prefix.
    pub tables: BTreeMap<u8, TableReport>,
    /// What is wrong, each with its place; empty when the store is sound.
    pub damage: Vec<String>,
}

/// What one table holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableReport {
    /// Rows.
    pub rows: u64,
    /// Their values' size in bytes, checksums included.
    pub value_bytes: u64,
}

/// What [`rebuild`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// The number of the last record that was replayed.
    pub records: u64,
    /// Rows that they led to.
    pub rows: u64,
}

/// Checks the stopped store in `dir`: every link of the journal, and every row of the index against it.
///
/// Keeps the keys and 16 bytes a row in memory. The index is opened, which may tidy its files; the journal is not
/// changed.
///
/// # Errors
/// When there is no store, it is in use, it is too new, or a file cannot be read. Damage is no error but a finding.
pub(crate) fn check(dir: &Path) -> Result<CheckReport, StoreError> {
    let options = StoreOptions::default();
    refuse_newer(dir, &options)?;
    let _lock = Lock::take(dir)?;
    let mut report = CheckReport::default();
    let index = open_index(dir, &options, &mut report);
    let applied = index.as_ref().map(|(_, note)| note.applied);
    let begun = index.as_ref().map_or(0, |(_, note)| note.begun);
    let (mut expected, mut ahead) = (BTreeMap::new(), Ahead::new());
    let mut reached = None;
    let mut take = |place: Place, record: &[u8]| {
        report.records = place.sequence;
        if applied.is_some_and(|applied| place.sequence <= applied.sequence) {
            reached = Some(place);
            for (key, value) in read_changes(record).ok_or_else(|| not_changes(place))? {
                match value {
                    Some(value) => expected.insert(key.clone(), row_hash(&key, &value)),
                    None => expected.remove(&key),
                };
            }
        } else if place.sequence <= begun {
            for (key, value) in read_changes(record).ok_or_else(|| not_changes(place))? {
                let hash = value.map(|value| row_hash(&key, &value));
                ahead.entry(key).or_default().push(hash);
            }
        }
        Ok(())
    };
    match walk_all(dir, &options, Visit::Changes(&mut take)) {
        Ok(survey) => {
            check_marks(dir, &options, &survey, applied.filter(|applied| Some(*applied) != reached), &mut report)?
        }
        Err(error @ StoreError::Io { .. }) => return Err(error),
        Err(error) => report.damage.push(error.to_string()),
    }
    if let Some((index, note)) = index {
        report.waiting = report.records.saturating_sub(note.applied.sequence);
        compare(&index, &note, expected, &ahead, &mut report);
    }
    Ok(report)
}

/// What records whose application was broken off leave a row at, by its key: the hash of a value, or nothing.
type Ahead = BTreeMap<Vec<u8>, Vec<Option<u128>>>;

/// The index with its note; `None`, and why in `report`, when it cannot be read.
fn open_index(dir: &Path, options: &StoreOptions, report: &mut CheckReport) -> Option<(Index, Note)> {
    let base = contents(dir, options).map_or(0, |contents| contents.base());
    let found = open_index_folder(dir, base, options).and_then(|index| {
        let note = index.note()?.ok_or_else(|| StoreError::Index("it is empty".to_owned()))?;
        Ok((index, note))
    });
    found.map_err(|error| report.damage.push(error.to_string())).ok()
}

/// Compares the journal's end with what the marker, the head file and the index (if it `strays`) know of it.
fn check_marks(
    dir: &Path,
    options: &StoreOptions,
    survey: &Survey,
    strays: Option<Place>,
    report: &mut CheckReport,
) -> Result<(), StoreError> {
    report.segments = survey.contents.segments.len();
    report.snapshot = survey.contents.base();
    report.has_torn_end = survey.torn.is_some();
    let head = survey.head.sequence;
    let disk = options.disk.as_ref();
    if head::read_marker(disk, dir)? != Some(survey.id) {
        report.damage.push(StoreError::MarkerDamaged { dir: dir.to_owned() }.to_string());
    }
    let known = head::read(disk, dir).map_err(|error| report.damage.push(error.to_string())).ok();
    if known.is_some_and(|known| known.sequence == head && known != survey.head) {
        report.damage.push(StoreError::OtherHistory { witness: "the head file", sequence: head }.to_string());
    }
    for (known, witness) in [(known, "the head file"), (strays, "the index")] {
        if let Some(Place { sequence: known, .. }) = known.filter(|known| known.sequence > head) {
            report.damage.push(StoreError::JournalBehind { head, known, witness }.to_string());
        }
    }
    if let Some(Place { sequence, .. }) = strays.filter(|strays| strays.sequence <= head) {
        report.damage.push(StoreError::OtherHistory { witness: "the index", sequence }.to_string());
    }
    Ok(())
}

/// Counts the rows of the index and compares each with what the journal leads to. Those of records whose application
/// was broken off may be as before or as after.
fn compare(index: &Index, note: &Note, mut expected: BTreeMap<Vec<u8>, u128>, ahead: &Ahead, report: &mut CheckReport) {
    let CheckReport { tables, damage, .. } = report;
    let is_ahead = |key: &[u8], hash: Option<u128>| ahead.get(key).is_some_and(|leads| leads.contains(&hash));
    let mut wrong = 0;
    let mut name = |what: &str, key: &[u8]| {
        wrong += 1;
        if wrong <= MAX_NAMED {
            damage.push(format!("index: the row {} {what}", hex(key)));
        }
    };
    let sum = index.add_up(|key, value| {
        let table = tables.entry(key.first().copied().unwrap_or_default()).or_default();
        table.rows += 1;
        table.value_bytes += value.len() as u64;
        let hash = row_hash(key, value);
        match expected.remove(key) {
            Some(known) if known == hash => {}
            Some(_) | None if is_ahead(key, Some(hash)) => {}
            Some(_) => name("is not what the journal says", key),
            None => name("is not in the journal", key),
        }
    });
    expected.keys().filter(|key| !is_ahead(key, None)).for_each(|key| name("is missing", key));
    match sum {
        Ok(sum) if sum != note.sum => damage.push("index: its rows are not what it notes about them".to_owned()),
        Ok(_) => {}
        Err(error) => damage.push(error.to_string()),
    }
}

/// Makes the index of the stopped store in `dir` anew from its journal, and notes the journal's end anew.
///
/// Sessions are dropped. Accepts a journal that has lost its end, so read what [`check`] says before.
///
/// # Errors
/// When there is no store, it is in use or too new, the journal is damaged before its end, or a file fails.
pub(crate) fn rebuild(dir: &Path) -> Result<Rebuilt, StoreError> {
    let options = StoreOptions::default();
    refuse_newer(dir, &options)?;
    let _lock = Lock::take(dir)?;
    let survey = walk_all(dir, &options, Visit::Places(&mut |_| ()))?;
    if head::read_marker(options.disk.as_ref(), dir)? != Some(survey.id) {
        return Err(StoreError::MarkerDamaged { dir: dir.to_owned() });
    }
    let base = survey.contents.base();
    index::discard(&index::folder(dir, base))?;
    let index = open_index_folder(dir, base, &options)?;
    let (sum, _) = replay(options.disk.as_ref(), survey.contents.whole(), &index, Sum::default(), 0)?;
    index.flush()?;
    head::write(options.disk.as_ref(), dir, survey.head)?;
    tidy(dir, &options)?;
    Ok(Rebuilt { records: survey.head.sequence, rows: sum.rows })
}
