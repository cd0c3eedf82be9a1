//! The path of one result: checked against the lease and the task's scope, then stored whole, once.

mod scope;

use crate::run::{Look, Tally, TaskRecord, TaskState};
use crate::store::tables::{NODES, RUNS, STAGED, STAGED_AGAIN, TASK_COVERAGE, TASKS};
use crate::store::{Draft, Reads, Store, StoreError, Table};
use protocol::codec::{Decode, Encode};
use protocol::message::{ReceiptOutcome, TaskResult};
use protocol::observation::{Coverage, HostObservation, HostState};
use protocol::task::{RunId, TaskId};
use protocol::{NodeId, Timestamp};
use std::net::IpAddr;

/// What a task with a result looked at, and when.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TaskCoverage {
    /// Who looked.
    pub node: NodeId,
    /// When it began, by the node's clock.
    pub started: Timestamp,
    /// When it ended, by the node's clock.
    pub ended: Timestamp,
    /// What was looked at.
    pub coverage: Coverage,
    /// Hosts that it told of.
    pub hosts: u32,
}

/// What became of a result: the receipt, and the task if this result ended it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// What the node is told.
    pub(crate) outcome: ReceiptOutcome,
    /// The task as it stands now, when this result was stored.
    pub(crate) ended: Option<TaskRecord>,
}

impl From<ReceiptOutcome> for Taken {
    fn from(outcome: ReceiptOutcome) -> Self {
        Self { outcome, ended: None }
    }
}

/// Takes one result from `sender`. When this returns, it is on disk or will never be.
///
/// Accepted is: the first result for a task, from its latest holder, under its latest lease, from an approved node,
/// about addresses and ports of the task and nothing else.
pub(crate) async fn take(
    store: &Store,
    sender: NodeId,
    result: TaskResult,
    now: Timestamp,
) -> Result<Taken, StoreError> {
    store
        .update(move |draft| {
            if let Some(settled) = settled(draft, result.task, result.fence, sender)? {
                return Ok(settled.into());
            }
            let Some(task) = draft.get(&TASKS, &result.task)? else {
                return Ok(ReceiptOutcome::Rejected("there is no such task".into()).into());
            };
            if let Some(refusal) = member_fault(draft, sender, now)? {
                return Ok(refusal.into());
            }
            let Some(run) = draft.get(&RUNS, &task.id.run)? else {
                return Ok(ReceiptOutcome::Rejected("its run is gone".into()).into());
            };
            if let Some(fault) = scope::fault(&task, &run.definition, &result) {
                return Ok(ReceiptOutcome::Rejected(fault.into()).into());
            }
            let task = ended(task, &result, now);
            keep(draft, sender, &task, result)?;
            Ok(Taken { outcome: ReceiptOutcome::Stored, ended: Some(task) })
        })
        .await
}

/// The receipt for an offered result that need not be sent at all; `None` when its pieces are wanted.
pub(crate) fn settled(
    reads: &impl Reads,
    task: TaskId,
    fence: u64,
    sender: NodeId,
) -> Result<Option<ReceiptOutcome>, StoreError> {
    let Some(record) = reads.get(&TASKS, &task)? else {
        return Ok(Some(ReceiptOutcome::Rejected("there is no such task".into())));
    };
    if reads.contains(&TASK_COVERAGE, &task)? {
        return Ok(Some(ReceiptOutcome::Duplicate));
    }
    Ok((!record.accepts(sender, fence)).then_some(ReceiptOutcome::Superseded))
}

fn member_fault(draft: &Draft, sender: NodeId, now: Timestamp) -> Result<Option<ReceiptOutcome>, StoreError> {
    let node = draft.get(&NODES, &sender)?;
    let approval = node.as_ref().and_then(|node| node.approval());
    if approval.is_some_and(|approval| approval.expires.is_none_or(|end| now <= end)) {
        Ok(None)
    } else {
        Ok(Some(ReceiptOutcome::Rejected("this node is not approved any more".into())))
    }
}

fn ended(mut task: TaskRecord, result: &TaskResult, now: Timestamp) -> TaskRecord {
    let whole = result.coverage.asked.covers(&task.targets) && result.shortfall.is_none();
    task.state = if whole { TaskState::Done } else { TaskState::Partial };
    task.ended = Some(now);
    task.reason = result.shortfall.clone().unwrap_or_default();
    task
}

/// Where the hosts of such a task wait for the end of their run.
fn staged(look: Look) -> &'static Table<(RunId, IpAddr), HostObservation> {
    match look {
        Look::First => &STAGED,
        Look::Second => &STAGED_AGAIN,
    }
}

fn keep(draft: &mut Draft, node: NodeId, task: &TaskRecord, result: TaskResult) -> Result<(), StoreError> {
    let TaskResult { task: id, fence: _, started, ended, coverage, hosts, shortfall: _, default_ports: _ } = result;
    let staged = staged(task.look);
    for host in &hosts {
        draft.put(staged, &(id.run, host.address), host)?;
    }
    let up = hosts.iter().filter(|host| host.state == HostState::Up).count();
    Tally::count(draft, task, u32::try_from(up).unwrap_or(u32::MAX))?;
    let hosts = u32::try_from(hosts.len()).unwrap_or(u32::MAX);
    draft.put(&TASK_COVERAGE, &id, &TaskCoverage { node, started, ended, coverage, hosts })?;
    draft.put(&TASKS, &id, task)
}

#[cfg(test)]
mod tests;
