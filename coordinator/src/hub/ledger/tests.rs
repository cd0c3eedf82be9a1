//! What is stored of each step, from a real store; and what a /8 costs.

use super::*;
use crate::dispatch::crew::{Candidate, Crew, Standing};
use crate::dispatch::{Dispatch, Patience, TASKS_PER_NODE};
use crate::fixture::{Fixture, NOW, SCAN, TARGETS, host, made_up_run, result};
use crate::run::{Look, Trigger, UncoveredReason};
use crate::store::tables::{OPEN_RUNS, TALLIES, TASK_COVERAGE};
use crate::use_case::runs::queue;
use protocol::NodeId;
use std::collections::BTreeMap;

fn node(number: u8) -> NodeId {
    NodeId::from_bytes([number; 32])
}

/// The fixture's scan, begun.
async fn begun(fixture: &Fixture) -> Run {
    let begun = fixture.store.update(|draft| {
        let run = queue(draft, SCAN, Trigger::Schedule, NOW)?;
        Ok::<_, crate::UseCaseError>(begin(draft, run.id, NOW)?)
    });
    begun.await.unwrap().expect("it was queued")
}

fn leased(run: &Run, index: u32, targets: &str, holder: NodeId) -> TaskRecord {
    let id = TaskId { run: run.id, index };
    let mut task = TaskRecord::new(id, Look::First, targets.parse().unwrap(), NOW);
    task.lease_to(holder, NOW);
    task
}

async fn granted(fixture: &Fixture, leased: Vec<TaskRecord>) -> Vec<u32> {
    let kept = fixture.store.update(move |draft| grant(draft, leased)).await.unwrap();
    kept.iter().map(|task| task.id.index).collect()
}

async fn found(fixture: &Fixture, run: RunId) -> Found {
    fixture.store.read(move |view| open_run(view, run)).await.unwrap().expect("a run")
}

#[tokio::test]
async fn a_run_begins_once_with_all_of_its_addresses_to_cut() {
    let fixture = Fixture::new().await;
    let run = begun(&fixture).await;
    assert_eq!((run.state, run.started, run.tasks), (RunState::Running, Some(NOW), 0));
    assert_eq!(found(&fixture, run.id).await.rest.to_string(), TARGETS);
    let again = fixture.store.update(move |draft| begin(draft, run.id, NOW)).await.unwrap();
    assert_eq!(again, None);
}

#[tokio::test]
async fn a_run_whose_document_is_being_imported_is_not_taken_up() {
    let fixture = Fixture::new().await;
    let queued = fixture
        .store
        .update(|draft| queue(draft, SCAN, Trigger::Import { by: "ada".into(), authoritative: true }, NOW));
    let id = queued.await.unwrap().id;
    assert!(fixture.store.read(move |view| open_run(view, id)).await.unwrap().is_none());
    let opened = fixture.store.update(move |draft| {
        let run = Run { state: RunState::Running, ..draft.get(&RUNS, &id)?.unwrap() };
        draft.put(&RUNS, &id, &run)
    });
    opened.await.unwrap();
    assert!(found(&fixture, id).await.rest.is_empty(), "only to be closed");
}

#[tokio::test]
async fn only_leases_that_still_fit_are_kept() {
    let fixture = Fixture::new().await;
    let (run, holder) = (begun(&fixture).await, fixture.node);
    let first = vec![
        leased(&run, 0, "10.9.0.0/29", holder),
        leased(&run, 1, "10.9.0.0/30", holder),
        leased(&run, 2, "10.9.0.8/30", holder),
        leased(&run, 1, "10.9.0.8/30", holder),
    ];
    assert_eq!(granted(&fixture, first.clone()).await, [0, 1], "cut twice, or out of turn");
    let Found { run, rest, tasks } = found(&fixture, run.id).await;
    assert_eq!((run.tasks, rest.to_string().as_str(), tasks.len()), (2, "10.9.0.12/30", 2));
    assert_eq!(granted(&fixture, first[..1].to_vec()).await, Vec::<u32>::new(), "it is with a holder");
    let lost = Release::Lost("silence".into());
    let id = first[0].id;
    let waits = fixture.store.update(move |draft| release(draft, id, 1, lost, NOW)).await.unwrap().unwrap();
    assert_eq!(granted(&fixture, first[..1].to_vec()).await, Vec::<u32>::new(), "its number is of yesterday");
    let mut next = waits;
    next.lease_to(node(5), NOW);
    assert_eq!(granted(&fixture, vec![next]).await, [0]);
    let stale = fixture.store.update(move |draft| release(draft, id, 1, Release::Lost("late".into()), NOW)).await;
    assert_eq!(stale.unwrap(), None, "an older number changes nothing");
}

#[tokio::test]
async fn a_task_that_is_given_up_is_counted_or_goes_back_into_the_rest() {
    let fixture = Fixture::new().await;
    let (run, holder) = (begun(&fixture).await, fixture.node);
    let both = vec![leased(&run, 0, "10.9.0.0/29", holder), leased(&run, 1, "10.9.0.8/29", holder)];
    granted(&fixture, both.clone()).await;
    for mut task in both {
        task.lose_lease("silence".into(), NOW);
        let (id, mut ended) = (task.id, task.clone());
        fixture.store.update(move |draft| draft.put(&TASKS, &id, &task)).await.unwrap();
        match id.index {
            0 => ended.fail(UncoveredReason::NodeOffline, "gone".into(), NOW),
            _ => ended.cut_anew(NOW),
        }
        for expected in [true, false] {
            let ended = ended.clone();
            let done = fixture.store.update(move |draft| give_up(draft, &ended)).await.unwrap();
            assert_eq!(done, expected, "a second time it does not wait any more");
        }
    }
    let Found { rest, tasks, .. } = found(&fixture, run.id).await;
    assert_eq!((rest.to_string().as_str(), tasks.len()), ("10.9.0.8/29", 0));
    let tally = fixture.store.read(move |view| view.get(&TALLIES, &(run.id, holder))).await.unwrap();
    assert_eq!(tally, Some(Tally { done: 0, failed: 1, addresses: 8, hosts: 0 }));
}

