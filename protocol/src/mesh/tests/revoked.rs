//! Fifty members revoke one: with the coordinator running, and with it gone as soon as one neighbour knows.

use super::intruder::{Intruder, Loot};
use super::kit::{self, PATIENCE, Running, id, start, start_with};
use crate::envelope::Envelope;
use crate::identity::NodeId;
use crate::mesh::Tunables;
use crate::message::RosterHead;
use crate::roster::{MemberState, Role, SignedRoster};
use crate::time::Timestamp;
use std::time::Duration;
use tokio::time::Instant;

const MEMBERS: u8 = 50;
const REVOKED: u8 = 50;
/// It is away while the others revoke.
const PARTED: u8 = 49;

/// How often the revoked key knocks: all of it with `PORTDRIFT_LONG`.
fn tries() -> usize {
    if std::env::var("PORTDRIFT_LONG").is_ok_and(|value| value == "1") { 1_000 } else { 200 }
}

fn members() -> Vec<(u8, Role)> {
    (1..=MEMBERS).map(|seed| (seed, if seed == 1 { Role::Coordinator } else { Role::Node })).collect()
}

fn without_the_revoked() -> SignedRoster {
    kit::roster_with(2, &members(), |member| {
        if member.key == id(REVOKED) {
            member.state = MemberState::Revoked;
        }
    })
}

/// The coordinator's word on it, as it is gossiped.
fn head(new: &SignedRoster) -> Envelope {
    let head = RosterHead { epoch: 2, hash: new.hash(), revoked: vec![id(REVOKED)], roster: Some(new.clone()) };
    kit::author(1).sign(&head, 2, Timestamp::now())
}

/// The members with these seeds, each with four connections at least; all know of one another by their cards.
async fn mesh(seeds: impl Iterator<Item = u8>, roster: &SignedRoster) -> Vec<Running> {
    let mut all: Vec<Running> = Vec::new();
    for seed in seeds {
        // With pings as seldom as in the field: so many members in one process have better things to do.
        let often = Tunables::default().ping_every;
        let member = start_with(seed, Some(roster), "127.0.0.1:0", |times| times.ping_every = often).await;
        let address = member.address;
        member.with(move |mesh| mesh.set_card(vec![address], "lab".into())).await;
        if let Some(first) = all.first() {
            member.dial(first).await;
        }
        all.push(member);
    }
    for member in &all {
        member.until(|mesh| mesh.peers().len() >= 4).await;
    }
    all
}

async fn connect_to_all(member: &Running, others: &[Running]) {
    for other in others {
        member.dial(other).await;
    }
    let expected = others.len().min(6);
    member.until(move |mesh| mesh.peers().len() >= expected).await;
}

/// Waits until every survivor has cut the revoked one, and then until all hold the roster that says so; when each was.
async fn cut_by_all(survivors: &[Running]) -> [Duration; 2] {
    let began = Instant::now();
    for member in survivors {
        member.until(|mesh| !mesh.connected(&id(REVOKED))).await;
    }
    let cut = began.elapsed();
    for member in survivors {
        member.until(|mesh| mesh.roster().is_some_and(|roster| roster.epoch == 2)).await;
        assert!(!member.with(|mesh| mesh.connected(&id(REVOKED))).await);
    }
    [cut, began.elapsed()]
}

/// Knocks at every survivor in turn with the revoked key, again and again.
async fn knock(survivors: &[Running], tries: usize) -> Loot {
    let mut intruder = Intruder::new(REVOKED, kit::mesh_id());
    let mut loot = Loot::default();
    for member in survivors.iter().cycle().take(tries) {
        let found = tokio::time::timeout(PATIENCE, intruder.knock(member.address, &member.id)).await.unwrap();
        loot.subscriptions += found.subscriptions;
        loot.messages += found.messages;
        loot.answers += found.answers;
    }
    loot
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_members_cut_a_revoked_one_and_it_never_comes_back() {
    let old = kit::roster(1, &members());
    let mut all = mesh((1..=MEMBERS).filter(|seed| *seed != PARTED), &old).await;
    let revoked = all.pop().unwrap();
    connect_to_all(&revoked, &all).await;
    // A member that was away all the while, with the revoked one for company.
    let parted = start(PARTED, Some(&old)).await;
    parted.dial(&revoked).await;
    parted.until(|mesh| mesh.connected(&id(REVOKED))).await;
    let new = without_the_revoked();
    let signed = new.clone();
    all[0].with(|mesh| mesh.set_roster(signed)).await.unwrap();
    all[0].publish(head(&new)).await;
    let [cut, known] = cut_by_all(&all).await;
    println!("{} survivors: all have cut it after {cut:?}, all hold the roster after {known:?}", all.len());
    let healed = Instant::now();
    parted.dial(&all[7]).await;
    cut_by_all(std::slice::from_ref(&parted)).await;
    println!("a member that was away knows {:?} after it is back", healed.elapsed());
    assert_eq!(knock(&all, tries()).await, Loot::default());
    let back: Vec<NodeId> = futures::future::join_all(
        all.iter()
            .map(|member| async move { member.with(|mesh| mesh.connected(&id(REVOKED))).await.then_some(member.id) }),
    )
    .await
    .into_iter()
    .flatten()
    .collect();
    assert_eq!(back, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_that_one_neighbour_knows_outlives_the_coordinator() {
    let old = kit::roster(1, &members());
    let mut all = mesh((1..=MEMBERS).filter(|seed| *seed != PARTED), &old).await;
    let revoked = all.pop().unwrap();
    connect_to_all(&revoked, &all[1..]).await;
    all.remove(0).stop().await;
    // It is back for one neighbour alone, and gone again as soon as that one knows.
    let new = without_the_revoked();
    let hub = start(1, Some(&new)).await;
    hub.publish(head(&new)).await;
    let witness = &all[3];
    witness.dial(&hub).await;
    witness.until(|mesh| mesh.roster().is_some_and(|roster| roster.epoch == 2)).await;
    hub.stop().await;
    let [cut, known] = cut_by_all(&all).await;
    println!("without the coordinator: all {} have cut it after {cut:?}, hold the roster after {known:?}", all.len());
    revoked.until(|mesh| mesh.peers().is_empty()).await;
}
