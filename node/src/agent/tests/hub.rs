//! A coordinator of a few lines on a real mesh: it announces what a test says, and takes results, or loses them.

use crate::spool::ResultKey;
use crate::testing::{Home, coordinator, mesh_key, wait_for};
use protocol::codec;
use protocol::envelope::{Author, Envelope, Kind, Message};
use protocol::letter::{Letter, Opener, Purpose, Sealed, SealingKey};
use protocol::mesh::{Mesh, MeshConfig, MeshEvent};
use protocol::message::{
    Announcement, Beacon, CHUNK_BYTES, Cancel, ChunksWanted, Presence, PresenceHeard, Receipt, ReceiptOutcome,
    ResultChunk, ResultManifest, ResultOffer, TaskAnswer, TaskResult,
};
use protocol::roster::{Role, SignedRoster};
use protocol::task::{RunId, TaskId, TaskSpec, seal_context};
use protocol::{NodeId, Timestamp};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// What a node wrote.
#[derive(Debug)]
pub(super) enum Seen {
    Presence(Box<Presence>),
    Answer(TaskAnswer),
    Offer,
    Chunk,
    /// A whole result; its receipt went out, or was lost.
    Whole(Box<TaskResult>),
    /// A letter that nobody reads.
    Swallowed,
}

/// What goes wrong on the way; a test changes it while the hub runs.
#[derive(Default)]
pub(super) struct Losses {
    /// Receipts that are not sent.
    pub(super) receipts: AtomicU32,
    /// Chunks that are not kept.
    pub(super) chunks: AtomicU32,
    /// Letters that nobody reads, though the node is told that they were delivered: a hop lied.
    pub(super) letters: AtomicU32,
    /// The neighbour that says so of every letter.
    pub(super) liar: Mutex<Option<NodeId>>,
}

enum Command {
    Publish(Envelope),
    Roster(SignedRoster),
    Write(Letter),
}

/// The coordinator in a task of its own.
pub(super) struct Hub {
    /// Where it listens.
    pub(super) address: SocketAddr,
    pub(super) losses: Arc<Losses>,
    author: Author,
    announced: AtomicU64,
    beats: AtomicU64,
    commands: mpsc::Sender<Command>,
    pub(super) seen: mpsc::Receiver<Seen>,
    task: JoinHandle<()>,
}

struct Desk {
    mesh: Mesh,
    author: Author,
    node: (NodeId, SealingKey),
    losses: Arc<Losses>,
    uploads: BTreeMap<ResultKey, Upload>,
    seen: mpsc::Sender<Seen>,
}

struct Upload {
    manifest: ResultManifest,
    pieces: BTreeMap<u32, Vec<u8>>,
}

impl Hub {
    /// A hub and the folder of a member approved for `ranges`.
    pub(super) async fn with_member(ranges: &str) -> (Self, Home) {
        let mut mesh = mesh(coordinator(), Role::Coordinator, None).await;
        let home = Home::new(mesh.listen_addresses()[0], ranges);
        let roster = crate::testing::roster(1, vec![crate::testing::member(home.id, Role::Node, ranges)]);
        mesh.set_roster(roster).unwrap();
        Self::serve(mesh, home)
    }

    /// A hub that the member cannot reach, and another node that both are linked to once the member listens.
    pub(super) async fn behind_a_hop(ranges: &str) -> (Self, Home, Hop) {
        let home = Home::new("127.0.0.1:1".parse().unwrap(), ranges);
        let member = |id: NodeId| crate::testing::member(id, Role::Node, ranges);
        let hops = [HOP, OTHER_HOP].map(|seed| member(crate::testing::key(seed).node_id()));
        let roster = crate::testing::roster(2, hops.into_iter().chain([member(home.id)]).collect());
        home.adopt(roster.clone());
        let mesh = mesh(coordinator(), Role::Coordinator, Some(roster.clone())).await;
        let hop = Hop::start(HOP, mesh.listen_addresses()[0], roster).await;
        let (hub, home) = Self::serve(mesh, home);
        (hub, home, hop)
    }

    fn serve(mesh: Mesh, home: Home) -> (Self, Home) {
        let (author, address) = (coordinator(), mesh.listen_addresses()[0]);
        let losses = Arc::new(Losses::default());
        let (commands, inbox) = mpsc::channel(64);
        let (sender, seen) = mpsc::channel(4_096);
        let desk = Desk {
            mesh,
            author: author.clone(),
            node: (home.id, home.sealing),
            losses: Arc::clone(&losses),
            uploads: BTreeMap::new(),
            seen: sender,
        };
        let task = tokio::spawn(desk.run(inbox));
        let (announced, beats) = (AtomicU64::new(0), AtomicU64::new(0));
        (Self { address, losses, author, announced, beats, commands, seen, task }, home)
    }

