//! The built-in engine: half-open with raw packets where node and owner allow them, else TCP connects with bounded
//! sockets, which need no privilege. Nothing has to be installed.
//!
//! A host ends in one of two ways: settled, then it is sent and covered in full; or not observed (it ran out of its
//! time, this machine could not send, the scan was stopped), then it is neither sent nor covered.

pub(super) mod connect;
mod discover;
mod host;
pub(super) mod pace;
mod ports;
mod raw;
#[cfg(test)]
mod segment;
mod sweep;
#[cfg(test)]
mod tests;

use super::auto::Unserved;
use super::memory::Memory;
use super::service::Known;
use super::{BUILTIN_VERSION, DEFAULT_HOST_TIMEOUT, Engine, EngineError, Progress};
use crate::policy::{AdmittedTask, DEFAULT_FULL_EVERY};
use connect::Dialer;
use host::Outcome;
use pace::{Pace, Timing};
use protocol::observation::{
    Coverage, EffectiveOptions, HostObservation, HostState, ProbeMethod, ProbedCells, ServiceDetection,
};
use protocol::port::{PortSet, Protocol};
use protocol::target::TargetSet;
use protocol::text::Text;
use raw::{NodeRate, Raw, Wish};
use rustix::process::{Resource, getrlimit};
use rustix::thread::{CapabilitySet, capabilities};
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What this engine is called in coverages and observations.
pub(super) const ENGINE: &str = "builtin";

/// Hosts that are asked for life side by side.
const HOSTS_AT_ONCE: usize = 32;

/// The same with raw packets, which take no descriptor each: all hosts of a task.
const HOSTS_AT_ONCE_RAW: usize = 256;

/// Hosts whose ports are asked side by side.
const SWEEPS_AT_ONCE: usize = 8;

/// Cells that are asked side by side with raw packets; each takes a few bytes.
const CELLS_AT_ONCE_RAW: usize = 1 << 20;

/// Sockets of the whole engine at most, however many descriptors there are.
const MAX_DESCRIPTORS: u64 = 1_024;

/// The built-in engine; its socket budget is shared by all tasks that run at the same time.
pub struct Builtin {
    descriptors: Arc<Semaphore>,
    memory: Arc<Memory<Known>>,
    rate: Arc<NodeRate>,
}

/// What one scan does, worked out once.
pub(super) struct Plan {
    targets: TargetSet,
    /// The ports in the order in which they are asked; empty when only life is asked for.
    order: Vec<u16>,
    /// Whether the author wants no other order.
    is_ordered: bool,
    ports: PortSet,
    timing: Timing,
    /// Retries that the author wrote.
    retries: Option<u8>,
    skips_discovery: bool,
    intensity: Option<u8>,
    host_timeout: Duration,
    options: Text,
    rate: Option<u32>,
    window: (u32, u32),
    /// What half-open scanning would do; `None` where it is not allowed or not wanted.
    raw: Option<RawPlan>,
}

/// What differs with raw packets.
struct RawPlan {
    timing: Timing,
    window: (u32, u32),
    min_rate: Option<u32>,
    host_rate: u32,
    uses_arp: bool,
}

/// What every host of one scan shares.
pub(super) struct Shared {
    plan: Plan,
    dialer: Dialer,
    /// The raw sockets; without them ports are asked by connects.
    raw: Option<Raw>,
    progress: watch::Sender<Progress>,
    /// Whose ports may be asked now.
    turns: Semaphore,
    /// What was identified before.
    memory: Arc<Memory<Known>>,
}

impl Default for Builtin {
    fn default() -> Self {
        Self::new()
    }
}

impl Builtin {
    /// Takes three quarters of the descriptors this process may have, at least 8 and at most 1,024.
    pub fn new() -> Self {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(MAX_DESCRIPTORS);
        Self::with_descriptors(limit / 4 * 3)
    }

    /// As [`Self::new`]; of the looks at one service every so many identify it fully, the others only confirm it.
    pub fn remembering(full_every: NonZeroU16) -> Self {
        Self { memory: Arc::new(Memory::new(full_every)), ..Self::new() }
    }

    /// As [`Self::new`], for a limit that is known.
    pub fn with_descriptors(limit: u64) -> Self {
        let budget = usize::try_from(limit.clamp(8, MAX_DESCRIPTORS)).unwrap_or(8);
        let memory = Arc::new(Memory::new(DEFAULT_FULL_EVERY));
        Self { descriptors: Arc::new(Semaphore::new(budget)), memory, rate: Arc::new(NodeRate::new(None)) }
    }

    /// Sends at most so many packets a second, all scans together.
    pub fn with_node_rate(mut self, rate: u32) -> Self {
        self.rate = Arc::new(NodeRate::new(Some(rate)));
        self
    }

