//! For tests: a real store in a temporary folder with one scan, one approved node, and runs made by hand.

use crate::closing::Closing;
use crate::config::{Config, Configuration, StoreConfig};
use crate::dispatch::plan::MAX_TASK_ADDRESSES;
use crate::hub::let_in;
use crate::keys::MeshKey;
use crate::registry::issuing::Issuer;
use crate::registry::{Approval, NodeRecord};
use crate::run::{Look, Run, RunState, TaskRecord, TaskState, Trigger};
use crate::scan::{Scan, ScanDraft};
use crate::start::card_of;
use crate::store::tables::{COORDINATOR, NODES, RUN_LOOKS, RUNS, RUNS_OF_SCAN, SCANS, TASKS};
use crate::store::{Draft, KeepFree, Reads, Store, StoreError, StoreOptions};
use crate::use_case::runs::queue;
use protocol::letter::SealingKey;
use protocol::message::{EnrolRequest, NodeFacts, TaskResult};
use protocol::observation::{
    Coverage, HostObservation, HostState, PortObservation, PortState, ProbeMethod, ProbedCells,
};
use protocol::task::{RunId, ScanId, TaskId};
use protocol::text::Text;
use protocol::{Keypair, NodeId, Protocol, TargetSet, Timestamp};
use std::net::IpAddr;
use tempfile::TempDir;

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
pub(crate) const SCAN: ScanId = ScanId(1);
pub(crate) const TARGETS: &str = "10.9.0.0/28";
pub(crate) const PORTS: &str = "22,80,3389";

pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) node: NodeId,
    folder: TempDir,
    options: StoreOptions,
}

/// A host and its open ports.
pub(crate) fn host(address: &str, open: &[u16]) -> HostObservation {
    let port = |number: &u16| PortObservation {
        protocol: Protocol::Tcp,
        port: *number,
        state: PortState::Open,
        reason: "syn-ack".into(),
        service: None,
    };
    HostObservation {
        address: address.parse().unwrap(),
        state: HostState::Up,
        reason: "syn-ack".into(),
        seen: NOW,
        names: Vec::new(),
        mac: None,
        os: None,
        ports: open.iter().map(port).collect(),
        unlisted: Vec::new(),
    }
}

/// What a node would send: all of `covered` was looked at, and these hosts were found.
pub(crate) fn result(task: TaskId, fence: u64, covered: &str, hosts: Vec<HostObservation>) -> TaskResult {
    let targets = TargetSet::try_from(covered.to_owned()).unwrap();
    let cells = ProbedCells { targets: targets.clone(), ports: PORTS.parse().unwrap(), method: ProbeMethod::Connect };
    let coverage = Coverage { asked: targets, probed: vec![cells], ..Coverage::default() };
    TaskResult { task, fence, started: NOW, ended: NOW, coverage, hosts, shortfall: None, default_ports: None }
}

/// A run of a scan like this, asked for at [`NOW`] and in no store.
pub(crate) fn made_up_run(id: u64, targets: &str, ports: &str, args: &str) -> Run {
    let text = ScanDraft {
        name: "lab".into(),
        targets: targets.into(),
        ports: ports.into(),
        args: args.into(),
        ..ScanDraft::default()
    };
    Run {
        id: RunId(id),
        scan: SCAN,
        definition: text.check().unwrap(),
        part: None,
        state: RunState::Queued,
        trigger: Trigger::Schedule,
        created: NOW,
        started: None,
        ended: None,
        tasks: 0,
        uncovered: Vec::new(),
        outcome: None,
    }
}

/// As in a real store, but on whatever room this machine's disk has left.
pub(crate) fn options() -> StoreOptions {
    StoreOptions { keep_free: KeepFree::bytes(1 << 20), ..StoreOptions::default() }
}

/// The same of a whole coordinator.
pub(crate) fn configuration() -> Configuration {
    Config { store: StoreConfig { keep_free_mib: 1 }, ..Config::default() }.into()
}

