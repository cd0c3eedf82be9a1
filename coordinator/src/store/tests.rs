//! The store as a whole, tested on real files, on files that lose power, and in killed processes.

mod basics;
mod check;
mod compact;
mod corpus;
pub(crate) mod cut_disk;
mod damage;
mod full;
mod keys;
mod kill;
mod model;
mod pieces;
mod power;
mod refusals;

use std::path::Path;

use crate::fixture::options;
use crate::store::{StoreOptions, Table};

/// Rows of the tests: a number in order, and what was written under it.
const LOG: Table<u64, String> = Table::new(b'L', "log");
/// One row that every update of the tests counts up.
const COUNTER: Table<(), u64> = Table::new(b'C', "counter");

/// Small segments, so that the journal rolls often.
fn small() -> StoreOptions {
    StoreOptions { cache_bytes: 1 << 20, segment_bytes: 4_000, ..options() }
}

/// How often a random test is repeated: `usual` times, or `long` when `PORTDRIFT_LONG` is 1.
pub(crate) fn rounds(usual: u64, long: u64) -> u64 {
    if std::env::var("PORTDRIFT_LONG").is_ok_and(|value| value == "1") { long } else { usual }
}

/// Copies the folder `from`, with what is in it, to the new folder `to`.
fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, target) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        if path.is_dir() {
            copy_dir(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}
