//! Is a host there? Asked without raw packets: a few connects, and any answer at all means yes.

use super::Shared;
use super::connect::Failure;
use super::host::Trouble;
use super::pace::RoundTrip;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Ports of which most hosts answer at least one, be it with a refusal.
const PING_PORTS: [u16; 8] = [443, 80, 22, 445, 3389, 53, 8080, 23];

/// How many of the asked ports are asked for life too.
const ASKED_PORTS: usize = 4;

/// How many of the silent ones are asked a second time.
const SECOND_ROUND: usize = 4;

/// What the connects say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// It answered, and how; the round trip is known.
    Up(&'static str),
    /// Nothing came back, or word that there is no such host.
    Down(&'static str),
}

/// Asks `address` for life, the likeliest ports twice when the first round stays silent. With `only_open` a refusal proves nothing.
pub(super) async fn ask(
    shared: &Shared,
    address: IpAddr,
    trip: &mut RoundTrip,
    only_open: bool,
) -> Result<Life, Trouble> {
    let mut ports = ports(&shared.plan.order);
    let mut down = if only_open { "no-open-port" } else { "no-response" };
    for _ in 0..2 {
        let patience = trip.patience();
        let mut pending: FuturesUnordered<_> =
            ports.iter().map(|port| knock(shared, SocketAddr::new(address, *port), patience)).collect();
        let mut silent = Vec::new();
        while let Some((port, answer, took)) = pending.next().await {
            match answer {
                Ok(()) | Err(Failure::Reset) => return up(trip, took, "syn-ack"),
                Err(Failure::Refused | Failure::Itself) if only_open => {}
                Err(Failure::Refused | Failure::Itself) => return up(trip, took, "conn-refused"),
                Err(Failure::Silent) => silent.push(port),
                Err(Failure::Unreachable(reason)) => down = reason,
                Err(Failure::Shortage(errno)) => return Err(Trouble::Shortage(errno)),
                Err(Failure::NotSent(errno)) => return Err(Trouble::NotSent(errno)),
            }
        }
        if silent.is_empty() {
            break;
        }
        silent.sort_by_key(|port| ports.iter().position(|asked| asked == port));
        silent.truncate(SECOND_ROUND);
        ports = silent;
    }
    Ok(Life::Down(down))
}

/// The ports that are asked for life: the likely ones, and the first of those that are asked anyway.
pub(super) fn ports(order: &[u16]) -> Vec<u16> {
    let mut ports = PING_PORTS.to_vec();
    ports.extend(order.iter().filter(|port| !PING_PORTS.contains(port)).take(ASKED_PORTS));
    ports
}

fn up(trip: &mut RoundTrip, took: Duration, reason: &'static str) -> Result<Life, Trouble> {
    trip.observe(took);
    Ok(Life::Up(reason))
}

async fn knock(shared: &Shared, target: SocketAddr, patience: Duration) -> (u16, Result<(), Failure>, Duration) {
    let dialed = shared.dialer.dial(target, patience).await;
    (target.port(), dialed.result.map(drop), dialed.took)
}
