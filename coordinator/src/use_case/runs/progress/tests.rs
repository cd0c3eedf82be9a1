//! What is shown of a run while it goes.

use super::*;
use crate::fixture::{Fixture, NOW, TARGETS, host, result};
use crate::intake;
use protocol::task::TaskId;

const OFFLINE_AFTER: Duration = Duration::from_secs(35);

fn presence(last_seen: Timestamp, running: Vec<RunningTask>) -> Presence {
    Presence {
        last_seen,
        boot: 1,
        sequence: 1,
        address: None,
        load_hundredths: 0,
        running,
        spooled: 0,
        room: Default::default(),
        clock_offset_ms: 0,
        connected: true,
        lost: false,
        links: Vec::new(),
        through: None,
        has_left: false,
    }
}

fn at_work(task: TaskId, fence: u64, cells_done: u64) -> RunningTask {
    RunningTask { task, fence, cells_done, cells_total: 48, hosts_found: 2 }
}

async fn seen(fixture: &Fixture, run: RunId, presence: Option<Presence>, now: Timestamp) -> Progress {
    let presences: BTreeMap<NodeId, Presence> = presence.map(|presence| (fixture.node, presence)).into_iter().collect();
    let said = said_of(run, &presences);
    let rows = fixture.store.read(move |view| read(view, run, said)).await.unwrap().expect("a run");
    rows.view(&presences, OFFLINE_AFTER, now).progress
}

#[tokio::test]
async fn a_running_task_counts_by_its_cells_and_a_settled_one_whole() {
    let fixture = Fixture::new().await;
    let task = fixture.leased_run().await;
    let later = NOW.plus(Duration::from_secs(60));
    let start = seen(&fixture, task.run, Some(presence(NOW, vec![at_work(task, 1, 3)])), later).await;
    assert_eq!((start.phase, start.addresses_done, start.addresses_total, start.left), (Phase::Scanning, 1, 16, None));
    let half = seen(&fixture, task.run, Some(presence(later, vec![at_work(task, 1, 24)])), later).await;
    assert_eq!((half.addresses_done, half.percent(), half.hosts_found), (8, 50, 2));
    assert_eq!((half.elapsed, half.left), (Duration::from_secs(60), Some(Duration::from_secs(60))));
    let stale = seen(&fixture, task.run, Some(presence(later, vec![at_work(task, 9, 24)])), later).await;
    assert_eq!((stale.addresses_done, stale.hosts_found), (0, 0), "another lease is another attempt");
    let found = result(task, 1, TARGETS, vec![host("10.9.0.1", &[80]), host("10.9.0.2", &[80])]);
    intake::take(&fixture.store, fixture.node, found, NOW).await.unwrap();
    let whole = seen(&fixture, task.run, Some(presence(later, vec![at_work(task, 1, 24)])), later).await;
    assert_eq!((whole.phase, whole.addresses_done, whole.hosts_found), (Phase::Reporting, 16, 2));
    assert_eq!(whole.left, Some(Duration::ZERO));
    let [node] = &whole.nodes[..] else { panic!("one node: {whole:?}") };
    assert_eq!((node.label.as_str(), node.running, node.done, node.failed), ("lab", 0, 1, 0));
}

#[tokio::test]
async fn a_holder_that_fell_silent_is_named_with_the_time() {
    let fixture = Fixture::new().await;
    let task = fixture.leased_run().await;
    let at = |seconds| NOW.plus(Duration::from_secs(seconds));
    for (heard, now, silent) in [
        (Some(at(5)), at(40), None),
        (Some(at(5)), at(41), Some(Duration::from_secs(36))),
        (None, at(7), Some(Duration::from_secs(7))),
    ] {
        let presence = heard.map(|heard| presence(heard, vec![at_work(task, 1, 3)]));
        let progress = seen(&fixture, task.run, presence, now).await;
        let [node] = &progress.nodes[..] else { panic!("one node: {progress:?}") };
        assert_eq!((node.running, node.last_heard, node.silent_for), (1, heard, silent));
    }
}

#[tokio::test]
async fn the_phase_is_told_from_queue_to_end() {
    let fixture = Fixture::new().await;
    fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[22])]).await;
    let run = fixture.looked_once(TARGETS, vec![]).await;
    let phase = async || seen(&fixture, run, None, NOW).await.phase;
    assert_eq!(phase().await, Phase::Reporting);
    crate::closing::close(&fixture.store, run, NOW).await.unwrap();
    assert_eq!(phase().await, Phase::Confirming);
    let end = move |draft: &mut crate::store::Draft<'_>| {
        let task = TaskId { run, index: 1 };
        let mut record = draft.get(&TASKS, &task)?.expect("a second look");
        record.fail(crate::run::UncoveredReason::NodeOffline, "gone".into(), NOW);
        draft.put(&TASKS, &task, &record)
    };
    fixture.store.update(end).await.unwrap();
    assert_eq!(phase().await, Phase::Reporting);
    crate::closing::close(&fixture.store, run, NOW).await.unwrap();
    let ended = seen(&fixture, run, None, NOW).await;
    assert_eq!((ended.phase, ended.percent(), ended.left), (Phase::Ended, 100, None));
}

#[test]
fn time_left_is_told_only_once_a_tenth_is_done() {
    let minutes = |count: u64| Duration::from_secs(count * 60);
    for (done, left) in
        [(0, None), (99, None), (100, Some(minutes(90))), (500, Some(minutes(10))), (1_000, Some(minutes(0)))]
    {
        assert_eq!(time_left(done, 1_000, minutes(10)), left, "{done}");
    }
    assert_eq!(time_left(0, 0, minutes(10)), None);
}
