//! The regular look at runs: begin what is queued, take back what ran out, give out what there is room for, close what
//! is done.

use super::letters::Release;
use super::{Hub, ledger};
use crate::closing::{self, Closing};
use crate::dispatch::Patience;
use crate::events::Event;
use crate::run::{Run, TaskRecord};
use crate::store::tables::OPEN_RUNS;
use crate::store::{Reads, StoreError};
use protocol::letter::{Purpose, Sealed};
use protocol::message::Announcement;
use protocol::task::{RunId, TaskSpec, seal_context};
use protocol::{NodeId, Timestamp, codec};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a second look may wait for a node (SPEC R4).
const SECOND_LOOK_WITHIN: Duration = Duration::from_secs(60);

impl Hub {
    /// Does all that is due. A step that the store fails is said and tried again at the next tick; the others go on.
    pub(super) async fn on_tick(&mut self, now: Timestamp) {
        if now < self.ticked {
            self.presences.clock_was_set(now);
            self.enrolment.clock_was_set(now);
            self.twins.clock_was_set();
        }
        let half = self.timing.lease / 2;
        if now.since(self.ticked) > half || self.ticked.since(now) > half {
            // We were away ourselves, or the clock was set: what nodes said meanwhile is still to be read.
            self.work.clock_was_set(self.ticked, now, self.timing.grace);
            self.began = now;
        }
        self.ticked = now;
        self.release_waiting(now);
        said("mind a restore", self.mind_restore(now).await);
        said("mind what ends", self.mind_ends(now).await);
        self.look_around(now);
        self.watch_nodes(now).await;
        said("read open runs", self.pick_up_runs().await);
        said("begin runs", self.begin_queued(now).await);
        said("take tasks back", self.take_back_overdue(now).await);
        self.closings.try_again();
        said("give up on tasks", self.give_up(now).await);
        self.go_on(now).await;
    }

    /// Gives out what there is room for, and has closed what is done.
    pub(super) async fn go_on(&mut self, now: Timestamp) {
        said("give out tasks", self.give_out(now).await);
        said("name what nobody covers", self.name_rests(now).await);
        self.close_finished(now);
    }

    /// Reads runs that were open when the coordinator stopped, and gives their leases a time of grace.
    pub(super) async fn resume(&mut self, now: Timestamp) -> Result<(), StoreError> {
        closing::sweep(&self.store).await?;
        self.pick_up_runs().await?;
        self.work.resume_leases(now, self.timing.grace);
        let leased: Vec<TaskRecord> = self.work.leased().cloned().collect();
        for task in leased {
            self.announce(&task, now);
        }
        Ok(())
    }

    /// Reads open runs that the hub does not know yet, with their open tasks.
    async fn pick_up_runs(&mut self) -> Result<(), StoreError> {
        let known = self.work.run_ids();
        let found = self
            .store
            .read(move |view| {
                let open = view.iter(&OPEN_RUNS).map(|row| row.map(|(_, run)| run)).collect::<Result<Vec<_>, _>>()?;
                let unknown = open.into_iter().filter(|run| !known.contains(run));
                unknown.map(|run| ledger::open_run(view, run)).collect::<Result<Vec<_>, StoreError>>()
            })
            .await?;
        for ledger::Found { run, rest, tasks } in found.into_iter().flatten() {
            self.work.take_up(run, rest, tasks);
        }
        Ok(())
    }

    /// Begins queued runs that a node can take.
    async fn begin_queued(&mut self, now: Timestamp) -> Result<(), StoreError> {
        for run in self.work.startable(&self.crew) {
            let id = run.id;
            if let Some(run) = self.store.update(move |draft| ledger::begin(draft, id, now)).await? {
                self.tell(&run);
                let rest = run.wanted();
                self.work.run_changed(run, rest);
            }
        }
        Ok(())
    }

    /// Names the addresses that nobody will take, so that they hold up nothing.
    async fn name_rests(&mut self, now: Timestamp) -> Result<(), StoreError> {
        for (run, uncovered) in self.work.hopeless(&self.crew, now, self.timing.queue_deadline) {
            let id = run.id;
            let named = self.store.update(move |draft| ledger::name_rest(draft, id, uncovered, now)).await?;
            if let Some(run) = named {
                self.tell(&run);
                self.work.run_changed(run, protocol::TargetSet::empty());
            }
        }
        Ok(())
    }