/// A random test is repeated `usual` times, or `long` when `PORTDRIFT_LONG` is 1.
pub(crate) fn cases(usual: u32, long: u32) -> proptest::test_runner::Config {
    let is_long = std::env::var("PORTDRIFT_LONG").is_ok_and(|value| value == "1");
    proptest::test_runner::Config::with_cases(if is_long { long } else { usual })
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with(TARGETS, options()).await
    }

    /// A scan of these addresses in a store with these options.
    pub(crate) async fn with(targets: &'static str, options: StoreOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(&folder.path().join("store"), options.clone()).unwrap();
        let node = Keypair::from_seed(&[7; 32]).node_id();
        store
            .update(move |draft| {
                let text = ScanDraft {
                    name: "Office".into(),
                    targets: targets.into(),
                    ports: PORTS.into(),
                    ..ScanDraft::default()
                };
                let definition = text.check().unwrap();
                let scan = Scan::new(SCAN, definition, Text::default(), NOW);
                draft.put(&SCANS, &SCAN, &scan)?;
                approve(draft, node, targets)
            })
            .await
            .unwrap();
        Self { store, node, folder, options }
    }

    /// Runs from now on ask for these ports in this way.
    pub(crate) async fn ask_for(&self, ports: &'static str, args: &'static str) {
        let edit = self.store.update(move |draft| {
            let mut scan = draft.get(&SCANS, &SCAN)?.expect("the fixture's scan");
            let text = ScanDraft { ports: ports.into(), args: args.into(), ..ScanDraft::from(&scan.definition) };
            scan.redefine(text.check().unwrap(), NOW);
            draft.put(&SCANS, &SCAN, &scan)
        });
        edit.await.unwrap();
    }

    /// The same after a restart.
    pub(crate) async fn reopen(self) -> Self {
        let Self { store, node, folder, options } = self;
        store.close().await;
        let store = Store::open(&folder.path().join("store"), options.clone()).unwrap();
        Self { store, node, folder, options }
    }

    /// A run that is under way: one task with all addresses, leased to the node under number 1.
    pub(crate) async fn leased_run(&self) -> TaskId {
        let tasks = self.leased_tasks().await;
        assert_eq!(tasks.len(), 1, "the scan is small");
        tasks[0].0
    }

    /// A run that is under way: its tasks with their addresses, each leased to the node under number 1.
    pub(crate) async fn leased_tasks(&self) -> Vec<(TaskId, TargetSet)> {
        let node = self.node;
        self.store
            .update(move |draft| {
                let mut run: Run = queue(draft, SCAN, Trigger::Schedule, NOW)?;
                (run.state, run.started) = (RunState::Running, Some(NOW));
                let (mut rest, mut tasks) = (run.wanted(), Vec::new());
                while !rest.is_empty() {
                    let (targets, left) = rest.split_at(MAX_TASK_ADDRESSES);
                    let id = TaskId { run: run.id, index: run.tasks };
                    let mut task = TaskRecord::new(id, Look::First, targets.clone(), NOW);
                    task.lease_to(node, NOW);
                    draft.put(&TASKS, &task.id, &task)?;
                    tasks.push((id, targets));
                    (rest, run.tasks) = (left, run.tasks + 1);
                }
                draft.put(&RUNS, &run.id, &run)?;
                Ok::<_, crate::UseCaseError>(tasks)
            })
            .await
            .unwrap()
    }

    /// A run that is over: these addresses were looked at, and these hosts found; a second look finds the same.
    pub(crate) async fn finished_run(&self, covered: &str, hosts: Vec<HostObservation>) -> RunId {
        let run = self.looked_once(covered, hosts.clone()).await;
        self.finish(run, Some(hosts)).await
    }

    /// A run whose first look is over.
    pub(crate) async fn looked_once(&self, covered: &str, hosts: Vec<HostObservation>) -> RunId {
        let task = self.leased_run().await;
        let taken = crate::intake::take(&self.store, self.node, result(task, 1, covered, hosts), NOW).await.unwrap();
        assert!(taken.ended.is_some(), "{taken:?}");
        task.run
    }

    /// Closes a run; its second look, if it takes one, finds `again`, or fails.
    pub(crate) async fn finish(&self, run: RunId, again: Option<Vec<HostObservation>>) -> RunId {
        if self.looked_twice(run, again).await > 0 {
            let closed = crate::closing::close(&self.store, run, NOW).await.unwrap();
            assert!(matches!(closed, Closing::Closed { .. }), "no third look");
        }
        run
    }

    /// Takes the second look of a run, as [`Self::finish`] does, and gives how many tasks it had; without one the run
    /// is closed.
    pub(crate) async fn looked_twice(&self, run: RunId, again: Option<Vec<HostObservation>>) -> usize {
        match crate::closing::close(&self.store, run, NOW).await.unwrap() {
            Closing::LooksAgain { tasks, .. } => {
                let count = tasks.len();
                for task in tasks {
                    self.second_look(task, again.as_deref()).await;
                }
                count
            }
            Closing::Closed { .. } => 0,
        }
    }

    async fn second_look(&self, mut task: TaskRecord, again: Option<&[HostObservation]>) {
        match again {
            Some(_) => task.lease_to(self.node, NOW),
            None => task.state = TaskState::Failed,
        }
        let stored = task.clone();
        self.store.update(move |draft| draft.put(&TASKS, &stored.id, &stored)).await.unwrap();
        if let Some(hosts) = again {
            let seen = hosts.iter().filter(|host| task.targets.contains(host.address)).cloned().collect();
            let mut result = result(task.id, 1, &task.targets.to_string(), seen);
            let run = self.store.read(move |view| view.get(&RUNS, &task.id.run)).await.unwrap().unwrap();
            let ports = task.ports.as_ref().or(run.definition.ports()).unwrap();
            result.coverage.probed.iter_mut().for_each(|cells| cells.ports.clone_from(ports));
            let taken = crate::intake::take(&self.store, self.node, result, NOW).await.unwrap();
            assert!(taken.ended.is_some(), "{taken:?}");
        }
    }
}

fn approve(draft: &mut Draft, node: NodeId, ranges: &str) -> Result<(), StoreError> {
    let request = EnrolRequest {
        sealing: SealingKey::from_bytes([1; 32]),
        label: "lab".into(),
        facts: NodeFacts::default(),
        secret: None,
        succeeds: None,
    };
    let approval = Approval {
        ranges: ranges.parse().unwrap(),
        site: "main".into(),
        expires: None,
        may_sponsor: false,
        by: "ada".into(),
        at: NOW,
    };
    let mesh_key = MeshKey::Here(Keypair::from_seed(&[1; 32]).into());
    let issuer = Issuer { mesh_key };
    draft.put(&COORDINATOR, &(), &card_of(&Keypair::from_seed(&[2; 32]), Vec::new(), NOW))?;
    draft.put(&NODES, &node, &NodeRecord::asked(node, &request, NOW))?;
    let_in(draft, NodeRecord::asked(node, &request, NOW), approval, &issuer, NOW).map(|_| ())
}

/// The last run of a scan that saw a host at `address`.
pub(crate) fn last_seen(reads: &impl Reads, scan: ScanId, address: IpAddr) -> Result<Option<RunId>, StoreError> {
    for row in reads.within(&RUNS_OF_SCAN, &scan).rev() {
        let ((_, run), ()) = row?;
        if reads.get(&RUN_LOOKS, &run)?.is_some_and(|look| look.seen.contains(address)) {
            return Ok(Some(run));
        }
    }
    Ok(None)
}
