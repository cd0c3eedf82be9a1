//! The mesh that coordinator and nodes share: who may connect, gossip, pulls, letters. libp2p stays in here.
//!
//! [`Mesh`] owns the swarm and what every member keeps. Its owner polls [`Mesh::next`] in its task and acts on the
//! events; what they mean is not decided here.

use crate::card::{Card, SignedCard};
use crate::clock::{MeshClock, Order};
use crate::envelope::{Author, Envelope};
use crate::identity::NodeId;
use crate::letter::Letter;
use crate::roster::{Precedence, Role, Roster, RosterError, RosterHash, SignedRoster};
use crate::task::TaskId;
use crate::time::Timestamp;
use behaviour::MeshBehaviour;
use board::Board;
use cards::Cards;
use counters::Unreadable;
use dialler::Dialler;
use gate::Gate;
use gossip::Topics;
use hearing::Hearing;
use letters::{Claims, Outbox};
use libp2p::Swarm;
use neighbour::Neighbour;
use pairs::Pairs;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;
use sync::Pulls;
use tokio::time::Instant;
use ways::Ways;

mod behaviour;
mod board;
mod budget;
mod cards;
mod chance;
mod counters;
mod dialler;
mod door;
mod driver;
mod enrol;
mod events;
mod gate;
mod gossip;
mod hearing;
mod letters;
mod neighbour;
mod own_card;
mod pairs;
mod peer;
mod quiet;
mod sync;
#[cfg(test)]
#[expect(clippy::wildcard_enum_match_arm, reason = "a test waits for one of many events")]
mod tests;
mod transport;
mod turnstile;
mod ways;
mod wire;

pub use counters::Counters;
pub use enrol::{AskError, EnrolCounters, EnrolReply, EnrolRequestArrived, EnrolServer, ReplyTo, ask};
pub use events::{LetterId, MeshEvent, NotConnected, PeerLink};
pub use turnstile::{Turnstile, place};

/// What a member needs to take part.
#[derive(Clone, Debug)]
pub struct MeshConfig {
    /// Who it is, and in which mesh.
    pub author: Author,
    /// Where it takes connections; port 0 lets the system choose.
    pub listen: Vec<SocketAddr>,
    /// What it is.
    pub role: Role,
    /// Times and limits; [`Tunables::default`] for all but tests.
    pub tunables: Tunables,
}

/// Times of the mesh.
#[derive(Clone, Copy, Debug)]
pub struct Tunables {
    /// First wait before a lost or failed connection is dialled again; doubles up to `redial_most`.
    pub redial_first: Duration,
    /// Longest wait before the next dial.
    pub redial_most: Duration,
    /// How often neighbours are asked for what gossip may have lost.
    pub pull_every: Duration,
    /// How often the coordinator pings its connections, and nodes a tenth as often; two missed answers close one.
    pub ping_every: Duration,
    /// How long a letter may take to its reader and the answer back, at most 35 s.
    pub letter_patience: Duration,
}

impl Default for Tunables {
    fn default() -> Self {
        Self {
            redial_first: Duration::from_secs(1),
            redial_most: Duration::from_secs(30),
            pull_every: Duration::from_secs(30),
            ping_every: Duration::from_secs(30),
            letter_patience: Duration::from_secs(30),
        }
    }
}

/// Why the mesh port cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum MeshError {
    /// Another program listens there.
    #[error("mesh port {0} is in use; stop the program that listens there, or choose another port")]
    PortInUse(SocketAddr),
    /// The system refuses the address.
    #[error("mesh port {address} cannot be opened: {reason}")]
    CannotListen {
        /// Which address.
        address: SocketAddr,
        /// What the system says.
        reason: String,
    },
    /// A setting that the transport does not take.
    #[error("the mesh cannot be set up: {0}")]
    Setup(String),
    /// The roster that was kept does not hold.
    #[error(transparent)]
    Roster(#[from] RosterError),
}

