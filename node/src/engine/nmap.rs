//! nmap as an engine: found and checked once, run once per address family, and believed only as far as its document
//! proves (SECURITY-DESIGN.md section 4).
//!
//! Hosts are sent when their document has proved complete enough, so that a run that breaks off leaves nothing behind.

mod command;
mod findings;
mod process;
mod program;
#[cfg(test)]
mod tests;

use super::{Engine, EngineError, Progress};
use crate::policy::AdmittedTask;
use findings::{Asked, Findings};
use process::{End, Process};
pub use program::{NmapFacts, ProgramError};
use protocol::observation::{Coverage, EffectiveOptions, HostObservation, ServiceDetection};
use protocol::port::PortSet;
use protocol::target::TargetSet;
use protocol::text::Text;
use protocol::time::Timestamp;
use std::io;
use std::path::{Path, PathBuf};
use tokio::sync::{mpsc, watch};
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

/// nmap, ready to be started.
pub struct Nmap {
    facts: NmapFacts,
    launcher: PathBuf,
}

impl Nmap {
    /// Looks for nmap at `configured` or in the system's folders; `Ok(None)` when none is installed. It is started through
    /// `launcher`, see [`super::guard`].
    pub async fn find(configured: Option<&Path>, launcher: PathBuf) -> Result<Option<Self>, ProgramError> {
        Ok(program::find(configured).await?.map(|facts| Self { facts, launcher }))
    }

    /// Path, version and rights.
    pub fn facts(&self) -> &NmapFacts {
        &self.facts
    }

    /// One process for the addresses of one family.
    async fn run(
        &self,
        task: &AdmittedTask,
        targets: &TargetSet,
        watch: &Watch,
        stop: &CancellationToken,
    ) -> Result<Option<Findings>, NmapError> {
        let process = Process::start(&self.launcher, &self.facts.path, &command::arguments(task, targets))?;
        let (sender, pieces) = process::pipe();
        let progress = watch.progress.clone();
        let parser = tokio::task::spawn_blocking(move || {
            findings::read(pieces, || progress.send_modify(|progress| progress.hosts_found += 1))
        });
        let ended = process.run(sender, watch.deadline, stop).await;
        let document = parser.await.map_err(NmapError::Parser)?;
        if ended.end == End::Stopped {
            return Ok(None);
        }
        let args = &task.spec().args;
        let asked = Asked {
            targets,
            ports: task.spec().ports.clone(),
            excluded: args.excluded_ports().cloned().unwrap_or_default(),
            skips_discovery: args.skips_discovery(),
        };
        findings::judge(document, &ended, &asked, Timestamp::now()).map(Some)
    }

    fn start_coverage(&self, task: &AdmittedTask) -> Coverage {
        let (engine, version) = (Text::new("nmap"), Text::new(&self.facts.version));
        let intensity = task.spec().args.service_intensity();
        let options = Text::new(&command::options(task, &TargetSet::empty()).join(" "));
        Coverage {
            services: intensity.map(|intensity| ServiceDetection {
                engine: engine.clone(),
                version: version.clone(),
                intensity,
            }),
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
            match self.run(&task, targets, &watch, &stop).await {
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
    if services.as_ref().is_some_and(|services| !asked.is_empty() && services.version != version) {
        *services = None;
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
