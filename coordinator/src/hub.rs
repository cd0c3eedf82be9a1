//! The task that owns the swarm: tasks out, verified results in. It keeps the leases and the beacons.

mod closings;
mod crew;
mod disk;
mod dispatching;
mod enrolment;
mod ledger;
mod letters;
mod refused;
mod restored;
mod rosters;
mod sponsored;
#[cfg(test)]
mod tests;
mod twins;
mod uploads;
mod watch;

use crate::dispatch::Dispatch;
use crate::dispatch::crew::Crew;
use crate::events::EventBus;
use crate::presence::Presences;
use crate::registry::issuing::Issued;
use crate::registry::{CurrentRoster, RosterAlarm};
use crate::settings::Timing;
use crate::store::Store;
use closings::Closings;
use crew::{Full, Member, RangesTaken};
use letters::Came;
use protocol::envelope::{Author, Message, ReplayGuard};
use protocol::letter::{Letter, Opener};
use protocol::mesh::{EnrolServer, Mesh, MeshEvent};
use protocol::message::{Beacon, Cancel};
use protocol::roster::RosterHash;
use protocol::task::RunId;
use protocol::{NodeId, Timestamp};
use restored::Listening;
use rosters::Warned;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use twins::Twins;
use uploads::Uploads;
use watch::Watch;

/// How many commands may wait for the hub.
const INBOX: usize = 256;

/// Tells the hub what the use cases have put into the store.
#[derive(Clone, Debug)]
pub(crate) struct HubHandle(mpsc::Sender<Command>);

/// What the hub is told.
#[derive(Debug)]
pub(crate) enum Command {
    /// A run was queued: look at the store.
    Wake,
    /// A run was cancelled: its tasks stop.
    Cancelled(RunId),
    /// These nodes were decided on, and that is what was issued.
    Issued(Issued, Vec<NodeId>),
    /// Where members that may sponsor take requests to join.
    SponsorAddresses(oneshot::Sender<Vec<SocketAddr>>),
    /// What was counted and refused.
    Counters(oneshot::Sender<MeshCounters>),
}

impl HubHandle {
    /// The handle and the other end of it.
    pub(crate) fn channel() -> (Self, mpsc::Receiver<Command>) {
        let (sender, inbox) = mpsc::channel(INBOX);
        (Self(sender), inbox)
    }

    /// Tells the hub; a hub that is stopping reads the store at its next start instead.
    pub(crate) async fn tell(&self, command: Command) {
        if self.0.send(command).await.is_err() {
            tracing::debug!("the hub is stopping and was not told");
        }
    }

    /// Where members that may sponsor take requests to join; nowhere when the hub is stopping.
    pub(crate) async fn sponsor_addresses(&self) -> Vec<SocketAddr> {
        let (answer, answered) = oneshot::channel();
        self.tell(Command::SponsorAddresses(answer)).await;
        answered.await.unwrap_or_default()
    }
}

/// What the hub is made of.
pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) mesh: Mesh,
    pub(crate) enrol: EnrolServer,
    pub(crate) author: Author,
    pub(crate) opener: Opener,
    pub(crate) enrolment: EnrolmentDesk,
    pub(crate) presences: Presences,
    pub(crate) events: EventBus,
    pub(crate) timing: Timing,
    pub(crate) roster: CurrentRoster,
    pub(crate) inbox: mpsc::Receiver<Command>,
}

pub use refused::{MeshCounters, Refused};

pub(crate) use enrolment::Enrolment as EnrolmentDesk;
#[cfg(test)]
pub(crate) use enrolment::let_in;

/// The task and its state.
pub(crate) struct Hub {
    store: Store,
    mesh: Mesh,
    enrol: EnrolServer,
    author: Author,
    opener: Opener,
    enrolment: EnrolmentDesk,
    presences: Presences,
    events: EventBus,
    timing: Timing,
    roster: CurrentRoster,
    inbox: mpsc::Receiver<Command>,
    replay: ReplayGuard,
    twins: Twins,
    uploads: Uploads,
    /// Every approved node.
    members: BTreeMap<NodeId, Member>,
    /// Keys that were revoked lately.
    revoked: Vec<NodeId>,
    /// The roster that waits for the mesh key.
    awaited: Option<(u64, RosterHash)>,
    warned: Warned,
    /// The wait for the nodes after a restore.
    listening: Option<Listening>,
    /// When they last changed their own ranges.
    ranges_taken: RangesTaken,
    full: Full,
    /// The same as of the latest look around.
    crew: Crew,
    /// Runs and tasks that have not ended.
    work: Dispatch,
    closings: Closings,
    watch: Watch,
    is_short_of_room: bool,
    /// Another key takes the place of this one, at the latest then.
    leaves_by: Option<Instant>,
    /// Since when nodes had time to make themselves heard.
    began: Timestamp,
    /// The latest look at what is due.
    ticked: Timestamp,
    beacons: u64,
    announced: u64,
    refused: Refused,
}

