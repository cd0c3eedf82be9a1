//! What is done beside the work: hourly, runs that are not to be kept are removed; after each run, and hourly, a store
//! that is mostly dead is compacted.

use crate::events::{Event, EventBus, Numbered};
use crate::retention;
use crate::store::{Compacted, Store, StoreError};
use protocol::Timestamp;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, Interval, interval_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Between two rounds; the first begins so long after the start, when nodes have found back.
const EVERY: Duration = Duration::from_secs(3600);

/// The task; it ends by [`Self::stop`].
#[derive(Debug)]
pub(crate) struct Housekeeping {
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// What there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// An hour is over.
    Round,
    /// A run has ended, or may have: it leaves behind what was staged for it.
    RunEnded,
}

impl Housekeeping {
    /// Begins the first round in an hour.
    pub(crate) fn start(store: Store, events: EventBus) -> Self {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let stopped = stop.clone();
        let (mut live, mut hours) = (events.subscribe(None).live, interval_at(Instant::now() + EVERY, EVERY));
        tasks.spawn(async move {
            while let Some(due) = stopped.run_until_cancelled(next(&mut live, &mut hours)).await {
                let work = tidy(&store, &events, due, Timestamp::now());
                if let Some(Err(error)) = stopped.run_until_cancelled(work).await {
                    tracing::error!(%error, "tidying up failed; it is tried again within an hour");
                }
            }
        });
        Self { tasks, stop }
    }

    /// Breaks off what is under way: the next round goes on with it.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn next(live: &mut Receiver<Numbered>, hours: &mut Interval) -> Due {
    loop {
        let told = tokio::select! {
            _ = hours.tick() => return Due::Round,
            told = live.recv() => told,
        };
        match told {
            Ok(Numbered { event: Event::Run { state, .. }, .. }) if state.is_final() => return Due::RunEnded,
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return Due::RunEnded,
            Err(RecvError::Closed) => {
                hours.tick().await;
                return Due::Round;
            }
        }
    }
}

async fn tidy(store: &Store, events: &EventBus, due: Due, now: Timestamp) -> Result<(), StoreError> {
    match due {
        Due::Round => drop(retention::enforce(store, events, now).await?),
        Due::RunEnded => {}
    }
    compact_if_due(store).await.map(drop)
}

/// Compacts a store that is mostly dead; `None` when it is not.
pub(crate) async fn compact_if_due(store: &Store) -> Result<Option<Compacted>, StoreError> {
    if !store.usage().await?.is_compaction_due() {
        return Ok(None);
    }
    let compacted = store.compact().await?;
    if let Some(done) = &compacted {
        let mib = |bytes: u64| bytes >> 20;
        tracing::info!(
            before.mib = mib(done.bytes_before),
            after.mib = mib(done.bytes_after),
            "the store is compacted"
        );
    }
    Ok(compacted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Fixture, NOW};
    use crate::run::RunState;
    use crate::store::Table;
    use protocol::task::{RunId, ScanId};

    #[tokio::test]
    async fn a_store_that_is_mostly_dead_is_compacted_when_a_run_has_ended() {
        const ROW: Table<(), String> = Table::new(b'~', "row");
        let (fixture, events) = (Fixture::new().await, EventBus::new(1));
        for number in 0..20 {
            let write = move |draft: &mut crate::store::Draft| {
                draft.put(&ROW, &(), &format!("{number} {}", "x".repeat(1 << 20)))
            };
            fixture.store.update::<_, StoreError>(write).await.unwrap();
        }
        let before = fixture.store.usage().await.unwrap();
        tidy(&fixture.store, &events, Due::RunEnded, NOW).await.unwrap();
        let after = fixture.store.usage().await.unwrap();
        assert!(before.journal > 20 << 20 && after.journal < 1 << 20, "{before:?} {after:?}");
        assert_eq!(compact_if_due(&fixture.store).await.unwrap(), None, "nothing is dead any more");
    }

    #[tokio::test]
    async fn the_store_is_looked_after_when_a_run_has_ended_and_every_hour() {
        let events = EventBus::new(1);
        let mut live = events.subscribe(None).live;
        let run = |state| Event::Run { run: RunId(1), scan: ScanId(1), state };
        let under_way = [Event::Alerts { scan: ScanId(1) }, run(RunState::Running), run(RunState::Closing)];
        under_way.into_iter().for_each(|event| events.publish(event));
        let mut hours = interval_at(Instant::now(), EVERY);
        assert_eq!(next(&mut live, &mut hours).await, Due::Round, "nothing has ended");
        events.publish(run(RunState::Partial));
        assert_eq!(next(&mut live, &mut hours).await, Due::RunEnded);
        assert!(live.is_empty());
    }
}
