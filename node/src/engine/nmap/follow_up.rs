//! nmap after the built-in engine: only what was asked and that engine cannot, on ports that it found.

use super::findings::{Asked, Life};
use super::{Findings, Nmap, NmapError, command};
use crate::policy::AdmittedTask;
use protocol::port::{PortSet, Protocol};
use protocol::target::TargetSet;
use protocol::text::Text;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Options that look deeper than at single ports; they go with TCP.
const OF_HOST: [&str; 5] = ["-O", "--osscan-limit", "--osscan-guess", "--max-os-tries", "--traceroute"];

/// Options that choose ports when nobody names them.
const CHOOSING: [&str; 3] = ["-F", "--top-ports", "--exclude-ports"];

/// Options that are replaced: scan types, and how hosts are looked for.
const REPLACED: [&str; 4] = ["-sT", "-sS", "-sU", "-Pn"];

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::engine) enum Kind {
    /// Names of TCP services, and nothing else.
    Names,
    /// Scripts, the operating system or the way there, with names of services where they were asked for.
    Depth,
    /// UDP ports, with all that was asked of them.
    Udp,
}

/// One process: hosts of one family of addresses that have the same ports to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct FollowUp {
    pub(in crate::engine) kind: Kind,
    pub(in crate::engine) targets: TargetSet,
    /// `None`: nmap's own set.
    pub(in crate::engine) ports: Option<PortSet>,
}

impl Nmap {
    /// Waits for its turn, then runs one process. `None` when it was stopped.
    pub(in crate::engine) async fn follow_up(
        &self,
        task: &AdmittedTask,
        wanted: &FollowUp,
        deadline: Instant,
        stop: &CancellationToken,
    ) -> Result<Option<Findings>, NmapError> {
        let Ok(_turn) = self.follow_ups.acquire().await else { return Ok(None) };
        let asked = Asked {
            targets: &wanted.targets,
            ports: wanted.ports.clone(),
            excluded: task.spec().args.excluded_ports().cloned().unwrap_or_default(),
            life: Life::Elsewhere,
        };
        self.run(&arguments(task, wanted), &asked, || {}, deadline, stop).await
    }
}

/// What took effect, without ports and targets.
pub(in crate::engine) fn options_of(task: &AdmittedTask, kind: Kind) -> Text {
    Text::new(&options(task, kind, false).join(" "))
}

fn arguments(task: &AdmittedTask, wanted: &FollowUp) -> Vec<String> {
    let mut vector = options(task, wanted.kind, wanted.ports.is_none());
    if let Some(ports) = &wanted.ports {
        command::add_ports(&mut vector, ports);
    }
    command::add_own(&mut vector, task, &wanted.targets);
    command::add_targets(&mut vector, &wanted.targets);
    vector
}

fn options(task: &AdmittedTask, kind: Kind, chooses_ports: bool) -> Vec<String> {
    let is_kept = |word: &String| {
        let name = word.split('=').next().unwrap_or(word);
        let is_left_out = REPLACED.contains(&name)
            || CHOOSING.contains(&name) && !chooses_ports
            || name.starts_with("--script") && kind == Kind::Names
            || OF_HOST.contains(&name) && kind != Kind::Depth;
        !is_left_out
    };
    let mut vector: Vec<String> = task.spec().args.nmap_options().into_iter().filter(is_kept).collect();
    let scan_type = match kind {
        Kind::Udp => "-sU",
        Kind::Names | Kind::Depth if task.raw() => "-sS",
        Kind::Names | Kind::Depth => "-sT",
    };
    vector.extend([scan_type, "-Pn"].map(str::to_owned));
    vector
}

impl Kind {
    /// The protocol whose ports are asked.
    pub(in crate::engine) fn protocol(self) -> Protocol {
        match self {
            Self::Names | Self::Depth => Protocol::Tcp,
            Self::Udp => Protocol::Udp,
        }
    }
}
