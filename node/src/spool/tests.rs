//! What the spool survives: cuts, flipped bits, kills at any moment, and its own limits.

mod corpus;

use super::*;
use proptest::prelude::*;
use protocol::Timestamp;
use protocol::message::Room;
use protocol::observation::{Coverage, EffectiveOptions};
use protocol::task::RunId;
use std::os::unix::fs::PermissionsExt;

fn result(index: u32, fence: u64) -> TaskResult {
    TaskResult {
        task: TaskId { run: RunId(7), index },
        fence,
        started: Timestamp::from_millis(1),
        ended: Timestamp::from_millis(2),
        coverage: Coverage::default(),
        hosts: Vec::new(),
        shortfall: Some("half of it".into()),
        default_ports: None,
    }
}

/// A result whose bytes do not compress away.
fn noisy(index: u32, bytes: usize) -> TaskResult {
    let mut state = 1u32;
    let mut letter = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b' ' + (state >> 24) as u8 % 94)
    };
    let options = (0..bytes / 4_000).map(|_| EffectiveOptions {
        engine: "builtin".into(),
        version: "1".into(),
        options: (0..4_000).map(|_| letter()).collect::<String>().into(),
        raw: false,
    });
    let options = options.collect();
    TaskResult { coverage: Coverage { options, ..Coverage::default() }, ..result(index, 1) }
}

fn open(folder: &Path) -> Spool {
    let (spool, aside) = Spool::open(folder, SpoolLimits::default()).unwrap();
    assert_eq!(aside, []);
    spool
}

async fn all_bytes(spool: &Spool, key: ResultKey) -> Vec<u8> {
    let mut bytes = Vec::new();
    for index in 0..spool.manifest(key).await.unwrap().chunks {
        bytes.extend(spool.chunk(key, index).await.unwrap());
    }
    bytes
}

#[tokio::test]
async fn a_result_survives_a_restart_and_is_private() {
    let folder = tempfile::tempdir().unwrap();
    let key = open(folder.path()).store(noisy(1, 500_000)).await.unwrap();
    let spool = open(folder.path());
    assert_eq!(spool.keys(), [key]);
    let bytes = all_bytes(&spool, key).await;
    assert_eq!(ResultManifest::of(&bytes), spool.manifest(key).await.unwrap());
    assert!(bytes.len() > 2 * CHUNK_BYTES, "more than one piece");
    assert_eq!(TaskResult::unpack(&bytes).unwrap(), noisy(1, 500_000));
    let file = folder.path().join(entry::file_name(key));
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(spool.chunk(key, 99).await, Err(SpoolError::Missing)));
}

#[tokio::test]
async fn a_removed_result_stays_away() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    let key = spool.store(result(1, 1)).await.unwrap();
    spool.remove(key).await.unwrap();
    spool.remove(key).await.unwrap();
    assert!(matches!(spool.manifest(key).await, Err(SpoolError::Missing)));
    assert_eq!(open(folder.path()).keys(), []);
}

#[tokio::test]
async fn a_bad_entry_is_set_aside_and_the_others_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    let good = spool.store(result(1, 1)).await.unwrap();
    let bad = spool.store(result(2, 1)).await.unwrap();
    let path = folder.path().join(entry::file_name(bad));
    let whole = std::fs::read(&path).unwrap();
    let flips = (0..whole.len()).map(|at| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    });
    for damaged in flips.chain((0..whole.len()).map(|at| whole[..at].to_vec())) {
        std::fs::write(&path, &damaged).unwrap();
        let (spool, aside) = Spool::open(folder.path(), SpoolLimits::default()).unwrap();
        assert_eq!((spool.keys(), aside.len()), (vec![good], 1));
        assert_eq!(std::fs::read(folder.path().join("7.2.1.result.bad")).unwrap(), damaged);
    }
}

#[tokio::test]
async fn damage_is_noticed_while_running_too() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    let key = spool.store(result(1, 1)).await.unwrap();
    std::fs::write(folder.path().join(entry::file_name(key)), "gone").unwrap();
    assert!(matches!(spool.manifest(key).await, Err(SpoolError::Damaged(_))));
    assert_eq!(spool.keys(), []);
}

#[tokio::test]
async fn an_entry_under_another_name_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let key = open(folder.path()).store(result(1, 1)).await.unwrap();
    std::fs::rename(folder.path().join(entry::file_name(key)), folder.path().join("7.1.2.result")).unwrap();
    let (spool, aside) = Spool::open(folder.path(), SpoolLimits::default()).unwrap();
    assert_eq!((spool.keys(), aside.len()), (vec![], 1));
}

#[tokio::test]
async fn a_kill_before_the_rename_leaves_nothing_and_after_it_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let key = open(folder.path()).store(result(1, 1)).await.unwrap();
    let whole = std::fs::read(folder.path().join(entry::file_name(key))).unwrap();
    let unfinished = folder.path().join("7.2.1.result.new");
    for at in 0..whole.len() {
        std::fs::write(&unfinished, &whole[..at]).unwrap();
        assert_eq!(open(folder.path()).keys(), [key]);
        assert!(!unfinished.exists());
    }
}

#[tokio::test]
async fn a_rejected_result_is_kept_aside_and_not_offered_again() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    let key = spool.store(result(1, 1)).await.unwrap();
    let aside = spool.reject(key).await.unwrap();
    assert!(aside.path.exists());
    assert_eq!((spool.keys(), open(folder.path()).keys()), (vec![], vec![]));
}

#[tokio::test]
async fn room_runs_out_by_steps_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let limits = SpoolLimits { bytes: 100_000, keep_free_bytes: Some(0) };
    let (spool, _) = Spool::open(folder.path(), limits).unwrap();
    assert_eq!(spool.space().room, Room::Free);
    let mut seen = Vec::new();
    let mut keys = Vec::new();
    for index in 0..40 {
        keys.push(spool.store(noisy(index, 4_000)).await.unwrap());
        seen.push(spool.space().room);
    }
    assert!(seen.is_sorted());
    assert!([Room::Free, Room::Tight, Room::Full].iter().all(|room| seen.contains(room)), "{seen:?}");
    for key in keys {
        spool.remove(key).await.unwrap();
    }
    assert_eq!(spool.space().room, Room::Free);
}

proptest! {
    #[test]
    fn a_name_is_read_back_and_any_text_is_no_panic(run: u64, index: u32, fence: u64, text in ".{0,30}") {
        let key = ResultKey { task: TaskId { run: RunId(run), index }, fence };
        prop_assert_eq!(entry::key_of(&entry::file_name(key)), Some(key));
        let _ = entry::key_of(&text);
    }

    #[test]
    fn any_bytes_are_no_entry(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let key = ResultKey { task: TaskId { run: RunId(1), index: 1 }, fence: 1 };
        prop_assert!(entry::parse(key, &bytes).is_err());
    }
}
