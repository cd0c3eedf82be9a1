//! Power cuts at random points: what was acknowledged is there, once, in order; what was not is there whole or not at all.

use std::collections::BTreeMap;
use std::path::Path;

use futures::future::join_all;

use super::cut_disk::CutDisk;
use super::{COUNTER, LOG, copy_dir, rounds, small};
use crate::chance::Chance;
use crate::store::{Draft, Reads, Store, StoreError, StoreOptions};

/// Writes `text` as the next row and counts it, in one update; gives the row's number.
fn write(draft: &mut Draft, text: &str) -> Result<u64, StoreError> {
    let number = draft.last(&LOG)?.map_or(1, |(number, _)| number + 1);
    draft.put(&LOG, &number, &text.to_owned())?;
    draft.put(&COUNTER, &(), &number)?;
    Ok(number)
}

/// What was acknowledged so far: the text by its number.
type Acknowledged = BTreeMap<u64, String>;

async fn write_until_the_power_goes(store: &Store, chance: &mut Chance, life: u64, acknowledged: &mut Acknowledged) {
    for group in 0..chance.below(30) {
        let updates = (0..=chance.below(8)).map(|update| {
            let text = format!("{life}.{group}.{update} {}", "x".repeat(chance.index(200)));
            async move {
                let copy = text.clone();
                (store.update(move |draft| write(draft, &copy)).await, text)
            }
        });
        for (outcome, text) in join_all(updates.collect::<Vec<_>>()).await {
            match outcome {
                Ok(number) => assert_eq!(acknowledged.insert(number, text), None, "a number was given twice"),
                Err(StoreError::Io { .. } | StoreError::Stopped(_)) => return,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

async fn assert_nothing_is_lost(store: &Store, acknowledged: &Acknowledged) {
    let read = |view: &crate::store::View| {
        let rows = view.iter(&LOG).collect::<Result<BTreeMap<u64, String>, _>>()?;
        Ok((rows, view.get(&COUNTER, &())?.unwrap_or_default()))
    };
    let (rows, counter) = store.read(read).await.unwrap();
    for (number, text) in acknowledged {
        assert_eq!(rows.get(number), Some(text), "row {number} was acknowledged");
    }
    let numbers: Vec<u64> = rows.keys().copied().collect();
    assert_eq!(numbers, (1..=counter).collect::<Vec<_>>(), "rows and counter are of one update");
    let mut texts: Vec<&String> = rows.values().collect();
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), rows.len(), "no update took effect twice");
}

/// sled's files survive as they are, as they were before, or not at all.
fn disturb_index(chance: &mut Chance, dir: &Path, old: &Path) {
    let index = dir.join("index");
    match chance.below(4) {
        0 => std::fs::remove_dir_all(&index).unwrap_or_default(),
        1 if old.exists() => {
            std::fs::remove_dir_all(&index).unwrap_or_default();
            copy_dir(old, &index);
        }
        2 if index.exists() => {
            std::fs::remove_dir_all(old).unwrap_or_default();
            copy_dir(&index, old);
        }
        _ => {}
    }
}

/// Opens the store as a killed process left it, before the power goes: what is read now may not be lost then.
async fn seen_after_a_kill(dir: &Path, options: &StoreOptions) -> Acknowledged {
    let store = Store::open(dir, options.clone()).unwrap();
    let rows = store.read(|view| view.iter(&LOG).collect()).await.unwrap();
    store.close().await;
    rows
}

/// One store through `cuts` power cuts.
async fn live_through(seed: u64, cuts: u64) {
    let (dir, old) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (disk, mut chance) = (CutDisk::new(seed), Chance::new(seed + 1));
    let options = StoreOptions { disk: std::sync::Arc::new(disk.clone()), ..small() };
    let mut acknowledged = Acknowledged::new();
    Store::create(dir.path(), options.clone()).unwrap().close().await;
    for life in 0..cuts {
        disk.cut_after(1 + chance.below(100));
        match Store::open(dir.path(), options.clone()) {
            Ok(store) => {
                write_until_the_power_goes(&store, &mut chance, life, &mut acknowledged).await;
                disk.cut_after(0);
                store.close().await;
            }
            Err(StoreError::Io { .. }) => {}
            Err(error) => panic!("seed {seed}, life {life}: {error}"),
        }
        if chance.one_in(3) {
            disk.revive();
            acknowledged.extend(seen_after_a_kill(dir.path(), &options).await);
        }
        disk.restart();
        disturb_index(&mut chance, dir.path(), &old.path().join("index"));
        let store = Store::open(dir.path(), options.clone())
            .unwrap_or_else(|error| panic!("seed {seed}, life {life}: {error}"));
        assert_nothing_is_lost(&store, &acknowledged).await;
        store.close().await;
    }
    assert!(!acknowledged.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_loses_nothing_that_was_acknowledged() {
    for seed in 0..rounds(20, 100) {
        live_through(seed, 10).await;
    }
}

#[tokio::test]
async fn a_power_cut_while_the_store_is_made_lets_it_be_made_again() {
    for seed in 0..rounds(40, 400) {
        let (dir, disk) = (tempfile::tempdir().unwrap(), CutDisk::new(seed));
        let options = StoreOptions { disk: std::sync::Arc::new(disk.clone()), ..small() };
        disk.cut_after(Chance::new(seed).below(16));
        let made = Store::create(dir.path(), options.clone());
        let was_made = made.is_ok();
        if let Ok(store) = made {
            store.close().await;
        }
        disk.restart();
        let store = match Store::open(dir.path(), options.clone()) {
            Err(StoreError::NoStore { .. }) if !was_made => {
                Store::create(dir.path(), options).unwrap_or_else(|error| panic!("seed {seed}: {error}"))
            }
            opened => opened.unwrap_or_else(|error| panic!("seed {seed}: {error}")),
        };
        store.update(|draft| write(draft, "first")).await.unwrap();
        store.close().await;
    }
}
