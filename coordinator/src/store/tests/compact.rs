//! Compaction: the same rows in less room, while others read and write, and whatever breaks it off.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::cut_disk::CutDisk;
use super::{COUNTER, LOG, copy_dir, rounds, small};
use crate::store::compact::Usage;
use crate::store::{Compacted, Draft, KeepFree, Reads, Store, StoreError, StoreOptions, check, rebuild};

type Rows = BTreeMap<u64, String>;

/// Writes each of some rows over and over.
async fn wear(store: &Store, life: u64) {
    for number in 0..60u64 {
        let write = move |draft: &mut Draft| {
            draft.put(&COUNTER, &(), &number)?;
            draft.put(&LOG, &(number % 12), &format!("{life} {number} {}", "x".repeat(300)))?;
            draft.remove(&LOG, &(number % 7))
        };
        store.update::<_, StoreError>(write).await.unwrap();
    }
}

async fn rows(store: &Store) -> Rows {
    store.read(|view| view.iter(&LOG).collect()).await.unwrap()
}

async fn compact(store: &Store) -> Compacted {
    store.compact().await.unwrap().expect("something was written")
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_compacted_store_has_the_same_rows_a_shorter_journal_and_its_chain() {
    let dir = tempfile::tempdir().unwrap();
    Store::create(dir.path(), small()).unwrap().close().await;
    for life in 0..3 {
        let store = Store::open(dir.path(), small()).unwrap();
        wear(&store, life).await;
        store.volatile().put(b"session".to_vec(), vec![7]).await.unwrap();
        let (before, journal) = (rows(&store).await, store.usage().await.unwrap().journal);
        let done = compact(&store).await;
        assert_eq!(done.records, 1 + 60 + life * 120);
        assert!(store.usage().await.unwrap().journal < journal / 3, "{done:?}");
        assert_eq!(rows(&store).await, before);
        assert_eq!(store.volatile().get(b"session".to_vec()).await.unwrap(), Some(vec![7]), "sessions stay");
        assert_eq!(store.compact().await.unwrap(), None, "nothing was written since");
        wear(&store, life + 100).await;
        let after = rows(&store).await;
        store.close().await;
        let report = check(dir.path()).unwrap();
        assert_eq!((report.damage, report.snapshot), (vec![], done.records));
        let reopened = Store::open(dir.path(), small()).unwrap();
        assert_eq!((reopened.rebuilt(), rows(&reopened).await), (None, after.clone()));
        reopened.close().await;
        std::fs::remove_dir_all(dir.path().join(format!("index-{}", done.records))).unwrap();
        rebuild(dir.path()).unwrap();
        let store = Store::open(dir.path(), small()).unwrap();
        assert_eq!((store.rebuilt(), rows(&store).await), (None, after));
        store.close().await;
    }
}

#[tokio::test]
async fn others_read_and_write_while_a_store_is_compacted() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path(), small()).unwrap();
    wear(&store, 0).await;
    let writing = async {
        let mut written = Vec::new();
        for number in 100..400u64 {
            let write = move |draft: &mut Draft| draft.put(&LOG, &number, &"y".repeat(100));
            store.update::<_, StoreError>(write).await.unwrap();
            assert!(store.read(move |view| view.contains(&LOG, &number)).await.unwrap());
            written.push(number);
        }
        written
    };
    let compacting = async {
        for _ in 0..4 {
            store.compact().await.unwrap();
        }
    };
    let (written, ()) = futures::join!(writing, compacting);
    let kept = rows(&store).await;
    assert!(written.iter().all(|number| kept.contains_key(number)));
    store.close().await;
    assert_eq!(check(dir.path()).unwrap().damage, Vec::<String>::new());
    let store = Store::open(dir.path(), small()).unwrap();
    assert_eq!(rows(&store).await, kept);
    store.close().await;
}

/// How a compaction is broken off.
#[derive(Clone, Copy, Debug)]
enum End {
    /// What was written stays.
    Killed,
    /// What was not synced may be lost.
    PowerCut,
}

