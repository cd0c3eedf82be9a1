//! How far a run has come: from what each node has done of it, and from what nodes say they are doing now.

use super::{RunView, TaskView};
use crate::Presence;
use crate::run::{Look, Run, RunState, Tally, TaskRecord, TaskState};
use crate::store::tables::{NODES, RUNS, TALLIES, TASK_COVERAGE, TASKS};
use crate::store::{Reads, StoreError};
use protocol::message::RunningTask;
use protocol::task::{RunId, TaskId};
use protocol::text::Text;
use protocol::{NodeId, Timestamp};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The most tasks that a run shows at once: the newest, and with them those that are open.
pub const MAX_TASKS_SHOWN: usize = 2_000;

/// No estimate before so many percent are done.
const ESTIMATE_FROM_PERCENT: u64 = 10;

/// How far a run has come, in addresses: settled tasks count whole, running ones by their share of cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// Addresses settled.
    pub addresses_done: u64,
    /// Addresses wanted.
    pub addresses_total: u64,
    /// Hosts found up so far.
    pub hosts_found: u32,
    /// Since it was begun, until now or its end.
    pub elapsed: Duration,
    /// What the first look still takes at the pace so far; `None` before a tenth is done.
    pub left: Option<Duration>,
    /// What each node has done and does.
    pub nodes: Vec<NodeProgress>,
}

/// What is being done for a run (SPEC S7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// No node has begun.
    Queued,
    /// The first look.
    Scanning,
    /// A second look at what seems gone.
    Confirming,
    /// Coverage, changes, alerts and score are worked out.
    Reporting,
    /// Nothing any more.
    Ended,
}

impl Phase {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Scanning => "scanning",
            Self::Confirming => "confirming",
            Self::Reporting => "reporting",
            Self::Ended => "ended",
        }
    }
}

/// What one node has done of a run, and does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeProgress {
    /// Its key.
    pub node: NodeId,
    /// What people call it.
    pub label: Text,
    /// Tasks in its hands.
    pub running: u32,
    /// Tasks of the first look that it ended with a result.
    pub done: u32,
    /// Tasks of the first look that failed in its hands.
    pub failed: u32,
    /// Addresses settled, those of running tasks by their share of cells.
    pub addresses_done: u64,
    /// Hosts found up so far.
    pub hosts_found: u32,
    /// The last word from it since the coordinator started.
    pub last_heard: Option<Timestamp>,
    /// For how long there was no word, when it holds tasks and ought to have been heard.
    pub silent_for: Option<Duration>,
}

impl Progress {
    /// Whole percent, rounded down.
    pub fn percent(&self) -> u8 {
        let share = self.addresses_done.saturating_mul(100).checked_div(self.addresses_total).unwrap_or(100);
        u8::try_from(share.min(100)).unwrap_or(100)
    }
}

/// What is read of a run at once.
pub(super) struct RunRows {
    run: Run,
    tasks: Vec<(TaskRecord, Option<crate::TaskCoverage>)>,
    tallies: BTreeMap<NodeId, Tally>,
    /// Tasks that nodes say they are at, under the lease they name.
    at_work: Vec<(NodeId, RunningTask, TaskRecord)>,
    labels: BTreeMap<NodeId, Text>,
}

/// What nodes say they are at for one run.
pub(super) fn said_of(run: RunId, presences: &BTreeMap<NodeId, Presence>) -> Vec<(NodeId, RunningTask)> {
    let said = presences.iter().flat_map(|(node, presence)| presence.running.iter().map(|task| (*node, task.clone())));
    said.filter(|(_, task)| task.task.run == run).collect()
}

/// Reads what progress is worked out from; costs as much as nodes and shown tasks, not as much as all tasks.
pub(super) fn read(
    reads: &impl Reads,
    id: RunId,
    said: Vec<(NodeId, RunningTask)>,
) -> Result<Option<RunRows>, StoreError> {
    let Some(run) = reads.get(&RUNS, &id)? else { return Ok(None) };
    let mut tasks = Vec::new();
    for row in reads.within(&TASKS, &id).rev().take(MAX_TASKS_SHOWN) {
        let (task, record) = row?;
        tasks.push((record, reads.get(&TASK_COVERAGE, &task)?));
    }
    tasks.reverse();
    let tallies = reads.within(&TALLIES, &id).map(|row| row.map(|((_, node), tally)| (node, tally)));
    let tallies: BTreeMap<NodeId, Tally> = tallies.collect::<Result<_, _>>()?;
    let mut at_work = Vec::new();
    for (node, running) in said {
        let record = reads.get(&TASKS, &running.task)?;
        let held = |task: &TaskRecord| task.state == TaskState::Leased && task.accepts(node, running.fence);
        at_work.extend(record.filter(held).map(|record| (node, running, record)));
    }
    let mut labels = BTreeMap::new();
    for node in holders(&tasks).chain(tallies.keys().copied()).chain(at_work.iter().map(|(node, ..)| *node)) {
        if let Entry::Vacant(label) = labels.entry(node) {
            label.insert(reads.get(&NODES, &node)?.map(|node| node.label).unwrap_or_default());
        }
    }
    Ok(Some(RunRows { run, tasks, tallies, at_work, labels }))
}

