//! One identification of all services: by this program's engines, or by nmap on its own.

use super::server::Server;
use node::engine::{Engine, Engines, Progress};
use node::policy::Policy;
use protocol::nmap_xml::{HostRecord, Reader};
use protocol::observation::{HostObservation, Service, ServiceMethod};
use protocol::port::{PortSet, Protocol};
use protocol::target::TargetSet;
use protocol::task::{EngineChoice, RunId, Task, TaskId, TaskSpec};
use std::collections::BTreeMap;
use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// What was identified, by where it listens.
pub(crate) type Names = BTreeMap<SocketAddr, Service>;

/// Seconds, and what was found.
pub(crate) type Round = (f64, Names);

/// The engines of this program.
pub(crate) struct Scanner {
    engines: Engines,
    policy: Policy,
    runs: u64,
}

impl Scanner {
    /// Finds nmap, which is started through this very program.
    pub(crate) async fn new() -> Result<Self, Box<dyn Error>> {
        let engines = Engines::find(&Policy::default(), std::env::current_exe()?).await;
        let policy = Policy::default().with_engines(&engines.facts());
        Ok(Self { engines, policy, runs: 0 })
    }

    pub(crate) fn has_nmap(&self) -> bool {
        self.engines.facts().nmap.is_some()
    }

    /// Scans the ports of all services with `-sV -T4`.
    pub(crate) async fn identify(&mut self, engine: EngineChoice, servers: &[Server]) -> Result<Round, Box<dyn Error>> {
        self.runs += 1;
        let spec = TaskSpec {
            targets: servers.iter().map(|server| server.target.ip()).collect(),
            ports: Some(PortSet::from_ports(Protocol::Tcp, servers.iter().map(|server| server.target.port()))),
            args: "-sV -T4".parse()?,
            engine,
            time_limit: Duration::from_secs(600),
        };
        let id = TaskId { run: RunId(self.runs), index: 0 };
        let task = Task { id, fence: 1, lease: Duration::from_secs(45), spec };
        let task = self.policy.admit(task, &"127.0.0.0/8".parse::<TargetSet>()?)?;
        let (sender, mut receiver) = mpsc::channel(64);
        let (progress, _) = watch::channel(Progress::default());
        let start = Instant::now();
        let scanned = self.engines.scan(task, sender, progress, CancellationToken::new());
        let collected = async {
            let mut hosts = Vec::new();
            while let Some(host) = receiver.recv().await {
                hosts.push(host);
            }
            hosts
        };
        let (coverage, hosts) = tokio::join!(scanned, collected);
        coverage?;
        Ok((start.elapsed().as_secs_f64(), names(hosts)))
    }
}

/// What nmap itself finds, asked for the same.
pub(crate) async fn nmap(servers: &[Server]) -> Result<Round, Box<dyn Error>> {
    let ports: Vec<String> = servers.iter().map(|server| server.target.port().to_string()).collect();
    let mut addresses: Vec<String> = servers.iter().map(|server| server.target.ip().to_string()).collect();
    addresses.sort();
    addresses.dedup();
    let mut command = tokio::process::Command::new("nmap");
    command.args(["-sV", "-T4", "-n", "-Pn", "-p", &ports.join(","), "-oX", "-", "--"]).args(addresses);
    let start = Instant::now();
    let document = command.output().await?.stdout;
    let took = start.elapsed().as_secs_f64();
    let mut reader = Reader::new(&document[..]);
    let mut hosts = Vec::new();
    while let Some(record) = reader.next_host()? {
        match record {
            HostRecord::Observed(host) => hosts.push(host),
            HostRecord::NotObserved(address) => return Err(format!("nmap gave {address} up").into()),
        }
    }
    Ok((took, names(hosts)))
}

/// Services that were identified by what they said.
fn names(hosts: Vec<HostObservation>) -> Names {
    let of = |host: HostObservation| {
        let address = host.address;
        host.ports.into_iter().filter_map(move |port| Some((SocketAddr::new(address, port.port), port.service?)))
    };
    hosts.into_iter().flat_map(of).filter(|(_, service)| service.method == ServiceMethod::Probed).collect()
}
