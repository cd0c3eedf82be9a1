//! What gossip loses or only hints at is pulled.

use super::kit::{self, Running, announce, id, roster, start};
use crate::mesh::{Mesh, MeshEvent};
use crate::message::{Beacon, Link, RosterHead};
use crate::roster::{MemberState, Role, SignedRoster};
use crate::time::Timestamp;
use std::time::Duration;
use tokio::time::Instant;

const FOUR: [(u8, Role); 4] = [(1, Role::Coordinator), (2, Role::Node), (3, Role::Node), (4, Role::Node)];

/// Connects, and waits until both have had their second pull; then gossip flows and no pull is due for an hour.
async fn link(from: &mut Running, to: &mut Running) {
    from.dial(to).await;
    from.connected_to(to.id).await;
    to.connected_to(from.id).await;
    for member in [from, to] {
        let far = Instant::now() + Duration::from_secs(600);
        member.until(move |mesh| mesh.next_pull > far).await;
    }
}

fn beacon(announced: u64, epoch: u64, roster: &SignedRoster) -> crate::envelope::Envelope {
    let message = Beacon { counter: 1, roster_epoch: epoch, roster_hash: roster.hash(), announced, digest: 0 };
    kit::author(1).sign(&message, epoch, Timestamp::now())
}

async fn adopted(member: &mut Running) -> SignedRoster {
    member.wait(|event| if let MeshEvent::RosterAdopted { signed, .. } = event { Some(signed) } else { None }).await
}

#[tokio::test]
async fn a_revocation_runs_through_the_mesh_on_a_hint() {
    let old = roster(1, &FOUR);
    let (mut hub, mut node) = (start(1, Some(&old)).await, start(2, Some(&old)).await);
    let (mut far, mut revoked) = (start(3, Some(&old)).await, start(4, Some(&old)).await);
    link(&mut node, &mut hub).await;
    link(&mut far, &mut node).await;
    link(&mut revoked, &mut far).await;
    let new = kit::roster_with(2, &FOUR, |member| {
        if member.key == id(4) {
            member.state = MemberState::Revoked;
        }
    });
    let signed = new.clone();
    hub.with(|mesh| mesh.set_roster(signed)).await.unwrap();
    let head = RosterHead { epoch: 2, hash: new.hash(), revoked: vec![id(4)], roster: None };
    hub.publish(kit::author(1).sign(&head, 2, Timestamp::now())).await;
    assert_eq!(adopted(&mut node).await, new);
    revoked.disconnected_from(far.id).await;
    far.until(|mesh| !mesh.connected(&id(4))).await;
    assert_eq!(adopted(&mut far).await, new);
}

#[tokio::test]
async fn a_beacon_makes_members_pull_what_they_missed() {
    let (old, new) = (roster(1, &FOUR), roster(2, &FOUR));
    let (mut hub, mut node) = (start(1, Some(&old)).await, start(2, Some(&old)).await);
    link(&mut node, &mut hub).await;
    let signed = new.clone();
    hub.with(|mesh| mesh.set_roster(signed)).await.unwrap();
    // As if gossip had lost it: kept by the coordinator, never published.
    let lost = announce(&kit::author(1), 1, 7, 1, 2);
    hub.with(|mesh| {
        let verified = lost.verify(kit::mesh_id(), Timestamp::now()).unwrap();
        mesh.board.announcement(&verified, lost)
    })
    .await;
    hub.publish(beacon(1, 2, &new)).await;
    let (mut task, mut signed) = (None, None);
    node.wait(|event| {
        match event {
            MeshEvent::Announcement(found) => task = Some(found.message().task),
            MeshEvent::RosterAdopted { signed: found, .. } => signed = Some(found),
            _ => {}
        }
        (task.is_some() && signed.is_some()).then_some(())
    })
    .await;
    assert_eq!((task, signed), (Some(kit::task(7)), Some(new)));
}

#[tokio::test]
async fn pings_measure_the_round_trip() {
    let roster = roster(1, &FOUR);
    let (mut hub, mut node) = (start(1, Some(&roster)).await, start(2, Some(&roster)).await);
    link(&mut node, &mut hub).await;
    node.until(|mesh| mesh.peers().iter().all(|link| link.round_trip.is_some())).await;
    let told = |mesh: &mut Mesh| mesh.peers().into_iter().map(Link::from).collect::<Vec<_>>();
    let (of_node, of_hub) = (node.with(told).await, hub.with(told).await);
    assert!(matches!(of_node[..], [Link { node, round_trip_us: Some(1..), is_dialled: true }] if node == hub.id));
    assert!(matches!(of_hub[..], [Link { is_dialled: false, .. }]), "{of_hub:?}");
}

#[tokio::test]
async fn a_task_that_gossip_lost_reaches_a_node_that_is_linked_only_to_another_one() {
    let roster = roster(1, &FOUR);
    let (mut hub, mut node) = (start(1, Some(&roster)).await, start(2, Some(&roster)).await);
    let mut far = start(3, Some(&roster)).await;
    link(&mut node, &mut hub).await;
    link(&mut far, &mut node).await;
    // As if gossip had lost it: kept by the coordinator, never published.
    let lost = announce(&kit::author(1), 1, 7, 1, 3);
    hub.with(|mesh| {
        let verified = lost.verify(kit::mesh_id(), Timestamp::now()).unwrap();
        mesh.board.announcement(&verified, lost)
    })
    .await;
    hub.publish(beacon(1, 1, &roster)).await;
    // The regular pull of a node, only sooner.
    far.until(|mesh| {
        mesh.pull();
        !mesh.board.have(Some(&id(3))).is_empty()
    })
    .await;
    assert_eq!(far.announced().await, (kit::task(7), 1));
}
