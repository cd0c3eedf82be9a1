//! A few runs from beginning to end: what they report, what they leave known, and what they must not touch.

mod blind;
mod documents;
mod mass;
mod pieces;
mod restarts;

use super::{Closing, close};
use crate::analysis::alert::{AlertState, Evidence, Severity};
use crate::analysis::delta::{ChangeKind, NoteKind, Status};
use crate::fixture::{Fixture, NOW, SCAN, TARGETS, host, last_seen};
use crate::report::Report;
use crate::run::{RunState, TaskState};
use crate::store::tables::{ALERTS, HISTORY, OPEN_RUNS, REPORTS, RUNS, STAGED, TASKS};
use crate::store::{Reads, View};
use protocol::Timestamp;
use protocol::observation::HostObservation;
use protocol::task::RunId;

async fn report(fixture: &Fixture, run: RunId) -> Report {
    fixture.store.read(move |view| crate::report::read(view, run)).await.unwrap().expect("a report")
}

async fn state(fixture: &Fixture, run: RunId) -> RunState {
    fixture.store.read(move |view| view.get(&RUNS, &run)).await.unwrap().expect("a run").state
}

fn lines(report: &Report) -> Vec<String> {
    let port = |change: &crate::analysis::delta::Change| change.port.map_or(0, |port| port.port);
    report.changes.iter().map(|change| format!("{:?} {} {}", change.kind, change.address, port(change))).collect()
}

#[tokio::test]
async fn the_second_run_says_what_changed_and_nothing_else() {
    let fixture = Fixture::new().await;
    let before = vec![host("10.9.0.1", &[22, 80]), host("10.9.0.2", &[80]), host("10.9.0.3", &[80])];
    let first = fixture.finished_run(TARGETS, before).await;
    let baseline = report(&fixture, first).await;
    assert!(baseline.is_baseline() && baseline.changes.is_empty());
    assert_eq!((baseline.hosts_up, baseline.open_ports, baseline.status), (3, 4, Status::Stable));
    let after = vec![host("10.9.0.1", &[80, 3389]), host("10.9.0.2", &[80]), host("10.9.0.4", &[80])];
    let second = fixture.finished_run(TARGETS, after).await;
    let report = report(&fixture, second).await;
    assert_eq!(
        lines(&report),
        [
            "ClosedPort 10.9.0.1 22",
            "NewPort 10.9.0.1 3389",
            "RemovedHost 10.9.0.3 0",
            "ClosedPort 10.9.0.3 80",
            "NewHost 10.9.0.4 0",
            "NewPort 10.9.0.4 80"
        ]
    );
    assert_eq!((report.baseline, report.status), (Some(first), Status::Critical));
    assert_eq!(state(&fixture, second).await, RunState::Completed);
    let left = fixture.store.read(|view| Ok((view.iter(&STAGED).count(), view.iter(&OPEN_RUNS).count()))).await;
    assert_eq!(left.unwrap(), (0, 0));
}

#[tokio::test]
async fn an_unchanged_host_costs_no_new_history() {
    let fixture = Fixture::new().await;
    for minute in 1..4 {
        let seen = Timestamp::from_millis(60_000 * minute);
        fixture.finished_run(TARGETS, vec![HostObservation { seen, ..host("10.9.0.1", &[80]) }]).await;
    }
    let rows = fixture.store.read(|view| Ok(view.iter(&HISTORY).count())).await;
    assert_eq!(rows.unwrap(), 1);
}

#[tokio::test]
async fn what_was_not_looked_at_never_changes() {
    let fixture = Fixture::new().await;
    let all = vec![host("10.9.0.1", &[22]), host("10.9.0.9", &[3389])];
    fixture.finished_run(TARGETS, all).await;
    let half = fixture.finished_run("10.9.0.0/29", vec![host("10.9.0.1", &[22])]).await;
    let partial = report(&fixture, half).await;
    assert_eq!(lines(&partial), Vec::<String>::new());
    assert_eq!((state(&fixture, half).await, partial.coverage_hundredths), (RunState::Partial, 5_000));
    assert_eq!(partial.uncovered.iter().map(|part| part.targets.to_string()).collect::<Vec<_>>(), ["10.9.0.8/29"]);
    let alerts: Vec<(Severity, AlertState)> = fixture
        .store
        .read(|view| view.iter(&ALERTS).map(|row| row.map(|(_, alert)| (alert.severity, alert.state))).collect())
        .await
        .unwrap();
    assert_eq!(alerts, [(Severity::High, AlertState::Open), (Severity::Critical, AlertState::Open)]);
    let later = fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[22])]).await;
    let report = report(&fixture, later).await;
    assert_eq!(report.count(ChangeKind::RemovedHost), 1, "gone once someone looked");
}

