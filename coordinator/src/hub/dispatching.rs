//! The regular look at runs: plan what is queued, take back what ran out, give out what waits, close what is done.

use super::Hub;
use super::letters::Release;
use crate::closing::{self, Closing};
use crate::dispatch::grants;
use crate::dispatch::plan::{Candidate, Plan, plan};
use crate::events::Event;
use crate::run::{Look, Run, RunState, TaskRecord, TaskState};
use crate::store::tables::{OPEN_RUNS, RUNS, TASKS};
use crate::store::{Reads, StoreError};
use protocol::letter::{Purpose, Sealed};
use protocol::message::Announcement;
use protocol::task::{RunId, TaskId, TaskSpec, seal_context};
use protocol::text::Text;
use protocol::{NodeId, Timestamp, codec};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a second look may wait for a node (SPEC R4).
const SECOND_LOOK_WITHIN: Duration = Duration::from_secs(60);

/// What a scan without a port list is reckoned to have, for the size of its tasks.
const DEFAULT_PORTS: u32 = 1_000;

impl Hub {
    /// Does all that is due. A step that the store fails is said and tried again at the next tick; the others go on.
    pub(super) async fn on_tick(&mut self, now: Timestamp) {
        if now.since(self.ticked) > self.timing.lease / 2 {
            // We were away ourselves, or the clock was set: what nodes said meanwhile is still to be read.
            self.leases.extend_all(now, self.timing.grace);
        }
        self.ticked = now;
        self.release_waiting(now);
        said("renew the roster", self.renew_roster(now).await);
        said("read open runs", self.pick_up_runs().await);
        said("plan runs", self.plan_queued(now).await);
        said("take tasks back", self.take_back_overdue(now).await);
        said("give up on tasks", self.fail_unwanted(now).await);
        said("give out tasks", self.give_out(now).await);
        self.close_finished(now).await;
    }

    /// Reads runs that were open when the coordinator stopped, and gives their leases a time of grace.
    pub(super) async fn resume(&mut self, now: Timestamp) -> Result<(), StoreError> {
        closing::sweep(&self.store).await?;
        self.pick_up_runs().await?;
        let leased = self.tasks.values().filter(|task| task.state == TaskState::Leased);
        for (task, holder) in leased.filter_map(|task| Some((task, task.holder?))) {
            self.leases.grant(task.id, holder, task.fence, now);
        }
        self.leases.extend_all(now, self.timing.grace);
        let open: Vec<TaskRecord> =
            self.tasks.values().filter(|task| task.state == TaskState::Leased).cloned().collect();
        for task in open {
            self.announce(&task, now);
        }
        Ok(())
    }

    /// Reads open runs that the hub does not know yet, with their tasks.
    async fn pick_up_runs(&mut self) -> Result<(), StoreError> {
        let known: BTreeSet<RunId> = self.runs.keys().copied().collect();
        let found = self
            .store
            .read(move |view| {
                let mut found = Vec::new();
                for row in view.iter(&OPEN_RUNS) {
                    let (_, run) = row?;
                    if known.contains(&run) {
                        continue;
                    }
                    let tasks = view
                        .within(&TASKS, &run)
                        .map(|row| row.map(|(_, task)| task))
                        .collect::<Result<Vec<_>, _>>()?;
                    found.extend(view.get(&RUNS, &run)?.map(|run| (run, tasks)));
                }
                Ok::<_, StoreError>(found)
            })
            .await?;
        for (run, tasks) in found {
            self.tasks.extend(tasks.into_iter().map(|task| (task.id, task)));
            self.runs.insert(run.id, run);
        }
        Ok(())
    }

    fn online(&self, now: Timestamp) -> BTreeSet<NodeId> {
        let all = self.presences.all();
        let here = all.iter().filter(|(node, presence)| {
            self.mesh.connected(node) && now.since(presence.last_seen) <= self.timing.offline_after
        });
        here.map(|(node, _)| *node).collect()
    }

    /// Cuts queued runs into tasks once a node is there; fails those that waited too long.
    async fn plan_queued(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let queued: Vec<Run> = self.runs.values().filter(|run| run.state == RunState::Queued).cloned().collect();
        for run in queued {
            let plan = self.plan_run(&run, now).await?;
            let overdue = now.since(run.created) > self.timing.queue_deadline;
            if plan.tasks.is_empty() && !overdue {
                continue;
            }
            let Some((run, tasks)) = self.start_run(run, plan, now).await? else { continue };
            self.tell(&run);
            self.tasks.extend(tasks.into_iter().map(|task| (task.id, task)));
            self.runs.insert(run.id, run);
        }
        Ok(())
    }

