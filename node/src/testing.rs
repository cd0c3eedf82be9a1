//! What tests of this crate share: a mesh key, rosters, a node in a temporary folder, and engines that do as told.

use crate::config::MeshState;
use crate::engine::{Engine, EngineError, EngineFacts, Progress};
use crate::notice::{Notice, Notices};
use crate::policy::AdmittedTask;
use crate::{Node, NodeError, NodeOptions, Timing};
use protocol::Timestamp;
use protocol::card::{Card, Endorsement};
use protocol::envelope::Author;
use protocol::identity::{Keypair, NodeId};
use protocol::letter::{Opener, SealingKey};
use protocol::mesh::Tunables;
use protocol::observation::{Coverage, EffectiveOptions, HostObservation, HostState};
use protocol::roster::{Member, MemberState, ROSTER_LIFETIME, Role, Roster, SignedRoster};
use protocol::target::TargetSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A bound for what should take a moment; only a failing test waits for its end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn key(seed: u8) -> Keypair {
    Keypair::from_seed(&[seed; 32])
}

/// Signs rosters and cards.
pub(crate) fn mesh_key() -> Keypair {
    key(200)
}

/// The coordinator's own identity.
pub(crate) fn coordinator() -> Author {
    Author::new(Arc::new(key(1)), mesh_key().mesh_id(), 1)
}

pub(crate) fn card(addresses: &[SocketAddr]) -> Card {
    let author = coordinator();
    let (sealing, addresses) = (Opener::new(author.keypair()).key(), addresses.to_vec());
    Card { key: author.id(), sealing, addresses, label: "hub".into(), issued: Timestamp::from_millis(1) }
}

pub(crate) fn member(key: NodeId, role: Role, ranges: &str) -> Member {
    let ranges = if ranges.is_empty() { TargetSet::empty() } else { ranges.parse().unwrap() };
    let site = "main".into();
    Member { key, role, state: MemberState::Approved, site, ranges, expires: None, may_sponsor: false }
}

/// A roster of the coordinator and `others`.
pub(crate) fn roster(epoch: u64, others: Vec<Member>) -> SignedRoster {
    let mut members = others;
    members.push(member(coordinator().id(), Role::Coordinator, ""));
    roster_of(epoch, members)
}

/// A roster of these alone.
pub(crate) fn roster_of(epoch: u64, mut members: Vec<Member>) -> SignedRoster {
    members.sort_by_key(|member| member.key);
    let issued = Timestamp::now();
    let not_after = issued.plus(ROSTER_LIFETIME);
    let mesh = mesh_key().mesh_id();
    SignedRoster::sign(&Roster { mesh, epoch, previous: [0; 32], issued, not_after, members }, &mesh_key())
}

pub(crate) fn timing() -> Timing {
    let milliseconds = Duration::from_millis;
    Timing {
        presence_every: milliseconds(100),
        silence: Duration::from_secs(60),
        answer_within: milliseconds(500),
        retry_first: milliseconds(20),
        retry_most: milliseconds(200),
        return_spread: milliseconds(20),
        enrol_patience: Duration::from_secs(20),
        engine_patience: Duration::from_secs(2),
        grace: Duration::from_secs(4),
        mesh: Tunables { redial_first: milliseconds(50), redial_most: milliseconds(200), ..Tunables::default() },
    }
}

pub(crate) fn options(dir: &Path) -> NodeOptions {
    let dir = dir.to_owned();
    let (listen, advertise) = (Vec::new(), Vec::new());
    NodeOptions { dir, invite: None, label: None, listen, advertise, policy_file: None, timing: timing() }
}

pub(crate) fn engine_facts() -> EngineFacts {
    EngineFacts { builtin: "1".to_owned(), raw: false, nmap: None }
}

/// A data folder whose node is a member already.
pub(crate) struct Home {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) id: NodeId,
    pub(crate) sealing: SealingKey,
}

impl Home {
    /// Approved for `ranges` at epoch 1; the coordinator listens at `hub`.
    pub(crate) fn new(hub: SocketAddr, ranges: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keypair = Keypair::load_or_create(&folder.path().join("node.key")).unwrap();
        std::fs::write(folder.path().join("boot"), "1").unwrap();
        let home = Self { folder, id: keypair.node_id(), sealing: Opener::new(&keypair).key() };
        home.allow("");
        let endorsement = Endorsement::sign(card(&[hub]), &mesh_key());
        let roster = roster(1, vec![member(home.id, Role::Node, ranges)]);
        let state = MeshState::new(mesh_key().mesh_id(), endorsement, roster).unwrap();
        state.save(&home.folder.path().join("mesh.state")).unwrap();
        home
    }

    /// The coordinator's card names this address from now on.
    pub(crate) fn find_hub_at(&self, hub: SocketAddr) {
        let path = self.folder.path().join("mesh.state");
        let kept = MeshState::load(&path).unwrap().unwrap();
        let endorsement = Endorsement::sign(card(&[hub]), &mesh_key());
        MeshState::new(kept.mesh(), endorsement, kept.signed_roster().clone()).unwrap().save(&path).unwrap();
    }

    /// Puts a newer roster beside the key.
    pub(crate) fn adopt(&self, roster: SignedRoster) {
        let path = self.folder.path().join("mesh.state");
        let mut kept = MeshState::load(&path).unwrap().unwrap();
        kept.adopt(roster).unwrap();
        kept.save(&path).unwrap();
    }

