//! Making, reading, changing, closing and opening a store.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use protocol::task::ScanId;

use super::cut_disk::CutDisk;
use super::{LOG, small};
use crate::store::index::Index;
use crate::store::{Draft, Reads, Store, StoreError, StoreOptions, Table};

const SCANS: Table<ScanId, String> = Table::new(b'S', "scans");

fn put(number: u64, text: &'static str) -> impl FnOnce(&mut Draft) -> Result<(), StoreError> {
    move |draft| draft.put(&SCANS, &ScanId(number), &text.to_owned())
}

async fn get(store: &Store, number: u64) -> Option<String> {
    store.read(move |view| view.get(&SCANS, &ScanId(number))).await.unwrap()
}

#[tokio::test]
async fn a_change_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path(), StoreOptions::default()).unwrap();
    store.update(put(7, "seven")).await.unwrap();
    store.close().await;
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    assert_eq!(store.rebuilt(), None);
    assert_eq!(get(&store, 7).await.as_deref(), Some("seven"));
    store.close().await;
}

#[tokio::test]
async fn an_update_that_fails_or_panics_leaves_nothing_and_harms_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path(), small()).unwrap();
    let failed = store.update(|draft| put(1, "one")(draft).and(Err::<(), _>(StoreError::Closed))).await;
    assert!(matches!(failed, Err(StoreError::Closed)));
    let broken = store.update::<(), StoreError>(|draft| put(2, "two")(draft).map(|()| panic!("a fault"))).await;
    assert!(matches!(broken, Err(StoreError::Interrupted)), "{broken:?}");
    store.update(put(3, "three")).await.unwrap();
    assert_eq!((get(&store, 1).await, get(&store, 2).await), (None, None));
    assert_eq!(get(&store, 3).await.as_deref(), Some("three"));
    store.close().await;
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path(), small()).unwrap();
    let other = store.clone();
    store.close().await;
    assert!(matches!(other.update(put(1, "one")).await, Err(StoreError::Closed)));
    assert!(matches!(other.read(|view| view.last(&LOG)).await, Err(StoreError::Closed)));
}

#[tokio::test]
async fn after_a_failed_write_nothing_is_acknowledged_but_reads_go_on() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), CutDisk::new(1));
    let options = StoreOptions { disk: Arc::new(disk.clone()), ..small() };
    let store = Store::create(dir.path(), options).unwrap();
    store.update(put(1, "one")).await.unwrap();
    disk.cut_after(0);
    let refused = store.update(put(2, "two")).await.unwrap_err().to_string();
    insta::assert_snapshot!(refused.replace(&dir.path().display().to_string(), "DIR"), @"the store takes no more changes since a write failed (cannot append to DIR/journal: the power is cut); mend the cause and start again");
    assert!(matches!(store.update(put(3, "three")).await, Err(StoreError::Stopped(_))));
    assert_eq!((get(&store, 1).await.as_deref(), get(&store, 2).await), (Some("one"), None));
    store.close().await;
}

#[tokio::test]
async fn a_change_that_is_too_large_is_refused_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path(), small()).unwrap();
    let large = "x".repeat(33 << 20);
    let value = store.update(move |draft| draft.put(&SCANS, &ScanId(1), &large)).await;
    assert!(matches!(value, Err::<(), _>(StoreError::TooLarge { .. })), "{value:?}");
    let half = "x".repeat(31 << 20);
    let record = store.update(move |draft| (1..10).try_for_each(|id| draft.put(&SCANS, &ScanId(id), &half))).await;
    assert!(matches!(record, Err::<(), _>(StoreError::TooLarge { .. })), "{record:?}");
    store.update(put(2, "two")).await.unwrap();
    assert_eq!(get(&store, 1).await, None);
    store.close().await;
}

#[tokio::test]
async fn volatile_rows_survive_a_restart_but_not_a_lost_index() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path(), small()).unwrap();
    for key in ["s1", "s2", "s3", "t1"] {
        store.volatile().put(key.into(), format!("value of {key}").into()).await.unwrap();
    }
    store.volatile().remove(b"s2".to_vec()).await.unwrap();
    store.close().await;
    let store = Store::open(dir.path(), small()).unwrap();
    assert_eq!(store.volatile().get(b"s1".to_vec()).await.unwrap().as_deref(), Some(&b"value of s1"[..]));
    assert_eq!(store.volatile().get(b"s2".to_vec()).await.unwrap(), None);
    store.close().await;
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    let store = Store::open(dir.path(), small()).unwrap();
    assert_eq!(store.volatile().get(b"s1".to_vec()).await.unwrap(), None);
    store.close().await;
}

#[tokio::test]
async fn a_value_under_a_wrong_key_is_noticed_when_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path(), small()).unwrap();
    store.update(put(1, "one")).await.unwrap();
    let swap = |index: &Index| {
        let value = index.rows.get([b'S', 0, 0, 0, 0, 0, 0, 0, 1]).unwrap().unwrap();
        index.rows.insert([b'S', 0, 0, 0, 0, 0, 0, 0, 2], value).unwrap();
        Ok(())
    };
    store.with_index(swap).await.unwrap();
    let error = store.read(|view| view.get(&SCANS, &ScanId(2))).await.unwrap_err();
    insta::assert_snapshot!(error.to_string(), @"scans: the entry 530000000000000002 is damaged; `portdrift db rebuild` makes it anew from the journal");
    store.close().await;
}

#[tokio::test]
async fn only_the_owner_may_read_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(&dir.path().join("data"), small()).unwrap();
    let mode = |path: &str| dir.path().join(path).metadata().unwrap().permissions().mode() & 0o777;
    let folders = ["data", "data/journal", "data/index"].map(mode);
    let files =
        ["data/store.id", "data/store.head", "data/lock", "data/journal/00000000000000000001.journal"].map(mode);
    assert_eq!((folders, files), ([0o700; 3], [0o600; 4]));
    store.close().await;
}
