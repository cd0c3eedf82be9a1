//! A real process, killed while it writes and compacts: everything it said was kept is there.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::{LOG, rounds, small};
use crate::chance::Chance;
use crate::store::{Reads, Store, StoreError};

const DIR: &str = "PORTDRIFT_TEST_WRITE_IN";

/// Not a test of its own: the process that the next test kills. Without the variable it does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_writes_until_it_is_killed() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let store = Store::open(dir.as_ref(), small()).unwrap();
    let writers = (0..4).map(|_| async {
        loop {
            let write = |draft: &mut crate::store::Draft| {
                let number = draft.last(&LOG)?.map_or(1, |(number, _)| number + 1);
                draft.put(&LOG, &number, &"z".repeat(100)).map(|()| number)
            };
            let number = store.update::<u64, StoreError>(write).await.unwrap();
            println!("\nkept {number}");
        }
    });
    let compacting = async {
        loop {
            store.compact().await.unwrap();
        }
    };
    futures::join!(futures::future::join_all(writers), compacting);
}

/// Runs the child until it has said `lines` numbers, kills it, and gives the highest number it said.
fn write_and_kill(dir: &std::path::Path, lines: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::tests::kill::a_child_writes_until_it_is_killed", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let (mut said, mut highest) = (0, 0);
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let Some(number) = line.unwrap().strip_prefix("kept ").map(str::to_owned) else { continue };
        // A line that the kill cut in two may read as a smaller number, which is kept too.
        highest = highest.max(number.parse().unwrap_or(0));
        said += 1;
        if said == lines {
            child.kill().unwrap();
        }
    }
    assert!(!child.wait().unwrap().success());
    highest
}

#[tokio::test]
async fn a_killed_process_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    Store::create(dir.path(), small()).unwrap().close().await;
    let mut chance = Chance::new(1);
    for round in 0..rounds(20, 1_000) {
        let highest = write_and_kill(dir.path(), 1 + chance.below(200));
        let store = Store::open(dir.path(), small()).unwrap_or_else(|error| panic!("round {round}: {error}"));
        let rows: Vec<u64> = store.read(|view| view.iter(&LOG).map(|row| Ok(row?.0)).collect()).await.unwrap();
        assert!(highest > 0 && rows.len() as u64 >= highest, "round {round}: {highest} said, {} there", rows.len());
        assert_eq!(rows, (1..=rows.len() as u64).collect::<Vec<_>>(), "round {round}");
        store.close().await;
    }
}
