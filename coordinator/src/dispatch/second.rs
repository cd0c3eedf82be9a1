//! Cuts the second look of a run (SPEC R4): the same way as the first, by another node where there is one.

use crate::run::{Look, TaskRecord};
use protocol::task::{RunId, TaskId};
use protocol::{NodeId, TargetSet, Timestamp};
use std::collections::BTreeMap;

/// How many addresses one task of a second look has at most.
const SECOND_LOOK_ADDRESSES: u128 = 64;

/// Tasks that look at `doubtful` again, counted from `next_index`, after the tasks of the `first` look.
pub fn second_look(
    run: RunId,
    next_index: u32,
    first: &[TaskRecord],
    doubtful: &TargetSet,
    now: Timestamp,
) -> Vec<TaskRecord> {
    let mut tasks = Vec::new();
    let mut indexes = next_index..;
    for (eligible, targets) in second_lookers(first, doubtful) {
        let mut rest = targets;
        while let Some(index) = indexes.next().filter(|_| !rest.is_empty()) {
            let (targets, left) = rest.split_at(SECOND_LOOK_ADDRESSES);
            let id = TaskId { run, index };
            tasks.push(TaskRecord::new(id, Look::Second, targets, eligible.clone(), now));
            rest = left;
        }
    }
    tasks
}

/// Who looks at what again: a node other than the first one where there is one.
fn second_lookers(first: &[TaskRecord], doubtful: &TargetSet) -> BTreeMap<Vec<NodeId>, TargetSet> {
    let mut lookers: BTreeMap<Vec<NodeId>, TargetSet> = BTreeMap::new();
    for task in first {
        let targets = task.targets.intersection(doubtful);
        if targets.is_empty() {
            continue;
        }
        let others: Vec<NodeId> = task.eligible.iter().copied().filter(|node| Some(*node) != task.holder).collect();
        let eligible = if others.is_empty() { task.holder.into_iter().collect() } else { others };
        let all = lookers.entry(eligible).or_default();
        *all = all.union(&targets);
    }
    lookers
}
