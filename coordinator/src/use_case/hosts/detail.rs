//! One host: what is open now and since when, what each of the latest runs that looked saw, and its alerts.

use super::UseCaseError;
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::analysis::delta::{KnownHost, PortId};
use crate::history::{RunLook, Versions, reported_runs, versions_of};
use crate::host::{HostKey, each_port, open_set};
use crate::store::tables::{RUN_LOOKS, RUNS, SCANS};
use crate::store::{Reads, StoreError};
use crate::use_case::alerts::{AlertView, alerts_of};
use protocol::observation::PortObservation;
use protocol::task::RunId;
use protocol::text::Text;
use protocol::{PortSet, Timestamp};
use std::collections::BTreeSet;

/// The most runs that the history of a host shows.
pub const MAX_LOOKS: usize = 40;
/// The most ports that are shown one by one.
pub const MAX_PORTS: usize = 500;
/// How many runs back looks at this host are searched for.
const MOST_RUNS: usize = 400;
/// How many versions of a host are read to find out since when a port is open.
const MOST_VERSIONS: usize = 400;

const LATEST: RunId = RunId(u64::MAX);

/// A host with its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostDetail {
    /// Which one.
    pub key: HostKey,
    /// The network's name.
    pub network: Text,
    /// What is known of it; of one that is gone, what was known before.
    pub host: KnownHost,
    /// The run that found it gone, and when; `None` while it is there.
    pub gone: Option<(RunId, Timestamp)>,
    /// The first run that is still kept and found it like this or otherwise, and when.
    pub first: (RunId, Timestamp),
    /// The latest run that saw it, among those that are shown.
    pub seen: Option<(RunId, Timestamp)>,
    /// The latest runs that looked at it, oldest first; at most [`MAX_LOOKS`].
    pub looks: Vec<HostLook>,
    /// Ports that are open, or were in one of these looks: those that are open first. At most [`MAX_PORTS`].
    pub ports: Vec<PortHistory>,
    /// How many ports more there are.
    pub left_out: usize,
    /// Its alerts in all states, by port.
    pub alerts: Vec<AlertView>,
}

/// A run that looked at the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostLook {
    /// Which run.
    pub run: RunId,
    /// When it ended.
    pub at: Timestamp,
    /// Whether it saw the host.
    pub saw: bool,
    /// How many of its ports were looked at.
    pub ports: u32,
    /// How many of them were open.
    pub open: u32,
}

/// One port over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortHistory {
    /// Which port.
    pub port: PortId,
    /// What answers there, while it is open.
    pub now: Option<PortObservation>,
    /// Since which run it is open without a break, and when that ended.
    pub since: Option<(RunId, Timestamp)>,
    /// What each look saw, as many as there are looks.
    pub strip: Vec<Mark>,
}

/// What one run saw of one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Open.
    Open,
    /// Looked at, and not open.
    NotOpen,
    /// The run looked at the host and not at this port.
    NotLookedAt,
}

/// A look, as long as it is put together.
struct Look {
    shown: HostLook,
    looked: PortSet,
    open: PortSet,
}

impl Look {
    fn mark(&self, port: PortId) -> Mark {
        match (self.looked.contains(port.protocol, port.port), self.open.contains(port.protocol, port.port)) {
            (_, true) => Mark::Open,
            (true, false) => Mark::NotOpen,
            (false, false) => Mark::NotLookedAt,
        }
    }
}

impl Coordinator {
    /// One host with its history.
    pub async fn host(&self, actor: &Actor, key: HostKey) -> Result<HostDetail, UseCaseError> {
        actor.require(Right::Read)?;
        let found = self.store().read(move |view| detail(view, key)).await?;
        found.ok_or_else(|| UseCaseError::NotFound(format!("host {key}"), "hosts"))
    }
}

pub(super) fn detail(reads: &impl Reads, key: HostKey) -> Result<Option<HostDetail>, StoreError> {
    let Some(scan) = reads.get(&SCANS, &key.scan)? else { return Ok(None) };
    let reported = reported_runs(reads, key.scan, LATEST)?;
    let Some(versions) = versions_of(reads, key.scan, key.address)? else { return Ok(None) };
    let past = Past::read(&versions, &reported)?;
    let (Some(host), Some(first)) = (past.host, past.first) else { return Ok(None) };
    let looks = looks(reads, key, &versions, &reported)?;
    let now = if past.gone.is_some() { PortSet::empty() } else { open_set(&host) };
    let (ports, left_out) = ports(reads, &host, &now, &past.since, &looks)?;
    let shown: Vec<HostLook> = looks.into_iter().map(|look| look.shown).collect();
    Ok(Some(HostDetail {
        key,
        network: scan.definition.name().clone(),
        gone: past.gone.map(|run| dated(reads, run)).transpose()?,
        first: dated(reads, first)?,
        seen: shown.iter().rev().find(|look| look.saw).map(|look| (look.run, look.at)),
        looks: shown,
        ports,
        left_out,
        alerts: alerts_of(reads, key.scan, key.address)?,
        host,
    }))
}

