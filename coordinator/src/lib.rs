//! The hub of a mesh and the home of what Portdrift is about: scans, runs, reports, alerts, scores.
//!
//! [`Coordinator`] is the handle with every use case; the files of `use_case` say what can be asked.

mod acceptance;
pub mod accounts;
pub mod analysis;
mod audit;
mod backup;
#[doc(hidden)]
pub mod bench;
#[cfg(test)]
mod chance;
pub mod checkup;
mod closing;
pub mod config;
pub mod db;
pub mod dispatch;
pub mod events;
#[cfg(test)]
mod fixture;
mod history;
pub mod host;
mod housekeeping;
mod hub;
mod intake;
mod keys;
pub mod logs;
pub mod mail;
#[cfg(test)]
mod model;
mod presence;
pub mod registry;
pub mod report;
mod reset;
pub mod retention;
pub mod rules;
pub mod run;
pub mod scan;
mod schedule;
pub mod search;
pub mod sessions;
pub mod settings;
mod setup;
mod start;
mod store;
pub mod tokens;
mod use_case;
mod verified;

pub use accounts::{Actor, Forbidden, Origin, Right, Role};
pub use audit::AuditEntry;
pub use history::Comparison;
pub use hub::{MeshCounters, Refused};
pub use intake::TaskCoverage;
pub use keys::{MoveKeyError, export_mesh_key, import_mesh_key};
pub use presence::Presence;
pub use schedule::ScheduleError;
pub use schedule::jobs::{JobFault, JobView};
pub use setup::{SetupError, SetupOptions, SetupOutcome, setup};
pub use start::{CoordinatorOptions, StartError, check_set_up, rehearse};
pub use store::{KeepFree, StoreError, StoreSize};
pub use use_case::UseCaseError;
pub use use_case::acceptance::{AcceptOutcome, LinePattern};
pub use use_case::accounts::{
    FirstAdmin, FirstSignIn, Invitation, Joined, Joining, LinkFor, MadeLink, NewUser, OpenInvitation, Profile, SignIn,
    SignedIn, UserView,
};
pub use use_case::alerts::{AlertCounts, AlertList, AlertPage, AlertSelection, AlertView, BulkOutcome, MAX_PAGE};
pub use use_case::audit::{AuditFilter, AuditList, AuditPage, MAX_AUDIT};
pub use use_case::exports::{ReportInContext, ReportsOfNetwork, RunAsScanned};
pub use use_case::first_run::{FirstLook, FirstRun, LocalNode, LocalNodeState};
pub use use_case::hosts::{
    HostDetail, HostList, HostLook, HostPage, HostView, MAX_HOSTS, MAX_LOOKS, MAX_PORTS, Mark, PortHistory,
    ServiceTally, Services,
};
pub use use_case::imports::Imported;
pub use use_case::invites::{InviteRequest, InviteView};
pub use use_case::jobs::Reloaded;
pub use use_case::mesh::{LinkEnd, MeshLink, MeshMember, MeshPicture};
pub use use_case::nodes::decide::{ApproveRequest, Lifetime, NodeDecision, NodeSelection};
pub use use_case::nodes::{NodeStatus, NodeView};
pub use use_case::overview::{Counts, Overview};
pub use use_case::retention::{RetentionView, ScanRetention};
pub use use_case::rosters::{AwaitedRoster, RosterView};
pub use use_case::rotation::Rotation;
pub use use_case::runs::{
    MAX_TASKS_SHOWN, NodeProgress, Phase, Progress, RunFilter, RunPage, RunView, TaskView, trigger_words,
};
pub use use_case::scans::{Reach, ScanView};
pub use use_case::search::{Hits, MAX_HITS, SearchHits};
pub use use_case::statistics::Statistics;
pub use use_case::status::Status;
pub use use_case::tokens::{Bearer, NewToken, TokenRequest, TokenView};

use accounts::Passwords;
use config::Configuration;
use events::EventBus;
use housekeeping::Housekeeping;
use hub::HubHandle;
use keys::DataFolder;
use logs::LogFolder;
use mail::Mailer;
use presence::Presences;
use protocol::identity::KeyLock;
use protocol::{MeshId, NodeId};
use registry::issuing::Issuer;
use schedule::Schedule;
use sessions::Sessions;
use settings::{Settings, Timing};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, RwLock};
use store::Store;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use use_case::Held;
use use_case::accounts::first::SetupGate;

/// A running coordinator; clones are the same one.
#[derive(Clone)]
pub struct Coordinator(Arc<Inner>);

