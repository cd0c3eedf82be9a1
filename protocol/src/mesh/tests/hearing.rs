//! Who hears the coordinator itself needs nobody to pass its words on, and nobody asks for what is not missed.

use super::intruder::Intruder;
use super::kit::{self, PATIENCE, Running, announce, id, roster, start};
use crate::mesh::gossip::Topics;
use crate::mesh::{Mesh, Tunables, peer};
use crate::message::{Beacon, Cancel};
use crate::roster::{Role, SignedRoster};
use crate::task::RunId;
use crate::time::Timestamp;
use futures::StreamExt;
use std::time::Duration;
use tokio::time::Instant;

const THREE: [(u8, Role); 3] = [(1, Role::Coordinator), (2, Role::Node), (3, Role::Node)];

async fn link(from: &mut Running, to: &mut Running) {
    from.dial(to).await;
    from.connected_to(to.id).await;
    to.connected_to(from.id).await;
}

/// A beacon of the coordinator that tells of what it holds.
async fn beat(hub: &Running, counter: u64, roster: &SignedRoster) {
    let digest = hub.with(Mesh::digest).await;
    let message = Beacon { counter, roster_epoch: 1, roster_hash: roster.hash(), announced: 0, digest };
    hub.publish(kit::author(1).sign(&message, 1, Timestamp::now())).await;
}

/// Whether this member would pass a task on to the one with this seed.
fn passes_on_to(mesh: &Mesh, seed: u8) -> Option<bool> {
    mesh.connected(&id(seed)).then(|| mesh.is_to_pass_on())
}

#[tokio::test]
async fn what_a_neighbour_hears_itself_is_passed_on_to_it_only_after_it_has_lost_the_coordinator() {
    let roster = roster(1, &THREE);
    let (mut hub, mut node) = (start(1, Some(&roster)).await, start(2, Some(&roster)).await);
    let mut far = start(3, Some(&roster)).await;
    link(&mut node, &mut hub).await;
    link(&mut far, &mut hub).await;
    link(&mut far, &mut node).await;
    node.until(|mesh| passes_on_to(mesh, 3) == Some(true)).await;
    let mut counter = 0;
    while !node.with(|mesh| passes_on_to(mesh, 3) == Some(false)).await {
        counter += 1;
        beat(&hub, counter, &roster).await;
        node.until(move |mesh| mesh.ways.newest().is_some_and(|(newest, _)| newest.counter == counter)).await;
    }
    assert!(far.with(|mesh| mesh.hears(Instant::now())).await);
    far.with(|mesh| mesh.dial(id(1), &[])).await;
    hub.with(|mesh| mesh.swarm.disconnect_peer_id(peer::peer_id(&id(3)).unwrap())).await.unwrap();
    far.disconnected_from(hub.id).await;
    node.until(|mesh| passes_on_to(mesh, 3) == Some(true)).await;
    hub.publish(announce(&kit::author(1), 1, 5, 1, 3)).await;
    assert_eq!(far.announced().await, (kit::task(5), 1));
    assert!(!far.with(|mesh| mesh.connected(&id(1))).await, "it came by the neighbour");
}

#[tokio::test]
async fn a_beacon_tells_whether_there_is_something_to_ask_for() {
    let roster = roster(1, &THREE);
    let (mut hub, mut node) = (start(1, Some(&roster)).await, start(2, Some(&roster)).await);
    link(&mut node, &mut hub).await;
    beat(&hub, 1, &roster).await;
    node.until(|mesh| {
        mesh.pull();
        mesh.holds_all()
    })
    .await;
    // As if gossip had lost it: kept by the coordinator, never published.
    let lost = kit::author(1).sign(&Cancel { run: RunId(7) }, 1, Timestamp::now());
    hub.with(|mesh| {
        let verified = lost.verify(kit::mesh_id(), Timestamp::now()).unwrap();
        mesh.board.cancel(&verified, lost)
    })
    .await;
    beat(&hub, 2, &roster).await;
    node.until(|mesh| mesh.ways.newest().is_some_and(|(newest, _)| newest.counter == 2)).await;
    assert!(!node.with(Mesh::holds_all).await);
    node.with(|mesh| mesh.pull_when_needed(Instant::now())).await;
    node.until(Mesh::holds_all).await;
}