    async fn plan_run(&mut self, run: &Run, now: Timestamp) -> Result<Plan, StoreError> {
        let (online, site) = (self.online(now), run.definition.site().clone());
        let nodes = self.store.read(crate::use_case::nodes::all).await?;
        let candidates: Vec<Candidate> = nodes
            .iter()
            .filter_map(|node| node.approval().map(|approval| (node.key, approval)))
            .filter(|(_, approval)| approval.site == site && approval.expires.is_none_or(|end| now <= end))
            .map(|(node, approval)| Candidate { node, ranges: approval.ranges.clone(), online: online.contains(&node) })
            .collect();
        let ports = run.definition.ports().map_or(DEFAULT_PORTS, |ports| ports.count());
        Ok(plan(&run.wanted(), ports, &candidates))
    }

    async fn start_run(
        &mut self,
        mut run: Run,
        plan: Plan,
        now: Timestamp,
    ) -> Result<Option<(Run, Vec<TaskRecord>)>, StoreError> {
        let tasks: Vec<TaskRecord> = (0u32..)
            .zip(plan.tasks)
            .map(|(index, planned)| {
                let id = TaskId { run: run.id, index };
                TaskRecord::new(id, Look::First, planned.targets, planned.eligible, now)
            })
            .collect();
        run.tasks = u32::try_from(tasks.len()).unwrap_or(u32::MAX);
        run.uncovered = plan.uncovered;
        run.started = Some(now);
        run.state = RunState::Running;
        self.store
            .update(move |draft| {
                if draft.get(&RUNS, &run.id)?.is_none_or(|kept| kept.state != RunState::Queued) {
                    return Ok(None);
                }
                for task in &tasks {
                    draft.put(&TASKS, &task.id, task)?;
                }
                draft.put(&RUNS, &run.id, &run)?;
                Ok(Some((run, tasks)))
            })
            .await
    }

    /// Takes tasks back whose holder fell silent or forgot them.
    async fn take_back_overdue(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let boots: BTreeMap<NodeId, u64> =
            self.presences.all().into_iter().map(|(node, presence)| (node, presence.boot)).collect();
        for (task, lease) in self.leases.overdue(now, &boots) {
            tracing::info!(node.id = %lease.holder, task.id = %task, "a lease ran out");
            let reason = Text::new(&format!("no word from {}", lease.holder));
            self.release(task, lease.fence, Release::Lost(reason), now).await?;
        }
        self.take_back_endless(now).await
    }

    /// Takes tasks back that are renewed without end: only the node keeps its own time limit.
    async fn take_back_endless(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let longest = self.timing.task_limit * 2 + self.timing.grace;
        let leased = self.tasks.values().filter(|task| task.state == TaskState::Leased);
        let endless: Vec<(TaskId, u64)> = leased
            .filter(|task| task.leased.is_some_and(|since| now.since(since) > longest))
            .map(|task| (task.id, task.fence))
            .collect();
        for (task, fence) in endless {
            tracing::warn!(task.id = %task, "a task took far longer than its time limit");
            let reason = "it took far longer than its time limit".into();
            self.release(task, fence, Release::Lost(reason), now).await?;
        }
        Ok(())
    }

    /// Fails waiting tasks that no node has been able to take for too long.
    async fn fail_unwanted(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let online = self.online(now);
        let patience = |task: &TaskRecord| match task.look {
            Look::First => self.timing.queue_deadline,
            Look::Second => self.timing.queue_deadline.min(SECOND_LOOK_WITHIN),
        };
        let given_up: Vec<TaskRecord> = self
            .tasks
            .values()
            .filter(|task| task.state == TaskState::Waiting && !task.eligible.iter().any(|node| online.contains(node)))
            .filter(|task| now.since(task.waits_since()) > patience(task))
            .cloned()
            .collect();
        for mut task in given_up {
            task.state = TaskState::Failed;
            task.ended = Some(now);
            task.reason = "no node that may scan it came online in time".into();
            if self.store_waiting(&task).await? {
                self.tasks.insert(task.id, task);
            }
        }
        Ok(())
    }

    /// Gives waiting tasks to nodes with room: stored first, then announced.
    async fn give_out(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.resting.retain(|_, until| now < *until);
        let mut able = self.online(now);
        able.retain(|node| !self.resting.contains_key(node));
        let given = grants(self.tasks.values(), &self.leases, &able);
        for (id, node) in given {
            let Some(mut task) = self.tasks.get(&id).cloned() else { continue };
            task.lease_to(node, now);
            if !self.store_waiting(&task).await? {
                continue;
            }
            self.leases.grant(id, node, task.fence, now.plus(self.timing.lease));
            self.announce(&task, now);
            self.tasks.insert(id, task);
            self.tell_run(id.run);
        }
        Ok(())
    }

