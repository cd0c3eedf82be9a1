//! Flipped bits and cut files: noticed or mended, never a wrong value.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{LOG, copy_dir, rounds, small};
use crate::chance::Chance;
use crate::store::index::Index;
use crate::store::journal::{Survey, Visit};
use crate::store::start::walk_all;
use crate::store::{Reads, Store, StoreError, check, rebuild};

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

/// Every row as it stands in the index, byte for byte.
async fn dump(store: &Store) -> Vec<(Vec<u8>, Vec<u8>)> {
    let read = |index: &Index| {
        let mut rows = Vec::new();
        index.add_up(|key, value| rows.push((key.to_vec(), value.to_vec()))).map(|_| rows)
    };
    store.with_index(read).await.unwrap()
}

fn files_in(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.is_file() && path.metadata().unwrap().len() > 0 && !path.ends_with("lock"));
    files.sort();
    files
}

#[derive(Clone, Copy, Debug)]
enum Harm {
    Flip,
    Cut,
}

impl Harm {
    const ALL: [Self; 2] = [Self::Flip, Self::Cut];

    /// Harms one file of `dir`; says how.
    fn befall(self, chance: &mut Chance, dir: &Path) -> String {
        let files = files_in(dir);
        let path = &files[chance.index(files.len())];
        let mut bytes = std::fs::read(path).unwrap();
        // sled's file is mostly zeros at the end; most flips go where something stands.
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
        let end = if chance.one_in(5) { bytes.len() } else { used };
        let place = chance.index(end);
        match self {
            Self::Flip => bytes[place] ^= 1 << chance.below(8),
            Self::Cut => bytes.truncate(place),
        }
        std::fs::write(path, bytes).unwrap();
        format!("{self:?} at {place} of {}", path.display())
    }
}

/// A copy of `sound` with the folder `part` of it harmed, for each way and seed; `look` is told how.
async fn harmed(sound: &Path, part: &str, mut look: impl AsyncFnMut(&Path, &str)) {
    for harm in Harm::ALL {
        for seed in 0..rounds(40, 200) {
            let dir = tempfile::tempdir().unwrap();
            copy_dir(sound, dir.path());
            let what = harm.befall(&mut Chance::new(seed), &dir.path().join(part));
            look(dir.path(), &format!("seed {seed}: {what}")).await;
        }
    }
}

#[tokio::test]
async fn a_damaged_journal_or_mark_is_named_and_never_built_upon() {
    let sound = tempfile::tempdir().unwrap();
    sound_store(sound.path()).await;
    for part in ["journal", "."] {
        harmed(sound.path(), part, async |dir, what| match Store::open(dir, small()).map(drop) {
            Err(StoreError::Io { source, .. }) => panic!("{what}: no name for the damage: {source}"),
            Err(error) => {
                let damage = check(dir).map_or_else(|error| vec![error.to_string()], |report| report.damage);
                assert!(!damage.is_empty(), "{what}: a check does not see what an opening does: {error}");
            }
            Ok(()) => panic!("{what}: not noticed"),
        })
        .await;
    }
}

#[tokio::test]
async fn a_walk_that_holds_no_changes_finds_the_same_places_and_the_same_damage() {
    let sound = tempfile::tempdir().unwrap();
    sound_store(sound.path()).await;
    harmed(sound.path(), "journal", async |dir, what| {
        let walked = |visit: Visit<'_>| walk_all(dir, &small(), visit).map_err(|error| error.to_string());
        let end = |survey: Survey| (survey.head, format!("{:?}", survey.torn));
        let (mut places, mut read) = (Vec::new(), Vec::new());
        let light = walked(Visit::Places(&mut |place| places.push(place))).map(end);
        let mut take = |place, _: &[u8]| {
            read.push(place);
            Ok(())
        };
        assert_eq!(light, walked(Visit::Changes(&mut take)).map(end), "{what}");
        assert_eq!(places, read, "{what}");
    })
    .await;
}

#[tokio::test]
async fn a_damaged_index_is_noticed_or_harmless_and_no_value_differs() {
    let sound = tempfile::tempdir().unwrap();
    let rows = sound_store(sound.path()).await;
    let mut rebuilt = 0;
    harmed(sound.path(), "index", async |dir, what| {
        let store = Store::open(dir, small()).unwrap_or_else(|error| panic!("{what}: {error}"));
        let found: BTreeMap<u64, String> = store.read(|view| view.iter(&LOG).collect()).await.expect(what);
        assert_eq!(found, rows, "{what}");
        rebuilt += u64::from(store.rebuilt().is_some());
        store.close().await;
        assert_eq!(check(dir).expect(what).damage, Vec::<String>::new(), "{what}");
    })
    .await;
    assert!(rebuilt > 0, "no damage that counts");
}

#[tokio::test]
async fn a_rebuild_from_a_whole_journal_gives_every_byte_back() {
    let sound = tempfile::tempdir().unwrap();
    sound_store(sound.path()).await;
    let store = Store::open(sound.path(), small()).unwrap();
    let before = dump(&store).await;
    store.close().await;
    harmed(sound.path(), "index", async |dir, what| {
        std::fs::write(dir.join("store.head"), "lost as well").unwrap();
        rebuild(dir).unwrap_or_else(|error| panic!("{what}: {error}"));
        let store = Store::open(dir, small()).unwrap();
        assert_eq!(store.rebuilt(), None, "{what}");
        assert!(dump(&store).await == before, "{what}: not what it was");
        store.close().await;
    })
    .await;
}
