//! nmap as an engine: found and checked once, run once per address family, and believed only as far as its document
//! proves (SECURITY-DESIGN.md section 4).
//!
//! Hosts are sent when their document has proved complete enough, so that a run that breaks off leaves nothing behind.

mod command;
mod findings;
mod follow_up;
mod process;
mod program;
#[cfg(test)]
mod tests;

use super::{Engine, EngineError, Progress};
use crate::policy::AdmittedTask;
use findings::{Asked, Life};
pub(super) use findings::{Findings, by_its_ports};
pub(super) use follow_up::{FollowUp, Kind, options_of};
use process::{End, Process};
pub use program::{NmapFacts, ProgramError};
use protocol::observation::{Coverage, EffectiveOptions, HostObservation, ServiceDetection};
use protocol::port::PortSet;
use protocol::target::TargetSet;
use protocol::text::Text;
use protocol::time::Timestamp;
use std::io;
use std::path::{Path, PathBuf};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Why a run of nmap is worth nothing.
#[derive(Debug, thiserror::Error)]
pub enum NmapError {
    /// It could not be started.
    #[error("nmap could not be started: {0}; check its path in the policy file")]
    Start(#[source] io::Error),
    /// It ran, and what it left proves nothing.
    #[error("nmap left nothing that can be used: {0}")]
    Unusable(String),
    /// Its parser broke down.
    #[error("reading nmap's document broke down: {0}")]
    Parser(#[source] tokio::task::JoinError),
}

/// What this engine is called in coverages and observations.
pub(super) const ENGINE: &str = "nmap";

/// Processes that follow the built-in engine up at the same time, over all tasks of the node.
const FOLLOW_UPS_AT_ONCE: usize = 4;

/// nmap, ready to be started.
pub struct Nmap {
    facts: NmapFacts,
    launcher: PathBuf,
    follow_ups: Semaphore,
}

impl Nmap {
    /// Looks for nmap at `configured` or in the system's folders; `Ok(None)` when none is installed. It is started through
    /// `launcher`, see [`super::guard`].
    pub async fn find(configured: Option<&Path>, launcher: PathBuf) -> Result<Option<Self>, ProgramError> {
        let follow_ups = Semaphore::new(FOLLOW_UPS_AT_ONCE);
        Ok(program::find(configured).await?.map(|facts| Self { facts, launcher, follow_ups }))
    }

    /// Path, version and rights.
    pub fn facts(&self) -> &NmapFacts {
        &self.facts
    }

    /// One process for the addresses of one family; `None` when it was stopped. `on_host` hears of each host that is up.
    async fn run(
        &self,
        arguments: &[String],
        asked: &Asked<'_>,
        on_host: impl FnMut() + Send + 'static,
        deadline: Instant,
        stop: &CancellationToken,
    ) -> Result<Option<Findings>, NmapError> {
        let process = Process::start(&self.launcher, &self.facts.path, arguments)?;
        let (sender, pieces) = process::pipe();
        let parser = tokio::task::spawn_blocking(move || findings::read(pieces, on_host));
        let ended = process.run(sender, deadline, stop).await;
        let document = parser.await.map_err(NmapError::Parser)?;
        if ended.end == End::Stopped {
            return Ok(None);
        }
        findings::judge(document, &ended, asked, Timestamp::now()).map(Some)
    }

    /// One process for a whole task, at the addresses of one family.
    async fn run_task(
        &self,
        task: &AdmittedTask,
        targets: &TargetSet,
        watch: &Watch,
        stop: &CancellationToken,
    ) -> Result<Option<Findings>, NmapError> {
        let args = &task.spec().args;
        let asked = Asked {
            targets,
            ports: task.spec().ports.clone(),
            excluded: args.excluded_ports().cloned().unwrap_or_default(),
            life: if args.skips_discovery() { Life::ByPort } else { Life::Asked },
        };
        let progress = watch.progress.clone();
        let on_host = move || progress.send_modify(|progress| progress.hosts_found += 1);
        self.run(&command::arguments(task, targets), &asked, on_host, watch.deadline, stop).await
    }

    fn start_coverage(&self, task: &AdmittedTask) -> Coverage {
        let (engine, version) = (Text::new(ENGINE), Text::new(&self.facts.version));
        let intensity = task.spec().args.service_intensity();
        let options = Text::new(&command::options(task, &TargetSet::empty()).join(" "));
        Coverage {
            services: Vec::from_iter(intensity.map(|intensity| ServiceDetection {
                engine: engine.clone(),
                version: version.clone(),
                intensity,
            })),
            options: vec![EffectiveOptions { engine, version, options, raw: task.raw() }],
            ..Coverage::default()
        }
    }
}

/// What both processes of one task share.
struct Watch {
    progress: watch::Sender<Progress>,
    deadline: Instant,
}

impl Watch {
    /// Counts the cells, when the port field says how many there are.
    fn start(&self, task: &AdmittedTask) {
        let ports = task.spec().ports.as_ref().map_or(0, PortSet::count);
        let cells = task.spec().targets.count().saturating_mul(u128::from(ports));
        self.progress.send_modify(|progress| progress.cells_total = u64::try_from(cells).unwrap_or(u64::MAX));
    }
}

impl Engine for Nmap {
    async fn scan(
        &self,
        task: AdmittedTask,
        hosts: mpsc::Sender<HostObservation>,
        progress: watch::Sender<Progress>,
        stop: CancellationToken,
    ) -> Result<Coverage, EngineError> {
        let watch = Watch { progress, deadline: Instant::now() + task.spec().time_limit };
        watch.start(&task);
        let mut coverage = self.start_coverage(&task);
        let mut failure = None;
        let (v4, v6) = task.spec().targets.by_family();
        for targets in [v4, v6].iter().filter(|targets| !targets.is_empty()) {
            match self.run_task(&task, targets, &watch, &stop).await {
                Ok(Some(findings)) => settle(findings, &mut coverage, &hosts, &watch.progress).await?,
                Ok(None) => break,
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) if coverage.asked.is_empty() => Err(error.into()),
            Some(error) => {
                tracing::warn!(%error, task.id = %task.id(), "one address family of the task was not observed");
                Ok(coverage)
            }
            None => Ok(coverage),
        }
    }
}

/// Notes the nmap that really ran, since another may have been installed while this node works: services compare only
/// when one version identified them.
fn note_version(coverage: &mut Coverage, version: Text) {
    let Coverage { asked, services, options, .. } = coverage;
    if !asked.is_empty() {
        services.retain(|services| services.version == version);
    }
    for noted in
        services.iter_mut().map(|services| &mut services.version).chain(options.iter_mut().map(|o| &mut o.version))
    {
        noted.clone_from(&version);
    }
}

/// Sends the hosts of one process and notes its coverage.
async fn settle(
    findings: Findings,
    coverage: &mut Coverage,
    hosts: &mpsc::Sender<HostObservation>,
    progress: &watch::Sender<Progress>,
) -> Result<(), EngineError> {
    for host in findings.hosts {
        hosts.send(host).await.map_err(|_| EngineError::Abandoned)?;
    }
    note_version(coverage, findings.version);
    coverage.asked = coverage.asked.union(&findings.asked);
    coverage.by_port_only = coverage.by_port_only.union(&findings.by_port_only);
    let cells =
        findings.probed.iter().map(|cells| cells.targets.count().saturating_mul(u128::from(cells.ports.count())));
    let cells = u64::try_from(cells.fold(0, u128::saturating_add)).unwrap_or(u64::MAX);
    coverage.probed.extend(findings.probed);
    progress.send_modify(|progress| {
        progress.cells_done = progress.cells_done.saturating_add(cells);
        progress.cells_total = progress.cells_total.max(progress.cells_done);
    });
    Ok(())
}
