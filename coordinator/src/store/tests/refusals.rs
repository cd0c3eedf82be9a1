//! When a store does not open, and what it says then.

use std::path::{Path, PathBuf};

use super::{LOG, copy_dir, small};
use crate::store::{Reads, Store, StoreError, rebuild};

async fn filled(dir: &Path, rows: u64) {
    let store = Store::create(dir, small()).unwrap();
    add(&store, 0..rows).await;
    store.close().await;
}

async fn add(store: &Store, rows: std::ops::Range<u64>) {
    for number in rows {
        store.update::<_, StoreError>(move |draft| draft.put(&LOG, &number, &"v".repeat(200))).await.unwrap();
    }
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(dir.join("journal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// What opening a sound store with 40 rows says after `harm`.
async fn refusal(harm: impl Fn(&Path)) -> String {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 40).await;
    harm(dir.path());
    let refused = Store::open(dir.path(), small()).map(drop).expect_err("it is damaged").to_string();
    refused.replace(&dir.path().display().to_string(), "DIR")
}

fn flip(path: &Path, place: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[place] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn each_damage_has_its_name_and_a_next_step() {
    let said = [
        refusal(|dir| std::fs::remove_dir_all(dir.join("journal")).unwrap()).await,
        refusal(|dir| std::fs::write(&segments(dir)[0], []).unwrap()).await,
        refusal(|dir| flip(&segments(dir)[0], 200)).await,
        refusal(|dir| std::fs::remove_file(segments(dir).last().unwrap()).unwrap()).await,
        refusal(|dir| std::fs::remove_file(&segments(dir)[1]).unwrap()).await,
        refusal(|dir| std::fs::remove_file(dir.join("store.id")).unwrap()).await,
        refusal(|dir| flip(&dir.join("store.id"), 9)).await,
        refusal(|dir| flip(&dir.join("store.head"), 9)).await,
        refusal(|dir| {
            std::fs::remove_dir_all(dir.join("journal")).unwrap();
            std::fs::remove_file(dir.join("store.id")).unwrap();
        })
        .await,
    ];
    insta::assert_snapshot!(said.join("\n"), @"
    the journal in DIR is missing or empty; restore the folder from a backup
    the journal is damaged in DIR/journal/00000000000000000001.journal at byte 0, after record 0: the header is not what was written; restore the folder from a backup
    the journal is damaged in DIR/journal/00000000000000000001.journal at byte 128, after record 1: a record does not fit its checksum; restore the folder from a backup
    the journal ends at record 30, but the head file knows record 41: acknowledged changes are missing; restore the folder from a backup, or accept the loss with `portdrift db rebuild`
    the journal is damaged in DIR/journal/00000000000000000031.journal at byte 0, after record 15: the segment does not follow the one before; restore the folder from a backup
    DIR holds parts of a store, but its marker is missing, damaged or another store's; restore the folder from a backup
    DIR holds parts of a store, but its marker is missing, damaged or another store's; restore the folder from a backup
    DIR/store.head is damaged; `portdrift db rebuild` writes it anew
    DIR holds parts of a store, but its marker is missing, damaged or another store's; restore the folder from a backup
    ");
}

#[tokio::test]
async fn a_journal_behind_its_index_is_refused_until_it_is_rebuilt() {
    let (dir, old) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(dir.path(), 10).await;
    copy_dir(&dir.path().join("journal"), &old.path().join("journal"));
    let head = std::fs::read(dir.path().join("store.head")).unwrap();
    let store = Store::open(dir.path(), small()).unwrap();
    add(&store, 10..20).await;
    store.close().await;
    std::fs::remove_dir_all(dir.path().join("journal")).unwrap();
    copy_dir(&old.path().join("journal"), &dir.path().join("journal"));
    std::fs::write(dir.path().join("store.head"), head).unwrap();
    let refused = Store::open(dir.path(), small()).map(drop);
    assert!(
        matches!(refused, Err(StoreError::JournalBehind { head: 11, known: 21, witness: "the index" })),
        "{refused:?}"
    );
    rebuild(dir.path()).unwrap();
    let store = Store::open(dir.path(), small()).unwrap();
    assert_eq!(store.read(|view| Ok(view.iter(&LOG).count())).await.unwrap(), 10);
    store.close().await;
}

#[tokio::test]
async fn damage_among_synced_records_is_no_torn_end_even_when_no_other_file_remembers() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::create(dir.path(), small()).unwrap();
    add(&store, 0..5).await;
    copy_dir(dir.path(), copy.path());
    std::fs::remove_dir_all(copy.path().join("index")).unwrap();
    flip(&segments(copy.path())[0], 600);
    let refused = Store::open(copy.path(), small()).map(drop);
    assert!(matches!(refused, Err(StoreError::JournalDamaged { after: 2, .. })), "{refused:?}");
    store.close().await;
}

#[tokio::test]
async fn a_torn_end_is_cut_without_a_word() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 5).await;
    let last = segments(dir.path()).remove(0);
    let whole = std::fs::read(&last).unwrap();
    std::fs::write(&last, [whole.as_slice(), &whole[128..300]].concat()).unwrap();
    let store = Store::open(dir.path(), small()).unwrap();
    assert_eq!((store.rebuilt(), std::fs::read(&last).unwrap()), (None, whole));
    store.close().await;
}

#[tokio::test]
async fn an_index_of_another_store_is_refused() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(dir.path(), 10).await;
    filled(other.path(), 9).await;
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    copy_dir(&other.path().join("index"), &dir.path().join("index"));
    let refused = Store::open(dir.path(), small()).map(drop);
    assert!(matches!(refused, Err(StoreError::OtherHistory { witness: "the index", sequence: 10 })), "{refused:?}");
}

