//! Hosts over several networks: in order, page by page, with the history of each.

use super::{Digests, HostList, HostPage, HostView, Mark, among, list, services};
use crate::analysis::alert::Alert;
use crate::analysis::coverage::Cells;
use crate::analysis::delta::KnownHost;
use crate::fixture::{Fixture, NOW, SCAN, TARGETS, cases, host, made_up_run};
use crate::history::RunLook;
use crate::host::{HostFilter, HostKey};
use crate::run::Run;
use crate::scan::{Scan, ScanDraft};
use crate::store::tables::{ALERTS, HISTORY, RUN_LOOKS, RUNS, RUNS_OF_SCAN, SCANS};
use crate::store::{Reads, StoreError, View};
use proptest::prelude::*;
use protocol::observation::Service;
use protocol::task::{RunId, ScanId};
use protocol::text::Text;
use std::net::IpAddr;

const WHOLE: HostPage = HostPage { after: None, limit: 1_000 };

/// Read from the store alone, which is the same as what memory narrows down.
async fn listed(fixture: &Fixture, filter: HostFilter, page: HostPage) -> HostList {
    let read = move |view: &View| {
        let digests = Digests::read(view, usize::MAX)?.unwrap();
        let alerts = view.iter(&ALERTS).map(|row| Ok(row?.1)).collect::<Result<Vec<Alert>, StoreError>>()?;
        let among = among(&filter, &digests, filter.is_alerted.then_some(&alerts));
        let narrowed = list(view, &filter, page, Some(&among)).unwrap();
        let plain = list(view, &filter, page, None).unwrap();
        assert_eq!(narrowed, plain, "{filter:?}");
        Ok(plain)
    };
    fixture.store.read(read).await.unwrap()
}

fn keys(hosts: &[HostView]) -> Vec<String> {
    hosts.iter().map(|host| host.key.to_string()).collect()
}

/// A scan with one run that ended with a report and saw these hosts; some were written by a run that did not count.
async fn network(fixture: &Fixture, scan: u64, hosts: Vec<(String, bool)>) {
    let write = fixture.store.update(move |draft| {
        let (scan, run, broken) = (ScanId(scan), RunId(scan * 10), RunId(scan * 10 + 1));
        let text = ScanDraft { name: format!("net {scan}"), targets: TARGETS.into(), ..ScanDraft::default() };
        draft.put(&SCANS, &scan, &Scan::new(scan, text.check().unwrap(), Text::default(), NOW))?;
        for run in [run, broken] {
            draft.put(&RUNS, &run, &Run { scan, ..made_up_run(run.0, TARGETS, "22", "") })?;
            draft.put(&RUNS_OF_SCAN, &(scan, run), &())?;
        }
        let seen = hosts.iter().map(|(address, _)| address.parse::<IpAddr>().unwrap()).collect();
        draft.put(&RUN_LOOKS, &run, &RunLook { seen, ..RunLook::default() })?;
        for (address, counts) in hosts {
            let known = KnownHost {
                address: address.parse().unwrap(),
                observation: host(&address, &[22]),
                seen_run: run,
                services: Vec::new(),
            };
            draft.put(&HISTORY, &(scan, known.address, if counts { run } else { broken }), &Some(known))?;
        }
        Ok::<_, StoreError>(())
    });
    write.await.unwrap();
}

fn addresses() -> impl Strategy<Value = Vec<(String, bool)>> {
    let address = prop_oneof![
        4 => (0u8..4, 0u8..12).prop_map(|(c, d)| format!("10.0.{c}.{d}")),
        1 => (1u8..9).prop_map(|last| format!("fe80::{last}"))
    ];
    proptest::collection::btree_map(address, proptest::bool::weighted(0.9), 0..20)
        .prop_map(|hosts| hosts.into_iter().collect())
}

