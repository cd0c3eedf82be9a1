//! Making up for what was missed, stopping, and finding runs.

use super::*;
use crate::analysis::delta::Status;
use crate::fixture::{Fixture, NOW, SCAN, TARGETS, host};
use crate::run::{Uncovered, UncoveredReason};
use crate::store::tables::{ALERTS, HISTORY, UNCUT};
use protocol::observation::HostObservation;

async fn retry(fixture: &Fixture, run: RunId) -> Result<Run, UseCaseError> {
    fixture.store.update(move |draft| queue_missing(draft, run, "ada".into(), NOW)).await
}

fn refusal(retried: Result<Run, UseCaseError>) -> String {
    retried.expect_err("it is refused").to_string()
}

/// What `of` missed is run again, on one node, and that is over.
async fn retried(fixture: &Fixture, of: RunId, covered: &str, hosts: Vec<HostObservation>) -> RunId {
    let (id, node) = (retry(fixture, of).await.unwrap().id, fixture.node);
    let task = TaskId { run: id, index: 0 };
    let begin = move |draft: &mut Draft| {
        let run = draft.get(&RUNS, &id)?.expect("queued");
        let mut record = TaskRecord::new(task, crate::run::Look::First, run.wanted(), NOW);
        record.lease_to(node, NOW);
        draft.put(&TASKS, &task, &record)?;
        draft.put(&RUNS, &id, &Run { state: RunState::Running, tasks: 1, ..run })
    };
    fixture.store.update(begin).await.unwrap();
    let seen = crate::fixture::result(task, 1, covered, hosts);
    crate::intake::take(&fixture.store, node, seen, NOW).await.unwrap();
    fixture.finish(id, None).await
}

/// The latest run of the scan, and the report that says where its network stands.
async fn standing(fixture: &Fixture) -> (RunId, RunId, Status) {
    let read = |view: &crate::store::View| {
        let scan = view.get(&SCANS, &SCAN)?.expect("the fixture's scan");
        crate::use_case::scans::view(view, scan)
    };
    let view = fixture.store.read(read).await.unwrap();
    let report = view.last_report.expect("a report");
    (view.last_run.expect("a run").id, report.run, report.status)
}

#[tokio::test]
async fn a_run_of_the_missing_part_never_makes_a_network_look_better() {
    let fixture = Fixture::new().await;
    fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[22])]).await;
    let there = || vec![host("10.9.0.1", &[22, 3389])];
    let half = fixture.finished_run("10.9.0.0/29", there()).await;
    assert_eq!(standing(&fixture).await, (half, half, Status::Critical));
    let calm = retried(&fixture, half, "10.9.0.8/29", vec![]).await;
    assert_eq!(standing(&fixture).await, (calm, half, Status::Critical));
    let report = fixture.store.read(move |view| crate::report::read(view, calm)).await.unwrap().unwrap();
    assert_eq!((report.status, report.notes, report.no_longer_covered_cells), (Status::Stable, vec![], 0));
    let whole = fixture.finished_run("10.9.0.0/29", there()).await;
    assert_eq!(standing(&fixture).await, (whole, whole, Status::Stable));
    let worse = retried(&fixture, whole, "10.9.0.8/29", vec![host("10.9.0.9", &[3389])]).await;
    assert_eq!(standing(&fixture).await, (worse, worse, Status::Critical));
}

#[tokio::test]
async fn only_what_a_partial_run_missed_is_run_again_and_coverage_counts_against_that() {
    let fixture = Fixture::new().await;
    fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[22]), host("10.9.0.9", &[3389])]).await;
    let half = fixture.finished_run("10.9.0.0/29", vec![host("10.9.0.1", &[22])]).await;
    let again = retry(&fixture, half).await.unwrap();
    assert_eq!(again.part.as_ref().map(ToString::to_string).as_deref(), Some("10.9.0.8/29"));
    assert_eq!(again.wanted().to_string(), "10.9.0.8/29");
    assert_eq!(again.trigger, Trigger::Missing { of: half, by: "ada".into() });
    assert_eq!(
        refusal(retry(&fixture, half).await),
        format!("run {0} of this scan has not ended; wait for it (`portdrift runs watch {0}`)", again.id)
    );
}

