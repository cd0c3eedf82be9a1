//! An ending that is broken off after every single write: done again it is the same, and until then nobody sees any of it.

use super::super::{Bounds, close_within};
use crate::analysis::delta::KnownHost;
use crate::fixture::{Fixture, NOW, SCAN, TARGETS, host, options};
use crate::history::PastRun;
use crate::report::Lines;
use crate::run::{Run, RunState};
use crate::store::tables::{
    ALERTS, HISTORY, KNOWN_COVERAGE, OPEN_RUNS, REPORT_PARTS, REPORTS, RUN_LOOKS, RUNS, STAGED, STAGED_AGAIN, VERIFIED,
};
use crate::store::tests::cut_disk::CutDisk;
use crate::store::{Reads, StoreError, StoreOptions, View};
use protocol::observation::HostObservation;
use protocol::task::RunId;
use std::fmt::Debug;
use std::sync::Arc;

/// So small that every ending takes many commits.
const SMALL: Bounds = Bounds { batch: 4, lines: 100, part: 2 };

fn before() -> Vec<HostObservation> {
    (1..=9).map(|last| host(&format!("10.9.0.{last}"), &[22, 80])).collect()
}

/// Some hosts gone, some new, some with other ports.
fn after() -> Vec<HostObservation> {
    let open: [(u8, &[u16]); 9] = [
        (1, &[22, 80]),
        (2, &[80, 3389]),
        (3, &[22]),
        (4, &[22, 80]),
        (6, &[22, 80, 3389]),
        (8, &[80]),
        (9, &[22, 80]),
        (12, &[3389]),
        (14, &[80]),
    ];
    open.into_iter().map(|(last, ports)| host(&format!("10.9.0.{last}"), ports)).collect()
}

/// A run that is to be ended, on a disk that can be cut off.
async fn before_the_end() -> (Fixture, CutDisk, RunId) {
    let disk = CutDisk::new(1);
    let options = StoreOptions { cache_bytes: 1 << 20, disk: Arc::new(disk.clone()), ..options() };
    let fixture = Fixture::with(TARGETS, options).await;
    fixture.finished_run(TARGETS, before()).await;
    let run = fixture.looked_once(TARGETS, after()).await;
    assert!(fixture.looked_twice(run, Some(after())).await > 0, "something is gone");
    (fixture, disk, run)
}

fn rows<T: Debug>(rows: impl Iterator<Item = Result<T, StoreError>>) -> Result<Vec<String>, StoreError> {
    rows.map(|row| row.map(|row| format!("{row:?}"))).collect()
}

/// Every row that an ending touches.
fn all(view: &View) -> Result<Vec<String>, StoreError> {
    let tables = [
        rows(view.iter(&RUNS))?,
        rows(view.iter(&OPEN_RUNS))?,
        rows(view.iter(&HISTORY))?,
        rows(view.iter(&REPORTS))?,
        rows(view.iter(&REPORT_PARTS))?,
        rows(view.iter(&RUN_LOOKS))?,
        rows(view.iter(&KNOWN_COVERAGE))?,
        rows(view.iter(&ALERTS))?,
        rows(view.iter(&VERIFIED))?,
        rows(view.iter(&STAGED))?,
        rows(view.iter(&STAGED_AGAIN))?,
    ];
    Ok(tables.concat())
}

/// What can be seen of runs, reports and alerts: no row that is written for later.
fn seen(view: &View) -> Result<Vec<String>, StoreError> {
    let mut seen = [rows(view.iter(&REPORTS))?, rows(view.iter(&RUNS))?, rows(view.iter(&ALERTS))?].concat();
    seen.extend(rows(view.iter(&VERIFIED))?);
    for row in view.iter(&RUNS) {
        let (run, _) = row?;
        let past = PastRun::read(view, run)?.expect("it was listed");
        seen.push(format!("{:?}", past.hosts(view, None, usize::MAX)?));
    }
    Ok(seen)
}