    async fn order(&self, command: Command) {
        assert!(self.commands.send(command).await.is_ok(), "the hub runs");
    }

    async fn publish<M: Message>(&self, message: &M) {
        self.order(Command::Publish(self.author.sign(message, 1, Timestamp::now()))).await;
    }

    pub(super) async fn beacon(&self, counter: u64) {
        let announced = self.announced.load(Ordering::SeqCst);
        self.publish(&Beacon { counter, roster_epoch: 1, roster_hash: [0; 32], announced, digest: 0 }).await;
    }

    /// A beacon later than all of these.
    pub(super) async fn beat(&self) {
        self.beacon(1_000 + self.beats.fetch_add(1, Ordering::SeqCst)).await;
    }

    /// Announces a task for the member of `home`.
    pub(super) async fn announce(&self, home: &Home, index: u32, fence: u64, spec: &TaskSpec) {
        let task = TaskId { run: RunId(1), index };
        let number = self.announced.fetch_add(1, Ordering::SeqCst) + 1;
        let mesh = mesh_key().mesh_id();
        let context = seal_context(task, fence);
        let spec = Sealed::new(&codec::encode(spec), &home.sealing, Purpose::TaskSpec, mesh, &context).unwrap();
        self.publish(&Announcement { number, holder: home.id, task, fence, lease_ms: 45_000, spec }).await;
    }

    pub(super) async fn cancel(&self) {
        self.publish(&Cancel { run: RunId(1) }).await;
    }

    pub(super) async fn set_roster(&self, roster: SignedRoster) {
        self.order(Command::Roster(roster)).await;
    }

    pub(super) async fn write<M: Message>(&self, home: &Home, message: &M) {
        let envelope = self.author.sign(message, 1, Timestamp::now());
        let letter = Letter::seal(&envelope, home.id, &home.sealing, mesh_key().mesh_id()).unwrap();
        self.order(Command::Write(letter)).await;
    }

    /// Waits for the first thing that `pick` takes.
    pub(super) async fn saw<T>(&mut self, pick: impl FnMut(Seen) -> Option<T>) -> T {
        wait_for(&mut self.seen, pick).await
    }

    pub(super) async fn answer(&mut self) -> TaskAnswer {
        self.saw(|seen| if let Seen::Answer(answer) = seen { Some(answer) } else { None }).await
    }

    pub(super) async fn whole(&mut self) -> TaskResult {
        self.saw(|seen| if let Seen::Whole(result) = seen { Some(*result) } else { None }).await
    }

    pub(super) async fn presence(&mut self) -> Presence {
        self.saw(|seen| if let Seen::Presence(presence) = seen { Some(*presence) } else { None }).await
    }

