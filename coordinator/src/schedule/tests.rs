//! The running scheduler over a real store: what it wakes for, what it holds, and how it is set right.

use super::*;
use crate::fixture::{Fixture, NOW, SCAN};
use crate::scan::ScanDraft;
use crate::store::tables::RUNS;
use tokio::sync::mpsc;

/// Nothing here takes that long; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// The fixture's scan, and as many more, due every ten minutes since `due`.
async fn every_ten_minutes(fixture: &Fixture, due: Timestamp, scans: u64) {
    let made = fixture.store.update(move |draft| {
        for id in (SCAN.0..SCAN.0 + scans).map(ScanId) {
            let text = ScanDraft {
                name: format!("Office {id}"),
                targets: "10.9.0.0/28".into(),
                interval: "10".into(),
                scheduled: true,
                ..ScanDraft::default()
            };
            let scan = Scan::new(id, text.check().unwrap(), "ada".into(), NOW);
            draft.put(&SCANS, &id, &Scan { next_due: Some(due), ..scan })?;
        }
        Ok::<_, StoreError>(())
    });
    made.await.unwrap();
}

/// A running schedule; the hub's end is kept so that it can be told things.
async fn start(fixture: &Fixture) -> (Schedule, EventBus, mpsc::Receiver<Command>) {
    let (hub, inbox) = HubHandle::channel();
    let events = EventBus::new(1);
    let schedule = Schedule::start(fixture.store.clone(), hub, events.clone()).await.unwrap();
    (schedule, events, inbox)
}

fn soon() -> Timestamp {
    Timestamp::now().plus(Duration::from_secs(3_600))
}

fn faults(jobs: &[JobView]) -> Vec<(Option<ScanId>, Option<JobFault>)> {
    jobs.iter().map(|job| (job.scan, job.fault)).collect()
}

async fn runs(fixture: &Fixture) -> usize {
    fixture.store.read(|view| Ok(view.iter(&RUNS).count())).await.unwrap()
}

#[tokio::test]
async fn a_look_runs_a_scan_only_when_it_is_due_and_never_twice_at_a_time() {
    let fixture = Fixture::new().await;
    let minutes = |count: u64| NOW.plus(Duration::from_secs(count * 60));
    every_ten_minutes(&fixture, minutes(10), 1).await;
    let look = async |now| fixture.store.update(move |draft| run_if_due(draft, SCAN, now)).await.unwrap();
    let next = async || fixture.store.read(|view| view.get(&SCANS, &SCAN)).await.unwrap().unwrap().next_due;
    assert_eq!((look(minutes(9)).await.is_none(), next().await), (true, Some(minutes(10))));
    let run = look(minutes(45)).await.expect("a run");
    assert_eq!((run.trigger, next().await), (Trigger::Schedule, Some(minutes(50))));
    assert_eq!((look(minutes(50)).await.is_none(), next().await), (true, Some(minutes(60))), "the first has not ended");
    assert_eq!(runs(&fixture).await, 1);
}

#[tokio::test]
async fn what_was_missed_while_nothing_ran_is_caught_up_once_at_the_start() {
    let fixture = Fixture::new().await;
    every_ten_minutes(&fixture, NOW, 1).await;
    let (hub, mut inbox) = HubHandle::channel();
    let events = EventBus::new(1);
    let mut seen = events.subscribe(None).live;
    let schedule = Schedule::start(fixture.store.clone(), hub, events).await.unwrap();
    let woken = tokio::time::timeout(PATIENCE, seen.recv()).await.unwrap().unwrap();
    assert!(matches!(woken.event, Event::Run { scan: SCAN, .. }), "{woken:?}");
    assert!(matches!(inbox.recv().await, Some(Command::Wake)));
    let scan = fixture.store.read(|view| view.get(&SCANS, &SCAN)).await.unwrap().unwrap();
    assert!(scan.next_due > Some(Timestamp::now()));
    assert_eq!(runs(&fixture).await, 1);
    let jobs = schedule.jobs().await.unwrap();
    assert_eq!((jobs[0].due, jobs[0].fault), (scan.next_due, None), "{jobs:?}");
    assert!(jobs[0].woken.is_some() && jobs[0].wakes >= scan.next_due, "{jobs:?}");
    schedule.stop().await;
}

