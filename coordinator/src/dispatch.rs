//! From a run to tasks, and from tasks to holders: pure decisions, no clock, no store, no network.

pub mod lease;
pub mod plan;
pub mod second;
pub mod uncovered;

use crate::run::{TaskRecord, TaskState};
use lease::LeaseBook;
use protocol::NodeId;
use protocol::task::TaskId;
use std::collections::{BTreeMap, BTreeSet};

/// How many tasks a node holds at a time: one to work on, one to go on with.
pub const TASKS_PER_NODE: usize = 2;

/// Which waiting task to give to whom now: in task order, each to its least loaded online node with room.
pub fn grants<'a>(
    tasks: impl IntoIterator<Item = &'a TaskRecord>,
    leases: &LeaseBook,
    online: &BTreeSet<NodeId>,
) -> Vec<(TaskId, NodeId)> {
    let mut load: BTreeMap<NodeId, usize> = online.iter().map(|node| (*node, leases.load(*node))).collect();
    let mut grants = Vec::new();
    for task in tasks.into_iter().filter(|task| task.state == TaskState::Waiting) {
        let room = task.eligible.iter().filter_map(|node| load.get(node).map(|held| (*held, *node)));
        if let Some((held, node)) = room.filter(|(held, _)| *held < TASKS_PER_NODE).min() {
            load.insert(node, held + 1);
            grants.push((task.id, node));
        }
    }
    grants
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Look;
    use protocol::Timestamp;
    use protocol::task::RunId;

    fn node(number: u8) -> NodeId {
        NodeId::from_bytes([number; 32])
    }

    fn task(index: u32, eligible: &[u8]) -> TaskRecord {
        let eligible = eligible.iter().map(|number| node(*number)).collect();
        let (id, targets) = (TaskId { run: RunId(1), index }, "127.0.10.1".parse().unwrap());
        TaskRecord::new(id, Look::First, targets, eligible, Timestamp::from_millis(1))
    }

    #[test]
    fn tasks_go_evenly_to_those_with_room() {
        let tasks: Vec<TaskRecord> = (0..8).map(|index| task(index, &[1, 2])).collect();
        let mut leases = LeaseBook::default();
        leases.grant(TaskId { run: RunId(9), index: 0 }, node(1), 1, Timestamp::from_millis(0));
        let given = grants(&tasks, &leases, &[node(1), node(2)].into());
        let count = |number| given.iter().filter(|(_, to)| *to == node(number)).count();
        assert_eq!((count(1), count(2)), (1, 2));
    }

    #[test]
    fn a_task_waits_for_a_node_that_may_take_it() {
        let tasks = [task(0, &[1]), task(1, &[2])];
        let given = grants(&tasks, &LeaseBook::default(), &[node(2), node(3)].into());
        assert_eq!(given, [(tasks[1].id, node(2))]);
    }
}
