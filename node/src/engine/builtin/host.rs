//! One host from the first question to its observation.

use super::discover::{self, Life};
use super::pace::RoundTrip;
use super::raw::{Found, Goal, Mac};
use super::sweep::{self, States};
use super::{Shared, connect};
use crate::engine::service;
use futures::StreamExt;
use protocol::observation::{
    HostObservation, HostState, MacAddress, PortObservation, PortState, Service, UnlistedPorts,
};
use protocol::port::Protocol;
use protocol::text::Text;
use protocol::time::Timestamp;
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Services of one host that are identified side by side.
const SERVICES_AT_ONCE: usize = 8;

/// Fewer filtered ports than this stand out among closed ones and are listed.
const FEW_FILTERED: usize = 26;

/// How the scan of one host ended.
pub(super) enum Outcome {
    /// Every cell was asked to the end.
    Settled {
        /// What was seen.
        host: Box<HostObservation>,
        /// Whether silence proves nothing there.
        by_port_only: bool,
    },
    /// Nothing may be concluded.
    NotObserved {
        /// Which host.
        address: IpAddr,
        /// Why.
        why: Trouble,
    },
}

/// Why a host could not be looked at to the end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    /// Its time was up.
    #[error("the host ran out of its time; raise --host-timeout or ask fewer ports")]
    TimedOut,
    /// This machine has no more of something.
    #[error("this machine ran short ({0}); raise its limit of open files or run fewer scans at once")]
    Shortage(Errno),
    /// This machine has no way there.
    #[error("this machine cannot send there ({0}); check its routes and local rules")]
    NotSent(Errno),
}

/// Scans `address` within the host's time; waiting for its turn does not count.
pub(super) async fn scan(shared: Arc<Shared>, address: IpAddr) -> Outcome {
    let own = connect::is_own(address);
    match look(&shared, address, own).await {
        Ok(host) => {
            shared.found(host.state);
            Outcome::Settled { host: Box::new(host), by_port_only: !is_asked(&shared, address, own) }
        }
        Err(why) => Outcome::NotObserved { address, why },
    }
}

/// Whether the host is asked for life. ARP asks even where the author wants no discovery, as nmap does: on the own
/// segment nothing can be sent without it, and a wall does not hide from it.
fn is_asked(shared: &Shared, address: IpAddr, own: bool) -> bool {
    let by_arp = || shared.raw.as_ref().is_some_and(|raw| raw.is_near(address));
    !own && (!shared.plan.skips_discovery || by_arp())
}

async fn look(shared: &Arc<Shared>, address: IpAddr, own: bool) -> Result<HostObservation, Trouble> {
    let mut known = Known { trip: RoundTrip::new(shared.round_trip()), life: None, mac: None };
    let limit = shared.plan.host_timeout;
    let start = Instant::now();
    if shared.plan.order.is_empty() || is_asked(shared, address, own) {
        let found = within(limit, look_for_life(shared, address, own, &mut known)).await?;
        if shared.plan.order.is_empty() || matches!(found, Life::Down(_)) {
            shared.settled(shared.plan.cells_per_host());
            return Ok(without_ports(address, found, known.mac));
        }
        known.life = Some(found);
    }
    let left = limit.saturating_sub(start.elapsed());
    let _turn = shared.turns.acquire().await;
    within(left, look_at_ports(shared, address, own, known)).await
}

/// What is known of a host before its ports are asked.
struct Known {
    trip: RoundTrip,
    life: Option<Life>,
    mac: Option<Mac>,
}

async fn look_for_life(shared: &Shared, address: IpAddr, own: bool, known: &mut Known) -> Result<Life, Trouble> {
    // On an own address only an open port counts, which echo and resets say nothing of.
    let Some(raw) = shared.raw.as_ref().filter(|_| !own) else {
        return discover::ask(shared, address, &mut known.trip, own).await;
    };
    let Found { life, refusal, mac, trip, states: _ } = raw.ask(address, Goal::Life, known.trip).await?;
    (known.trip, known.mac) = (trip, mac);
    Ok(life.map_or(Life::Down(refusal.unwrap_or("no-response")), Life::Up))
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(Trouble::TimedOut))
}

