//! A task done by both engines: the built-in one first, then processes of nmap side by side. Whatever becomes of those,
//! what the built-in engine found is sent and covered; what only nmap could tell is then not told.

use super::merge;
use super::plan::{Left, is_named};
use crate::engine::builtin::Builtin;
use crate::engine::memory::{Memory, Place};
use crate::engine::nmap::{ENGINE, Findings, FollowUp, Kind, Nmap, options_of};
use crate::engine::{Engine, EngineError, Progress};
use crate::policy::AdmittedTask;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use protocol::observation::{
    Coverage, EffectiveOptions, HostObservation, HostState, PortObservation, ProbeMethod, ProbedCells, Service,
    ServiceDetection,
};
use protocol::port::{PortSet, Protocol};
use protocol::target::TargetSet;
use protocol::text::Text;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Hosts on their way from the built-in engine.
const HOSTS_QUEUED: usize = 64;

/// The share of a task's time limit after which nmap is ended, so that what was found still gets out: nine tenths.
const SHARE: (u32, u32) = (9, 10);

/// What nmap called a port that said something of this shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Named {
    shape: Text,
    version: Text,
    service: Service,
}

/// Both engines, and what nmap named before.
#[derive(Clone, Copy)]
pub(in crate::engine) struct Parts<'a> {
    pub(in crate::engine) builtin: &'a Builtin,
    pub(in crate::engine) nmap: &'a Nmap,
    pub(in crate::engine) named: &'a Memory<Named>,
}

/// Scans as [`Engine::scan`] says, with both engines.
pub(in crate::engine) async fn scan(
    parts: Parts<'_>,
    task: AdmittedTask,
    hosts: mpsc::Sender<HostObservation>,
    progress: watch::Sender<Progress>,
    stop: CancellationToken,
) -> Result<Coverage, EngineError> {
    let deadline = Instant::now() + task.spec().time_limit * SHARE.0 / SHARE.1;
    let (sender, mut found) = mpsc::channel(HOSTS_QUEUED);
    let first = parts.builtin.scan(task.only(Protocol::Tcp), sender, progress.clone(), stop.clone());
    let collect = async {
        let mut all = BTreeMap::new();
        while let Some(host) = found.recv().await {
            all.insert(host.address, host);
        }
        all
    };
    let (coverage, found) = tokio::join!(first, collect);
    let mut merged = Merged { hosts: found, coverage: coverage?, findings: Noted::default() };
    let left = Left::of(&task);
    let work = Work { parts, task: &task, left: &left, deadline, progress: &progress };
    work.recall(&mut merged);
    work.follow_up(&mut merged, &stop).await;
    let Merged { hosts: found, coverage, findings } = merged;
    for host in found.into_values() {
        hosts.send(host).await.map_err(|_| EngineError::Abandoned)?;
    }
    Ok(findings.add_to(coverage, parts.nmap, &task, &left))
}

/// What both engines found so far.
struct Merged {
    hosts: BTreeMap<IpAddr, HostObservation>,
    coverage: Coverage,
    findings: Noted,
}

/// What nmap proved, apart from the hosts.
#[derive(Default)]
struct Noted {
    /// Which one it was.
    version: Option<Text>,
    kinds: BTreeSet<Kind>,
    udp: Vec<ProbedCells>,
    /// Hosts that are down cover their UDP ports too.
    down: TargetSet,
}

struct Work<'a> {
    parts: Parts<'a>,
    task: &'a AdmittedTask,
    left: &'a Left,
    deadline: Instant,
    progress: &'a watch::Sender<Progress>,
}

