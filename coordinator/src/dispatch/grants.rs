//! Who gets what now: waiting tasks first, then new ones, each to the least loaded node that may have it.

use super::crew::Crew;
use super::waiting::may_take;
use super::{Dispatch, TASKS_PER_NODE};
use crate::run::{Look, RunState, TaskRecord, TaskState};
use protocol::task::{RunId, TaskId};
use protocol::{NodeId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// For so long a second look waits for another node that is there but busy (SPEC R4: within 60 s).
const ANOTHER_NODE_WITHIN: Duration = Duration::from_secs(30);

/// Tasks held, their weight, load average: less comes first.
type Load = (usize, u64, u32);

/// The nodes that have room, the least loaded first.
struct Room {
    queue: BTreeSet<(Load, NodeId)>,
    loads: BTreeMap<NodeId, Load>,
}

impl Room {
    fn close(&mut self, node: NodeId) {
        if let Some(load) = self.loads.remove(&node) {
            self.queue.remove(&(load, node));
        }
    }

    fn take(&mut self, node: NodeId, weight: u64) {
        let Some((held, weighs, average)) = self.loads.get(&node).copied() else { return };
        self.close(node);
        if held + 1 < TASKS_PER_NODE {
            let load = (held + 1, weighs.saturating_add(weight), average);
            self.queue.insert((load, node));
            self.loads.insert(node, load);
        }
    }
}

impl Dispatch {
    /// The leases to give now. They count only once they were stored: see [`Dispatch::granted`].
    pub fn grants(&mut self, crew: &Crew, now: Timestamp) -> Vec<TaskRecord> {
        self.resting.retain(|_, until| now < *until);
        let mut room = self.room(crew);
        let mut granted = self.give_waiting(crew, &mut room, now);
        self.cut_new(crew, &mut room, &mut granted, now);
        granted
    }

    fn room(&self, crew: &Crew) -> Room {
        let mut room = Room { queue: BTreeSet::new(), loads: BTreeMap::new() };
        let is_free = |node: &NodeId| !self.resting.contains_key(node) && crew.takes_tasks(*node);
        for node in crew.online().filter(is_free) {
            let (held, weight) = self.leases.load(node);
            if held < TASKS_PER_NODE {
                let load = (held, weight, crew.load(node));
                room.queue.insert((load, node));
                room.loads.insert(node, load);
            }
        }
        room
    }

    fn give_waiting(&self, crew: &Crew, room: &mut Room, now: Timestamp) -> Vec<TaskRecord> {
        let mut granted = Vec::new();
        for task in self.tasks.values().filter(|task| task.state == TaskState::Waiting) {
            if room.queue.is_empty() {
                break;
            }
            let Some(open) = self.runs.get(&task.id.run) else { continue };
            let able = |node: NodeId| crew.get(node).is_some_and(|candidate| may_take(open, candidate, task));
            let mut with_room = room.queue.iter().map(|(_, node)| *node).filter(|node| able(*node));
            let first = with_room.next();
            let chosen = match first.filter(|node| task.avoid == Some(*node)) {
                None => first,
                Some(avoided) => with_room.next().or_else(|| {
                    let other = crew.online().any(|node| node != avoided && able(node));
                    (!other || now.since(task.created) > ANOTHER_NODE_WITHIN).then_some(avoided)
                }),
            };
            if let Some(node) = chosen {
                let mut task = task.clone();
                task.lease_to(node, now);
                room.take(node, open.weight.of_targets(&task.targets));
                granted.push(task);
            }
        }
        granted
    }

    /// Cuts new tasks until no node with room can take any. Runs take turns: the one with the fewest tasks out first.
    fn cut_new(&mut self, crew: &Crew, room: &mut Room, granted: &mut Vec<TaskRecord>, now: Timestamp) {
        let cuttable = |run: &RunId| {
            let open = self.runs.get(run)?;
            let out = self.tasks_of(*run).count();
            (open.run.state == RunState::Running && !open.rest.is_empty()).then_some((out, *run))
        };
        let mut turns: BTreeSet<(usize, RunId)> = self.runs.keys().filter_map(cuttable).collect();
        let mut cut: BTreeMap<RunId, u32> = BTreeMap::new();
        while let Some((_, node)) = room.queue.first().copied() {
            let found = turns.iter().find_map(|(out, run)| {
                let open = self.runs.get_mut(run)?;
                let targets = open.plan(crew).cut(node)?;
                Some((*out, *run, open.weight.of_targets(&targets), open.run.tasks, targets))
            });
            let Some((out, run, weight, next, targets)) = found else {
                room.close(node);
                continue;
            };
            turns.remove(&(out, run));
            turns.insert((out + 1, run));
            let count = cut.entry(run).or_default();
            let id = TaskId { run, index: next.saturating_add(*count) };
            *count += 1;
            let mut task = TaskRecord::new(id, Look::First, targets, now);
            task.lease_to(node, now);
            room.take(node, weight);
            granted.push(task);
        }
    }
}
