//! The task that owns the swarm: leases in, signed results out.
//!
//! Each event changes what the agent holds; [`Agent::pump`] then does whatever has become possible: starts tasks, tells
//! the coordinator, sends results. What it may run is decided by roster and policy, how it runs is the runner's.

use crate::config::{MeshState, StateError, read_beacon};
use crate::delivery::Delivery;
use crate::engine::Engine;
use crate::notice::{Notice, Notices};
use crate::policy::Policy;
use crate::runner::Runner;
use crate::spool::{SetAside, Spool};
use crate::timing::{ClockOffset, Timing};
pub(crate) use cards::CardCase;
use hearing::Hearing;
use leases::Leases;
use outbox::Outbox;
use post::Post;
use presence::Heartbeat;
use protocol::envelope::Author;
use protocol::identity::NodeId;
use protocol::mesh::{LetterId, Mesh, MeshError, MeshEvent};
use protocol::message::{NodeFacts, Room};
use protocol::roster::{MemberState, SignedRoster};
use protocol::target::TargetSet;
use protocol::text::Text;
use protocol::time::Timestamp;
use reach::Reach;
use sponsor::Sponsor;
use standing::Standing;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

mod cards;
mod contact;
mod hearing;
mod leases;
mod outbox;
mod post;
mod presence;
mod reach;
mod shipping;
mod sponsor;
mod standing;
mod tasks;
#[cfg(test)]
mod tests;

pub(crate) use standing::enrolment_ports;

/// Why a node cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The mesh port cannot be opened.
    #[error(transparent)]
    Mesh(#[from] MeshError),
    /// The membership is over.
    #[error(
        "this node's key was revoked; to let the machine in again, remove its data folder, and join with a new invite"
    )]
    Revoked,
    /// The coordinator says so to whoever asks with this key.
    #[error("the coordinator shuts this node out: {0}; its results stay in the data folder")]
    ShutOut(Text),
    /// The roster knows nothing of this key.
    #[error("this node's key is not on the roster; ask for its approval, or remove the data folder and join again")]
    NotAMember,
    /// The roster names a coordinator whose card this node does not have.
    #[error(
        "the mesh has another coordinator now; join again with a new invite (`portdrift node join INVITE`), the identity stays"
    )]
    OtherCoordinator,
}

/// What the agent works with.
pub(crate) struct Setup<E> {
    pub(crate) author: Author,
    pub(crate) state: MeshState,
    pub(crate) state_path: PathBuf,
    /// Where the mesh listens, as its owner said.
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) cards: CardCase,
    pub(crate) beacon_path: PathBuf,
    pub(crate) policy: Policy,
    pub(crate) facts: NodeFacts,
    pub(crate) engine: Arc<E>,
    pub(crate) spool: Spool,
    /// Results that were damaged on disk.
    pub(crate) set_aside: Vec<SetAside>,
    pub(crate) timing: Timing,
    pub(crate) notices: Notices,
}

/// A member at work.
pub(crate) struct Agent<E> {
    me: NodeId,
    mesh: Mesh,
    state: MeshState,
    state_path: PathBuf,
    listen: Vec<SocketAddr>,
    sponsor: Sponsor,
    beacon_path: PathBuf,
    /// False while the newest roster is not on disk; nothing new is started then.
    state_saved: bool,
    cards: CardCase,
    policy: Policy,
    facts: NodeFacts,
    post: Post,
    leases: Leases,
    outbox: Outbox,
    heartbeat: Heartbeat,
    hearing: Hearing,
    standing: Standing,
    clock: ClockOffset,
    reach: Reach,
    runner: Runner<E>,
    delivery: Delivery,
    spool: Spool,
    /// How much more the spool takes, as last told.
    room: Room,
    timing: Timing,
    notices: Notices,
    stopping: bool,
}

