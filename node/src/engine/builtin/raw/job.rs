//! One host while it is asked: its cells, its round trip, its own limits, and who waits for it.

use super::arp::Mac;
use super::cells::{Cells, Patience, Question, Retries, Tick, Verdict};
use super::flow::Bucket;
use super::{Found, Goal};
use crate::engine::builtin::host::Trouble;
use crate::engine::builtin::pace::RoundTrip;
use crate::engine::builtin::sweep::States;
use protocol::observation::PortState;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// The question that has no port: ARP, or an echo request.
pub(super) const NO_PORT: u16 = 0;

/// Up to so many ports are looked for one by one.
const FEW: usize = 32;

/// Ports in the order in which they are asked, and the way back from a port to its place.
pub(super) struct Ports {
    order: Vec<u16>,
    places: Vec<u32>,
}

impl Ports {
    pub(super) fn new(order: Vec<u16>) -> Self {
        let mut places = Vec::new();
        if order.len() > FEW {
            places.resize(usize::from(u16::MAX) + 1, u32::MAX);
            for (place, port) in (0..).zip(&order) {
                if let Some(slot) = places.get_mut(usize::from(*port)) {
                    *slot = place;
                }
            }
        }
        Self { order, places }
    }

    pub(super) fn count(&self) -> usize {
        self.order.len()
    }

    fn port(&self, place: usize) -> Option<u16> {
        self.order.get(place).copied()
    }

    fn place(&self, port: u16) -> Option<usize> {
        match self.places.get(usize::from(port)) {
            Some(place) => usize::try_from(*place).ok().filter(|place| *place < self.order.len()),
            None => self.order.iter().position(|one| *one == port),
        }
    }
}

/// One host.
pub(super) struct Job {
    pub(super) address: IpAddr,
    /// The address of this machine that it is asked from.
    pub(super) source: IpAddr,
    pub(super) goal: Goal,
    /// Whether ARP takes the place of the echo request.
    pub(super) by_arp: bool,
    ports: Arc<Ports>,
    cells: Cells,
    trip: RoundTrip,
    shortest: Option<Duration>,
    limit: Bucket,
    spacing: Duration,
    next_at: Duration,
    mac: Option<Mac>,
    trouble: Option<Trouble>,
    reply: oneshot::Sender<Result<Found, Trouble>>,
}

/// What a job is made of.
pub(super) struct Start {
    pub(super) address: IpAddr,
    pub(super) source: IpAddr,
    pub(super) goal: Goal,
    pub(super) by_arp: bool,
    pub(super) ports: Arc<Ports>,
    pub(super) retries: Retries,
    pub(super) trip: RoundTrip,
    pub(super) limit: Bucket,
    pub(super) spacing: Duration,
    pub(super) reply: oneshot::Sender<Result<Found, Trouble>>,
}

/// What one answer did.
pub(super) struct Learned {
    /// The round trip, and the shortest before it.
    pub(super) round_trip: Option<(Duration, Option<Duration>)>,
    /// Whether a retry was answered.
    pub(super) is_late: bool,
    /// Whether the cell had no verdict before.
    pub(super) is_first: bool,
}

impl Job {
    pub(super) fn new(start: Start) -> Self {
        let Start { address, source, goal, by_arp, ports, retries, trip, limit, spacing, reply } = start;
        let cells = Cells::new(ports.count(), retries);
        Self {
            address,
            source,
            goal,
            by_arp,
            ports,
            cells,
            shortest: trip.smoothed(),
            trip,
            limit,
            spacing,
            next_at: Duration::ZERO,
            mac: None,
            trouble: None,
            reply,
        }
    }

    pub(super) fn flying(&self) -> u32 {
        self.cells.flying()
    }

    /// Says that this machine cannot look at the host.
    pub(super) fn fail(&mut self, trouble: Trouble) {
        self.trouble = Some(trouble);
    }

    /// The next questions that are due, `most` at most: the port and the number of the try.
    pub(super) fn ask(&mut self, now: Duration, most: u32, mut send: impl FnMut(&Self, u16, u8)) -> u32 {
        let most = match self.spacing {
            Duration::ZERO => most.min(self.limit.room(now)),
            _ if now < self.next_at || self.flying() > 0 => 0,
            _ => most.min(1),
        };
        let mut sent = 0;
        while sent < most
            && self.trouble.is_none()
            && let Some(Question { index, attempt }) = self.cells.next(Tick::at(now), self.patience())
            && let Some(port) = self.ports.port(index)
        {
            send(self, port, attempt);
            sent += 1;
        }
        if sent > 0 {
            self.limit.take(sent);
            self.next_at = now + self.spacing;
        }
        sent
    }

