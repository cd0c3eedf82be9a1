//! What is removed, and that nothing else tells the difference: not the runs that stay, not the reports to come.

use super::*;
use crate::fixture::{Fixture, NOW, SCAN, TARGETS, cases, host, options};
use crate::history::{Comparison, PastRun, compare};
use crate::report::Report;
use crate::store::tests::cut_disk::CutDisk;
use crate::store::{StoreOptions, View};
use proptest::prelude::*;
use protocol::TargetSet;
use protocol::observation::HostObservation;
use std::sync::Arc;

const HALF: &str = "10.9.0.0/29";
/// What can be open.
const OPEN: [&[u16]; 4] = [&[22], &[80], &[22, 80], &[80, 3389]];

fn ended(run: u64, day: u64, report: Option<Option<u64>>) -> Ended {
    let report = report.map(|baseline| baseline.map(RunId));
    Ended { run: RunId(run), at: NOW.plus(DAY * u32::try_from(day).unwrap()), report, is_of_part: false }
}

#[test]
fn what_is_beyond_a_limit_goes_and_the_latest_report_with_its_baseline_stays() {
    let today = NOW.plus(DAY * 10);
    let chain: Vec<Ended> = (1..=6).map(|run| ended(run, run, Some((run > 1).then_some(run - 1)))).collect();
    let gone = |ended: &[Ended], runs: Option<u32>, days: Option<u32>| -> Vec<u64> {
        expired(ended, Retention { runs, days }, today).into_iter().map(|run| run.0).collect()
    };
    assert_eq!(gone(&chain, None, None), []);
    assert_eq!(gone(&chain, Some(4), None), [1, 2]);
    assert_eq!(gone(&chain, Some(2), None), [1, 2, 3, 4]);
    assert_eq!(gone(&chain, None, Some(7)), [1, 2], "the third ended seven days ago, no longer");
    assert_eq!(gone(&chain, Some(5), Some(7)), [1, 2], "the narrower limit counts");
    assert_eq!(gone(&chain, None, Some(1)), [1, 2, 3, 4], "the latest and its baseline stay");
    assert_eq!(gone(&[], Some(2), Some(1)), []);

    let mut failing = chain.clone();
    failing.extend((7..=9).map(|run| ended(run, 9, None)));
    assert_eq!(gone(&failing, Some(2), None), [1, 2, 3, 4, 7], "what made no report goes by its place alone");
    let parts: Vec<Ended> = chain.iter().map(|run| Ended { is_of_part: run.run.0 > 2, ..*run }).collect();
    assert_eq!(gone(&parts, Some(2), None), [1], "the network stands where its latest whole run left it");
}

