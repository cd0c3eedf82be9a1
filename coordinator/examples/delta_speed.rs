//! How long the pure heart takes: comparing two large runs, and putting their coverage together.
//!
//! `cargo run --release -p coordinator --example delta_speed [HOSTS]`
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use coordinator::analysis::coverage::RunCoverage;
use coordinator::analysis::delta::{KnownHost, apply, compare};
use protocol::observation::{
    Coverage, HostObservation, HostState, PortObservation, PortState, ProbeMethod, ProbedCells, Service,
    ServiceDetection, ServiceMethod, UnlistedPorts,
};
use protocol::task::RunId;
use protocol::text::Text;
use protocol::{PortSet, Protocol, TargetSet, Timestamp};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

const PORTS: u16 = 20;

fn main() {
    let hosts = std::env::args().nth(1).and_then(|hosts| hosts.parse().ok()).unwrap_or(100_000);
    compare_runs(hosts);
    decide(hosts / 12);
    join(hosts / 12);
}

fn address(index: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0A00_0000 + index))
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let made = work();
    println!("{what}: {:.3} s", began.elapsed().as_secs_f64());
    made
}

fn coverage(targets: TargetSet) -> Coverage {
    let ports =
        PortSet::from_ranges(Protocol::Tcp, [(1, 2 * PORTS)]).union(&PortSet::from_ranges(Protocol::Udp, [(1, 64)]));
    let services = Some(ServiceDetection { engine: "nmap".into(), version: "7.93".into(), intensity: 7 });
    let probed = vec![ProbedCells { targets: targets.clone(), ports, method: ProbeMethod::Syn }];
    Coverage { asked: targets, probed, services, ..Coverage::default() }
}

fn host(index: u32, version: &str) -> HostObservation {
    let service = Service {
        name: "http".into(),
        product: "nginx".into(),
        version: version.into(),
        method: ServiceMethod::Probed,
        ..Service::default()
    };
    let port = |number: u16| PortObservation {
        protocol: Protocol::Tcp,
        port: number,
        state: PortState::Open,
        reason: "syn-ack".into(),
        service: Some(service.clone()),
    };
    HostObservation {
        address: address(index),
        state: HostState::Up,
        reason: "echo-reply".into(),
        seen: Timestamp::default(),
        names: vec![Text::from("host.example")],
        mac: None,
        os: None,
        ports: (1..=PORTS).map(port).collect(),
        unlisted: vec![UnlistedPorts { protocol: Protocol::Udp, state: PortState::Closed, count: 64 }],
    }
}

/// Two runs of which two percent of the hosts differ, compared, and the next baseline made.
fn compare_runs(count: u32) {
    let targets = TargetSet::from_ranges([(address(0), address(count))]);
    let now: RunCoverage = [&coverage(targets)].into_iter().collect();
    let nothing = RunCoverage::default();
    let first = compare(std::iter::empty(), (0..count).map(|index| host(index, "1")), &nothing, &now);
    let known: Vec<KnownHost> = first.filter_map(|compared| apply(compared, &nothing, &now, RunId(1))).collect();
    let run: Vec<HostObservation> =
        (0..count).map(|index| host(index, if index % 50 == 0 { "2" } else { "1" })).collect();
    let compared: Vec<_> =
        timed(&format!("compare {count} hosts"), || compare(known.into_iter(), run.into_iter(), &now, &now).collect());
    let changes: usize = compared.iter().map(|compared| compared.delta.changes.len()).sum();
    let next: Vec<_> = timed(&format!("apply {changes} changes"), || {
        compared.into_iter().filter_map(|compared| apply(compared, &now, &now, RunId(2))).collect()
    });
    assert!(next.len() == usize::try_from(count).unwrap_or_default());
}

/// A run in which each host leaves other UDP ports undecided.
fn decide(count: u32) {
    let targets = TargetSet::from_ranges([(address(0), address(count))]);
    let run: RunCoverage = [&coverage(targets)].into_iter().collect();
    let silent = |index: u32| {
        let port = |number: u16| PortObservation {
            protocol: Protocol::Udp,
            port: number,
            state: PortState::OpenFiltered,
            reason: Text::default(),
            service: None,
        };
        let numbers = (1u16..=16).filter(|number| index & (1 << (number - 1)) != 0);
        HostObservation { ports: numbers.map(port).collect(), ..host(index, "1") }
    };
    let hosts: Vec<HostObservation> = (0..count).map(silent).collect();
    let decided = timed(&format!("decide {count} hosts, all different"), || run.decided(&hosts));
    let all: Vec<_> = timed("and look each up", || {
        (0..count).map(|index| decided.covers(address(index), Protocol::Udp, 1)).collect()
    });
    assert_eq!(all.iter().filter(|covered| **covered).count(), all.len().div_ceil(2));
}

/// The coverages of many small tasks that do not touch.
fn join(count: u32) {
    let tasks: Vec<Coverage> = (0..count).map(|index| coverage(address(2 * index).into())).collect();
    let run: RunCoverage = timed(&format!("join {count} tasks"), || tasks.iter().collect());
    assert_eq!(run.asked.count(), u128::from(count));
}
