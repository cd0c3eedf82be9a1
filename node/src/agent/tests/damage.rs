//! A disk that lies: whatever became of the files of the spool, each result is delivered as it was, or its task is
//! handed back; none is changed, and none is missing.

use super::hub::{Hub, Seen};
use super::task;
use crate::spool::{Spool, SpoolLimits};
use crate::testing::{Home, Knocker, noise};
use protocol::message::{Answer, TaskResult};
use protocol::task::TaskId;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

const RESULTS: u32 = 25;
const DAMAGED: u32 = 20;

/// How many spools of [`DAMAGED`] damaged files each.
fn rounds() -> u64 {
    if std::env::var("PORTDRIFT_LONG").is_ok_and(|value| value == "1") { 100 } else { 10 }
}

/// Numbers that are the same in every run of the test.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

/// Results of all sizes; the last one needs several pieces.
fn result(index: u32) -> TaskResult {
    let options =
        if index + 1 == RESULTS { vec![noise(500_000)] } else { vec![noise(usize::try_from(index).unwrap() * 40)] };
    TaskResult {
        task: task(index),
        fence: 1,
        started: protocol::Timestamp::from_millis(1),
        ended: protocol::Timestamp::from_millis(2),
        coverage: protocol::observation::Coverage { options, ..Default::default() },
        hosts: Vec::new(),
        shortfall: Some(format!("result {index}").into()),
        default_ports: None,
    }
}

fn file(home: &Home, index: u32) -> PathBuf {
    home.folder.path().join(format!("spool/1.{index}.1.result"))
}

/// Flips bits, cuts, or puts something else there; the file is never what it was.
fn damage(home: &Home, index: u32, chance: &mut Chance) {
    let path = file(home, index);
    let whole = std::fs::read(&path).unwrap();
    let mut bytes = whole.clone();
    match chance.below(8) {
        0..=3 => {
            let bits = 1 + chance.below(3);
            (0..bits).for_each(|_| bytes[chance.below(whole.len())] ^= 1 << chance.below(8));
        }
        4..=5 => bytes.truncate(chance.below(whole.len())),
        6 => bytes = std::fs::read(file(home, RESULTS - 1)).unwrap(),
        _ => bytes.extend_from_slice(b"more"),
    }
    if bytes == whole {
        bytes.pop();
    }
    std::fs::write(&path, bytes).unwrap();
}

#[tokio::test]
async fn each_result_of_a_damaged_spool_is_delivered_bit_exact_or_its_task_is_handed_back() {
    for round in 0..rounds() {
        let mut chance = Chance(round);
        let (mut hub, home) = Hub::with_member("127.0.0.0/8").await;
        let (spool, _) = Spool::open(&home.folder.path().join("spool"), SpoolLimits::default()).unwrap();
        let originals: BTreeMap<TaskId, TaskResult> = (0..RESULTS).map(|index| (task(index), result(index))).collect();
        for result in originals.values() {
            spool.store(result.clone()).await.unwrap();
        }
        let damaged: BTreeSet<TaskId> = (0..DAMAGED).map(task).collect();
        (0..DAMAGED).for_each(|index| damage(&home, index, &mut chance));
        let engine = Knocker::default();
        let node = home.start(engine.clone());
        hub.beacon(1).await;
        let (mut delivered, mut back) = (BTreeSet::new(), BTreeSet::new());
        while delivered.len() + back.len() < originals.len() {
            match hub.saw(Some).await {
                Seen::Whole(result) => {
                    assert_eq!(originals.get(&result.task), Some(&*result), "round {round}: not what was found");
                    delivered.insert(result.task);
                }
                Seen::Answer(answer) => {
                    assert!(matches!(answer.answer, Answer::HandedBack(_)), "round {round}: {answer:?}");
                    back.insert(answer.task);
                }
                Seen::Presence(_) | Seen::Offer | Seen::Chunk | Seen::Swallowed => {}
            }
        }
        assert_eq!(back, damaged, "round {round}: each damaged one is told, and no other");
        assert!(delivered.is_disjoint(&back));
        hub.saw(|seen| matches!(seen, Seen::Presence(presence) if presence.spooled == 0).then_some(())).await;
        node.stop().await.unwrap();
        assert_eq!((engine.count(), home.spooled()), (0, 0), "nothing is scanned, nothing is left");
    }
}

#[tokio::test]
async fn damage_that_comes_while_a_result_is_sent_is_noticed_and_its_task_handed_back() {
    let (mut hub, home) = Hub::with_member("127.0.0.0/8").await;
    let (spool, _) = Spool::open(&home.folder.path().join("spool"), SpoolLimits::default()).unwrap();
    spool.store(result(RESULTS - 1)).await.unwrap();
    hub.losses.chunks.store(1, std::sync::atomic::Ordering::SeqCst);
    let node = home.start(Knocker::default());
    hub.beacon(1).await;
    hub.saw(|seen| matches!(seen, Seen::Chunk).then_some(())).await;
    let path = file(&home, RESULTS - 1);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let back = |seen| if let Seen::Answer(answer) = seen { Some(answer) } else { None };
    assert!(matches!(hub.saw(back).await.answer, Answer::HandedBack(why) if why.as_str().contains("damaged")));
    node.stop().await.unwrap();
    assert_eq!(home.spooled(), 0);
}