#[tokio::test]
async fn a_newer_store_is_refused_with_its_bytes_unchanged() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(dir.path(), 40).await;
    let first = segments(dir.path()).remove(0);
    let mut bytes = std::fs::read(&first).unwrap();
    bytes[8..12].copy_from_slice(&2u32.to_be_bytes());
    std::fs::write(&first, bytes).unwrap();
    copy_dir(dir.path(), copy.path());
    for refused in [Store::open(dir.path(), small()).map(drop), rebuild(dir.path()).map(drop)] {
        assert!(matches!(refused, Err(StoreError::NewerSchema { found: 2, known: 1 })), "{refused:?}");
    }
    assert_eq!(contents(dir.path()), contents(copy.path()));
}

/// Every file under `dir` with its bytes.
fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push((path.strip_prefix(dir).unwrap().to_owned(), std::fs::read(path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

#[tokio::test]
async fn a_folder_in_use_names_its_holder() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path(), small()).unwrap();
    let refused = Store::open(dir.path(), small()).map(drop).unwrap_err().to_string();
    let pid = std::process::id();
    let expected = format!(
        "{} is a data folder in use by process {pid}; stop that process, or choose another folder",
        dir.path().display()
    );
    assert_eq!(refused, expected);
    store.close().await;
    Store::open(dir.path(), small()).unwrap().close().await;
}

#[tokio::test]
async fn a_new_store_needs_an_empty_folder() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Store::open(dir.path(), small()).map(drop), Err(StoreError::NoStore { .. })));
    filled(dir.path(), 1).await;
    let again = Store::create(dir.path(), small()).map(drop);
    assert!(matches!(&again, Err(StoreError::NotEmpty { found, .. }) if found == "store.id"), "{again:?}");
    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("letter.txt"), "mine").unwrap();
    let refused = Store::create(other.path(), small()).map(drop);
    assert!(matches!(&refused, Err(StoreError::NotEmpty { found, .. }) if found == "letter.txt"), "{refused:?}");
    assert_eq!(std::fs::read_to_string(other.path().join("letter.txt")).unwrap(), "mine");
}

#[tokio::test]
async fn records_without_their_marker_are_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 3).await;
    std::fs::remove_file(dir.path().join("store.id")).unwrap();
    assert!(matches!(Store::create(dir.path(), small()).map(drop), Err(StoreError::MarkerDamaged { .. })));
}
