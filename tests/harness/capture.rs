//! Everything that passes a host's network interfaces, byte by byte.

use super::netns::Host;
use rustix::fd::OwnedFd;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType, eth, socket_with};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// The longest frame; loopback has the longest.
const FRAME_BYTES: usize = 1 << 17;

/// More than any story sends.
const MOST_BYTES: usize = 256 << 20;

/// How soon a capture notices that it is over.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A running capture.
pub(crate) struct Capture {
    over: Arc<AtomicBool>,
    reader: JoinHandle<Vec<u8>>,
}

impl Capture {
    /// Reads all interfaces of `host` from now on.
    pub(crate) fn on(host: &Host) -> Self {
        let socket = host.inside(|| {
            let socket =
                socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, Some(eth::ALL)).unwrap();
            set_socket_timeout(&socket, Timeout::Recv, Some(LOOK_EVERY)).unwrap();
            socket
        });
        let over = Arc::new(AtomicBool::new(false));
        let is_over = over.clone();
        Self { over, reader: std::thread::spawn(move || read(&socket, &is_over)) }
    }

    /// Ends it; gives every frame, one after the other.
    pub(crate) fn end(self) -> Vec<u8> {
        self.over.store(true, Ordering::SeqCst);
        self.reader.join().unwrap()
    }
}

fn read(socket: &OwnedFd, is_over: &AtomicBool) -> Vec<u8> {
    let (mut all, mut frame) = (Vec::new(), vec![0; FRAME_BYTES]);
    loop {
        match rustix::io::read(socket, &mut frame) {
            Ok(length) => all.extend_from_slice(&frame[..length]),
            Err(_) if is_over.load(Ordering::SeqCst) => return all,
            Err(_) => {}
        }
        assert!(all.len() < MOST_BYTES, "more passes than a story sends");
    }
}

/// True when `text` stands in what was captured.
pub(crate) fn holds(captured: &[u8], text: &str) -> bool {
    captured.windows(text.len()).any(|window| window == text.as_bytes())
}
