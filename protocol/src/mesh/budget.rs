//! Memory that half-read frames may take: bounded over all streams of a protocol, since a peer that stalls holds what it
//! has sent until its time is up.

use futures::prelude::*;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What is asked for at a time.
const PIECE: usize = 8 * 1024;

/// The bytes that are left for frames; clones share them.
#[derive(Clone, Debug)]
pub(super) struct Budget(Arc<AtomicUsize>);

/// What one frame has taken; given back when it is dropped.
struct Share<'a> {
    budget: &'a Budget,
    bytes: usize,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// Reads to the end of `io`, at most one byte beyond `limit`; fails when the budget is used up.
    pub(super) async fn read_to_end<T: AsyncRead + Unpin>(&self, io: &mut T, limit: usize) -> io::Result<Vec<u8>> {
        let mut share = Share { budget: self, bytes: 0 };
        let mut bytes = Vec::new();
        while bytes.len() <= limit {
            let piece = PIECE.min(limit + 1 - bytes.len());
            share.grow(piece)?;
            bytes.reserve_exact(piece);
            let ceiling = u64::try_from(piece).unwrap_or(u64::MAX);
            if (&mut *io).take(ceiling).read_to_end(&mut bytes).await? < piece {
                break;
            }
        }
        Ok(bytes)
    }
}

impl Share<'_> {
    fn grow(&mut self, bytes: usize) -> io::Result<()> {
        let taken =
            self.budget.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok();
        if taken {
            self.bytes += bytes;
            Ok(())
        } else {
            Err(io::Error::new(io::ErrorKind::QuotaExceeded, "too many frames are half read; try again later"))
        }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;
    use futures::io::Cursor;
    use proptest::prelude::*;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    /// Sends so many bytes and then nothing, without an end.
    struct Stalled(usize);

    impl AsyncRead for Stalled {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
            let count = self.0.min(into.len());
            self.0 -= count;
            if count == 0 { Poll::Pending } else { Poll::Ready(Ok(count)) }
        }
    }

    fn left(budget: &Budget) -> usize {
        budget.0.load(Ordering::Relaxed)
    }

    #[test]
    fn stalled_frames_hold_the_budget_and_no_more_than_it() {
        let budget = Budget::new(10 * PIECE);
        let mut stalled: Vec<Stalled> = (0..8).map(|_| Stalled(2 * PIECE + 1)).collect();
        let mut reads: Vec<_> = stalled.iter_mut().map(|io| Box::pin(budget.read_to_end(io, 100 * PIECE))).collect();
        let mut context = Context::from_waker(std::task::Waker::noop());
        let waiting = reads.iter_mut().map(|read| read.as_mut().poll(&mut context)).filter(Poll::is_pending).count();
        assert_eq!((waiting, left(&budget)), (3, PIECE), "the others were refused");
        drop(reads);
        assert_eq!(left(&budget), 10 * PIECE, "what is given up is given back");
        assert_eq!(
            block_on(budget.read_to_end(&mut Cursor::new(vec![1; 9 * PIECE]), 100 * PIECE)).unwrap().len(),
            9 * PIECE
        );
        let error = block_on(budget.read_to_end(&mut futures::io::repeat(1), 100 * PIECE)).unwrap_err();
        assert_eq!((error.kind(), left(&budget)), (io::ErrorKind::QuotaExceeded, 10 * PIECE));
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_sent_up_to_one_byte_too_many(size in 0usize..40_000, limit in 0usize..40_000) {
            let sent: Vec<u8> = (0u8..=255).cycle().take(size).collect();
            let read = block_on(Budget::new(1 << 20).read_to_end(&mut Cursor::new(&sent), limit)).unwrap();
            prop_assert_eq!(&read, &sent[..size.min(limit + 1)]);
        }
    }
}