    /// What came and was not waited for.
    pub(super) fn rest(&mut self) -> Vec<Seen> {
        std::iter::from_fn(|| self.seen.try_recv().ok()).collect()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Desk {
    async fn run(mut self, mut inbox: mpsc::Receiver<Command>) {
        loop {
            tokio::select! {
                event = self.mesh.next() => if let MeshEvent::Letter { from, letter, .. } = event { self.read(from, &letter) },
                command = inbox.recv() => match command {
                    Some(Command::Publish(envelope)) => self.mesh.publish(envelope),
                    Some(Command::Roster(roster)) => drop(self.mesh.set_roster(roster).unwrap()),
                    Some(Command::Write(letter)) => self.mesh.send_letter(letter).map(drop).unwrap(),
                    None => break,
                },
            }
        }
    }

    fn read(&mut self, by: NodeId, letter: &Letter) {
        if lose(&self.losses.letters) {
            return;
        }
        if *self.losses.liar.lock().unwrap() == Some(by) {
            return self.seen.try_send(Seen::Swallowed).expect("a test reads what comes");
        }
        let mesh = mesh_key().mesh_id();
        let envelope = letter.open(&Opener::new(self.author.keypair()), mesh).unwrap();
        self.mesh.learn_way(envelope.header().unwrap().sender, by);
        fn body<M: Message>(envelope: &Envelope) -> M {
            envelope.verify(mesh_key().mesh_id(), Timestamp::now()).unwrap().into_message()
        }
        let kind = envelope.header().unwrap().kind;
        let seen = if kind == Kind::Presence {
            let presence: Presence = body(&envelope);
            if by != self.node.0 {
                self.reply(&PresenceHeard { clock: presence.clock });
            }
            Seen::Presence(Box::new(presence))
        } else if kind == Kind::TaskAnswer {
            Seen::Answer(body(&envelope))
        } else if kind == Kind::ResultOffer {
            self.on_offer(&body(&envelope));
            Seen::Offer
        } else {
            self.on_chunk(&body(&envelope));
            Seen::Chunk
        };
        self.seen.try_send(seen).expect("a test reads what comes");
    }

    fn on_offer(&mut self, offer: &ResultOffer) {
        let ResultOffer { task, fence, manifest } = offer;
        let key = ResultKey { task: *task, fence: *fence };
        let upload =
            self.uploads.entry(key).or_insert_with(|| Upload { manifest: manifest.clone(), pieces: BTreeMap::new() });
        assert_eq!(&upload.manifest, manifest, "one result, one content");
        let missing: Vec<u32> = (0..manifest.chunks).filter(|index| !upload.pieces.contains_key(index)).collect();
        if !missing.is_empty() {
            return self.reply(&ChunksWanted { task: *task, fence: *fence, missing });
        }
        let bytes = upload.pieces.values().flatten().copied().collect::<Vec<u8>>();
        assert_eq!(&ResultManifest::of(&bytes), manifest);
        let result = protocol::message::TaskResult::unpack(&bytes).unwrap();
        self.seen.try_send(Seen::Whole(Box::new(result))).expect("a test reads what comes");
        if !lose(&self.losses.receipts) {
            self.reply(&Receipt { task: *task, fence: *fence, outcome: ReceiptOutcome::Stored });
        }
    }

    fn on_chunk(&mut self, chunk: &ResultChunk) {
        let ResultChunk { task, fence, index, bytes } = chunk;
        assert!(bytes.len() <= CHUNK_BYTES);
        if !lose(&self.losses.chunks) {
            let upload = self.uploads.get_mut(&ResultKey { task: *task, fence: *fence }).expect("offered before");
            upload.pieces.insert(*index, bytes.clone());
        }
    }

    fn reply<M: Message>(&mut self, message: &M) {
        let (node, sealing) = self.node;
        let envelope = self.author.sign(message, 1, Timestamp::now());
        let letter = Letter::seal(&envelope, node, &sealing, mesh_key().mesh_id()).unwrap();
        let _ = self.mesh.send_letter(letter);
    }
}

/// A node that does nothing but pass letters on.
pub(super) struct Hop {
    pub(super) id: NodeId,
    hub: SocketAddr,
    roster: SignedRoster,
    dials: mpsc::Sender<(NodeId, SocketAddr)>,
    task: JoinHandle<()>,
}

/// From which seeds the keys of two hops grow.
const HOP: u8 = 3;
const OTHER_HOP: u8 = 4;

impl Hop {
    async fn start(seed: u8, hub: SocketAddr, roster: SignedRoster) -> Self {
        let author = Author::new(Arc::new(crate::testing::key(seed)), mesh_key().mesh_id(), 1);
        let id = author.id();
        let mut mesh = mesh(author, Role::Node, Some(roster.clone())).await;
        mesh.dial(coordinator().id(), &[hub]);
        let (dials, mut inbox) = mpsc::channel::<(NodeId, SocketAddr)>(4);
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = mesh.next() => {}
                    Some((node, address)) = inbox.recv() => mesh.dial(node, &[address]),
                }
            }
        });
        Self { id, hub, roster, dials, task }
    }

    pub(super) async fn dial(&self, node: NodeId, address: SocketAddr) {
        self.dials.send((node, address)).await.unwrap();
    }

    /// As a power cut does.
    pub(super) async fn kill(&mut self) {
        self.task.abort();
        assert!((&mut self.task).await.unwrap_err().is_cancelled());
    }

    /// The same one after its [`Self::kill`], without memory.
    pub(super) async fn again(self) -> Self {
        Self::start(HOP, self.hub, self.roster).await
    }

    /// Another one beside this one.
    pub(super) async fn beside(&self) -> Self {
        Self::start(OTHER_HOP, self.hub, self.roster.clone()).await
    }
}

async fn mesh(author: Author, role: Role, roster: Option<SignedRoster>) -> Mesh {
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    Mesh::new(MeshConfig { author, listen, role, tunables: crate::testing::timing().mesh }, roster).await.unwrap()
}

/// True while there is something left to lose.
fn lose(left: &AtomicU32) -> bool {
    left.try_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}
