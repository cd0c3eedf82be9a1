//! The exact coverage of a document that we wrote, as results of scripts that ran before the scan: the one place of
//! nmap's document type where a program may say what nmap has no words for.
//!
//! ```text
//! portdrift-asked          10.0.0.0/24
//! portdrift-by-port-only   10.0.0.9
//! portdrift-probed         connect tcp 22,80-81 on 10.0.0.0/24
//! portdrift-services       nmap 7.93 at intensity 7 on 10.0.0.0/24
//! ```
//! Each may stand there several times; then all of them hold. Where services were identified in more ways than one, a
//! port says in the same form, as `portdrift-by`, which engine named its service.

use super::source::Tag;
use super::summary::port_list;
use super::{MAX_CLAIMS, XmlError};
use crate::observation::{Coverage, EffectiveOptions, ProbeMethod, ProbedCells, ServiceDetection};
use crate::port::{PortSet, Protocol};
use crate::target::{AddressRange, TargetSet};
use crate::text::Text;
use std::collections::BTreeMap;
use std::net::IpAddr;

const ASKED: &str = "portdrift-asked";
const BY_PORT_ONLY: &str = "portdrift-by-port-only";
const PROBED: &str = "portdrift-probed";
const SERVICES: &str = "portdrift-services";
/// Of a port: the engine that named its service.
pub(super) const BY: &str = "portdrift-by";

/// The most ranges of addresses, and of ports, in one claim: at 80 and 12 bytes a range it is below `MAX_VALUE_BYTES`.
const MAX_RANGES: usize = 120;

const METHODS: [(ProbeMethod, &str); 4] = [
    (ProbeMethod::Connect, "connect"),
    (ProbeMethod::Syn, "syn"),
    (ProbeMethod::Udp, "udp"),
    (ProbeMethod::Other, "other"),
];

/// The coverages of a run's tasks as one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Addresses asked for life.
    pub(super) asked: TargetSet,
    /// Of these, addresses where only an open port proves that a host is there.
    pub(super) by_port_only: TargetSet,
    /// Which ports of one protocol were probed how, and where.
    pub(super) probed: BTreeMap<(ProbeMethod, PortSet), TargetSet>,
    /// How services were identified, and where.
    pub(super) services: BTreeMap<ServiceDetection, TargetSet>,
}

impl Claims {
    /// An address that one task proved is not in doubt because another could not.
    pub(super) fn of(tasks: &[Coverage]) -> Self {
        let mut probed: BTreeMap<(ProbeMethod, PortSet), Vec<&TargetSet>> = BTreeMap::new();
        let mut services: BTreeMap<ServiceDetection, Vec<&TargetSet>> = BTreeMap::new();
        for task in tasks {
            for cells in task.probed.iter().filter(|cells| !cells.targets.is_empty()) {
                for ports in Protocol::ALL.map(|protocol| cells.ports.only(protocol)) {
                    if !ports.is_empty() {
                        probed.entry((cells.method, ports)).or_default().push(&cells.targets);
                    }
                }
            }
            for how in &task.services {
                services.entry(how.clone()).or_default().push(&task.asked);
            }
        }
        let asked = all_of(tasks.iter().map(|task| &task.asked));
        let proven: Vec<TargetSet> = tasks.iter().map(|task| task.asked.minus(&task.by_port_only)).collect();
        Self {
            by_port_only: asked.minus(&all_of(&proven)),
            asked,
            probed: probed.into_iter().map(|(how, targets)| (how, all_of(targets))).collect(),
            services: services.into_iter().map(|(how, targets)| (how, all_of(targets))).collect(),
        }
    }

    /// The ports that were probed on one address.
    pub(super) fn ports_of(&self, address: IpAddr) -> PortSet {
        let blocks = self.probed.iter().filter(|(_, targets)| targets.contains(address));
        blocks.fold(PortSet::empty(), |all, ((_, ports), _)| all.union(ports))
    }

    /// Every claim as the name of a script and its result.
    pub(super) fn scripts(&self) -> impl Iterator<Item = (&'static str, String)> + '_ {
        let addresses = |id: &'static str, set: &TargetSet| {
            pieces(set).into_iter().map(move |targets| (id, targets)).collect::<Vec<_>>()
        };
        let asked = addresses(ASKED, &self.asked);
        let by_port_only = addresses(BY_PORT_ONLY, &self.by_port_only);
        let probed = self.probed.iter().flat_map(|((method, ports), targets)| probed_words(*method, ports, targets));
        // An engine's name is one word; another would be read back as a part of its version.
        let named =
            self.services.iter().filter(|(how, _)| !how.engine.is_empty() && !how.engine.as_str().contains(' '));
        let services = named.flat_map(|(how, targets)| {
            let ServiceDetection { engine, version, intensity } = how;
            let words = format!("{engine} {version} at intensity {intensity} on ");
            pieces(targets).into_iter().map(move |targets| format!("{words}{targets}"))
        });
        asked
            .into_iter()
            .chain(by_port_only)
            .chain(probed.map(|words| (PROBED, words)))
            .chain(services.map(|words| (SERVICES, words)))
    }

    /// What the claims prove, for `listed` hosts only when the document does not list all: a coverage with all cells,
    /// and one more for each way in which services were identified.
    pub(super) fn coverage(&self, listed: Option<&TargetSet>, options: EffectiveOptions) -> Vec<Coverage> {
        let within =
            |targets: &TargetSet| listed.map_or_else(|| targets.clone(), |listed| targets.intersection(listed));
        let probed = self.probed.iter().map(|((method, ports), targets)| ProbedCells {
            targets: within(targets),
            ports: ports.clone(),
            method: *method,
        });
        let cells = Coverage {
            asked: within(&self.asked),
            by_port_only: within(&self.by_port_only),
            probed: probed.filter(|cells| !cells.targets.is_empty()).collect(),
            services: Vec::new(),
            options: vec![options],
        };
        let services = self.services.iter().map(|(how, targets)| {
            let asked = within(targets);
            let by_port_only = asked.clone();
            Coverage { asked, by_port_only, services: vec![how.clone()], ..Coverage::default() }
        });
        [cells].into_iter().chain(services).filter(|coverage| !coverage.asked.is_empty()).collect()
    }
}