impl<E: Engine> Agent<E> {
    /// Takes up what the spool holds and dials the coordinator through `mesh`.
    pub(crate) fn new(setup: Setup<E>, mesh: Mesh) -> Self {
        let Setup {
            author,
            state,
            state_path,
            listen,
            cards,
            beacon_path,
            policy,
            facts,
            engine,
            spool,
            set_aside,
            timing,
            notices,
        } = setup;
        let now = Instant::now();
        let slots = usize::from(policy.max_tasks());
        let clock = ClockOffset::default();
        let mut agent = Self {
            me: author.id(),
            post: Post::new(author, state.coordinator().clone()),
            leases: Leases::default(),
            outbox: Outbox::default(),
            heartbeat: Heartbeat::new(now),
            hearing: Hearing::new(timing.silence),
            standing: Standing::new(timing.silence, now),
            reach: Reach::default(),
            runner: Runner::new(engine, spool.clone(), slots, timing.engine_patience, clock.clone()),
            clock,
            delivery: Delivery::new(timing),
            room: Room::Free,
            state_saved: true,
            sponsor: Sponsor::new(),
            stopping: false,
            mesh,
            state,
            state_path,
            listen,
            cards,
            beacon_path,
            policy,
            facts,
            spool,
            timing,
            notices,
        };
        for key in agent.spool.keys() {
            agent.take_up(key, now);
        }
        for file in set_aside {
            agent.on_damaged_result(file);
        }
        let coordinator = agent.state.coordinator().clone();
        if let Some(order) = read_beacon(&agent.beacon_path, &coordinator.key) {
            agent.mesh.has_heard(coordinator.key, order);
        }
        agent.mesh.dial(coordinator.key, &coordinator.addresses);
        agent.take_up_cards();
        agent
    }

