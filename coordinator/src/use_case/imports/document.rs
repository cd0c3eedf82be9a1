//! One document, read to its end and cut to what a scan wants to know.

use super::unfit;
use crate::analysis::delta::combine;
use crate::use_case::UseCaseError;
use protocol::nmap_xml::{Completeness, HostRecord, Reader, Summary, XmlError, completeness, coverage};
use protocol::observation::{Coverage, HostObservation, ProbedCells};
use protocol::text::Text;
use protocol::{TargetSet, Timestamp};
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

/// The most host elements of one document. masscan writes one for each open port.
const MAX_HOSTS: usize = 500_000;

/// What a scan takes of a document.
#[derive(Debug)]
pub(super) struct Document {
    /// Sorted by address, each once.
    pub(super) hosts: Vec<HostObservation>,
    /// At least one.
    pub(super) coverage: Vec<Coverage>,
    /// Addresses of hosts that the scan does not want.
    pub(super) outside: TargetSet,
    pub(super) started: Timestamp,
    pub(super) ended: Timestamp,
    pub(super) shortfall: Option<Text>,
}

/// Reads a document; keeps what it proves of `wanted`.
///
/// A document that was cut short proves the hosts that it lists; one that breaks the rules of nmap's format is not read.
pub(super) fn read(document: impl io::Read, wanted: &TargetSet) -> Result<Document, UseCaseError> {
    let mut reader = Reader::new(document);
    let mut found: BTreeMap<IpAddr, Vec<HostObservation>> = BTreeMap::new();
    let mut count = 0usize;
    let cut = loop {
        match reader.next_host() {
            Ok(Some(HostRecord::Observed(mut host))) => {
                count += 1;
                if count > MAX_HOSTS {
                    return Err(unfit(format!("it lists more than {MAX_HOSTS} hosts; split it")));
                }
                if !wanted.contains(host.address) {
                    // Only that it is listed matters, for what the document speaks for.
                    host = HostObservation { ports: Vec::new(), unlisted: Vec::new(), ..host };
                }
                found.entry(host.address).or_default().push(host);
            }
            Ok(Some(HostRecord::NotObserved(_))) => {}
            Ok(None) => break None,
            Err(error @ XmlError::Cut) => break Some(error),
            Err(error) => return Err(unfit(error.to_string())),
        }
    };
    let summary = reader.finish();
    let hosts: Vec<HostObservation> = found.into_values().filter_map(combine).collect();
    let coverage: Vec<Coverage> =
        coverage(&summary, &hosts).into_iter().filter_map(|all| within(all, wanted)).collect();
    let listed: TargetSet = hosts.iter().map(|host| host.address).collect();
    if coverage.is_empty() {
        return Err(unfit(nothing(&summary, &listed, cut)));
    }
    let asked = coverage.iter().fold(TargetSet::empty(), |all, part| all.union(&part.asked));
    let (started, ended) = times(&summary, &hosts).ok_or_else(|| unfit("it does not say when it was made".into()))?;
    Ok(Document {
        outside: listed.minus(wanted),
        hosts: hosts.into_iter().filter(|host| asked.contains(host.address)).collect(),
        coverage,
        started,
        ended,
        shortfall: shortfall(&summary),
    })
}

/// The part of a coverage that lies in `wanted`, when there is any.
fn within(coverage: Coverage, wanted: &TargetSet) -> Option<Coverage> {
    let Coverage { asked, by_port_only, probed, services, options } = coverage;
    let asked = asked.intersection(wanted);
    let probed = probed.into_iter().map(|cells| ProbedCells { targets: cells.targets.intersection(wanted), ..cells });
    (!asked.is_empty()).then(|| Coverage {
        by_port_only: by_port_only.intersection(&asked),
        asked,
        probed: probed.filter(|cells| !cells.targets.is_empty()).collect(),
        services,
        options,
    })
}

/// Why nothing can be taken from it.
fn nothing(summary: &Summary, listed: &TargetSet, cut: Option<XmlError>) -> String {
    match (listed.first(), cut) {
        (Some(first), _) => format!(
            "none of the hosts that it lists, such as {first}, is among the scan's addresses; \
            import it into a scan with these targets"
        ),
        (None, Some(cut)) => cut.to_string(),
        (None, None) if summary.not_observed.is_empty() => "it lists no host, so it proves nothing".to_owned(),
        (None, None) => "its hosts were all given up, so it proves nothing".to_owned(),
    }
}

/// When it was begun and ended, by its own words.
fn times(summary: &Summary, hosts: &[HostObservation]) -> Option<(Timestamp, Timestamp)> {
    let seen = || hosts.iter().map(|host| host.seen).filter(|seen| *seen != Timestamp::default());
    let started = summary.start.or_else(|| seen().min())?;
    let ended = summary.finished.as_ref().and_then(|finished| finished.time).or_else(|| seen().max());
    Some((started, ended.unwrap_or(started).max(started)))
}

/// Why it does not settle every address that it asked.
fn shortfall(summary: &Summary) -> Option<Text> {
    let total = summary.hosts.map_or(0, |hosts| u128::from(hosts.total));
    match completeness(summary, Some(0), total) {
        _ if summary.is_masscan() => Some("masscan sends each probe once and lists open ports alone".into()),
        Completeness::Complete => None,
        Completeness::Partial { reason } | Completeness::Nothing { reason } => Some(Text::new(&reason.to_string())),
    }
}
