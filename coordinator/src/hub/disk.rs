//! Room on the disk: with too little of it no task is given out and no result is asked for. Both go on by themselves.

use super::Hub;
use crate::events::{Event, SystemNews};
use crate::store::StoreError;

impl Hub {
    /// Looks whether there is room for new work; says when that changes.
    pub(super) async fn has_room(&mut self) -> bool {
        let looked = self.store.room_for_work().await;
        let was_short = std::mem::replace(&mut self.is_short_of_room, looked.is_err());
        match &looked {
            Err(error @ StoreError::DiskLow(_)) if !was_short => {
                tracing::error!(%error, "no new work is begun");
                self.events.publish(Event::System(SystemNews::DiskLow));
            }
            Err(error) => tracing::debug!(%error, "no new work is begun"),
            Ok(()) if was_short => {
                tracing::info!("the disk has room again; work goes on");
                self.events.publish(Event::System(SystemNews::DiskHasRoom));
            }
            Ok(()) => {}
        }
        looked.is_ok()
    }
}
