//! The hub on a real mesh, with a node that reaches it only through another one.

use super::{EnrolmentDesk, Hub, HubHandle, Parts, let_in};
use crate::events::EventBus;
use crate::fixture::options;
use crate::keys::MeshKey;
use crate::presence::{Presence, Presences};
use crate::registry::issuing::{Issued, Issuer};
use crate::registry::{Approval, CurrentRoster, NodeRecord};
use crate::settings::Timing;
use crate::start::card_of;
use crate::store::tables::{COORDINATOR, NODES};
use crate::store::{Store, StoreError};
use protocol::card::{Card, Endorsement};
use protocol::envelope::{Author, Kind};
use protocol::letter::{Letter, Opener, SealingKey};
use protocol::mesh::{Counters, EnrolServer, Mesh, MeshConfig, MeshEvent, Tunables};
use protocol::message::{EnrolRequest, LeaseLost, NodeFacts, Presence as PresenceMessage, Room, RunningTask};
use protocol::roster::{Role, SignedRoster};
use protocol::task::{RunId, TaskId};
use protocol::{Keypair, MeshId, NodeId, Timestamp};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A bound for what should take a moment; only a failing test waits for its end.
const PATIENCE: Duration = Duration::from_secs(60);

const TASK: TaskId = TaskId { run: RunId(9), index: 0 };

fn keys(seed: u8) -> Keypair {
    Keypair::from_seed(&[seed; 32])
}

fn id(seed: u8) -> NodeId {
    keys(seed).node_id()
}

fn sealing(seed: u8) -> SealingKey {
    Opener::new(&keys(seed)).key()
}

fn mesh_key() -> Keypair {
    keys(200)
}

fn mesh_id() -> MeshId {
    mesh_key().mesh_id()
}

fn issuer() -> Issuer {
    Issuer { mesh_key: MeshKey::Here(Arc::new(mesh_key())) }
}

fn author(seed: u8) -> Author {
    Author::new(Arc::new(keys(seed)), mesh_id(), 1)
}

async fn mesh(seed: u8, roster: &SignedRoster) -> Mesh {
    let role = if seed == 1 { Role::Coordinator } else { Role::Node };
    let tunables = Tunables { redial_first: Duration::from_millis(50), ..Tunables::default() };
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    Mesh::new(MeshConfig { author: author(seed), listen, role, tunables }, Some(roster.clone())).await.unwrap()
}

/// A coordinator with the key of seed 1, and nodes 2 and 3 approved.
struct Lab {
    presences: Presences,
    roster: SignedRoster,
    address: SocketAddr,
    _folder: tempfile::TempDir,
    _stop: tokio_util::sync::DropGuard,
}

impl Lab {
    async fn start() -> Self {
        let (folder, now) = (tempfile::tempdir().unwrap(), Timestamp::now());
        let store = Store::create(&folder.path().join("store"), options()).unwrap();
        let roster = approve(&store, now).await;
        let mesh = mesh(1, &roster.signed).await;
        let address = mesh.listen_addresses()[0];
        let author = author(1);
        let enrol = EnrolServer::new(author.keypair(), mesh_id(), vec!["127.0.0.1:0".parse().unwrap()]).await.unwrap();
        let card = Card { key: id(1), sealing: sealing(1), addresses: vec![address], label: "lab".into(), issued: now };
        let enrolment = EnrolmentDesk::new(Endorsement::sign(card, &mesh_key()), issuer());
        let (opener, presences, signed) = (Opener::new(&keys(1)), Presences::default(), roster.signed.clone());
        let (_, inbox) = HubHandle::channel();
        let timing = Timing { beacon: Duration::from_millis(200), ..Timing::default() };
        let (events, shared) = (EventBus::new(1), presences.clone());
        let parts = Parts { store, mesh, enrol, author, opener, enrolment, presences, events, timing, roster, inbox };
        let stop = CancellationToken::new();
        tokio::spawn(Hub::new(parts, now).await.unwrap().run(stop.clone()));
        Self { presences: shared, roster: signed, address, _folder: folder, _stop: stop.drop_guard() }
    }

    /// What the hub knows of a node, once it knows something.
    async fn heard(&self, node: NodeId) -> Presence {
        let heard = async {
            let mut look = tokio::time::interval(Duration::from_millis(20));
            loop {
                look.tick().await;
                if let Some(presence) = self.presences.get(&node) {
                    return presence;
                }
            }
        };
        tokio::time::timeout(PATIENCE, heard).await.expect("it is heard in time")
    }
}

