//! What is done hourly beside the work: runs that are not to be kept are removed, and a store that is mostly dead is
//! compacted.

use crate::events::EventBus;
use crate::retention;
use crate::store::{Store, StoreError};
use protocol::Timestamp;
use std::time::Duration;
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

impl Housekeeping {
    /// Begins the first round in an hour.
    pub(crate) fn start(store: Store, events: EventBus) -> Self {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let stopped = stop.clone();
        tasks.spawn(async move {
            while stopped.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
                let round = round(&store, &events, Timestamp::now());
                if let Some(Err(error)) = stopped.run_until_cancelled(round).await {
                    tracing::error!(%error, "tidying up failed; it is tried again in an hour");
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

/// One round.
async fn round(store: &Store, events: &EventBus, now: Timestamp) -> Result<(), StoreError> {
    retention::enforce(store, events, now).await?;
    if store.usage().await?.is_compaction_due() {
        compact(store).await?;
    }
    Ok(())
}

async fn compact(store: &Store) -> Result<(), StoreError> {
    if let Some(done) = store.compact().await? {
        let mib = |bytes: u64| bytes >> 20;
        tracing::info!(
            before.mib = mib(done.bytes_before),
            after.mib = mib(done.bytes_after),
            "the store is compacted"
        );
    }
    Ok(())
}
