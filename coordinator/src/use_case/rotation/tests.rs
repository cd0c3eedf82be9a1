//! The coordinator takes a new key: at once, on the mesh key's word from elsewhere, and across crashes.

use super::*;
use crate::accounts::Role;
use crate::keys::DataFolder;
use crate::settings::{Settings, Timing};
use crate::store::tables::AUDIT;
use crate::{CoordinatorOptions, SetupOptions, StartError, export_mesh_key};
use protocol::card::Endorsement;
use protocol::envelope::Author;
use protocol::identity::Keypair;
use protocol::letter::Opener;
use protocol::mesh::{self, EnrolReply};
use protocol::message::{EnrolAnswer, EnrolRequest, NodeFacts};
use protocol::roster::{MemberState, SignedRoster};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// A bound for what should take a moment; only a failing test waits for its end.
const PATIENCE: Duration = Duration::from_secs(60);

fn actor(role: Role) -> Actor {
    Actor::new("ada".into(), role)
}

fn ada() -> Actor {
    actor(Role::Approver)
}

/// A folder that was set up, and where the coordinator's files in it lie.
async fn set_up() -> (TempDir, PathBuf) {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("hub");
    let any = "127.0.0.1:0".parse().unwrap();
    let settings = Settings { mesh: any, advertised: Vec::new(), http: any };
    crate::setup(SetupOptions { dir: dir.clone(), settings, admin: None }).await.unwrap();
    (temporary, dir)
}

async fn try_start(dir: &Path) -> Result<Coordinator, StartError> {
    let (configuration, timing) = (crate::fixture::configuration(), Timing::default());
    Coordinator::start(CoordinatorOptions { dir: dir.to_owned(), configuration, timing }).await
}

async fn start(dir: &Path) -> Coordinator {
    try_start(dir).await.unwrap()
}

async fn until_it_goes_by(hub: &Coordinator, key: NodeId) {
    let mut id = hub.0.id.clone();
    tokio::time::timeout(PATIENCE, id.wait_for(|id| *id == key)).await.expect("it takes over in time").unwrap();
}

/// What the roster in force says of these keys.
async fn states(hub: &Coordinator, keys: [NodeId; 2]) -> [Option<MemberState>; 2] {
    let roster = hub.roster(&ada()).await.unwrap().roster;
    keys.map(|key| roster.member(&key).map(|member| member.state))
}

/// Who answers a stranger that asks where the coordinator listens, on the word of the mesh key.
async fn who_answers(hub: &Coordinator) -> NodeId {
    let keypair = Keypair::generate();
    let author = Author::new(Arc::new(keypair), hub.mesh_id(), 1);
    let request = EnrolRequest {
        sealing: Opener::new(author.keypair()).key(),
        label: "lab".into(),
        facts: NodeFacts::default(),
        secret: None,
        succeeds: None,
    };
    let request = author.sign(&request, 0, Timestamp::now());
    let mesh = hub.mesh_id();
    let believe = |_, EnrolReply { answer, .. }: EnrolReply| {
        let verified = answer.verify::<EnrolAnswer>(mesh, Timestamp::now()).map_err(|error| error.to_string())?;
        let signer = verified.sender();
        let card = verified.message().endorsement.verify(mesh).map_err(|error| error.to_string())?.clone();
        assert_eq!(card.key, signer);
        Ok(signer)
    };
    let addresses = hub.enrolment_addresses();
    mesh::ask(author.keypair(), mesh, &addresses, &request, PATIENCE, believe).await.unwrap().1
}

