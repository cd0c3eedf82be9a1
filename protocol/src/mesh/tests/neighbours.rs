//! Members find each other by their cards, keep enough connections, and one per pair.

use super::kit::{self, Running, id, roster, start, start_with};
use crate::card::{Card, SignedCard};
use crate::letter::SealingKey;
use crate::mesh::{Mesh, MeshEvent};
use crate::message::Cancel;
use crate::roster::Role;
use crate::task::RunId;
use crate::time::Timestamp;
use std::time::Duration;

const THREE: [(u8, Role); 3] = [(1, Role::Coordinator), (2, Role::Node), (3, Role::Node)];

fn all(count: u8) -> Vec<(u8, Role)> {
    (1..=count).map(|seed| (seed, if seed == 1 { Role::Coordinator } else { Role::Node })).collect()
}

/// Tells the others where it listens.
async fn show_card(member: &Running) {
    let address = member.address;
    member.with(move |mesh| mesh.set_card(vec![address], "lab".into())).await;
}

fn card(seed: u8, issued: u64, signer: u8) -> SignedCard {
    let (sealing, issued) = (SealingKey::from_bytes([seed; 32]), Timestamp::from_millis(issued));
    let addresses = vec!["127.0.0.1:9".parse().unwrap()];
    SignedCard::sign(Card { key: id(seed), sealing, addresses, label: "lab".into(), issued }, &kit::keys(signer))
}

fn issued(mesh: &Mesh, seed: u8) -> Option<u64> {
    mesh.card(&id(seed)).map(|card| card.issued.as_millis())
}

#[tokio::test]
async fn twelve_members_that_know_one_address_learn_all_cards_and_the_loss_of_a_third_is_made_good() {
    let roster = roster(1, &all(12));
    let mut members = Vec::new();
    for seed in 1..=12 {
        let often = |tunables: &mut crate::mesh::Tunables| tunables.pull_every = Duration::from_millis(500);
        members.push(start_with(seed, Some(&roster), "127.0.0.1:0", often).await);
    }
    for member in &members {
        show_card(member).await;
        member.dial(&members[0]).await;
    }
    for member in &members {
        member.until(|mesh| mesh.cards().len() == 12 && mesh.peers().len() >= 4).await;
    }
    let sums = [members[0].with(Mesh::cards_digest).await, members[7].with(Mesh::cards_digest).await];
    assert_eq!(sums[0], sums[1]);
    // The coordinator and three more end at once.
    for member in members.drain(..4) {
        member.stop().await;
    }
    let gone: Vec<_> = (1..=4).map(id).collect();
    for member in &members {
        let gone = gone.clone();
        member
            .until(move |mesh| {
                let peers = mesh.peers();
                peers.len() >= 4 && !peers.iter().any(|link| gone.contains(&link.node))
            })
            .await;
    }
}

#[tokio::test]
async fn two_that_dial_each_other_at_once_end_with_one_connection() {
    let roster = roster(1, &THREE);
    let (mut one, mut other) = (start(2, Some(&roster)).await, start(3, Some(&roster)).await);
    let is_long = std::env::var("PORTDRIFT_LONG").is_ok_and(|value| value == "1");
    let mut collisions = 0;
    for round in 0..if is_long { 100 } else { 10 } {
        tokio::join!(one.dial(&other), other.dial(&one));
        one.connected_to(other.id).await;
        other.connected_to(one.id).await;
        let connections = |mesh: &mut Mesh| mesh.swarm.network_info().connection_counters().num_established();
        collisions += usize::from(one.with(connections).await > 1);
        for member in [&one, &other] {
            member.until(move |mesh| connections(mesh) == 1 && !mesh.pairs.has_several()).await;
        }
        let lost = |event: &MeshEvent| matches!(event, MeshEvent::Disconnected { .. });
        assert!(!one.drain().iter().chain(&other.drain()).any(lost), "round {round}: a connection flapped");
        let (a, b) = (one.with(|mesh| mesh.peers()).await, other.with(|mesh| mesh.peers()).await);
        assert_eq!((a.len(), b.len()), (1, 1));
        for (member, to) in [(&one, other.id), (&other, one.id)] {
            // Nobody dials again before the next round does.
            member.with(move |mesh| mesh.dial(to, &[])).await;
        }
        let to = other.id;
        one.with(move |mesh| mesh.swarm.disconnect_peer_id(crate::mesh::peer::peer_id(&to).unwrap())).await.unwrap();
        one.disconnected_from(other.id).await;
        other.disconnected_from(one.id).await;
    }
    assert!(collisions > 0, "no two dials met");
}

