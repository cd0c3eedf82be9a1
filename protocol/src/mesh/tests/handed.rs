//! Rosters that run through the mesh unasked, by gossip or from hand to hand, and what is forged or outdated does not.

use super::kit::{self, Running, id, roster, start};
use crate::identity::NodeId;
use crate::mesh::sync::words::{HandedRoster, SyncRequest};
use crate::mesh::{Mesh, MeshEvent, peer};
use crate::message::RosterHead;
use crate::roster::{Member, MemberState, Precedence, Role, Roster, SignedRoster};
use crate::time::Timestamp;
use std::time::Duration;
use tokio::time::Instant;

const MEMBERS: u8 = 7;

fn members() -> Vec<(u8, Role)> {
    (1..=MEMBERS).map(|seed| (seed, if seed == 1 { Role::Coordinator } else { Role::Node })).collect()
}

/// Members in a row, each linked to the next.
async fn chain(seeds: std::ops::RangeInclusive<u8>, held: &SignedRoster) -> Vec<Running> {
    let mut all: Vec<Running> = Vec::new();
    for seed in seeds {
        let mut member = start(seed, Some(held)).await;
        if let Some(before) = all.last_mut() {
            member.dial(before).await;
            member.connected_to(before.id).await;
            before.connected_to(member.id).await;
        }
        all.push(member);
    }
    all
}

async fn adopted(member: &mut Running, wanted: u64) -> SignedRoster {
    member
        .wait(|event| match event {
            MeshEvent::RosterAdopted { signed, roster } if roster.epoch == wanted => Some(signed),
            _ => None,
        })
        .await
}

/// Hands a roster to a neighbour, said to be of this epoch.
async fn hand(from: &Running, to: &Running, epoch: u64, roster: SignedRoster) {
    let reader = peer::peer_id(&to.id).unwrap();
    let request = SyncRequest::Roster(HandedRoster { epoch, roster });
    from.with(move |mesh| mesh.swarm.behaviour_mut().sync.send_request(&reader, request)).await;
}

#[tokio::test]
async fn a_roster_runs_through_a_chain_though_nobody_asks_and_not_to_whom_it_throws_out() {
    let old = roster(1, &members());
    let mut all = chain(1..=MEMBERS, &old).await;
    let new = kit::roster_with(2, &members(), |member| {
        if member.key == id(MEMBERS) {
            member.state = MemberState::Revoked;
        }
    });
    // Not by the coordinator, whose word on it gossip would carry.
    let (signed, first) = (new.clone(), 2);
    all[first].with(|mesh| mesh.set_roster(signed)).await.unwrap();
    let mut revoked = all.pop().unwrap();
    for (_, member) in all.iter_mut().enumerate().filter(|(index, _)| *index != first) {
        assert_eq!(adopted(member, 2).await, new);
    }
    revoked.disconnected_from(id(MEMBERS - 1)).await;
    let told = revoked.drain().into_iter().any(|event| matches!(event, MeshEvent::RosterAdopted { .. }));
    assert!(!told, "who is out learns nothing here");
}

#[tokio::test]
async fn of_many_rosters_in_a_row_the_last_one_arrives() {
    let mut all = chain(2..=4, &roster(1, &members())).await;
    let many: Vec<SignedRoster> = (2..=40).map(|epoch| roster(epoch, &members())).collect();
    let taken = |mesh: &mut Mesh| many.into_iter().all(|one| mesh.set_roster(one).unwrap() == Precedence::Newer);
    assert!(all[0].with(taken).await);
    for member in &mut all[1..] {
        adopted(member, 40).await;
    }
}

#[tokio::test]
async fn a_head_that_a_pull_brings_runs_on_by_gossip_with_its_roster() {
    let (old, new) = (roster(1, &members()), roster(2, &members()));
    let mut all = chain(2..=5, &old).await;
    for member in &all {
        // By then each passes gossip on to those beside it.
        let far = Instant::now() + Duration::from_secs(600);
        member.until(move |mesh| mesh.next_pull > far).await;
    }
    // A coordinator that is known to one member only, and not for long.
    let mut hub = start(1, Some(&new)).await;
    let head = RosterHead { epoch: 2, hash: new.hash(), revoked: vec![], roster: Some(new.clone()) };
    hub.publish(kit::author(1).sign(&head, 2, Timestamp::now())).await;
    all[0].dial(&hub).await;
    hub.connected_to(id(2)).await;
    assert_eq!(adopted(&mut all[0], 2).await, new);
    hub.stop().await;
    for member in &mut all[1..] {
        assert_eq!(adopted(member, 2).await, new);
        assert_eq!(member.with(|mesh| mesh.neighbours.values().map(|other| other.epoch).max()).await, Some(2));
    }
}

#[test]
fn a_head_takes_a_roster_along_that_fits() {
    let head = |count: u16| {
        let members = (0..count).map(|number| {
            let mut key = [0; 32];
            key[..2].copy_from_slice(&number.to_be_bytes());
            let approved = MemberState::Approved;
            let (key, ranges) = (NodeId::from_bytes(key), "10.0.0.0/24".parse().unwrap());
            let (role, site, expires) = (Role::Node, "main".into(), None);
            Member { key, role, state: approved, site, ranges, expires, may_sponsor: false }
        });
        let (issued, not_after) = (Timestamp::from_millis(1), Timestamp::from_millis(2));
        let members = members.collect();
        let roster = Roster { mesh: kit::mesh_id(), epoch: 2, previous: [0; 32], issued, not_after, members };
        let roster = SignedRoster::sign(&roster, &kit::mesh_key());
        RosterHead { epoch: 2, hash: roster.hash(), revoked: vec![id(2)], roster: Some(roster) }.fitting()
    };
    let (small, large) = (head(500), head(2_000));
    assert!(small.roster.is_some() && large.roster.is_none());
    assert_eq!(large.revoked, [id(2)], "these are shut out all the same");
}

#[tokio::test]
async fn what_is_forged_or_older_than_it_says_changes_nothing_and_goes_no_further() {
    let mut all = chain(1..=3, &roster(5, &members())).await;
    let rival = crate::identity::Keypair::from_seed(&[66; 32]);
    let forged = SignedRoster::sign(&roster(9, &members()).verify(kit::mesh_id()).unwrap(), &rival);
    let table = [(9, forged.clone(), 1), (4, forged.clone(), 1), (9, roster(4, &members()), 1), (10, forged, 2)];
    for (row, (epoch, offered, expected)) in table.into_iter().enumerate() {
        hand(&all[2], &all[1], epoch, offered).await;
        all[1].until(move |mesh| mesh.neighbours.get(&id(3)).is_some_and(|other| other.epoch >= epoch)).await;
        assert_eq!(all[1].with(|mesh| mesh.counters().forged).await, expected, "row {row}");
    }
    for member in &mut all {
        assert_eq!(member.with(|mesh| mesh.roster().map(|roster| roster.epoch)).await, Some(5));
        assert!(!member.drain().iter().any(|event| matches!(event, MeshEvent::RosterAdopted { .. })));
    }
}
