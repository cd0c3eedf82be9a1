//! Backups of a store in use, harmed ones, and what a restored store knows to leave out.

use super::*;
use crate::fixture::options;
use crate::registry::issuing::{Issued, Issuer};
use crate::setup::{SetupOptions, setup};
use crate::start::card_of;
use crate::store::tables::{AUDIT, AWAITED, COORDINATOR, ROSTER};
use crate::store::{Draft, check};
use protocol::roster::SignedRoster;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

const NOW: Timestamp = Timestamp::from_millis(1_900_000_000_000);

/// A coordinator that was set up, with some audit entries.
async fn made(dir: &Path) {
    setup(SetupOptions { dir: dir.to_owned(), settings: Default::default(), admin: None }).await.unwrap();
    let store = open(dir);
    // A start writes it, before anything is signed.
    let card = card_of(&Keypair::load(&DataFolder::new(dir).coordinator_key()).unwrap(), Vec::new(), NOW);
    store.update::<_, StoreError>(move |draft| draft.put(&COORDINATOR, &(), &card)).await.unwrap();
    write(&store, 30).await;
    store.close().await;
}

fn open(dir: &Path) -> Store {
    let options = StoreOptions { segment_bytes: 4_000, ..options() };
    Store::open(&DataFolder::new(dir).store(), options).unwrap()
}

async fn write(store: &Store, entries: u64) {
    for entry in 0..entries {
        let note = move |draft: &mut Draft| {
            audit::note(draft, &audit::operator(), "test note", &format!("{entry} {}", "x".repeat(200)), NOW)
        };
        store.update::<_, StoreError>(note).await.unwrap();
    }
}

async fn audit_numbers(store: &Store) -> Vec<u64> {
    store.read(|view| view.iter(&AUDIT).map(|row| Ok(row?.0)).collect()).await.unwrap()
}

fn at(dir: &tempfile::TempDir, name: &str) -> PathBuf {
    dir.path().join(name)
}

#[tokio::test]
async fn a_backup_of_a_store_that_is_written_and_compacted_meanwhile_is_of_one_moment() {
    let dir = tempfile::tempdir().unwrap();
    made(&at(&dir, "hub")).await;
    let store = open(&at(&dir, "hub"));
    let backing_up = async {
        for number in 0..8 {
            let (hub, to) = (at(&dir, "hub"), at(&dir, &format!("{number}.backup")));
            tokio::task::spawn_blocking(move || backup(&hub, &to, false)).await.unwrap().unwrap();
        }
    };
    let working = async {
        for _ in 0..4 {
            write(&store, 40).await;
            store.compact().await.unwrap();
        }
    };
    futures::join!(backing_up, working);
    store.close().await;
    for number in 0..8 {
        let restored = at(&dir, &format!("restored {number}"));
        let made = restore(&restored, &at(&dir, &format!("{number}.backup")), NOW).await.unwrap();
        let folder = DataFolder::new(&restored).store();
        assert_eq!(check(&folder).unwrap().damage, Vec::<String>::new());
        let store = open(&restored);
        let numbers = audit_numbers(&store).await;
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "as of one moment, and the restore");
        assert!(numbers.len() as u64 >= 30 && made.records >= 30, "{made:?}");
        store.close().await;
    }
}

#[tokio::test]
async fn secret_keys_are_in_it_only_when_asked_for_and_nobody_else_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    made(&at(&dir, "hub")).await;
    let (without, with) = (at(&dir, "without"), at(&dir, "with"));
    assert_eq!(backup(&at(&dir, "hub"), &without, false).unwrap().keys, Vec::<&str>::new());
    assert_eq!(backup(&at(&dir, "hub"), &with, true).unwrap().keys, ["coordinator.key", "mesh.key"]);
    for name in ["coordinator.key", "mesh.key"] {
        let secret = fs::read(at(&dir, "hub").join(name)).unwrap();
        let holds = |file: &Path| fs::read(file).unwrap().windows(secret.len()).any(|part| part == secret);
        assert_eq!((holds(&without), holds(&with)), (false, true), "{name}");
    }
    for file in [&without, &with] {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert!(matches!(backup(&at(&dir, "hub"), &with, false), Err(BackupError::Exists(_))));
    let made = restore(&at(&dir, "a"), &without, NOW).await.unwrap();
    assert_eq!(made.missing_keys, ["coordinator.key", "mesh.key"]);
    assert_eq!(restore(&at(&dir, "b"), &with, NOW).await.unwrap().missing_keys, Vec::<&str>::new());
    let mesh = |name: &str| MeshKey::load(&DataFolder::new(&at(&dir, name))).unwrap();
    assert_eq!(mesh("a").id(), mesh("hub").id());
    assert!(!mesh("a").is_here() && mesh("b").is_here());
    let again = restore(&at(&dir, "b"), &with, NOW).await;
    assert!(matches!(again, Err(BackupError::NotEmpty(_))), "{again:?}");
}

