//! The seam between tasks and sockets: what an engine is, which engines this node has, and which one serves a task.
//!
//! Leases, the spool and the reporting of progress are the runner's.

pub mod auto;
pub mod builtin;
pub mod guard;
mod memory;
pub mod nmap;
mod service;
#[cfg(test)]
mod trial;

use crate::policy::{AdmittedTask, Policy};
use auto::{Chosen, Named, Unserved};
use builtin::Builtin;
use memory::Memory;
use nmap::{Nmap, NmapError, NmapFacts, ProgramError};
use protocol::observation::{Coverage, HostObservation};
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// How long one host may take when the arguments do not say.
pub const DEFAULT_HOST_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// The version that the built-in engine writes into its coverage.
pub const BUILTIN_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Something that scans.
pub trait Engine: Send + Sync + 'static {
    /// Scans `task`, sending each host as it is settled. Ends early, and says so in the coverage, when `stop` fires.
    ///
    /// Coverage names only hosts that were sent; a host that is not covered was not observed.
    fn scan(
        &self,
        task: AdmittedTask,
        hosts: mpsc::Sender<HostObservation>,
        progress: watch::Sender<Progress>,
        stop: CancellationToken,
    ) -> impl Future<Output = Result<Coverage, EngineError>> + Send;
}

/// How far a task has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Cells that are settled.
    pub cells_done: u64,
    /// Cells there are; 0 while the engine cannot tell.
    pub cells_total: u64,
    /// Hosts found up so far.
    pub hosts_found: u32,
}

/// Why a task could not be scanned at all. A task that was scanned in part ends in a partial [`Coverage`] instead.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No engine of this node can do what the task asks for.
    #[error(transparent)]
    Unserved(#[from] Unserved),
    /// nmap ran and its answer cannot be used.
    #[error(transparent)]
    Nmap(#[from] NmapError),
    /// Nothing is left to scan.
    #[error("no port is left to scan after the exclusions; remove some of --exclude-ports or add ports")]
    NoPorts,
    /// The receiver of the hosts is gone.
    #[error("the task was abandoned: nobody takes its hosts any more")]
    Abandoned,
}

/// What this node can scan with, for its presence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineFacts {
    /// Version of the built-in engine.
    pub builtin: String,
    /// Whether it can send raw packets here.
    pub raw: bool,
    /// nmap, when there is one that can be used.
    pub nmap: Option<NmapFacts>,
}

/// Every engine of this node.
pub struct Engines {
    builtin: Builtin,
    nmap: Option<Nmap>,
    trouble: Option<ProgramError>,
    /// What nmap named before.
    named: Memory<Named>,
}

impl Engines {
    /// Finds the engines. nmap is started through `launcher exec-nmap -- PATH ARGS…`, see [`guard`];
    /// `launcher` is this very binary, `std::env::current_exe()`, except in tests.
    pub async fn find(policy: &Policy, launcher: PathBuf) -> Self {
        let (nmap, trouble) = match Nmap::find(policy.nmap(), launcher).await {
            Ok(found) => (found, None),
            Err(trouble) => (None, Some(trouble)),
        };
        let full_every = policy.identify_fully_every();
        let builtin = Builtin::remembering(full_every).with_node_rate(policy.max_node_rate());
        Self { builtin, nmap, trouble, named: Memory::new(full_every) }
    }

    /// What there is.
    pub fn facts(&self) -> EngineFacts {
        let nmap = self.nmap.as_ref().map(|nmap| nmap.facts().clone());
        EngineFacts { builtin: BUILTIN_VERSION.to_owned(), raw: Builtin::may_send_raw(), nmap }
    }

    /// Why an nmap that is there is not used.
    pub fn nmap_trouble(&self) -> Option<&ProgramError> {
        self.trouble.as_ref()
    }
}

impl Engine for Engines {
    async fn scan(
        &self,
        task: AdmittedTask,
        hosts: mpsc::Sender<HostObservation>,
        progress: watch::Sender<Progress>,
        stop: CancellationToken,
    ) -> Result<Coverage, EngineError> {
        let chosen = auto::choose(task.spec(), self.nmap.as_ref().map(Nmap::facts), Builtin::may_send_raw())?;
        match (chosen, &self.nmap) {
            (Chosen::Nmap, Some(nmap)) => nmap.scan(task, hosts, progress, stop).await,
            (Chosen::Both, Some(nmap)) => {
                auto::scan(
                    auto::Parts { builtin: &self.builtin, nmap, named: &self.named },
                    task,
                    hosts,
                    progress,
                    stop,
                )
                .await
            }
            (Chosen::Nmap | Chosen::Both | Chosen::Builtin, _) => self.builtin.scan(task, hosts, progress, stop).await,
        }
    }
}
