//! Keys, rosters, messages and running members for tests.

use crate::envelope::{Author, Envelope, Verified};
use crate::identity::{Keypair, MeshId, NodeId};
use crate::letter::{Opener, Purpose, Sealed};
use crate::mesh::{Mesh, MeshConfig, MeshEvent, Tunables};
use crate::message::Announcement;
use crate::roster::{Member, MemberState, ROSTER_LIFETIME, Role, Roster, SignedRoster};
use crate::task::{RunId, TaskId};
use crate::time::Timestamp;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// A bound for what should take a moment; only a failing test waits for its end.
pub(in crate::mesh) const PATIENCE: Duration = Duration::from_secs(60);

const MESH_SEED: [u8; 32] = [200; 32];

pub(in crate::mesh) fn keys(seed: u8) -> Keypair {
    Keypair::from_seed(&[seed; 32])
}

pub(in crate::mesh) fn id(seed: u8) -> NodeId {
    keys(seed).node_id()
}

pub(in crate::mesh) fn mesh_key() -> Keypair {
    Keypair::from_seed(&MESH_SEED)
}

pub(in crate::mesh) fn mesh_id() -> MeshId {
    mesh_key().mesh_id()
}

pub(in crate::mesh) fn author(seed: u8) -> Author {
    author_in(seed, mesh_id())
}

pub(in crate::mesh) fn author_in(seed: u8, mesh: MeshId) -> Author {
    Author::new(Arc::new(keys(seed)), mesh, 1)
}

pub(in crate::mesh) fn roster(epoch: u64, members: &[(u8, Role)]) -> SignedRoster {
    roster_with(epoch, members, |_| {})
}

pub(in crate::mesh) fn roster_with(
    epoch: u64,
    members: &[(u8, Role)],
    change: impl FnMut(&mut Member),
) -> SignedRoster {
    let member = |(seed, role): &(u8, Role)| Member {
        key: id(*seed),
        role: *role,
        state: MemberState::Approved,
        site: "main".into(),
        ranges: "127.0.0.0/8".parse().unwrap(),
        expires: None,
        may_sponsor: false,
    };
    let mut members: Vec<Member> = members.iter().map(member).collect();
    members.iter_mut().for_each(change);
    members.sort_by_key(|member| member.key);
    let issued = Timestamp::from_millis(1_000_000);
    let not_after = Timestamp::now().plus(ROSTER_LIFETIME);
    let roster = Roster { mesh: mesh_id(), epoch, previous: [0; 32], issued, not_after, members };
    SignedRoster::sign(&roster, &mesh_key())
}

pub(in crate::mesh) fn task(index: u32) -> TaskId {
    TaskId { run: RunId(1), index }
}

/// An announcement by the author, for the holder with this seed.
pub(in crate::mesh) fn announce(author: &Author, number: u64, index: u32, fence: u64, holder: u8) -> Envelope {
    let sealing = Opener::new(&keys(holder)).key();
    let spec = Sealed::new(b"spec", &sealing, Purpose::TaskSpec, author.mesh(), b"").unwrap();
    let message = Announcement { number, holder: id(holder), task: task(index), fence, lease_ms: 45_000, spec };
    author.sign(&message, 1, Timestamp::now())
}

/// The same by the coordinator with seed 1, verified too.
pub(in crate::mesh) fn announcement(
    number: u64,
    index: u32,
    fence: u64,
    holder: u8,
) -> (Verified<Announcement>, Envelope) {
    let envelope = announce(&author(1), number, index, fence, holder);
    (envelope.verify(mesh_id(), Timestamp::now()).unwrap(), envelope)
}

type Command = Box<dyn FnOnce(&mut Mesh) + Send>;

/// A member in a task of its own.
pub(in crate::mesh) struct Running {
    pub(in crate::mesh) id: NodeId,
    pub(in crate::mesh) address: SocketAddr,
    commands: mpsc::Sender<Command>,
    events: mpsc::Receiver<MeshEvent>,
    task: JoinHandle<()>,
}

pub(in crate::mesh) fn config(author: Author, role: Role, listen: &str) -> MeshConfig {
    // No test may pass only because a pull was due anyway.
    let pull_every = Duration::from_secs(3_600);
    let (redial_first, ping_every) = (Duration::from_millis(100), Duration::from_millis(500));
    let tunables = Tunables { redial_first, pull_every, ping_every, ..Tunables::default() };
    MeshConfig { author, listen: vec![listen.parse().unwrap()], role, tunables }
}

