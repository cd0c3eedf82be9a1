//! Many hosts gone at once: what a sample says of the others, and what nobody says.

use super::{lines, report};
use crate::analysis::delta::{ChangeKind, Note, NoteKind};
use crate::closing::{Closing, close};
use crate::fixture::{Fixture, NOW, host, options};
use crate::report::Report;
use protocol::observation::HostObservation;
use protocol::task::RunId;

const WIDE: &str = "10.9.0.0/24";
const ALL: u8 = 200;
/// Those that stay when the others go.
const STAYING: u8 = 20;

/// The hosts from the first to the last number, each with RDP open.
fn hosts(numbers: std::ops::RangeInclusive<u8>) -> Vec<HostObservation> {
    numbers.map(|last| host(&format!("10.9.0.{last}"), &[3389])).collect()
}

/// Two hundred hosts are known; a run sees twenty of them.
async fn vanished() -> (Fixture, RunId) {
    let fixture = Fixture::with(WIDE, options()).await;
    fixture.finished_run(WIDE, hosts(1..=ALL)).await;
    let run = fixture.looked_once(WIDE, hosts(1..=STAYING)).await;
    (fixture, run)
}

fn unconfirmed(report: &Report) -> usize {
    let lost = |note: &&Note| note.kind == NoteKind::Unconfirmed && note.change.kind == ChangeKind::RemovedHost;
    report.notes.iter().filter(lost).count()
}

#[tokio::test]
async fn the_second_look_goes_to_a_sample_of_64_over_the_whole_range() {
    let (fixture, run) = vanished().await;
    let Closing::LooksAgain { tasks, .. } = close(&fixture.store, run, NOW).await.unwrap() else { panic!("all gone") };
    let asked: Vec<u8> = tasks
        .iter()
        .flat_map(|task| task.targets.addresses().collect::<Vec<_>>())
        .map(|address| address.to_string().rsplit('.').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!((asked.len(), asked[0]), (64, STAYING + 1));
    assert!(asked.windows(2).all(|pair| (2..=3).contains(&(pair[1] - pair[0]))), "{asked:?}");
}

#[tokio::test]
async fn a_sample_that_is_gone_whole_speaks_for_the_others() {
    let (fixture, run) = vanished().await;
    fixture.finish(run, Some(vec![])).await;
    let found = report(&fixture, run).await;
    assert_eq!((found.count(ChangeKind::RemovedHost), unconfirmed(&found)), (180, 0));
    let next = fixture.finished_run(WIDE, hosts(1..=STAYING)).await;
    assert_eq!(lines(&report(&fixture, next).await), Vec::<String>::new());
}

#[tokio::test]
async fn one_host_of_the_sample_that_is_there_leaves_the_others_unconfirmed() {
    let (fixture, run) = vanished().await;
    fixture.finish(run, Some(hosts(21..=21))).await;
    let found = report(&fixture, run).await;
    assert_eq!((found.count(ChangeKind::RemovedHost), unconfirmed(&found)), (63, 116), "and one was contradicted");
    assert_eq!(found.count(ChangeKind::ClosedPort), 63, "nothing else counts");
    let back = fixture.finished_run(WIDE, hosts(1..=ALL)).await;
    let report = report(&fixture, back).await;
    assert_eq!(report.count(ChangeKind::NewHost), 63, "only what was confirmed as gone is new again");
}

#[tokio::test]
async fn a_sample_that_nobody_looked_at_leaves_all_unconfirmed_and_known() {
    let (fixture, run) = vanished().await;
    fixture.finish(run, None).await;
    let found = report(&fixture, run).await;
    assert_eq!((lines(&found), unconfirmed(&found)), (Vec::<String>::new(), 180));
    let later = fixture.looked_once(WIDE, hosts(1..=STAYING)).await;
    assert!(fixture.looked_twice(later, Some(vec![])).await > 0, "the next run looks again");
}

#[tokio::test]
async fn fewer_than_a_third_are_each_looked_at() {
    let fixture = Fixture::with(WIDE, options()).await;
    fixture.finished_run(WIDE, hosts(1..=250)).await;
    let run = fixture.looked_once(WIDE, hosts(71..=250)).await;
    fixture.finish(run, Some(hosts(1..=1))).await;
    let found = report(&fixture, run).await;
    assert_eq!((found.count(ChangeKind::RemovedHost), unconfirmed(&found)), (69, 0));
}
