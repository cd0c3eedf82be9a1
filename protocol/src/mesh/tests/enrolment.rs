//! The enrolment port, from both sides.

use super::kit::{self, PATIENCE, id, keys, start};
use crate::card::{Card, MAX_CARD_ADDRESSES, SignedCard};
use crate::envelope::{Envelope, Kind};
use crate::identity::MeshId;
use crate::letter::SealingKey;
use crate::mesh::wire::{Dialect, EnrolDialect, talk};
use crate::mesh::{AskError, EnrolReply, EnrolServer, ask, peer, transport};
use crate::time::Timestamp;
use futures::StreamExt;
use libp2p::request_response::{Event, ProtocolSupport};
use libp2p::swarm::SwarmEvent;
use libp2p::swarm::dial_opts::DialOpts;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

async fn server() -> (EnrolServer, SocketAddr) {
    let keys = Arc::new(keys(1));
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    let server = EnrolServer::new(&keys, kit::mesh_id(), listen).await.unwrap();
    let address = server.listen_addresses()[0];
    (server, address)
}

async fn ask_with(
    seed: u8,
    mesh: MeshId,
    addresses: &[SocketAddr],
    size: usize,
) -> Result<(SocketAddr, EnrolReply), AskError> {
    ask(&keys(seed), mesh, addresses, &Envelope::from_bytes(vec![5; size]), PATIENCE, |_, reply| Ok(reply)).await
}

/// The largest cards there are, and an answer of so many bytes.
fn reply(size: usize, cards: usize) -> EnrolReply {
    let card = Card {
        key: id(1),
        sealing: SealingKey::from_bytes([3; 32]),
        addresses: vec!["[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535".parse().unwrap(); MAX_CARD_ADDRESSES],
        label: "\u{10ffff}".repeat(64).as_str().into(),
        issued: Timestamp::from_millis(u64::MAX),
    };
    EnrolReply { answer: Envelope::from_bytes(vec![8; size]), cards: vec![SignedCard::sign(card, &keys(1)); cards] }
}

#[tokio::test]
async fn a_stranger_asks_and_the_answer_may_take_its_time() {
    let (mut server, address) = server().await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = nobody.local_addr().unwrap();
    drop(nobody);
    let waiting = tokio::spawn(async move { ask_with(9, kit::mesh_id(), &[closed, address], 100).await });
    let held = server.next().await;
    assert_eq!((held.from, held.envelope), (id(9), Envelope::from_bytes(vec![5; 100])));
    assert!(held.address.is_some_and(|address| address.ip().is_loopback()));
    // The first one is held while another one comes and is answered.
    let quick = tokio::spawn(async move { ask_with(8, kit::mesh_id(), &[address], 7_000).await });
    let second = server.next().await;
    assert_eq!(second.from, id(8));
    server.reply(second.reply, reply(1, 0));
    let answered = async {
        tokio::select! {
            _ = server.next() => panic!("nobody else asks"),
            answer = quick => answer.unwrap().unwrap(),
        }
    };
    assert_eq!(answered.await, (address, reply(1, 0)));
    assert!(!waiting.is_finished());
    let longest = reply(Kind::EnrolAnswer.max_body_bytes() + 1_024, EnrolReply::MAX_CARDS);
    server.reply(held.reply, longest.clone());
    tokio::select! {
        _ = server.next() => panic!("nobody else asks"),
        answer = waiting => assert_eq!(answer.unwrap().unwrap(), (address, longest)),
    }
}