async fn approve(store: &Store, now: Timestamp) -> CurrentRoster {
    let approved = store.update(move |draft| {
        draft.put(&COORDINATOR, &(), &card_of(&keys(1), Vec::new(), now))?;
        let mut last = None;
        for seed in [2, 3] {
            let facts = NodeFacts::default();
            let request =
                EnrolRequest { sealing: sealing(seed), label: "lab".into(), facts, secret: None, succeeds: None };
            let (ranges, site) = ("10.0.0.0/8".parse().unwrap(), "main".into());
            let by = "ada".into();
            let approval = Approval { ranges, site, expires: None, may_sponsor: false, by, at: now };
            let record = NodeRecord::asked(id(seed), &request, now);
            draft.put(&NODES, &id(seed), &record)?;
            last = Some(let_in(draft, record, approval, &issuer(), now)?);
        }
        Ok::<_, StoreError>(last)
    });
    let Some(Issued::Signed(roster)) = approved.await.unwrap() else { panic!("two were let in") };
    roster
}

/// A presence of the node with this seed; it names a task that nobody gave it.
fn presence(seed: u8) -> Letter {
    let running = vec![RunningTask { task: TASK, fence: 1, cells_done: 0, cells_total: 1, hosts_found: 0 }];
    let presence = PresenceMessage {
        facts: NodeFacts::default(),
        load_hundredths: 0,
        running,
        spooled: 0,
        room: Room::Free,
        clock: Timestamp::now(),
        links: None,
        through: None,
        is_farewell: false,
    };
    Letter::seal(&author(seed).sign(&presence, 2, Timestamp::now()), id(1), &sealing(1), mesh_id()).unwrap()
}

/// Lets `other` run until `mesh` has had the event that `pick` takes.
async fn wait<T>(mesh: &mut Mesh, other: &mut Mesh, mut pick: impl FnMut(MeshEvent) -> Option<T>) -> T {
    let found = async {
        loop {
            tokio::select! {
                event = mesh.next() => if let Some(found) = pick(event) { return found },
                _ = other.next() => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("the event comes in time")
}

/// The next word about a lost lease; that its presence was heard, a node behind another one is told as well.
async fn lease_lost(mesh: &mut Mesh, other: &mut Mesh, seed: u8) -> LeaseLost {
    let opened = |letter: Letter| letter.open(&Opener::new(&keys(seed)), mesh_id()).unwrap();
    let lost = |event| {
        let MeshEvent::Letter { letter, .. } = event else { return None };
        Some(opened(letter)).filter(|envelope| envelope.header().unwrap().kind == Kind::LeaseLost)
    };
    let envelope = wait(mesh, other, lost).await;
    envelope.verify(mesh_id(), Timestamp::now()).unwrap().into_message()
}

#[tokio::test]
async fn a_node_behind_another_one_is_online_and_is_answered() {
    let lab = Lab::start().await;
    let (mut hop, mut far) = (mesh(2, &lab.roster).await, mesh(3, &lab.roster).await);
    hop.dial(id(1), &[lab.address]);
    let beacon = |event| matches!(event, MeshEvent::Beacon(_)).then_some(());
    wait(&mut hop, &mut far, beacon).await;
    far.dial(id(2), &hop.listen_addresses());
    wait(&mut far, &mut hop, beacon).await;
    far.send_letter(presence(3)).unwrap();
    assert_eq!(lease_lost(&mut far, &mut hop, 3).await, LeaseLost { task: TASK, fence: 1 });
    let heard = lab.heard(id(3)).await;
    assert!(heard.is_online(Timestamp::now(), Timing::default().offline_after));
    assert_eq!((heard.connected, heard.address), (false, None));
}

#[tokio::test]
async fn a_way_is_not_taken_from_a_letter_under_another_name() {
    let lab = Lab::start().await;
    let (mut hop, mut other) = (mesh(2, &lab.roster).await, mesh(3, &lab.roster).await);
    hop.dial(id(1), &[lab.address]);
    let coordinator = |event| matches!(event, MeshEvent::Connected { node, .. } if node == id(1)).then_some(());
    wait(&mut hop, &mut other, coordinator).await;
    // The letter is genuine, but this node hands it over as its own.
    hop.send_letter(presence(3)).unwrap();
    wait(&mut hop, &mut other, |event| matches!(event, MeshEvent::LetterDelivered { .. }).then_some(())).await;
    hop.send_letter(presence(2)).unwrap();
    assert_eq!(lease_lost(&mut hop, &mut other, 2).await, LeaseLost { task: TASK, fence: 1 });
    assert!(!lab.heard(id(3)).await.connected, "it was believed");
    assert_eq!(hop.counters(), Counters::default(), "nothing for the other one came here");
}
