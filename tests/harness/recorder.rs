//! Keeps count of results beside the mesh: what nodes said in all their lives, and what the coordinator wrote down.

use super::{Mesh, Process};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The bytes before the first record of a journal file, and before the changes of a record.
const HEADER_BYTES: usize = 72;
const PREAMBLE_BYTES: usize = 56;

/// Stands in a change in place of a length: the row was removed.
const REMOVED: usize = u32::MAX as usize;

/// The first byte of the rows that say that a task's result was taken in.
const TAKEN_IN: u8 = b'c';

/// What processes said that are gone.
#[derive(Default)]
pub(crate) struct Recorder(Vec<String>);

impl Recorder {
    /// Ends a node without warning, and keeps what it said up to its end.
    pub(crate) fn kill(&mut self, mesh: &mut Mesh, index: usize) {
        self.0.extend(mesh.nodes[index].kill_and_hear());
    }

    /// The tasks of which a node has ever said `what`: "started", "done", "delivered".
    pub(crate) fn tasks(&self, nodes: &[Process], what: &str) -> BTreeSet<String> {
        let living = nodes.iter().flat_map(Process::said);
        let task = |line: String| Some(line.strip_suffix(what)?.rsplit_once("task ")?.1.trim().to_owned());
        self.0.iter().cloned().chain(living).filter_map(task).collect()
    }
}

/// How often the result of each task was written into the journal of a stopped coordinator. This reads the files as the
/// format says and not with the program's own code.
pub(crate) fn results_written(hub: &Path) -> BTreeMap<String, usize> {
    let mut files: Vec<_> =
        std::fs::read_dir(hub.join("store/journal")).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let mut written = BTreeMap::new();
    for file in files {
        let bytes = std::fs::read(file).unwrap();
        let mut rest = &bytes[HEADER_BYTES..];
        while !rest.is_empty() {
            let (record, after) = rest.split_at(PREAMBLE_BYTES + number(&rest[..4]));
            count(&record[PREAMBLE_BYTES..], &mut written);
            rest = after;
        }
    }
    written
}

/// Counts the results among the changes of one record: key length, key, value length or "removed", value.
fn count(mut changes: &[u8], written: &mut BTreeMap<String, usize>) {
    while !changes.is_empty() {
        let (key, rest) = changes[4..].split_at(number(&changes[..4]));
        let length = number(&rest[..4]);
        let is_removal = length == REMOVED;
        changes = &rest[4 + if is_removal { 0 } else { length }..];
        if key[0] == TAKEN_IN {
            assert!(!is_removal, "what a result said is never removed");
            let (run, task) = key[1..].split_at(8);
            let task = format!("{}.{}", u64::from_be_bytes(run.try_into().unwrap()), number(task));
            *written.entry(task).or_default() += 1;
        }
    }
}

/// A number of four bytes.
fn number(bytes: &[u8]) -> usize {
    usize::try_from(u32::from_be_bytes(bytes.try_into().unwrap())).unwrap()
}
