//! What a person at the node's terminal is told. The crate prints nothing itself.

use protocol::identity::{Fingerprint, NodeId};
use protocol::message::Room;
use protocol::target::TargetSet;
use protocol::task::TaskId;
use protocol::text::Text;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::mpsc;

/// One thing worth telling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Who this node is.
    Identity {
        /// To be compared with what the dashboard shows.
        fingerprint: Fingerprint,
    },
    /// The coordinator, or a member that passes it on, is asked to let this node in.
    Asking {
        /// Where.
        addresses: Vec<SocketAddr>,
    },
    /// Nobody answered; it is tried again.
    Unreachable {
        /// Each address, and why it gave no answer.
        reason: String,
        /// When the next attempt is made.
        retry_in: Duration,
    },
    /// A person must approve this node.
    Pending {
        /// What that person compares.
        fingerprint: Fingerprint,
    },
    /// This node is a member now.
    Approved {
        /// What it may scan.
        ranges: TargetSet,
    },
    /// This node listens for neighbours.
    Listening {
        /// Where.
        addresses: Vec<SocketAddr>,
    },
    /// Strangers may ask here to join; their requests are passed on.
    Sponsoring {
        /// Where.
        addresses: Vec<SocketAddr>,
    },
    /// Strangers' requests to join are not passed on, or not any more.
    NotSponsoring {
        /// Why.
        reason: String,
    },
    /// A neighbour is connected.
    Connected {
        /// Which one.
        node: NodeId,
        /// Whether it is the coordinator.
        coordinator: bool,
    },
    /// A neighbour is gone.
    Disconnected {
        /// Which one.
        node: NodeId,
        /// Whether it was the coordinator.
        coordinator: bool,
    },
    /// The coordinator is reached through a neighbour.
    WayOpen {
        /// Which one.
        node: NodeId,
    },
    /// No sign of life from the coordinator; nothing new is started.
    CoordinatorSilent,
    /// The coordinator is heard again.
    CoordinatorBack,
    /// The coordinator goes on under another key, which the mesh key vouches for.
    CoordinatorRotated {
        /// Which one.
        coordinator: NodeId,
    },
    /// A newer list of members is in force.
    RosterAdopted {
        /// Its epoch.
        epoch: u64,
    },
    /// Somebody signs two lists of members with one number.
    RosterConflict {
        /// The epoch.
        epoch: u64,
    },
    /// Work began.
    TaskStarted {
        /// Which task.
        task: TaskId,
    },
    /// A result is safe on this node's disk.
    TaskDone {
        /// Which task.
        task: TaskId,
    },
    /// A task was not run: roster or policy forbid it.
    TaskRefused {
        /// Which task.
        task: TaskId,
        /// Why.
        reason: String,
    },
    /// A task was given back.
    TaskHandedBack {
        /// Which task.
        task: TaskId,
        /// Why.
        reason: String,
    },
    /// A task was stopped: cancelled, or its lease went elsewhere.
    TaskDropped {
        /// Which task.
        task: TaskId,
    },
    /// The coordinator has a result for good.
    ResultDelivered {
        /// Which task's.
        task: TaskId,
    },
    /// A result that came after its lease had moved on: another one counts.
    ResultTooLate {
        /// Which task's.
        task: TaskId,
    },
    /// The coordinator does not take a result; it is kept aside.
    ResultRejected {
        /// Which task's.
        task: TaskId,
        /// What the coordinator says.
        reason: Text,
    },
    /// A damaged file was moved out of the way.
    SpoolEntrySetAside {
        /// Where it lies now.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// This node goes on under another key.
    Rotated {
        /// The new one.
        fingerprint: Fingerprint,
    },
    /// The disk fills, or has room again.
    SpoolRoom {
        /// How much more it takes.
        room: Room,
        /// What stands in the way.
        reason: &'static str,
    },
    /// This machine's clock differs from the coordinator's, which is the mesh's.
    ClockOff {
        /// This clock minus mesh time, in milliseconds.
        offset_ms: i64,
    },
    /// This node winds down.
    Stopping {
        /// How long it gives its running tasks.
        grace: Duration,
    },
    /// Some work did not end in time; the node ends anyway.
    StoppedLate {
        /// Tasks that were left.
        tasks: usize,
        /// Results that wait on disk.
        spooled: usize,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity { fingerprint } => write!(f, "this node is {fingerprint}"),
            Self::Asking { addresses } => write!(f, "asking to join at {}", list(addresses)),
            Self::Unreachable { reason, retry_in } => {
                write!(f, "{reason}; trying again in {} s", retry_in.as_secs())
            }
            Self::Pending { fingerprint } => {
                write!(
                    f,
                    "waiting for approval; compare the fingerprint {fingerprint}, then approve it on the dashboard or with `portdrift keys approve`"
                )
            }
            Self::Approved { ranges } if ranges.is_empty() => write!(f, "approved, without any range to scan yet"),
            Self::Approved { ranges } => write!(f, "approved to scan {ranges}"),
            Self::Listening { addresses } => write!(f, "listening at {}", list(addresses)),
            Self::Sponsoring { addresses } => write!(f, "passing on requests to join that come to {}", list(addresses)),
            Self::NotSponsoring { reason } => write!(f, "requests to join are not passed on: {reason}"),
            Self::Connected { coordinator: true, .. } => write!(f, "connected to the coordinator"),
            Self::Connected { node, .. } => write!(f, "connected to node {node}"),
            Self::Disconnected { coordinator: true, .. } => write!(f, "the connection to the coordinator is lost"),
            Self::Disconnected { node, .. } => write!(f, "the connection to node {node} is lost"),
            Self::WayOpen { node } => write!(f, "the coordinator is reached through node {node}"),
            Self::CoordinatorSilent => {
                write!(f, "no sign of life from the coordinator; running tasks finish, nothing new is started")
            }
            Self::CoordinatorBack => write!(f, "the coordinator is heard again"),
            Self::CoordinatorRotated { coordinator } => write!(f, "the coordinator goes on as {coordinator}"),
            Self::RosterAdopted { epoch } => write!(f, "roster epoch {epoch} is in force"),
            Self::RosterConflict { epoch } => {
                write!(f, "two different rosters are signed with epoch {epoch}; tell the mesh's administrator")
            }
            Self::TaskStarted { task } => write!(f, "task {task} started"),
            Self::TaskDone { task } => write!(f, "task {task} done"),
            Self::TaskRefused { task, reason } => write!(f, "task {task} refused: {reason}"),
            Self::TaskHandedBack { task, reason } => write!(f, "task {task} handed back: {reason}"),
            Self::TaskDropped { task } => write!(f, "task {task} stopped: cancelled, or leased to another node"),
            Self::ResultDelivered { task } => write!(f, "result of task {task} delivered"),
            Self::ResultTooLate { task } => write!(f, "result of task {task} came too late; its lease had moved on"),
            Self::ResultRejected { task, reason } => {
                write!(f, "result of task {task} rejected by the coordinator and kept aside: {reason}")
            }
            Self::SpoolEntrySetAside { path, reason } => write!(f, "set aside {}: {reason}", path.display()),
            Self::Rotated { fingerprint } => write!(f, "this node is {fingerprint} from now on; the old key is out"),
            Self::SpoolRoom { room: Room::Free, .. } => write!(f, "the spool has room again; tasks are taken again"),
            Self::SpoolRoom { room: Room::Tight, reason } => write!(f, "{reason}; no new task is taken"),
            Self::SpoolRoom { room: Room::Full, reason } => {
                write!(f, "{reason}; nothing is scanned until there is room")
            }
            Self::ClockOff { offset_ms } => clock_words(*offset_ms, f),
            Self::Stopping { grace } => write!(f, "stopping; running tasks get {} s", grace.as_secs()),
            Self::StoppedLate { tasks, spooled } => {
                write!(
                    f,
                    "stopped with {tasks} tasks unfinished and {spooled} results waiting on disk for the next start"
                )
            }
        }
    }
}

fn clock_words(offset_ms: i64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (seconds, way) = (offset_ms.unsigned_abs() / 1_000, if offset_ms < 0 { "behind" } else { "ahead of" });
    write!(f, "this machine's clock is {seconds} s {way} the coordinator's; mesh time is used, but set the clock")
}

fn list(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Where notices go. A reader that is too slow misses some; it never holds up the node.
#[derive(Clone, Debug)]
pub(crate) struct Notices(mpsc::Sender<Notice>);

impl Notices {
    pub(crate) fn new(sender: mpsc::Sender<Notice>) -> Self {
        Self(sender)
    }

    pub(crate) fn tell(&self, notice: Notice) {
        if let Err(mpsc::error::TrySendError::Full(notice)) = self.0.try_send(notice) {
            tracing::debug!(%notice, "nobody reads the notices fast enough; this one is dropped");
        }
    }
}
