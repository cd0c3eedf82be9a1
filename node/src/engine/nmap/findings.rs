//! From nmap's document to observations and coverage: only what the document proves, only for addresses that were asked.

use super::NmapError;
use super::process::{End, Ended};
use crate::engine::builtin::connect::{has_way, is_own};
use protocol::nmap_xml::{Completeness, HostRecord, Reader, Summary, completeness};
use protocol::observation::{HostObservation, HostState, PortState, ProbedCells};
use protocol::port::PortSet;
use protocol::target::TargetSet;
use protocol::text::Text;
use protocol::time::Timestamp;
use std::collections::BTreeMap;
use std::io::Read;
use std::net::IpAddr;

/// What one document holds, before it is known how its process ended.
pub(super) struct Document {
    pub(super) hosts: BTreeMap<IpAddr, HostObservation>,
    /// An address that was listed more than once.
    pub(super) doubled: Option<IpAddr>,
    pub(super) summary: Summary,
}

/// What was asked of one process.
pub(super) struct Asked<'a> {
    pub(super) targets: &'a TargetSet,
    /// `None`: nmap's own set.
    pub(super) ports: Option<PortSet>,
    pub(super) excluded: PortSet,
    pub(super) life: Life,
}

/// What says whether a host is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// nmap asked; on this machine's own addresses only ports prove it.
    Asked,
    /// Its ports alone: nmap did not ask for life.
    ByPort,
    /// Somebody else; nmap did not ask.
    Elsewhere,
}

/// What one process proved.
#[derive(Debug, Default)]
pub(in crate::engine) struct Findings {
    /// Which nmap wrote the document.
    pub(in crate::engine) version: Text,
    pub(in crate::engine) hosts: Vec<HostObservation>,
    pub(in crate::engine) asked: TargetSet,
    pub(in crate::engine) by_port_only: TargetSet,
    pub(in crate::engine) probed: Vec<ProbedCells>,
}

/// Reads a whole document; blocks. `on_host` hears of each host that is up.
pub(super) fn read(input: impl Read, mut on_host: impl FnMut()) -> Document {
    let mut reader = Reader::new(input);
    let mut hosts = BTreeMap::new();
    let mut doubled = None;
    while let Ok(Some(record)) = reader.next_host() {
        if let HostRecord::Observed(host) = record {
            if host.state == HostState::Up {
                on_host();
            }
            let address = host.address;
            if hosts.insert(address, host).is_some() {
                doubled = Some(address);
            }
        }
    }
    Document { hosts, doubled, summary: reader.finish() }
}

/// Judges a document by the completeness rule and by how its process ended. `now` dates the hosts that are only known
/// to be down.
pub(super) fn judge(document: Document, ended: &Ended, asked: &Asked, now: Timestamp) -> Result<Findings, NmapError> {
    let Document { mut hosts, doubled, summary } = document;
    let verdict = completeness(&summary, ended.exit_code, asked.targets.count());
    let whole = ended.end == End::Finished && summary.closed && summary.defect.is_none() && ended.exit_code == Some(0);
    let finished = matches!(&summary.finished, Some(finished) if finished.exit == protocol::nmap_xml::Exit::Success);
    if !(whole && finished) {
        return Err(NmapError::Unusable(why(&verdict, ended)));
    }
    // Its counts prove nothing about the silent addresses when it counts others.
    let stranger = hosts.keys().chain(&summary.not_observed).find(|address| !asked.targets.contains(**address));
    if let Some(address) = doubled.or(stranger.copied()) {
        return Err(NmapError::Unusable(format!("it reports on {address} twice or unasked")));
    }
    let given_up: TargetSet = given_up(&hosts, &summary);
    hosts.retain(|address, _| !given_up.contains(*address));
    match verdict {
        Completeness::Complete => add_silent(&mut hosts, &asked.targets.minus(&given_up), now),
        Completeness::Partial { reason } => tracing::warn!(%reason, "nmap settled only some of the addresses"),
        Completeness::Nothing { reason } if summary.not_observed.is_empty() => {
            return Err(NmapError::Unusable(reason.to_string()));
        }
        Completeness::Nothing { reason } => tracing::warn!(%reason, "nmap settled none of the addresses"),
    }
    leave_out_unreachable(&mut hosts)?;
    Ok(findings(hosts, &summary, asked))
}

