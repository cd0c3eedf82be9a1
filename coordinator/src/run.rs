//! Runs and their tasks: the states they pass through and what is kept of them.

use crate::scan::ScanDefinition;
use protocol::codec::{Decode, Encode};
use protocol::task::{RunId, ScanId, TaskId};
use protocol::text::Text;
use protocol::{NodeId, TargetSet, Timestamp};

/// How many leases a task may get before it counts as failed.
pub const MAX_ATTEMPTS: u32 = 3;

/// One execution of a scan.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Run {
    /// Its number, which is also its report's.
    pub id: RunId,
    /// Of which scan.
    pub scan: ScanId,
    /// What the scan asked for when the run was started; later edits do not touch it.
    pub definition: ScanDefinition,
    /// Only these of its addresses, for a run that makes up for what another one missed; `None` for all.
    pub part: Option<TargetSet>,
    /// Where it stands.
    pub state: RunState,
    /// Who or what asked for it.
    pub trigger: Trigger,
    /// When it was asked for.
    pub created: Timestamp,
    /// When it was planned.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How many tasks it was cut into.
    pub tasks: u32,
    /// Addresses that nobody looked at, with the reason.
    pub uncovered: Vec<Uncovered>,
    /// What came of it, once it ended.
    pub outcome: Option<RunOutcome>,
}

/// The numbers of an ended run.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RunOutcome {
    /// Hosts found up.
    pub hosts_up: u32,
    /// Open ports found.
    pub open_ports: u32,
    /// Addresses that were asked and settled, in hundredths of a percent of the wanted ones.
    pub coverage_hundredths: u32,
    /// Why it is partial, failed or cancelled; empty when completed.
    pub reason: Text,
}

/// Where a run stands (SPEC D5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum RunState {
    /// Asked for; no node has been found yet.
    Queued,
    /// Tasks are out.
    Running,
    /// All tasks ended; the report is being made.
    Closing,
    /// All wanted addresses were covered.
    Completed,
    /// Some were not.
    Partial,
    /// None was.
    Failed,
    /// Stopped by a person.
    Cancelled,
}

impl RunState {
    /// True when nothing will change any more.
    pub fn is_final(self) -> bool {
        match self {
            Self::Queued | Self::Running | Self::Closing => false,
            Self::Completed | Self::Partial | Self::Failed | Self::Cancelled => true,
        }
    }

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Closing => "closing",
            Self::Completed => "completed",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Who or what asked for a run.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Trigger {
    /// A person, by name.
    Person(Text),
    /// Its schedule.
    Schedule,
    /// A person who wants to have looked at what an earlier run missed.
    Missing {
        /// The run that missed it.
        of: RunId,
        /// By name.
        by: Text,
    },
    /// A person who brought a document of another scanner: no node looked.
    Import {
        /// By name.
        by: Text,
        /// Whether its silence is proof: only then does it remove hosts, close ports and resolve alerts.
        authoritative: bool,
    },
}

impl Run {
    /// The addresses that it is to look at.
    pub fn wanted(&self) -> TargetSet {
        let all = self.definition.wanted();
        self.part.as_ref().map_or_else(|| all.clone(), |part| part.intersection(&all))
    }
}

/// Addresses of a run that nobody looked at.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Uncovered {
    /// Which.
    pub targets: TargetSet,
    /// Why.
    pub reason: UncoveredReason,
}

/// Why addresses were not looked at (SPEC D3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum UncoveredReason {
    /// No approved node of the site has them in its ranges.
    NoRange,
    /// Such nodes exist, but none was online.
    NodeOffline,
    /// Every such node refused.
    Refused,
    /// The task failed too often.
    AttemptsUsedUp,
    /// A node looked, but did not finish.
    NotFinished,
    /// The run was cancelled first.
    Cancelled,
    /// It was imported, and its document does not prove anything about them.
    NotInDocument,
}

impl UncoveredReason {
    /// The words for it.
    pub fn words(self) -> &'static str {
        match self {
            Self::NoRange => "no approved node has them in its ranges",
            Self::NodeOffline => "the nodes that have them in their ranges were offline",
            Self::Refused => "every node that could take them refused",
            Self::AttemptsUsedUp => "all attempts were used up",
            Self::NotFinished => "the node could not finish them",
            Self::Cancelled => "the run was cancelled first",
            Self::NotInDocument => "the imported document proves nothing about them",
        }
    }
}

