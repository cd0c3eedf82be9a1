//! A node finds its neighbours by the cards that it kept, also while the coordinator is away.

use crate::config::{MeshState, cards};
use crate::testing::{Home, Knocker, PATIENCE, card, key, member, mesh_key, roster, timing};
use protocol::card::Endorsement;
use protocol::envelope::Author;
use protocol::mesh::{Mesh, MeshConfig};
use protocol::roster::Role;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn a_node_that_starts_while_its_coordinator_is_away_dials_the_neighbours_it_knew() {
    let nowhere = "127.0.0.1:9".parse().unwrap();
    let home = Home::new(nowhere, "127.0.0.0/8");
    let author = Author::new(Arc::new(key(3)), mesh_key().mesh_id(), 1);
    let members = [home.id, author.id()].map(|key| member(key, Role::Node, "127.0.0.0/8"));
    let roster = roster(2, members.to_vec());
    let endorsement = Endorsement::sign(card(&[nowhere]), &mesh_key());
    let state = MeshState::new(mesh_key().mesh_id(), endorsement, roster.clone()).unwrap();
    state.save(&home.folder.path().join("mesh.state")).unwrap();
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    let config = MeshConfig { author, listen, role: Role::Node, tunables: timing().mesh };
    let mut neighbour = Mesh::new(config, Some(roster)).await.unwrap();
    neighbour.set_card(neighbour.listen_addresses(), "rack 3".into());
    let file = home.folder.path().join("mesh.cards");
    cards::save(&file, &neighbour.cards()).unwrap();
    let node = home.start(Knocker::default());
    let met = async {
        while !neighbour.connected(&home.id) || neighbour.card(&home.id).is_none() || cards::load(&file).len() < 2 {
            // What it says does not matter; it must be driven on.
            let _ = tokio::time::timeout(Duration::from_millis(20), neighbour.next()).await;
        }
    };
    tokio::time::timeout(PATIENCE, met).await.expect("they meet, and each keeps the other's card");
    node.stop().await.unwrap();
}
