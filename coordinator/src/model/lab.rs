//! The real store, intake and closing under the model's hands: the one place that knows how they are called.

use super::network::{PORTS, Port, Sight};
use super::reference::{AlertId, Line};
use crate::analysis::alert::{Alert, AlertKey, AlertState};
use crate::analysis::delta::{ChangeKind, KnownHost, PortId, Status};
use crate::closing::{self, Closing};
use crate::fixture::{Fixture, SCAN};
use crate::history::{reported_runs, versions};
use crate::intake;
use crate::run::{Look, Run, RunState, TaskRecord, Trigger};
use crate::scan::ScanDraft;
use crate::store::tables::{ALERTS, NODES, RUNS, SCANS, STAGED, STAGED_AGAIN, TASKS};
use crate::store::{Reads, StoreError};
use crate::use_case::UseCaseError;
use crate::use_case::runs::{cancel, queue};
use crate::verified::Verified;
use protocol::message::{ReceiptOutcome, TaskResult};
use protocol::task::{RunId, TaskId};
use protocol::{Keypair, NodeId, TargetSet, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A store with one scan and two nodes.
pub(super) struct Lab {
    fixture: Fixture,
    pub(super) nodes: [NodeId; 2],
}

/// What a report says.
pub(super) struct Told {
    pub(super) lines: BTreeSet<Line>,
    pub(super) status: Status,
}

/// A run after a step of closing.
pub(super) enum Step {
    /// These tasks look again.
    Again(Vec<(TaskId, TargetSet)>),
    /// It is over.
    Over,
}

impl Lab {
    pub(super) async fn new() -> Self {
        let fixture = Fixture::new().await;
        let nodes = [fixture.node, Keypair::from_seed(&[8; 32]).node_id()];
        let [first, second] = nodes;
        let twin = fixture.store.update(move |draft| {
            let mut record = draft.get(&NODES, &first)?.unwrap();
            record.key = second;
            draft.put(&NODES, &second, &record)
        });
        twin.await.unwrap();
        Self { fixture, nodes }
    }

    /// A person edits the scan.
    pub(super) async fn edit(&self, targets: &TargetSet, ports: &[Port]) {
        let list: Vec<String> = ports
            .iter()
            .map(|(protocol, port)| match protocol {
                protocol::Protocol::Tcp => format!("T:{port}"),
                protocol::Protocol::Udp => format!("U:{port}"),
                protocol::Protocol::Sctp => format!("S:{port}"),
            })
            .collect();
        let has = |protocol| ports.iter().any(|port| port.0 == protocol);
        let args = match (has(protocol::Protocol::Tcp), has(protocol::Protocol::Udp)) {
            (true, true) => "-sV -sT -sU",
            (_, udp) => ["-sV", "-sV -sU"][usize::from(udp)],
        };
        let (targets, ports) = (targets.to_string(), list.join(","));
        let text = ScanDraft { name: "Office".into(), targets, ports, args: args.into(), ..ScanDraft::default() };
        let definition = text.check().unwrap();
        let edit = self.fixture.store.update(move |draft| {
            let mut scan = draft.get(&SCANS, &SCAN)?.unwrap();
            scan.definition = definition;
            draft.put(&SCANS, &SCAN, &scan)
        });
        edit.await.unwrap();
    }

    /// Queues a run, of `part` if given, and cuts it into at most `pieces` tasks.
    pub(super) async fn start(
        &self,
        part: Option<TargetSet>,
        pieces: u128,
        now: Timestamp,
    ) -> (RunId, Vec<(TaskId, TargetSet)>) {
        let started = self.fixture.store.update(move |draft| {
            let mut run: Run = queue(draft, SCAN, Trigger::Schedule, now)?;
            run.part = part;
            let mut rest = run.wanted();
            let size = rest.count().div_ceil(pieces);
            let mut tasks = Vec::new();
            while !rest.is_empty() {
                let (targets, left) = rest.split_at(size);
                let id = TaskId { run: run.id, index: run.tasks };
                let task = TaskRecord::new(id, Look::First, targets.clone(), now);
                draft.put(&TASKS, &id, &task)?;
                tasks.push((id, targets));
                (run.tasks, rest) = (run.tasks + 1, left);
            }
            (run.state, run.started) = (RunState::Running, Some(now));
            draft.put(&RUNS, &run.id, &run)?;
            Ok::<_, UseCaseError>((run.id, tasks))
        });
        started.await.unwrap()
    }

    /// Gives a waiting task to a node; its number.
    pub(super) async fn lease(&self, task: TaskId, node: NodeId, now: Timestamp) -> u64 {
        let leased = self.fixture.store.update(move |draft| {
            let mut record = draft.get(&TASKS, &task)?.unwrap();
            record.lease_to(node, now);
            draft.put(&TASKS, &task, &record)?;
            Ok::<_, UseCaseError>(record.fence)
        });
        leased.await.unwrap()
    }

    /// Those of `ports` that a task asks for.
    pub(super) async fn asked_ports(&self, task: TaskId, ports: &[Port]) -> Vec<Port> {
        let record = self.fixture.store.read(move |view| view.get(&TASKS, &task)).await.unwrap().unwrap();
        let is_asked = |port: &&Port| record.ports.as_ref().is_none_or(|asked| asked.contains(port.0, port.1));
        ports.iter().filter(is_asked).copied().collect()
    }

    /// The holder died or gave the task back; false when that was the last attempt.
    pub(super) async fn lose(&self, task: TaskId, now: Timestamp) -> bool {
        let lost = self.fixture.store.update(move |draft| {
            let mut record = draft.get(&TASKS, &task)?.unwrap();
            record.lose_lease("gone".into(), now);
            draft.put(&TASKS, &task, &record)?;
            Ok::<_, UseCaseError>(!record.state.is_final())
        });
        lost.await.unwrap()
    }

    /// A node sends what it saw; true when it was stored.
    pub(super) async fn send(&self, node: NodeId, task: TaskId, fence: u64, sight: &Sight, now: Timestamp) -> bool {
        let (coverage, hosts) = (sight.coverage(), sight.observations());
        let result =
            TaskResult { task, fence, started: now, ended: now, coverage, hosts, shortfall: None, default_ports: None };
        match intake::take(&self.fixture.store, node, result, now).await.unwrap().outcome {
            ReceiptOutcome::Stored => true,
            ReceiptOutcome::Duplicate | ReceiptOutcome::Superseded => false,
            ReceiptOutcome::Rejected(reason) => panic!("rejected: {reason}"),
        }
    }

    /// A person stops the run.
    pub(super) async fn cancel(&self, run: RunId, now: Timestamp) {
        self.fixture.store.update(move |draft| cancel(draft, run, &"ada".into(), now)).await.unwrap();
    }

    /// All tasks have ended: closes the run, or has it look again.
    pub(super) async fn close(&self, run: RunId, now: Timestamp) -> Step {
        match closing::close(&self.fixture.store, run, now).await.unwrap() {
            Closing::LooksAgain { tasks, .. } => {
                Step::Again(tasks.into_iter().map(|task| (task.id, task.targets)).collect())
            }
            Closing::Closed { run, .. } => {
                assert!(run.state.is_final());
                Step::Over
            }
        }
    }

    /// The report of a run, if it has one.
    pub(super) async fn report(&self, run: RunId) -> Option<Told> {
        let report = self.fixture.store.read(move |view| crate::report::read(view, run)).await.unwrap()?;
        let lines: Vec<Line> = report
            .changes
            .iter()
            .map(|change| (change.kind, change.address, change.port.map(|port| (port.protocol, port.port))))
            .collect();
        let told = Told { lines: lines.iter().copied().collect(), status: report.status };
        assert_eq!(told.lines.len(), lines.len(), "no line stands twice");
        assert_eq!(report.count(ChangeKind::MacChange), 0);
        Some(told)
    }

    /// Every alert with its state and the run that last looked.
    pub(super) async fn alerts(&self) -> BTreeMap<AlertId, (AlertState, RunId)> {
        let rows = self.fixture.store.read(|view| {
            let verified = Verified::of(view, SCAN)?;
            let row = |row: Result<_, _>| row.map(|(_, alert): (_, Alert)| verified.tell(alert));
            view.within(&ALERTS, &SCAN).map(row).collect::<Result<Vec<_>, StoreError>>()
        });
        let id = |key: &AlertKey| (key.address, (key.port.protocol, key.port.port), key.rule.to_string());
        rows.await.unwrap().iter().map(|alert| (id(&alert.key), (alert.state, alert.verified))).collect()
    }

    /// A person says what they think of an alert.
    pub(super) async fn mark(&self, alert: AlertId, state: AlertState) {
        let (address, (protocol, port), rule) = alert;
        let port = PortId { protocol, port };
        let key = AlertKey { scan: SCAN, address, port, rule: rule.as_str().into() };
        let marked = self.fixture.store.update(move |draft| {
            let mut alert = draft.get(&ALERTS, &key)?.unwrap();
            alert.state = state;
            draft.put(&ALERTS, &key, &alert)
        });
        marked.await.unwrap();
    }

    /// How many observations wait for the end of a run.
    pub(super) async fn waiting(&self) -> usize {
        let count = |view: &crate::store::View| Ok(view.iter(&STAGED).count() + view.iter(&STAGED_AGAIN).count());
        self.fixture.store.read(count).await.unwrap()
    }

    /// Every known host with its open ports.
    pub(super) async fn hosts(&self) -> BTreeMap<IpAddr, BTreeSet<Port>> {
        let rows = self.fixture.store.read(|view| {
            let reported = reported_runs(view, SCAN, RunId(u64::MAX))?;
            let known = versions(view, SCAN, None).map(|host| host?.known(&reported, RunId(u64::MAX)));
            known.collect::<Result<Vec<Option<KnownHost>>, StoreError>>()
        });
        let open =
            |host: &KnownHost| host.open_ports().map(|port| (port.protocol, port.port)).collect::<BTreeSet<Port>>();
        let hosts: Vec<KnownHost> = rows.await.unwrap().into_iter().flatten().collect();
        assert!(hosts.iter().all(|host| open(host).iter().all(|port| PORTS.contains(port))));
        hosts.iter().map(|host| (host.address, open(host))).collect()
    }
}