/// The claims of a document that is being read: put together once, as merging them one by one takes too long.
#[derive(Clone, Debug, Default)]
pub(super) struct ClaimsBuilder {
    asked: Vec<TargetSet>,
    by_port_only: Vec<TargetSet>,
    probed: BTreeMap<(ProbeMethod, PortSet), Vec<TargetSet>>,
    services: BTreeMap<ServiceDetection, Vec<TargetSet>>,
    count: usize,
}

impl ClaimsBuilder {
    /// Takes in the result of a script if it is one of ours.
    pub(super) fn add(&mut self, script: &Tag<'_>) -> Result<(), XmlError> {
        let output = script.get("output").unwrap_or_default();
        let unreadable = || XmlError::Unreadable { what: "a claim of coverage", value: Text::new(output) };
        match script.get("id").unwrap_or_default() {
            ASKED => self.asked.push(output.parse().map_err(|_| unreadable())?),
            BY_PORT_ONLY => self.by_port_only.push(output.parse().map_err(|_| unreadable())?),
            PROBED => {
                let (how, targets) = read_probed(output).ok_or_else(unreadable)?;
                self.probed.entry(how).or_default().push(targets);
            }
            SERVICES => {
                let (how, targets) = read_services(output).ok_or_else(unreadable)?;
                self.services.entry(how).or_default().push(targets);
            }
            _ => return Ok(()),
        }
        self.count += 1;
        if self.count > MAX_CLAIMS {
            return Err(XmlError::TooLarge { what: "a number of claims of coverage", limit: MAX_CLAIMS });
        }
        Ok(())
    }

    /// `None` when there were none. No cell counts whose address was not asked.
    pub(super) fn build(self) -> Option<Claims> {
        let asked = all_of(&self.asked);
        let within = |targets: Vec<TargetSet>| all_of(&targets).intersection(&asked);
        (self.count > 0).then(|| Claims {
            by_port_only: within(self.by_port_only),
            probed: self.probed.into_iter().map(|(how, targets)| (how, within(targets))).collect(),
            services: self.services.into_iter().map(|(how, targets)| (how, within(targets))).collect(),
            asked: asked.clone(),
        })
    }
}

/// nmap's word for a way to ask ports; `None` for scan types of which we do not keep which one it was.
pub(super) fn scan_type(method: ProbeMethod, protocol: Protocol) -> Option<&'static str> {
    match (method, protocol) {
        (ProbeMethod::Connect, Protocol::Tcp) => Some("connect"),
        (ProbeMethod::Syn, Protocol::Tcp) => Some("syn"),
        (ProbeMethod::Udp, Protocol::Udp) => Some("udp"),
        (ProbeMethod::Connect | ProbeMethod::Syn, Protocol::Udp | Protocol::Sctp)
        | (ProbeMethod::Udp, Protocol::Tcp | Protocol::Sctp)
        | (ProbeMethod::Other, _) => None,
    }
}

/// Port ranges as `scaninfo` names them.
pub(super) fn services(ranges: &[(u16, u16)]) -> String {
    let words: Vec<String> = ranges
        .iter()
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") })
        .collect();
    words.join(",")
}

fn probed_words(method: ProbeMethod, ports: &PortSet, targets: &TargetSet) -> Vec<String> {
    let word = METHODS.iter().find(|(known, _)| *known == method).map_or("other", |(_, word)| word);
    let mut claims = Vec::new();
    for protocol in Protocol::ALL {
        for ranges in ports.ranges(protocol).chunks(MAX_RANGES) {
            let ports = services(ranges);
            claims.extend(pieces(targets).iter().map(|targets| format!("{word} {protocol} {ports} on {targets}")));
        }
    }
    claims
}

fn read_probed(words: &str) -> Option<((ProbeMethod, PortSet), TargetSet)> {
    let (how, targets) = words.split_once(" on ")?;
    let (word, ports) = how.split_once(' ')?;
    let (protocol, ports) = ports.split_once(' ')?;
    let (method, _) = METHODS.iter().find(|(_, known)| *known == word)?;
    Some(((*method, port_list(protocol.parse().ok()?, ports).ok()?), targets.parse().ok()?))
}

fn read_services(words: &str) -> Option<(ServiceDetection, TargetSet)> {
    let (how, targets) = words.rsplit_once(" on ")?;
    let (name, intensity) = how.rsplit_once(" at intensity ")?;
    let (engine, version) = name.split_once(' ')?;
    let (engine, version) = (engine.into(), version.into());
    Some((ServiceDetection { engine, version, intensity: intensity.parse().ok()? }, targets.parse().ok()?))
}

/// The set as texts that are not too long.
fn pieces(set: &TargetSet) -> Vec<String> {
    let ranges: Vec<AddressRange> = set.ranges().collect();
    let piece = |part: &[AddressRange]| part.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    ranges.chunks(MAX_RANGES).map(piece).collect()
}

/// All addresses of the sets, merged at once.
fn all_of<'a>(sets: impl IntoIterator<Item = &'a TargetSet>) -> TargetSet {
    TargetSet::from_ranges(sets.into_iter().flat_map(|set| set.ranges()).map(|range| (range.first(), range.last())))
}