#[tokio::test]
async fn a_harmed_backup_restores_nothing() {
    let dir = tempfile::tempdir().unwrap();
    made(&at(&dir, "hub")).await;
    backup(&at(&dir, "hub"), &at(&dir, "whole"), true).unwrap();
    let whole = fs::read(at(&dir, "whole")).unwrap();
    let flipped = (0..whole.len()).step_by(whole.len() / 100).map(|place| {
        let mut bytes = whole.clone();
        bytes[place] ^= 4;
        bytes
    });
    let cut = (0..whole.len()).step_by(whole.len() / 20).map(|size| whole[..size].to_vec());
    let longer = [&whole[..], b"x"].concat();
    for bytes in flipped.chain(cut).chain([longer]) {
        fs::write(at(&dir, "harmed"), bytes).unwrap();
        let refused = restore(&at(&dir, "new"), &at(&dir, "harmed"), NOW).await;
        let is_named = matches!(
            refused,
            Err(BackupError::Store(StoreError::BackupDamaged { .. } | StoreError::NewerSchema { .. }))
        );
        assert!(is_named, "{refused:?}");
        assert!(!at(&dir, "new").exists());
    }
}

#[test]
fn a_part_can_name_no_place_outside_the_journal() {
    let digits = "0".repeat(20);
    assert!(is_journal_file(&format!("{digits}.journal")) && is_journal_file(&format!("{digits}.snapshot")));
    for name in ["../../x", "x.journal", &format!("{digits}.key"), &format!("../{digits}.journal"), ".journal", ""] {
        assert!(!is_journal_file(name), "{name}");
    }
}

#[tokio::test]
async fn a_restored_store_leaves_out_numbers_that_may_have_been_given_and_signs_no_roster() {
    let dir = tempfile::tempdir().unwrap();
    made(&at(&dir, "hub")).await;
    backup(&at(&dir, "hub"), &at(&dir, "file"), true).unwrap();
    restore(&at(&dir, "new"), &at(&dir, "file"), NOW).await.unwrap();
    let store = open(&at(&dir, "new"));
    let folder = DataFolder::new(&at(&dir, "new"));
    let (floor, boots) = store.read(|view| Ok((view.get(&RUN_FLOOR, &())?, view.get(&BOOTS, &())?))).await.unwrap();
    assert_eq!((floor, boots), (Some(RUNS_LEFT_OUT), Some(NOW.as_millis() / 1_000)));
    let mesh_key = MeshKey::load(&folder).unwrap();
    let (issuer, mesh) = (Issuer { mesh_key: mesh_key.clone() }, mesh_key.id());
    let epoch = |signed: &SignedRoster| signed.verify(mesh).unwrap().epoch;
    let renew = issuer.clone();
    let issued = store.update::<_, StoreError>(move |draft| renew.renew(draft, NOW)).await.unwrap();
    assert!(matches!(&issued, Issued::Awaited(roster) if roster.epoch == 2), "{issued:?}");
    let held = store.read(|view| view.get(&ROSTER, &())).await.unwrap().unwrap();
    assert_eq!(epoch(&held.signed), 1, "what was in force stays");
    let heard = move |draft: &mut Draft| {
        draft.remove(&RESTORED, &())?;
        issuer.renew(draft, NOW)
    };
    let issued = store.update::<_, StoreError>(heard).await.unwrap();
    assert!(matches!(&issued, Issued::Signed(roster) if roster.epoch == 2), "{issued:?}");
    assert!(!store.read(|view| view.contains(&AWAITED, &())).await.unwrap());
    store.close().await;
}