    /// Takes an answer for `port`; `attempt` is the try that was answered, when it is known.
    pub(super) fn answer(
        &mut self,
        now: Duration,
        port: u16,
        attempt: Option<u8>,
        verdict: Verdict,
    ) -> Option<Learned> {
        let lesson = self.cells.answer(self.ports.place(port)?, attempt, verdict, Tick::at(now))?;
        // A refusal may come from elsewhere, and much later.
        let speaks_itself = !matches!(verdict, Verdict::Filtered(_));
        let round_trip = lesson.round_trip.filter(|_| speaks_itself).map(|round_trip| {
            let before = self.shortest;
            self.trip.observe(round_trip);
            self.shortest = Some(before.map_or(round_trip, |before| before.min(round_trip)));
            (round_trip, before)
        });
        Some(Learned { round_trip, is_late: lesson.is_late, is_first: lesson.is_first })
    }

    /// Its link address answered.
    pub(super) fn met(&mut self, now: Duration, mac: Mac) {
        self.mac = Some(mac);
        self.answer(now, NO_PORT, None, Verdict::Open);
    }

    /// Frees what silent probes hold, and says whether the host is done.
    pub(super) fn is_done(&mut self, now: Duration) -> bool {
        let (tick, patience) = (Tick::at(now), self.patience());
        self.cells.land(tick, patience.flight);
        self.trouble.is_some()
            || self.reply.is_closed()
            || self.goal == Goal::Life && self.life().is_some()
            || self.cells.is_done(tick, patience)
    }

    /// How long until something may be due.
    pub(super) fn due_in(&mut self, now: Duration) -> Option<Duration> {
        let patience = self.patience();
        let due = self.cells.due_in(Tick::at(now), patience)?;
        let limit = if self.spacing.is_zero() { self.limit.due_in() } else { self.next_at.saturating_sub(now) };
        Some(due.max(limit.min(patience.answer.max(self.spacing))))
    }

    /// Hands the result to who waits for it; gives the number of cells that stayed silent.
    pub(super) fn finish(self) -> u64 {
        let silent = self.cells.verdicts().filter(Option::is_none).count();
        let found = match self.trouble {
            Some(ref trouble) => Err(trouble.clone()),
            None => Ok(self.found()),
        };
        // Nobody waits when the host's time is up.
        let _ = self.reply.send(found);
        if self.goal == Goal::Ports { u64::try_from(silent).unwrap_or(0) } else { 0 }
    }

    fn found(&self) -> Found {
        let refusal = self.cells.verdicts().find_map(|verdict| match verdict {
            Some(Verdict::Filtered(why)) => Some(why.reason()),
            Some(Verdict::Open | Verdict::Closed) | None => None,
        });
        let states = match self.goal {
            Goal::Life => States::new(),
            Goal::Ports => self.ports.order.iter().copied().zip(self.cells.verdicts().map(state)).collect(),
        };
        Found { states, life: self.life(), refusal, mac: self.mac, trip: self.trip }
    }

    /// The proof that the host is there, in nmap's words.
    fn life(&self) -> Option<&'static str> {
        self.ports.order.iter().zip(self.cells.verdicts()).find_map(|(port, verdict)| match verdict {
            Some(Verdict::Open) if *port != NO_PORT => Some("syn-ack"),
            Some(Verdict::Open) if self.by_arp => Some("arp-response"),
            Some(Verdict::Open) => Some("echo-reply"),
            Some(Verdict::Closed) => Some("reset"),
            Some(Verdict::Filtered(_)) | None => None,
        })
    }

    fn patience(&self) -> Patience {
        Patience { answer: self.trip.patience(), flight: self.trip.flight() }
    }
}

fn state(verdict: Option<Verdict>) -> (PortState, &'static str) {
    match verdict {
        Some(Verdict::Open) => (PortState::Open, "syn-ack"),
        Some(Verdict::Closed) => (PortState::Closed, "reset"),
        Some(Verdict::Filtered(why)) => (PortState::Filtered, why.reason()),
        None => (PortState::Filtered, "no-response"),
    }
}
