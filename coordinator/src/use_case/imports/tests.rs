//! Documents as runs, in a store with one scan; what is exported comes back without a change.

use super::*;
use crate::accounts::Role;
use crate::analysis::coverage::RunCoverage;
use crate::analysis::delta::{KnownHost, apply, compare, delta};
use crate::closing::{Closing, close};
use crate::fixture::{Fixture, NOW, PORTS, SCAN, TARGETS, host};
use crate::store::tables::AUDIT;
use proptest::prelude::*;
use protocol::nmap_xml::{self, RunFacts};
use protocol::observation::{HostState, PortState, ProbeMethod, ProbedCells};
use std::collections::BTreeMap;
use std::net::IpAddr;

fn ada() -> Actor {
    Actor::new("ada".into(), Role::Operator)
}

/// What nmap would write of these hosts, begun so many seconds after [`NOW`].
fn document(after: u64, targets: &str, hosts: &[HostObservation]) -> String {
    let asked: TargetSet = targets.parse().unwrap();
    let cells = ProbedCells { targets: asked.clone(), ports: PORTS.parse().unwrap(), method: ProbeMethod::Connect };
    exported(after, &[Coverage { asked, probed: vec![cells], ..Coverage::default() }], hosts)
}

fn exported(after: u64, coverage: &[Coverage], hosts: &[HostObservation]) -> String {
    let start = NOW.plus(Duration::from_secs(after));
    let run = RunFacts { args: "nmap".into(), version: "7.93".into(), start, end: start, shortfall: None };
    let mut out = Vec::new();
    nmap_xml::write::<io::Error>(&mut out, &run, coverage, hosts.iter().cloned().map(Ok)).unwrap();
    String::from_utf8(out).unwrap()
}

async fn import(fixture: &Fixture, document: &str) -> Result<Imported, UseCaseError> {
    let wanted = wanted(&fixture.store, SCAN).await?;
    let document = document::read(document.as_bytes(), &wanted)?;
    let now = NOW.plus(Duration::from_secs(1_000));
    let import = Import { scan: SCAN, coordinator: fixture.node, authoritative: true, now };
    import.keep(&fixture.store, &ada(), document).await
}

async fn closed(fixture: &Fixture, run: RunId) -> Run {
    match close(&fixture.store, run, NOW).await.unwrap() {
        Closing::Closed { run, .. } => run,
        Closing::LooksAgain { run, .. } => panic!("run {} looks again", run.id),
    }
}

#[tokio::test]
async fn a_document_becomes_a_run_with_the_hosts_of_its_scan() {
    let fixture = Fixture::new().await;
    let hosts = [host("10.9.0.1", &[22]), host("10.9.0.2", &[80]), host("10.9.1.1", &[80])];
    let text = document(5, "10.9.0.0-10.9.0.9,10.9.1.1", &hosts);
    let imported = import(&fixture, &text).await.unwrap();
    assert_eq!((imported.hosts, imported.outside.to_string().as_str(), imported.shortfall), (2, "10.9.1.1", None));
    let run = closed(&fixture, imported.run.id).await;
    assert_eq!((run.state, run.started), (RunState::Partial, Some(NOW.plus(Duration::from_secs(5)))));
    assert!(matches!(&run.trigger, Trigger::Import { by, authoritative: true } if by.as_str() == "ada"));
    let missing: Vec<_> = run.uncovered.iter().map(|part| (part.targets.to_string(), part.reason)).collect();
    assert_eq!(missing, [("10.9.0.10-10.9.0.15".to_owned(), UncoveredReason::NotInDocument)]);
    assert_eq!(run.outcome.map(|outcome| outcome.open_ports), Some(2));
    let audit = fixture.store.read(|view| Ok(view.last(&AUDIT)?.map(|(_, entry)| entry))).await.unwrap().unwrap();
    assert_eq!((audit.action.as_str(), audit.subject.as_str()), ("scan import", "1 as run 1, authoritative"));
}