/// A member's place in the mesh: its connections, and what every member keeps to hand on.
pub struct Mesh {
    author: Author,
    role: Role,
    swarm: Swarm<MeshBehaviour>,
    topics: Topics,
    gate: Gate,
    /// `None` at the coordinator, whose own clock is the mesh's.
    clock: Option<MeshClock>,
    board: Board,
    cards: Cards,
    dialler: Dialler,
    pairs: Pairs,
    neighbours: BTreeMap<NodeId, Neighbour>,
    hearing: Hearing,
    outbox: Outbox,
    claims: Claims,
    ways: Ways,
    counters: Counters,
    unreadable: Unreadable,
    pulls: Pulls,
    /// When a newer roster that was spoken of is pulled.
    roster_due: Option<Instant>,
    /// Emptied before the swarm is asked for more, so it holds what one step of the swarm made.
    events: VecDeque<MeshEvent>,
    pull_every: Duration,
    next_pull: Instant,
    next_tick: Instant,
    /// When the latest change of neighbours has no consequences any more.
    calm_from: Instant,
    next_clock_warning: Instant,
}

impl fmt::Debug for Mesh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mesh")
            .field("me", &self.author.id())
            .field("epoch", &self.gate.epoch())
            .field("neighbours", &self.neighbours)
            .finish_non_exhaustive()
    }
}

impl Mesh {
    /// Opens the mesh port, with the roster kept from last time. Needs a tokio runtime.
    pub async fn new(config: MeshConfig, roster: Option<SignedRoster>) -> Result<Self, MeshError> {
        let MeshConfig { author, listen, role, tunables } = config;
        let topics = Topics::new();
        let unreadable = Unreadable::default();
        let behaviour = MeshBehaviour::new(&topics, role, &tunables, &unreadable)?;
        let mut swarm = transport::swarm(author.keypair(), author.mesh(), behaviour, Duration::MAX)?;
        transport::listen(&mut swarm, &listen)?;
        let now = Instant::now();
        let mut mesh = Self {
            gate: Gate::new(author.mesh(), author.id()),
            clock: (role == Role::Node).then(|| MeshClock::new(now)),
            author,
            role,
            swarm,
            topics,
            board: Board::default(),
            cards: Cards::default(),
            dialler: Dialler::new(tunables.redial_first, tunables.redial_most, now),
            pairs: Pairs::default(),
            neighbours: BTreeMap::new(),
            hearing: Hearing::default(),
            outbox: Outbox::new(tunables.letter_patience),
            claims: Claims::default(),
            ways: Ways::default(),
            counters: Counters::default(),
            unreadable,
            pulls: Pulls::default(),
            roster_due: None,
            events: VecDeque::new(),
            pull_every: tunables.pull_every,
            next_pull: now + tunables.pull_every,
            next_tick: now,
            calm_from: now,
            next_clock_warning: now,
        };
        if let Some(signed) = roster {
            mesh.set_roster(signed)?;
        }
        mesh.wait_for_listeners(&listen).await?;
        Ok(mesh)
    }

    /// Where it really listens.
    pub fn listen_addresses(&self) -> Vec<SocketAddr> {
        self.swarm.listeners().filter_map(peer::socket_addr).collect()
    }

    /// Waits for the next event. May be dropped at any time without losing one.
    pub async fn next(&mut self) -> MeshEvent {
        loop {
            match self.events.pop_front() {
                Some(event) => {
                    if matches!(event, MeshEvent::RosterAdopted { .. }) {
                        // Others are to know before our owner has written it down.
                        self.let_go(self.time());
                    }
                    return event;
                }
                None => self.step().await,
            }
        }
    }

    /// Gossips an own message; its kind decides the topic. Beacon and announcements are kept for those who pull.
    pub fn publish(&mut self, envelope: Envelope) {
        self.gossip_own(envelope, self.time());
    }

    /// The task ended, or this lease did: it is handed to nobody any more.
    pub fn forget_announcement(&mut self, task: TaskId, fence: u64) {
        self.board.forget(task, fence);
    }

    /// Sends a letter to a connected member, or to one that is reached through others: a node reaches the coordinator
    /// along the way that beacons come, the coordinator a node back along [`Self::learn_way`]. The outcome comes as an
    /// event.
    pub fn send_letter(&mut self, letter: Letter) -> Result<LetterId, NotConnected> {
        self.hand_over(letter)
    }

    /// A letter that came by this neighbour is proven to be by `writer`: answers go back there.
    pub fn learn_way(&mut self, writer: NodeId, neighbour: NodeId) {
        self.ways.came_by(writer, neighbour, Instant::now());
    }

    /// What the coordinator should have answered stays out, though letters were delivered: another way is tried first
    /// from now on, if there is one.
    pub fn seek_other_way(&mut self) {
        self.ways.avoid_last(Instant::now());
    }

