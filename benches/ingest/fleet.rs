//! What nodes say of a network: hosts with ten open ports each, of which two in a hundred change from run to run.

use crate::services::SERVICES;
use protocol::codec::encode;
use protocol::message::TaskResult;
use protocol::observation::{
    Coverage, HostObservation, HostState, MacAddress, PortObservation, PortState, ProbeMethod, ProbedCells, Service,
    ServiceDetection, ServiceMethod, UnlistedPorts,
};
use protocol::task::TaskId;
use protocol::text::Text;
use protocol::{Protocol, TargetSet, Timestamp};
use std::net::{IpAddr, Ipv4Addr};

/// Hosts in one upload.
pub(crate) const UPLOAD: u32 = 100;
/// The ports of the scan; each host has all of them open.
pub(crate) const PORTS: &str = "22,25,53,80,111,143,443,993,3306,8080";
/// A host in so many changes from one run to the next.
const CHANGES: u32 = 50;

/// The addresses of `count` hosts from the one with number `first` on.
pub(crate) fn targets(first: u32, count: u32) -> TargetSet {
    TargetSet::from_ranges([(address(first), address(first + count - 1))])
}

/// The addresses of each upload.
pub(crate) fn uploads(hosts: u32) -> impl Iterator<Item = (u32, u32)> {
    (0..hosts).step_by(UPLOAD as usize).map(move |first| (first, UPLOAD.min(hosts - first)))
}

/// What a node says of some hosts in one run, counted from 1.
pub(crate) fn result(task: TaskId, run: u32, (first, count): (u32, u32), now: Timestamp) -> TaskResult {
    let asked = targets(first, count);
    let ports = PORTS.parse().unwrap_or_default();
    let probed = vec![ProbedCells { targets: asked.clone(), ports, method: ProbeMethod::Syn }];
    let services = ServiceDetection { engine: "builtin".into(), version: "1".into(), intensity: 7 };
    let coverage = Coverage { asked, probed, services: vec![services], ..Coverage::default() };
    let hosts = (first..first + count).map(|number| host(number, run, now)).collect();
    TaskResult { task, fence: 1, started: now, ended: now, coverage, hosts, shortfall: None, default_ports: None }
}

/// The rows of each upload as the bare loop writes them.
pub(crate) fn rows(hosts: u32, now: Timestamp) -> Vec<Vec<(Vec<u8>, Vec<u8>)>> {
    let row = |number: u32| {
        let key = [&1u64.to_be_bytes()[..], &number.to_be_bytes()].concat();
        (key, encode(&host(number, 1, now)))
    };
    uploads(hosts).map(|(first, count)| (first..first + count).map(row).collect()).collect()
}

fn address(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 0).to_bits() + number).into()
}

/// How often a host has changed up to a run.
fn changes(number: u32, run: u32) -> u32 {
    (2..=run).filter(|run| (number + 17 * run).is_multiple_of(CHANGES)).fold(0, |count, _| count + 1)
}

fn host(number: u32, run: u32, now: Timestamp) -> HostObservation {
    let (changes, [_, top, high, low]) = (changes(number, run), number.to_be_bytes());
    let changed = (number % 9) as usize;
    let port = |(place, (port, name, product, version)): (usize, (u16, &str, &str, &str))| {
        let is_new = place == changed && changes > 0;
        let version = if is_new { Text::new(&format!("99.{changes}")) } else { version.into() };
        PortObservation {
            protocol: Protocol::Tcp,
            port,
            state: PortState::Open,
            reason: "syn-ack".into(),
            service: Some(Service {
                name: name.into(),
                product: product.into(),
                version,
                method: ServiceMethod::Probed,
                ..Service::default()
            }),
        }
    };
    let mac =
        MacAddress { address: Text::new(&format!("00:50:56:{top:02X}:{high:02X}:{low:02X}")), vendor: "VMware".into() };
    HostObservation {
        address: address(number),
        state: HostState::Up,
        reason: "arp-response".into(),
        seen: now,
        names: vec![Text::new(&format!("host-{top}-{high}-{low}.example.net"))],
        mac: Some(mac),
        os: None,
        ports: SERVICES.into_iter().enumerate().map(port).collect(),
        unlisted: vec![UnlistedPorts { protocol: Protocol::Tcp, state: PortState::Closed, count: 990 }],
    }
}
