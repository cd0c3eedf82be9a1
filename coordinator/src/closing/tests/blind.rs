//! Several nodes, some of which look and see nothing: whose word on hosts that seem gone counts.

use super::{lines, report};
use crate::analysis::alert::AlertState;
use crate::analysis::delta::{ChangeKind, NoteKind};
use crate::closing::{Closing, close};
use crate::fixture::{Fixture, NOW, SCAN, TARGETS, host, result};
use crate::run::{Look, RunState, TaskRecord, Trigger};
use crate::store::Reads;
use crate::store::tables::{ALERTS, NODES, RUNS, TASKS};
use crate::use_case::runs::queue;
use protocol::observation::HostObservation;
use protocol::task::{RunId, TaskId};
use protocol::{Keypair, NodeId, TargetSet};

/// Which node, and the last numbers of the hosts that answer it.
type View = (usize, &'static [u8]);

const ALL: &[u8] = &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
const UPPER: &[u8] = &[7, 8, 9, 10, 11, 12];
const NOBODY: &[u8] = &[];

fn hosts(lasts: &[u8], targets: &TargetSet) -> Vec<HostObservation> {
    let all = lasts.iter().map(|last| host(&format!("10.9.0.{last}"), &[3389]));
    all.filter(|host| targets.contains(host.address)).collect()
}

/// A scan with three nodes, and twelve known hosts.
async fn three_nodes() -> (Fixture, Vec<NodeId>) {
    let fixture = Fixture::new().await;
    let first = fixture.node;
    let nodes: Vec<NodeId> =
        [first].into_iter().chain([8, 9].map(|seed| Keypair::from_seed(&[seed; 32]).node_id())).collect();
    let twins = nodes.clone();
    fixture
        .store
        .update(move |draft| {
            let record = draft.get(&NODES, &first)?.unwrap();
            twins.iter().try_for_each(|key| {
                draft.put(&NODES, key, &crate::registry::NodeRecord { key: *key, ..record.clone() })
            })
        })
        .await
        .unwrap();
    fixture.finished_run(TARGETS, hosts(ALL, &TARGETS.parse().unwrap())).await;
    (fixture, nodes)
}

async fn look(fixture: &Fixture, mut task: TaskRecord, node: NodeId, seen: &[u8]) {
    task.lease_to(node, NOW);
    let (stored, targets) = (task.clone(), task.targets.clone());
    fixture.store.update(move |draft| draft.put(&TASKS, &stored.id, &stored)).await.unwrap();
    let found = result(task.id, task.fence, &targets.to_string(), hosts(seen, &targets));
    let taken = crate::intake::take(&fixture.store, node, found, NOW).await.unwrap();
    assert!(taken.ended.is_some(), "{taken:?}");
}

/// A run in which each node first looks at its targets; of the second look, `again` takes tasks that begin below .7 and
/// from there on.
async fn run(fixture: &Fixture, nodes: &[NodeId], first: &[(View, &str)], again: [View; 2]) -> RunId {
    let count = u32::try_from(first.len()).unwrap();
    let run = fixture.store.update(move |draft| {
        let mut run = queue(draft, SCAN, Trigger::Schedule, NOW)?;
        (run.state, run.started, run.tasks) = (RunState::Running, Some(NOW), count);
        draft.put(&RUNS, &run.id, &run)?;
        Ok::<_, crate::UseCaseError>(run.id)
    });
    let run = run.await.unwrap();
    for (index, ((node, seen), targets)) in (0u32..).zip(first) {
        let task = TaskRecord::new(TaskId { run, index }, Look::First, targets.parse().unwrap(), NOW);
        look(fixture, task, nodes[*node], seen).await;
    }
    let Closing::LooksAgain { tasks, .. } = close(&fixture.store, run, NOW).await.unwrap() else { panic!("all there") };
    let upper = "10.9.0.7".parse().ok();
    for task in tasks {
        let (node, seen) = again[usize::from(task.targets.first() >= upper)];
        look(fixture, task, nodes[node], seen).await;
    }
    let closed = close(&fixture.store, run, NOW).await.unwrap();
    assert!(matches!(closed, Closing::Closed { .. }), "no third look");
    run
}

const LOWER_RANGE: &str = "10.9.0.0-10.9.0.6";
const UPPER_RANGE: &str = "10.9.0.7-10.9.0.15";

#[tokio::test]
async fn what_only_blind_nodes_say_is_gone_stays_unconfirmed() {
    let halves = |lower: View, upper: View| vec![(lower, LOWER_RANGE), (upper, UPPER_RANGE)];
    let cases = [
        ("a blind node looks twice", halves((0, NOBODY), (1, ALL)), [(0, NOBODY), (1, ALL)], 0, 6),
        ("a node that sees confirms it", halves((0, NOBODY), (1, UPPER)), [(1, UPPER), (1, UPPER)], 6, 0),
        ("a node that saw others looks twice", vec![((0, UPPER), TARGETS)], [(0, UPPER), (0, UPPER)], 6, 0),
        ("another is asked of gone hosts alone", vec![((0, UPPER), TARGETS)], [(1, NOBODY), (1, NOBODY)], 6, 0),
        ("a third is asked what a blind one missed", halves((0, NOBODY), (1, ALL)), [(2, NOBODY), (1, ALL)], 0, 6),
        ("a blind one confirms what another missed", halves((0, NOBODY), (1, &[12])), [(1, ALL), (0, NOBODY)], 0, 5),
        ("four hosts may go at once", halves((0, &[1, 2]), (1, ALL)), [(0, NOBODY), (1, ALL)], 4, 0),
    ];
    for (name, first, again, removed, unconfirmed) in cases {
        let (fixture, nodes) = three_nodes().await;
        let id = run(&fixture, &nodes, &first, again).await;
        let report = report(&fixture, id).await;
        let open = |kind| {
            let lost = report.notes.iter().filter(|note| note.change.kind == ChangeKind::RemovedHost);
            lost.filter(|note| note.kind == kind).count()
        };
        let found = (report.count(ChangeKind::RemovedHost), open(NoteKind::Unconfirmed));
        assert_eq!(found, (removed, unconfirmed), "{name}: {:?}", lines(&report));
        let alerts =
            fixture.store.read(|view| view.iter(&ALERTS).map(|row| Ok(row?.1.state)).collect::<Result<Vec<_>, _>>());
        let resolved = alerts.await.unwrap().into_iter().filter(|state| *state == AlertState::Resolved).count();
        assert_eq!(resolved, removed, "{name}: nothing resolves without evidence");
    }
}

#[tokio::test]
async fn a_sample_that_a_blind_node_confirmed_says_nothing_of_the_others() {
    const WIDE: &str = "10.9.0.0/24";
    let fixture = Fixture::with(WIDE, crate::fixture::options()).await;
    let all = |lasts: std::ops::RangeInclusive<u8>| lasts.collect::<Vec<u8>>();
    let blind = Keypair::from_seed(&[8; 32]).node_id();
    let first = fixture.node;
    let twin = fixture.store.update(move |draft| {
        let record = draft.get(&NODES, &first)?.unwrap();
        draft.put(&NODES, &blind, &crate::registry::NodeRecord { key: blind, ..record })
    });
    twin.await.unwrap();
    fixture.finished_run(WIDE, hosts(&all(1..=200), &WIDE.parse().unwrap())).await;
    let sees: &'static [u8] = Vec::leak(all(151..=200));
    let halves = [((1, NOBODY), "10.9.0.0-10.9.0.150"), ((0, sees), "10.9.0.151-10.9.0.255")];
    let id = run(&fixture, &[first, blind], &halves, [(1, NOBODY), (1, NOBODY)]).await;
    assert_eq!(lines(&report(&fixture, id).await), Vec::<String>::new());
}
