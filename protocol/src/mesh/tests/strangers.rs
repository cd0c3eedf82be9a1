//! Members against those who are none, and against members that forge.

use super::intruder::{AnythingEvent, Intruder, Loot};
use super::kit::{self, PATIENCE, announce, id, roster, start};
use crate::envelope::Envelope;
use crate::identity::{MeshId, NodeId};
use crate::mesh::{Mesh, MeshEvent, peer};
use crate::roster::Role;
use crate::time::Timestamp;
use futures::StreamExt;
use libp2p::gossipsub::PeerScoreThresholds;
use libp2p::swarm::SwarmEvent;
use std::time::Duration;

const MEMBERS: [(u8, Role); 3] = [(1, Role::Coordinator), (2, Role::Node), (3, Role::Node)];
const OTHER_MESH: MeshId = MeshId::from_bytes([7; 32]);

#[tokio::test]
async fn an_unapproved_key_gets_nothing_while_tasks_are_announced() {
    let roster = roster(1, &MEMBERS);
    let (mut hub, mut node) = (start(1, Some(&roster)).await, start(2, Some(&roster)).await);
    node.dial(&hub).await;
    node.connected_to(hub.id).await;
    hub.connected_to(node.id).await;
    let mut intruder = Intruder::new(9, kit::mesh_id());
    let author = kit::author(1);
    let traffic = async {
        let mut number = 0;
        let mut heard = 0;
        while heard < 20 {
            number += 1;
            hub.publish(announce(&author, number, u32::try_from(number).unwrap(), 1, 2)).await;
            let came = tokio::time::timeout(Duration::from_millis(100), node.announced()).await;
            heard += u32::from(came.is_ok());
        }
    };
    let victim = peer::peer_id(&id(1)).unwrap();
    let robbed = intruder.rob(hub.address, victim, traffic);
    let loot = tokio::time::timeout(PATIENCE, robbed).await.unwrap();
    assert_eq!(loot, Loot::default());
    let others = |event: &MeshEvent| matches!(event, MeshEvent::Connected { node, .. } if *node != id(2));
    assert!(!hub.drain().iter().any(others));
    assert_eq!(hub.with(|mesh| mesh.peers().len()).await, 1);
}

