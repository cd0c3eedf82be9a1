//! Runs read back: exactly as far as each looked, and compared as its report did.

mod large;

use super::{Comparison, PastRun, compare, reported_runs, versions};
use crate::analysis::delta::{Change, ChangeKind, HostDelta, PortId, accept, delta};
use crate::fixture::{Fixture, NOW, PORTS, SCAN, TARGETS, host, last_seen, result};
use crate::report::Report;
use crate::store::tests::rounds;
use proptest::prelude::*;
use protocol::TargetSet;
use protocol::observation::{HostObservation, Service, ServiceDetection, ServiceMethod};
use protocol::task::RunId;
use std::collections::BTreeSet;
use std::net::IpAddr;

const HALF: &str = "10.9.0.0/29";
/// What can be open.
const OPEN: [&[u16]; 6] = [&[], &[22], &[80], &[22, 80], &[80, 3389], &[22, 80, 3389]];

/// What one run looks at, and what is open on each of ten hosts; `None`: it is off.
#[derive(Clone, Debug)]
struct Seen {
    covered: &'static str,
    open: Vec<Option<usize>>,
}

fn seen() -> impl Strategy<Value = Seen> {
    let open = proptest::collection::vec(proptest::option::weighted(0.8, 0..OPEN.len()), 10);
    (prop_oneof![2 => Just(TARGETS), 1 => Just(HALF)], open).prop_map(|(covered, open)| Seen { covered, open })
}

impl Seen {
    fn hosts(&self) -> Vec<HostObservation> {
        let covered: TargetSet = self.covered.parse().unwrap();
        let up = (1u8..).zip(&self.open).filter_map(|(last, open)| Some((last, (*open)?)));
        let hosts = up.map(|(last, open)| host(&format!("10.9.0.{last}"), OPEN[open]));
        hosts.filter(|host| covered.contains(host.address)).collect()
    }
}

async fn compared(fixture: &Fixture, from: RunId, to: RunId) -> Comparison {
    let read = move |view: &crate::store::View| {
        let look = |run| Ok::<_, crate::StoreError>(PastRun::read(view, run)?.and_then(|past| past.look).unwrap());
        compare(view, SCAN, (from, &look(from)?), (to, &look(to)?))
    };
    fixture.store.read(read).await.unwrap()
}

/// As a comparison that reads every host.
async fn compared_whole(fixture: &Fixture, from: RunId, to: RunId) -> Vec<HostDelta> {
    let read = move |view: &crate::store::View| {
        let look = |run| Ok::<_, crate::StoreError>(PastRun::read(view, run)?.and_then(|past| past.look).unwrap());
        let (before, after, reported) = (look(from)?, look(to)?, reported_runs(view, SCAN, from.max(to))?);
        let (mut known, mut seen) = (Vec::new(), Vec::new());
        for versions in versions(view, SCAN, None) {
            let versions = versions?;
            known.extend(before.host(&versions, &reported, from)?);
            seen.extend(after.host(&versions, &reported, to)?.map(|host| host.observation));
        }
        let deltas = delta(known.into_iter(), seen.into_iter(), &before.coverage, &after.coverage);
        Ok(deltas.map(accept).collect())
    };
    fixture.store.read(read).await.unwrap()
}

async fn report(fixture: &Fixture, run: RunId) -> Report {
    fixture.store.read(move |view| crate::report::read(view, run)).await.unwrap().unwrap()
}

async fn hosts(fixture: &Fixture, run: RunId, after: Option<IpAddr>, limit: usize) -> Vec<HostObservation> {
    let read = move |view: &crate::store::View| PastRun::read(view, run)?.unwrap().hosts(view, after, limit);
    fixture.store.read(read).await.unwrap()
}

type Line = (IpAddr, Option<PortId>, ChangeKind);

fn lines<'a>(changes: impl IntoIterator<Item = &'a Change>) -> BTreeSet<Line> {
    changes.into_iter().map(|change| (change.address, change.port, change.kind)).collect()
}

