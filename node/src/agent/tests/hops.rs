//! A node that reaches the coordinator only through another one.

use super::hub::{Hop, Hub, Seen};
use super::{spec, task};
use crate::notice::Notice;
use crate::testing::{Home, Knocker, PATIENCE, Running};
use protocol::message::{LeaseLost, TaskResult};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Starts the node and has the hop dial it.
async fn start(home: &Home, hop: &Hop, engine: Knocker) -> (Running, SocketAddr) {
    let mut options = crate::testing::options(home.folder.path());
    options.listen = vec!["127.0.0.1:0".parse().unwrap()];
    let mut node = home.start_with(engine, options);
    let told = node.told(|notice| matches!(notice, Notice::Listening { .. })).await;
    let Notice::Listening { addresses } = told else { panic!("{told:?}") };
    hop.dial(home.id, addresses[0]).await;
    (node, addresses[0])
}

/// Sends beacons and task 0 until something was seen: what is gossiped before gossip has formed is lost.
async fn beat_until<T>(hub: &mut Hub, home: &Home, mut pick: impl FnMut(Seen) -> Option<T>) -> T {
    let seen = async {
        loop {
            hub.beat().await;
            hub.announce(home, 0, 1, &spec("127.0.0.1", 9)).await;
            if let Ok(found) = tokio::time::timeout(Duration::from_millis(200), hub.saw(&mut pick)).await {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.expect("it is seen in time")
}

fn whole(seen: Seen) -> Option<TaskResult> {
    if let Seen::Whole(result) = seen { Some(*result) } else { None }
}

#[tokio::test]
async fn a_node_behind_another_one_delivers_and_gets_its_receipt() {
    let (mut hub, home, hop) = Hub::behind_a_hop("127.0.0.0/8").await;
    let engine = Knocker { noise: 700_000, ..Knocker::default() };
    let (mut node, _) = start(&home, &hop, engine.clone()).await;
    assert_eq!(beat_until(&mut hub, &home, whole).await.task, task(0));
    node.told(|notice| *notice == Notice::WayOpen { node: hop.id }).await;
    node.told(|notice| *notice == Notice::ResultDelivered { task: task(0) }).await;
    node.stop().await.unwrap();
    assert_eq!((engine.count(), home.spooled()), (1, 0));
}

#[tokio::test]
async fn a_lost_lease_is_told_through_a_hop() {
    let (mut hub, home, hop) = Hub::behind_a_hop("127.0.0.0/8").await;
    let (mut node, _) = start(&home, &hop, Knocker { lingers: true, ..Knocker::default() }).await;
    let runs = |seen| matches!(&seen, Seen::Presence(presence) if !presence.running.is_empty()).then_some(());
    beat_until(&mut hub, &home, runs).await;
    hub.write(&home, &LeaseLost { task: task(0), fence: 1 }).await;
    node.told(|notice| *notice == Notice::TaskDropped { task: task(0) }).await;
    node.stop().await.unwrap();
}

#[tokio::test]
async fn what_a_lying_hop_swallows_is_sent_again_until_the_receipt() {
    let (mut hub, home, hop) = Hub::behind_a_hop("127.0.0.0/8").await;
    let engine = Knocker { noise: 700_000, ..Knocker::default() };
    let (mut node, _) = start(&home, &hop, engine.clone()).await;
    // Chunks are on their way by now; from here on each letter is said to be delivered, and nobody reads it.
    beat_until(&mut hub, &home, |seen| matches!(seen, Seen::Chunk).then_some(())).await;
    hub.losses.letters.store(40, Ordering::SeqCst);
    assert_eq!(beat_until(&mut hub, &home, whole).await.task, task(0));
    node.told(|notice| *notice == Notice::ResultDelivered { task: task(0) }).await;
    assert_eq!(hub.losses.letters.load(Ordering::SeqCst), 0, "they were swallowed");
    node.stop().await.unwrap();
    assert_eq!((engine.count(), home.spooled()), (1, 0));
}

#[tokio::test]
async fn a_node_whose_words_a_hop_swallows_is_heard_through_another_one() {
    let (mut hub, home, hop) = Hub::behind_a_hop("127.0.0.0/8").await;
    let (mut node, address) = start(&home, &hop, Knocker::default()).await;
    let heard = async {
        loop {
            hub.beat().await;
            if tokio::time::timeout(Duration::from_millis(200), hub.presence()).await.is_ok() {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, heard).await.unwrap();
    // The beacon came by the first one, and no other one follows.
    let other = hop.beside().await;
    other.dial(home.id, address).await;
    node.told(|notice| *notice == Notice::Connected { node: other.id, coordinator: false }).await;
    *hub.losses.liar.lock().unwrap() = Some(hop.id);
    hub.saw(|seen| matches!(seen, Seen::Swallowed).then_some(())).await;
    hub.rest();
    hub.presence().await;
    node.stop().await.unwrap();
}

#[tokio::test]
async fn a_result_waits_while_the_hop_is_away_and_arrives_after_its_return() {
    let (mut hub, home, mut hop) = Hub::behind_a_hop("127.0.0.0/8").await;
    let engine = Knocker { noise: 700_000, ..Knocker::default() };
    let (mut node, address) = start(&home, &hop, engine.clone()).await;
    hub.losses.receipts.store(u32::MAX, Ordering::SeqCst);
    let first = beat_until(&mut hub, &home, whole).await;
    hop.kill().await;
    node.told(|notice| *notice == Notice::Disconnected { node: hop.id, coordinator: false }).await;
    assert_eq!(home.spooled(), 1, "only a receipt deletes");
    hub.losses.receipts.store(0, Ordering::SeqCst);
    let hop = hop.again().await;
    hop.dial(home.id, address).await;
    assert_eq!(beat_until(&mut hub, &home, whole).await, first);
    node.told(|notice| *notice == Notice::ResultDelivered { task: task(0) }).await;
    node.stop().await.unwrap();
    assert_eq!((engine.count(), home.spooled()), (1, 0));
}
