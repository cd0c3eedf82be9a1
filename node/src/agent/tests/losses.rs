//! Results reach the coordinator once, whatever is lost on the way and whoever restarts.

use super::hub::{Hub, Seen};
use super::{spec, task};
use crate::notice::Notice;
use crate::spool::{Spool, SpoolLimits};
use crate::testing::{Home, Knocker};
use protocol::message::{Answer, Receipt, ReceiptOutcome, Room, TaskAnswer, TaskResult};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

/// A result of about four pieces.
fn noisy() -> Knocker {
    Knocker { noise: 700_000, ..Knocker::default() }
}

async fn whole_again(hub: &mut Hub, first: &TaskResult) {
    assert_eq!(&hub.whole().await, first, "the same result, offered again");
}

#[tokio::test]
async fn a_result_arrives_in_pieces_though_pieces_and_receipts_are_lost() {
    let (mut hub, home) = Hub::with_member("127.0.0.0/8").await;
    hub.losses.chunks.store(3, Ordering::SeqCst);
    hub.losses.receipts.store(2, Ordering::SeqCst);
    let engine = noisy();
    let mut node = home.start(engine.clone());
    hub.beacon(1).await;
    hub.announce(&home, 0, 1, &spec("127.0.0.1-127.0.0.9", 9)).await;
    let first = hub.whole().await;
    assert_eq!((first.task, first.hosts.len()), (task(0), 9));
    assert_eq!(home.spooled(), 1, "only a receipt deletes");
    whole_again(&mut hub, &first).await;
    whole_again(&mut hub, &first).await;
    node.told(|notice| matches!(notice, Notice::ResultDelivered { .. })).await;
    node.stop().await.unwrap();
    assert_eq!((engine.count(), home.spooled()), (1, 0));
}

#[tokio::test]
async fn a_killed_node_goes_on_delivering_where_it_was() {
    let (mut hub, home) = Hub::with_member("127.0.0.0/8").await;
    hub.losses.chunks.store(1, Ordering::SeqCst);
    hub.losses.receipts.store(u32::MAX, Ordering::SeqCst);
    let engine = noisy();
    let node = home.start(engine.clone());
    hub.beacon(1).await;
    hub.announce(&home, 0, 1, &spec("127.0.0.1", 9)).await;
    hub.saw(|seen| matches!(seen, Seen::Chunk).then_some(())).await;
    node.kill().await;
    assert_eq!(home.spooled(), 1);
    hub.losses.receipts.store(0, Ordering::SeqCst);
    let mut node = home.start(engine.clone());
    node.told(|notice| matches!(notice, Notice::ResultDelivered { .. })).await;
    assert_eq!(hub.whole().await.task, task(0));
    node.stop().await.unwrap();
    assert_eq!((engine.count(), home.spooled()), (1, 0), "scanned once, delivered once");
}

#[tokio::test]
async fn a_damaged_result_is_set_aside_and_the_others_are_delivered() {
    let (mut hub, home) = Hub::with_member("127.0.0.0/8").await;
    hub.losses.receipts.store(u32::MAX, Ordering::SeqCst);
    let engine = Knocker::default();
    let node = home.start(engine.clone());
    hub.beacon(1).await;
    hub.announce(&home, 0, 1, &spec("127.0.0.1", 9)).await;
    hub.announce(&home, 1, 1, &spec("127.0.0.1", 9)).await;
    let mut stored = BTreeSet::new();
    while stored.len() < 2 {
        stored.insert(hub.whole().await.task);
    }
    node.kill().await;
    damage(&home, "1.0.1.result");
    hub.losses.receipts.store(0, Ordering::SeqCst);
    let mut node = home.start(engine.clone());
    node.told(|notice| matches!(notice, Notice::SpoolEntrySetAside { .. })).await;
    let back = |seen| {
        let Seen::Answer(TaskAnswer { task, fence, answer: Answer::HandedBack(_) }) = seen else { return None };
        Some((task, fence))
    };
    assert_eq!(hub.saw(back).await, (task(0), 1), "so that it is leased and scanned anew");
    node.told(|notice| *notice == Notice::ResultDelivered { task: task(1) }).await;
    node.stop().await.unwrap();
    assert_eq!(engine.count(), 2, "never twice under one lease");
    assert!(home.folder.path().join("spool/1.0.1.result.bad").exists());
    assert_eq!(home.spooled(), 0);
}

fn damage(home: &Home, name: &str) {
    let path = home.folder.path().join("spool").join(name);
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).unwrap();
}