    /// The roster epoch on disk.
    pub(crate) fn epoch(&self) -> u64 {
        MeshState::load(&self.folder.path().join("mesh.state")).unwrap().unwrap().roster().epoch
    }

    /// How many results wait on disk.
    pub(crate) fn spooled(&self) -> usize {
        let names = std::fs::read_dir(self.folder.path().join("spool")).unwrap();
        names.filter(|name| name.as_ref().unwrap().path().extension().is_some_and(|end| end == "result")).count()
    }

    pub(crate) fn start<E: Engine>(&self, engine: E) -> Running {
        self.start_with(engine, options(self.folder.path()))
    }

    /// Started as the program does it, with the real engines.
    pub(crate) fn start_whole(&self) -> Running {
        let (sender, notices) = mpsc::channel(1_024);
        let stop = CancellationToken::new();
        let task = tokio::spawn(crate::run(options(self.folder.path()), sender, stop.clone()));
        Running { notices, stop, task }
    }

    pub(crate) fn start_with<E: Engine>(&self, engine: E, options: NodeOptions) -> Running {
        let (sender, notices) = mpsc::channel(1_024);
        let stop = CancellationToken::new();
        let node = Node::open(options, Notices::new(sender)).unwrap();
        let token = stop.clone();
        let task = tokio::spawn(async move { node.run(engine, &engine_facts(), token).await });
        Running { notices, stop, task }
    }

    /// Writes the owner's policy, for the next start; with it, whatever room this machine's disk has left is enough.
    pub(crate) fn allow(&self, policy: &str) {
        let policy = format!("spool_keep_free_mib = 1\n{policy}");
        std::fs::write(self.folder.path().join("policy.toml"), policy).unwrap();
    }
}

/// A node in a task of its own.
pub(crate) struct Running {
    notices: mpsc::Receiver<Notice>,
    stop: CancellationToken,
    task: JoinHandle<Result<(), NodeError>>,
}

impl Running {
    /// Waits for the first notice that `pick` takes.
    pub(crate) async fn told(&mut self, pick: impl Fn(&Notice) -> bool) -> Notice {
        wait_for(&mut self.notices, |notice| pick(&notice).then_some(notice)).await
    }

    /// Stops it in order; says how it ended.
    pub(crate) async fn stop(self) -> Result<(), NodeError> {
        self.stop.cancel();
        self.end().await
    }

    /// Waits for its own end.
    pub(crate) async fn end(self) -> Result<(), NodeError> {
        tokio::time::timeout(PATIENCE, self.task).await.expect("the node ends").unwrap()
    }

    /// As a power cut does.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// The first of what comes that `pick` takes.
pub(crate) async fn wait_for<T, U>(from: &mut mpsc::Receiver<T>, mut pick: impl FnMut(T) -> Option<U>) -> U {
    let found = async {
        loop {
            if let Some(found) = pick(from.recv().await.expect("the other side runs")) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("it comes in time")
}

/// An engine that really connects to each cell, and counts its scans. Clones share the count.
#[derive(Clone, Default)]
pub(crate) struct Knocker {
    pub(crate) scans: Arc<AtomicUsize>,
    /// Hosts settled, it waits to be stopped.
    pub(crate) lingers: bool,
    /// The same, but only after this host.
    pub(crate) lingers_at: Option<IpAddr>,
    /// Bytes of noise in each result, so that it needs several pieces.
    pub(crate) noise: usize,
}

impl Knocker {
    pub(crate) fn count(&self) -> usize {
        self.scans.load(Ordering::SeqCst)
    }
}

impl Engine for Knocker {
    async fn scan(
        &self,
        task: AdmittedTask,
        hosts: mpsc::Sender<HostObservation>,
        _progress: watch::Sender<Progress>,
        stop: CancellationToken,
    ) -> Result<Coverage, EngineError> {
        self.scans.fetch_add(1, Ordering::SeqCst);
        let spec = task.spec();
        for address in spec.targets.addresses() {
            for port in spec.ports.iter().flat_map(|ports| ports.ports(protocol::Protocol::Tcp)) {
                let _ = TcpStream::connect((address, port)).await;
            }
            hosts.send(observed(address)).await.map_err(|_| EngineError::Abandoned)?;
        }
        if self.lingers || self.lingers_at.is_some_and(|at| spec.targets.contains(at)) {
            stop.cancelled().await;
        }
        let options = (0..self.noise.div_ceil(4_000)).map(|_| noise(4_000)).collect();
        Ok(Coverage { asked: spec.targets.clone(), options, ..Coverage::default() })
    }
}

pub(crate) fn noise(letters: usize) -> EffectiveOptions {
    let letter = |_| char::from(b' ' + u8::try_from(getrandom::u32().unwrap() % 90).unwrap());
    let options = (0..letters).map(letter).collect::<String>().into();
    EffectiveOptions { engine: "builtin".into(), version: "1".into(), options, raw: false }
}

pub(crate) fn observed(address: IpAddr) -> HostObservation {
    HostObservation {
        address,
        state: HostState::Up,
        reason: "syn-ack".into(),
        seen: Timestamp::from_millis(1),
        names: Vec::new(),
        mac: None,
        os: None,
        ports: Vec::new(),
        unlisted: Vec::new(),
    }
}
