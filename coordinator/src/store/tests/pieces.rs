//! Large changes reach the index in pieces: broken off between any two, nothing is lost and nothing counts twice.

use std::collections::BTreeMap;
use std::path::Path;

use super::{LOG, copy_dir, small};
use crate::store::files::RealDisk;
use crate::store::index::{BATCH_ROWS, Changes, Index, Note, Sum, discard, pieces};
use crate::store::journal::{Place, Visit, contents, read_changes, walk};
use crate::store::{Draft, Reads, Store, StoreError, check};

const OLD: u64 = 300;
const NEW: u64 = 1_200;

/// A closed store whose last record is large; what its rows are, and a copy of its index from before that record.
async fn with_a_large_record(dir: &Path, before: &Path) -> BTreeMap<u64, String> {
    let store = Store::create(dir, small()).unwrap();
    let small_one = |draft: &mut Draft| (0..OLD).try_for_each(|row| draft.put(&LOG, &row, &format!("old {row}")));
    store.update::<_, StoreError>(small_one).await.unwrap();
    store.close().await;
    copy_dir(&dir.join("index"), before);
    let store = Store::open(dir, small()).unwrap();
    let large = |draft: &mut Draft| {
        (0..NEW).step_by(2).try_for_each(|row| draft.put(&LOG, &row, &format!("new {row}")))?;
        (1..NEW).step_by(2).try_for_each(|row| draft.put(&LOG, &(2 * NEW + row), &format!("new {row}")))?;
        (0..OLD).step_by(3).try_for_each(|row| draft.remove(&LOG, &row))
    };
    store.update::<_, StoreError>(large).await.unwrap();
    let rows = store.read(|view| view.iter(&LOG).collect()).await.unwrap();
    store.close().await;
    rows
}

/// The last record of the journal.
fn last_record(dir: &Path) -> (Place, Changes) {
    let mut last = None;
    let mut take = |place: Place, record: &[u8]| {
        last = Some((place, read_changes(record).unwrap().into_iter().collect()));
        Ok(())
    };
    walk(&RealDisk, contents(&RealDisk, &dir.join("journal")).unwrap(), 0, Visit::Changes(&mut take)).unwrap();
    last.unwrap()
}

/// Applies the first `count` pieces, as a process does that is killed then.
fn apply_some(dir: &Path, changes: &Changes, count: usize, until: Place) {
    let index = Index::open(&dir.join("index"), 1 << 20).unwrap();
    let note = index.note().unwrap();
    let mut sum = note.map_or(Sum::default(), |note| note.sum);
    for piece in pieces(changes).iter().take(count) {
        let note = note.map(|note| Note { begun: until.sequence, ..note });
        sum = index.apply_piece(sum, piece, note).unwrap();
    }
    index.flush().unwrap();
}

async fn opened(dir: &Path) -> (Option<String>, BTreeMap<u64, String>) {
    let store = Store::open(dir, small()).unwrap();
    let rows = store.read(|view| view.iter(&LOG).collect()).await.unwrap();
    let rebuilt = store.rebuilt().map(str::to_owned);
    store.close().await;
    (rebuilt, rows)
}

#[tokio::test]
async fn an_application_broken_off_between_two_pieces_is_gone_on_with() {
    let (dir, old) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let before = old.path().join("index");
    let expected = with_a_large_record(dir.path(), &before).await;
    let (place, changes) = last_record(dir.path());
    let count = pieces(&changes).len();
    assert!(count >= 3, "{count} pieces are too few to break off between");
    for applied in 0..count {
        for again in [0, 1] {
            discard(&dir.path().join("index")).unwrap();
            copy_dir(&before, &dir.path().join("index"));
            apply_some(dir.path(), &changes, applied, place);
            apply_some(dir.path(), &changes, again, place);
            let report = check(dir.path()).unwrap();
            assert_eq!((report.damage, report.waiting), (vec![], 1), "{applied} and {again}");
            assert_eq!(opened(dir.path()).await, (None, expected.clone()), "{applied} and {again}");
            assert_eq!(check(dir.path()).unwrap().damage, Vec::<String>::new());
        }
    }
}

#[tokio::test]
async fn a_row_that_neither_side_of_a_broken_application_has_is_named() {
    let (dir, old) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let before = old.path().join("index");
    with_a_large_record(dir.path(), &before).await;
    let (place, mut changes) = last_record(dir.path());
    discard(&dir.path().join("index")).unwrap();
    copy_dir(&before, &dir.path().join("index"));
    *changes.first_entry().unwrap().get_mut() = Some(b"neither".to_vec());
    apply_some(dir.path(), &changes, 1, place);
    assert_eq!(check(dir.path()).unwrap().damage.len(), 1);
}

#[tokio::test]
async fn an_index_that_was_being_made_anew_is_begun_again() {
    let (dir, old) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = with_a_large_record(dir.path(), &old.path().join("index")).await;
    let (place, changes) = last_record(dir.path());
    discard(&dir.path().join("index")).unwrap();
    apply_some(dir.path(), &changes, 1, place);
    let (rebuilt, rows) = opened(dir.path()).await;
    assert_eq!((rebuilt.is_some(), rows), (true, expected));
}

#[test]
fn pieces_are_in_order_and_the_last_one_is_full() {
    for rows in [0u32, 1, 256, 257, 1_000] {
        let changes: Changes = (0..rows).map(|row| (row.to_be_bytes().to_vec(), None)).collect();
        let pieces = pieces(&changes);
        let keys: Vec<_> = pieces.iter().flatten().map(|(key, _)| (*key).clone()).collect();
        assert!(keys.iter().eq(changes.keys()), "{rows}");
        assert!(pieces.len() == 1 || pieces.last().unwrap().len() == BATCH_ROWS, "{rows}");
    }
}
