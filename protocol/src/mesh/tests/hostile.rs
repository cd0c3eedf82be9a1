//! Members that break the rules: nothing of theirs surfaces, it is counted, and the others are served.

use super::frames;
use super::intruder::{AnythingEvent, Intruder};
use super::kit::{self, PATIENCE, Running, announce, id, roster, start};
use super::rude::{RudePeer, Saying};
use crate::codec;
use crate::envelope::Envelope;
use crate::letter::{Letter, Opener};
use crate::mesh::board::Novelty;
use crate::mesh::sync::words::{NewsAnswer, SyncAnswer};
use crate::mesh::wire::{Dialect, EnrolDialect, LetterDialect, SyncDialect};
use crate::mesh::{EnrolServer, MeshEvent};
use crate::message::{Beacon, Cancel, LeaseLost, RosterHead};
use crate::roster::Role;
use crate::task::RunId;
use crate::time::Timestamp;
use futures::StreamExt;
use libp2p::request_response::{Event, Message};
use libp2p::swarm::SwarmEvent;
use std::sync::Arc;
use std::time::Duration;

const MEMBERS: [(u8, Role); 3] = [(1, Role::Coordinator), (2, Role::Node), (3, Role::Node)];
const MANY: u32 = 10_000;

async fn assert_serves(from: &mut Running, to: &mut Running) {
    let envelope = kit::author(3).sign(&LeaseLost { task: kit::task(0), fence: 1 }, 1, Timestamp::now());
    let letter = Letter::seal(&envelope, to.id, &Opener::new(&kit::keys(1)).key(), kit::mesh_id()).unwrap();
    let sent = letter.clone();
    from.with(|mesh| mesh.send_letter(sent)).await.unwrap();
    to.wait(|event| matches!(event, MeshEvent::Letter { letter: came, .. } if came == letter).then_some(())).await;
}

async fn hub_and_node() -> (Running, Running) {
    let roster = roster(1, &MEMBERS);
    let (mut hub, mut node) = (start(1, Some(&roster)).await, start(3, Some(&roster)).await);
    node.dial(&hub).await;
    node.connected_to(hub.id).await;
    hub.connected_to(node.id).await;
    (hub, node)
}

/// Bad frames of each kind over one protocol; how many there were. `long` is above its limit.
async fn misbehave(peer: &mut RudePeer, genuine: &[u8], limit: usize) -> u64 {
    let mut sayings = vec![Saying::Bytes(vec![0; limit + 1]), Saying::Endless, Saying::Bytes(Vec::new())];
    for end in 1..genuine.len().min(40) {
        sayings.push(Saying::Bytes(genuine[..end].to_vec()));
    }
    for seed in 0..40u8 {
        sayings.push(Saying::Bytes(vec![seed.wrapping_mul(37) | 2; usize::from(seed) * 9 + 1]));
    }
    let count = sayings.len();
    for saying in sayings {
        assert!(!peer.say(saying.clone()).await, "{saying:?} is answered");
    }
    u64::try_from(count).unwrap()
}

#[tokio::test]
async fn bad_frames_cost_their_stream_and_are_counted_on_both_protocols_of_members() {
    let (mut hub, mut node) = hub_and_node().await;
    let [question, _, _, _, carried, _] = frames::genuine();
    let mut letters = RudePeer::connect::<LetterDialect>(2, hub.address).await;
    let bad = misbehave(&mut letters, &carried, LetterDialect::REQUEST_BYTES).await;
    assert_eq!(hub.with(|mesh| mesh.counters().unreadable).await, bad);
    drop(letters);
    hub.disconnected_from(id(2)).await;
    let mut pulls = RudePeer::connect::<SyncDialect>(2, hub.address).await;
    let worse = misbehave(&mut pulls, &question, SyncDialect::REQUEST_BYTES).await;
    // The hub's own pull meets nobody who speaks the protocol, and that is no frame at all.
    assert_eq!(hub.with(|mesh| mesh.counters().unreadable).await, bad + worse);
    assert_serves(&mut node, &mut hub).await;
}

#[tokio::test]
async fn bad_frames_of_strangers_never_become_requests() {
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    let mut server = EnrolServer::new(&Arc::new(kit::keys(1)), kit::mesh_id(), listen).await.unwrap();
    let address = server.listen_addresses()[0];
    let bad = async {
        let mut stranger = RudePeer::connect::<EnrolDialect>(9, address).await;
        let genuine = codec::encode(&Envelope::from_bytes(vec![7; 200]));
        misbehave(&mut stranger, &genuine, EnrolDialect::REQUEST_BYTES).await
    };
    let count = tokio::select! {
        arrived = server.next() => panic!("{arrived:?}"),
        count = bad => count,
    };
    assert_eq!(server.counters().unreadable, count);
}

