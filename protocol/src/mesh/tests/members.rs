//! Members among themselves.

use super::kit::{self, PATIENCE, Running, announce, id, roster, start, start_at};
use crate::letter::{Letter, Opener};
use crate::mesh::{Mesh, MeshError, MeshEvent};
use crate::message::{Beacon, Cancel, LeaseLost, RosterHead};
use crate::roster::{MemberState, Precedence, Role};
use crate::task::RunId;
use crate::time::Timestamp;
use std::time::Duration;

const THREE: [(u8, Role); 3] = [(1, Role::Coordinator), (2, Role::Node), (3, Role::Node)];

fn letter(from: u8, to: u8, fence: u64) -> Letter {
    let envelope = kit::author(from).sign(&LeaseLost { task: kit::task(0), fence }, 1, Timestamp::now());
    Letter::seal(&envelope, id(to), &Opener::new(&kit::keys(to)).key(), kit::mesh_id()).unwrap()
}

fn beacon(counter: u64, announced: u64, epoch: u64, roster: &crate::roster::SignedRoster) -> Beacon {
    Beacon { counter, roster_epoch: epoch, roster_hash: roster.hash(), announced, digest: 0 }
}

#[tokio::test]
async fn two_members_exchange_letters() {
    let roster = roster(1, &THREE);
    let (mut hub, mut node) = (start(1, Some(&roster)).await, start(2, Some(&roster)).await);
    node.dial(&hub).await;
    node.connected_to(hub.id).await;
    hub.connected_to(node.id).await;
    assert_letter_arrives(&mut node, &mut hub, letter(2, 1, 7)).await;
    assert_letter_arrives(&mut hub, &mut node, letter(1, 2, 8)).await;
}

async fn assert_letter_arrives(from: &mut Running, to: &mut Running, sent: Letter) {
    let copy = sent.clone();
    let id = from.with(|mesh| mesh.send_letter(copy)).await.unwrap();
    let came = to
        .wait(|event| if let MeshEvent::Letter { from, letter, .. } = event { Some((from, letter)) } else { None })
        .await;
    assert_eq!(came, (from.id, sent));
    let done = from.wait(|event| if let MeshEvent::LetterDelivered { id } = event { Some(id) } else { None }).await;
    assert_eq!(done, id);
}

#[tokio::test]
async fn a_letter_that_cannot_go_is_said_so() {
    let roster = roster(1, &THREE);
    let (hub, mut node) = (start(1, Some(&roster)).await, start(2, Some(&roster)).await);
    let to_third = letter(2, 3, 1);
    assert!(node.with(|mesh| mesh.send_letter(to_third)).await.is_err(), "the reader is not connected");
    node.dial(&hub).await;
    node.connected_to(hub.id).await;
    let too_long = Letter { to: hub.id, sealed: crate::letter::Sealed::from_bytes(vec![0; 300 * 1024]) };
    let id = node.with(|mesh| mesh.send_letter(too_long)).await.unwrap();
    let (failed, _) = node
        .wait(|event| if let MeshEvent::LetterFailed { id, reason } = event { Some((id, reason)) } else { None })
        .await;
    assert_eq!(failed, id);
}

