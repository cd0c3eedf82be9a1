//! Two small files beside the journal: the marker of a finished first start, and the last known end of the journal.

use std::path::Path;

use super::error::StoreError;
use super::files::{Disk, read_small, replace};
use super::journal::Place;
use super::schema::{open, seal};

/// The marker's name. It holds the store's number and is written last by the first start.
pub(super) const MARKER: &str = "store.id";
/// The name of the file that holds the journal's end.
pub(super) const HEAD: &str = "store.head";

/// Notes that the journal reaches to `place`.
pub(super) fn write(disk: &dyn Disk, dir: &Path, place: Place) -> Result<(), StoreError> {
    let body = [&place.sequence.to_be_bytes()[..], &place.hash].concat();
    replace(disk, dir, HEAD, &seal(HEAD.as_bytes(), &body))
}

/// The end of the journal that was noted last.
pub(super) fn read(disk: &dyn Disk, dir: &Path) -> Result<Place, StoreError> {
    let path = dir.join(HEAD);
    let bytes = read_small(disk, &path)?.unwrap_or_default();
    parse(&bytes).ok_or(StoreError::HeadDamaged { path })
}

fn parse(sealed: &[u8]) -> Option<Place> {
    let (sequence, hash) = open(HEAD.as_bytes(), sealed)?.split_first_chunk()?;
    Some(Place { sequence: u64::from_be_bytes(*sequence), hash: hash.try_into().ok()? })
}

/// Marks `dir` as the finished store `id`.
pub(super) fn write_marker(disk: &dyn Disk, dir: &Path, id: &[u8; 16]) -> Result<(), StoreError> {
    replace(disk, dir, MARKER, &seal(MARKER.as_bytes(), id))
}

/// The number of the store in `dir`; `None` when there is no marker.
pub(super) fn read_marker(disk: &dyn Disk, dir: &Path) -> Result<Option<[u8; 16]>, StoreError> {
    let Some(bytes) = read_small(disk, &dir.join(MARKER))? else { return Ok(None) };
    let id = open(MARKER.as_bytes(), &bytes).and_then(|id| id.try_into().ok());
    id.map(Some).ok_or_else(|| StoreError::MarkerDamaged { dir: dir.to_owned() })
}
