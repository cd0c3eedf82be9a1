//! One attempt at one task, from the first probe to the result on disk.

use super::{Order, Outcome};
use crate::engine::{Engine, EngineError, Progress};
use crate::policy::AdmittedTask;
use crate::spool::Spool;
use crate::timing::ClockOffset;
use protocol::message::TaskResult;
use protocol::observation::{Coverage, HostObservation};
use protocol::port::PortSet;
use protocol::target::TargetSet;
use protocol::task::Task;
use protocol::time::Timestamp;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Hosts on their way from an engine.
const HOSTS_QUEUED: usize = 64;

pub(super) struct Attempt<E> {
    pub(super) engine: Arc<E>,
    pub(super) spool: Spool,
    pub(super) orders: watch::Receiver<Option<Order>>,
    pub(super) clock: ClockOffset,
    pub(super) patience: Duration,
}

/// Why an engine was told to stop before its own end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Ordered(Order),
    TimeLimit(Duration),
}

/// What came of a scan.
struct Scanned {
    coverage: Result<Coverage, EngineError>,
    hosts: BTreeMap<IpAddr, HostObservation>,
    cut: Option<Cut>,
}

impl<E: Engine> Attempt<E> {
    pub(super) async fn run(self, task: AdmittedTask, progress: watch::Sender<Progress>) -> Outcome {
        let started = Timestamp::now();
        let asked = task.task().clone();
        let Scanned { coverage, hosts, cut } = self.scan(task, progress).await;
        match (cut, coverage) {
            (Some(Cut::Ordered(Order::Forget)), _) => Outcome::Dropped,
            (Some(Cut::Ordered(Order::HandBack(reason))), _) => Outcome::HandBack(reason.to_owned()),
            (cut, Err(error)) => Outcome::HandBack(cut.map_or_else(|| error.to_string(), Cut::told)),
            (cut, Ok(coverage)) if coverage.asked.is_empty() && coverage.probed.is_empty() => {
                let reason = cut.map_or_else(|| "the engine ended early".to_owned(), Cut::told);
                Outcome::HandBack(format!("nothing could be covered: {reason}"))
            }
            (cut, Ok(coverage)) => {
                let result = result(&asked, started, coverage, hosts, cut);
                self.store(in_mesh_time(result, &self.clock)).await
            }
        }
    }

    async fn store(&self, result: TaskResult) -> Outcome {
        match self.spool.store(result).await {
            Ok(key) => Outcome::Stored(key),
            Err(error) => Outcome::HandBack(format!("the result could not be kept: {error}")),
        }
    }

    /// Runs the engine to its end, or to its time limit, or until it is told to stop; takes its hosts as they come.
    async fn scan(&self, task: AdmittedTask, progress: watch::Sender<Progress>) -> Scanned {
        let targets = task.spec().targets.clone();
        let limit = task.spec().time_limit;
        let stop = CancellationToken::new();
        let (sender, mut receiver) = mpsc::channel(HOSTS_QUEUED);
        let engine = self.engine.scan(task, sender, progress, stop.clone());
        tokio::pin!(engine);
        let mut orders = self.orders.clone();
        let mut hosts = BTreeMap::new();
        let mut cut = None;
        let mut until = Instant::now() + limit;
        let coverage = loop {
            let why = tokio::select! {
                coverage = &mut engine => break coverage,
                Some(host) = receiver.recv() => {
                    keep(&mut hosts, &targets, host);
                    continue;
                }
                order = ordered(&mut orders), if cut.is_none() => Cut::Ordered(order),
                () = sleep_until(until) => match cut {
                    None => Cut::TimeLimit(limit),
                    // It was told to stop and does not.
                    Some(_) => break Err(EngineError::Abandoned),
                },
            };
            cut = Some(why);
            until = Instant::now() + self.patience;
            stop.cancel();
        };
        while let Ok(host) = receiver.try_recv() {
            keep(&mut hosts, &targets, host);
        }
        Scanned { coverage, hosts, cut }
    }
}

/// Waits for an order.
async fn ordered(orders: &mut watch::Receiver<Option<Order>>) -> Order {
    let order = orders.wait_for(Option::is_some).await.map(|order| *order);
    match order {
        Ok(Some(order)) => order,
        // Nobody is left to give one.
        Ok(None) | Err(_) => std::future::pending().await,
    }
}

impl Cut {
    fn told(self) -> String {
        match self {
            Self::Ordered(Order::Forget) => "it was cancelled".to_owned(),
            Self::Ordered(Order::HandBack(reason)) => reason.to_owned(),
            Self::TimeLimit(limit) => format!("the time limit of {} s was reached", limit.as_secs()),
        }
    }
}

/// An engine reports only what it was asked for; anything else would be quarantined by the coordinator.
fn keep(hosts: &mut BTreeMap<IpAddr, HostObservation>, targets: &TargetSet, host: HostObservation) {
    if targets.contains(host.address) {
        hosts.insert(host.address, host);
    } else {
        tracing::warn!(host.address = %host.address, "the engine reported a host that was not asked for; it is left out");
    }
}

fn result(
    asked: &Task,
    started: Timestamp,
    coverage: Coverage,
    hosts: BTreeMap<IpAddr, HostObservation>,
    cut: Option<Cut>,
) -> TaskResult {
    let defaults = || coverage.probed.iter().fold(PortSet::empty(), |all, cells| all.union(&cells.ports));
    TaskResult {
        task: asked.id,
        fence: asked.fence,
        started,
        ended: Timestamp::now(),
        shortfall: shortfall(&asked.spec.targets, &coverage, cut).map(Into::into),
        default_ports: asked.spec.ports.is_none().then(defaults),
        hosts: hosts.into_values().collect(),
        coverage,
    }
}

/// Engines read this machine's clock, which may be wrong; the times in a result are the mesh's.
fn in_mesh_time(mut result: TaskResult, clock: &ClockOffset) -> TaskResult {
    let hosts = result.hosts.iter_mut().map(|host| &mut host.seen);
    for time in hosts.chain([&mut result.started, &mut result.ended]) {
        *time = clock.in_mesh_time(*time);
    }
    result
}

/// Why less than asked was covered, if so.
fn shortfall(targets: &TargetSet, coverage: &Coverage, cut: Option<Cut>) -> Option<String> {
    let missing = targets.minus(&coverage.asked).count();
    let why = cut.map(Cut::told);
    match (missing, why) {
        (0, why) => why,
        (missing, why) => {
            let why = why.unwrap_or_else(|| "they did not answer in time".to_owned());
            Some(format!("{missing} of {} addresses were not settled: {why}", targets.count()))
        }
    }
}