#[tokio::test]
async fn a_peer_that_never_ends_what_it_says_holds_up_nobody() {
    let (mut hub, mut node) = hub_and_node().await;
    let mut slow = RudePeer::connect::<LetterDialect>(2, hub.address).await;
    for _ in 0..LetterDialect::AT_ONCE * 2 {
        slow.begin(Saying::Half);
    }
    slow.while_going_on(async {
        for _ in 0..10 {
            assert_serves(&mut node, &mut hub).await;
        }
    })
    .await;
    drop(slow);
    hub.disconnected_from(id(2)).await;
    let counted = hub.with(|mesh| mesh.counters().unreadable).await;
    let most = u64::try_from(LetterDialect::AT_ONCE).unwrap();
    assert!((1..=most).contains(&counted), "{counted} streams were open, at most {most} may be");
}

#[tokio::test]
async fn a_message_is_acted_on_once_however_often_it_is_handed_over() {
    let held = roster(1, &MEMBERS);
    let mut hub = start(3, Some(&held)).await;
    let author = kit::author(1);
    let now = Timestamp::now();
    let recorded = [
        announce(&author, 1, 1, 1, 3),
        author.sign(&Beacon { counter: 1, roster_epoch: 1, roster_hash: held.hash(), announced: 1, digest: 0 }, 1, now),
        author.sign(&Cancel { run: RunId(9) }, 1, now),
        author.sign(&RosterHead { epoch: 1, hash: held.hash(), revoked: vec![], roster: None }, 1, now),
    ];
    let again = recorded.clone();
    let firsts = hub
        .with(move |mesh| {
            let replayed = (0..MANY).flat_map(|_| again.iter().cloned());
            replayed.filter(|envelope| mesh.hear(envelope.clone(), id(1), now) == Ok(Novelty::First)).count()
        })
        .await;
    assert_eq!(firsts, recorded.len());
    // The head tells the owner nothing.
    let surfaced = hub.drain().into_iter().filter(|event| !matches!(event, MeshEvent::Connected { .. })).count();
    assert_eq!(surfaced, recorded.len() - 1);
}

/// Ten thousand announcements in the coordinator's name with another key's signature.
fn forged() -> Vec<Envelope> {
    let genuine = announce(&kit::author(1), 1, 1, 1, 3);
    let forge = |number: u32| {
        let mut bytes = genuine.as_bytes().to_vec();
        let at = bytes.len() - 64;
        bytes[at..at + 4].copy_from_slice(&number.to_be_bytes());
        Envelope::from_bytes(bytes)
    };
    (0..MANY).map(forge).collect()
}

#[tokio::test]
async fn a_neighbour_that_answers_with_forgeries_is_heard_no_further_than_the_first() {
    let held = roster(1, &MEMBERS);
    let mut node = start(3, Some(&held)).await;
    let mut liar = Intruder::new(2, kit::mesh_id());
    liar.join(node.address).await;
    let mut announcements = forged();
    // As many as one answer holds.
    announcements.truncate(SyncDialect::RESPONSE_BYTES / (announcements[0].as_bytes().len() + 8));
    let lies = announcements.len();
    assert!(lies > 4_000, "{lies}");
    let answer = NewsAnswer {
        epoch: 1,
        roster: None,
        head: None,
        beacon: None,
        announcements,
        cancels: Vec::new(),
        more: true,
        cards: Vec::new(),
    };
    let lied = async {
        let mut answered = 0;
        let mut again = tokio::time::interval(Duration::from_millis(20));
        while answered < 3 {
            let event = tokio::select! {
                event = liar.swarm.select_next_some() => event,
                _ = again.tick() => {
                    node.with(|mesh| mesh.pull()).await;
                    continue;
                }
            };
            if let SwarmEvent::Behaviour(AnythingEvent::Sync(event)) = event {
                match event {
                    Event::Message { message: Message::Request { channel, .. }, .. } => {
                        let answer = SyncAnswer::News(answer.clone());
                        // A pull that came before has been given up.
                        let _ = liar.swarm.behaviour_mut().sync.send_response(channel, answer);
                    }
                    Event::ResponseSent { .. } => answered += 1,
                    _ => {}
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, lied).await.unwrap();
    node.until(|mesh| mesh.counters().forged >= 2).await;
    let counters = node.with(|mesh| mesh.counters()).await;
    assert!(counters.forged <= 4, "{counters:?}");
    assert!(!node.drain().iter().any(|event| matches!(event, MeshEvent::Announcement(_))));
}

#[tokio::test]
async fn ten_thousand_forgeries_are_refused_one_by_one() {
    let mut node = start(3, Some(&roster(1, &MEMBERS))).await;
    let believed = node
        .with(|mesh| {
            forged().into_iter().filter(|envelope| mesh.hear(envelope.clone(), id(2), Timestamp::now()).is_ok()).count()
        })
        .await;
    assert_eq!(believed, 0);
    assert!(node.drain().is_empty());
}
