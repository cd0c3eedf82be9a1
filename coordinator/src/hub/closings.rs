//! Closings under way, each in a task of its own: beacons and leases do not wait for them.

use crate::closing::{self, Closing};
use crate::store::{Store, StoreError};
use protocol::Timestamp;
use protocol::task::RunId;
use std::collections::BTreeSet;
use tokio::task::{Id, JoinSet};

/// How many runs are closed at a time; each holds a batch of hosts in memory, and the lines of its report.
const AT_ONCE: usize = 2;

/// The closings that have begun and are not through.
#[derive(Default)]
pub(super) struct Closings {
    tasks: JoinSet<Result<Closing, StoreError>>,
    runs: Vec<(Id, RunId)>,
    /// Those that could not be closed: they do not take the place of others until they are tried again.
    failed: BTreeSet<RunId>,
}

impl Closings {
    /// Begins to close a run, unless that is under way, has failed, or enough others are under way: ask again later.
    pub(super) fn begin(&mut self, store: &Store, run: RunId, now: Timestamp) {
        if self.runs.len() >= AT_ONCE || self.failed.contains(&run) || self.runs.iter().any(|(_, open)| *open == run) {
            return;
        }
        let store = store.clone();
        let task = self.tasks.spawn(async move { closing::close(&store, run, now).await });
        self.runs.push((task.id(), run));
    }

    /// Waits for the next that is through; `None` when none is under way. Dropped while it waits, it loses none.
    pub(super) async fn next(&mut self) -> Option<(RunId, Result<Closing, StoreError>)> {
        let (task, closed) = match self.tasks.join_next_with_id().await? {
            Ok(closed) => closed,
            Err(error) => (error.id(), Err(StoreError::Interrupted)),
        };
        let place = self.runs.iter().position(|(id, _)| *id == task)?;
        let (_, run) = self.runs.remove(place);
        self.failed.extend(closed.is_err().then_some(run));
        Some((run, closed))
    }

    /// From now on those that failed may be tried again.
    pub(super) fn try_again(&mut self) {
        self.failed.clear();
    }

    /// Breaks off what is under way; it is done again from the start at the next one.
    pub(super) async fn stop(&mut self) {
        self.tasks.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Fixture, NOW, TARGETS, host};
    use crate::run::RunState;

    #[tokio::test]
    async fn a_run_is_closed_once_at_a_time_and_not_too_many_together() {
        let fixture = Fixture::new().await;
        let run = fixture.looked_once(TARGETS, vec![host("10.9.0.1", &[22])]).await;
        let mut closings = Closings::default();
        for id in [run, run, RunId(7), run, RunId(8), RunId(7)] {
            closings.begin(&fixture.store, id, NOW);
        }
        assert_eq!(closings.runs.iter().map(|(_, run)| *run).collect::<Vec<_>>(), [run, RunId(7)]);
        let mut ended = Vec::new();
        while let Some((id, closed)) = closings.next().await {
            ended.push((id, closed.ok().map(|closing| matches!(closing, Closing::Closed { .. }))));
        }
        ended.sort_unstable();
        assert_eq!(ended, [(run, Some(true)), (RunId(7), None)], "there is no run 7");
        for id in [RunId(7), RunId(8)] {
            closings.begin(&fixture.store, id, NOW);
        }
        assert_eq!(closings.runs.len(), 1, "there is room again, but not for one that failed");
        closings.try_again();
        closings.begin(&fixture.store, RunId(7), NOW);
        assert_eq!(closings.runs.len(), 2);
    }

    #[tokio::test]
    async fn a_closing_that_is_broken_off_by_a_stop_is_done_again() {
        let fixture = Fixture::new().await;
        let run = fixture.looked_once(TARGETS, vec![host("10.9.0.1", &[22])]).await;
        let mut closings = Closings::default();
        closings.begin(&fixture.store, run, NOW);
        closings.stop().await;
        let fixture = fixture.reopen().await;
        let mut closings = Closings::default();
        closings.begin(&fixture.store, run, NOW);
        match closings.next().await {
            Some((id, Ok(Closing::Closed { run, .. }))) => assert_eq!((id, run.state), (run.id, RunState::Completed)),
            other => panic!("{other:?}"),
        }
    }
}