#[tokio::test]
async fn the_same_intruder_sees_everything_once_it_is_approved() {
    let roster = roster(1, &MEMBERS);
    let hub = start(1, Some(&roster)).await;
    let mut member = Intruder::new(2, kit::mesh_id());
    let author = kit::author(1);
    let victim = peer::peer_id(&id(1)).unwrap();
    member.join(hub.address).await;
    hub.publish(announce(&author, 1, 1, 1, 2)).await;
    member.ask(&victim);
    let (mut gossiped, mut answered) = (false, false);
    let seen = async {
        while !(gossiped && answered) {
            match member.swarm.select_next_some().await {
                SwarmEvent::Behaviour(AnythingEvent::Gossip(libp2p::gossipsub::Event::Message { .. })) => {
                    gossiped = true;
                }
                SwarmEvent::Behaviour(AnythingEvent::Sync(libp2p::request_response::Event::Message { .. })) => {
                    answered = true;
                }
                _ => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.expect("or the test above proves nothing");
}

async fn first_outcome(intruder: &mut Intruder) -> SwarmEvent<AnythingEvent> {
    let outcome = async {
        loop {
            let event = intruder.swarm.select_next_some().await;
            if matches!(event, SwarmEvent::ConnectionEstablished { .. } | SwarmEvent::OutgoingConnectionError { .. }) {
                return event;
            }
        }
    };
    tokio::time::timeout(PATIENCE, outcome).await.unwrap()
}

#[tokio::test]
async fn a_peer_of_another_mesh_fails_in_the_handshake_even_with_an_approved_key() {
    let hub = start(1, Some(&roster(1, &MEMBERS))).await;
    let mut stranger = Intruder::new(2, OTHER_MESH);
    stranger.dial(hub.address);
    let outcome = first_outcome(&mut stranger).await;
    assert!(matches!(outcome, SwarmEvent::OutgoingConnectionError { .. }), "{outcome:?}");
    let mut member = Intruder::new(2, kit::mesh_id());
    member.dial(hub.address);
    let outcome = first_outcome(&mut member).await;
    assert!(matches!(outcome, SwarmEvent::ConnectionEstablished { .. }), "{outcome:?}");
}

impl Mesh {
    /// True when a neighbour has forged so much that nothing it gossips is looked at any more.
    fn ignores(&self, node: &NodeId) -> bool {
        let score = self.swarm.behaviour().gossip.peer_score(&peer::peer_id(node).unwrap());
        score.is_some_and(|score| score < PeerScoreThresholds::default().graylist_threshold)
    }
}

/// A thousand announcements that no honest member would pass on, each one different.
fn forgeries() -> Vec<Envelope> {
    let (node, other_mesh) = (kit::author(2), kit::author_in(1, OTHER_MESH));
    let genuine = kit::author(1);
    (0..1_000u32)
        .map(|index| {
            let number = u64::from(index) + 1;
            match index % 4 {
                0 => announce(&node, number, index, 1, 3),
                1 => announce(&other_mesh, number, index, 1, 3),
                2 => {
                    let mut bytes = announce(&genuine, number, index, 1, 3).as_bytes().to_vec();
                    let at = usize::try_from(index).unwrap() % bytes.len();
                    bytes[at] ^= 1;
                    Envelope::from_bytes(bytes)
                }
                _ => Envelope::from_bytes(index.to_be_bytes().repeat(40)),
            }
        })
        .collect()
}

#[tokio::test]
async fn a_thousand_forged_announcements_neither_surface_nor_spread() {
    let roster = roster(1, &MEMBERS);
    let mut hub = start(1, Some(&roster)).await;
    let mut watcher = Intruder::new(3, kit::mesh_id());
    watcher.join(hub.address).await;
    let mut forger = Intruder::new(2, kit::mesh_id());
    forger.join(hub.address).await;
    hub.drain();
    let author = kit::author(1);
    let genuine = announce(&author, 5_000, 5_000, 1, 3);
    let mut waiting = forgeries();
    assert_eq!(waiting.len(), 1_000);
    let all = waiting.clone();
    let believed = hub.with(|mesh| {
        all.into_iter().filter(|forged| mesh.hear(forged.clone(), id(2), Timestamp::now()).is_ok()).count()
    });
    assert_eq!(believed.await, 0);
    let mut spread = Vec::new();
    let watched = async {
        // The genuine one goes out when the forger is known for what it is, and ends the watch.
        let mut published = false;
        let mut pace = tokio::time::interval(Duration::from_millis(1));
        loop {
            tokio::select! {
                event = watcher.swarm.select_next_some() => if let Some(data) = gossiped(event) {
                    if data == genuine.as_bytes() {
                        break;
                    }
                    spread.push(data);
                },
                _ = forger.swarm.select_next_some() => {},
                _ = pace.tick(), if !published => match waiting.last() {
                    Some(forged) => if forger.publish(forged) {
                        waiting.pop();
                    },
                    None => if hub.with(|mesh| mesh.ignores(&id(2))).await {
                        published = true;
                        hub.publish(genuine.clone()).await;
                    },
                },
            }
        }
    };
    tokio::time::timeout(PATIENCE, watched).await.unwrap();
    assert_eq!(spread, Vec::<Vec<u8>>::new());
    let surfaced: Vec<MeshEvent> =
        hub.drain().into_iter().filter(|event| matches!(event, MeshEvent::Announcement(_))).collect();
    assert!(surfaced.is_empty(), "{surfaced:?}");
}

fn gossiped(event: SwarmEvent<AnythingEvent>) -> Option<Vec<u8>> {
    match event {
        SwarmEvent::Behaviour(AnythingEvent::Gossip(libp2p::gossipsub::Event::Message { message, .. })) => {
            Some(message.data)
        }
        _ => None,
    }
}