#[tokio::test]
async fn a_rejected_result_is_kept_aside_and_not_offered_again() {
    let (mut hub, home) = Hub::with_member("127.0.0.0/8").await;
    hub.losses.receipts.store(1, Ordering::SeqCst);
    let mut node = home.start(Knocker::default());
    hub.beacon(1).await;
    hub.announce(&home, 0, 1, &spec("127.0.0.1", 9)).await;
    hub.whole().await;
    hub.write(&home, &Receipt { task: task(0), fence: 1, outcome: ReceiptOutcome::Rejected("no".into()) }).await;
    node.told(|notice| matches!(notice, Notice::ResultRejected { .. })).await;
    hub.rest();
    let mut presence = hub.presence().await;
    if !presence.running.is_empty() {
        // This one was on its way already.
        presence = hub.presence().await;
    }
    assert_eq!((presence.spooled, presence.running.len()), (0, 0));
    node.stop().await.unwrap();
    assert!(home.folder.path().join("spool/1.0.1.result.rejected").exists());
}

#[tokio::test]
async fn a_result_waits_while_the_coordinator_is_away() {
    let home = Home::new("127.0.0.1:1".parse().unwrap(), "127.0.0.0/8");
    let (spool, _) = Spool::open(&home.folder.path().join("spool"), SpoolLimits::default()).unwrap();
    spool.store(result()).await.unwrap();
    let node = home.start(Knocker::default());
    node.stop().await.unwrap();
    assert_eq!(home.spooled(), 1);
}

#[tokio::test]
async fn a_node_full_of_undelivered_results_takes_nothing_more() {
    let (mut hub, home) = Hub::with_member("127.0.0.0/8").await;
    hub.losses.receipts.store(u32::MAX, Ordering::SeqCst);
    let engine = Knocker { noise: 1_500_000, ..Knocker::default() };
    home.allow("spool_limit_mib = 1\n");
    let mut node = home.start(engine.clone());
    hub.beacon(1).await;
    hub.announce(&home, 0, 1, &spec("127.0.0.1", 9)).await;
    hub.whole().await;
    hub.announce(&home, 1, 1, &spec("127.0.0.1", 9)).await;
    let back = |seen| {
        let Seen::Answer(TaskAnswer { task, answer: Answer::HandedBack(why), .. }) = seen else { return None };
        Some((task, why.to_string()))
    };
    let (back, why) = hub.saw(back).await;
    assert_eq!(back, task(1));
    assert_eq!(why, "undelivered results have filled this node's spool");
    let told =
        |seen| if let Seen::Presence(presence) = seen { (presence.room == Room::Full).then_some(()) } else { None };
    hub.saw(told).await;
    hub.losses.receipts.store(0, Ordering::SeqCst);
    node.told(|notice| *notice == Notice::ResultDelivered { task: task(0) }).await;
    hub.announce(&home, 1, 2, &spec("127.0.0.1", 9)).await;
    node.told(|notice| *notice == Notice::ResultDelivered { task: task(1) }).await;
    node.told(|notice| matches!(notice, Notice::SpoolRoom { room: Room::Free, .. })).await;
    node.stop().await.unwrap();
    assert_eq!(engine.count(), 2);
}

#[tokio::test]
async fn when_the_disk_is_full_what_runs_and_waits_is_handed_back_and_later_done() {
    let (mut hub, home) = Hub::with_member("127.0.0.0/8").await;
    hub.losses.receipts.store(u32::MAX, Ordering::SeqCst);
    home.allow("spool_limit_mib = 1\nmax_tasks = 2\n");
    let lingers_at = Some("127.0.0.2".parse().unwrap());
    let mut node = home.start(Knocker { noise: 1_500_000, lingers_at, ..Knocker::default() });
    hub.beacon(1).await;
    for (index, target) in [(1, "127.0.0.2"), (0, "127.0.0.1"), (2, "127.0.0.2")] {
        hub.announce(&home, index, 1, &spec(target, 9)).await;
    }
    let mut back = BTreeSet::new();
    while back.len() < 2 {
        let answer = hub.answer().await;
        if let Answer::HandedBack(why) = answer.answer {
            assert_eq!(why.as_str(), "undelivered results have filled this node's spool");
            back.insert(answer.task);
        }
    }
    assert_eq!(back, BTreeSet::from([task(1), task(2)]));
    node.told(|notice| matches!(notice, Notice::SpoolRoom { room: Room::Full, .. })).await;
    hub.losses.receipts.store(0, Ordering::SeqCst);
    node.told(|notice| *notice == Notice::ResultDelivered { task: task(0) }).await;
    node.told(|notice| matches!(notice, Notice::SpoolRoom { room: Room::Free, .. })).await;
    hub.announce(&home, 3, 1, &spec("127.0.0.1", 9)).await;
    node.told(|notice| *notice == Notice::ResultDelivered { task: task(3) }).await;
    node.stop().await.unwrap();
}

fn result() -> TaskResult {
    TaskResult {
        task: task(0),
        fence: 1,
        started: protocol::Timestamp::from_millis(1),
        ended: protocol::Timestamp::from_millis(2),
        coverage: Default::default(),
        hosts: Vec::new(),
        shortfall: None,
        default_ports: None,
    }
}