#[tokio::test]
async fn a_run_that_saw_nothing_fails_and_reports_nothing() {
    let fixture = Fixture::new().await;
    fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[22])]).await;
    let task = fixture.leased_run().await;
    fixture
        .store
        .update(move |draft| {
            let mut record = draft.get(&TASKS, &task)?.unwrap();
            record.state = TaskState::Failed;
            draft.put(&TASKS, &task, &record)
        })
        .await
        .unwrap();
    let Closing::Closed { run, alerts_changed } = close(&fixture.store, task.run, NOW).await.unwrap() else {
        panic!("nothing was seen, so nothing is in doubt");
    };
    assert_eq!((run.state, alerts_changed), (RunState::Failed, false));
    let none = fixture.store.read(move |view| view.get(&REPORTS, &task.run)).await.unwrap();
    assert_eq!(none, None);
    let again = close(&fixture.store, task.run, NOW).await.unwrap();
    assert!(matches!(again, Closing::Closed { run: same, .. } if same == run), "closing twice does nothing");
    let next = fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[22])]).await;
    assert_eq!(report(&fixture, next).await.changes, []);
    let seen = |view: &View| last_seen(view, SCAN, "10.9.0.1".parse().unwrap());
    assert_eq!(fixture.store.read(seen).await.unwrap(), Some(next));
}

/// A run that looks at port 80 only, and is closed; a second look, if it takes one, finds nothing.
async fn narrow_run(fixture: &Fixture, hosts: Vec<HostObservation>) -> RunId {
    let task = fixture.leased_run().await;
    let mut narrow = crate::fixture::result(task, 1, TARGETS, hosts);
    for cells in &mut narrow.coverage.probed {
        cells.ports = "80".parse().unwrap();
    }
    crate::intake::take(&fixture.store, fixture.node, narrow, NOW).await.unwrap();
    fixture.finish(task.run, Some(vec![])).await
}

#[tokio::test]
async fn an_alert_of_a_host_that_is_gone_ends_though_its_port_is_asked_no_more() {
    let fixture = Fixture::new().await;
    fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[22, 80]), host("10.9.0.2", &[80])]).await;
    let run = narrow_run(&fixture, vec![host("10.9.0.2", &[80])]).await;
    assert_eq!(report(&fixture, run).await.count(ChangeKind::RemovedHost), 1);
    let ssh = fixture.store.read(|view| view.last(&ALERTS)).await.unwrap().unwrap().1;
    let how = ssh.resolution.map(|how| (how.run, how.evidence));
    assert_eq!((ssh.state, how), (AlertState::Resolved, Some((run, Evidence::HostGone))));
}

#[tokio::test]
async fn what_a_second_look_finds_again_was_never_gone() {
    let fixture = Fixture::new().await;
    let there = vec![host("10.9.0.1", &[22, 80]), host("10.9.0.2", &[80])];
    fixture.finished_run(TARGETS, there.clone()).await;
    let run = fixture.looked_once(TARGETS, vec![host("10.9.0.2", &[80])]).await;
    fixture.finish(run, Some(there.clone())).await;
    let found = report(&fixture, run).await;
    assert_eq!(lines(&found), Vec::<String>::new());
    assert!(found.notes.iter().all(|note| note.kind == NoteKind::Contradicted) && !found.notes.is_empty());
    assert_eq!(report(&fixture, fixture.finished_run(TARGETS, there).await).await.changes, [], "it stayed known");
}

#[tokio::test]
async fn what_no_second_look_settles_stays_unconfirmed() {
    let fixture = Fixture::new().await;
    fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[22]), host("10.9.0.2", &[80])]).await;
    let run = fixture.looked_once(TARGETS, vec![host("10.9.0.2", &[80])]).await;
    fixture.finish(run, None).await;
    let found = report(&fixture, run).await;
    assert_eq!(lines(&found), Vec::<String>::new());
    assert!(found.notes.iter().all(|note| note.kind == NoteKind::Unconfirmed) && !found.notes.is_empty());
    let open = fixture
        .store
        .read(|view| view.iter(&ALERTS).map(|row| row.map(|(_, alert)| alert.state)).collect::<Result<Vec<_>, _>>())
        .await;
    assert_eq!(open.unwrap(), [AlertState::Open], "nothing resolves without evidence");
}

#[tokio::test]
async fn when_all_hosts_vanish_at_once_the_way_there_is_in_doubt() {
    let fixture = Fixture::new().await;
    let all: Vec<_> = (1..=6).map(|last| host(&format!("10.9.0.{last}"), &[80])).collect();
    fixture.finished_run(TARGETS, all.clone()).await;
    let dark = fixture.finished_run(TARGETS, vec![]).await;
    assert_eq!(lines(&report(&fixture, dark).await), Vec::<String>::new());
    let back = fixture.finished_run(TARGETS, all).await;
    assert_eq!(report(&fixture, back).await.changes, [], "and nothing is new when it is back");
}

#[tokio::test]
async fn a_second_look_avoids_the_node_that_looked_first() {
    let fixture = Fixture::new().await;
    fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[22]), host("10.9.0.2", &[80])]).await;
    let task = fixture.leased_run().await;
    let seen = crate::fixture::result(task, 1, TARGETS, vec![host("10.9.0.2", &[80])]);
    crate::intake::take(&fixture.store, fixture.node, seen, NOW).await.unwrap();
    let Closing::LooksAgain { run, tasks } = close(&fixture.store, task.run, NOW).await.unwrap() else {
        panic!("a host is gone");
    };
    assert_eq!(run.state, RunState::Closing);
    let asked: Vec<_> = tasks.iter().map(|task| (task.targets.to_string(), task.avoid)).collect();
    assert_eq!(asked, [("10.9.0.1".to_owned(), Some(fixture.node))]);
}