/// Addresses of which nothing was learned: nmap gave them up, or it does not say what became of all of their ports.
fn given_up(hosts: &BTreeMap<IpAddr, HostObservation>, summary: &Summary) -> TargetSet {
    let wanted = u64::from(summary.ports().count());
    let told = |host: &HostObservation| {
        let unlisted = host.unlisted.iter().map(|rest| u64::from(rest.count));
        unlisted.fold(host.ports.len() as u64, u64::saturating_add)
    };
    let lacking = hosts.values().filter(|host| host.state == HostState::Up && told(host) < wanted);
    let lacking = lacking.map(|host| host.address).inspect(|address| {
        tracing::warn!(%address, "nmap does not account for every port of a host; it is not observed");
    });
    lacking.chain(summary.not_observed.iter().copied()).collect()
}

/// nmap takes for down what this machine cannot even send to; that is this machine's trouble and no observation.
fn leave_out_unreachable(hosts: &mut BTreeMap<IpAddr, HostObservation>) -> Result<(), NmapError> {
    let before = hosts.len();
    hosts.retain(|address, host| host.state == HostState::Up || has_way(*address));
    match (hosts.len(), before - hosts.len()) {
        (_, 0) => Ok(()),
        (0, _) => Err(NmapError::Unusable("this machine cannot send there; check its routes and local rules".into())),
        (_, lost) => {
            tracing::warn!(lost, "this machine cannot send to some addresses; they are not observed");
            Ok(())
        }
    }
}

/// Complete documents leave out what is down; say it.
fn add_silent(hosts: &mut BTreeMap<IpAddr, HostObservation>, targets: &TargetSet, now: Timestamp) {
    for address in targets.addresses() {
        hosts.entry(address).or_insert_with(|| HostObservation {
            address,
            state: HostState::Down,
            reason: Text::new("no-response"),
            seen: now,
            names: Vec::new(),
            mac: None,
            os: None,
            ports: Vec::new(),
            unlisted: Vec::new(),
        });
    }
}

fn findings(hosts: BTreeMap<IpAddr, HostObservation>, summary: &Summary, asked: &Asked) -> Findings {
    let addresses: TargetSet = hosts.keys().copied().collect();
    let by_port = |address| match asked.life {
        Life::Asked => summary.lists_open_only() || is_own(address),
        Life::ByPort => true,
        Life::Elsewhere => false,
    };
    let by_port_only: TargetSet = hosts.keys().copied().filter(|address| by_port(*address)).collect();
    let probed = summary.scans.iter().map(|scan| {
        let ports = asked.ports.as_ref().map_or_else(|| scan.ports.clone(), |ports| scan.ports.intersection(ports));
        ProbedCells { targets: addresses.clone(), ports: ports.minus(&asked.excluded), method: scan.method }
    });
    let probed = probed.filter(|cells| !cells.ports.is_empty() && !cells.targets.is_empty()).collect();
    let hosts = hosts.into_values().map(|host| if by_port(host.address) { by_its_ports(host) } else { host }).collect();
    Findings { version: summary.version.clone(), hosts, asked: addresses, by_port_only, probed }
}

/// Where nmap calls every address up, a host is there only if a port says so: an open one on this machine's own
/// addresses, any answer elsewhere.
pub(in crate::engine) fn by_its_ports(mut host: HostObservation) -> HostObservation {
    let own = is_own(host.address);
    let proof = |state: PortState| match state {
        PortState::Open => true,
        PortState::Closed | PortState::Unfiltered => !own,
        PortState::Filtered | PortState::OpenFiltered | PortState::ClosedFiltered => false,
    };
    let alive = host.ports.iter().any(|port| proof(port.state)) || host.unlisted.iter().any(|rest| proof(rest.state));
    if host.state == HostState::Up && !alive {
        host.state = HostState::Down;
        host.reason = Text::new("no-open-port");
        (host.ports, host.unlisted, host.os) = (Vec::new(), Vec::new(), None);
    }
    host
}

/// In words: what was wrong with the process first, then with its document, then its own complaint.
fn why(verdict: &Completeness, ended: &Ended) -> String {
    let what = match ended.end {
        End::OutOfTime => "it ran out of its time; raise the time limit or scan less at once".to_owned(),
        End::TooLong => "its document is over 64 MiB; scan fewer addresses at once".to_owned(),
        End::Hung => "it closed its document and did not end".to_owned(),
        End::Stopped => "it was stopped".to_owned(),
        End::Finished | End::Unreadable => match verdict {
            Completeness::Partial { reason } | Completeness::Nothing { reason } => reason.to_string(),
            Completeness::Complete => "it contradicts itself".to_owned(),
        },
    };
    let complaint = Text::from_bytes(last_line(&ended.complaints));
    if complaint.is_empty() { what } else { format!("{what}; it says: {complaint}") }
}

/// The last line that is not empty, at most 200 bytes of it.
fn last_line(bytes: &[u8]) -> &[u8] {
    let line = bytes.split(|byte| *byte == b'\n').rfind(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
    let line = line.trim_ascii();
    line.get(..200).unwrap_or(line)
}
