//! A node that the mesh has shut out asks at the enrolment port how it stands.

use crate::config::cards;
use crate::notice::Notice;
use crate::testing::{Home, Knocker, card, coordinator, key, member, mesh_key, options, roster};
use crate::{AgentError, NodeError, NodeOptions, Timing};
use protocol::card::{Card, Endorsement, SignedCard};
use protocol::letter::Opener;
use protocol::mesh::{EnrolReply, EnrolServer};
use protocol::message::{EnrolAnswer, Enrolment};
use protocol::roster::{Member, MemberState, Role};
use protocol::{NodeId, Timestamp};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// An enrolment port that answers everybody so; gives the mesh port before it, where nobody listens.
async fn serve(decide: impl Fn(NodeId) -> Enrolment + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    let mut server = EnrolServer::new(&Arc::new(key(1)), mesh_key().mesh_id(), listen).await.unwrap();
    let mut address = server.listen_addresses()[0];
    address.set_port(address.port() - 1);
    let task = tokio::spawn(async move {
        loop {
            let asked = server.next().await;
            let endorsement = Endorsement::sign(card(&[]), &mesh_key());
            let answer = EnrolAnswer { endorsement, node: asked.from, decision: decide(asked.from) };
            let answer = coordinator().sign(&answer, 1, Timestamp::now());
            server.reply(asked.reply, EnrolReply { answer, cards: Vec::new() });
        }
    });
    (address, task)
}

fn impatient(home: &Home) -> NodeOptions {
    let options = options(home.folder.path());
    let timing = Timing { silence: Duration::from_millis(100), ..options.timing };
    NodeOptions { timing, ..options }
}

#[tokio::test]
async fn a_node_that_was_thrown_out_while_nobody_told_it_learns_why_and_ends() {
    let (hub, server) = serve(|_| Enrolment::Denied("this key was revoked".into())).await;
    let home = Home::new(hub, "10.0.0.0/24");
    is_told(&home).await;
    server.abort();
}

async fn is_told(home: &Home) {
    match home.start_with(Knocker::default(), impatient(home)).end().await {
        Err(NodeError::Agent(AgentError::ShutOut(reason))) => assert_eq!(reason.as_str(), "this key was revoked"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_node_that_was_thrown_out_far_from_the_coordinator_learns_it_from_a_sponsor() {
    let (gate, server) = serve(|_| Enrolment::Denied("this key was revoked".into())).await;
    let home = Home::new("127.0.0.1:1".parse().unwrap(), "10.0.0.0/24");
    let (sponsor, other) = (key(7), key(8));
    let in_it = |keys: &protocol::Keypair| member(keys.node_id(), Role::Node, "");
    let passes_on = Member { may_sponsor: true, ..in_it(&sponsor) };
    home.adopt(roster(2, vec![member(home.id, Role::Node, "10.0.0.0/24"), passes_on, in_it(&other)]));
    let card = |keys: &protocol::Keypair, address: SocketAddr| {
        let (sealing, label, issued) = (Opener::new(keys).key(), "gate".into(), Timestamp::now());
        SignedCard::sign(Card { key: keys.node_id(), sealing, addresses: vec![address], label, issued }, keys)
    };
    let kept = vec![card(&sponsor, gate), card(&other, "127.0.0.1:2".parse().unwrap())];
    cards::save(&home.folder.path().join("mesh.cards"), &kept).unwrap();
    is_told(&home).await;
    server.abort();
}

#[tokio::test]
async fn a_node_that_was_away_takes_the_newer_roster_that_it_is_handed() {
    let revoked = |node| {
        let out = protocol::roster::Member { state: MemberState::Revoked, ..member(node, Role::Node, "") };
        Enrolment::Approved(roster(7, vec![out]))
    };
    let (hub, server) = serve(revoked).await;
    let home = Home::new(hub, "10.0.0.0/24");
    let mut node = home.start_with(Knocker::default(), impatient(&home));
    node.told(|notice| *notice == Notice::RosterAdopted { epoch: 7 }).await;
    assert!(matches!(node.end().await, Err(NodeError::Agent(AgentError::Revoked))));
    assert_eq!(home.epoch(), 7);
    server.abort();
}