impl Work<'_> {
    /// Gives ports that answer as before the names that the same nmap gave them then.
    fn recall(&self, merged: &mut Merged) {
        let version = Text::new(&self.parts.nmap.facts().version);
        for (place, port) in self.unnamed(&mut merged.hosts) {
            let is_its = |known: &Named| Some(&known.shape) == shape(port) && known.version == version;
            if let Some(known) = self.parts.named.recall(place).filter(is_its) {
                self.parts.named.confirm(place);
                port.service = Some(known.service);
                merged.findings.version = Some(version.clone());
            }
        }
    }

    /// Open ports without a name that only need one; where nmap is to look deeper it is asked anyway.
    fn unnamed<'a>(
        &self,
        hosts: &'a mut BTreeMap<IpAddr, HostObservation>,
    ) -> impl Iterator<Item = (Place, &'a mut PortObservation)> {
        let intensity = self.task.spec().args.service_intensity().filter(|_| self.left.wants_names_only());
        let of_host = move |host: &'a mut HostObservation| {
            let (address, intensity) = (host.address, intensity?);
            let ports = host.ports.iter_mut().filter(|port| port.protocol == Protocol::Tcp && !is_named(port));
            Some(ports.map(move |port| ((SocketAddr::new(address, port.port), intensity), port)))
        };
        hosts.values_mut().filter_map(of_host).flatten()
    }

    async fn follow_up(&self, merged: &mut Merged, stop: &CancellationToken) {
        let Merged { hosts, coverage, findings } = merged;
        let probed = coverage.probed.iter().fold(PortSet::empty(), |all, cells| all.union(&cells.ports));
        let wanted = self.left.follow_ups(hosts.values(), &probed, &coverage.by_port_only);
        findings.down = down(hosts).minus(&coverage.by_port_only);
        self.expect(&wanted, &findings.down);
        let run = async |wanted: FollowUp| {
            let ended = self.parts.nmap.follow_up(self.task, &wanted, self.deadline, stop).await;
            (wanted, ended)
        };
        let mut running: FuturesUnordered<_> = wanted.into_iter().map(run).collect();
        while let Some((wanted, ended)) = running.next().await {
            match ended {
                Ok(Some(proved)) => self.take(&wanted, proved, hosts, findings),
                Ok(None) => {}
                Err(error) => {
                    let (hosts, kind) = (wanted.targets.count(), wanted.kind);
                    tracing::warn!(%error, task.id = %self.task.id(), hosts, ?kind, "what only nmap can tell is left out");
                }
            }
        }
    }

    /// UDP cells are known beforehand when the ports are.
    fn expect(&self, wanted: &[FollowUp], down: &TargetSet) {
        let Some(ports) = self.left.udp_ports() else { return };
        let hosts = wanted.iter().filter(|one| one.kind == Kind::Udp).map(|one| one.targets.count()).sum::<u128>();
        let cells = |hosts: u128| u64::try_from(hosts.saturating_mul(u128::from(ports.count()))).unwrap_or(u64::MAX);
        self.progress.send_modify(|progress| {
            progress.cells_total = progress.cells_total.saturating_add(cells(hosts.saturating_add(down.count())));
            progress.cells_done = progress.cells_done.saturating_add(cells(down.count()));
        });
    }

    fn take(
        &self,
        wanted: &FollowUp,
        proved: Findings,
        hosts: &mut BTreeMap<IpAddr, HostObservation>,
        noted: &mut Noted,
    ) {
        let Findings { version, hosts: seen, asked: _, by_port_only: _, probed } = proved;
        if noted.version.get_or_insert_with(|| version.clone()) != &version {
            tracing::warn!(task.id = %self.task.id(), %version, "nmap was replaced meanwhile; what the new one says does not compare");
            return;
        }
        noted.kinds.insert(wanted.kind);
        let before: Vec<(Place, Text)> =
            self.unnamed(hosts).filter_map(|(place, port)| Some((place, shape(port)?.clone()))).collect();
        for seen in seen {
            let Some(host) = hosts.get_mut(&seen.address) else { continue };
            let was_up = host.state == HostState::Up;
            merge::add(host, seen, wanted.kind, self.left.names());
            let is_found = !was_up && host.state == HostState::Up;
            self.progress.send_modify(|progress| progress.hosts_found += u32::from(is_found));
        }
        self.learn(before, hosts, noted);
        if wanted.kind.protocol() == Protocol::Udp {
            let cells = probed.into_iter().filter(|cells| cells.method == ProbeMethod::Udp);
            noted.udp.extend(cells.inspect(|cells| {
                let count = cells.targets.count().saturating_mul(u128::from(cells.ports.count()));
                let count = u64::try_from(count).unwrap_or(u64::MAX);
                self.progress.send_modify(|progress| {
                    progress.cells_done = progress.cells_done.saturating_add(count);
                    progress.cells_total = progress.cells_total.max(progress.cells_done);
                });
            }));
        }
    }
}

impl Work<'_> {
    /// Keeps what nmap has just named.
    fn learn(&self, before: Vec<(Place, Text)>, hosts: &BTreeMap<IpAddr, HostObservation>, noted: &Noted) {
        for (place, shape) in before {
            let (target, _) = place;
            let ports = hosts.get(&target.ip()).into_iter().flat_map(|host| &host.ports);
            let mut ports = ports.filter(|port| port.protocol == Protocol::Tcp && port.port == target.port());
            let service = ports.next().filter(|port| is_named(port)).and_then(|port| port.service.clone());
            if let (Some(service), Some(version)) = (service, noted.version.clone()) {
                self.parts.named.learn(place, Some(Named { shape, version, service }));
            }
        }
    }
}

/// The shape of what a port said, where the built-in engine did not understand it.
fn shape(port: &PortObservation) -> Option<&Text> {
    port.service.as_ref().map(|service| &service.extra).filter(|shape| !shape.is_empty())
}

impl Noted {
    /// The coverage of both. nmap's part in naming services stands there also when nothing was left to name, so that
    /// runs of one scan look alike.
    fn add_to(self, mut coverage: Coverage, nmap: &Nmap, task: &AdmittedTask, left: &Left) -> Coverage {
        let version = self.version.unwrap_or_else(|| Text::new(&nmap.facts().version));
        let engine = Text::new(ENGINE);
        let intensity = task.spec().args.service_intensity();
        coverage.services.extend(intensity.map(|intensity| ServiceDetection {
            engine: engine.clone(),
            version: version.clone(),
            intensity,
        }));
        coverage.options.extend(self.kinds.into_iter().map(|kind| EffectiveOptions {
            engine: engine.clone(),
            version: version.clone(),
            options: options_of(task, kind),
            raw: task.raw(),
        }));
        let ports = left.udp_ports().or(self.udp.first().map(|cells| &cells.ports)).cloned();
        if let Some(ports) = ports.filter(|ports| !ports.is_empty()) {
            let udp = self.udp.iter().filter(|cells| cells.ports == ports);
            let targets = udp.fold(self.down, |all, cells| all.union(&cells.targets));
            let cells = ProbedCells { targets, ports, method: ProbeMethod::Udp };
            coverage.probed.extend((!cells.targets.is_empty()).then_some(cells));
        }
        coverage
    }
}

/// The hosts that are not there.
fn down(hosts: &BTreeMap<IpAddr, HostObservation>) -> TargetSet {
    hosts.values().filter(|host| host.state == HostState::Down).map(|host| host.address).collect()
}