fn mirrored((address, port, kind): Line) -> Line {
    let kind = match kind {
        ChangeKind::NewHost => ChangeKind::RemovedHost,
        ChangeKind::RemovedHost => ChangeKind::NewHost,
        ChangeKind::NewPort => ChangeKind::ClosedPort,
        ChangeKind::ClosedPort => ChangeKind::NewPort,
        same @ (ChangeKind::ServiceChange | ChangeKind::OsChange | ChangeKind::NameChange | ChangeKind::MacChange) => {
            same
        }
    };
    (address, port, kind)
}

/// Each run against the one before, against itself, and against all.
async fn check(runs: Vec<Seen>) {
    let fixture = Fixture::new().await;
    let mut last: Option<RunId> = None;
    let mut ended: Vec<RunId> = Vec::new();
    for seen in runs {
        let run = fixture.finished_run(seen.covered, seen.hosts()).await;
        assert_eq!(hosts(&fixture, run, None, usize::MAX).await, seen.hosts(), "as it saw them");
        assert_eq!(compared(&fixture, run, run).await.changes, []);
        if let Some(before) = last {
            let settled = fixture.store.read(move |view| Ok(PastRun::read(view, before)?.unwrap().look.unwrap())).await;
            let asked = settled.unwrap().coverage.asked;
            let reported = report(&fixture, run).await.changes;
            let reported = lines(reported.iter().filter(|change| asked.contains(change.address)));
            let forth = compared(&fixture, before, run).await;
            assert_eq!(lines(&forth.changes), reported, "from {before} to {run}");
            let back = compared(&fixture, run, before).await;
            assert_eq!(lines(&back.changes), lines(&forth.changes).into_iter().map(mirrored).collect());
        }
        last = Some(run);
        ended.push(run);
    }
    for (from, to) in ended.iter().flat_map(|from| ended.iter().map(move |to| (*from, *to))) {
        let whole = compared_whole(&fixture, from, to).await;
        let found = compared(&fixture, from, to).await;
        assert_eq!(found.changes, whole.iter().flat_map(|host| host.changes.clone()).collect::<Vec<_>>());
        assert_eq!(found.notes, whole.into_iter().flat_map(|host| host.notes).collect::<Vec<_>>(), "{from} to {to}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(u32::try_from(rounds(24, 500)).unwrap()))]

    #[test]
    fn a_comparison_with_the_run_before_is_the_report_where_both_looked(
        runs in proptest::collection::vec(seen(), 2..5),
    ) {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap().block_on(check(runs));
    }
}

/// A run that finds one web server, and asks it for its version or not.
async fn web_run(fixture: &Fixture, version: &str, scanner: Option<&str>) -> RunId {
    let task = fixture.leased_run().await;
    let mut found = host("10.9.0.1", &[80]);
    found.ports[0].service = scanner.map(|_| Service {
        name: "http".into(),
        product: "nginx".into(),
        version: version.into(),
        method: ServiceMethod::Probed,
        ..Service::default()
    });
    let mut given = result(task, 1, TARGETS, vec![found]);
    let how = |version: &str| ServiceDetection { engine: "nmap".into(), version: version.into(), intensity: 7 };
    given.coverage.services = scanner.map(how).into_iter().collect();
    crate::intake::take(&fixture.store, fixture.node, given, NOW).await.unwrap();
    crate::closing::close(&fixture.store, task.run, NOW).await.unwrap();
    task.run
}

#[tokio::test]
async fn a_service_counts_only_in_runs_that_identified_it_in_the_same_way() {
    let fixture = Fixture::new().await;
    fixture.ask_for(PORTS, "-sV").await;
    let named = web_run(&fixture, "1.18", Some("7.93")).await;
    let unnamed = web_run(&fixture, "", None).await;
    let renamed = web_run(&fixture, "1.20", Some("7.93")).await;
    let otherwise = web_run(&fixture, "1.22", Some("7.95")).await;
    assert_eq!(report(&fixture, renamed).await.count(ChangeKind::ServiceChange), 1, "against what was known");
    let cases = [(named, renamed, 1, 0), (named, unnamed, 0, 0), (unnamed, renamed, 0, 0), (renamed, otherwise, 0, 1)];
    for (from, to, changes, notes) in cases {
        let found = compared(&fixture, from, to).await;
        assert_eq!((found.changes.len(), found.notes.len()), (changes, notes), "{from} to {to}: {found:?}");
    }
    let services = |hosts: Vec<HostObservation>| hosts[0].ports[0].service.clone().map(|service| service.version);
    assert_eq!(services(hosts(&fixture, named, None, 9).await), Some("1.18".into()));
    assert_eq!(services(hosts(&fixture, unnamed, None, 9).await), None, "it did not ask");
}

#[tokio::test]
async fn hosts_come_in_pages_and_each_once() {
    let fixture = Fixture::new().await;
    let found: Vec<_> = (1..=9).map(|last| host(&format!("10.9.0.{last}"), &[80])).collect();
    let run = fixture.finished_run(TARGETS, found.clone()).await;
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = hosts(&fixture, run, after, 4).await;
        let Some(last) = page.last() else { break };
        after = Some(last.address);
        paged.extend(page);
    }
    assert_eq!(paged, found);
}

#[tokio::test]
async fn a_host_was_last_seen_by_the_last_run_that_saw_it_also_when_nothing_changed() {
    let fixture = Fixture::new().await;
    let both = vec![host("10.9.0.1", &[80]), host("10.9.0.2", &[80])];
    fixture.finished_run(TARGETS, both.clone()).await;
    let same = fixture.finished_run(TARGETS, both).await;
    fixture.finished_run(TARGETS, vec![host("10.9.0.2", &[80])]).await;
    let seen = |last: u8| move |view: &crate::store::View| last_seen(view, SCAN, IpAddr::from([10, 9, 0, last]));
    assert_eq!(fixture.store.read(seen(1)).await.unwrap(), Some(same));
    assert_eq!(fixture.store.read(seen(2)).await.unwrap(), Some(RunId(same.0 + 1)));
    assert_eq!(fixture.store.read(seen(3)).await.unwrap(), None);
}

#[tokio::test]
async fn what_a_second_look_left_open_is_not_compared_later() {
    let fixture = Fixture::new().await;
    let both = vec![host("10.9.0.1", &[22]), host("10.9.0.2", &[80])];
    let first = fixture.finished_run(TARGETS, both.clone()).await;
    let open = fixture.looked_once(TARGETS, vec![host("10.9.0.2", &[80])]).await;
    fixture.finish(open, None).await;
    let last = fixture.finished_run(TARGETS, both).await;
    for (from, to) in [(first, open), (open, last), (first, last)] {
        assert_eq!(compared(&fixture, from, to).await.changes, [], "{from} to {to}");
    }
    let seen: Vec<String> = hosts(&fixture, open, None, 9).await.iter().map(|host| host.address.to_string()).collect();
    assert_eq!(seen, ["10.9.0.2"]);
}

#[tokio::test]
async fn a_host_that_came_back_as_it_was_is_the_same_and_no_other_is() {
    let fixture = Fixture::new().await;
    let was = HostObservation { names: vec!["db.example".into()], ..host("10.9.0.1", &[80]) };
    let address = was.address;
    let later = NOW.plus(std::time::Duration::from_secs(86_400));
    let others = [
        HostObservation { names: vec!["web.example".into()], ..was.clone() },
        HostObservation { reason: "echo-reply".into(), ..was.clone() },
        HostObservation { names: was.names.clone(), ..host("10.9.0.1", &[22, 80]) },
    ];
    let first = fixture.finished_run(TARGETS, vec![was.clone()]).await;
    for other in others {
        let changed = fixture.finished_run(TARGETS, vec![other]).await;
        let back = fixture.finished_run(TARGETS, vec![HostObservation { seen: later, ..was.clone() }]).await;
        let same = move |view: &crate::store::View| {
            let reported = reported_runs(view, SCAN, back)?;
            let versions = super::versions_of(view, SCAN, address)?.unwrap();
            Ok([versions.is_same(&reported, [first, back])?, versions.is_same(&reported, [first, changed])?])
        };
        assert_eq!(fixture.store.read(same).await.unwrap(), [true, false]);
    }
}
