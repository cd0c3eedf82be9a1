//! A disk that fills up and is emptied again: refusals that name it, reads that go on, nothing lost and nothing extra.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use super::cut_disk::CutDisk;
use super::{LOG, rounds, small};
use crate::chance::Chance;
use crate::store::{Draft, KeepFree, Reads, Store, StoreError, StoreOptions};

/// A store on a disk of its own that is to keep `keep_free` bytes.
fn store_on(disk: &CutDisk, dir: &Path, keep_free: u64) -> (Store, StoreOptions) {
    let keep_free = KeepFree::bytes(keep_free);
    let options = StoreOptions { disk: Arc::new(disk.clone()), keep_free, ..small() };
    (Store::create(dir, options.clone()).unwrap(), options)
}

fn put(number: u64, text: String) -> impl FnOnce(&mut Draft) -> Result<(), StoreError> {
    move |draft| draft.put(&LOG, &number, &text)
}

async fn rows(store: &Store) -> BTreeMap<u64, String> {
    store.read(|view| view.iter(&LOG).collect()).await.unwrap()
}

#[tokio::test]
async fn with_little_room_no_work_begins_and_with_less_nothing_changes_until_there_is_room() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), CutDisk::new(1));
    let (store, _) = store_on(&disk, dir.path(), 8 << 20);
    let work =
        |number| move |draft: &mut Draft| draft.room_for_work().and_then(|()| put(number, "work".to_owned())(draft));
    let mut told = Vec::new();
    for (number, room) in [(1, 8 << 20), (3, 7 << 20), (5, 1 << 20), (7, 8 << 20)] {
        disk.set_room(Some(room));
        let outcomes = [store.update(work(number)).await, store.update(put(number + 1, "other".to_owned())).await];
        told.extend(outcomes.map(|outcome| outcome.map_or_else(|error| error.to_string(), |()| "done".to_owned())));
    }
    let told = told.join("\n").replace(&dir.path().display().to_string(), "DIR");
    insta::assert_snapshot!(told, @"
    done
    done
    the disk of DIR has 7 MiB free and is to keep 8 MiB; nothing new is begun until there is room, so free some
    done
    the disk of DIR has 1 MiB free and is to keep 8 MiB; nothing new is begun until there is room, so free some
    the disk of DIR has 1 MiB free and is to keep 8 MiB; nothing is changed until there is room, so free some
    done
    done
    ");
    assert_eq!(rows(&store).await.into_keys().collect::<Vec<_>>(), [1, 2, 4, 7, 8]);
    store.close().await;
}

/// A store through fillings of its disk at random places, without any room that is to be kept.
async fn live_through(seed: u64) {
    let (dir, disk, mut chance) = (tempfile::tempdir().unwrap(), CutDisk::new(seed), Chance::new(seed));
    let (mut store, options) = store_on(&disk, dir.path(), 0);
    let (mut kept, mut refused) = (BTreeMap::new(), 0);
    for number in 0..60 {
        let text = "x".repeat(chance.index(600));
        // Room is looked at first and used up by others then: the write itself fails, at any byte.
        disk.set_room_after_a_look(chance.one_in(3).then(|| chance.below(700)));
        match store.update(put(number, text.clone())).await {
            Ok(()) => drop(kept.insert(number, text)),
            Err(error @ StoreError::DiskFull(_)) => {
                assert!(error.to_string().contains(&dir.path().display().to_string()), "{error}");
                refused += 1;
            }
            Err(error) => panic!("seed {seed}: {error}"),
        }
        assert_eq!(rows(&store).await, kept, "seed {seed}, {number}");
        disk.set_room_after_a_look(None);
        if chance.one_in(8) {
            store.close().await;
            if chance.one_in(2) {
                disk.restart();
            }
            store = Store::open(dir.path(), options.clone()).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            assert_eq!(rows(&store).await, kept, "seed {seed}, {number}, opened again");
        }
    }
    assert!(refused > 0 && kept.len() > 20, "seed {seed}: {refused} refused");
    store.close().await;
}

#[tokio::test]
async fn a_write_for_which_there_is_no_room_leaves_no_trace() {
    for seed in 0..rounds(20, 400) {
        live_through(seed).await;
    }
}

#[tokio::test]
async fn a_store_is_not_opened_without_room_and_is_unharmed() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), CutDisk::new(1));
    let (store, options) = store_on(&disk, dir.path(), 8 << 20);
    store.update(put(1, "one".to_owned())).await.unwrap();
    store.close().await;
    disk.set_room(Some(0));
    let refused = Store::open(dir.path(), options.clone()).map(drop);
    assert!(matches!(refused, Err(StoreError::DiskFull(_))), "{refused:?}");
    disk.set_room(None);
    let store = Store::open(dir.path(), options).unwrap();
    assert_eq!((store.rebuilt(), rows(&store).await.len()), (None, 1));
    store.close().await;
}

/// A small disk of its own at `dir`; `None`, and a line that says so, for all but root.
fn small_disk(dir: &Path) -> Option<Unmount> {
    let is_root = rustix::process::geteuid().is_root();
    assert!(is_root || std::env::var("PORTDRIFT_NO_SKIP").as_deref() != Ok("1"), "a disk of its own takes root");
    if !is_root {
        println!("skipped: a disk of its own takes root");
        return None;
    }
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=12m", "portdrift-test"]).arg(dir).status();
    assert!(mounted.unwrap().success());
    Some(Unmount(dir.to_owned()))
}

struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test]
async fn an_index_that_failed_on_a_full_disk_is_open_again_once_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_disk) = small_disk(dir.path()) else { return };
    let options = StoreOptions { keep_free: KeepFree::bytes(1 << 20), ..StoreOptions::default() };
    let store = Store::create(&dir.path().join("store"), options).unwrap();
    store.update(put(1, "one".to_owned())).await.unwrap();
    let filler = dir.path().join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while file.write_all(&[7; 4096]).is_ok() {}
    // What may be lost is written without a look at the room: it is how the index comes to fail.
    let mut failed = false;
    for number in 0..10_000u32 {
        failed |= store.volatile().put(number.to_be_bytes().to_vec(), vec![7; 4_000]).await.is_err();
        if failed {
            break;
        }
    }
    assert!(failed, "the index still takes rows");
    let refused = store.update(put(2, "two".to_owned())).await;
    assert!(matches!(refused, Err(StoreError::DiskFull(_))), "{refused:?}");
    assert_eq!(rows(&store).await.into_keys().collect::<Vec<_>>(), [1], "reads go on");
    // Only a file that nobody holds any more gives its room back.
    drop(file);
    std::fs::remove_file(&filler).unwrap();
    store.update(put(3, "three".to_owned())).await.unwrap();
    assert_eq!(rows(&store).await.into_keys().collect::<Vec<_>>(), [1, 3]);
    store.volatile().put(b"session".to_vec(), b"kept".to_vec()).await.unwrap();
    store.close().await;
}
