//! Flipped bits and cut files: noticed or mended, never a wrong value.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{LOG, copy_dir, rounds, small};
use crate::chance::Chance;
use crate::store::{Reads, Store, StoreError, check};

/// A closed store with some hundred rows in several segments, and what it holds.
async fn sound_store(dir: &Path) -> BTreeMap<u64, String> {
    let store = Store::create(dir, small()).unwrap();
    for number in 0..120 {
        store
            .update::<_, StoreError>(move |draft| {
                draft.put(&LOG, &number, &format!("{number} {}", "y".repeat(300)))?;
                draft.remove(&LOG, &(number / 2))
            })
            .await
            .unwrap();
    }
    let rows = store.read(|view| view.iter(&LOG).collect()).await.unwrap();
    store.close().await;
    rows
}

fn files_in(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.is_file() && path.metadata().unwrap().len() > 0);
    files.sort();
    files
}

/// Flips one bit of a file, or cuts it; says what it did.
fn harm(chance: &mut Chance, path: &Path) -> String {
    let mut bytes = std::fs::read(path).unwrap();
    // sled's file is mostly zeros at the end; most flips go where something stands.
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
    let end = if chance.one_in(5) { bytes.len() } else { used };
    let place = chance.index(end);
    let what = if chance.one_in(4) {
        bytes.truncate(place);
        format!("{} cut at {place}", path.display())
    } else {
        bytes[place] ^= 1 << chance.below(8);
        format!("{} flipped at {place}", path.display())
    };
    std::fs::write(path, bytes).unwrap();
    what
}

#[tokio::test]
async fn damage_is_noticed_or_mended_and_never_read_as_a_value() {
    let sound = tempfile::tempdir().unwrap();
    let rows = sound_store(sound.path()).await;
    let (mut refused, mut rebuilt) = (0, 0);
    for seed in 0..rounds(100, 1_000) {
        let mut chance = Chance::new(seed);
        let dir = tempfile::tempdir().unwrap();
        copy_dir(sound.path(), dir.path());
        let folder =
            [dir.path().to_owned(), dir.path().join("journal"), dir.path().join("index"), dir.path().join("index")];
        let mut files = files_in(&folder[chance.index(4)]);
        files.retain(|path| !path.ends_with("lock"));
        let file = &files[chance.index(files.len())];
        let what = format!("seed {seed}: {}", harm(&mut chance, file));
        match Store::open(dir.path(), small()) {
            Err(StoreError::Io { source, .. }) => panic!("{what}: no name for the damage: {source}"),
            Err(_) => refused += 1,
            Ok(store) => {
                assert!(file.starts_with(dir.path().join("index")), "{what}: not noticed");
                let found: BTreeMap<u64, String> = store.read(|view| view.iter(&LOG).collect()).await.expect(&what);
                assert_eq!(found, rows, "{what}");
                rebuilt += u64::from(store.rebuilt().is_some());
                store.close().await;
                assert_eq!(check(dir.path()).expect(&what).damage, Vec::<String>::new(), "{what}");
            }
        }
    }
    assert!(refused > 0 && rebuilt > 0, "{refused} refused, {rebuilt} rebuilt");
}
