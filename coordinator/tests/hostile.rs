//! A running coordinator against strangers that flood and race, and against an approved node that lies.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a test waits for one of many events")]

use coordinator::settings::{Settings, Timing};
use coordinator::{Actor, Coordinator, CoordinatorOptions, InviteRequest, Refused, SetupOptions, setup};
use futures::future::join_all;
use protocol::card::Card;
use protocol::envelope::{Author, Envelope};
use protocol::invite::{Invite, SecretProof};
use protocol::letter::{Letter, Opener, Sealed};
use protocol::mesh::{EnrolReply, Mesh, MeshConfig, MeshEvent, Tunables, ask};
use protocol::message::{Answer, EnrolAnswer, EnrolRequest, Enrolment, LeaseLost, NodeFacts, TaskAnswer};
use protocol::roster::{Role, SignedRoster};
use protocol::task::{RunId, TaskId};
use protocol::{Keypair, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// A bound for what should take a moment; only a failing test waits for its end.
const PATIENCE: Duration = Duration::from_secs(120);

async fn started() -> (TempDir, Coordinator) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    let settings = Settings { mesh: "127.0.0.1:0".parse().unwrap(), ..Settings::default() };
    setup(SetupOptions { dir: dir.clone(), settings, admin: None }).await.unwrap();
    let options = CoordinatorOptions {
        dir,
        mesh: None,
        http: None,
        timing: Timing::default(),
        keep_free: coordinator::KeepFree::default(),
        mail: None,
    };
    (folder, Coordinator::start(options).await.unwrap())
}

async fn invite(coordinator: &Coordinator, ranges: Option<&str>) -> Invite {
    let lifetime = Duration::from_secs(3_600);
    let request =
        InviteRequest { lifetime, ranges: ranges.map(str::to_owned), site: String::new(), addresses: Vec::new() };
    coordinator.create_invite(&Actor::local(0), &request).await.unwrap()
}

async fn refused(coordinator: &Coordinator) -> Refused {
    coordinator.mesh_counters(&Actor::local(0)).await.unwrap().refused
}

