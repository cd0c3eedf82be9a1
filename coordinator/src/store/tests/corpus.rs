//! Kept journals, replayed, each with the verdict that is expected: whole, cut, flipped, doubled and foreign ones.
//!
//! `tests/corpus/journal/*.txt` hold them, made by another program than this one: a line that says what it is, one with
//! the verdict, and for each segment its name and its bytes. To keep a finding, add a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::store::error::StoreError;
use crate::store::files::RealDisk;
use crate::store::journal::{Journal, Survey, Visit, contents, read_changes, walk};

/// A kept journal: its name, what is expected of it, and its segments.
struct Kept {
    name: String,
    verdict: String,
    segments: Vec<(String, Vec<u8>)>,
}

fn bytes(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

fn kept() -> Vec<Kept> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/journal");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let verdict = text.lines().find_map(|line| line.strip_prefix("= ")).unwrap().to_owned();
        let files = text.lines().filter(|line| !line.starts_with(['#', '=']));
        let segments = files.map(|line| {
            let (name, digits) = line.split_once(' ').unwrap();
            (name.to_owned(), bytes(digits))
        });
        Kept { name: path.file_stem().unwrap().to_string_lossy().into_owned(), verdict, segments: segments.collect() }
    };
    paths.into_iter().map(read).collect()
}

/// Walks the whole journal; also says how many records hold no changes that can be read.
fn survey(dir: &Path) -> Result<(Survey, usize), StoreError> {
    let mut unreadable = 0;
    let mut take = |_, record: &[u8]| {
        unreadable += usize::from(read_changes(record).is_none());
        Ok(())
    };
    let survey = walk(&RealDisk, contents(&RealDisk, dir)?, 0, Visit::Changes(&mut take))?;
    Ok((survey, unreadable))
}

fn verdict(dir: &Path) -> String {
    match survey(dir) {
        Err(StoreError::JournalDamaged { offset, after, what, .. }) => {
            format!("damaged at byte {offset} after record {after}: {what}")
        }
        Err(error) => error.to_string(),
        Ok((survey, unreadable)) => {
            let (records, torn) = (survey.head.sequence, survey.torn.as_ref());
            let plural = if records == 1 { "" } else { "s" };
            let cut = match torn.map(|torn| torn.keep_bytes) {
                None => String::new(),
                Some(None) => ", the last segment dropped".to_owned(),
                Some(Some(bytes)) => format!(", cut to {bytes} bytes"),
            };
            let rest = if unreadable > 0 { format!(", {unreadable} unreadable") } else { String::new() };
            format!("{records} record{plural}{cut}{rest}")
        }
    }
}

#[test]
fn every_kept_journal_is_judged_as_it_was_and_one_that_is_taken_goes_on() {
    let all = kept();
    assert!(all.len() > 25, "only {} journals were replayed", all.len());
    for Kept { name, verdict: expected, segments } in all {
        let dir = tempfile::tempdir().unwrap();
        for (segment, bytes) in &segments {
            std::fs::write(dir.path().join(segment), bytes).unwrap();
        }
        assert_eq!(verdict(dir.path()), expected, "{name}");
        let Ok((found, _)) = survey(dir.path()) else { continue };
        let head = found.head;
        let mut journal = Journal::open(Arc::new(RealDisk), dir.path().to_owned(), &found, 1 << 20).unwrap();
        journal.append(&[b"".to_vec()]).unwrap();
        drop(journal);
        let (after, _) = survey(dir.path()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((after.head.sequence, after.torn.is_none()), (head.sequence + 1, true), "{name}");
    }
}
