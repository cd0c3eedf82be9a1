//! What is taken in, and what never is.

use super::{settled, take};
use crate::fixture::{Fixture, NOW, TARGETS, host, result};
use crate::run::TaskState;
use crate::store::Reads;
use crate::store::tables::{STAGED, TASK_COVERAGE, TASKS};
use protocol::message::ReceiptOutcome;
use protocol::task::TaskId;
use protocol::{Keypair, Timestamp};
use std::time::Duration;

fn is_rejected(outcome: &ReceiptOutcome, word: &str) -> bool {
    matches!(outcome, ReceiptOutcome::Rejected(reason) if reason.as_str().contains(word))
}

#[tokio::test]
async fn a_result_counts_once_and_is_stored_whole() {
    let fixture = Fixture::new().await;
    let task = fixture.leased_run().await;
    let given = result(task, 1, TARGETS, vec![host("10.9.0.1", &[80]), host("10.9.0.2", &[22])]);
    let first = take(&fixture.store, fixture.node, given.clone(), NOW).await.unwrap();
    assert_eq!(first.outcome, ReceiptOutcome::Stored);
    assert_eq!(first.ended.map(|task| task.state), Some(TaskState::Done));
    for _ in 0..3 {
        let again = take(&fixture.store, fixture.node, given.clone(), NOW).await.unwrap();
        assert_eq!(again, ReceiptOutcome::Duplicate.into());
    }
    let rows = fixture.store.read(|view| Ok((view.iter(&STAGED).count(), view.iter(&TASK_COVERAGE).count()))).await;
    assert_eq!(rows.unwrap(), (2, 1));
}

#[tokio::test]
async fn an_old_number_another_node_and_an_ended_task_change_nothing() {
    let fixture = Fixture::new().await;
    let task = fixture.leased_run().await;
    let other = Keypair::from_seed(&[8; 32]).node_id();
    let cases = [(fixture.node, 0), (fixture.node, 2), (other, 1)];
    for (sender, fence) in cases {
        let taken = take(&fixture.store, sender, result(task, fence, TARGETS, vec![]), NOW).await.unwrap();
        assert_eq!(taken, ReceiptOutcome::Superseded.into(), "{sender} {fence}");
    }
    let foreign = TaskId { index: 9, ..task };
    let taken = take(&fixture.store, fixture.node, result(foreign, 1, TARGETS, vec![]), NOW).await.unwrap();
    assert!(is_rejected(&taken.outcome, "no such task"));
    let node = fixture.node;
    let offered = fixture.store.read(move |view| settled(view, task, 1, node)).await.unwrap();
    assert_eq!(offered, None, "the real one is still wanted");
}

#[tokio::test]
async fn a_result_beyond_its_task_is_rejected_whole() {
    let fixture = Fixture::new().await;
    let task = fixture.leased_run().await;
    let unsorted = vec![host("10.9.0.2", &[]), host("10.9.0.1", &[])];
    let twice = vec![host("10.9.0.1", &[]), host("10.9.0.1", &[])];
    let cases = [
        ("outside its task", result(task, 1, "10.9.0.0/27", vec![])),
        ("claim to have asked", result(task, 1, "10.9.0.0/30", vec![host("10.9.0.9", &[80])])),
        ("claim to have asked", result(task, 1, TARGETS, vec![host("10.77.0.1", &[80])])),
        ("sorted", result(task, 1, TARGETS, unsorted)),
        ("sorted", result(task, 1, TARGETS, twice)),
        ("ports are not sorted", result(task, 1, TARGETS, vec![host("10.9.0.1", &[80, 22])])),
    ];
    for (word, bad) in cases {
        let taken = take(&fixture.store, fixture.node, bad, NOW).await.unwrap();
        assert!(is_rejected(&taken.outcome, word), "{word}: {taken:?}");
    }
    let state = fixture.store.read(move |view| Ok((view.get(&TASKS, &task)?, view.iter(&STAGED).count()))).await;
    let (record, staged) = state.unwrap();
    assert_eq!((record.map(|task| task.state), staged), (Some(TaskState::Leased), 0));
}

#[tokio::test]
async fn of_a_thousand_foreign_hosts_none_is_stored() {
    let fixture = Fixture::new().await;
    let task = fixture.leased_run().await;
    let foreign: Vec<_> = (0..1_000u32).map(|host| format!("10.77.{}.{}", host / 250, host % 250 + 1)).collect();
    let hosts = foreign.iter().map(|address| host(address, &[80])).collect();
    let all_at_once = take(&fixture.store, fixture.node, result(task, 1, TARGETS, hosts), NOW).await.unwrap();
    assert!(is_rejected(&all_at_once.outcome, "claim to have asked"));
    for address in &foreign {
        let one = result(task, 1, TARGETS, vec![host(address, &[80])]);
        let taken = take(&fixture.store, fixture.node, one, NOW).await.unwrap();
        assert!(is_rejected(&taken.outcome, "claim to have asked"), "{address}");
    }
    let stored = fixture.store.read(|view| Ok(view.iter(&STAGED).count() + view.iter(&TASK_COVERAGE).count())).await;
    assert_eq!(stored.unwrap(), 0);
}

#[tokio::test]
async fn a_node_that_is_not_approved_any_more_is_not_heard() {
    let fixture = Fixture::new().await;
    let task = fixture.leased_run().await;
    let node = fixture.node;
    let end = Timestamp::from_millis(5);
    fixture
        .store
        .update(move |draft| {
            let mut record = draft.get(&crate::store::tables::NODES, &node)?.unwrap();
            if let crate::registry::Admission::Approved(approval) = &mut record.admission {
                approval.expires = Some(end);
            }
            draft.put(&crate::store::tables::NODES, &node, &record)
        })
        .await
        .unwrap();
    let late = end.plus(Duration::from_millis(1));
    let taken = take(&fixture.store, node, result(task, 1, TARGETS, vec![]), late).await.unwrap();
    assert!(is_rejected(&taken.outcome, "not approved"));
}

#[tokio::test]
async fn less_than_asked_makes_the_task_partial() {
    let fixture = Fixture::new().await;
    let task = fixture.leased_run().await;
    let taken = take(&fixture.store, fixture.node, result(task, 1, "10.9.0.0/29", vec![]), NOW).await.unwrap();
    assert_eq!(taken.ended.map(|task| task.state), Some(TaskState::Partial));
}