#[tokio::test]
async fn the_coordinator_goes_on_under_a_new_key_at_its_old_place_and_the_old_key_is_a_tombstone() {
    let (_temporary, dir) = set_up().await;
    let hub = start(&dir).await;
    let (old, places) = (hub.id(), (hub.mesh_addresses(), hub.enrolment_addresses()));
    for role in [Role::Viewer, Role::Operator] {
        assert!(matches!(hub.rotate_key(&actor(role)).await, Err(UseCaseError::Forbidden(_))));
    }
    assert_eq!(who_answers(&hub).await, old);
    let rotation = hub.rotate_key(&ada()).await.unwrap();
    assert!(!rotation.is_awaited && rotation.next != old);
    until_it_goes_by(&hub, rotation.next).await;
    assert_eq!(who_answers(&hub).await, rotation.next, "invites lead to it");
    assert_eq!((hub.mesh_addresses(), hub.enrolment_addresses()), places);
    let (out, is_in) = (Some(MemberState::Revoked), Some(MemberState::Approved));
    assert_eq!(states(&hub, [old, rotation.next]).await, [out, is_in]);
    let audited = hub.store().read(|view| view.iter(&AUDIT).collect::<Result<Vec<_>, _>>()).await.unwrap();
    let told: Vec<String> = audited.iter().map(|(_, entry)| format!("{} {}", entry.actor, entry.action)).collect();
    assert_eq!(told, ["ada coordinator rotate"]);

    let again = hub.rotate_key(&ada()).await.unwrap();
    until_it_goes_by(&hub, again.next).await;
    assert_eq!(states(&hub, [old, rotation.next]).await, [out, out]);
    hub.stop().await;
    drop(hub);
    let hub = start(&dir).await;
    assert_eq!(hub.id(), again.next, "a restart keeps it");
    assert_eq!(DataFolder::new(&dir).next_id().unwrap(), None);
    hub.stop().await;
}

#[tokio::test]
async fn with_the_mesh_key_elsewhere_the_old_key_serves_until_the_new_one_is_signed_and_endorsed() {
    let (temporary, dir) = set_up().await;
    start(&dir).await.stop().await;
    let file = temporary.path().join("mesh.key");
    export_mesh_key(&dir, &file).unwrap();
    let key = Keypair::load(&file).unwrap();
    let hub = start(&dir).await;
    let old = hub.id();
    let rotation = hub.rotate_key(&ada()).await.unwrap();
    assert!(rotation.is_awaited);
    let again = hub.rotate_key(&ada()).await.unwrap_err().to_string();
    assert!(again.contains("waits for its signature already"), "{again}");
    hub.stop().await;
    drop(hub);
    let hub = start(&dir).await;
    assert_eq!((hub.id(), who_answers(&hub).await), (old, old), "a restart changes nothing");

    let awaited = hub.roster(&ada()).await.unwrap().awaited.unwrap();
    let said: Vec<String> = awaited.changes.iter().map(ToString::to_string).collect();
    assert!(said.contains(&format!("lets in {} as the coordinator", rotation.next)), "{said:?}");
    assert!(said.contains(&format!("revokes {old}")), "{said:?}");
    let card = awaited.card.unwrap();
    assert_eq!(card.key, rotation.next);
    let signed = SignedRoster::sign(&awaited.roster, &key);
    hub.take_signed_roster(&ada(), signed, Some(Endorsement::sign(card, &key))).await.unwrap();
    until_it_goes_by(&hub, rotation.next).await;
    assert_eq!(who_answers(&hub).await, rotation.next);
    hub.stop().await;
}

/// Decides, as a coordinator that dies before it does anything about it.
async fn decide_and_die(dir: &Path) -> NodeId {
    let hub = start(dir).await;
    let (own, issuer, now) = (hub.id(), hub.issuer().clone(), Timestamp::now());
    let next = hub.next_keypair().await.unwrap();
    let card = card_of(&next, hub.mesh_addresses(), now);
    hub.store().update(move |draft| begin(draft, own, &card, &issuer, &ada(), now)).await.unwrap();
    hub.stop().await;
    next.node_id()
}

#[tokio::test]
async fn a_crash_at_any_point_leaves_one_key_that_serves() {
    let (_temporary, dir) = set_up().await;
    let folder = DataFolder::new(&dir);
    let made = folder.next_keypair().unwrap().node_id();
    let hub = start(&dir).await;
    let old = hub.id();
    assert_eq!(who_answers(&hub).await, old, "a key was made and nothing decided");
    hub.stop().await;
    drop(hub);
    assert_eq!(decide_and_die(&dir).await, made, "the key that was made is taken");
    let hub = start(&dir).await;
    assert_eq!((hub.id(), who_answers(&hub).await), (made, made), "decided, and not taken over");
    hub.stop().await;
    drop(hub);

    decide_and_die(&dir).await;
    std::fs::remove_file(dir.join("coordinator.next.key")).unwrap();
    let lost = try_start(&dir).await.err().map(|error| error.to_string()).unwrap();
    assert!(lost.contains("was replaced by another one, which is not there"), "{lost}");
}