/// Starts the member with this seed; seed 1 is the coordinator.
pub(in crate::mesh) async fn start(seed: u8, roster: Option<&SignedRoster>) -> Running {
    start_at(seed, roster, "127.0.0.1:0").await
}

pub(in crate::mesh) async fn start_at(seed: u8, roster: Option<&SignedRoster>, listen: &str) -> Running {
    start_with(seed, roster, listen, |_| {}).await
}

/// With other times.
pub(in crate::mesh) async fn start_with(
    seed: u8,
    roster: Option<&SignedRoster>,
    listen: &str,
    change: impl FnOnce(&mut Tunables),
) -> Running {
    let role = if seed == 1 { Role::Coordinator } else { Role::Node };
    let mut config = config(author(seed), role, listen);
    change(&mut config.tunables);
    let mut mesh = Mesh::new(config, roster.cloned()).await.unwrap();
    let address = mesh.listen_addresses()[0];
    let (commands, mut inbox) = mpsc::channel::<Command>(64);
    let (outbox, events) = mpsc::channel(8_192);
    let task = tokio::spawn(async move {
        loop {
            tokio::select! {
                event = mesh.next() => outbox.try_send(event).expect("a test reads its events"),
                command = inbox.recv() => match command {
                    Some(command) => command(&mut mesh),
                    None => break,
                },
            }
        }
    });
    Running { id: id(seed), address, commands, events, task }
}

impl Running {
    /// Runs something on the mesh.
    pub(in crate::mesh) async fn with<T: Send + 'static>(
        &self,
        action: impl FnOnce(&mut Mesh) -> T + Send + 'static,
    ) -> T {
        let (answer, answered) = oneshot::channel();
        let command: Command = Box::new(move |mesh| drop(answer.send(action(mesh))));
        self.commands.send(command).await.ok().unwrap();
        answered.await.unwrap()
    }

    /// Waits until something is true of the mesh.
    pub(in crate::mesh) async fn until(&self, holds: impl Fn(&mut Mesh) -> bool + Clone + Send + 'static) {
        let held = async {
            let mut look = tokio::time::interval(Duration::from_millis(20));
            while !self.with(holds.clone()).await {
                look.tick().await;
            }
        };
        tokio::time::timeout(PATIENCE, held).await.expect("it comes true in time");
    }

    pub(in crate::mesh) async fn dial(&self, other: &Running) {
        let (node, address) = (other.id, other.address);
        self.with(move |mesh| mesh.dial(node, &[address])).await;
    }

    pub(in crate::mesh) async fn publish(&self, envelope: Envelope) {
        self.with(|mesh| mesh.publish(envelope)).await;
    }

    /// Waits for the first event that `pick` takes; others are passed over.
    pub(in crate::mesh) async fn wait<T>(&mut self, mut pick: impl FnMut(MeshEvent) -> Option<T>) -> T {
        let found = async {
            loop {
                let event = self.events.recv().await.expect("the member runs");
                if let Some(found) = pick(event) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.expect("the event comes in time")
    }

    pub(in crate::mesh) async fn connected_to(&mut self, other: NodeId) {
        if !self.with(move |mesh| mesh.connected(&other)).await {
            self.wait(|event| matches!(event, MeshEvent::Connected { node, .. } if node == other).then_some(())).await;
        }
    }

    pub(in crate::mesh) async fn disconnected_from(&mut self, other: NodeId) {
        self.wait(|event| matches!(event, MeshEvent::Disconnected { node } if node == other).then_some(())).await;
    }

    pub(in crate::mesh) async fn announced(&mut self) -> (TaskId, u64) {
        self.wait(|event| match event {
            MeshEvent::Announcement(found) => Some((found.message().task, found.message().fence)),
            _ => None,
        })
        .await
    }

    /// What has come and was not waited for.
    pub(in crate::mesh) fn drain(&mut self) -> Vec<MeshEvent> {
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }

    /// Ends the member; its port is free afterwards.
    pub(in crate::mesh) async fn stop(self) {
        drop(self.commands);
        self.task.await.unwrap();
    }
}