#[tokio::test]
async fn gossip_reaches_all_of_three_members_also_through_one_another() {
    let roster = roster(1, &THREE);
    let (hub, mut node) = (start(1, Some(&roster)).await, start(2, Some(&roster)).await);
    let mut far = start(3, Some(&roster)).await;
    node.dial(&hub).await;
    far.dial(&node).await;
    node.connected_to(hub.id).await;
    far.connected_to(node.id).await;
    let author = kit::author(1);
    let mut counter = 0;
    // What is published before gossip has formed is lost, so beacons go out until one has arrived everywhere.
    let heard = async {
        for member in [&mut node, &mut far] {
            loop {
                counter += 1;
                hub.publish(author.sign(&beacon(counter, 0, 1, &roster), 1, Timestamp::now())).await;
                let came = member.wait(|event| matches!(event, MeshEvent::Beacon(_)).then_some(()));
                if tokio::time::timeout(Duration::from_millis(200), came).await.is_ok() {
                    break;
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, heard).await.unwrap();
    hub.publish(announce(&author, 1, 5, 1, 3)).await;
    assert_eq!(far.announced().await, (kit::task(5), 1));
    assert_eq!(node.announced().await, (kit::task(5), 1));
    hub.publish(author.sign(&Cancel { run: RunId(2) }, 1, Timestamp::now())).await;
    for member in [&mut node, &mut far] {
        member.wait(|event| if let MeshEvent::Cancel(found) = event { Some(found) } else { None }).await;
    }
    hub.publish(announce(&author, 2, 6, 1, 3)).await;
    assert_eq!(far.announced().await, (kit::task(6), 1), "task 5 came once only");
}

#[tokio::test]
async fn a_member_that_connects_later_pulls_its_task_even_from_another_node() {
    let roster = roster(1, &THREE);
    let (hub, mut node) = (start(1, Some(&roster)).await, start(2, Some(&roster)).await);
    let author = kit::author(1);
    for index in 0..3 {
        hub.publish(announce(&author, u64::from(index) + 1, index, 1, 3)).await;
    }
    hub.with(|mesh| mesh.forget_announcement(kit::task(1), 1)).await;
    let mut late = start(3, Some(&roster)).await;
    late.dial(&hub).await;
    assert_eq!([late.announced().await, late.announced().await], [(kit::task(0), 1), (kit::task(2), 1)]);
    // Gossip carries the next one to both nodes; the third then comes back without memory and knows only node 2.
    node.dial(&hub).await;
    node.connected_to(hub.id).await;
    let mut number = 3;
    loop {
        number += 1;
        hub.publish(announce(&author, number, u32::try_from(number).unwrap(), 1, 3)).await;
        if tokio::time::timeout(Duration::from_millis(200), node.announced()).await.is_ok() {
            break;
        }
    }
    late.stop().await;
    hub.stop().await;
    let mut again = start(3, Some(&roster)).await;
    again.dial(&node).await;
    assert_eq!(again.announced().await.0.index, u32::try_from(number).unwrap());
}

#[tokio::test]
async fn a_revoked_key_loses_its_connections_at_once_and_stays_out() {
    let old = roster(1, &THREE);
    let (mut hub, mut node) = (start(1, Some(&old)).await, start(2, Some(&old)).await);
    let mut revoked = start(3, Some(&old)).await;
    node.dial(&hub).await;
    revoked.dial(&hub).await;
    revoked.dial(&node).await;
    revoked.connected_to(hub.id).await;
    revoked.connected_to(node.id).await;
    node.connected_to(hub.id).await;
    let new = kit::roster_with(2, &THREE, |member| {
        if member.key == id(3) {
            member.state = MemberState::Revoked;
        }
    });
    let signed = new.clone();
    assert_eq!(hub.with(|mesh| mesh.set_roster(signed)).await.unwrap(), Precedence::Newer);
    hub.disconnected_from(revoked.id).await;
    revoked.disconnected_from(hub.id).await;
    let head = RosterHead { epoch: 2, hash: new.hash(), revoked: vec![id(3)], roster: None };
    hub.publish(kit::author(1).sign(&head, 2, Timestamp::now())).await;
    node.with(Mesh::pull).await;
    // A head only hints, so the order of these two is open.
    let (mut adopted, mut dropped) = (false, false);
    node.wait(|event| {
        adopted |= matches!(&event, MeshEvent::RosterAdopted { roster, .. } if roster.epoch == 2);
        dropped |= matches!(&event, MeshEvent::Disconnected { node } if *node == id(3));
        (adopted && dropped).then_some(())
    })
    .await;
    // Its dialler tries on and on. While another key is let in, this one is not.
    hub.drain();
    let mut other = start(4, Some(&roster(1, &[(1, Role::Coordinator), (4, Role::Node)]))).await;
    let three =
        kit::roster_with(3, &[(1, Role::Coordinator), (2, Role::Node), (3, Role::Node), (4, Role::Node)], |m| {
            if m.key == id(3) {
                m.state = MemberState::Revoked;
            }
        });
    hub.with(|mesh| mesh.set_roster(three)).await.unwrap();
    other.dial(&hub).await;
    other.connected_to(hub.id).await;
    hub.wait(|event| match event {
        MeshEvent::Connected { node, .. } => {
            assert_ne!(node, id(3), "the revoked key came in");
            (node == id(4)).then_some(())
        }
        _ => None,
    })
    .await;
    assert!(!hub.with(|mesh| mesh.connected(&id(3))).await);
}

#[tokio::test]
async fn an_older_roster_is_refused_and_a_second_truth_is_an_alarm() {
    let held = roster(5, &THREE);
    let hub = start(1, Some(&held)).await;
    let older = roster(4, &THREE);
    assert_eq!(hub.with(|mesh| mesh.set_roster(older)).await.unwrap(), Precedence::Older);
    assert_eq!(hub.with(|mesh| mesh.roster().map(|roster| roster.epoch)).await, Some(5));
    let other = kit::roster_with(5, &THREE, |member| member.may_sponsor = true);
    let offered = other.hash();
    let mut node = start(2, Some(&other)).await;
    node.dial(&hub).await;
    let found = node
        .wait(|event| match event {
            MeshEvent::RosterConflict { epoch, held, offered, from } => Some((epoch, held, offered, from)),
            _ => None,
        })
        .await;
    assert_eq!(found, (5, offered, held.hash(), hub.id));
    assert_eq!(node.with(|mesh| mesh.roster_hash()).await, Some(offered));
}

#[tokio::test]
async fn a_newer_roster_is_pulled_from_whoever_has_it() {
    let old = roster(1, &THREE);
    let new = roster(2, &THREE);
    let (mut hub, node) = (start(1, Some(&old)).await, start(2, Some(&new)).await);
    node.dial(&hub).await;
    let signed =
        hub.wait(|event| if let MeshEvent::RosterAdopted { signed, .. } = event { Some(signed) } else { None }).await;
    assert_eq!(signed, new);
}

#[tokio::test]
async fn a_node_finds_the_coordinator_again_after_its_restart() {
    let roster = roster(1, &THREE);
    let (hub, mut node) = (start(1, Some(&roster)).await, start(2, Some(&roster)).await);
    node.dial(&hub).await;
    node.connected_to(hub.id).await;
    let (id, address) = (hub.id, hub.address.to_string());
    hub.stop().await;
    node.disconnected_from(id).await;
    let hub = start_at(1, Some(&roster), &address).await;
    node.connected_to(id).await;
    let links = node.with(|mesh| mesh.peers()).await;
    assert_eq!(links.iter().map(|link| (link.node, link.address)).collect::<Vec<_>>(), [(id, Some(hub.address))]);
}

#[tokio::test]
async fn a_busy_port_is_named() {
    let hub = start(1, None).await;
    let busy = hub.address.to_string();
    let error = Mesh::new(kit::config(kit::author(2), Role::Node, &busy), None).await.unwrap_err();
    assert!(matches!(error, MeshError::PortInUse(address) if address == hub.address));
    insta::assert_snapshot!(error.to_string().replace(&busy, "127.0.0.1:9430"), @"mesh port 127.0.0.1:9430 is in use; stop the program that listens there, or choose another port");
}

#[tokio::test]
async fn a_forged_roster_does_not_start_a_member() {
    let other = crate::roster::SignedRoster::sign(
        &roster(1, &THREE).verify(kit::mesh_id()).unwrap(),
        &crate::identity::Keypair::from_seed(&[66; 32]),
    );
    let error = Mesh::new(kit::config(kit::author(2), Role::Node, "127.0.0.1:0"), Some(other)).await.unwrap_err();
    assert!(matches!(error, MeshError::Roster(_)), "{error}");
}