#[tokio::test]
async fn a_run_of_the_missing_part_is_complete_when_that_part_was_looked_at() {
    let fixture = Fixture::new().await;
    fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[22]), host("10.9.0.9", &[3389])]).await;
    let half = fixture.finished_run("10.9.0.0/29", vec![host("10.9.0.1", &[22])]).await;
    let id = retried(&fixture, half, "10.9.0.8/29", vec![host("10.9.0.9", &[3389])]).await;
    let (run, report, known) = fixture
        .store
        .read(move |view| {
            Ok((view.get(&RUNS, &id)?, crate::report::read(view, id)?, view.within(&HISTORY, &SCAN).count()))
        })
        .await
        .unwrap();
    let run = run.unwrap();
    assert_eq!((run.state, run.outcome.unwrap().coverage_hundredths), (RunState::Completed, 10_000));
    assert_eq!((report.unwrap().changes, known), (vec![], 2), "what it did not look at did not change");
    assert_eq!(fixture.store.read(|view| Ok(view.iter(&ALERTS).count())).await.unwrap(), 2);
    let refused = refusal(retry(&fixture, id).await);
    assert_eq!(refused, format!("run {id} is completed; only what a partial or failed run missed can be run again"));
}

#[tokio::test]
async fn what_the_scan_wants_no_more_is_not_run_again() {
    let fixture = Fixture::new().await;
    let half = fixture.finished_run("10.9.0.0/29", vec![host("10.9.0.1", &[22])]).await;
    fixture
        .store
        .update(move |draft| {
            let mut run = draft.get(&RUNS, &half)?.expect("it ended");
            let elsewhere = Uncovered { targets: "10.7.0.1".parse().unwrap(), reason: UncoveredReason::NoRange };
            run.uncovered = vec![elsewhere];
            draft.put(&RUNS, &half, &run)
        })
        .await
        .unwrap();
    let words = "missed nothing that the scan still wants; `portdrift scans run 1` runs all";
    assert_eq!(refusal(retry(&fixture, half).await), format!("run {half} {words}"));
    assert_eq!(
        refusal(retry(&fixture, RunId(99)).await),
        "there is no run 99; `portdrift runs list` shows what there is"
    );
}

#[tokio::test]
async fn a_cancelled_run_leaves_nothing_to_cut_and_no_task_open() {
    let fixture = Fixture::new().await;
    let task = fixture.leased_run().await;
    let cancelled = fixture.store.update(move |draft| {
        draft.put(&UNCUT, &task.run, &TARGETS.parse().unwrap())?;
        cancel(draft, task.run, &"ada".into(), NOW)
    });
    let run = cancelled.await.unwrap();
    assert_eq!((run.state, run.outcome.unwrap().reason.as_str()), (RunState::Cancelled, "cancelled by ada"));
    let left = fixture
        .store
        .read(move |view| Ok((view.get(&TASKS, &task)?, view.iter(&UNCUT).count(), view.iter(&OPEN_RUNS).count())));
    let (record, uncut, open) = left.await.unwrap();
    assert_eq!((record.map(|task| task.state), uncut, open), (Some(TaskState::Cancelled), 0, 0));
    let again = fixture.store.update(move |draft| cancel(draft, task.run, &"ada".into(), NOW)).await;
    assert_eq!(again.unwrap_err().to_string(), "run 1 has ended already; it is cancelled");
}

#[tokio::test]
async fn runs_are_found_by_scan_and_state_newest_first() {
    let fixture = Fixture::new().await;
    let whole = fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[22])]).await;
    let half = fixture.finished_run("10.9.0.0/29", vec![host("10.9.0.1", &[22])]).await;
    let last = fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[22])]).await;
    let cases = [
        (None, None, vec![last, half, whole]),
        (Some(SCAN), Some(RunState::Completed), vec![last, whole]),
        (None, Some(RunState::Partial), vec![half]),
        (Some(ScanId(9)), None, vec![]),
    ];
    for (scan, state, expected) in cases {
        let found = fixture
            .store
            .read(move |view| find(view, RunFilter { scan, state }, RunPage { before: None, limit: 200 }))
            .await
            .unwrap();
        assert_eq!(found.iter().map(|run| run.id).collect::<Vec<_>>(), expected, "{scan:?} {state:?}");
    }
}

#[tokio::test]
async fn the_tasks_of_a_run_are_read_from_any_number_on() {
    let fixture = Fixture::new().await;
    let task = fixture.leased_run().await;
    let read = async |first| {
        let tasks = fixture.store.read(move |view| tasks_from(view, task.run, first)).await.unwrap();
        tasks.expect("a run").iter().map(|task| task.id.index).collect::<Vec<_>>()
    };
    assert_eq!((read(0).await, read(1).await, read(u32::MAX).await), (vec![0], vec![], vec![]));
    let none = fixture.store.read(|view| tasks_from(view, RunId(9), 0)).await.unwrap();
    assert!(none.is_none());
}
