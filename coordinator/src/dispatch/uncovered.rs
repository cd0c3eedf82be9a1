//! Names what nobody looked at, and why (SPEC D3).

use crate::run::{Look, Run, TaskRecord, TaskState, Uncovered, UncoveredReason};
use protocol::TargetSet;
use std::collections::BTreeMap;

/// The reasons for all of `missing`, the addresses that `run` wanted and nobody settled.
pub fn uncovered(run: &Run, tasks: &[TaskRecord], missing: &TargetSet) -> Vec<Uncovered> {
    let planned = run.uncovered.iter().map(|part| (part.targets.clone(), part.reason));
    let first = tasks.iter().filter(|task| task.look == Look::First);
    let lost = first.map(|task| (task.targets.clone(), task_reason(task)));
    let mut by_reason: BTreeMap<UncoveredReason, TargetSet> = BTreeMap::new();
    for (targets, reason) in planned.chain(lost) {
        let all = by_reason.entry(reason).or_default();
        *all = all.union(&targets.intersection(missing));
    }
    by_reason.retain(|_, targets| !targets.is_empty());
    by_reason.into_iter().map(|(reason, targets)| Uncovered { targets, reason }).collect()
}

fn task_reason(task: &TaskRecord) -> UncoveredReason {
    match task.state {
        TaskState::Failed if task.eligible.is_empty() => UncoveredReason::Refused,
        TaskState::Failed if task.attempts == 0 => UncoveredReason::NodeOffline,
        TaskState::Failed => UncoveredReason::AttemptsUsedUp,
        TaskState::Cancelled => UncoveredReason::Cancelled,
        TaskState::Waiting | TaskState::Leased | TaskState::Done | TaskState::Partial => UncoveredReason::NotFinished,
    }
}
