//! What one node has done of one run: counted as tasks end, so that progress is known without reading every task.

use super::{Look, TaskRecord, TaskState};
use crate::store::tables::TALLIES;
use crate::store::{Draft, Reads, StoreError};
use protocol::codec::{Decode, Encode};

/// What became of the tasks of the first look that one node held last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Tally {
    /// Tasks with a result.
    pub done: u32,
    /// Tasks that failed in its hands.
    pub failed: u32,
    /// Addresses of both.
    pub addresses: u64,
    /// Hosts found up.
    pub hosts: u32,
}

impl Tally {
    /// Counts a task that has just ended with so many `hosts` up. A task that was cut anew is counted with its pieces.
    pub(crate) fn count(draft: &mut Draft, task: &TaskRecord, hosts: u32) -> Result<(), StoreError> {
        let (Some(node), Look::First) = (task.holder, task.look) else { return Ok(()) };
        let key = (task.id.run, node);
        let mut tally = draft.get(&TALLIES, &key)?.unwrap_or_default();
        match task.state {
            TaskState::Done | TaskState::Partial => tally.done += 1,
            TaskState::Failed => tally.failed += 1,
            TaskState::Waiting | TaskState::Leased | TaskState::Cancelled => return Ok(()),
        }
        tally.addresses = tally.addresses.saturating_add(u64::try_from(task.targets.count()).unwrap_or(u64::MAX));
        tally.hosts = tally.hosts.saturating_add(hosts);
        draft.put(&TALLIES, &key, &tally)
    }
}