/// A node, and a neighbour that brings a beacon and then says nothing more; no pull is under way or due soon.
async fn with_silent(seed: u8, pull_every: Duration) -> (Mesh, Intruder) {
    let mut config = kit::config(kit::author(3), Role::Node, "127.0.0.1:0");
    config.tunables.pull_every = pull_every;
    let mut mesh = Mesh::new(config, Some(roster(1, &THREE))).await.unwrap();
    let mut neighbour = Intruder::new(seed, kit::mesh_id());
    neighbour.dial(mesh.listen_addresses()[0]);
    let topic = Topics::new().control;
    let message = Beacon { counter: 1, roster_epoch: 1, roster_hash: [0; 32], announced: 0, digest: 0 };
    let beacon = kit::author(1).sign(&message, 1, Timestamp::now());
    let mut again = tokio::time::interval(Duration::from_millis(20));
    let settled = async {
        let soon = Duration::from_secs(20);
        while mesh.ways.newest().is_none() || !mesh.pulls.is_empty() || mesh.next_pull < Instant::now() + soon {
            tokio::select! {
                _ = mesh.next() => {}
                _ = neighbour.swarm.select_next_some() => {}
                // It fails until the other end has said what it wants to hear, and once it was sent.
                _ = again.tick() => {
                    let _ = neighbour.swarm.behaviour_mut().gossip.publish(topic.clone(), beacon.as_bytes().to_vec());
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, settled).await.expect("the beacon comes");
    (mesh, neighbour)
}

#[tokio::test]
async fn a_neighbour_that_vanishes_without_a_word_is_let_go_when_it_should_have_been_heard() {
    // The coordinator is asked because its beacons stop, another one when a pull is due.
    let table = [(1, Duration::from_secs(3_600), 30..=67), (2, Tunables::default().pull_every, 30..=80)];
    for (seed, pull_every, expected) in table {
        let (mut mesh, neighbour) = with_silent(seed, pull_every).await;
        assert_eq!(mesh.hears(Instant::now()), seed == 1);
        tokio::time::pause();
        // As after a quiet minute.
        mesh.calm_from = Instant::now();
        let mut seconds = 0;
        while mesh.connected(&id(seed)) && seconds < 200 {
            tokio::time::advance(Duration::from_secs(1)).await;
            seconds += 1;
            mesh.on_time(Instant::now());
            for _ in 0..5 {
                tokio::task::yield_now().await;
                mesh.let_go(Timestamp::now());
            }
        }
        tokio::time::resume();
        drop(neighbour);
        assert!(expected.contains(&seconds), "{seconds} s after the beacon of {seed}");
    }
}

#[tokio::test]
async fn a_key_that_expires_is_thrown_out_at_that_time_however_calm_it_is() {
    let end = Timestamp::now().plus(Duration::from_secs(5));
    let expiring = kit::roster_with(1, &THREE, |member| member.expires = (member.key == id(2)).then_some(end));
    let (mut hub, mut node) = (start(1, Some(&expiring)).await, start(2, Some(&expiring)).await);
    link(&mut node, &mut hub).await;
    let wait = |mesh: &mut Mesh| {
        let now = Instant::now();
        (mesh.calm_from, mesh.next_tick) = (now, now);
        mesh.on_time(now);
        (mesh.gate.lets_in(&id(2)), mesh.next_tick - now)
    };
    let (is_in, wait) = hub.with(wait).await;
    assert!(!is_in || wait <= Duration::from_millis(5_001), "{wait:?}");
    hub.disconnected_from(id(2)).await;
}