async fn paged(networks: [Vec<(String, bool)>; 3], limit: usize, wanted: &'static str) {
    let fixture = Fixture::new().await;
    let mut expected: Vec<HostKey> = Vec::new();
    let targets: protocol::TargetSet = wanted.parse().unwrap();
    for (scan, hosts) in (2..).zip(networks) {
        let known = hosts.iter().filter(|(_, counts)| *counts).map(|(address, _)| address.parse().unwrap());
        expected.extend(known.map(|address| HostKey { address, scan: ScanId(scan) }));
        network(&fixture, scan, hosts).await;
    }
    expected.retain(|key| targets.contains(key.address));
    expected.sort_unstable();
    let filter = HostFilter { addresses: Some(targets), ..HostFilter::default() };
    let (mut found, mut after) = (Vec::new(), None);
    for _ in 0..=expected.len() {
        let page = listed(&fixture, filter.clone(), HostPage { after, limit }).await;
        assert!(page.hosts.len() <= limit);
        found.extend(page.hosts.iter().map(|host| host.key));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, expected);
}

#[test]
fn pages_of_any_length_are_the_hosts_of_all_networks_in_order() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ranges = prop_oneof![Just("0.0.0.0/0,::/0"), Just("10.0.1.0/24"), Just("10.0.0.3-10.0.2.5,fe80::/64")];
    let mut runner = proptest::test_runner::TestRunner::new(cases(24, 1_000));
    let inputs = ([addresses(), addresses(), addresses()], 1usize..6, ranges);
    let outcome = runner.run(&inputs, |(networks, limit, wanted)| {
        runtime.block_on(paged(networks, limit, wanted));
        Ok(())
    });
    outcome.unwrap();
}

#[tokio::test]
async fn a_list_holds_what_fits_with_its_network_its_alerts_and_who_saw_it_last() {
    let fixture = Fixture::new().await;
    fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[22]), host("10.9.0.2", &[80])]).await;
    fixture.finished_run("10.9.0.0/31", vec![host("10.9.0.1", &[22, 3389])]).await;
    let all = listed(&fixture, HostFilter::default(), WHOLE).await;
    assert_eq!(keys(&all.hosts), ["1-10.9.0.1", "1-10.9.0.2"]);
    assert_eq!((all.known, all.next), (2, None));
    let [first, second] = &all.hosts[..] else { panic!("{all:?}") };
    assert_eq!((first.network.as_str(), first.seen, first.alerts), ("Office", RunId(2), 2));
    assert_eq!(first.worst, Some(crate::analysis::alert::Severity::Critical));
    assert_eq!((second.seen, second.alerts, second.worst), (RunId(1), 0, None), "the second run did not look at it");

    let open = |ports: &str| HostFilter { ports: Some(ports.parse().unwrap()), ..HostFilter::default() };
    assert_eq!(keys(&listed(&fixture, open("80"), WHOLE).await.hosts), ["1-10.9.0.2"]);
    let alerted = HostFilter { is_alerted: true, ..HostFilter::default() };
    assert_eq!(keys(&listed(&fixture, alerted, WHOLE).await.hosts), ["1-10.9.0.1"]);
    let nowhere = HostFilter { scan: Some(ScanId(9)), ..HostFilter::default() };
    let refused = fixture.store.read(move |view: &View| Ok(list(view, &nowhere, WHOLE, None))).await.unwrap();
    assert_eq!(refused.unwrap_err().to_string(), "there is no scan 9; `portdrift scans list` shows what there is");
}

#[tokio::test]
async fn what_would_take_too_much_memory_is_not_held() {
    let fixture = Fixture::new().await;
    fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[22]), host("10.9.0.2", &[22])]).await;
    let held = async |most_bytes| {
        let read = move |view: &View| Digests::read(view, most_bytes);
        fixture.store.read(read).await.unwrap().is_some()
    };
    assert_eq!([held(4_000).await, held(150).await], [true, false]);
}

#[tokio::test]
async fn a_network_out_of_use_is_listed_only_when_it_is_asked_for() {
    let fixture = Fixture::new().await;
    fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[22])]).await;
    let close = fixture.store.update(|draft| {
        let mut scan = draft.get(&SCANS, &SCAN)?.unwrap();
        scan.set_active(false, NOW);
        draft.put(&SCANS, &SCAN, &scan)
    });
    close.await.unwrap();
    assert_eq!(listed(&fixture, HostFilter::default(), WHOLE).await.hosts, []);
    let named = HostFilter { scan: Some(SCAN), ..HostFilter::default() };
    assert_eq!(keys(&listed(&fixture, named, WHOLE).await.hosts), ["1-10.9.0.1"]);
}