    /// Works until `stop` fires or the membership ends; then winds down in order.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), AgentError> {
        self.check_membership()?;
        loop {
            self.pump().await;
            let wake_at = self.wake_at();
            tokio::select! {
                () = stop.cancelled() => break,
                event = self.mesh.next() => self.on_event(event).await?,
                ended = self.runner.next() => self.on_ended(ended),
                stranger = self.sponsor.next() => self.on_stranger(stranger, Timestamp::now(), Instant::now()),
                answer = self.standing.next() => self.on_standing(answer).await?,
                () = sleep_until(wake_at) => {}
            }
        }
        self.wind_down().await;
        Ok(())
    }

    /// Takes nothing new, hands back what waits, lets running tasks finish for half the grace, then hands those back.
    async fn wind_down(&mut self) {
        self.stopping = true;
        let grace = self.timing.grace;
        self.notices.tell(Notice::Stopping { grace });
        self.hand_back_queued("the node stops");
        let (half, end) = (Instant::now() + grace / 2, Instant::now() + grace);
        let mut closed = false;
        while self.runner.count() > 0 || !self.outbox.is_settled() {
            self.pump().await;
            let wake_at = self.wake_at();
            tokio::select! {
                event = self.mesh.next() => {
                    if self.on_event(event).await.is_err() {
                        break; // No member any more: nobody takes what is left.
                    }
                }
                ended = self.runner.next() => self.on_ended(ended),
                () = sleep_until(half), if !closed => {
                    closed = true;
                    self.runner.close("the node stops");
                }
                () = sleep_until(end) => break,
                () = sleep_until(wake_at) => {}
            }
        }
        self.keep_beacon().await;
        let (tasks, spooled) = (self.runner.count(), self.spool.keys().len());
        if tasks > 0 {
            tracing::warn!(tasks, spooled, "the grace period is over; the node ends with unfinished tasks");
            self.notices.tell(Notice::StoppedLate { tasks, spooled });
        }
        self.say_farewell().await;
    }

    async fn on_event(&mut self, event: MeshEvent) -> Result<(), AgentError> {
        let (time, now) = (self.mesh.time(), Instant::now());
        match event {
            MeshEvent::Connected { node, address: _ } => self.on_connected(node, now),
            MeshEvent::Disconnected { node } => self.on_disconnected(node, now),
            MeshEvent::Beacon(beacon) => {
                self.standing.heard(self.timing.silence, now);
                self.on_beacon(beacon.header(), now).await;
            }
            MeshEvent::RosterAdopted { signed, roster: _ } => return self.on_roster(signed).await,
            MeshEvent::RosterConflict { epoch, held: _, offered: _, from } => {
                tracing::error!(roster.epoch = epoch, from.id = %from, "two different rosters are signed with one epoch; the first one holds");
                self.notices.tell(Notice::RosterConflict { epoch });
            }
            MeshEvent::Cancel(cancel) => self.on_cancel(cancel.message().run),
            MeshEvent::Announcement(announcement) => self.on_announcement(&announcement, time),
            MeshEvent::Letter { letter, .. } => self.on_letter(&letter, time, now).await,
            MeshEvent::LetterDelivered { id } => self.on_letter_taken(id, now),
            MeshEvent::LetterFailed { id, reason } => {
                tracing::debug!(letter.id = id.0, reason, "a letter was lost; it is sent again");
                self.heartbeat.letter_lost(id, &self.timing, now);
                self.outbox.letter_lost(id, &self.timing, now);
                self.delivery.letter_lost(id, now);
                self.sponsor.letter_lost(id, self.timing.retry_after(1), now);
            }
        }
        Ok(())
    }

    fn on_letter_taken(&mut self, id: LetterId, now: Instant) {
        self.outbox.letter_taken(id);
        self.delivery.letter_taken(id, now);
        if let Some(told) = self.heartbeat.letter_taken(id) {
            self.leases.renew(&told, now);
        }
    }

    /// A newer roster: kept on disk before anything is started under it.
    async fn on_roster(&mut self, signed: SignedRoster) -> Result<(), AgentError> {
        if let Err(error) = self.state.adopt(signed) {
            tracing::error!(%error, "the mesh offers a roster that this node's state refuses; the state's one holds");
            return Ok(());
        }
        self.state_saved = false;
        self.save_state().await;
        let epoch = self.state.roster().epoch;
        tracing::info!(roster.epoch = epoch, "a newer roster is in force");
        self.notices.tell(Notice::RosterAdopted { epoch });
        self.check_membership()?;
        let ranges = self.ranges(self.mesh.time()).unwrap_or_else(TargetSet::empty);
        for key in self.leases.outside(&ranges) {
            self.refuse(key, "the roster does not allow it any more");
        }
        Ok(())
    }

    async fn save_state(&mut self) {
        let (state, path) = (self.state.clone(), self.state_path.clone());
        let saved = tokio::task::spawn_blocking(move || state.save(&path)).await;
        let error = match saved {
            Ok(Ok(())) => {
                self.state_saved = true;
                return;
            }
            Ok(Err(error)) => error,
            Err(error) => StateError::Io { action: "write", path: self.state_path.clone(), source: error.into() },
        };
        tracing::error!(%error, "the newest roster could not be kept; nothing is started until it is");
    }

    fn check_membership(&self) -> Result<(), AgentError> {
        match self.state.roster().member(&self.me).map(|member| member.state) {
            Some(MemberState::Approved) => {
                let named = self.state.roster().coordinator(self.mesh.time()).map(|member| member.key);
                let same = named.is_none_or(|named| named == self.post.coordinator());
                if same { Ok(()) } else { Err(AgentError::OtherCoordinator) }
            }
            Some(MemberState::Revoked) => Err(AgentError::Revoked),
            None => Err(AgentError::NotAMember),
        }
    }

    /// What the roster lets this node scan now; `None` when it is out, or the roster is past its time.
    fn ranges(&self, time: Timestamp) -> Option<TargetSet> {
        let roster = self.state.roster();
        let member = roster.member(&self.me).filter(|member| member.is_in(time));
        member.filter(|_| time <= roster.not_after).map(|member| member.ranges.clone())
    }

    /// Does whatever has become possible.
    async fn pump(&mut self) {
        let (time, now) = (self.mesh.time(), Instant::now());
        if self.hearing.falls_silent(now) {
            tracing::warn!(silence = ?self.timing.silence, "no beacon from the coordinator; nothing new is started");
            self.notices.tell(Notice::CoordinatorSilent);
        }
        if self.heartbeat.is_due(now) {
            self.look_at_disk().await;
        }
        self.ask_standing(now);
        self.keep_cards(now).await;
        self.tend_sponsor(time, now).await;
        self.watch_space(now);
        self.start_tasks(time, now);
        self.send_presence(time, now);
        self.send_requests(time, now);
        self.send_answers(time, now);
        self.send_results(time, now).await;
    }

    /// What can change without an event: whether the newest roster can be kept, and how much is free.
    async fn look_at_disk(&mut self) {
        if !self.state_saved {
            self.save_state().await;
        }
        if let Err(error) = self.spool.measure().await {
            tracing::warn!(%error, "the free space of the spool's disk is not known");
        }
    }

    fn wake_at(&self) -> Instant {
        let waits = [self.hearing.wake_at(), self.delivery.wake_at(), self.outbox.wake_at()];
        let times = [self.sponsor.wake_at(), self.standing.wake_at()].into_iter().chain(waits);
        times.flatten().fold(self.heartbeat.due_at(), Instant::min)
    }
}
