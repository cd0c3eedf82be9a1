//! From runs to tasks, and from tasks to holders: decisions over what is open, without clock, store or network.
//!
//! Whoever calls stores each decision first and tells it back afterwards. Tasks that ended are not kept here.

pub mod crew;
mod grants;
pub mod lease;
pub mod plan;
pub mod second;
#[cfg(test)]
mod tests;
pub mod uncovered;
mod waiting;
pub mod weight;

use crate::run::{Look, Run, RunState, TaskRecord, TaskState, Uncovered};
use crew::{Candidate, Crew};
use lease::{LeaseBook, Renewal};
use plan::{Plan, is_awaited, name_uncovered};
use protocol::task::{RunId, TaskId};
use protocol::text::Text;
use protocol::{NodeId, TargetSet, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
pub use waiting::Patience;
use weight::Weight;

/// How many tasks a node holds at a time: one to work on, one to go on with.
pub const TASKS_PER_NODE: usize = 2;

/// A node that declined so many tasks of a run since its last result is not asked again for this run.
pub const MAX_DECLINED: u32 = 8;

/// How often an address of a run may be cut anew: a node whose owner changes its mind for ever holds up no run.
pub const MAX_CUTS_ANEW: usize = 3;

/// The runs and tasks that have not ended, and who holds what.
#[derive(Debug, Default)]
pub struct Dispatch {
    runs: BTreeMap<RunId, OpenRun>,
    tasks: BTreeMap<TaskId, TaskRecord>,
    leases: LeaseBook,
    /// Nodes that handed a task back and are not asked for a while.
    resting: BTreeMap<NodeId, Timestamp>,
}

/// A run that has not ended.
#[derive(Debug)]
struct OpenRun {
    run: Run,
    /// Addresses that are in no task yet.
    rest: TargetSet,
    weight: Weight,
    /// The rest by who can take it, as of a generation of the crew.
    plan: Option<(u64, Plan)>,
    /// Tasks that each node declined since its last result.
    declined: BTreeMap<NodeId, u32>,
    /// Addresses by how often they were cut anew: at place 0 once or more, and so on.
    cut_anew: [TargetSet; MAX_CUTS_ANEW],
}

impl OpenRun {
    /// The nodes of the run's site that it still asks.
    fn candidates<'a>(&'a self, crew: &'a Crew) -> impl Iterator<Item = &'a Candidate> {
        let asked = |candidate: &&Candidate| !self.is_declined_by(candidate.node);
        crew.of_site(self.run.definition.site()).filter(asked)
    }

    fn is_declined_by(&self, node: NodeId) -> bool {
        self.declined.get(&node).is_some_and(|times| *times >= MAX_DECLINED)
    }

    /// True while none of the addresses was cut anew too often.
    fn may_cut_anew(&self, targets: &TargetSet) -> bool {
        self.cut_anew.last().is_none_or(|worn| worn.intersection(targets).is_empty())
    }

    /// The plan of today.
    fn plan(&mut self, crew: &Crew) -> &mut Plan {
        let made = match self.plan.take() {
            Some((generation, plan)) if generation == crew.generation() => plan,
            Some(_) | None => Plan::new(&self.rest, self.weight.task_addresses(), self.candidates(crew)),
        };
        &mut self.plan.insert((crew.generation(), made)).1
    }
}

impl Dispatch {
    /// Takes up a run with its tasks that have not ended, and the addresses that are in no task yet.
    pub fn take_up(&mut self, run: Run, rest: TargetSet, tasks: impl IntoIterator<Item = TaskRecord>) {
        let weight = Weight::of(&run.definition);
        let open = tasks.into_iter().filter(|task| !task.state.is_final());
        self.tasks.extend(open.map(|task| (task.id, task)));
        self.runs.insert(
            run.id,
            OpenRun { run, rest, weight, plan: None, declined: BTreeMap::new(), cut_anew: Default::default() },
        );
    }

    /// Notes that a run stands otherwise now, with these addresses in no task yet.
    pub fn run_changed(&mut self, run: Run, rest: TargetSet) {
        if let Some(open) = self.runs.get_mut(&run.id) {
            (open.run, open.rest, open.plan) = (run, rest, None);
        }
    }

    /// Forgets a run; gives the leases that ended with it.
    pub fn drop_run(&mut self, run: RunId) -> Vec<(TaskId, u64)> {
        let ended: Vec<(TaskId, u64)> = self.tasks_of(run).map(|task| (task.id, task.fence)).collect();
        for (task, fence) in &ended {
            self.leases.end(*task, *fence);
            self.tasks.remove(task);
        }
        self.runs.remove(&run);
        ended
    }

    /// The run with this number.
    pub fn run(&self, run: RunId) -> Option<&Run> {
        self.runs.get(&run).map(|open| &open.run)
    }

    /// The numbers of all runs that have not ended.
    pub fn run_ids(&self) -> BTreeSet<RunId> {
        self.runs.keys().copied().collect()
    }

    /// What this node holds, with the numbers of the leases.
    pub fn held_by(&self, node: NodeId) -> Vec<(TaskId, u64)> {
        self.leases.held_by(node)
    }

    /// Tasks that are with a holder.
    pub fn leased(&self) -> impl Iterator<Item = &TaskRecord> {
        self.tasks.values().filter(|task| task.state == TaskState::Leased)
    }

    /// How many tasks have not ended: what is kept in memory of all runs together.
    #[cfg(test)]
    pub(crate) fn open_tasks(&self) -> usize {
        self.tasks.len()
    }

    fn tasks_of(&self, run: RunId) -> impl Iterator<Item = &TaskRecord> {
        let (first, last) = (TaskId { run, index: 0 }, TaskId { run, index: u32::MAX });
        self.tasks.range(first..=last).map(|(_, task)| task)
    }

    /// A task was given to its holder, and stored so.
    pub fn granted(&mut self, task: TaskRecord, deadline: Timestamp) {
        let Some(holder) = task.holder else { return };
        let Some(open) = self.runs.get_mut(&task.id.run) else { return };
        if task.id.index >= open.run.tasks {
            // Just cut.
            open.run.tasks = task.id.index.saturating_add(1);
            open.rest = open.rest.minus(&task.targets);
        }
        let weight = open.weight.of_targets(&task.targets);
        self.leases.grant(task.id, holder, task.fence, weight, deadline);
        self.tasks.insert(task.id, task);
    }

    /// Grants could not be stored: what was cut for them is still to be cut.
    pub fn not_granted(&mut self) {
        for open in self.runs.values_mut() {
            open.plan = None;
        }
    }

    /// New tasks of a run wait.
    pub fn add(&mut self, run: Run, tasks: Vec<TaskRecord>) {
        if let Some(open) = self.runs.get_mut(&run.id) {
            open.run = run;
            self.tasks.extend(tasks.into_iter().map(|task| (task.id, task)));
        }
    }

    /// A task stands otherwise now: its lease, if it had one, has ended.
    pub fn settle(&mut self, mut task: TaskRecord) {
        self.leases.end(task.id, task.fence);
        if let Some(held) = self.tasks.get(&task.id).filter(|held| held.fence == task.fence) {
            // The store knows nothing of a clock that was set.
            (task.created, task.leased) = (held.created, held.leased);
        }
        let Some(open) = self.runs.get_mut(&task.id.run) else { return };
        match task.state {
            TaskState::Done | TaskState::Partial => {
                if task.holder.is_some_and(|holder| open.declined.remove(&holder).is_some()) {
                    open.plan = None;
                }
            }
            TaskState::Waiting | TaskState::Leased | TaskState::Failed | TaskState::Cancelled => {}
        }
        if task.state.is_final() {
            self.tasks.remove(&task.id);
        } else {
            self.tasks.insert(task.id, task);
        }
    }

    /// A waiting task has ended; what is cut anew goes back into the rest.
    pub fn gave_up(&mut self, task: TaskRecord) {
        if let Some(open) = self.runs.get_mut(&task.id.run).filter(|_| task.state == TaskState::Cancelled) {
            (open.rest, open.plan) = (open.rest.union(&task.targets), None);
            let mut again = task.targets.clone();
            for cut in &mut open.cut_anew {
                let more = again.intersection(cut);
                *cut = cut.union(&again);
                again = more;
            }
        }
        self.settle(task);
    }

    /// A holder says that it works on a task.
    pub fn renew(&mut self, task: TaskId, holder: NodeId, boot: u64, fence: u64, deadline: Timestamp) -> Renewal {
        self.leases.renew(task, holder, boot, fence, deadline)
    }

    /// A lease is over, whatever became of the task.
    pub fn end_lease(&mut self, task: TaskId, fence: u64) {
        self.leases.end(task, fence);
    }

    /// Takes over the leases that were in force when the coordinator stopped.
    pub fn resume_leases(&mut self, now: Timestamp, grace: Duration) {
        for task in self.tasks.values().filter(|task| task.state == TaskState::Leased) {
            let Some(open) = self.runs.get(&task.id.run) else { continue };
            if let Some(holder) = task.holder {
                let weight = open.weight.of_targets(&task.targets);
                self.leases.grant(task.id, holder, task.fence, weight, now.plus(grace));
            }
        }
    }

    /// The clock was set, or we were away, between `before` and `now`: every lease stands for the time of grace, and
    /// what waits has waited no longer for it. No deadline passes by a jump, and nothing lies in the future.
    pub fn clock_was_set(&mut self, before: Timestamp, now: Timestamp, grace: Duration) {
        self.leases.renew_all(now, grace);
        self.resting.clear();
        let moved = |at: Timestamp| at.plus(now.since(before)).minus(before.since(now)).min(now);
        for task in self.tasks.values_mut() {
            (task.created, task.leased) = (moved(task.created), task.leased.map(moved));
        }
        for open in self.runs.values_mut() {
            open.run.created = moved(open.run.created);
        }
    }

    /// A node declined a task of a run; it rests `until` then, if it only wants to be asked later.
    pub fn declined(&mut self, node: NodeId, run: RunId, until: Option<Timestamp>) {
        if let Some(until) = until {
            self.resting.insert(node, until);
        }
        if let Some(open) = self.runs.get_mut(&run) {
            *open.declined.entry(node).or_default() += 1;
            if open.is_declined_by(node) {
                tracing::warn!(node.id = %node, run.id = %run, "a node declined task after task and is not asked again");
                open.plan = None;
            }
        }
    }

    /// A node started anew, or on other terms: what it declined before counts no more.
    pub fn ask_again(&mut self, node: NodeId) {
        self.resting.remove(&node);
        for open in self.runs.values_mut() {
            if open.declined.remove(&node).is_some() {
                open.plan = None;
            }
        }
    }

    /// Leases to take back: run out, forgotten by their holder, or renewed for `longest` without end.
    pub fn overdue(
        &self,
        now: Timestamp,
        boots: &BTreeMap<NodeId, u64>,
        longest: Duration,
    ) -> Vec<(TaskId, u64, Text)> {
        let mut overdue: BTreeMap<TaskId, (u64, Text)> = BTreeMap::new();
        for task in self.leased().filter(|task| task.leased.is_some_and(|since| now.since(since) > longest)) {
            overdue.insert(task.id, (task.fence, "it took far longer than its time limit".into()));
        }
        for (task, lease) in self.leases.overdue(now, boots) {
            overdue.insert(task, (lease.fence, Text::new(&format!("no word from {}", lease.holder))));
        }
        overdue.into_iter().map(|(task, (fence, reason))| (task, fence, reason)).collect()
    }

    /// Queued runs that a node can begin now.
    pub fn startable(&mut self, crew: &Crew) -> Vec<Run> {
        let queued = self.runs.values_mut().filter(|open| open.run.state == RunState::Queued);
        queued.filter_map(|open| (!open.plan(crew).is_empty()).then(|| open.run.clone())).collect()
    }

    /// Runs whose rest nobody will take: queued for longer than `deadline`, or with nothing else under way and no node
    /// to wait for. Each with the reasons.
    pub fn hopeless(&self, crew: &Crew, now: Timestamp, deadline: Duration) -> Vec<(Run, Vec<Uncovered>)> {
        let is_hopeless = |open: &&OpenRun| match open.run.state {
            RunState::Queued => now.since(open.run.created) > deadline,
            RunState::Running => {
                !open.rest.is_empty()
                    && self.tasks_of(open.run.id).next().is_none()
                    && !is_awaited(&open.rest, open.candidates(crew))
            }
            RunState::Closing | RunState::Completed | RunState::Partial | RunState::Failed | RunState::Cancelled => {
                false
            }
        };
        let named = |open: &OpenRun| {
            let declining = open.declined.keys().copied().filter(|node| open.is_declined_by(*node)).collect();
            let of_site = crew.of_site(open.run.definition.site());
            (open.run.clone(), name_uncovered(&open.rest, of_site, &declining))
        };
        self.runs.values().filter(is_hopeless).map(named).collect()
    }

    /// Runs of which nothing is left to cut and no task is open.
    pub fn finished(&self) -> Vec<RunId> {
        let begun = self.runs.values().filter(|open| open.run.state != RunState::Queued && open.rest.is_empty());
        begun.map(|open| open.run.id).filter(|run| self.tasks_of(*run).next().is_none()).collect()
    }
}

/// Whether a task is one of the first look.
fn is_first(task: &TaskRecord) -> bool {
    task.look == Look::First
}
