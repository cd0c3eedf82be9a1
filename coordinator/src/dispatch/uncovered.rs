//! Names what nobody looked at, and why (SPEC D3).

use crate::run::{Look, Run, TaskRecord, TaskState, Uncovered, UncoveredReason};
use protocol::TargetSet;
use std::collections::BTreeMap;

/// The reasons for all of `missing`, the addresses that `run` wanted and nobody settled; each address once.
///
/// What was never in a task has the run's own reason, otherwise the task that had it last tells.
pub fn uncovered(run: &Run, tasks: &[TaskRecord], missing: &TargetSet) -> Vec<Uncovered> {
    let never_cut = run.uncovered.iter().map(|part| (&part.targets, part.reason));
    let first = tasks.iter().rev().filter(|task| task.look == Look::First);
    let lost = first.filter_map(|task| Some((&task.targets, task_reason(task)?)));
    let mut unnamed = missing.clone();
    let mut by_reason: BTreeMap<UncoveredReason, TargetSet> = BTreeMap::new();
    for (targets, reason) in never_cut.chain(lost) {
        let named = targets.intersection(&unnamed);
        if !named.is_empty() {
            unnamed = unnamed.minus(&named);
            let all = by_reason.entry(reason).or_default();
            *all = all.union(&named);
        }
    }
    by_reason.into_iter().map(|(reason, targets)| Uncovered { targets, reason }).collect()
}

/// `None` for a task whose addresses went into others.
fn task_reason(task: &TaskRecord) -> Option<UncoveredReason> {
    match task.state {
        TaskState::Failed => Some(task.gap.unwrap_or(UncoveredReason::AttemptsUsedUp)),
        TaskState::Cancelled => task.gap,
        TaskState::Waiting | TaskState::Leased | TaskState::Done | TaskState::Partial => {
            Some(UncoveredReason::NotFinished)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{NOW, made_up_run};
    use protocol::task::TaskId;

    #[test]
    fn each_missing_address_is_named_once_by_the_task_that_had_it_last() {
        let mut run = made_up_run(1, "10.0.0.0/24", "22", "");
        let task = |index, targets: &str| {
            let id = TaskId { run: run.id, index };
            TaskRecord::new(id, Look::First, targets.parse().unwrap(), NOW)
        };
        let mut cut_anew = task(0, "10.0.0.0/26");
        cut_anew.cut_anew(NOW);
        let mut failed = task(1, "10.0.0.0/27");
        failed.fail(UncoveredReason::AttemptsUsedUp, "silence".into(), NOW);
        let mut refused = task(2, "10.0.0.32/27");
        refused.fail(UncoveredReason::Refused, "policy".into(), NOW);
        let mut partial = task(3, "10.0.0.64/26");
        partial.state = TaskState::Partial;
        let alone = Uncovered { targets: "10.0.0.128/25".parse().unwrap(), reason: UncoveredReason::NodeOffline };
        let missing: TargetSet = "10.0.0.0/26,10.0.0.100,10.0.0.200".parse().unwrap();
        run.uncovered = vec![alone];
        let named = uncovered(&run, &[cut_anew, failed, refused, partial], &missing);
        let words: Vec<String> = named.iter().map(|part| format!("{} {:?}", part.targets, part.reason)).collect();
        assert_eq!(
            words,
            ["10.0.0.200 NodeOffline", "10.0.0.32/27 Refused", "10.0.0.0/27 AttemptsUsedUp", "10.0.0.100 NotFinished"]
        );
    }
}
