//! The thread that owns the raw sockets of one scan: takes hosts on, sends what is due, reads what comes back.

use super::arp::Segments;
use super::cells::{Retries, Verdict};
use super::flow::{Bucket, Flow};
use super::job::{Job, NO_PORT, Ports, Start};
use super::link::{BATCH, Link};
use super::packet::Packet;
use super::proof::{Proof, Proven, Says};
use super::{Goal, NodeRate, Order, Wish};
use crate::engine::Progress;
use crate::engine::builtin::host::Trouble;
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// Answers that are read before the next questions are sent.
const HEARD: usize = 256;

/// How often hosts are looked at for being done, and the shortest sleep.
const KEEP_EVERY: Duration = Duration::from_millis(1);

/// The longest sleep: a host whose caller is gone is let go after this.
const LONGEST_SLEEP: Duration = Duration::from_millis(100);

/// How long the machine may take no packet before the scan gives up.
const SHORTAGE: Duration = Duration::from_secs(10);

/// Questions to one host in a row, while others wait.
const IN_A_ROW: u32 = 8;

/// Probes that may be on their way at least, unless the author or the template wants fewer: where this machine is so busy
/// that it reads answers late, that looks like a queue on the way.
const LEAST: u32 = 64;

/// Retries of the questions whether a host is there.
const LIFE_RETRIES: u8 = 2;

/// The ways out of the scanner.
pub(super) struct Ways {
    pub(super) link: Link,
    pub(super) segments: Segments,
    pub(super) proof: Proof,
    pub(super) node: Arc<NodeRate>,
    pub(super) progress: watch::Sender<Progress>,
}

/// What the thread holds.
pub(super) struct Scanner {
    wish: Wish,
    ways: Ways,
    inbox: mpsc::Receiver<Order>,
    ports: Arc<Ports>,
    life_ports: Arc<Ports>,
    jobs: Vec<Job>,
    /// Where the job of an address stands.
    places: BTreeMap<IpAddr, usize>,
    /// Whose turn it is to ask.
    turn: usize,
    outgoing: Vec<(SocketAddr, Packet)>,
    heard: Vec<Proven>,
    flow: Flow,
    limit: Bucket,
    least: Option<Bucket>,
    began: Instant,
    kept: Duration,
    /// Since when the machine takes no packet.
    blocked_since: Option<Duration>,
    settled: u64,
}

