//! Half-open scanning with raw packets: one thread per scan owns the sockets and asks every host of the scan side by side.
//!
//! The hosts' own questions (who is done, what is due) are in `job` and `cells`, the pace in `flow`, the bytes in
//! `packet`, the proof that an answer is one in `proof`. Nothing is kept per packet, so a flood of answers costs no memory.

mod arp;
mod cells;
mod flow;
mod job;
mod link;
mod packet;
mod proof;
mod scanner;
#[cfg(test)]
mod segment;
#[cfg(test)]
mod tests;
mod watched;

use super::host::Trouble;
use super::pace::{RoundTrip, Timing};
use super::sweep::States;
use crate::engine::Progress;
pub(super) use arp::Mac;
use arp::Segments;
use flow::Bucket;
use link::Link;
use proof::Proof;
use protocol::target::TargetSet;
use rustix::io::Errno;
use scanner::{Scanner, Ways};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};

/// Hosts that wait to be taken on.
const INBOX: usize = 64;

/// What a scan wants of it.
pub(super) struct Wish {
    pub(super) timing: Timing,
    /// The ports in the order in which they are asked.
    pub(super) order: Vec<u16>,
    /// The ports that tell whether a host is there.
    pub(super) life_ports: Vec<u16>,
    /// Retries that the author wrote.
    pub(super) retries: Option<u8>,
    /// The least and the most probes on their way.
    pub(super) window: (u32, u32),
    pub(super) min_rate: Option<u32>,
    /// Packets a second of this scan, and to each host.
    pub(super) max_rate: Option<u32>,
    pub(super) host_rate: u32,
    pub(super) uses_arp: bool,
}

/// Packets a second of all scans of the node together.
#[derive(Debug)]
pub(super) struct NodeRate {
    epoch: Instant,
    bucket: Mutex<Bucket>,
}

impl NodeRate {
    pub(super) fn new(rate: Option<u32>) -> Self {
        Self { epoch: Instant::now(), bucket: Mutex::new(Bucket::new(rate)) }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Bucket, Duration) -> T) -> T {
        work(&mut self.bucket.lock().unwrap_or_else(PoisonError::into_inner), self.epoch.elapsed())
    }
}

/// What is asked of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// Whether it is there.
    Life,
    /// Every port of the scan.
    Ports,
}

/// What was found out about a host.
#[derive(Debug)]
pub(super) struct Found {
    /// Each port's state and why.
    pub(super) states: States,
    /// The proof that it is there.
    pub(super) life: Option<&'static str>,
    /// The word of a device that there is no way to it.
    pub(super) refusal: Option<&'static str>,
    pub(super) mac: Option<Mac>,
    /// The round trip as it is known now.
    pub(super) trip: RoundTrip,
}

/// A scan's way to the thread that owns the raw sockets; the thread ends with it.
pub(super) struct Raw {
    orders: mpsc::Sender<Order>,
    near: TargetSet,
}

struct Order {
    address: IpAddr,
    goal: Goal,
    trip: RoundTrip,
    reply: oneshot::Sender<Result<Found, Trouble>>,
}

impl Raw {
    /// Opens the sockets that `targets` need. Fails where raw packets may not be sent.
    pub(super) fn open(
        wish: Wish,
        targets: &TargetSet,
        node: Arc<NodeRate>,
        progress: watch::Sender<Progress>,
    ) -> io::Result<Self> {
        let (four, six) = targets.by_family();
        // On a thread of its own nothing else waits for the sockets. Otherwise each answer would wake another thread of the
        // node, which costs more than the whole rest.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let inside = runtime.enter();
        let link = Link::open(!four.is_empty(), !six.is_empty())?;
        let segments = if wish.uses_arp { Segments::open(&four) } else { Segments::default() };
        let proof = Proof::draw().map_err(io::Error::other)?;
        let (orders, inbox) = mpsc::channel(INBOX);
        let near = segments.addresses();
        let scanner = Scanner::new(wish, inbox, Ways { link, segments, proof, node, progress });
        drop(inside);
        std::thread::Builder::new().name("raw-scan".to_owned()).spawn(move || runtime.block_on(scanner.run()))?;
        Ok(Self { orders, near })
    }

    /// Whether ARP alone tells if `address` is there: it is on a segment of this machine.
    pub(super) fn is_near(&self, address: IpAddr) -> bool {
        self.near.contains(address)
    }

    /// Asks `address`; `trip` is what is known of its round trip.
    pub(super) async fn ask(&self, address: IpAddr, goal: Goal, trip: RoundTrip) -> Result<Found, Trouble> {
        let (reply, found) = oneshot::channel();
        let order = Order { address, goal, trip, reply };
        // The thread ends only with this handle.
        let gone = Trouble::NotSent(Errno::PIPE);
        self.orders.send(order).await.map_err(|_| gone.clone())?;
        found.await.unwrap_or(Err(gone))
    }
}
