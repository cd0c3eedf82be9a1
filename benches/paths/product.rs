//! The product: the built-in engine alone, as a process of its own, called as a node calls it.

use crate::Outcome;
use node::engine::builtin::Builtin;
use node::engine::{BUILTIN_VERSION, Engine as _, EngineFacts, Progress};
use node::policy::{AdmittedTask, Policy};
use protocol::observation::{HostObservation, PortState};
use protocol::task::{EngineChoice, RunId, Task, TaskId, TaskSpec};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// The argument that makes this program the product; targets, ports and options follow.
pub(crate) const SCAN: &str = "--scan";
/// What the owner of the node allows.
const POLICY: &str = "raw_packets = true\n";
const TIME_LIMIT: Duration = Duration::from_secs(3_600);

/// A task with these words as a node admits it.
fn admitted(mut words: impl Iterator<Item = String>) -> Outcome<AdmittedTask> {
    let (targets, ports) = (words.next().ok_or("no targets")?, words.next().ok_or("no ports")?);
    let spec = TaskSpec {
        targets: targets.parse()?,
        ports: Some(ports.parse()?),
        args: words.collect::<Vec<_>>().join(" ").parse()?,
        engine: EngineChoice::Builtin,
        time_limit: TIME_LIMIT,
    };
    let ranges = spec.targets.clone();
    let task = Task { id: TaskId { run: RunId(1), index: 0 }, fence: 1, lease: TIME_LIMIT, spec };
    let facts = EngineFacts { builtin: BUILTIN_VERSION.to_owned(), raw: Builtin::may_send_raw(), nmap: None };
    Ok(Policy::parse(POLICY)?.with_engines(&facts).admit(task, &ranges)?)
}

/// Why the engine does not do what `option` asks for; `None` when it does.
pub(crate) fn refusal(option: &str) -> Option<String> {
    admitted(["127.0.0.1", "1", option].map(str::to_owned).into_iter()).err().map(|error| error.to_string())
}

/// The process: scans, and prints a line for each open port and for each host's filtered ones.
pub(crate) fn scan(words: impl Iterator<Item = String>) -> Outcome<()> {
    let task = admitted(words)?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let (sender, mut hosts) = mpsc::channel(64);
        let printing = tokio::spawn(async move {
            while let Some(host) = hosts.recv().await {
                print(&host);
            }
        });
        let (progress, _) = watch::channel(Progress::default());
        let coverage = Builtin::new().scan(task, sender, progress, CancellationToken::new()).await?;
        printing.await?;
        let methods: Vec<String> = coverage.probed.iter().map(|cells| format!("{:?}", cells.method)).collect();
        println!("by {}", methods.join(" "));
        Ok(())
    })
}

fn print(host: &HostObservation) {
    let in_state = |state: PortState| host.ports.iter().filter(move |port| port.state == state);
    for port in in_state(PortState::Open) {
        println!("open {}:{}", host.address, port.port);
    }
    let unlisted = host.unlisted.iter().filter(|ports| ports.state == PortState::Filtered).map(|ports| ports.count);
    let filtered = unlisted.map(u64::from).sum::<u64>() + in_state(PortState::Filtered).map(|_| 1).sum::<u64>();
    println!("filtered {}", filtered);
}