async fn seen_of(fixture: &Fixture, address: &str) -> Option<super::HostDetail> {
    let key = HostKey { scan: SCAN, address: address.parse().unwrap() };
    fixture.store.read(move |view: &View| super::detail::detail(view, key)).await.unwrap()
}

fn strip(detail: &super::HostDetail, port: u16) -> String {
    let history = detail.ports.iter().find(|history| history.port.port == port).unwrap();
    let mark = |mark: &Mark| match mark {
        Mark::Open => 'o',
        Mark::NotOpen => '-',
        Mark::NotLookedAt => ' ',
    };
    history.strip.iter().map(mark).collect()
}

#[tokio::test]
async fn a_host_tells_what_is_open_since_when_and_what_each_run_saw() {
    let fixture = Fixture::new().await;
    fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[22])]).await;
    fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[22, 80])]).await;
    fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[22, 80])]).await;
    let narrow = fixture.store.update(|draft| {
        let mut look = draft.get(&RUN_LOOKS, &RunId(3))?.unwrap();
        look.coverage.probed = Cells::new(TARGETS.parse().unwrap(), "22".parse().unwrap());
        draft.put(&RUN_LOOKS, &RunId(3), &look)
    });
    narrow.await.unwrap();
    fixture.finished_run("10.9.0.8/29", vec![]).await;
    fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[80])]).await;
    let detail = seen_of(&fixture, "10.9.0.1").await.unwrap();
    assert_eq!(detail.looks.iter().map(|look| look.run.0).collect::<Vec<_>>(), [1, 2, 3, 5], "run 4 looked elsewhere");
    assert_eq!((detail.first.0, detail.seen.unwrap().0, detail.gone), (RunId(1), RunId(5), None));
    let ports: Vec<_> = detail.ports.iter().map(|port| (port.port.port, port.since.map(|since| since.0.0))).collect();
    assert_eq!(ports, [(80, Some(2)), (22, None)], "what is open comes first");
    assert_eq!((strip(&detail, 80), strip(&detail, 22)), ("-o o".into(), "ooo-".into()));
    assert_eq!(detail.alerts.len(), 2, "{:?}", detail.alerts);

    fixture.finished_run(TARGETS, vec![]).await;
    let gone = seen_of(&fixture, "10.9.0.1").await.unwrap();
    assert_eq!((gone.gone.unwrap().0, gone.seen.unwrap().0), (RunId(6), RunId(5)));
    assert!(gone.ports.iter().all(|port| port.now.is_none() && port.since.is_none()), "{:?}", gone.ports);
    assert!(seen_of(&fixture, "10.9.0.9").await.is_none());
}

#[tokio::test]
async fn ports_are_counted_over_all_hosts_with_what_answers_there() {
    let fixture = Fixture::new().await;
    let mut web = host("10.9.0.1", &[22, 80]);
    web.ports[1].service = Some(Service { name: "http".into(), ..Service::default() });
    fixture.finished_run(TARGETS, vec![web, host("10.9.0.2", &[80])]).await;
    let counted = async |filter: HostFilter| {
        let read = move |view: &View| {
            let digests = Digests::read(view, usize::MAX)?.unwrap();
            Ok((services::count(view, &filter)?, services::count_held(&digests, &filter)))
        };
        let (services, held) = fixture.store.read(read).await.unwrap();
        assert_eq!(services, held, "from memory it is the same");
        let shown = |tally: &super::ServiceTally| format!("{} {} {:?}", tally.port.port, tally.hosts, tally.names);
        (services.hosts, services.ports.iter().map(shown).collect::<Vec<_>>())
    };
    let (hosts, ports) = counted(HostFilter::default()).await;
    assert_eq!((hosts, ports), (2, vec!["80 2 [Text(\"http\")]".into(), "22 1 []".into()]));
    let ssh = HostFilter { ports: Some("22".parse().unwrap()), ..HostFilter::default() };
    assert_eq!(counted(ssh).await, (1, vec!["22 1 []".into()]));
    let ends = HostFilter { addresses: Some("10.9.0.0,10.9.0.2".parse().unwrap()), ..HostFilter::default() };
    assert_eq!(counted(ends).await, (1, vec!["80 1 []".into()]), "what lies between is not asked for");
}