impl Scanner {
    pub(super) fn new(wish: Wish, inbox: mpsc::Receiver<Order>, ways: Ways) -> Self {
        let (least, most) = wish.window;
        let life = std::iter::once(NO_PORT).chain(wish.life_ports.iter().copied()).collect();
        Self {
            ports: Arc::new(Ports::new(wish.order.clone())),
            life_ports: Arc::new(Ports::new(life)),
            flow: Flow::new(wish.timing.start, least.max(LEAST), most),
            limit: Bucket::new(wish.max_rate),
            least: wish.min_rate.map(|rate| Bucket::new(Some(rate))),
            inbox,
            ways,
            wish,
            jobs: Vec::new(),
            places: BTreeMap::new(),
            turn: 0,
            outgoing: Vec::with_capacity(BATCH),
            heard: Vec::with_capacity(HEARD),
            began: Instant::now(),
            kept: Duration::ZERO,
            blocked_since: None,
            settled: 0,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            if self.jobs.is_empty() {
                match self.inbox.recv().await {
                    Some(order) => self.take(order),
                    None => return,
                }
            }
            while let Ok(order) = self.inbox.try_recv() {
                self.take(order);
            }
            let more = self.hear();
            self.keep();
            if self.ask() || more {
                tokio::task::yield_now().await;
                continue;
            }
            let sleep = self.sleep();
            tokio::select! {
                order = self.inbox.recv() => match order {
                    Some(order) => self.take(order),
                    None => return,
                },
                () = self.ways.link.readable() => {}
                () = self.ways.segments.readable() => {}
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Takes a host on.
    fn take(&mut self, order: Order) {
        let Order { address, goal, trip, reply } = order;
        let source = match source_for(address) {
            Ok(source) => source,
            Err(errno) => {
                // Nobody waits when the host's time is up.
                let _ = reply.send(Err(Trouble::NotSent(errno)));
                return;
            }
        };
        let by_arp = goal == Goal::Life && matches!(address, IpAddr::V4(four) if self.ways.segments.have(four));
        let (ports, retries) = match goal {
            Goal::Life if by_arp => {
                (Arc::new(Ports::new(vec![NO_PORT])), Retries { planned: LIFE_RETRIES, extend: false })
            }
            Goal::Life => (self.life_ports.clone(), Retries { planned: LIFE_RETRIES, extend: false }),
            Goal::Ports => (self.ports.clone(), self.retries()),
        };
        let limit = Bucket::new(Some(self.wish.host_rate));
        let spacing = self.wish.timing.spacing;
        let job = Job::new(Start { address, source, goal, by_arp, ports, retries, trip, limit, spacing, reply });
        self.places.insert(address, self.jobs.len());
        self.jobs.push(job);
    }

    fn retries(&self) -> Retries {
        let planned = self.wish.retries.unwrap_or(self.wish.timing.retries.saturating_add(1));
        Retries { planned, extend: self.wish.retries.is_none() }
    }

    /// Takes what came in; true when there may be more.
    fn hear(&mut self) -> bool {
        let Self { ways, heard, .. } = self;
        let more = ways.link.receive(HEARD, |answer| heard.extend(ways.proof.check(answer)));
        let now = self.now();
        for proven in std::mem::take(&mut self.heard) {
            self.learn(now, proven);
        }
        let (jobs, places) = (&mut self.jobs, &self.places);
        self.ways.segments.receive(HEARD, |address, mac| {
            let place = places.get(&IpAddr::V4(address));
            place
                .and_then(|place| jobs.get_mut(*place))
                .filter(|job| job.by_arp)
                .into_iter()
                .for_each(|job| job.met(now, mac));
        });
        more
    }

    fn learn(&mut self, now: Duration, proven: Proven) {
        let Proven { address, port, says } = proven;
        let Some(job) = self.places.get(&address).and_then(|place| self.jobs.get_mut(*place)) else { return };
        let verdict = match says {
            Says::Open | Says::Echo => Verdict::Open,
            Says::Closed => Verdict::Closed,
            Says::Unreached(why) => Verdict::Filtered(why),
        };
        let (port, attempt) = match port {
            None => (NO_PORT, None),
            Some((port, ours)) => (port, self.ways.link.attempt_of(ours)),
        };
        let Some(learned) = job.answer(now, port, attempt, verdict) else { return };
        if learned.is_first && job.goal == Goal::Ports {
            self.settled += 1;
        }
        if learned.is_late {
            self.flow.answered_late(now);
        } else if let Some((round_trip, Some(shortest))) = learned.round_trip {
            self.flow.answered(now, round_trip, shortest);
        }
    }

    /// Lets go of hosts that are done.
    fn keep(&mut self) {
        let now = self.now();
        if now < self.kept + KEEP_EVERY {
            return;
        }
        self.kept = now;
        let mut place = 0;
        while let Some(job) = self.jobs.get_mut(place) {
            if !job.is_done(now) {
                place += 1;
                continue;
            }
            let job = self.jobs.swap_remove(place);
            self.places.remove(&job.address);
            if let Some(moved) = self.jobs.get(place) {
                self.places.insert(moved.address, place);
            }
            self.settled += job.finish();
        }
        let settled = std::mem::take(&mut self.settled);
        if settled > 0 {
            self.ways
                .progress
                .send_modify(|progress| progress.cells_done = progress.cells_done.saturating_add(settled));
        }
    }

    /// Sends what is due, as far as the pace allows; true when anything was sent.
    fn ask(&mut self) -> bool {
        if self.outgoing.is_empty() {
            self.gather();
        }
        self.flush()
    }

    /// Collects the next questions, host by host.
    fn gather(&mut self) {
        let now = self.now();
        let flying = self.jobs.iter().map(Job::flying).fold(0, u32::saturating_add);
        let wanted = self.least.as_mut().map_or(0, |least| least.room(now));
        let allowed = self.limit.room(now).min(self.ways.node.with(|bucket, now| bucket.room(now)));
        let batch = u32::try_from(BATCH).unwrap_or(u32::MAX);
        let mut room = self.flow.room(now, flying).max(wanted).min(allowed).min(batch);
        let in_a_row = if self.jobs.len() == 1 { batch } else { IN_A_ROW };
        let (mut idle, mut taken) = (0, 0);
        while room > 0 && idle < self.jobs.len() {
            self.turn = (self.turn + 1) % self.jobs.len().max(1);
            let (Some(job), ways, outgoing) = (self.jobs.get_mut(self.turn), &self.ways, &mut self.outgoing) else {
                break;
            };
            let sent = job.ask(now, room.min(in_a_row), |job, port, attempt| ways.write(outgoing, job, port, attempt));
            idle = if sent == 0 { idle + 1 } else { 0 };
            room -= sent;
            taken += sent;
        }
        self.flow.sent(taken);
        self.limit.take(taken);
        self.ways.node.with(|bucket, _| bucket.take(taken));
        if let Some(least) = &mut self.least {
            least.take(taken);
        }
    }

    /// Sends what was collected; what the machine does not take now stays. True when anything left.
    fn flush(&mut self) -> bool {
        let mut done = 0;
        while done < self.outgoing.len() {
            let rest = self.outgoing.get(done..).unwrap_or_default();
            match self.ways.link.send(like_the_first(rest)) {
                Ok(0) | Err(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) => break,
                Ok(sent) => done += sent,
                Err(Errno::INTR) => {}
                Err(errno) => {
                    let address = rest.first().map(|(target, _)| target.ip());
                    self.fail(address, Trouble::NotSent(errno));
                    self.outgoing.drain(..done);
                    self.outgoing.retain(|(target, _)| Some(target.ip()) != address);
                    return true;
                }
            }
        }
        self.outgoing.drain(..done);
        self.note_shortage(self.outgoing.is_empty() || done > 0);
        done > 0
    }

    /// Gives up when the machine takes no packet for too long.
    fn note_shortage(&mut self, is_moving: bool) {
        let now = self.now();
        let since = *self.blocked_since.get_or_insert(now);
        if is_moving {
            self.blocked_since = None;
        } else if now.saturating_sub(since) > SHORTAGE {
            self.jobs.iter_mut().for_each(|job| job.fail(Trouble::Shortage(Errno::NOBUFS)));
            self.outgoing.clear();
        }
    }

    fn fail(&mut self, address: Option<IpAddr>, trouble: Trouble) {
        let place = address.and_then(|address| self.places.get(&address));
        if let Some(job) = place.and_then(|place| self.jobs.get_mut(*place)) {
            job.fail(trouble);
        }
    }

    /// How long nothing is due.
    fn sleep(&mut self) -> Duration {
        let now = self.now();
        let due = self.jobs.iter_mut().filter_map(|job| job.due_in(now)).min().unwrap_or(LONGEST_SLEEP);
        let limit = self.limit.due_in().max(self.ways.node.with(|bucket, _| bucket.due_in()));
        due.max(limit).clamp(KEEP_EVERY, LONGEST_SLEEP)
    }
}

impl Ways {
    /// Writes one question down; an ARP request leaves at once.
    fn write(&self, outgoing: &mut Vec<(SocketAddr, Packet)>, job: &Job, port: u16, attempt: u8) {
        let target = SocketAddr::new(job.address, port);
        match (port, job.address) {
            (NO_PORT, IpAddr::V4(four)) if job.by_arp => {
                if let Err(error) = self.segments.ask(four) {
                    tracing::debug!(%error, address = %four, "an ARP request was not sent; it will be asked again");
                }
            }
            (NO_PORT, address) => outgoing.push((target, Packet::echo(address, self.proof.token(address)))),
            (_, _) => {
                let source = SocketAddr::new(job.source, self.link.port_of(attempt));
                let sequence = self.proof.sequence(target, source.port());
                outgoing.push((target, Packet::syn(source, target, sequence)));
            }
        }
    }
}

/// The packets at the front that go through the same socket.
fn like_the_first(packets: &[(SocketAddr, Packet)]) -> &[(SocketAddr, Packet)] {
    let way = |(target, packet): &(SocketAddr, Packet)| (target.is_ipv4(), matches!(packet, Packet::Echo(_)));
    let first = packets.first().map(way);
    let alike = packets.iter().take_while(|packet| Some(way(packet)) == first).count();
    packets.get(..alike).unwrap_or_default()
}

/// The address of this machine from which `target` is reached. Sends nothing.
fn source_for(target: IpAddr) -> Result<IpAddr, Errno> {
    let find = || {
        let any: IpAddr = if target.is_ipv4() { [0, 0, 0, 0].into() } else { [0_u16; 8].into() };
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((target, 9))?;
        Ok(socket.local_addr()?.ip())
    };
    find().map_err(|error: io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}
