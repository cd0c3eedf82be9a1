//! yamux that says no more than it must: what it has to say at one time goes out in one segment, and it does not ping.
//!
//! It flushes after each frame, and most frames are smaller than the headers of the segment that carries them. A flush
//! therefore waits until its connection was asked several times in a row and had nothing more to write: some turns of the
//! scheduler and no timer, so it is too short to be seen in a round trip.
//!
//! Its pings, one every ten seconds from each end while anything is said, measure round trips for windows of more than
//! 256 KiB, and our frames are hardly longer. Their first is held back; as no answer comes, there is no second.

use futures::prelude::*;
use libp2p::core::UpgradeInfo;
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade};
use libp2p::yamux;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// How often in a row a flush is asked for, with nothing written between, before it is done.
const TURNS: u8 = 3;

/// The first ping of a connection. Source: the specification of yamux: version 0, type 2, flag 1 (SYN), stream 0, value 0.
const FIRST_PING: [u8; 12] = [0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];

/// yamux over a [`Corked`] connection.
#[derive(Clone, Debug, Default)]
pub(super) struct QuietYamux(yamux::Config);

impl UpgradeInfo for QuietYamux {
    type Info = <yamux::Config as UpgradeInfo>::Info;
    type InfoIter = <yamux::Config as UpgradeInfo>::InfoIter;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.protocol_info()
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> InboundConnectionUpgrade<C> for QuietYamux {
    type Output = <yamux::Config as InboundConnectionUpgrade<Corked<C>>>::Output;
    type Error = <yamux::Config as InboundConnectionUpgrade<Corked<C>>>::Error;
    type Future = <yamux::Config as InboundConnectionUpgrade<Corked<C>>>::Future;

    fn upgrade_inbound(self, socket: C, info: Self::Info) -> Self::Future {
        self.0.upgrade_inbound(Corked::new(socket), info)
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> OutboundConnectionUpgrade<C> for QuietYamux {
    type Output = <yamux::Config as OutboundConnectionUpgrade<Corked<C>>>::Output;
    type Error = <yamux::Config as OutboundConnectionUpgrade<Corked<C>>>::Error;
    type Future = <yamux::Config as OutboundConnectionUpgrade<Corked<C>>>::Future;

    fn upgrade_outbound(self, socket: C, info: Self::Info) -> Self::Future {
        self.0.upgrade_outbound(Corked::new(socket), info)
    }
}

/// A stream that gathers what is written at one time, without the first ping. What it wraps holds the bytes until it is
/// flushed.
#[derive(Debug)]
pub(super) struct Corked<S> {
    stream: S,
    has_begun: bool,
    /// While something waits to be flushed: how often that was asked since the latest write.
    calm: Option<u8>,
}

impl<S> Corked<S> {
    fn new(stream: S) -> Self {
        Self { stream, has_begun: false, calm: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Corked<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Corked<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !std::mem::replace(&mut self.has_begun, true) && bytes == FIRST_PING {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.calm = Some(0);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(calm) = self.calm.filter(|calm| *calm < TURNS) {
            self.calm = Some(calm + 1);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.calm = None;
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;
    use futures::future::poll_fn;
    use libp2p::core::StreamMuxer;

    /// Holds what is written until it is flushed, and counts the flushes.
    #[derive(Debug, Default)]
    struct Buffered {
        held: Vec<u8>,
        sent: Vec<Vec<u8>>,
    }

    impl AsyncWrite for Buffered {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.held.extend_from_slice(bytes);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            let held = std::mem::take(&mut self.held);
            self.sent.push(held);
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.poll_flush(cx)
        }
    }

    fn corked() -> Corked<Buffered> {
        Corked::new(Buffered::default())
    }

    /// As yamux does: a flush is asked for after each frame, and what comes of it is not waited for.
    async fn say(stream: &mut Corked<Buffered>, frame: &[u8]) {
        stream.write_all(frame).await.unwrap();
        let asked = poll_fn(|cx| Poll::Ready(Pin::new(&mut *stream).poll_flush(cx))).await;
        assert!(asked.is_pending());
    }

    #[test]
    fn frames_that_are_written_at_one_time_leave_together() {
        let mut stream = corked();
        block_on(async {
            for frame in [b"one ".as_slice(), b"two ", b"three"] {
                say(&mut stream, frame).await;
            }
            stream.flush().await.unwrap();
            say(&mut stream, b"later").await;
            stream.flush().await.unwrap();
        });
        assert_eq!(stream.stream.sent, [b"one two three".as_slice(), b"later"]);
    }

    #[test]
    fn a_close_waits_for_nothing() {
        let mut stream = corked();
        block_on(async {
            say(&mut stream, b"last word").await;
            stream.close().await.unwrap();
        });
        assert_eq!(stream.stream.sent, [b"last word"]);
    }

    #[test]
    fn the_first_ping_is_held_back_and_nothing_else() {
        for (first, sent) in [(FIRST_PING.as_slice(), b"data".as_slice()), (b"more", b"moredata")] {
            let mut stream = corked();
            block_on(async {
                stream.write_all(first).await.unwrap();
                stream.write_all(b"data").await.unwrap();
                stream.flush().await.unwrap();
            });
            assert_eq!(stream.stream.sent, [sent]);
        }
    }

    /// Both ends of a connection that only ever say how much they have written.
    #[derive(Clone, Debug, Default)]
    struct Counted(std::sync::Arc<std::sync::atomic::AtomicUsize>);

    impl AsyncRead for Counted {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Counted {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.0.fetch_add(bytes.len(), std::sync::atomic::Ordering::Relaxed);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn yamux_at_rest_writes_nothing() {
        let written = |muxer: &mut (dyn StreamMuxer<Substream = yamux::Stream, Error = yamux::Error> + Unpin)| {
            let polled = block_on(poll_fn(|cx| Poll::Ready(Pin::new(&mut *muxer).poll(cx))));
            assert!(polled.is_pending());
        };
        let (plain, quiet) = (Counted::default(), Counted::default());
        let info = "/yamux/1.0.0";
        written(&mut block_on(yamux::Config::default().upgrade_outbound(plain.clone(), info)).unwrap());
        written(&mut block_on(QuietYamux::default().upgrade_outbound(quiet.clone(), info)).unwrap());
        let bytes = |counted: &Counted| counted.0.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!((bytes(&plain), bytes(&quiet)), (FIRST_PING.len(), 0), "it begins with a ping by itself");
    }
}
