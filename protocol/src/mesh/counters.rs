//! What a member has counted since it started, to be shown and tested.

use super::gossip::Refusal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What became of letters of others (those for this member itself are not counted), and what was refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Passed on to a neighbour.
    pub forwarded: u64,
    /// Refused: more than one neighbour may hand over, or more than this member holds at a time.
    pub busy: u64,
    /// Refused or lost: neither their reader nor anyone on the way to it is connected.
    pub no_way: u64,
    /// Refused: they came by a second time while they were on their way.
    pub circled: u64,
    /// Refused: they had been passed on too often.
    pub too_many_hops: u64,
    /// Given up: the neighbour they were passed on to did not answer in time.
    pub late: u64,
    /// Connections refused: strangers, another mesh, too many, or silent in the handshake.
    pub refused_connections: u64,
    /// Requests and answers that could not be read: too long, garbled, or never finished.
    pub unreadable: u64,
    /// Gossiped or handed over, and no honest member does that.
    pub forged: u64,
    /// Overtaken by something newer, or of a roster or program that is not ours.
    pub outdated: u64,
    /// Too old, or from the future: late, replayed, or the clocks differ.
    pub out_of_time: u64,
}

impl Counters {
    pub(super) fn refuse(&mut self, refusal: Refusal) {
        match refusal {
            Refusal::Forged => self.forged += 1,
            Refusal::Stale => self.outdated += 1,
            Refusal::OutOfTime => self.out_of_time += 1,
        }
    }
}

/// How many frames were begun and never read to their end. libp2p reads them out of our sight and drops them unsaid.
#[derive(Clone, Debug, Default)]
pub(super) struct Unreadable(Arc<AtomicU64>);

impl Unreadable {
    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Passes on what `reading` makes; counts when that is an error, and when it is given up.
    pub(super) async fn watch<T, E>(&self, reading: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let mut begun = Begun { unreadable: self, is_read: false };
        let read = reading.await;
        begun.is_read = read.is_ok();
        read
    }
}

struct Begun<'a> {
    unreadable: &'a Unreadable,
    is_read: bool,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.unreadable.0.fetch_add(u64::from(!self.is_read), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;
    use std::future::{pending, ready};

    #[test]
    fn what_fails_and_what_is_given_up_counts_and_what_is_read_does_not() {
        let unreadable = Unreadable::default();
        assert_eq!(block_on(unreadable.watch(ready(Ok::<_, ()>(7)))), Ok(7));
        assert_eq!(unreadable.count(), 0);
        assert_eq!(block_on(unreadable.watch(ready(Err::<u8, _>(())))), Err(()));
        assert_eq!(unreadable.count(), 1);
        let copy = unreadable.clone();
        let given_up = futures::FutureExt::now_or_never(copy.watch(pending::<Result<u8, ()>>()));
        assert_eq!((given_up, unreadable.count()), (None, 2));
    }
}