/// Asks until the coordinator answers; too many at a time are turned away at the door.
async fn join(key: &Arc<Keypair>, invite: &Invite) -> (Card, Enrolment) {
    let author = Author::new(key.clone(), invite.mesh, 1);
    let secret = invite.secret.map(|secret| SecretProof::new(&secret, invite.mesh, key.node_id()));
    let facts = NodeFacts::default();
    let request = EnrolRequest { sealing: Opener::new(key).key(), label: "lab".into(), facts, secret, succeeds: None };
    let request = author.sign(&request, 0, Timestamp::now());
    let believe = |_, reply: EnrolReply| {
        let answer = reply.answer.verify::<EnrolAnswer>(invite.mesh, Timestamp::now()).unwrap().into_message();
        Ok((answer.endorsement.verify(invite.mesh).unwrap().clone(), answer.decision))
    };
    let asked = async {
        loop {
            if let Ok((_, answer)) = ask(key, invite.mesh, &invite.addresses, &request, PATIENCE, believe).await {
                return answer;
            }
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_twenty_that_race_with_one_invite_one_gets_in() {
    let (_folder, coordinator) = started().await;
    let invite = invite(&coordinator, Some("127.0.0.0/8")).await;
    let racing = (0..20).map(|_| async { join(&Arc::new(Keypair::generate()), &invite).await.1 });
    let decisions = join_all(racing).await;
    let let_in = decisions.iter().filter(|decision| matches!(decision, Enrolment::Approved(_))).count();
    let turned_away = decisions.iter().filter(|decision| matches!(decision, Enrolment::Refused(_))).count();
    assert_eq!((let_in, turned_away), (1, 19));
    assert_eq!(refused(&coordinator).await.requests, 19);
    assert_eq!(coordinator.nodes(&Actor::local(0)).await.unwrap().len(), 1);
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_brings_ten_new_keys_a_minute_and_the_rest_is_counted() {
    let (_folder, coordinator) = started().await;
    let invite = invite(&coordinator, None).await;
    for _ in 0..30 {
        join(&Arc::new(Keypair::generate()), &invite).await;
    }
    // The minute may turn over on a slow machine, once or twice.
    let waiting = coordinator.nodes(&Actor::local(0)).await.unwrap().len();
    let turned_away = usize::try_from(refused(&coordinator).await.requests).unwrap();
    assert_eq!(waiting + turned_away, 30);
    assert!(waiting % 10 == 0 && waiting < 30, "{waiting}");
    coordinator.stop().await;
}

/// An approved node that speaks for itself.
struct Liar {
    mesh: Mesh,
    author: Author,
    hub: Card,
}

impl Liar {
    async fn let_in(coordinator: &Coordinator) -> Self {
        let invite = invite(coordinator, Some("127.0.0.0/8")).await;
        let key = Arc::new(Keypair::generate());
        let (hub, decision) = join(&key, &invite).await;
        let Enrolment::Approved(roster) = decision else { panic!("{decision:?}") };
        let author = Author::new(key, invite.mesh, 1);
        let mesh = Self::connected(&author, roster, &hub).await;
        Self { mesh, author, hub }
    }

    async fn connected(author: &Author, roster: SignedRoster, hub: &Card) -> Mesh {
        let listen = vec!["127.0.0.1:0".parse().unwrap()];
        let config = MeshConfig { author: author.clone(), listen, role: Role::Node, tunables: Tunables::default() };
        let mut mesh = Mesh::new(config, Some(roster)).await.unwrap();
        mesh.dial(hub.key, &hub.addresses);
        let connected = async {
            while !mesh.connected(&hub.key) {
                mesh.next().await;
            }
        };
        tokio::time::timeout(PATIENCE, connected).await.unwrap();
        mesh
    }

    fn sealed(&self, envelope: &Envelope) -> Letter {
        Letter::seal(envelope, self.hub.key, &self.hub.sealing, self.author.mesh()).unwrap()
    }

    /// Hands the letter over until it is taken.
    async fn send(&mut self, letter: Letter) {
        let sent = async {
            loop {
                let Ok(sent) = self.mesh.send_letter(letter.clone()) else {
                    self.mesh.next().await;
                    continue;
                };
                loop {
                    match self.mesh.next().await {
                        MeshEvent::LetterDelivered { id } if id == sent => return,
                        MeshEvent::LetterFailed { id, .. } if id == sent => break,
                        _ => {}
                    }
                }
            }
        };
        tokio::time::timeout(PATIENCE, sent).await.unwrap();
    }
}

/// How many lies of each kind: all of them with `PORTDRIFT_LONG`, at the pace that a neighbour is allowed.
fn lies() -> u64 {
    if std::env::var("PORTDRIFT_LONG").is_ok_and(|value| value == "1") { 10_000 } else { 40 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_that_lie_are_counted_by_their_lie_and_change_nothing() {
    let (_folder, coordinator) = started().await;
    let mut liar = Liar::let_in(&coordinator).await;
    let task = TaskId { run: RunId(1), index: 0 };
    let genuine = TaskAnswer { task, fence: 1, answer: Answer::Taken };
    let now = Timestamp::now();
    let recorded = liar.author.sign(&genuine, 1, now);
    let stranger = Author::new(Arc::new(Keypair::generate()), liar.author.mesh(), 1).sign(&genuine, 1, now);
    let wrong_role = liar.author.sign(&LeaseLost { task, fence: 1 }, 1, now);
    let mut forged = recorded.as_bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let forged = Envelope::from_bytes(forged);
    let late = liar.author.sign(&genuine, 1, now.minus(Duration::from_secs(24 * 3_600)));
    let unopened = Letter { to: liar.hub.key, sealed: Sealed::from_bytes(vec![7; 300]) };
    for _ in 0..lies() {
        for envelope in [&recorded, &stranger, &wrong_role, &forged, &late] {
            let letter = liar.sealed(envelope);
            liar.send(letter).await;
        }
        liar.send(unopened.clone()).await;
    }
    let count = lies();
    let expected = Refused {
        unopened: count,
        strangers: count,
        unbelieved: 2 * count,
        replayed: count - 1,
        wrong_role: count,
        ..Refused::default()
    };
    assert_eq!(refused(&coordinator).await, expected);
    coordinator.stop().await;
}