    /// Stores what becomes of a waiting task, unless it was cancelled meanwhile; then false.
    async fn store_waiting(&mut self, task: &TaskRecord) -> Result<bool, StoreError> {
        let task = task.clone();
        self.store
            .update(move |draft| {
                let waits = draft.get(&TASKS, &task.id)?.is_some_and(|kept| kept.state == TaskState::Waiting);
                if waits {
                    draft.put(&TASKS, &task.id, &task)?;
                }
                Ok(waits)
            })
            .await
    }

    /// Gossips a leased task; its body is sealed to the holder.
    fn announce(&mut self, task: &TaskRecord, now: Timestamp) {
        let (Some(holder), Some(run)) = (task.holder, self.runs.get(&task.id.run)) else { return };
        let Some(key) = self.sealing.get(&holder) else { return };
        let spec = TaskSpec {
            targets: task.targets.clone(),
            ports: run.definition.ports().cloned(),
            args: run.definition.args().clone(),
            engine: run.definition.engine(),
            time_limit: self.timing.task_limit,
        };
        let context = seal_context(task.id, task.fence);
        let spec = match Sealed::new(&codec::encode(&spec), key, Purpose::TaskSpec, self.author.mesh(), &context) {
            Ok(spec) => spec,
            Err(error) => return tracing::warn!(node.id = %holder, %error, "cannot seal a task to this node"),
        };
        self.announced += 1;
        let announcement = Announcement {
            number: self.announced,
            holder,
            task: task.id,
            fence: task.fence,
            lease_ms: u32::try_from(self.timing.lease.as_millis()).unwrap_or(u32::MAX),
            spec,
        };
        let envelope = self.author.sign(&announcement, self.roster.epoch, now);
        self.mesh.publish(envelope);
    }

    /// Closes runs whose tasks have all ended, after a second look where one is needed.
    async fn close_finished(&mut self, now: Timestamp) {
        let finished: Vec<RunId> = self
            .runs
            .values()
            .filter(|run| run.state != RunState::Queued)
            .map(|run| run.id)
            .filter(|run| self.tasks_of(*run).all(|task| task.state.is_final()))
            .collect();
        for id in finished {
            match closing::close(&self.store, id, now).await {
                Ok(Closing::LooksAgain { run, tasks }) => {
                    tracing::info!(run.id = %id, tasks = tasks.len(), "a run takes a second look");
                    self.tell(&run);
                    self.runs.insert(id, run);
                    self.tasks.extend(tasks.into_iter().map(|task| (task.id, task)));
                    said("give out tasks", self.give_out(now).await);
                }
                Ok(Closing::Closed { run, alerts_changed }) => {
                    tracing::info!(run.id = %id, state = run.state.name(), "a run ended");
                    self.tell(&run);
                    if alerts_changed {
                        self.events.publish(Event::Alerts { scan: run.scan });
                    }
                    self.drop_run(id);
                }
                Err(error) => tracing::error!(%error, run.id = %id, "a run cannot be closed; it is tried again"),
            }
        }
    }

    fn tasks_of(&self, run: RunId) -> impl Iterator<Item = &TaskRecord> {
        let (first, last) = (TaskId { run, index: 0 }, TaskId { run, index: u32::MAX });
        self.tasks.range(first..=last).map(|(_, task)| task)
    }

    /// Forgets a run that ended.
    pub(super) fn drop_run(&mut self, run: RunId) {
        let ended: Vec<(TaskId, u64)> = self.tasks_of(run).map(|task| (task.id, task.fence)).collect();
        for (task, fence) in ended {
            self.leases.end(task, fence);
            self.mesh.forget_announcement(task, fence);
            self.tasks.remove(&task);
        }
        self.uploads.forget(|(_, task, _)| task.run == run);
        self.runs.remove(&run);
    }

    /// Tells live pages that a run moved.
    pub(super) fn tell_run(&self, run: RunId) {
        if let Some(run) = self.runs.get(&run) {
            self.tell(run);
        }
    }

    fn tell(&self, run: &Run) {
        self.events.publish(Event::Run { run: run.id, scan: run.scan, state: run.state });
    }
}

/// Says what failed; it is tried again at the next tick.
fn said(what: &str, done: Result<(), StoreError>) {
    if let Err(error) = done {
        tracing::error!(%error, "cannot {what}; it is tried again");
    }
}