fn holders(tasks: &[(TaskRecord, Option<crate::TaskCoverage>)]) -> impl Iterator<Item = NodeId> {
    let leased = tasks.iter().filter(|(task, _)| task.state == TaskState::Leased);
    leased.filter_map(|(task, _)| task.holder)
}

impl RunRows {
    /// What is shown of the run at `now`.
    pub(super) fn view(
        self,
        presences: &BTreeMap<NodeId, Presence>,
        offline_after: Duration,
        now: Timestamp,
    ) -> RunView {
        let progress = self.progress(presences, offline_after, now);
        let running: BTreeMap<TaskId, RunningTask> =
            self.at_work.into_iter().map(|(_, running, record)| (record.id, running)).collect();
        let view =
            |(record, result): (TaskRecord, _)| TaskView { running: running.get(&record.id).cloned(), record, result };
        RunView { run: self.run, tasks: self.tasks.into_iter().map(view).collect(), progress }
    }

    fn progress(&self, presences: &BTreeMap<NodeId, Presence>, offline_after: Duration, now: Timestamp) -> Progress {
        let run = &self.run;
        let nodes: Vec<NodeProgress> =
            self.labels.keys().map(|node| self.node(*node, presences.get(node), offline_after, now)).collect();
        let named = run.uncovered.iter().map(|part| clamp(part.targets.count()));
        let settled = nodes.iter().map(|node| node.addresses_done).chain(named).fold(0, u64::saturating_add);
        let total = clamp(run.wanted().count());
        let done = if run.state.is_final() { total } else { settled.min(total) };
        let found = nodes.iter().map(|node| node.hosts_found).fold(0, u32::saturating_add);
        let elapsed = run.started.map_or(Duration::ZERO, |started| run.ended.unwrap_or(now).since(started));
        Progress {
            phase: self.phase(done == total),
            addresses_done: done,
            addresses_total: total,
            hosts_found: run.outcome.as_ref().map_or(found, |outcome| outcome.hosts_up),
            elapsed,
            left: if run.state == RunState::Running { time_left(done, total, elapsed) } else { None },
            nodes,
        }
    }

    fn phase(&self, all_settled: bool) -> Phase {
        let second = || self.tasks.iter().rev().map(|(task, _)| task).take_while(|task| task.look == Look::Second);
        match self.run.state {
            RunState::Queued => Phase::Queued,
            RunState::Running if all_settled => Phase::Reporting,
            RunState::Running => Phase::Scanning,
            RunState::Closing if second().any(|task| !task.state.is_final()) => Phase::Confirming,
            RunState::Closing => Phase::Reporting,
            RunState::Completed | RunState::Partial | RunState::Failed | RunState::Cancelled => Phase::Ended,
        }
    }

    fn node(&self, node: NodeId, presence: Option<&Presence>, offline_after: Duration, now: Timestamp) -> NodeProgress {
        let Tally { done, failed, addresses, hosts } = self.tallies.get(&node).copied().unwrap_or_default();
        let mine = || self.at_work.iter().filter(|(holder, ..)| *holder == node);
        let first = || mine().filter(|(_, _, task)| task.look == Look::First);
        let shares = first().map(|(_, running, task)| share(task, running));
        let found = first().map(|(_, running, _)| running.hosts_found);
        let leased = self.tasks.iter().map(|(task, _)| task);
        let leased = leased.filter(|task| task.state == TaskState::Leased && task.holder == Some(node));
        let held: BTreeSet<TaskId> = leased.map(|task| task.id).chain(mine().map(|(_, _, task)| task.id)).collect();
        let last_heard = presence.map(|presence| presence.last_seen);
        let is_online = presence.is_some_and(|presence| presence.is_online(now, offline_after));
        let since = last_heard.or(self.run.started).unwrap_or(self.run.created);
        NodeProgress {
            node,
            label: self.labels.get(&node).cloned().unwrap_or_default(),
            running: u32::try_from(held.len()).unwrap_or(u32::MAX),
            done,
            failed,
            addresses_done: shares.fold(addresses, u64::saturating_add),
            hosts_found: found.fold(hosts, u32::saturating_add),
            last_heard,
            silent_for: (!held.is_empty() && !is_online).then(|| now.since(since)),
        }
    }
}

/// The part of a running task's addresses that its cells stand for.
fn share(task: &TaskRecord, running: &RunningTask) -> u64 {
    let done = u128::from(running.cells_done.min(running.cells_total));
    let share = task.targets.count().saturating_mul(done).checked_div(u128::from(running.cells_total));
    clamp(share.unwrap_or(0))
}

/// At the measured pace.
fn time_left(done: u64, total: u64, elapsed: Duration) -> Option<Duration> {
    if done == 0 || u128::from(done) * 100 < u128::from(total) * u128::from(ESTIMATE_FROM_PERCENT) {
        return None;
    }
    let left =
        elapsed.as_millis().saturating_mul(u128::from(total.saturating_sub(done))).checked_div(u128::from(done))?;
    Some(Duration::from_millis(u64::try_from(left).unwrap_or(u64::MAX)))
}

fn clamp(count: u128) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
