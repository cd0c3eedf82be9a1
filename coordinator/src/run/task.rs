//! Tasks of a run as they are kept, and the steps they may take.

use super::UncoveredReason;
use protocol::codec::{Decode, Encode};
use protocol::task::TaskId;
use protocol::text::Text;
use protocol::{NodeId, PortSet, TargetSet, Timestamp};

/// How many leases a task may get before it counts as failed.
pub const MAX_ATTEMPTS: u32 = 3;

/// A piece of a run as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TaskRecord {
    /// Which.
    pub id: TaskId,
    /// What it is for.
    pub look: Look,
    /// When it was cut.
    pub created: Timestamp,
    /// Its addresses, at most 256.
    pub targets: TargetSet,
    /// Only these ports, for a second look at cells; `None` for those of the run.
    pub ports: Option<PortSet>,
    /// Nodes that refused it.
    pub refused: Vec<NodeId>,
    /// For a second look, the node that looked first: another one is asked where one can.
    pub avoid: Option<NodeId>,
    /// Where it stands.
    pub state: TaskState,
    /// Number of the latest lease; 0 before the first.
    pub fence: u64,
    /// Leases given so far, without those that were refused.
    pub attempts: u32,
    /// Who holds or held it last.
    pub holder: Option<NodeId>,
    /// Start of the latest lease.
    pub leased: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Why the latest attempt did not end well; empty if it did.
    pub reason: Text,
    /// Why nobody looked at its addresses, once it failed.
    pub gap: Option<UncoveredReason>,
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
    /// Stopped with its run, or cut anew.
    Cancelled,
}

impl TaskState {
    /// Every state, in the order in which a task passes through them.
    pub const ALL: [Self; 6] = [Self::Waiting, Self::Leased, Self::Done, Self::Partial, Self::Failed, Self::Cancelled];

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
    /// A task that waits for a node.
    pub fn new(id: TaskId, look: Look, targets: TargetSet, now: Timestamp) -> Self {
        Self {
            id,
            look,
            created: now,
            targets,
            ports: None,
            refused: Vec::new(),
            avoid: None,
            state: TaskState::Waiting,
            fence: 0,
            attempts: 0,
            holder: None,
            leased: None,
            ended: None,
            reason: Text::default(),
            gap: None,
        }
    }

    /// Since when it has waited, while it waits.
    pub fn waits_since(&self) -> Timestamp {
        self.leased.map_or(self.created, |leased| leased.max(self.created))
    }

    /// True when a result of `sender` under lease number `fence` counts: it held the task last, and nobody since.
    pub fn accepts(&self, sender: NodeId, fence: u64) -> bool {
        !self.state.is_final() && self.fence == fence && self.holder == Some(sender)
    }

    /// Gives the next lease to `holder`.
    pub fn lease_to(&mut self, holder: NodeId, now: Timestamp) {
        self.state = TaskState::Leased;
        self.fence += 1;
        self.attempts += 1;
        self.holder = Some(holder);
        self.leased = Some(now);
    }

    /// Takes the lease away: back to waiting, or failed when the attempts are used up.
    pub fn lose_lease(&mut self, reason: Text, now: Timestamp) {
        self.state = TaskState::Waiting;
        self.reason = reason;
        if self.attempts >= MAX_ATTEMPTS {
            let last = self.holder.map_or_else(String::new, |node| format!(", by {node}"));
            let words = format!("all {MAX_ATTEMPTS} attempts were used up; the last{last}: {}", self.reason);
            self.fail(UncoveredReason::AttemptsUsedUp, Text::new(&words), now);
        }
    }

    /// Its holder will not do it, and is not asked again. A refusal uses up no attempt.
    pub fn refuse(&mut self, reason: Text, now: Timestamp) {
        self.refused.extend(self.holder);
        self.attempts = self.attempts.saturating_sub(1);
        self.lose_lease(reason, now);
    }

    /// Ends it without a result.
    pub fn fail(&mut self, gap: UncoveredReason, reason: Text, now: Timestamp) {
        (self.state, self.ended, self.gap, self.reason) = (TaskState::Failed, Some(now), Some(gap), reason);
    }

    /// Ends it since its addresses go into other tasks.
    pub fn cut_anew(&mut self, now: Timestamp) {
        (self.state, self.ended) = (TaskState::Cancelled, Some(now));
        self.reason = "no approved node covers all of its addresses any more; they were cut anew".into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::Keypair;
    use protocol::task::RunId;

    fn task() -> TaskRecord {
        let id = TaskId { run: RunId(1), index: 0 };
        TaskRecord::new(id, Look::First, "127.0.10.1".parse().unwrap(), Timestamp::from_millis(1))
    }

    fn node(seed: u8) -> NodeId {
        Keypair::from_seed(&[seed; 32]).node_id()
    }

    #[test]
    fn a_task_fails_after_its_last_attempt_and_names_the_last_node_and_cause() {
        let (mut task, now, node) = (task(), Timestamp::from_millis(5), node(1));
        let states: Vec<(u64, TaskState)> = (0..MAX_ATTEMPTS)
            .map(|_| {
                task.lease_to(node, now);
                task.lose_lease("gone".into(), now);
                (task.fence, task.state)
            })
            .collect();
        assert_eq!(states, [(1, TaskState::Waiting), (2, TaskState::Waiting), (3, TaskState::Failed)]);
        assert_eq!((task.ended, task.gap), (Some(now), Some(UncoveredReason::AttemptsUsedUp)));
        assert_eq!(task.reason.as_str(), format!("all 3 attempts were used up; the last, by {node}: gone"));
    }

    #[test]
    fn a_refusal_rules_out_one_node_and_no_attempt() {
        let (mut task, now) = (task(), Timestamp::from_millis(5));
        for refusing in 1..=5 {
            task.lease_to(node(refusing), now);
            task.refuse("policy".into(), now);
            assert_eq!((task.state, task.attempts, task.fence), (TaskState::Waiting, 0, u64::from(refusing)));
        }
        assert_eq!(task.refused, (1..=5).map(node).collect::<Vec<_>>());
    }

    #[test]
    fn only_the_latest_holder_is_heard_until_the_task_has_ended() {
        let (mut task, now) = (task(), Timestamp::from_millis(5));
        assert!(!task.accepts(node(1), 0));
        task.lease_to(node(1), now);
        assert!(task.accepts(node(1), 1) && !task.accepts(node(2), 1) && !task.accepts(node(1), 2));
        task.lose_lease("silent".into(), now);
        assert!(task.accepts(node(1), 1), "late, but nobody else was asked");
        task.lease_to(node(2), now);
        assert!(!task.accepts(node(1), 1) && task.accepts(node(2), 2));
        task.fail(UncoveredReason::Refused, "no".into(), now);
        assert!(!task.accepts(node(2), 2));
    }
}
