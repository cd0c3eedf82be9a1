//! The store's part of a backup: its journal, copied out of a folder and laid into another.

use std::path::Path;

use super::StoreOptions;
use super::error::StoreError;
use super::files::Lock;
use super::head;
use super::index::{self, Sum};
use super::journal::{self, Sink, Visit, copy};
use super::start::{open_index_folder, replay, walk_all};

/// Gives the files of the journal of the store in `dir` to `sink`; the store may be in use. Gives the number of the last
/// record.
///
/// # Errors
/// When there is no whole journal, or a file cannot be read.
pub(crate) fn copy_out(dir: &Path, sink: &mut dyn Sink) -> Result<u64, StoreError> {
    let options = StoreOptions::default();
    let (id, head) = copy(options.disk.as_ref(), &dir.join(journal::FOLDER), sink)?;
    if head::read_marker(options.disk.as_ref(), dir)? != Some(id) {
        return Err(StoreError::MarkerDamaged { dir: dir.to_owned() });
    }
    Ok(head.sequence)
}

/// Makes `dir`, whose folder `journal` holds the files of a whole journal and which holds nothing else, a store. Gives
/// the number of the last record.
///
/// # Errors
/// When the journal is not whole, or a file cannot be written.
pub(crate) fn take_over(dir: &Path) -> Result<u64, StoreError> {
    let options = StoreOptions::default();
    let disk = options.disk.as_ref();
    let _lock = Lock::take(dir)?;
    let survey = walk_all(dir, &options, Visit::Places(&mut |_| ()))?;
    if survey.torn.is_some() {
        return Err(StoreError::JournalMissing { dir: dir.to_owned() });
    }
    let base = survey.contents.base();
    index::discard(&index::folder(dir, base))?;
    let index = open_index_folder(dir, base, &options)?;
    replay(disk, survey.contents, &index, Sum::default(), 0)?;
    index.flush()?;
    drop(index);
    head::write(disk, dir, survey.head)?;
    disk.sync_dir(&dir.join(journal::FOLDER)).map_err(StoreError::io("sync", dir))?;
    disk.sync_dir(dir).map_err(StoreError::io("sync", dir))?;
    head::write_marker(disk, dir, &survey.id)?;
    Ok(survey.head.sequence)
}

/// The folder of the journal in the store in `dir`, and how its files are named.
pub(crate) fn journal_folder(dir: &Path) -> std::path::PathBuf {
    dir.join(journal::FOLDER)
}