#[tokio::test]
async fn a_later_document_is_compared_with_what_the_scan_knows() {
    let fixture = Fixture::new().await;
    fixture.finished_run("10.9.0.0/28", vec![host("10.9.0.1", &[22])]).await;
    let seen = [host("10.9.0.1", &[22, 80])];
    let run = import(&fixture, &document(60, "10.9.0.0/28", &seen)).await.unwrap().run.id;
    assert_eq!(closed(&fixture, run).await.state, RunState::Completed);
    let report = fixture.store.read(move |view| crate::report::read(view, run)).await.unwrap().unwrap();
    let changed: Vec<_> = report.changes.iter().map(|change| change.port.map(|port| port.port)).collect();
    assert_eq!(changed, [Some(80)]);
    let same = import(&fixture, &document(60, "10.9.0.0/28", &seen)).await.unwrap().run.id;
    closed(&fixture, same).await;
    let report = fixture.store.read(move |view| crate::report::read(view, same)).await.unwrap().unwrap();
    assert_eq!((report.changes, report.notes), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn a_document_begun_while_a_run_looked_is_older_than_what_the_run_saw_last() {
    let fixture = Fixture::new().await;
    let run = fixture.finished_run("10.9.0.0/28", vec![host("10.9.0.1", &[22])]).await;
    let lasts = fixture.store.update(move |draft| {
        let run = draft.get(&RUNS, &run)?.expect("it ended");
        draft.put(&RUNS, &run.id, &Run { ended: Some(NOW.plus(Duration::from_secs(120))), ..run })
    });
    lasts.await.unwrap();
    let seen = [host("10.9.0.1", &[22, 80])];
    let refused = import(&fixture, &document(60, "10.9.0.0/28", &seen)).await.unwrap_err().to_string();
    assert!(refused.contains("run 1 looked until"), "{refused}");
    import(&fixture, &document(0, "10.9.0.0/28", &seen)).await.expect("the run's own export has its start");
    let later = import(&fixture, &document(180, "10.9.0.0/28", &seen)).await;
    assert!(later.is_err_and(|error| matches!(error, UseCaseError::AlreadyRunning(_))), "only since one is open");
}

#[tokio::test]
async fn each_document_that_cannot_be_taken_says_why() {
    let fixture = Fixture::new().await;
    fixture.finished_run("10.9.0.0/28", vec![host("10.9.0.1", &[22])]).await;
    let whole = document(60, "10.9.0.0/28", &[host("10.9.0.1", &[22])]);
    let table = [
        "<html></html>".to_owned(),
        whole[..whole.find("<host ").unwrap()].to_owned(),
        whole.replace("10.9.0.", "10.8.0."),
        whole.replace("<!DOCTYPE nmaprun>", "<!DOCTYPE nmaprun [<!ENTITY x \"y\">]>"),
        whole.replace("start=\"1700000060\"", "start=\"1600000060\""),
        whole.replace("start=\"1700000060\"", "start=\"1800000060\""),
        document(60, "10.9.0.0/28", &[]).replace("10.9.0.0/28", "10.8.0.0/28"),
    ];
    let mut said = Vec::new();
    for text in &table {
        said.push(import(&fixture, text).await.unwrap_err().to_string());
    }
    fixture.leased_run().await;
    said.push(import(&fixture, &whole).await.unwrap_err().to_string());
    insta::assert_snapshot!(said.join("\n"), @"
    document: this is no nmap document; give the file that nmap wrote with -oX
    document: the nmap document is cut short; nmap was ended or its disk is full, scan again
    document: none of the hosts that it lists, such as 10.8.0.1, is among the scan's addresses; import it into a scan with these targets
    document: the document type is not the plain nmaprun; such files are not read
    document: it was begun at 2020-09-13T12:27:40.000Z, and run 1 looked until 2023-11-14T22:13:20.000Z; what is known is newer, so import older documents first
    document: it was begun at 2027-01-15T08:01:00.000Z, which has not come; set the clock of its scanner
    document: it lists no host, so it proves nothing
    run 2 of this scan has not ended; wait for it (`portdrift runs watch 2`)
    ");
}

#[tokio::test]
async fn a_cut_document_counts_for_the_hosts_that_it_lists() {
    let fixture = Fixture::new().await;
    let whole = document(60, "10.9.0.0/28", &[host("10.9.0.1", &[22]), host("10.9.0.2", &[22])]);
    let imported = import(&fixture, &whole[..whole.rfind("<host ").unwrap()]).await.unwrap();
    assert!(imported.shortfall.is_some_and(|why| why.as_str().contains("cut short")));
    let run = closed(&fixture, imported.run.id).await;
    let missing = run.uncovered.iter().map(|part| part.targets.count()).sum::<u128>();
    assert_eq!((run.state, missing), (RunState::Partial, 15));
}

/// An import of which one host of two is stored.
async fn half_imported(fixture: &Fixture) -> RunId {
    fixture.finished_run("10.9.0.0/28", vec![host("10.9.0.1", &[22]), host("10.9.0.2", &[22])]).await;
    let trigger = Trigger::Import { by: "ada".into(), authoritative: true };
    let begun = fixture.store.update(move |draft| {
        let run = reserve(draft, SCAN, trigger, NOW, NOW)?.id;
        stage(draft, run, &[host("10.9.0.1", &[22])])?;
        Ok::<_, UseCaseError>(run)
    });
    begun.await.unwrap()
}

async fn staged(fixture: &Fixture) -> usize {
    fixture.store.read(|view| Ok(view.iter(&STAGED).count())).await.unwrap()
}

#[tokio::test]
async fn another_closing_leaves_a_half_stored_import_alone_and_no_other_run_begins() {
    let fixture = Fixture::new().await;
    let run = half_imported(&fixture).await;
    closing::sweep(&fixture.store).await.unwrap();
    assert_eq!(staged(&fixture).await, 1);
    let other = fixture.store.update(|draft| queue(draft, SCAN, Trigger::Schedule, NOW)).await;
    assert!(matches!(other, Err(UseCaseError::AlreadyRunning(open)) if open == run), "{other:?}");
    let asked: TargetSet = "10.9.0.0/28".parse().unwrap();
    let cells = ProbedCells { targets: asked.clone(), ports: PORTS.parse().unwrap(), method: ProbeMethod::Connect };
    let coverage = Coverage { asked, probed: vec![cells], ..Coverage::default() };
    let (record, coverage) = task(TaskId { run, index: 0 }, coverage, None, NOW);
    let covered = TaskCoverage { node: fixture.node, started: NOW, ended: NOW, coverage, hosts: 2 };
    let opened = fixture.store.update(move |draft| {
        stage(draft, run, &[host("10.9.0.2", &[22])])?;
        open(draft, run, &[(record, covered)])
    });
    assert_eq!(opened.await.unwrap().state, RunState::Running);
    assert_eq!(closed(&fixture, run).await.state, RunState::Completed);
    let report = fixture.store.read(move |view| crate::report::read(view, run)).await.unwrap().unwrap();
    assert_eq!((report.changes, report.notes), (Vec::new(), Vec::new()), "no host is lost");
}

#[tokio::test]
async fn an_import_that_is_cancelled_half_way_stays_so_and_hinders_nothing() {
    let fixture = Fixture::new().await;
    let run = half_imported(&fixture).await;
    let cancel = move |draft: &mut Draft| crate::use_case::runs::cancel(draft, run, &"ada".into(), NOW);
    fixture.store.update(cancel).await.unwrap();
    let more = fixture.store.update(move |draft| stage(draft, run, &[host("10.9.0.2", &[22])])).await;
    let opened = fixture.store.update(move |draft| open(draft, run, &[])).await;
    let said = [more.unwrap_err(), opened.unwrap_err()].map(|error| error.to_string());
    assert_eq!(said, ["run 2 is cancelled meanwhile; nothing of the document was kept"; 2]);
    fixture.store.update(move |draft| closing::fail(draft, run, "late".into(), NOW)).await.unwrap();
    closing::sweep(&fixture.store).await.unwrap();
    assert_eq!(staged(&fixture).await, 0);
    let stands = fixture.store.read(move |view| view.get(&RUNS, &run)).await.unwrap().unwrap();
    assert_eq!(stands.state, RunState::Cancelled);
    let next = import(&fixture, &document(5, "10.9.0.0/28", &[host("10.9.0.1", &[22])])).await.unwrap();
    assert_eq!(closed(&fixture, next.run.id).await.state, RunState::Completed);
}

#[tokio::test]
async fn an_import_that_a_restart_cuts_short_has_failed_and_leaves_nothing() {
    let fixture = Fixture::new().await;
    let run = half_imported(&fixture).await;
    let fixture = fixture.reopen().await;
    end_cut_short(&fixture.store, NOW).await.unwrap();
    closing::sweep(&fixture.store).await.unwrap();
    assert_eq!(staged(&fixture).await, 0);
    let stands = fixture.store.read(move |view| view.get(&RUNS, &run)).await.unwrap().unwrap();
    assert_eq!((stands.state, stands.ended), (RunState::Failed, Some(NOW)));
    assert!(stands.outcome.unwrap().reason.as_str().contains("import the document again"));
    let under_way = fixture.leased_run().await.run;
    end_cut_short(&fixture.store, NOW).await.unwrap();
    let other = fixture.store.read(move |view| view.get(&RUNS, &under_way)).await.unwrap().unwrap();
    assert_eq!(other.state, RunState::Running, "other runs go on");
}

#[tokio::test]
async fn a_document_that_cannot_be_stored_leaves_a_failed_run_with_the_reason() {
    let fixture = Fixture::new().await;
    let text = document(5, "10.9.0.0/28", &[host("10.9.0.1", &[22])]);
    let mut read = document::read(text.as_bytes(), &TARGETS.parse().unwrap()).unwrap();
    // More than one commit can hold.
    let name = Text::new(&"x".repeat(4_000));
    read.hosts[0].names = vec![name; 20_000];
    let import = Import { scan: SCAN, coordinator: fixture.node, authoritative: true, now: NOW };
    let failed = import.keep(&fixture.store, &ada(), read).await.unwrap_err();
    let run = fixture.store.read(|view| view.last(&RUNS)).await.unwrap().unwrap().1;
    let reason = run.outcome.unwrap().reason.to_string();
    assert_eq!((run.state, reason), (RunState::Failed, Text::new(&format!("the import failed: {failed}")).to_string()));
    let open = fixture.store.read(|view| Ok(view.iter(&OPEN_RUNS).count())).await.unwrap();
    assert_eq!((open, staged(&fixture).await), (0, 0));
}

#[test]
fn large_documents_are_stored_in_commits_of_bounded_size() {
    let hosts: Vec<HostObservation> =
        (0..=40).map(|last| host(&format!("10.9.0.{last}"), &(1..=20_000).collect::<Vec<u16>>())).collect();
    let cut = parts(hosts.clone());
    assert!(cut.len() > 1);
    let size = |part: &Vec<HostObservation>| part.iter().map(|host| codec::encode(host).len()).sum::<usize>();
    assert!(cut.iter().all(|part| size(part) <= MAX_COMMIT_BYTES));
    assert_eq!(cut.concat(), hosts);
}

fn hosts() -> impl Strategy<Value = Vec<HostObservation>> {
    let states = proptest::sample::select(PortState::ALL.map(|(state, _)| state).to_vec());
    let ports = proptest::collection::btree_map(20u16..28, states, 0..5);
    proptest::collection::btree_map(0u8..16, (any::<bool>(), ports), 0..10).prop_map(|hosts| {
        let one = |(last, (up, ports)): (u8, (bool, BTreeMap<u16, PortState>))| {
            let mut host = host(&format!("10.9.0.{last}"), &ports.keys().copied().collect::<Vec<_>>());
            host.ports.iter_mut().zip(ports.values()).for_each(|(port, state)| port.state = *state);
            host.state = if up { HostState::Up } else { HostState::Down };
            host
        };
        hosts.into_iter().map(one).collect()
    })
}

fn coverages() -> impl Strategy<Value = Vec<Coverage>> {
    let some = || proptest::collection::btree_set(0u8..16, 0..16);
    let set = |lasts: std::collections::BTreeSet<u8>| -> TargetSet {
        lasts.into_iter().map(|last| IpAddr::from([10, 9, 0, last])).collect()
    };
    let ports = (20u16..28, 0u16..6)
        .prop_map(|(first, more)| protocol::PortSet::from_ranges(protocol::Protocol::Tcp, [(first, first + more)]));
    proptest::collection::vec((some(), some(), some(), ports), 1..4).prop_map(move |tasks| {
        let task = |(asked, by_port_only, probed, ports)| {
            let asked = set(asked);
            let targets = set(probed).intersection(&asked);
            let probed = vec![ProbedCells { targets, ports, method: ProbeMethod::Syn }];
            let by_port_only = set(by_port_only).intersection(&asked);
            Coverage { asked, by_port_only, probed, ..Coverage::default() }
        };
        tasks.into_iter().map(task).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn what_is_exported_and_imported_again_has_not_changed(hosts in hosts(), tasks in coverages()) {
        let wanted: TargetSet = "10.9.0.0/28".parse().unwrap();
        let covered: RunCoverage = tasks.iter().collect();
        let seen: Vec<HostObservation> =
            hosts.into_iter().filter(|host| covered.asked.contains(host.address)).collect();
        prop_assume!(!covered.asked.is_empty());
        let again = document::read(exported(5, &tasks, &seen).as_bytes(), &wanted).unwrap();
        let covered_again: RunCoverage = again.coverage.iter().collect();
        let nothing = RunCoverage::default();
        let known: Vec<KnownHost> = compare(std::iter::empty(), seen.into_iter(), &nothing, &covered)
            .filter_map(|compared| apply(compared, &nothing, &covered, RunId(1)))
            .collect();
        let lines: Vec<_> = delta(known.into_iter(), again.hosts.into_iter(), &covered, &covered_again).collect();
        prop_assert!(lines.is_empty(), "{lines:?}");
        prop_assert_eq!(
            (&covered.asked, &covered.by_port_only, &covered.probed),
            (&covered_again.asked, &covered_again.by_port_only, &covered_again.probed)
        );
    }
}
