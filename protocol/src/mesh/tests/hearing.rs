//! Who hears the coordinator itself needs nobody to pass its words on, and nobody asks for what is not missed.

use super::kit::{self, Running, announce, id, roster, start};
use crate::mesh::{Mesh, peer};
use crate::message::{Beacon, Cancel};
use crate::roster::{Role, SignedRoster};
use crate::task::RunId;
use crate::time::Timestamp;

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
    let topic = mesh.topics.tasks.hash();
    let mut in_reach = mesh.swarm.behaviour().gossip.mesh_peers(&topic).filter_map(peer::node_id);
    in_reach.any(|node| node == id(seed)).then(|| mesh.is_to_pass_on(&topic))
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
    assert!(far.with(|mesh| mesh.hears(tokio::time::Instant::now())).await);
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
    node.with(|mesh| mesh.pull_when_needed(tokio::time::Instant::now())).await;
    node.until(Mesh::holds_all).await;
}

#[tokio::test]
async fn a_neighbour_that_leaves_two_questions_in_a_row_unanswered_is_let_go() {
    let roster = roster(1, &THREE);
    let (mut hub, mut node) = (start(1, Some(&roster)).await, start(2, Some(&roster)).await);
    link(&mut node, &mut hub).await;
    let is_connected = |mesh: &mut Mesh| {
        mesh.missed_answer(&id(1));
        mesh.answered(&id(1), None);
        mesh.missed_answer(&id(1));
        let stands = mesh.neighbours.get(&id(1)).is_some_and(|neighbour| neighbour.missed == 1);
        mesh.missed_answer(&id(1));
        stands
    };
    assert!(node.with(is_connected).await);
    node.disconnected_from(hub.id).await;
}