    /// Whether this process may send raw packets.
    pub fn may_send_raw() -> bool {
        capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::NET_RAW))
    }

    fn share(&self, plan: Plan, progress: watch::Sender<Progress>) -> Arc<Shared> {
        let (least, most) = plan.window;
        let pace = Pace::new(plan.timing.start, least, most, plan.rate);
        let cells = u64::try_from(plan.targets.count()).unwrap_or(u64::MAX).saturating_mul(plan.cells_per_host());
        progress.send_modify(|progress| progress.cells_total = cells);
        let dialer = Dialer { pace, descriptors: self.descriptors.clone(), spares: Arc::default() };
        // Without a secret nobody could tell answers from forgeries, so nothing is sent then.
        let raw = getrandom::u64().ok().and_then(|secret| plan.wish(secret)).and_then(|wish| {
            let opened = Raw::open(wish, &plan.targets, self.rate.clone(), progress.clone());
            opened.inspect_err(|error| tracing::warn!(%error, "no raw sockets; ports are asked by connects")).ok()
        });
        let at_once = match raw {
            Some(_) => CELLS_AT_ONCE_RAW.checked_div(plan.order.len()).unwrap_or(1).clamp(1, HOSTS_AT_ONCE_RAW),
            None => SWEEPS_AT_ONCE,
        };
        let turns = Semaphore::new(at_once);
        Arc::new(Shared { plan, dialer, raw, progress, turns, memory: self.memory.clone() })
    }
}

impl Engine for Builtin {
    async fn scan(
        &self,
        task: AdmittedTask,
        hosts: mpsc::Sender<HostObservation>,
        progress: watch::Sender<Progress>,
        stop: CancellationToken,
    ) -> Result<Coverage, EngineError> {
        let deadline = Instant::now() + task.spec().time_limit;
        let shared = self.share(Plan::new(&task)?, progress);
        let mut covered = Covered::default();
        let mut waiting = shared.plan.targets.addresses();
        let mut running = JoinSet::new();
        let at_once = if shared.raw.is_some() { HOSTS_AT_ONCE_RAW } else { HOSTS_AT_ONCE };
        loop {
            while running.len() < at_once
                && let Some(address) = waiting.next()
            {
                running.spawn(host::scan(shared.clone(), address));
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = tokio::time::sleep_until(deadline) => break,
                ended = running.join_next() => match ended {
                    None => break,
                    Some(ended) => if !covered.settle(ended, &hosts, &stop).await? { break },
                },
            }
        }
        Ok(covered.into_coverage(&shared.plan, shared.method()))
    }
}

/// The addresses that were settled and sent.
#[derive(Default)]
struct Covered {
    asked: Vec<IpAddr>,
    by_port_only: Vec<IpAddr>,
}

impl Covered {
    /// Sends one host and notes it as covered; false when the scan was stopped meanwhile.
    async fn settle(
        &mut self,
        ended: Result<Outcome, JoinError>,
        hosts: &mpsc::Sender<HostObservation>,
        stop: &CancellationToken,
    ) -> Result<bool, EngineError> {
        let (host, by_port_only) = match ended {
            Ok(Outcome::Settled { host, by_port_only }) => (host, by_port_only),
            Ok(Outcome::NotObserved { address, why }) => {
                tracing::warn!(%address, %why, "host not observed");
                return Ok(true);
            }
            Err(error) => {
                tracing::error!(%error, "the scan of a host broke down; it is not observed");
                return Ok(true);
            }
        };
        let address = host.address;
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(false),
            sent = hosts.send(*host) => sent.map_err(|_| EngineError::Abandoned)?,
        }
        self.asked.push(address);
        if by_port_only {
            self.by_port_only.push(address);
        }
        Ok(true)
    }

    fn into_coverage(self, plan: &Plan, method: ProbeMethod) -> Coverage {
        let asked: TargetSet = self.asked.into_iter().collect();
        let cells = ProbedCells { targets: asked.clone(), ports: plan.ports.clone(), method };
        Coverage {
            by_port_only: self.by_port_only.into_iter().collect(),
            probed: if plan.ports.is_empty() || asked.is_empty() { Vec::new() } else { vec![cells] },
            asked,
            services: Vec::from_iter(plan.intensity.map(|intensity| ServiceDetection {
                engine: Text::new(ENGINE),
                version: Text::new(BUILTIN_VERSION),
                intensity,
            })),
            options: vec![EffectiveOptions {
                engine: Text::new(ENGINE),
                version: Text::new(BUILTIN_VERSION),
                options: plan.options.clone(),
                raw: method == ProbeMethod::Syn,
            }],
        }
    }
}

