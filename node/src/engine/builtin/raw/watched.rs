//! A socket of a kind that the runtime has no type for, watched by it all the same.

use socket2::Socket;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Any socket. The runtime's type for UDP does no more with it than to hold its descriptor and watch it.
pub(super) struct Watched(UdpSocket);

impl Watched {
    /// Takes a socket that does not block.
    pub(super) fn new(socket: Socket) -> io::Result<Self> {
        UdpSocket::from_std(socket.into()).map(Self)
    }

    /// Waits until something came in. What came before must have been read to its end.
    pub(super) async fn readable(&self) {
        if self.0.readable().await.is_ok() {
            // Forgets the news, so that the next wait is for the next one.
            let forget = || -> io::Result<()> { Err(io::ErrorKind::WouldBlock.into()) };
            let _ = self.0.try_io(Interest::READABLE, forget);
        }
    }
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
