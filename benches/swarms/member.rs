//! A member of a mesh in a task of its own, with the mesh that nodes and coordinators really run.

use protocol::envelope::{Author, Envelope};
use protocol::letter::{Letter, SealingKey};
use protocol::mesh::{Mesh, MeshConfig, MeshEvent, Tunables};
use protocol::message::{Link, NodeFacts, Presence, Room};
use protocol::roster::{Role, SignedRoster};
use protocol::{Keypair, MeshId, NodeId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// How often a node makes itself heard.
const BEAT: Duration = Duration::from_secs(10);
/// How often it tells of connections that have not changed.
const LINKS_EVERY: Duration = Duration::from_secs(300);

/// Whom a node writes to.
#[derive(Clone, Copy)]
pub(crate) struct Reader {
    pub(crate) id: NodeId,
    pub(crate) sealing: SealingKey,
}

/// What a member has seen; its task writes, the bench reads.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Who is connected.
    pub(crate) links: BTreeSet<NodeId>,
    /// When each announcement came, by its number.
    pub(crate) announced: BTreeMap<u64, Instant>,
    /// Letters that came, or that their reader has.
    pub(crate) letters: u64,
}

/// What a member is told.
enum Word {
    Publish(Envelope),
    Digest(oneshot::Sender<u64>),
}

/// A running member. Dropping it ends it like a kill: its sockets close, nothing is said.
pub(crate) struct Member {
    pub(crate) id: NodeId,
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    words: mpsc::Sender<Word>,
    task: JoinHandle<()>,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Member {
    /// Starts a member that knows where `first` listens, and writes to `reader` every 10 s from `phase` on.
    pub(crate) async fn start(
        keypair: Arc<Keypair>,
        roster: &SignedRoster,
        mesh: MeshId,
        role: Role,
        first: Option<(NodeId, &[SocketAddr])>,
        reader: Option<(Reader, Duration)>,
    ) -> Result<Self, Box<dyn Error>> {
        let author = Author::new(keypair, mesh, 1);
        let listen = vec!["127.0.0.1:0".parse()?];
        let config = MeshConfig { author: author.clone(), listen, role, tunables: Tunables::default() };
        let mut mesh = Mesh::new(config, Some(roster.clone())).await?;
        let address = *mesh.listen_addresses().first().ok_or("it listens nowhere")?;
        mesh.set_card(vec![address], "bench".into());
        if let Some((key, addresses)) = first {
            mesh.dial(key, addresses);
        }
        let (words, inbox) = mpsc::channel(256);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let id = author.id();
        let task = tokio::spawn(Serving { mesh, author, seen: seen.clone(), inbox, reader, told: None }.run());
        Ok(Self { id, address, seen, words, task })
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn publish(&self, envelope: Envelope) -> Result<(), Box<dyn Error>> {
        Ok(self.words.send(Word::Publish(envelope)).await.map_err(|_| "the member has ended")?)
    }

    /// The sum that its beacons carry.
    pub(crate) async fn digest(&self) -> Result<u64, Box<dyn Error>> {
        let (answer, answered) = oneshot::channel();
        self.words.send(Word::Digest(answer)).await.map_err(|_| "the member has ended")?;
        Ok(answered.await?)
    }
}

struct Serving {
    mesh: Mesh,
    author: Author,
    seen: Arc<Mutex<Seen>>,
    inbox: mpsc::Receiver<Word>,
    reader: Option<(Reader, Duration)>,
    /// Whom it was connected to when it told of that, and when that was.
    told: Option<(Vec<NodeId>, Instant)>,
}

impl Serving {
    async fn run(mut self) {
        let phase = self.reader.map_or(Duration::ZERO, |(_, phase)| phase);
        let mut beat = interval_at(Instant::now() + phase, BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = self.mesh.next() => self.note(event),
                word = self.inbox.recv() => match word {
                    Some(Word::Publish(envelope)) => self.mesh.publish(envelope),
                    // Whoever asked may have left.
                    Some(Word::Digest(answer)) => drop(answer.send(self.mesh.digest())),
                    None => break,
                },
                _ = beat.tick() => self.write(),
            }
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the bench counts a few of many events")]
    fn note(&mut self, event: MeshEvent) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            MeshEvent::Connected { node, .. } => drop(seen.links.insert(node)),
            MeshEvent::Disconnected { node } => drop(seen.links.remove(&node)),
            MeshEvent::Announcement(found) => drop(seen.announced.insert(found.message().number, Instant::now())),
            MeshEvent::Letter { .. } | MeshEvent::LetterDelivered { .. } => seen.letters += 1,
            _ => {}
        }
    }

    fn news_of_links(&mut self) -> Option<Vec<Link>> {
        let (peers, now) = (self.mesh.peers(), Instant::now());
        let connected: Vec<NodeId> = peers.iter().map(|peer| peer.node).collect();
        if self.told.as_ref().is_some_and(|(told, at)| *told == connected && now < *at + LINKS_EVERY) {
            return None;
        }
        self.told = Some((connected, now));
        Some(peers.into_iter().map(Link::from).collect())
    }

    /// A sign of life as an idle node gives it.
    fn write(&mut self) {
        let Some((Reader { id, sealing }, _)) = self.reader else { return };
        let facts = NodeFacts {
            hostname: "bench".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            system: "Linux".into(),
            addresses: vec![[127, 0, 0, 1].into()],
            ..NodeFacts::default()
        };
        let presence = Presence {
            facts,
            load_hundredths: 5,
            running: Vec::new(),
            spooled: 0,
            room: Room::Free,
            clock: Timestamp::now(),
            links: self.news_of_links(),
            through: self.mesh.through(),
            is_farewell: false,
        };
        let epoch = self.mesh.roster().map_or(0, |roster| roster.epoch);
        let envelope = self.author.sign(&presence, epoch, Timestamp::now());
        if let Ok(letter) = Letter::seal(&envelope, id, &sealing, self.author.mesh()) {
            // One that finds no way is as good as lost: the next one comes in ten seconds.
            let _ = self.mesh.send_letter(letter);
        }
    }
}