/// Breaks a compaction off after `changes` changes of files; false when it was through before.
async fn broken_off(end: End, changes: u64, seed: u64) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let disk = CutDisk::new(seed);
    let options = StoreOptions { disk: Arc::new(disk.clone()), ..small() };
    let store = Store::create(dir.path(), options.clone()).unwrap();
    wear(&store, 0).await;
    if seed.is_multiple_of(2) {
        compact(&store).await;
        wear(&store, 1).await;
    }
    let before = rows(&store).await;
    disk.cut_after(changes);
    let is_broken = store.compact().await.is_err();
    store.close().await;
    match end {
        End::Killed => disk.revive(),
        End::PowerCut => disk.restart(),
    }
    let what = format!("{end:?} after {changes}, seed {seed}");
    let store = Store::open(dir.path(), options.clone()).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(rows(&store).await, before, "{what}");
    wear(&store, 2).await;
    let after = rows(&store).await;
    compact(&store).await;
    store.close().await;
    let store = Store::open(dir.path(), options).unwrap_or_else(|error| panic!("{what}, later: {error}"));
    assert_eq!(rows(&store).await, after, "{what}, later");
    let kept: Vec<String> = names(dir.path()).into_iter().filter(|name| name.starts_with("index")).collect();
    assert_eq!(kept.len(), 1, "{what}: {kept:?}");
    store.close().await;
    is_broken
}

#[tokio::test]
async fn a_compaction_broken_off_at_any_step_leaves_the_old_store_or_the_new_one() {
    for end in [End::Killed, End::PowerCut] {
        for seed in 0..rounds(2, 20) {
            let mut changes = 0;
            while broken_off(end, changes, seed).await {
                changes += 1;
                assert!(changes < 200, "it never comes through");
            }
            assert!(changes > 10, "{changes} steps are too few to be all");
        }
    }
}

#[tokio::test]
async fn a_snapshot_that_is_not_what_was_written_is_named_and_never_built_upon() {
    let sound = tempfile::tempdir().unwrap();
    let store = Store::create(sound.path(), small()).unwrap();
    wear(&store, 0).await;
    let name = format!("journal/{:020}.snapshot", compact(&store).await.records);
    store.close().await;
    let bytes = std::fs::read(sound.path().join(&name)).unwrap();
    let flips = (0..bytes.len()).step_by(bytes.len() / 60).map(|place| {
        let mut flipped = bytes.clone();
        flipped[place] ^= 1;
        flipped
    });
    let cuts = (0..bytes.len()).step_by(bytes.len() / 20).map(|size| bytes[..size].to_vec());
    let end_twice = [&bytes[..], &bytes[bytes.len() - 56..]].concat();
    for harmed in flips.chain(cuts).chain([end_twice]) {
        let dir = tempfile::tempdir().unwrap();
        copy_dir(sound.path(), dir.path());
        std::fs::write(dir.path().join(&name), &harmed).unwrap();
        let error = Store::open(dir.path(), small()).map(drop).expect_err("it is not whole");
        // A flip within the schema's number reads as a later schema.
        assert!(matches!(error, StoreError::JournalDamaged { .. } | StoreError::NewerSchema { .. }), "{error}");
        let said = check(dir.path()).map_or_else(|error| vec![error.to_string()], |report| report.damage);
        assert!(!said.is_empty());
    }
    std::fs::remove_file(sound.path().join(&name)).unwrap();
    let error = Store::open(sound.path(), small()).map(drop).expect_err("it is not there");
    assert!(matches!(error, StoreError::JournalDamaged { .. }), "{error}");
}

#[tokio::test]
async fn without_room_for_both_nothing_is_begun() {
    let dir = tempfile::tempdir().unwrap();
    let disk = CutDisk::new(1);
    let options = StoreOptions { disk: Arc::new(disk.clone()), keep_free: KeepFree::default(), ..small() };
    let store = Store::create(dir.path(), options).unwrap();
    wear(&store, 0).await;
    disk.set_room(Some((512 << 20) + 1_000));
    assert!(matches!(store.compact().await, Err(StoreError::DiskLow(_))));
    disk.set_room(None);
    compact(&store).await;
    store.close().await;
}

#[test]
fn a_compaction_is_due_when_much_is_dead_and_much_of_it_is_new() {
    let due = |live: u64, journal: u64, index: u64, since: u64| {
        let [live, journal, index, since] = [live, journal, index, since].map(|mib| mib << 20);
        Usage { live, journal, index, since }.is_compaction_due()
    };
    for (live, journal, index, since, is_due) in [
        (100, 130, 100, 30, true),
        (100, 130, 85, 30, false),
        (100, 130, 100, 20, false),
        (1, 9, 7, 8, false),
        (1, 10, 7, 9, true),
    ] {
        assert_eq!(due(live, journal, index, since), is_due, "{live} {journal} {index} {since}");
    }
}