#[tokio::test]
async fn an_ending_broken_off_anywhere_is_not_seen_and_done_again_it_is_the_same() {
    let (fixture, _, run) = before_the_end().await;
    let old = fixture.store.read(seen).await.unwrap();
    close_within(&fixture.store, run, NOW, SMALL).await.unwrap();
    let (new, expected) = (fixture.store.read(seen).await.unwrap(), fixture.store.read(all).await.unwrap());
    let mut cuts = 0;
    loop {
        let (fixture, disk, run) = before_the_end().await;
        disk.cut_after(cuts);
        let is_through = close_within(&fixture.store, run, NOW, SMALL).await.is_ok();
        disk.revive();
        let fixture = fixture.reopen().await;
        let found = fixture.store.read(seen).await.unwrap();
        assert!(found == old || found == new, "after {cuts} writes a mix is seen: {found:#?}");
        close_within(&fixture.store, run, NOW, SMALL).await.unwrap();
        assert_eq!(fixture.store.read(all).await.unwrap(), expected, "after {cuts} writes");
        if is_through {
            break;
        }
        cuts += 1;
    }
    assert!(cuts >= 20, "{cuts} writes are few: the bounds were not small");
}

#[tokio::test]
async fn parts_of_a_report_that_was_never_made_are_removed_and_others_stay() {
    let (fixture, _, run) = before_the_end().await;
    close_within(&fixture.store, run, NOW, SMALL).await.unwrap();
    let numbers = |view: &View| view.iter(&REPORT_PARTS).map(|row| row.map(|(key, _)| key.0)).collect();
    let kept: Vec<RunId> = fixture.store.read(numbers).await.unwrap();
    assert!(kept.len() > 2, "the report has parts: {kept:?}");
    let next = fixture.looked_once(TARGETS, after()).await;
    let leaves = move |draft: &mut crate::store::Draft| {
        draft.put(&REPORT_PARTS, &(next, 0), &Lines::default())?;
        draft.put(&REPORT_PARTS, &(next, 1), &Lines::default())
    };
    fixture.store.update(leaves).await.unwrap();
    crate::closing::sweep(&fixture.store).await.unwrap();
    let during: Vec<RunId> = fixture.store.read(numbers).await.unwrap();
    assert_eq!(during.len(), kept.len() + 2, "its closing may go on");
    cancel(&fixture, next).await;
    crate::closing::sweep(&fixture.store).await.unwrap();
    let left: Vec<RunId> = fixture.store.read(numbers).await.unwrap();
    assert_eq!(left, kept);
}

/// Ends the run as a person does who cancels it.
async fn cancel(fixture: &Fixture, run: RunId) {
    fixture
        .store
        .update(move |draft| {
            let cancelled = Run { state: RunState::Cancelled, ended: Some(NOW), ..draft.get(&RUNS, &run)?.unwrap() };
            draft.put(&RUNS, &run, &cancelled)?;
            draft.remove(&OPEN_RUNS, &SCAN)
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn a_run_that_is_cancelled_in_the_middle_of_its_ending_leaves_what_was_known() {
    for cuts in [2, 5, 8] {
        let (fixture, disk, run) = before_the_end().await;
        disk.cut_after(cuts);
        assert!(close_within(&fixture.store, run, NOW, SMALL).await.is_err());
        disk.revive();
        let fixture = fixture.reopen().await;
        let written = move |view: &View| Ok(view.iter(&HISTORY).filter(|row| row.as_ref().unwrap().0.2 == run).count());
        assert!(fixture.store.read(written).await.unwrap() > 0, "the ending had begun");
        cancel(&fixture, run).await;
        close_within(&fixture.store, run, NOW, SMALL).await.unwrap();
        let next = fixture.finished_run(TARGETS, before()).await;
        let report = super::report(&fixture, next).await;
        assert_eq!((report.changes, report.notes), (vec![], vec![]), "after {cuts} writes");
        assert_eq!(fixture.store.read(written).await.unwrap(), 0, "and nothing of it is left");
        let left = fixture.store.read(|view| Ok(view.iter(&STAGED).count() + view.iter(&STAGED_AGAIN).count())).await;
        assert_eq!(left.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_host_that_changes_in_no_run_keeps_one_version() {
    let (fixture, _, run) = before_the_end().await;
    close_within(&fixture.store, run, NOW, SMALL).await.unwrap();
    let versions = fixture.store.read(|view| view.iter(&HISTORY).collect::<Result<Vec<_>, _>>()).await.unwrap();
    let of = |last: u8| {
        let address = std::net::IpAddr::from([10, 9, 0, last]);
        let versions = versions.iter().filter(move |((_, host, _), _)| *host == address);
        versions.map(|(_, version)| version.as_ref()).collect::<Vec<Option<&KnownHost>>>()
    };
    assert_eq!((of(1).len(), of(4).len(), of(9).len()), (1, 1, 1));
    assert_eq!((of(2).len(), of(12).len()), (2, 1));
    assert_eq!((of(5).len(), of(5).last()), (2, Some(&None)), "it is gone");
}
