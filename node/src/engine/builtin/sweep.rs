//! The ports of one host, pass by pass: all once, then the silent ones again while that finds something.

use super::Shared;
use super::connect::Failure;
use super::host::Trouble;
use super::pace::RoundTrip;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use protocol::observation::PortState;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Probes under way to one host at most.
const AT_ONCE: usize = 128;

/// Linux limits how often it answers; a second question sooner than this is not heard.
const RETRY_SPACING: Duration = Duration::from_millis(500);

/// Passes after the first at most, when losses are seen and the author wrote no limit.
const MOST_RETRIES: u8 = 6;

/// What was found out about each port, and why.
pub(super) type States = BTreeMap<u16, (PortState, &'static str)>;

/// Asks every port of the plan until each has a state. A port that stays silent to the end is filtered.
pub(super) async fn sweep(shared: &Shared, address: IpAddr, trip: &mut RoundTrip) -> Result<States, Trouble> {
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
    shared: &Shared,
    address: IpAddr,
    trip: &mut RoundTrip,
    ports: Vec<u16>,
    states: &mut States,
    retrying: bool,
) -> Result<Vec<u16>, Trouble> {
    let spacing = shared.plan.timing.spacing;
    let at_once = if spacing.is_zero() { AT_ONCE } else { 1 };
    let mut waiting = ports.into_iter();
    let mut pending = FuturesUnordered::new();
    let mut silent = Vec::new();
    loop {
        while pending.len() < at_once
            && let Some(port) = waiting.next()
        {
            pending.push(ask(shared, SocketAddr::new(address, port), trip.patience(), spacing));
        }
        let Some((port, answer, took)) = pending.next().await else { return Ok(silent) };
        match judge(answer)? {
            None => silent.push(port),
            Some((state, reason)) => {
                note(shared, trip, state, took, retrying);
                states.insert(port, (state, reason));
            }
        }
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
