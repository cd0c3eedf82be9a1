//! The tasks of a run, page by page.

use super::Labels;
use crate::filters::Percent;
use crate::look::Badge;
use coordinator::run::{Look, TaskRecord, TaskState};
use coordinator::{RunView, TaskView};
use protocol::message::RunningTask;
use protocol::task::TaskId;
use protocol::{NodeId, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// How many tasks stand on one page.
const PAGE: u32 = 50;

/// Some of the tasks of a run, in order.
#[derive(Default)]
pub(crate) struct Tasks {
    /// How many were cut so far.
    pub(crate) total: u32,
    pub(crate) rows: Vec<TaskRow>,
    /// The first number that was asked for; `None` for the newest tasks.
    pub(crate) first: Option<u32>,
    /// Where the page before begins.
    pub(crate) earlier: Option<u32>,
    /// Where the page behind begins.
    pub(crate) later: Option<u32>,
}

/// One task of the run.
pub(crate) struct TaskRow {
    pub(crate) id: TaskId,
    pub(crate) is_second_look: bool,
    pub(crate) targets: String,
    /// The only ports that it looks at; empty for those of the run.
    pub(crate) ports: String,
    pub(crate) state: Badge,
    pub(crate) why: String,
    pub(crate) node: String,
    /// Number of the latest lease; 0 before the first.
    pub(crate) lease: u64,
    pub(crate) leased: Option<Timestamp>,
    pub(crate) attempts: u32,
    /// Of its cells; not told before it starts, nor of one that ended early.
    pub(crate) progress: Option<Percent>,
    pub(crate) took: Option<Duration>,
}

impl Tasks {
    /// The newest ones: among them are those that are open.
    pub(super) fn newest(view: &RunView, labels: &Labels) -> Self {
        let start = view.run.tasks.saturating_sub(PAGE);
        let newest = view.tasks.iter().filter(|task| task.record.id.index >= start).map(|task| &task.record);
        let rows = TaskRow::all(newest, view, labels);
        let earlier = (start > 0).then(|| start.saturating_sub(PAGE));
        Self { total: view.run.tasks, rows, first: None, earlier, later: None }
    }

    /// A page of `records`, which are in order and begin with number `first`.
    pub(super) fn from(view: &RunView, first: u32, records: &[TaskRecord], labels: &Labels) -> Self {
        let total = view.run.tasks;
        let behind = first.saturating_add(PAGE);
        let shown = records.iter().filter(|task| task.id.index < behind);
        let rows = TaskRow::all(shown, view, labels);
        let earlier = (first > 0).then(|| first.saturating_sub(PAGE));
        Self { total, rows, first: Some(first), earlier, later: (behind < total).then_some(behind) }
    }
}

impl TaskRow {
    fn all<'a>(records: impl Iterator<Item = &'a TaskRecord>, view: &RunView, labels: &Labels) -> Vec<Self> {
        let running = |TaskView { record, running, .. }: &TaskView| Some((record.id, running.clone()?));
        let running: BTreeMap<TaskId, RunningTask> = view.tasks.iter().filter_map(running).collect();
        records.map(|record| Self::of(record, running.get(&record.id), labels)).collect()
    }

    fn of(record: &TaskRecord, running: Option<&RunningTask>, labels: &Labels) -> Self {
        let TaskRecord { id, look, targets, ports, state, fence, attempts, holder, leased, ended, reason, .. } = record;
        let done = running.map(|task| Percent::of(task.cells_done.into(), task.cells_total.into()));
        let name = |node: NodeId| labels.get(&node).cloned().unwrap_or_else(|| node.to_string());
        Self {
            id: *id,
            is_second_look: *look == Look::Second,
            targets: targets.to_string(),
            ports: ports.as_ref().map(ToString::to_string).unwrap_or_default(),
            state: (*state).into(),
            why: reason.to_string(),
            node: holder.map(name).unwrap_or_default(),
            lease: *fence,
            leased: *leased,
            attempts: *attempts,
            progress: if *state == TaskState::Done { Some(Percent(100)) } else { done },
            took: leased.zip(*ended).map(|(leased, ended)| ended.since(leased)),
        }
    }
}