struct Inner {
    started: Instant,
    folder: DataFolder,
    store: Store,
    hub: HubHandle,
    schedule: Schedule,
    housekeeping: Housekeeping,
    events: EventBus,
    presences: Presences,
    held: Held,
    passwords: Passwords,
    setup_gate: SetupGate,
    local_node: OnceLock<Arc<dyn LocalNode>>,
    mailer: Option<Mailer>,
    settings: Settings,
    configuration: RwLock<Arc<Configuration>>,
    logs: LogFolder,
    timing: Timing,
    issuer: Issuer,
    id: watch::Receiver<NodeId>,
    mesh_addresses: Vec<SocketAddr>,
    enrolment_addresses: Vec<SocketAddr>,
    enrolment_here: SocketAddr,
    stop: CancellationToken,
    ended: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
    tasks: TaskTracker,
    _lock: KeyLock,
}

impl Coordinator {
    /// Starts the parts in order: store, mesh port, enrolment port, hub, schedule.
    pub async fn start(options: CoordinatorOptions) -> Result<Self, StartError> {
        start::start(options).await.map(|inner| Self(Arc::new(inner)))
    }

    /// Stops in reverse order; what was acknowledged is on disk.
    pub async fn stop(&self) {
        self.0.schedule.clone().stop().await;
        self.0.housekeeping.stop().await;
        if let Some(mailer) = &self.0.mailer {
            mailer.stop().await;
        }
        self.0.tasks.close();
        self.0.tasks.wait().await;
        self.0.stop.cancel();
        if let Some(task) = self.0.task.lock().await.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the hub did not stop in order");
        }
        self.0.store.clone().close().await;
    }

    /// What happens, as it happens.
    pub fn events(&self) -> &EventBus {
        &self.0.events
    }

    /// Sessions of signed-in users.
    pub fn sessions(&self) -> Sessions {
        Sessions::new(self.0.store.clone())
    }

    /// Sends mail; `None` when the configuration does not say how.
    pub fn mail(&self) -> Option<&Mailer> {
        self.0.mailer.as_ref()
    }

    /// As set up, with what the command line changed.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The mesh that every invite pins.
    pub fn mesh_id(&self) -> MeshId {
        self.0.issuer.mesh_key.id()
    }

    /// The coordinator's own key, as it is now.
    pub fn id(&self) -> NodeId {
        *self.0.id.borrow()
    }

    /// Where the mesh port can be reached.
    pub fn mesh_addresses(&self) -> Vec<SocketAddr> {
        self.0.mesh_addresses.clone()
    }

    /// Where the enrolment port can be reached; invites name these.
    pub fn enrolment_addresses(&self) -> Vec<SocketAddr> {
        self.0.enrolment_addresses.clone()
    }

    /// Whether new work makes sense: the store takes changes, its disk has room, the hub runs.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn ready(&self) -> Result<(), StoreError> {
        self.0.store.update(|draft| draft.room_for_work()).await?;
        if self.0.ended.is_cancelled() { Err(StoreError::Closed) } else { Ok(()) }
    }

    /// Whether the data folder's disk has room, so that new work is begun; asked by each page, and so changes nothing.
    ///
    /// # Errors
    /// [`StoreError::DiskLow`] when it has not.
    pub async fn room(&self) -> Result<(), StoreError> {
        self.0.store.room_for_work().await
    }

    /// Waits until the hub has ended, on [`Self::stop`] or by a fault.
    pub async fn hub_ended(&self) {
        self.0.ended.cancelled().await;
    }

    pub(crate) fn folder(&self) -> &DataFolder {
        &self.0.folder
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    /// What use cases have begun and goes on without whoever asked for it.
    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.0.tasks
    }

    pub(crate) fn hub(&self) -> &HubHandle {
        &self.0.hub
    }

    pub(crate) fn schedule(&self) -> &Schedule {
        &self.0.schedule
    }

    pub(crate) fn presences(&self) -> &Presences {
        &self.0.presences
    }

    pub(crate) fn held(&self) -> &Held {
        &self.0.held
    }

    pub(crate) fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }

    pub(crate) fn setup_gate(&self) -> &SetupGate {
        &self.0.setup_gate
    }

    pub(crate) fn local_node_cell(&self) -> &OnceLock<Arc<dyn LocalNode>> {
        &self.0.local_node
    }

    /// Where this machine itself reaches the enrolment port.
    pub(crate) fn enrolment_here(&self) -> SocketAddr {
        self.0.enrolment_here
    }

    pub(crate) fn log_folder(&self) -> &LogFolder {
        &self.0.logs
    }

    pub(crate) fn timing(&self) -> &Timing {
        &self.0.timing
    }

    pub(crate) fn issuer(&self) -> &Issuer {
        &self.0.issuer
    }
}