#[tokio::test]
async fn what_nobody_takes_is_named_and_a_late_result_changes_nothing() {
    let fixture = Fixture::new().await;
    let run = begun(&fixture).await;
    granted(&fixture, vec![leased(&run, 0, "10.9.0.0/29", fixture.node)]).await;
    let id = TaskId { run: run.id, index: 0 };
    let seen = result(id, 1, "10.9.0.0/29", vec![host("10.9.0.1", &[80])]);
    let taken = crate::intake::take(&fixture.store, fixture.node, seen, NOW).await.unwrap();
    assert!(taken.ended.is_some());
    let late = result(id, 1, "10.9.0.0/29", vec![host("10.9.0.2", &[80]), host("10.9.0.3", &[80])]);
    crate::intake::take(&fixture.store, fixture.node, late, NOW).await.unwrap();
    let gap = vec![Uncovered { targets: "10.9.0.8/29".parse().unwrap(), reason: UncoveredReason::NodeOffline }];
    let (id, named) = (run.id, gap.clone());
    let run = fixture.store.update(move |draft| name_rest(draft, id, named, NOW)).await.unwrap().unwrap();
    assert_eq!((run.state, &run.uncovered), (RunState::Running, &gap));
    let node = fixture.node;
    let rows = fixture.store.read(move |view| Ok((view.get(&UNCUT, &id)?, view.get(&TALLIES, &(id, node))?)));
    assert_eq!(rows.await.unwrap(), (None, Some(Tally { done: 1, failed: 0, addresses: 8, hosts: 1 })));
    fixture.finish(id, None).await;
    let ended = found(&fixture, id).await.run;
    assert_eq!((ended.state, ended.uncovered), (RunState::Partial, gap));
}

#[tokio::test]
async fn nothing_is_granted_or_named_of_a_run_that_ended() {
    let fixture = Fixture::new().await;
    let run = begun(&fixture).await;
    let id = run.id;
    let ended = fixture.store.update(move |draft| {
        let run = Run { state: RunState::Cancelled, ..draft.get(&RUNS, &id)?.unwrap() };
        draft.remove(&OPEN_RUNS, &run.scan)?;
        draft.put(&RUNS, &id, &run)
    });
    ended.await.unwrap();
    assert_eq!(granted(&fixture, vec![leased(&run, 0, "10.9.0.0/29", fixture.node)]).await, Vec::<u32>::new());
    assert_eq!(fixture.store.update(move |draft| name_rest(draft, id, vec![], NOW)).await.unwrap(), None);
}

/// Ten nodes that cover parts of 10.0.0.0/8 in many ways, and its tasks as they come and go for a while.
#[tokio::test]
async fn of_a_slash_8_only_the_window_exists_and_its_first_task_is_out_at_once() {
    let fixture = Fixture::new().await;
    let run = made_up_run(1, "10.0.0.0-10.0.255.255", "22,80", "");
    // The budget of a scan is smaller; the planner's is not.
    let part: TargetSet = "10.0.0.0/8".parse().unwrap();
    let mut crew = Crew::default();
    let candidate = |number: u8| {
        let approved: TargetSet =
            format!("10.{}.0.0-10.255.255.255,10.0.0.0-10.{number}.9.9", number * 20).parse().unwrap();
        let (allowed, standing) = (approved.clone(), Standing::Online);
        Candidate { node: node(number), site: "main".into(), approved, allowed, standing }
    };
    crew.update((1..=10).map(candidate), BTreeMap::new());
    let stored = run.clone();
    let rest = part.clone();
    let put = fixture.store.update(move |draft| {
        draft.put(&UNCUT, &stored.id, &rest)?;
        draft.put(&RUNS, &stored.id, &Run { state: RunState::Running, ..stored })
    });
    put.await.unwrap();
    let mut dispatch = Dispatch::default();
    let began = std::time::Instant::now();
    dispatch.take_up(Run { state: RunState::Running, ..run.clone() }, part, []);
    let mut first = None;
    let window = 10 * TASKS_PER_NODE;
    for _ in 0..20 {
        let leased = dispatch.grants(&crew, NOW);
        let kept = fixture.store.update(move |draft| grant(draft, leased)).await.unwrap();
        first.get_or_insert_with(|| began.elapsed());
        assert_eq!(kept.len(), window);
        kept.iter().for_each(|task| dispatch.granted(task.clone(), NOW));
        assert_eq!(dispatch.open_tasks(), window, "only what is out is in memory");
        for mut task in kept {
            task.lose_lease("x".into(), NOW);
            task.fail(UncoveredReason::AttemptsUsedUp, "x".into(), NOW);
            dispatch.settle(task);
        }
        assert!(dispatch.given_up(&crew, NOW, Patience(std::time::Duration::ZERO)).is_empty());
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("VmHWM: unknown");
    println!("first grants of a /8 stored after {:?}; this process: {peak}", first.unwrap());
    let rows = fixture.store.read(|view| Ok((view.iter(&TASKS).count(), view.iter(&TASK_COVERAGE).count()))).await;
    assert_eq!(rows.unwrap(), (20 * window, 0), "rows for what was cut, and no more");
    let left = found(&fixture, run.id).await.rest;
    let cut = (1u128 << 24) - left.count();
    assert!(cut <= 256 * 20 * window as u128 && left.ranges().count() < 200, "{cut}");
}