impl Hub {
    /// Takes the parts; reads open runs from the store and gives their leases a time of grace.
    pub(crate) async fn new(parts: Parts, now: Timestamp) -> Result<Self, crate::store::StoreError> {
        let Parts { store, mesh, enrol, author, opener, enrolment, presences, events, timing, roster, inbox } = parts;
        let mut hub = Self {
            store,
            mesh,
            enrol,
            author,
            opener,
            enrolment,
            presences,
            events,
            timing,
            roster,
            inbox,
            replay: ReplayGuard::default(),
            twins: Twins::default(),
            uploads: Uploads::default(),
            members: BTreeMap::new(),
            revoked: Vec::new(),
            awaited: None,
            warned: Warned::default(),
            listening: None,
            ranges_taken: RangesTaken::default(),
            full: Full::default(),
            crew: Crew::default(),
            work: Dispatch::default(),
            closings: Closings::default(),
            watch: Watch::default(),
            is_short_of_room: false,
            leaves_by: None,
            began: now,
            ticked: now,
            beacons: 0,
            announced: 0,
            refused: Refused::default(),
        };
        hub.recall_last_words().await;
        hub.read_members(now).await?;
        hub.read_awaited().await?;
        hub.read_restored(now).await?;
        hub.resume(now).await?;
        Ok(hub)
    }

    /// Serves until `stop`, or until another key has taken the place of this one: then it leaves its inbox.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Option<mpsc::Receiver<Command>> {
        let (mut beacon, mut tick) = (every(self.timing.beacon), every(self.timing.tick));
        while !self.is_succeeded() {
            tokio::select! {
                () = stop.cancelled() => break,
                event = self.mesh.next() => self.on_event(event).await,
                request = self.enrol.next() => self.on_enrol_request(request).await,
                Some(command) = self.inbox.recv() => self.on_command(command).await,
                Some((run, closed)) = self.closings.next() => self.on_closed(run, closed, Timestamp::now()).await,
                _ = beacon.tick() => self.send_beacon(Timestamp::now()),
                _ = tick.tick() => self.on_tick(Timestamp::now()).await,
            }
        }
        self.keep_last_words().await;
        self.closings.stop().await;
        for peer in self.mesh.peers() {
            self.presences.set_connected(&peer.node, false, None);
        }
        (!stop.is_cancelled()).then_some(self.inbox)
    }

    async fn on_event(&mut self, event: MeshEvent) {
        let now = Timestamp::now();
        match event {
            MeshEvent::Letter { from, writer, letter } => self.on_letter(&letter, Came { by: from, writer }, now).await,
            MeshEvent::Connected { node, address } => {
                self.presences.set_connected(&node, true, address);
                self.send_beacon(now);
                self.tell_awaited(now);
            }
            MeshEvent::Disconnected { node } => {
                self.presences.set_connected(&node, false, None);
                self.look_around(now);
            }
            MeshEvent::RosterAdopted { signed, roster } => self.on_newer_roster(signed, roster, now).await,
            MeshEvent::RosterConflict { epoch, held, offered, from } => {
                self.on_two_truths(RosterAlarm { epoch, held, offered, from, at: now }).await;
            }
            MeshEvent::LetterFailed { reason, .. } => {
                tracing::debug!(reason, "a letter did not arrive; its reader will ask again");
            }
            // These come from the coordinator, which is this process.
            MeshEvent::Beacon(_)
            | MeshEvent::Cancel(_)
            | MeshEvent::Announcement(_)
            | MeshEvent::LetterDelivered { .. } => {}
        }
    }

    async fn on_command(&mut self, command: Command) {
        let now = Timestamp::now();
        match command {
            Command::Wake => self.on_tick(now).await,
            Command::Cancelled(run) => {
                let cancel = self.author.sign(&Cancel { run }, self.roster.epoch, now);
                self.mesh.publish(cancel);
                self.drop_run(run);
            }
            Command::Issued(issued, decided) => self.on_issued(issued, &decided, now).await,
            Command::Counters(asked) => {
                let (mesh, enrolment) = (self.mesh.counters(), self.enrol.counters());
                // Whoever asked may have left.
                let _ = asked.send(MeshCounters { mesh, enrolment, refused: self.refused });
            }
            Command::SponsorAddresses(answer) => {
                // Nobody waits any more when the request was given up.
                let _ = answer.send(self.sponsor_addresses(now));
            }
        }
    }

    fn send_beacon(&mut self, now: Timestamp) {
        self.beacons += 1;
        let beacon = Beacon {
            counter: self.beacons,
            roster_epoch: self.roster.epoch,
            roster_hash: self.roster.hash(),
            announced: self.announced,
            digest: self.mesh.digest(),
        };
        let beacon = self.author.sign(&beacon, self.roster.epoch, now);
        self.mesh.publish(beacon);
    }

    /// Seals a message to an approved node and hands it to the mesh.
    fn write_to<M: Message>(&mut self, node: NodeId, message: &M, now: Timestamp) {
        let Some(member) = self.members.get(&node) else { return };
        let envelope = self.author.sign(message, self.roster.epoch, now);
        match Letter::seal(&envelope, node, &member.sealing, self.author.mesh()) {
            Ok(letter) => {
                if let Err(error) = self.mesh.send_letter(letter) {
                    tracing::debug!(node.id = %node, %error, "a letter was not sent; its reader will ask again");
                }
            }
            Err(error) => tracing::warn!(node.id = %node, %error, "cannot seal to this node"),
        }
    }
}

fn every(period: std::time::Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