/// What the versions of a host tell.
#[derive(Default)]
struct Past {
    /// The latest version in which it was there.
    host: Option<KnownHost>,
    /// The run that found it gone since.
    gone: Option<RunId>,
    /// The run of the first version.
    first: Option<RunId>,
    /// Ports that are open without a break, by the run since which they are.
    since: Vec<(PortSet, RunId)>,
}

impl Past {
    /// Newest first: a port's streak ends where a version does not have it.
    fn read(versions: &Versions<'_>, reported: &BTreeSet<RunId>) -> Result<Self, StoreError> {
        let (mut past, mut streak, mut newer) = (Self::default(), PortSet::empty(), None);
        for version in versions.newest_first(reported).take(MOST_VERSIONS) {
            let (run, version) = version?;
            let open = version.as_ref().map(open_set).unwrap_or_default();
            if let (None, Some(host)) = (&past.host, &version) {
                past.host = Some(host.clone());
                streak = if past.gone.is_none() { open.clone() } else { PortSet::empty() };
            } else if past.host.is_none() {
                past.gone = Some(run);
            }
            let ended = streak.minus(&open);
            if let Some(newer) = newer.filter(|_| !ended.is_empty()) {
                past.since.push((ended.clone(), newer));
            }
            streak = streak.minus(&ended);
            past.first = Some(run);
            newer = Some(run);
        }
        past.since.extend(newer.map(|oldest| (streak, oldest)));
        Ok(past)
    }
}

/// The latest runs that looked at the host, oldest first.
fn looks(
    reads: &impl Reads,
    key: HostKey,
    versions: &Versions<'_>,
    reported: &BTreeSet<RunId>,
) -> Result<Vec<Look>, StoreError> {
    let mut looks = Vec::new();
    for run in reported.iter().rev().take(MOST_RUNS) {
        let Some(look) = reads.get(&RUN_LOOKS, run)? else { continue };
        let RunLook { coverage, seen, versions: _ } = &look;
        let looked = coverage.probed.ports_of(key.address).union(&coverage.probed_otherwise.ports_of(key.address));
        if !coverage.asked.contains(key.address) && looked.is_empty() {
            continue;
        }
        let open = look.host(versions, reported, *run)?.map(|host| open_set(&host)).unwrap_or_default();
        let (saw, at) = (seen.contains(key.address), dated(reads, *run)?.1);
        let shown = HostLook { run: *run, at, saw, ports: looked.count(), open: open.count() };
        looks.push(Look { shown, looked, open });
        if looks.len() == MAX_LOOKS {
            break;
        }
    }
    looks.reverse();
    Ok(looks)
}

/// Ports one by one, those that are open `now` first, and how many were too many.
fn ports(
    reads: &impl Reads,
    host: &KnownHost,
    now: &PortSet,
    since: &[(PortSet, RunId)],
    looks: &[Look],
) -> Result<(Vec<PortHistory>, usize), StoreError> {
    let before = looks.iter().fold(PortSet::empty(), |all, look| all.union(&look.open)).minus(now);
    let total =
        usize::try_from(now.count()).unwrap_or(usize::MAX) + usize::try_from(before.count()).unwrap_or(usize::MAX);
    let mut ports = Vec::new();
    for port in each_port(now).chain(each_port(&before)).take(MAX_PORTS) {
        let is_open = now.contains(port.protocol, port.port);
        let is_it = |observed: &&PortObservation| (observed.protocol, observed.port) == (port.protocol, port.port);
        let run = since.iter().find(|(set, _)| is_open && set.contains(port.protocol, port.port)).map(|(_, run)| *run);
        ports.push(PortHistory {
            port,
            now: host.open_ports().find(|observed| is_open && is_it(observed)).cloned(),
            since: run.map(|run| dated(reads, run)).transpose()?,
            strip: looks.iter().map(|look| look.mark(port)).collect(),
        });
    }
    Ok((ports, total.saturating_sub(MAX_PORTS)))
}

/// A run with the time of its end.
fn dated(reads: &impl Reads, run: RunId) -> Result<(RunId, Timestamp), StoreError> {
    let ended = reads.get(&RUNS, &run)?.map(|run| run.ended.unwrap_or(run.created));
    Ok((run, ended.unwrap_or(Timestamp::from_millis(0))))
}
