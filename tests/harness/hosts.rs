//! Small hosts to scan: sockets on loopback addresses that say a line to whoever connects.

use rustix::net::Shutdown;
use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Listeners that end when this is dropped.
#[derive(Default)]
pub(crate) struct Hosts {
    listeners: Vec<Listener>,
}

struct Listener {
    address: SocketAddr,
    socket: TcpListener,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Hosts {
    /// Opens one more port, with a greeting.
    pub(crate) fn open(&mut self, address: &str, port: u16, greeting: &'static str) {
        let address = SocketAddr::new(address.parse::<IpAddr>().unwrap(), port);
        self.greet(TcpListener::bind(address).unwrap(), greeting);
    }

    /// Greets whoever comes to this port, which may be on a host of its own.
    pub(crate) fn greet(&mut self, socket: TcpListener, greeting: &'static str) {
        let (address, waiting) = (socket.local_addr().unwrap(), socket.try_clone().unwrap());
        let over = Arc::new(AtomicBool::new(false));
        let seen = over.clone();
        let thread = std::thread::spawn(move || {
            for caller in waiting.incoming() {
                if seen.load(Ordering::SeqCst) {
                    return;
                }
                // A scanner hangs up as soon as it has seen enough.
                let _heard = caller.and_then(|mut caller| caller.write_all(greeting.as_bytes()));
            }
        });
        self.listeners.push(Listener { address, socket, over, thread: Some(thread) });
    }

    /// Closes a port that was opened.
    pub(crate) fn close(&mut self, address: &str, port: u16) {
        let address = SocketAddr::new(address.parse::<IpAddr>().unwrap(), port);
        let before = self.listeners.len();
        self.listeners.retain(|listener| listener.address != address);
        assert_eq!(self.listeners.len() + 1, before, "{address} is not open");
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes the thread, which then sees that it is over. A call to the address might leave this machine.
        let _woken = rustix::net::shutdown(&self.socket, Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}
