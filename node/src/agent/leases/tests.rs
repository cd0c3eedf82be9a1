//! Leases over time, without a clock.

use super::*;
use crate::policy::Policy;
use protocol::task::{EngineChoice, Task, TaskSpec};

const GRANTED: Timestamp = Timestamp::from_millis(1_000_000);
const LEASE: Duration = Duration::from_secs(45);

fn id(index: u32) -> TaskId {
    TaskId { run: RunId(1), index }
}

fn key(index: u32, fence: u64) -> ResultKey {
    ResultKey { task: id(index), fence }
}

fn admitted(index: u32, fence: u64) -> AdmittedTask {
    let targets: TargetSet = "127.0.0.1".parse().unwrap();
    let spec = TaskSpec {
        targets: targets.clone(),
        ports: Some("T:80".parse().unwrap()),
        args: Default::default(),
        engine: EngineChoice::Builtin,
        time_limit: LEASE,
    };
    Policy::default().admit(Task { id: id(index), fence, lease: LEASE, spec }, &targets).unwrap()
}

fn queued(fences: &[(u32, u64)]) -> Leases {
    let mut leases = Leases::default();
    fences.iter().for_each(|(index, fence)| leases.enqueue(admitted(*index, *fence), GRANTED));
    leases
}

fn start(leases: &mut Leases, there: Timestamp, now: Instant) -> Option<TaskId> {
    leases.start_next(there, now, |_| false).map(|task| task.id())
}

#[test]
fn only_a_higher_number_of_a_task_is_news() {
    let mut leases = Leases::default();
    let news: Vec<bool> =
        [(1, 5), (1, 5), (1, 4), (2, 1), (1, 6)].map(|(i, fence)| leases.is_news(id(i), fence)).to_vec();
    assert_eq!(news, [true, false, false, true, true]);
}

#[test]
fn a_task_starts_while_its_lease_holds_and_not_after() {
    let now = Instant::now();
    assert_eq!(start(&mut queued(&[(1, 1)]), GRANTED.plus(LEASE - Duration::from_millis(1)), now), Some(id(1)));
    let mut late = queued(&[(1, 1)]);
    assert_eq!(start(&mut late, GRANTED.plus(LEASE), now), None);
    assert_eq!(late.all().count(), 0, "forgotten, so that presence does not claim it");
}

#[test]
fn a_renewal_counts_from_when_the_presence_was_taken_and_for_its_number_only() {
    let (now, late) = (Instant::now(), GRANTED.plus(3 * LEASE));
    for (renewed, after, starts) in [(1, LEASE / 2, true), (1, LEASE, false), (2, LEASE / 2, false)] {
        let mut leases = queued(&[(1, 1)]);
        leases.renew(&[key(1, renewed)], now);
        assert_eq!(start(&mut leases, late, now + after).is_some(), starts, "{renewed} {after:?}");
    }
}

#[test]
fn tasks_start_in_order_but_a_busy_one_lets_others_pass() {
    let (mut leases, now) = (queued(&[(1, 1), (2, 1), (3, 1)]), Instant::now());
    let first = leases.start_next(GRANTED, now, |task| task == id(1)).unwrap().id();
    assert_eq!(
        (first, start(&mut leases, GRANTED, now), start(&mut leases, GRANTED, now)),
        (id(2), Some(id(1)), Some(id(3)))
    );
    assert_eq!(start(&mut leases, GRANTED, now), None);
}

#[test]
fn what_ends_an_old_lease_does_not_touch_a_newer_one() {
    let mut leases = queued(&[(1, 2)]);
    leases.forget(key(1, 1));
    leases.deliver(key(1, 1));
    assert_eq!(leases.all().collect::<Vec<_>>(), [(key(1, 2), Phase::Queued)]);
    assert_eq!((leases.working_on(id(1), 1), leases.working_on(id(1), 2)), (None, Some(key(1, 2))));
    leases.forget(key(1, 2));
    assert_eq!(start(&mut leases, GRANTED, Instant::now()), None);
}

#[test]
fn a_delivery_is_held_but_is_no_work() {
    let mut leases = queued(&[(1, 1), (2, 1)]);
    leases.deliver(key(1, 1));
    assert_eq!(leases.of_run(RunId(1)), [key(2, 1)]);
    assert_eq!(leases.outside(&TargetSet::empty()), [key(2, 1)]);
    assert_eq!(leases.all().count(), 2);
}

#[test]
fn the_line_and_the_memory_have_an_end() {
    let mut leases = Leases::default();
    for index in 0..64 {
        assert!(leases.has_room());
        leases.enqueue(admitted(index, 1), GRANTED);
    }
    assert!(!leases.has_room());
    assert!((0..20_000).all(|index| leases.is_news(id(index), 1)));
    assert!(leases.highest.len() <= MOST_REMEMBERED);
}