#[test]
fn limits_have_bounds_and_words() {
    let told = |runs, days| match (Retention { runs, days }).checked() {
        Ok(kept) => kept.words(),
        Err(error) => error.to_string(),
    };
    let cases = [
        (None, None),
        (Some(2), None),
        (None, Some(1)),
        (Some(50), Some(30)),
        (Some(1), None),
        (None, Some(0)),
        (Some(100_001), Some(36_501)),
    ];
    insta::assert_snapshot!(cases.map(|(runs, days)| told(runs, days)).join("\n"), @"
    for ever
    the latest 2 runs
    1 day
    the latest 50 runs, 30 days at most
    1 runs cannot be kept; write 2 to 100000, or nothing for no limit
    runs cannot be kept for 0 days; write 1 to 36500, or nothing for no limit
    100001 runs cannot be kept; write 2 to 100000, or nothing for no limit
    ");
}

/// One step of a random history.
#[derive(Clone, Debug)]
enum Step {
    /// A run looks at this, and finds this open on each of eight hosts; `None`: it is off.
    Run(&'static str, Vec<Option<usize>>),
    /// A run is cancelled.
    Cancelled,
    /// So many runs are to be kept, and the others are removed.
    Keep(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let open = proptest::collection::vec(proptest::option::weighted(0.8, 0..OPEN.len()), 8);
    prop_oneof![
        6 => (prop_oneof![3 => Just(TARGETS), 1 => Just(HALF)], open).prop_map(|(covered, open)| Step::Run(covered, open)),
        1 => Just(Step::Cancelled),
        2 => (2u32..5).prop_map(Step::Keep),
    ]
}

fn hosts(covered: &str, open: &[Option<usize>]) -> Vec<HostObservation> {
    let covered: TargetSet = covered.parse().unwrap();
    let up = (1u8..).zip(open).filter_map(|(last, open)| Some((last, (*open)?)));
    let hosts = up.map(|(last, open)| host(&format!("10.9.0.{last}"), OPEN[open]));
    hosts.filter(|host| covered.contains(host.address)).collect()
}

async fn run(fixture: &Fixture, covered: &'static str, open: &[Option<usize>]) -> RunId {
    fixture.finished_run(covered, hosts(covered, open)).await
}

async fn cancelled(fixture: &Fixture) {
    let task = fixture.leased_run().await;
    let cancel = move |draft: &mut Draft| crate::use_case::runs::cancel(draft, task.run, &"ada".into(), NOW).map(drop);
    fixture.store.update::<_, crate::UseCaseError>(cancel).await.unwrap();
}

async fn keep(fixture: &Fixture, runs: u32) -> u64 {
    let retention = Retention { runs: Some(runs), days: None };
    fixture.store.update::<_, StoreError>(move |draft| draft.put(&RETENTION, &(), &retention)).await.unwrap();
    enforce_on(&fixture.store, SCAN, NOW, 2).await.unwrap()
}

/// All that can be read of one run.
#[derive(Clone, Debug, PartialEq)]
struct ReadBack {
    hosts: Vec<HostObservation>,
    report: Option<Report>,
    against: Vec<Comparison>,
}

async fn reported(fixture: &Fixture) -> Vec<RunId> {
    let read = |view: &View| view.iter(&REPORTS).map(|row| Ok(row?.0)).collect();
    fixture.store.read(read).await.unwrap()
}

/// `run` as it reads, alone and against each of `others`.
async fn read_back(fixture: &Fixture, run: RunId, others: Vec<RunId>) -> ReadBack {
    let read = move |view: &View| {
        let past = PastRun::read(view, run)?.unwrap();
        let look = |run| Ok::<_, StoreError>(PastRun::read(view, run)?.unwrap().look.unwrap());
        let compared = |other: RunId| compare(view, SCAN, (other, &look(other)?), (run, &look(run)?));
        Ok(ReadBack {
            hosts: past.hosts(view, None, usize::MAX)?,
            report: crate::report::read(view, run)?,
            against: others.into_iter().map(compared).collect::<Result<_, _>>()?,
        })
    };
    fixture.store.read(read).await.unwrap()
}

/// The same history with and without removals: what is kept of the one reads as in the other.
async fn check(steps: Vec<Step>) {
    let (pruned, whole) = (Fixture::new().await, Fixture::new().await);
    for step in steps {
        match step {
            Step::Run(covered, open) => {
                let (ours, theirs) = (run(&pruned, covered, &open).await, run(&whole, covered, &open).await);
                assert_eq!(ours, theirs);
            }
            Step::Cancelled => {
                cancelled(&pruned).await;
                cancelled(&whole).await;
            }
            Step::Keep(runs) => drop(keep(&pruned, runs).await),
        }
        let kept = reported(&pruned).await;
        for run in &kept {
            let (ours, theirs) =
                (read_back(&pruned, *run, kept.clone()).await, read_back(&whole, *run, kept.clone()).await);
            assert_eq!(ours, theirs, "run {run}");
        }
    }
    for fixture in [&pruned, &whole] {
        let alerts = |view: &View| view.iter(&crate::store::tables::ALERTS).collect::<Result<Vec<_>, _>>();
        assert_eq!(fixture.store.read(alerts).await.unwrap(), pruned.store.read(alerts).await.unwrap());
    }
}

proptest! {
    #![proptest_config(cases(16, 400))]

    #[test]
    fn what_is_kept_reads_and_goes_on_as_if_nothing_had_been_removed(
        steps in proptest::collection::vec(step(), 3..12),
    ) {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap().block_on(check(steps));
    }
}

/// A scan with six runs, each of which found something else.
async fn six_runs(options: StoreOptions) -> Fixture {
    let fixture = Fixture::with(TARGETS, options).await;
    for last in 0..6 {
        run(&fixture, TARGETS, &[Some(0), Some(last % 4), (last % 2 == 0).then_some(1), Some(last / 2)]).await;
    }
    fixture
}

#[tokio::test]
async fn a_removed_run_takes_everything_of_its_own_with_it() {
    let fixture = six_runs(options()).await;
    assert_eq!(keep(&fixture, 3).await, 3);
    assert_eq!(keep(&fixture, 3).await, 0);
    let gone = |view: &View| {
        let run = RunId(1);
        let rows = [
            view.contains(&RUNS, &run)?,
            view.contains(&REPORTS, &run)?,
            view.contains(&REPORT_SUMMARIES, &run)?,
            view.contains(&RUN_LOOKS, &run)?,
            view.contains(&RUNS_OF_SCAN, &(SCAN, run))?,
            view.within(&TASKS, &run).next().is_some(),
            view.within(&TASK_COVERAGE, &run).next().is_some(),
            view.within(&TALLIES, &run).next().is_some(),
            view.iter(&RETIRED).next().is_some(),
        ];
        let history = view.iter(&crate::store::tables::HISTORY).map(|row| Ok(row?.0.2.0));
        Ok((rows, history.collect::<Result<BTreeSet<u64>, StoreError>>()?))
    };
    let (rows, history) = fixture.store.read(gone).await.unwrap();
    assert_eq!(rows, [false; 9]);
    assert!(history.iter().all(|run| *run >= 4), "{history:?}");
    let audited = |view: &View| Ok(view.last(&crate::store::tables::AUDIT)?.map(|(_, entry)| entry.subject));
    let said = fixture.store.read(audited).await.unwrap().unwrap();
    assert_eq!(said.as_str(), "scan 1: 1 by retention, numbers 3 to 3", "by pieces of two");
}

#[tokio::test]
async fn a_removal_broken_off_anywhere_shows_nothing_wrong_and_is_gone_on_with() {
    let whole = six_runs(options()).await;
    let kept: Vec<RunId> = (4..=6).map(RunId).collect();
    let mut expected = Vec::new();
    for run in &kept {
        expected.push(read_back(&whole, *run, kept.clone()).await);
    }
    let mut changes = 0;
    loop {
        let disk = CutDisk::new(changes);
        let fixture = six_runs(StoreOptions { disk: Arc::new(disk.clone()), ..options() }).await;
        let retention = Retention { runs: Some(3), days: None };
        fixture.store.update::<_, StoreError>(move |draft| draft.put(&RETENTION, &(), &retention)).await.unwrap();
        disk.cut_after(changes);
        let is_through = enforce_on(&fixture.store, SCAN, NOW, 2).await.is_ok();
        disk.revive();
        let fixture = fixture.reopen().await;
        for (run, expected) in kept.iter().zip(&expected) {
            assert_eq!(&read_back(&fixture, *run, kept.clone()).await, expected, "after {changes}, run {run}");
        }
        enforce_on(&fixture.store, SCAN, NOW, 2).await.unwrap();
        assert_eq!(reported(&fixture).await, kept, "after {changes}");
        for (run, expected) in kept.iter().zip(&expected) {
            assert_eq!(&read_back(&fixture, *run, kept.clone()).await, expected, "after {changes}, later, run {run}");
        }
        if is_through {
            break;
        }
        changes += 1;
    }
    assert!(changes > 10, "{changes} changes are too few to be all");
}