/// A piece of a run as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TaskRecord {
    /// Which.
    pub id: TaskId,
    /// What it is for.
    pub look: Look,
    /// When it was planned.
    pub created: Timestamp,
    /// Its addresses, at most 256.
    pub targets: TargetSet,
    /// Nodes that may still be asked.
    pub eligible: Vec<NodeId>,
    /// Where it stands.
    pub state: TaskState,
    /// Number of the latest lease; 0 before the first.
    pub fence: u64,
    /// Leases given so far.
    pub attempts: u32,
    /// Who holds or held it last.
    pub holder: Option<NodeId>,
    /// Start of the latest lease.
    pub leased: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Why the latest attempt did not end well; empty if it did.
    pub reason: Text,
}

/// What a task is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Look {
    /// To see what is there.
    First,
    /// To make sure of what seems to be gone (SPEC R4).
    Second,
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum TaskState {
    /// For a node to take.
    Waiting,
    /// With its holder.
    Leased,
    /// All its addresses were covered.
    Done,
    /// Some were not.
    Partial,
    /// No result.
    Failed,
    /// Stopped with its run.
    Cancelled,
}

impl TaskState {
    /// True when nothing will change any more.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Waiting | Self::Leased)
    }

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Leased => "leased",
            Self::Done => "done",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl TaskRecord {
    /// A task that waits for one of `eligible`.
    pub fn new(id: TaskId, look: Look, targets: TargetSet, eligible: Vec<NodeId>, now: Timestamp) -> Self {
        Self {
            id,
            look,
            created: now,
            targets,
            eligible,
            state: TaskState::Waiting,
            fence: 0,
            attempts: 0,
            holder: None,
            leased: None,
            ended: None,
            reason: Text::default(),
        }
    }

    /// Since when it has waited, while it waits.
    pub fn waits_since(&self) -> Timestamp {
        self.leased.map_or(self.created, |leased| leased.max(self.created))
    }

    /// Gives the next lease to `holder`.
    pub fn lease_to(&mut self, holder: NodeId, now: Timestamp) {
        self.state = TaskState::Leased;
        self.fence += 1;
        self.attempts += 1;
        self.holder = Some(holder);
        self.leased = Some(now);
    }

    /// Takes the lease away: back to waiting, or failed when the attempts are used up or nobody is left to ask.
    pub fn lose_lease(&mut self, reason: Text, now: Timestamp) {
        let spent = self.attempts >= MAX_ATTEMPTS || self.eligible.is_empty();
        self.state = if spent { TaskState::Failed } else { TaskState::Waiting };
        self.ended = spent.then_some(now);
        self.reason = reason;
    }

    /// Its holder will not do it; ask another. A refusal uses up no attempt.
    pub fn refuse(&mut self, reason: Text, now: Timestamp) {
        self.eligible.retain(|node| Some(*node) != self.holder);
        self.attempts = self.attempts.saturating_sub(1);
        self.lose_lease(reason, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::Keypair;

    fn task(nodes: u8) -> TaskRecord {
        let eligible = (1..=nodes).map(|seed| Keypair::from_seed(&[seed; 32]).node_id()).collect();
        let id = TaskId { run: RunId(1), index: 0 };
        TaskRecord::new(id, Look::First, "127.0.10.1".parse().unwrap(), eligible, Timestamp::from_millis(1))
    }

    #[test]
    fn a_task_fails_after_its_last_attempt() {
        let (mut task, now) = (task(1), Timestamp::from_millis(5));
        let node = task.eligible[0];
        let states: Vec<(u64, TaskState)> = (0..MAX_ATTEMPTS)
            .map(|_| {
                task.lease_to(node, now);
                task.lose_lease("gone".into(), now);
                (task.fence, task.state)
            })
            .collect();
        assert_eq!(states, [(1, TaskState::Waiting), (2, TaskState::Waiting), (3, TaskState::Failed)]);
        assert_eq!(task.ended, Some(now));
    }

    #[test]
    fn a_refusal_rules_out_one_node_and_no_attempt() {
        let (mut task, now) = (task(2), Timestamp::from_millis(5));
        let [first, second] = task.eligible[..] else { panic!("two nodes") };
        task.lease_to(first, now);
        task.refuse("policy".into(), now);
        assert_eq!((task.state, task.attempts, task.eligible.as_slice()), (TaskState::Waiting, 0, &[second][..]));
        task.lease_to(second, now);
        task.refuse("policy".into(), now);
        assert_eq!((task.state, task.fence), (TaskState::Failed, 2));
    }
}