    /// Takes tasks back whose holder fell silent or forgot them, or that are renewed without end: only the node keeps
    /// its own time limit.
    async fn take_back_overdue(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let boots: BTreeMap<NodeId, u64> =
            self.presences.each(|node, presence| (node, presence.boot)).into_iter().collect();
        let longest = self.timing.task_limit * 2 + self.timing.grace;
        for (task, fence, reason) in self.work.overdue(now, &boots, longest) {
            tracing::info!(task.id = %task, task.fence = fence, %reason, "a lease was taken back");
            self.release(task, fence, Release::Lost(reason), now).await?;
        }
        Ok(())
    }

    /// Ends waiting tasks that no node will take, or cuts them anew.
    async fn give_up(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let patience = Patience(self.timing.queue_deadline.min(SECOND_LOOK_WITHIN));
        for task in self.work.given_up(&self.crew, now, patience) {
            let given_up = task.clone();
            if self.store.update(move |draft| ledger::give_up(draft, &given_up)).await? {
                tracing::info!(task.id = %task.id, state = task.state.name(), reason = %task.reason, "a task was given up");
                self.tell_run(task.id.run);
                self.work.gave_up(task);
            }
        }
        Ok(())
    }

    /// Gives tasks to nodes with room: stored first, then announced.
    async fn give_out(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let leased = self.work.grants(&self.crew, now);
        if leased.is_empty() {
            return Ok(());
        }
        if !self.has_room().await {
            self.work.not_granted();
            return Ok(());
        }
        let count = leased.len();
        let kept = match self.store.update(move |draft| ledger::grant(draft, leased)).await {
            Ok(kept) => kept,
            Err(error) => {
                self.work.not_granted();
                return Err(error);
            }
        };
        if kept.len() < count {
            self.work.not_granted();
        }
        let mut runs: Vec<RunId> = kept.iter().map(|task| task.id.run).collect();
        for task in kept {
            self.announce(&task, now);
            self.work.granted(task, now.plus(self.timing.lease));
        }
        runs.dedup();
        runs.into_iter().for_each(|run| self.tell_run(run));
        Ok(())
    }

    /// Gossips a leased task; its body is sealed to the holder.
    fn announce(&mut self, task: &TaskRecord, now: Timestamp) {
        let (Some(holder), Some(run)) = (task.holder, self.work.run(task.id.run)) else { return };
        let Some(member) = self.members.get(&holder) else { return };
        let spec = TaskSpec {
            targets: task.targets.clone(),
            ports: task.ports.as_ref().or(run.definition.ports()).cloned(),
            args: run.definition.args().clone(),
            engine: run.definition.engine(),
            time_limit: self.timing.task_limit,
        };
        let context = seal_context(task.id, task.fence);
        let sealed =
            Sealed::new(&codec::encode(&spec), &member.sealing, Purpose::TaskSpec, self.author.mesh(), &context);
        let spec = match sealed {
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

    /// Has runs closed whose tasks have all ended; what that comes to is for [`Hub::on_closed`].
    fn close_finished(&mut self, now: Timestamp) {
        for run in self.work.finished() {
            self.closings.begin(&self.store, run, now);
        }
    }

    /// A run was closed, or takes a second look first.
    pub(super) async fn on_closed(&mut self, id: RunId, closed: Result<Closing, StoreError>, now: Timestamp) {
        if self.work.run(id).is_none() {
            return tracing::debug!(run.id = %id, "a run was cancelled while it was closed");
        }
        match closed {
            Ok(Closing::LooksAgain { run, tasks }) => {
                tracing::info!(run.id = %id, tasks = tasks.len(), "a run takes a second look");
                self.tell(&run);
                self.work.add(run, tasks);
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
        self.go_on(now).await;
    }

    /// Forgets a run that ended.
    pub(super) fn drop_run(&mut self, run: RunId) {
        for (task, fence) in self.work.drop_run(run) {
            self.mesh.forget_announcement(task, fence);
        }
        self.uploads.forget(|(_, task, _)| task.run == run);
    }

    /// Tells live pages that a run moved.
    pub(super) fn tell_run(&self, run: RunId) {
        if let Some(run) = self.work.run(run) {
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