#[tokio::test]
async fn a_cancellation_that_gossip_lost_is_pulled() {
    let roster = roster(1, &THREE);
    let (hub, mut node) = (start(1, Some(&roster)).await, start(2, Some(&roster)).await);
    // Published to nobody, so only the coordinator's board knows it.
    hub.publish(kit::author(1).sign(&Cancel { run: RunId(7) }, 1, Timestamp::now())).await;
    node.dial(&hub).await;
    let cancelled = |event| if let MeshEvent::Cancel(cancel) = event { Some(cancel.message().run) } else { None };
    assert_eq!(node.wait(cancelled).await, RunId(7));
    // A node that was never connected to the coordinator gets it from the first.
    hub.stop().await;
    let mut far = start(3, Some(&roster)).await;
    far.dial(&node).await;
    assert_eq!(far.wait(cancelled).await, RunId(7));
    node.drain();
    node.with(Mesh::pull).await;
    node.until(|mesh| mesh.pulls.is_empty()).await;
    assert!(!node.drain().into_iter().any(|event| cancelled(event).is_some()), "it comes once");
}

#[tokio::test]
async fn a_newer_card_runs_through_the_mesh_and_an_older_one_never_replaces_it() {
    let roster = roster(1, &THREE);
    let (hub, mut node) = (start(1, Some(&roster)).await, start(2, Some(&roster)).await);
    hub.with(|mesh| mesh.add_cards(vec![card(3, 5, 3)])).await;
    node.with(|mesh| mesh.add_cards(vec![card(3, 6, 3)])).await;
    node.dial(&hub).await;
    node.connected_to(hub.id).await;
    // The node asks, and the coordinator asks back.
    hub.until(|mesh| issued(mesh, 3) == Some(6)).await;
    hub.with(|mesh| mesh.add_cards(vec![card(3, 5, 3)])).await;
    assert_eq!(hub.with(|mesh| issued(mesh, 3)).await, Some(6));
    assert_eq!(node.with(|mesh| issued(mesh, 3)).await, Some(6));
}

#[tokio::test]
async fn cards_of_strangers_and_forged_cards_are_dropped() {
    let roster = roster(1, &THREE);
    let (hub, mut node) = (start(1, Some(&roster)).await, start(2, Some(&roster)).await);
    hub.with(|mesh| mesh.add_cards(vec![card(4, 5, 4), card(3, 5, 4)])).await;
    assert_eq!(hub.with(|mesh| mesh.cards()).await, []);
    // Even from a neighbour that keeps them: one for a stranger, one that is forged, one that comes after it.
    hub.with(|mesh| {
        mesh.cards.keep(card(4, 5, 4).verify().unwrap(), card(4, 5, 4));
        mesh.cards.keep(card(3, 5, 3).verify().unwrap(), card(3, 5, 2));
    })
    .await;
    node.dial(&hub).await;
    node.connected_to(hub.id).await;
    node.until(|mesh| mesh.pulls.is_empty() && mesh.cards().is_empty()).await;
    show_card(&hub).await;
    node.with(Mesh::pull).await;
    node.until(|mesh| mesh.pulls.is_empty()).await;
    assert_eq!(node.with(|mesh| (mesh.card(&id(3)).cloned(), mesh.card(&id(4)).cloned())).await, (None, None));
}

#[tokio::test]
async fn a_card_leaves_with_its_member() {
    let hub = start(1, Some(&roster(1, &THREE))).await;
    hub.with(|mesh| mesh.add_cards(vec![card(2, 5, 2), card(3, 5, 3)])).await;
    let without = roster(2, &THREE[..2]);
    hub.with(|mesh| mesh.set_roster(without)).await.unwrap();
    assert_eq!(hub.with(|mesh| mesh.cards()).await, [card(2, 5, 2)]);
}

#[tokio::test]
async fn ones_own_card_changes_with_its_words_and_outlives_an_older_life() {
    let roster = roster(1, &THREE);
    let (hub, mut node) = (start(1, Some(&roster)).await, start(2, Some(&roster)).await);
    show_card(&node).await;
    let first = node.with(|mesh| issued(mesh, 2)).await;
    show_card(&node).await;
    assert_eq!(node.with(|mesh| issued(mesh, 2)).await, first, "the same words");
    node.with(|mesh| mesh.set_card(Vec::new(), "moved".into())).await;
    assert!(node.with(|mesh| issued(mesh, 2)).await > first);
    // The coordinator holds a card that this node wrote before its clock was set back.
    let later = Timestamp::now().plus(Duration::from_secs(60)).as_millis();
    hub.with(move |mesh| mesh.add_cards(vec![card(2, later, 2)])).await;
    node.dial(&hub).await;
    node.connected_to(hub.id).await;
    hub.until(|mesh| mesh.card(&id(2)).is_some_and(|card| card.label.as_str() == "moved")).await;
    let card = hub.with(|mesh| mesh.card(&id(2)).cloned()).await.unwrap();
    assert_eq!((card.issued.as_millis(), card.sealing), (later + 1, own_key(2)));
}

fn own_key(seed: u8) -> SealingKey {
    crate::letter::Opener::new(&kit::keys(seed)).key()
}
