//! The ports of one host, pass by pass: all once, then the silent ones again while that finds something.

use super::Shared;
use super::connect::Failure;
use super::host::Trouble;
use super::pace::RoundTrip;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use protocol::observation::PortState;
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Probes under way to one host at most.
const AT_ONCE: usize = 128;

/// Ports of one host from which on two threads ask them: a connect is all kernel time, and a node has idle cores then.
const MANY: usize = 2_048;
const LANES: usize = 2;

/// Linux limits how often it answers; a second question sooner than this is not heard.
const RETRY_SPACING: Duration = Duration::from_millis(500);

/// Passes after the first at most, when losses are seen and the author wrote no limit.
const MOST_RETRIES: u8 = 6;

/// What was found out about each port, and why.
pub(super) type States = BTreeMap<u16, (PortState, &'static str)>;

/// Asks every port of the plan until each has a state. A port that stays silent to the end is filtered.
pub(super) async fn sweep(shared: &Arc<Shared>, address: IpAddr, trip: &mut RoundTrip) -> Result<States, Trouble> {
    let mut states = States::new();
    let mut silent = shared.plan.order.clone();
    let mut passes_left = shared.plan.retries.unwrap_or(shared.plan.timing.retries);
    let mut extra = MOST_RETRIES.saturating_sub(passes_left);
    let mut retrying = false;
    loop {
        let known = states.len();
        silent = pass(shared, address, trip, silent, &mut states, retrying).await?;
        let lossy = retrying && states.len() > known;
        if lossy && passes_left == 0 && extra > 0 && shared.plan.retries.is_none() {
            (passes_left, extra) = (1, extra - 1);
        }
        if silent.is_empty() || passes_left == 0 {
            break;
        }
        passes_left -= 1;
        retrying = true;
        tokio::time::sleep(RETRY_SPACING.saturating_sub(trip.patience())).await;
    }
    shared.settled(u64::try_from(silent.len()).unwrap_or(u64::MAX));
    states.extend(silent.into_iter().map(|port| (port, (PortState::Filtered, "no-response"))));
    Ok(states)
}

/// Asks each of `ports` once; gives back those that were silent.
async fn pass(
    shared: &Arc<Shared>,
    address: IpAddr,
    trip: &mut RoundTrip,
    ports: Vec<u16>,
    states: &mut States,
    retrying: bool,
) -> Result<Vec<u16>, Trouble> {
    let is_hurried = shared.plan.timing.spacing.is_zero();
    let lanes = if is_hurried && ports.len() >= MANY { LANES } else { 1 };
    let mut running = JoinSet::new();
    for first in 0..lanes {
        let lane = Lane { shared: shared.clone(), address, trip: *trip, at_once: AT_ONCE / lanes, retrying };
        running.spawn(lane.ask(ports.iter().copied().skip(first).step_by(lanes).collect()));
    }
    let mut silent = Vec::new();
    while let Some(ended) = running.join_next().await {
        let asked = ended.map_err(|_| Trouble::Shortage(Errno::CANCELED))??;
        silent.extend(asked.silent);
        states.extend(asked.states);
        if asked.trip.patience() > trip.patience() || trip.smoothed().is_none() {
            *trip = asked.trip;
        }
    }
    Ok(silent)
}

/// One of those that ask the ports of a pass.
struct Lane {
    shared: Arc<Shared>,
    address: IpAddr,
    trip: RoundTrip,
    at_once: usize,
    retrying: bool,
}

/// What one of them learned.
struct Asked {
    silent: Vec<u16>,
    states: States,
    trip: RoundTrip,
}

impl Lane {
    async fn ask(self, ports: Vec<u16>) -> Result<Asked, Trouble> {
        let Self { shared, address, mut trip, at_once, retrying } = self;
        let spacing = shared.plan.timing.spacing;
        let at_once = if spacing.is_zero() { at_once } else { 1 };
        let mut waiting = ports.into_iter();
        let mut pending = FuturesUnordered::new();
        let (mut silent, mut states) = (Vec::new(), States::new());
        loop {
            while pending.len() < at_once
                && let Some(port) = waiting.next()
            {
                pending.push(ask(&shared, SocketAddr::new(address, port), trip.patience(), spacing));
            }
            let Some((port, answer, took)) = pending.next().await else { break };
            match judge(answer)? {
                None => silent.push(port),
                Some((state, reason)) => {
                    note(&shared, &mut trip, state, took, retrying);
                    states.insert(port, (state, reason));
                }
            }
        }
        Ok(Asked { silent, states, trip })
    }
}

/// Lets an answer teach the pace and the round trip.
fn note(shared: &Shared, trip: &mut RoundTrip, state: PortState, took: Duration, retrying: bool) {
    shared.settled(1);
    if state != PortState::Filtered {
        trip.observe(took);
    }
    if retrying {
        shared.dialer.pace.lost();
    } else {
        shared.dialer.pace.answered();
    }
}

/// The state that an answer proves; `None` for silence.
fn judge(answer: Result<(), Failure>) -> Result<Option<(PortState, &'static str)>, Trouble> {
    match answer {
        Ok(()) | Err(Failure::Reset) => Ok(Some((PortState::Open, "syn-ack"))),
        Err(Failure::Refused | Failure::Itself) => Ok(Some((PortState::Closed, "conn-refused"))),
        Err(Failure::Unreachable(reason)) => Ok(Some((PortState::Filtered, reason))),
        Err(Failure::Silent) => Ok(None),
        Err(Failure::Shortage(errno)) => Err(Trouble::Shortage(errno)),
        Err(Failure::NotSent(errno)) => Err(Trouble::NotSent(errno)),
    }
}

async fn ask(
    shared: &Shared,
    target: SocketAddr,
    patience: Duration,
    spacing: Duration,
) -> (u16, Result<(), Failure>, Duration) {
    if !spacing.is_zero() {
        tokio::time::sleep(spacing).await;
    }
    let dialed = shared.dialer.dial(target, patience).await;
    (target.port(), dialed.result.map(drop), dialed.took)
}
