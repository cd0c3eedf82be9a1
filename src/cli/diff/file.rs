//! One nmap XML file as one side of a comparison.

use anyhow::Context as _;
use coordinator::analysis::coverage::RunCoverage;
use coordinator::analysis::delta::combine;
use protocol::nmap_xml::{self, Exit, HostRecord, Reader, Summary};
use protocol::observation::{Coverage, HostObservation, HostState, ProbedCells};
use protocol::text::Text;
use protocol::{TargetSet, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// What a file holds, sorted by address.
#[derive(Debug)]
pub(super) struct ScanFile {
    pub(super) hosts: Vec<HostObservation>,
    pub(super) coverage: RunCoverage,
    pub(super) facts: Facts,
}

/// What people want to know of a file.
#[derive(Debug, Serialize)]
pub(super) struct Facts {
    pub(super) file: Text,
    pub(super) scanner: Text,
    pub(super) version: Text,
    pub(super) args: Text,
    pub(super) started: Option<Timestamp>,
    pub(super) finished: bool,
    pub(super) hosts_up: u64,
}

impl ScanFile {
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let name = || format!("reading {}", path.display());
        let mut reader = Reader::new(File::open(path).with_context(name)?);
        let mut hosts: Vec<HostObservation> = Vec::new();
        while let Some(record) = reader.next_host().with_context(name)? {
            if let HostRecord::Observed(host) = record {
                hosts.push(host);
            }
        }
        let summary = reader.finish();
        let hosts = in_order(hosts);
        let coverage: RunCoverage = coverage(&summary, &hosts).iter().collect();
        Ok(Self { coverage: coverage.decided(&hosts), facts: facts(path, &summary, &hosts), hosts })
    }
}

/// Sorted by address, each once. nmap mostly writes them so; masscan writes a host for each port.
fn in_order(hosts: Vec<HostObservation>) -> Vec<HostObservation> {
    if hosts.is_sorted_by(|a, b| a.address < b.address) {
        return hosts;
    }
    let mut by_address: BTreeMap<IpAddr, Vec<HostObservation>> = BTreeMap::new();
    for host in hosts {
        by_address.entry(host.address).or_default().push(host);
    }
    by_address.into_values().filter_map(combine).collect()
}

/// What the file speaks for, by the rule at the top of [`diff`](super).
fn coverage(summary: &Summary, hosts: &[HostObservation]) -> Vec<Coverage> {
    if summary.claims.is_some() || summary.is_masscan() {
        let proven = nmap_xml::coverage(summary, hosts).into_iter();
        return proven.map(|coverage| Coverage { options: Vec::new(), ..coverage }).collect();
    }
    let listed: TargetSet = hosts.iter().map(|host| host.address).collect();
    let given_up: TargetSet = summary.not_observed.iter().copied().collect();
    let asked = if is_finished(summary) { everywhere().minus(&given_up.minus(&listed)) } else { listed };
    let probed = summary.scans.iter().map(|scan| ProbedCells {
        targets: asked.clone(),
        ports: scan.ports.clone(),
        method: scan.method,
    });
    let services = Vec::from_iter(nmap_xml::detection(summary));
    let by_port_only = TargetSet::empty();
    vec![Coverage { probed: probed.collect(), asked, by_port_only, services, options: Vec::new() }]
}

/// Versions before 5 write the end without saying how it came; only an error is an early end.
fn is_finished(summary: &Summary) -> bool {
    let said = summary.finished.as_ref().is_some_and(|finished| !matches!(finished.exit, Exit::Failure(_)));
    summary.closed && said
}

fn everywhere() -> TargetSet {
    TargetSet::from_ranges([
        (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::BROADCAST)),
        (IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::from_bits(u128::MAX))),
    ])
}

fn facts(path: &Path, summary: &Summary, hosts: &[HostObservation]) -> Facts {
    let up = hosts.iter().filter(|host| host.state == HostState::Up).count();
    Facts {
        file: Text::new(&path.display().to_string()),
        scanner: summary.scanner.clone(),
        version: summary.version.clone(),
        args: summary.args.clone(),
        started: summary.start,
        finished: is_finished(summary),
        hosts_up: u64::try_from(up).unwrap_or(u64::MAX),
    }
}