#[tokio::test]
async fn who_gets_no_answer_is_told_where_and_why() {
    let (server, address) = server().await;
    let run = tokio::spawn(async move {
        let mut server = server;
        loop {
            // Each request is refused without a word.
            drop(server.next().await);
        }
    });
    let hub = start(1, Some(&kit::roster(1, &[(1, crate::roster::Role::Coordinator)]))).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let other_mesh = MeshId::from_bytes([7; 32]);
    let table = [
        (ask_with(9, kit::mesh_id(), &[closed], 10).await, closed),
        (ask_with(9, other_mesh, &[address], 10).await, address),
        (ask_with(9, kit::mesh_id(), &[hub.address], 10).await, hub.address),
        (ask_with(9, kit::mesh_id(), &[address], 10).await, address),
        (ask_with(9, kit::mesh_id(), &[address], 9_000).await, address),
        (ask_with(9, kit::mesh_id(), &[], 10).await, address),
    ];
    let reasons: Vec<String> = table
        .into_iter()
        .map(|(outcome, address)| outcome.unwrap_err().to_string().replace(&address.to_string(), "ADDRESS"))
        .collect();
    insta::assert_snapshot!(reasons.join("\n"), @"
    no answer to the request to join: ADDRESS: Connection refused (os error 111)
    no answer to the request to join: ADDRESS: the handshake failed (decrypt error); it may be another mesh, or no portdrift at all
    no answer to the request to join: ADDRESS: the connection was closed; this may be the mesh port (enrolment is usually one higher), or too many ask
    no answer to the request to join: ADDRESS: it takes no request now; wait a minute
    no answer to the request to join: ADDRESS: the request or its answer cannot be used: 9004 bytes are more than the 8192 that the protocol allows
    the invite names no address; ask for a new one
    ");
    run.abort();
}

#[tokio::test]
async fn an_answer_that_is_not_believed_is_no_answer_and_the_next_address_is_asked() {
    let ((mut liar, first), (mut honest, second)) = (server().await, server().await);
    let run = tokio::spawn(async move {
        loop {
            tokio::select! {
                asked = liar.next() => liar.reply(asked.reply, reply(1, 0)),
                asked = honest.next() => honest.reply(asked.reply, reply(2, 0)),
            }
        }
    });
    let request = Envelope::from_bytes(vec![1]);
    let believe = |_, reply: EnrolReply| match reply.answer.as_bytes().len() {
        2 => Ok("believed"),
        _ => Err("a lie".to_owned()),
    };
    let (mesh, both) = (kit::mesh_id(), [first, second]);
    let believed = ask(&keys(9), mesh, &both, &request, PATIENCE, believe).await.unwrap();
    assert_eq!(believed, (second, "believed"));
    let error = ask(&keys(9), mesh, &[first], &request, PATIENCE, believe).await.unwrap_err();
    assert_eq!(error.tried, [(first, "a lie".to_owned())]);
    run.abort();
}

#[test]
fn the_longest_answer_fits_into_a_letter_and_into_a_reply() {
    use crate::letter::{Letter, MAX_LETTER_BYTES, Opener};
    use crate::message::SponsoredAnswer;
    let overhead = kit::author(1).sign(&crate::message::Cancel { run: crate::task::RunId(1) }, 1, Timestamp::now());
    let answer = Envelope::from_bytes(vec![7; Kind::EnrolAnswer.max_body_bytes() + overhead.as_bytes().len()]);
    let sponsored = kit::author(1).sign(&SponsoredAnswer { node: id(2), answer: answer.clone() }, 1, Timestamp::now());
    assert!(sponsored.header().is_ok(), "it is no longer than its kind allows");
    let letter = Letter::seal(&sponsored, id(3), &Opener::new(&keys(3)).key(), kit::mesh_id()).unwrap();
    assert!(letter.size_bytes() <= MAX_LETTER_BYTES, "{}", letter.size_bytes());
    let reply = EnrolReply { answer, ..reply(0, EnrolReply::MAX_CARDS) };
    assert!(crate::codec::encode(&reply).len() <= EnrolDialect::RESPONSE_BYTES);
}

#[tokio::test]
async fn patience_ends() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let request = Envelope::from_bytes(vec![1]);
    let outcome =
        ask(&keys(9), kit::mesh_id(), &[address], &request, Duration::from_millis(50), |_, reply| Ok(reply)).await;
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains("no answer within") && error.contains(&address.to_string()), "{error}");
}

/// Speaks the enrolment protocol's name, but not its rules.
#[derive(Clone, Copy, Debug)]
struct Loose;

impl Dialect for Loose {
    const NAME: &'static str = EnrolDialect::NAME;
    const REQUEST_BYTES: usize = 1 << 20;
    const RESPONSE_BYTES: usize = 1 << 20;
    const AT_ONCE: usize = 100;
    const PATIENCE: Duration = PATIENCE;
    type Request = Vec<u64>;
    type Response = Vec<u64>;
}

async fn send_loose(address: SocketAddr, request: Vec<u64>) -> Event<Vec<u64>, Vec<u64>> {
    let mut swarm =
        transport::swarm(&keys(9), kit::mesh_id(), talk::<Loose>(ProtocolSupport::Outbound), PATIENCE).unwrap();
    swarm.dial(DialOpts::unknown_peer_id().address(peer::multiaddr(address)).build()).unwrap();
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                swarm.behaviour_mut().send_request(&peer_id, request.clone());
            }
            SwarmEvent::Behaviour(event) => return event,
            _ => {}
        }
    }
}

#[tokio::test]
async fn long_and_garbled_requests_never_arrive() {
    let (mut server, address) = server().await;
    let bad = async {
        // Values up to 250 take one byte, as in the bytes of an envelope; larger ones take more, which is garbage.
        for request in [vec![1; 8 * 1024], vec![u64::MAX; 20]] {
            let outcome = send_loose(address, request).await;
            assert!(matches!(outcome, Event::OutboundFailure { .. }), "{outcome:?}");
        }
        send_loose(address, vec![1; 8 * 1024 - 4]).await
    };
    tokio::pin!(bad);
    let arrived = tokio::select! {
        arrived = server.next() => arrived,
        outcome = &mut bad => panic!("nobody answers: {outcome:?}"),
    };
    assert_eq!(arrived.envelope, Envelope::from_bytes(vec![1; 8 * 1024 - 4]), "the longest that is allowed");
}
