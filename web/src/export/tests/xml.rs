//! The document of a run, read back by the reader of nmap's documents.

use super::made::{HOSTILE, run, service};
use crate::export::{written, xml};
use coordinator::RunAsScanned;
use coordinator::run::{RunOutcome, RunState};
use protocol::nmap_xml::{HostRecord, Reader, Summary};
use protocol::observation::{
    Coverage, EffectiveOptions, HostObservation, HostState, PortObservation, PortState, ProbeMethod, ProbedCells,
    ServiceDetection,
};
use protocol::text::Text;
use protocol::{Protocol, Timestamp};

fn host(product: &str) -> HostObservation {
    let port = PortObservation {
        protocol: Protocol::Tcp,
        port: 80,
        state: PortState::Open,
        reason: "syn-ack".into(),
        service: Some(service("http", product, "1")),
    };
    HostObservation {
        address: "192.0.2.7".parse().unwrap(),
        state: HostState::Up,
        reason: "syn-ack".into(),
        seen: Timestamp::from_millis(1_700_000_000_000),
        names: vec![product.into()],
        mac: None,
        os: None,
        ports: vec![port],
        unlisted: Vec::new(),
    }
}

fn scanned(product: &str) -> RunAsScanned {
    let targets = "192.0.2.0/24".parse().unwrap();
    let probed = ProbedCells { targets, ports: "22,80".parse().unwrap(), method: ProbeMethod::Connect };
    let options =
        EffectiveOptions { engine: "builtin".into(), version: "1".into(), options: "-p 22,80".into(), raw: false };
    let engine = |name: &str| ServiceDetection { engine: name.into(), version: "1".into(), intensity: 7 };
    let services = vec![engine("builtin"), engine("nmap")];
    let asked = probed.targets.clone();
    let task = Coverage { asked, probed: vec![probed], services, options: vec![options], ..Coverage::default() };
    RunAsScanned { run: run(7), coverage: vec![task.clone(), task], hosts: vec![host(product)] }
}

fn read(scanned: RunAsScanned) -> (Vec<HostObservation>, Summary, String) {
    let text = String::from_utf8(written(|out| xml::write(scanned, out)).unwrap()).unwrap();
    let mut reader = Reader::new(text.as_bytes());
    let mut hosts = Vec::new();
    while let Some(record) = reader.next_host().unwrap() {
        match record {
            HostRecord::Observed(host) => hosts.push(host),
            HostRecord::NotObserved(address) => panic!("{address} was given up"),
        }
    }
    let summary = reader.finish();
    (hosts, summary, text)
}

#[test]
fn a_run_is_told_with_its_hosts_its_options_and_its_times() {
    let told = scanned("nginx");
    let (hosts, summary, _) = read(told.clone());
    assert_eq!(hosts, told.hosts);
    assert_eq!(summary.args.as_str(), "portdrift, builtin 1: -p 22,80", "each engine's options once");
    assert_eq!(summary.start.map(Timestamp::as_millis), told.run.started.map(|time| time.as_millis() / 1_000 * 1_000));
    assert!(summary.claims.is_some());
}

#[test]
fn who_named_a_service_is_told_where_it_could_be_in_doubt() {
    let two = scanned("nginx");
    let mut one = two.clone();
    for task in &mut one.coverage {
        task.services.truncate(1);
    }
    let by = |scanned| read(scanned).0[0].ports[0].service.as_ref().unwrap().by.clone();
    assert_eq!((by(two).as_str(), by(one).as_str()), ("nmap", ""));
}

#[test]
fn a_run_that_did_not_look_everywhere_says_why() {
    let reason = Text::new("3 of 256 addresses: all attempts were used up");
    let outcome = RunOutcome { hosts_up: 1, open_ports: 1, coverage_hundredths: 9_882, reason };
    let mut partial = scanned("nginx");
    partial.run.outcome = Some(outcome);
    let (_, _, text) = read(partial.clone());
    assert!(text.contains("3 of 256 addresses: all attempts were used up"), "{text}");
    partial.run.state = RunState::Completed;
    assert!(!read(partial).2.contains("attempts"));
}

#[test]
fn what_a_host_says_stays_text_in_the_document() {
    for hostile in HOSTILE {
        let (hosts, _, text) = read(scanned(hostile));
        let shown = Text::new(hostile);
        assert_eq!(hosts[0].ports[0].service.as_ref().unwrap().product, shown);
        assert_eq!(hosts[0].names, [shown]);
        assert!(!text.contains("<script>") && !text.contains(['\u{202e}', '\u{1b}', '\t']), "{text}");
    }
}