#[tokio::test]
async fn many_scans_that_are_due_at_once_all_run() {
    let fixture = Fixture::new().await;
    every_ten_minutes(&fixture, NOW, 300).await;
    let (schedule, events, mut inbox) = start(&fixture).await;
    let told = tokio::time::timeout(PATIENCE, async {
        while runs(&fixture).await < 300 {
            assert!(matches!(inbox.recv().await, Some(Command::Wake)));
        }
    });
    told.await.expect("every scan runs");
    drop((events, inbox));
    schedule.stop().await;
}

#[tokio::test]
async fn jobs_shows_what_the_scheduler_holds_and_reload_sets_it_right() {
    let fixture = Fixture::new().await;
    let due = soon();
    every_ten_minutes(&fixture, due, 3).await;
    let (schedule, _events, _inbox) = start(&fixture).await;
    let jobs = schedule.jobs().await.unwrap();
    assert_eq!(faults(&jobs), [1, 2, 3].map(|id| (Some(ScanId(id)), None)));
    assert_eq!(jobs[0].wakes.unwrap().as_millis(), due.as_millis().div_ceil(1_000) * 1_000);

    // Behind its back: one gone, one doubled, one moved, and one that is nobody's.
    let lost = schedule.book.lock().await.jobs[&ScanId(1)];
    schedule.scheduler.remove(&lost).await.unwrap();
    schedule.add(ScanId(2), due).await.unwrap();
    schedule.set(&mut *schedule.book.lock().await, ScanId(3), Some(due.plus(Duration::from_secs(7)))).await;
    schedule.add(ScanId(9), due).await.unwrap();
    let wrong = [
        (Some(ScanId(1)), Some(JobFault::Missing)),
        (Some(ScanId(2)), Some(JobFault::Doubled)),
        (Some(ScanId(3)), Some(JobFault::OtherTime)),
        (Some(ScanId(9)), Some(JobFault::NotDue)),
    ];
    let found: Vec<_> =
        faults(&schedule.jobs().await.unwrap()).into_iter().filter(|(_, fault)| fault.is_some()).collect();
    assert_eq!(found, wrong);
    assert_eq!(faults(&schedule.reload().await.unwrap()), wrong);
    assert_eq!(faults(&schedule.jobs().await.unwrap()), [1, 2, 3].map(|id| (Some(ScanId(id)), None)));
    assert_eq!(schedule.reload().await.unwrap(), []);
    schedule.stop().await;
}

#[tokio::test]
async fn a_lost_wake_up_and_a_clock_that_was_years_ahead_are_mended_without_a_person() {
    let fixture = Fixture::new().await;
    let due = soon();
    every_ten_minutes(&fixture, due, 2).await;
    let (schedule, _events, _inbox) = start(&fixture).await;
    let years = due.plus(Duration::from_secs(3 * 366 * 24 * 3600));
    let moved = fixture.store.update(move |draft| {
        let scan = draft.get(&SCANS, &ScanId(2))?.expect("it was made");
        draft.put(&SCANS, &ScanId(2), &Scan { next_due: Some(years), ..scan })
    });
    moved.await.unwrap();
    let lost = schedule.book.lock().await.jobs[&ScanId(1)];
    schedule.scheduler.remove(&lost).await.unwrap();
    schedule.mend().await.unwrap();
    let jobs = schedule.jobs().await.unwrap();
    assert_eq!(faults(&jobs), [1, 2].map(|id| (Some(ScanId(id)), None)));
    assert!(jobs[1].due < Some(soon()), "within ten minutes again: {jobs:?}");
    schedule.stop().await;
}