impl Plan {
    fn new(task: &AdmittedTask) -> Result<Self, EngineError> {
        let spec = task.spec();
        let args = &spec.args;
        let asked = spec.ports.clone().unwrap_or_else(|| ports::default_set(args.default_ports()));
        let foreign = asked.minus(&asked.only(Protocol::Tcp));
        if !foreign.is_empty() {
            return Err(Unserved::BeyondBuiltin(format!("ports {foreign}")).into());
        }
        let ports = if args.discovery_only() { PortSet::empty() } else { excluded(asked, args.excluded_ports()) };
        if ports.is_empty() && !args.discovery_only() {
            return Err(EngineError::NoPorts);
        }
        let timing = timing(task, Timing::template(args.timing()));
        Ok(Self {
            targets: spec.targets.clone(),
            order: ports::in_order(&ports),
            is_ordered: args.has("-r"),
            ports,
            timing,
            retries: args.max_retries(),
            skips_discovery: args.skips_discovery(),
            intensity: args.service_intensity(),
            host_timeout: args.host_timeout().unwrap_or(DEFAULT_HOST_TIMEOUT),
            options: options(task),
            rate: task.max_rate(),
            window: window(task, timing),
            raw: RawPlan::new(task),
        })
    }

    /// What the raw sockets are wanted for, if they are.
    fn wish(&self, seed: u64) -> Option<Wish> {
        let RawPlan { timing, window, min_rate, host_rate, uses_arp } = *self.raw.as_ref()?;
        Some(Wish {
            timing,
            order: if self.is_ordered { self.order.clone() } else { ports::permuted(&self.order, seed) },
            life_ports: discover::ports(&self.order),
            retries: self.retries,
            window,
            min_rate,
            max_rate: self.rate,
            host_rate,
            uses_arp,
        })
    }

    fn cells_per_host(&self) -> u64 {
        u64::from(self.ports.count().max(1))
    }
}

impl RawPlan {
    fn new(task: &AdmittedTask) -> Option<Self> {
        let args = &task.spec().args;
        if !task.may_send_raw() || !Builtin::may_send_raw() || args.has("-sT") {
            return None;
        }
        let timing = timing(task, Timing::raw_template(args.timing()));
        Some(Self {
            timing,
            window: window(task, timing),
            min_rate: args.min_rate(),
            host_rate: task.max_host_rate(),
            uses_arp: !args.has("--disable-arp-ping"),
        })
    }
}

fn excluded(ports: PortSet, without: Option<&PortSet>) -> PortSet {
    without.map_or(ports.clone(), |without| ports.minus(without))
}

/// The arguments, and the rate when the policy set it.
fn options(task: &AdmittedTask) -> Text {
    let args = &task.spec().args;
    let rate = task.max_rate().filter(|_| args.max_rate().is_none()).map(|rate| format!("--max-rate {rate}"));
    let words: Vec<String> = [args.to_string()].into_iter().filter(|text| !text.is_empty()).chain(rate).collect();
    Text::new(&words.join(" "))
}

/// The template of `-T`, with the times that the author wrote.
fn timing(task: &AdmittedTask, template: Timing) -> Timing {
    let args = &task.spec().args;
    let ceiling = args.max_rtt_timeout().unwrap_or(template.ceiling.max(args.min_rtt_timeout().unwrap_or_default()));
    Timing {
        ceiling,
        floor: args.min_rtt_timeout().unwrap_or(template.floor),
        initial: args.initial_rtt_timeout().unwrap_or(template.initial),
        spacing: args.scan_delay().unwrap_or(template.spacing),
        ..template
    }
}

/// The least and the most probes under way; a wanted least rate keeps enough of them for one answer a second each.
fn window(task: &AdmittedTask, timing: Timing) -> (u32, u32) {
    let args = &task.spec().args;
    let most = args.max_parallelism().map_or(timing.most, u32::from);
    let least = args.min_parallelism().map_or(1, u32::from).max(args.min_rate().unwrap_or(1));
    (least.min(most), most)
}

impl Shared {
    /// How ports are asked.
    fn method(&self) -> ProbeMethod {
        if self.raw.is_some() { ProbeMethod::Syn } else { ProbeMethod::Connect }
    }

    /// The times that a round trip is reckoned with.
    fn round_trip(&self) -> Timing {
        match (&self.raw, &self.plan.raw) {
            (Some(_), Some(plan)) => plan.timing,
            (_, _) => self.plan.timing,
        }
    }

    /// Counts `cells` as settled.
    fn settled(&self, cells: u64) {
        self.progress.send_modify(|progress| progress.cells_done = progress.cells_done.saturating_add(cells));
    }

    /// Counts a host.
    fn found(&self, state: HostState) {
        if state == HostState::Up {
            self.progress.send_modify(|progress| progress.hosts_found = progress.hosts_found.saturating_add(1));
        }
    }
}