    /// Through which neighbour the coordinator is reached; `None` when it is connected itself, or no way is known.
    pub fn through(&self) -> Option<NodeId> {
        let direct = self.neighbours.keys().any(|node| self.gate.is_coordinator(node));
        let (_, parent) = self.ways.newest().filter(|_| !direct)?;
        self.connected(&parent).then_some(parent)
    }

    /// What was counted since the start.
    pub fn counters(&self) -> Counters {
        Counters { unreadable: self.unreadable.count(), ..self.counters }
    }

    /// Puts a roster in force if it is newer; whoever is no longer in loses the connection at once. A node hands it to its
    /// neighbours; a coordinator publishes a head.
    pub fn set_roster(&mut self, signed: SignedRoster) -> Result<Precedence, RosterError> {
        let (found, now) = (self.gate.adopt(signed)?, self.time());
        self.apply_gate(now);
        if found == Precedence::Newer && !self.neighbours.is_empty() {
            if self.role == Role::Node {
                self.hand_roster_on();
            }
            self.let_go(now);
        }
        Ok(found)
    }

    /// What time it is in the mesh: what is signed carries it, and ages are judged by it.
    pub fn time(&self) -> Timestamp {
        let wall = Timestamp::now();
        self.clock.as_ref().map_or(wall, |clock| clock.time(wall, Instant::now()))
    }

    /// This machine's clock minus mesh time in milliseconds; `None` until enough beacons have come.
    pub fn clock_offset_ms(&self) -> Option<i64> {
        self.clock.as_ref().and_then(|clock| clock.offset_ms(Timestamp::now(), Instant::now()))
    }

    /// True while mesh time is not known and this machine's clock is contradicted: what it signs would not be believed.
    pub fn is_time_doubtful(&self) -> bool {
        self.clock.as_ref().is_some_and(|clock| clock.is_doubtful(Timestamp::now(), Instant::now()))
    }

    /// The newest beacon that was heard, and who signed it; to be kept over a restart.
    pub fn newest_beacon(&self) -> Option<(NodeId, Order)> {
        self.clock.as_ref().and_then(MeshClock::newest)
    }

    /// Beacons of `coordinator` up to this one were heard before this start; they tell no time any more.
    pub fn has_heard(&mut self, coordinator: NodeId, order: Order) {
        if let Some(clock) = &mut self.clock {
            clock.has_heard(coordinator, order);
        }
    }

    /// The roster in force.
    pub fn roster(&self) -> Option<&Roster> {
        self.gate.roster()
    }

    /// Its hash.
    pub fn roster_hash(&self) -> Option<RosterHash> {
        self.gate.version().map(|(_, hash)| hash)
    }

    /// Remembers where a member listens, and dials it now and after every loss while it is a member.
    pub fn dial(&mut self, key: NodeId, addresses: &[SocketAddr]) {
        if key != self.author.id() {
            self.dialler.remember(key, addresses, Instant::now());
        }
    }

    /// Takes cards that were kept or handed over; those that are newer and of members count, and are dialled by.
    pub fn add_cards(&mut self, cards: Vec<SignedCard>) {
        for card in cards {
            self.learn_card(card, self.time());
        }
    }

    /// The newest card of a member, or of this one.
    pub fn card(&self, node: &NodeId) -> Option<&Card> {
        self.cards.card(node)
    }

    /// The same, as it travels.
    pub fn signed_card(&self, node: &NodeId) -> Option<&SignedCard> {
        self.cards.signed(node)
    }

    /// The newest card of every member that has one, and the own one.
    pub fn cards(&self) -> Vec<SignedCard> {
        self.cards.all().cloned().collect()
    }

    /// A sum over all cards: as long as it stays, so do they.
    pub fn cards_digest(&mut self) -> u64 {
        self.cards.digest()
    }

    /// A sum over all cards and the open cancellations; beacons carry the coordinator's, so that others know what they miss.
    pub fn digest(&mut self) -> u64 {
        self.cards.digest() ^ hearing::sum(self.board.cancelled())
    }

    /// Asks neighbours, the coordinator first, for roster, beacon, own open announcements, cancellations and cards.
    pub fn pull(&mut self) {
        self.pull_from_best();
    }

    /// The neighbours, by key.
    pub fn peers(&self) -> Vec<PeerLink> {
        self.neighbours.iter().map(|(node, neighbour)| neighbour.link(*node)).collect()
    }

    /// True while a connection to this member stands.
    pub fn connected(&self, node: &NodeId) -> bool {
        self.neighbours.contains_key(node)
    }
}