async fn look_at_ports(
    shared: &Arc<Shared>,
    address: IpAddr,
    own: bool,
    known: Known,
) -> Result<HostObservation, Trouble> {
    let Known { mut trip, life, mac } = known;
    let states = match &shared.raw {
        Some(raw) => raw.ask(address, Goal::Ports, trip).await?.states,
        None => sweep::sweep(shared, address, &mut trip).await?,
    };
    let life = life.unwrap_or_else(|| life_by_ports(&states, own));
    if let Life::Down(_) = life {
        let host = without_ports(address, life, mac);
        // What is behind a wall looks like nobody at all; the number of its silent ports tells that they were asked.
        return Ok(if own { host } else { with_ports(host, &states, BTreeMap::new()) });
    }
    let services = identify(shared, address, &states).await;
    Ok(with_ports(without_ports(address, life, mac), &states, services))
}

/// Whether the ports alone prove that a host is there; on this machine's own addresses a refusal proves nothing.
fn life_by_ports(states: &States, own: bool) -> Life {
    let reason = |wanted| states.values().find(|(state, _)| *state == wanted).map(|(_, reason)| *reason);
    match (reason(PortState::Open), reason(PortState::Closed), own) {
        (Some(reason), _, _) => Life::Up(reason),
        (None, Some(reason), false) => Life::Up(reason),
        (None, Some(_), true) => Life::Down("no-open-port"),
        (None, None, _) => Life::Down("no-response"),
    }
}

/// What answers on each open port. A host where every port is open cannot take more than half of its time for this;
/// ports that were not reached have the names of their numbers.
async fn identify(shared: &Shared, address: IpAddr, states: &States) -> BTreeMap<u16, Service> {
    let is_open = |(port, (state, _)): (&u16, &(PortState, &str))| (*state == PortState::Open).then_some(*port);
    let open: Vec<u16> = states.iter().filter_map(is_open).collect();
    let Some(intensity) = shared.plan.intensity else {
        return open.into_iter().filter_map(|port| Some((port, service::by_number(port)?))).collect();
    };
    let asked =
        open.into_iter().map(|port| {
            let dialer = shared.dialer.clone();
            async move {
                (port, service::identify(&dialer, SocketAddr::new(address, port), intensity, &shared.memory).await)
            }
        });
    let enough = tokio::time::sleep(shared.plan.host_timeout / 2);
    let found = futures::stream::iter(asked).buffer_unordered(SERVICES_AT_ONCE).take_until(enough);
    let found: Vec<_> = found.collect().await;
    found.into_iter().filter_map(|(port, service)| Some((port, service?))).collect()
}

fn without_ports(address: IpAddr, life: Life, mac: Option<Mac>) -> HostObservation {
    let (state, reason) = match life {
        Life::Up(reason) => (HostState::Up, reason),
        Life::Down(reason) => (HostState::Down, reason),
    };
    HostObservation {
        address,
        state,
        reason: Text::new(reason),
        seen: Timestamp::now(),
        names: Vec::new(),
        mac: mac.map(|mac| MacAddress { address: written(mac), vendor: Text::default() }),
        os: None,
        ports: Vec::new(),
        unlisted: Vec::new(),
    }
}

/// As in an observation: `00:11:22:AA:BB:CC`.
fn written(mac: Mac) -> Text {
    Text::new(&mac.map(|byte| format!("{byte:02X}")).join(":"))
}

/// Lists open ports always, and filtered ones where they stand out; counts the rest.
fn with_ports(mut host: HostObservation, states: &States, mut services: BTreeMap<u16, Service>) -> HostObservation {
    let count = |wanted| states.values().filter(|(state, _)| *state == wanted).count();
    let (closed, filtered) = (count(PortState::Closed), count(PortState::Filtered));
    let list_filtered = closed > filtered && filtered < FEW_FILTERED;
    let listed = |state: PortState| state == PortState::Open || list_filtered && state == PortState::Filtered;
    host.ports = states
        .iter()
        .filter(|(_, (state, _))| listed(*state))
        .map(|(port, (state, reason))| PortObservation {
            protocol: Protocol::Tcp,
            port: *port,
            state: *state,
            reason: Text::new(reason),
            service: services.remove(port).or_else(|| service::by_number(*port)),
        })
        .collect();
    host.unlisted = [(PortState::Closed, closed), (PortState::Filtered, filtered)]
        .into_iter()
        .filter(|(state, count)| *count > 0 && !listed(*state))
        .map(|(state, count)| UnlistedPorts {
            protocol: Protocol::Tcp,
            state,
            count: u32::try_from(count).unwrap_or(u32::MAX),
        })
        .collect();
    host
}
