//! `check` and `rebuild` on whole, behind and damaged stores.

use super::{COUNTER, LOG, copy_dir, small};
use crate::store::index::Index;
use crate::store::{Reads, Store, StoreError, TableReport, check, rebuild};

async fn filled(dir: &std::path::Path) {
    let store = Store::create(dir, small()).unwrap();
    for number in 0..30u64 {
        let write = move |draft: &mut crate::store::Draft| {
            draft.put(&COUNTER, &(), &number)?;
            draft.put(&LOG, &number, &"w".repeat(200))
        };
        store.update::<_, StoreError>(write).await.unwrap();
    }
    store.close().await;
}

#[tokio::test]
async fn a_sound_store_is_counted_by_table() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    let report = check(dir.path()).unwrap();
    assert_eq!((report.records, report.waiting, report.has_torn_end), (31, 0, false));
    assert!(report.segments > 1 && report.damage.is_empty(), "{report:?}");
    let counts: Vec<(u8, TableReport)> = report.tables.into_iter().collect();
    let log = TableReport { rows: 30, value_bytes: 30 * (4 + 1 + 1 + 200) };
    assert_eq!(counts, [(b'C', TableReport { rows: 1, value_bytes: 6 }), (b'L', log)]);
}

#[tokio::test]
async fn each_wrong_row_is_named() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    let index = Index::open(&dir.path().join("index"), 1 << 20).unwrap();
    let key = |number: u8| [b'L', 0, 0, 0, 0, 0, 0, 0, number];
    index.rows.insert(key(3), b"other").unwrap();
    index.rows.insert(key(200), b"added").unwrap();
    index.rows.remove(key(5)).unwrap();
    drop(index);
    insta::assert_snapshot!(check(dir.path()).unwrap().damage.join("\n"), @"
    index: the row 4c0000000000000003 is not what the journal says
    index: the row 4c00000000000000c8 is not in the journal
    index: the row 4c0000000000000005 is missing
    index: its rows are not what it notes about them
    ");
    let rebuilt = rebuild(dir.path()).unwrap();
    assert_eq!((rebuilt.records, rebuilt.rows), (31, 31));
    assert!(check(dir.path()).unwrap().damage.is_empty());
}

#[tokio::test]
async fn a_lost_end_and_a_flipped_bit_are_findings() {
    let (whole, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(whole.path()).await;
    copy_dir(whole.path(), dir.path());
    let mut segments: Vec<_> =
        std::fs::read_dir(dir.path().join("journal")).unwrap().map(|e| e.unwrap().path()).collect();
    segments.sort();
    std::fs::remove_file(segments.last().unwrap()).unwrap();
    let lost_end = check(dir.path()).unwrap().damage;
    assert!(lost_end.iter().any(|line| line.starts_with("the journal ends at record")), "{lost_end:?}");
    let mut bytes = std::fs::read(&segments[0]).unwrap();
    bytes[300] ^= 4;
    std::fs::write(&segments[0], bytes).unwrap();
    let flipped = check(dir.path()).unwrap().damage;
    assert!(flipped.iter().any(|line| line.contains("a record does not fit its checksum")), "{flipped:?}");
    assert!(matches!(rebuild(dir.path()), Err(StoreError::JournalDamaged { .. })));
}

#[tokio::test]
async fn a_lost_index_is_made_anew_and_said() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    let store = Store::open(dir.path(), small()).unwrap();
    assert!(store.rebuilt().is_some_and(|reason| reason.contains("it is empty")), "{:?}", store.rebuilt());
    assert_eq!(store.read(|view| Ok(view.iter(&LOG).count())).await.unwrap(), 30);
    store.close().await;
}

#[tokio::test]
async fn an_index_that_lost_one_row_is_made_anew_when_the_store_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    let index = Index::open(&dir.path().join("index"), 1 << 20).unwrap();
    index.rows.remove([b'L', 0, 0, 0, 0, 0, 0, 0, 5]).unwrap();
    drop(index);
    let store = Store::open(dir.path(), small()).unwrap();
    assert!(store.rebuilt().is_some_and(|reason| reason.contains("31 noted, 30 found")), "{:?}", store.rebuilt());
    assert_eq!(store.read(|view| Ok(view.iter(&LOG).count())).await.unwrap(), 30);
    store.close().await;
}
