//! Runs of many hosts, in more than one task and batch. How fast they are compared is the benchmark `delta`.

use super::{compared, host};
use crate::analysis::delta::ChangeKind;
use crate::fixture::{Fixture, NOW, result};
use protocol::observation::{HostObservation, Service, ServiceDetection, ServiceMethod};
use protocol::task::RunId;
use std::net::IpAddr;

/// Changed hosts: one in so many.
const CHANGED: u32 = 50;
const PORTS: std::ops::Range<u16> = 8_000..8_020;

/// The host with this number, in the first run or the second.
fn server(number: u32, is_later: bool) -> HostObservation {
    let open: Vec<u16> = PORTS.collect();
    let address = IpAddr::from((0x0a00_0000 + number).to_be_bytes());
    let mut server = HostObservation { address, ..host("10.0.0.0", &open) };
    for port in &mut server.ports {
        let is_new = is_later && number.is_multiple_of(CHANGED) && port.port == PORTS.start;
        port.service = Some(Service {
            name: "http".into(),
            product: "nginx".into(),
            version: if is_new { "1.20.1" } else { "1.18.0" }.into(),
            method: ServiceMethod::Probed,
            ..Service::default()
        });
    }
    server
}

fn targets(hosts: u32) -> String {
    format!("10.0.0.0-{}", IpAddr::from((0x0a00_0000 + hosts - 1).to_be_bytes()))
}

/// One run through intake and closing, 256 addresses a task.
async fn run(fixture: &Fixture, is_later: bool) {
    let mut run = RunId(0);
    for (task, targets) in fixture.leased_tasks().await {
        let found = targets.addresses().map(|address| match address {
            IpAddr::V4(address) => server(address.to_bits() - 0x0a00_0000, is_later),
            IpAddr::V6(_) => unreachable!("they are IPv4"),
        });
        let mut given = result(task, 1, &targets.to_string(), found.collect());
        given.coverage.probed[0].ports = "8000-8019".parse().unwrap();
        given.coverage.services =
            vec![ServiceDetection { engine: "nmap".into(), version: "7.93".into(), intensity: 7 }];
        let taken = crate::intake::take(&fixture.store, fixture.node, given, NOW).await.unwrap();
        assert!(taken.ended.is_some(), "{taken:?}");
        run = task.run;
    }
    crate::closing::close(&fixture.store, run, NOW).await.unwrap();
}

async fn two_runs(hosts: u32) -> Fixture {
    let targets: &'static str = targets(hosts).leak();
    let fixture = Fixture::with(targets, crate::fixture::options()).await;
    fixture.ask_for("8000-8019", "-sV").await;
    run(&fixture, false).await;
    run(&fixture, true).await;
    fixture
}

#[tokio::test]
async fn runs_of_more_than_one_task_and_batch_are_compared_whole() {
    let fixture = two_runs(600).await;
    let found = compared(&fixture, RunId(1), RunId(2)).await;
    assert!(found.changes.iter().all(|change| change.kind == ChangeKind::ServiceChange));
    assert_eq!((found.changes.len(), found.hosts, found.shared_addresses), (12, (600, 600), 600));
}
