//! What a document proves: whether a task is complete, and which cells an imported document covers.

use super::{Exit, Finished, HostCounts, Summary};
use crate::observation::{
    Coverage, EffectiveOptions, HostObservation, HostState, PortState, ProbeMethod, ProbedCells, ServiceDetection,
};
use crate::port::{PortSet, Protocol};
use crate::target::TargetSet;
use crate::text::Text;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// Options of nmap whose value may be an address that is no target.
const ADDRESS_OPTIONS: [&str; 8] = ["-S", "-D", "-sI", "--exclude", "--dns-servers", "--proxies", "--proxy", "-b"];

/// How much of a task a document settles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// Every leased address: those without an observation are down.
    Complete,
    /// Only the observed hosts; an address without an observation was not observed.
    Partial {
        /// Why not all.
        reason: Incomplete,
    },
    /// No address at all.
    Nothing {
        /// Why.
        reason: Incomplete,
    },
}

/// Why a document does not settle every leased address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incomplete {
    /// Reading it ended early; the text says why.
    Unreadable(Text),
    /// The root element was not closed.
    NotClosed,
    /// nmap did not say that it finished with success; the text is its own message.
    NotFinished(Text),
    /// nmap's exit code; `None` when a signal ended it.
    ExitCode(Option<i32>),
    /// It asked another number of addresses than were leased.
    HostCount {
        /// As nmap says; `None` when it does not.
        asked: Option<u64>,
        /// As the lease says.
        leased: u128,
    },
    /// It counts more hosts up than it lists.
    Unlisted,
    /// This many hosts were given up.
    TimedOut(usize),
}

impl fmt::Display for Incomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => write!(f, "{why}"),
            Self::NotClosed => write!(f, "the document is cut short"),
            Self::NotFinished(message) if message.is_empty() => write!(f, "nmap did not say that it finished"),
            Self::NotFinished(message) => write!(f, "nmap ended early: {message}"),
            Self::ExitCode(Some(code)) => write!(f, "nmap ended with exit code {code}"),
            Self::ExitCode(None) => write!(f, "nmap was ended by a signal"),
            Self::HostCount { asked: Some(asked), leased } => write!(f, "nmap asked {asked} of {leased} addresses"),
            Self::HostCount { asked: None, .. } => write!(f, "nmap did not say how many addresses it asked"),
            Self::Unlisted => write!(f, "nmap counted more hosts up than it listed"),
            Self::TimedOut(hosts) => write!(f, "hosts given up because they took too long: {hosts}"),
        }
    }
}

/// The completeness rule (SECURITY-DESIGN.md section 4, rule 8), for a document that was read to its end.
///
/// `exit_code` is `None` when a signal ended nmap; `leased` counts the addresses that were to be asked.
pub fn completeness(summary: &Summary, exit_code: Option<i32>, leased: u128) -> Completeness {
    let reason = match flaw(summary).or_else(|| (exit_code != Some(0)).then_some(Incomplete::ExitCode(exit_code))) {
        Some(reason) => reason,
        None => match miscount(summary, leased) {
            Some(reason) => reason,
            None => return Completeness::Complete,
        },
    };
    if summary.listed_up + summary.listed_down == 0 {
        Completeness::Nothing { reason }
    } else {
        Completeness::Partial { reason }
    }
}

/// What the document lacks by itself.
fn flaw(summary: &Summary) -> Option<Incomplete> {
    if let Some(defect) = &summary.defect {
        return Some(Incomplete::Unreadable(Text::new(&defect.to_string())));
    }
    if !summary.closed {
        return Some(Incomplete::NotClosed);
    }
    match &summary.finished {
        Some(Finished { exit: Exit::Success, .. }) => None,
        Some(Finished { exit: Exit::Failure(message), .. }) => Some(Incomplete::NotFinished(message.clone())),
        Some(Finished { exit: Exit::Unsaid, .. }) | None => Some(Incomplete::NotFinished(Text::default())),
    }
}

fn miscount(summary: &Summary, leased: u128) -> Option<Incomplete> {
    let asked = summary.hosts.map(|HostCounts { total, .. }| total);
    if asked.map(u128::from) != Some(leased) {
        return Some(Incomplete::HostCount { asked, leased });
    }
    if !summary.not_observed.is_empty() {
        return Some(Incomplete::TimedOut(summary.not_observed.len()));
    }
    let hidden = summary.hosts.is_some_and(|hosts| hosts.up > summary.listed_up);
    (hidden && !summary.lists_open_only()).then_some(Incomplete::Unlisted)
}

/// What an imported document proves, from its own words and the `hosts` it lists.
///
/// Its listed hosts were asked. Addresses that it does not list were asked too, and are down, only when it is complete
/// and its command line names exactly as many addresses as it counts. Ports are covered as its `scaninfo` says. Where a
/// host answers without an open port being proof (loopback, `-Pn`, `--open`), only open ports prove that it is there.
///
/// A document that we wrote says to the cell what it covers. One of masscan names neither its targets nor its ports and
/// sends each probe once: it proves the open ports that it lists, and silence of it proves nothing.
///
/// There is one coverage, or none, unless services were identified in several ways.
pub fn coverage<'a>(summary: &Summary, hosts: impl IntoIterator<Item = &'a HostObservation>) -> Vec<Coverage> {
    let hosts: Vec<&HostObservation> = hosts.into_iter().collect();
    let listed: TargetSet = hosts.iter().map(|host| host.address).collect();
    let options = EffectiveOptions {
        engine: summary.scanner.clone(),
        version: summary.version.clone(),
        options: summary.args.clone(),
        raw: summary.scans.iter().any(|scan| scan.method != ProbeMethod::Connect),
    };
    let coverage = match &summary.claims {
        Some(claims) => return claims.coverage((!summary.lists_all()).then_some(&listed), options),
        None if summary.is_masscan() => open_only(&hosts, options),
        None => told_by_nmap(summary, &hosts, listed, options),
    };
    if coverage.asked.is_empty() { Vec::new() } else { vec![coverage] }
}

fn told_by_nmap(
    summary: &Summary,
    hosts: &[&HostObservation],
    listed: TargetSet,
    options: EffectiveOptions,
) -> Coverage {
    let asked = named_targets(summary, &listed).unwrap_or(listed);
    let by_port_only = hosts.iter().filter(|host| !proves_life(host)).map(|host| host.address).collect();
    let by_port_only = if summary.lists_open_only() { asked.clone() } else { by_port_only };
    let probed = summary.scans.iter().map(|scan| ProbedCells {
        targets: asked.clone(),
        ports: scan.ports.clone(),
        method: scan.method,
    });
    Coverage {
        by_port_only,
        probed: probed.filter(|cells| !cells.ports.is_empty() && !cells.targets.is_empty()).collect(),
        services: Vec::from_iter(detection(summary)),
        options: vec![options],
        asked,
    }
}

/// The open ports of each host and nothing else.
fn open_only(hosts: &[&HostObservation], options: EffectiveOptions) -> Coverage {
    let mut addresses: BTreeMap<(ProbeMethod, PortSet), Vec<IpAddr>> = BTreeMap::new();
    for host in hosts {
        for (protocol, method) in
            [(Protocol::Tcp, ProbeMethod::Syn), (Protocol::Udp, ProbeMethod::Udp), (Protocol::Sctp, ProbeMethod::Other)]
        {
            let open = host.ports.iter().filter(|port| port.protocol == protocol && port.state == PortState::Open);
            let open = PortSet::from_ports(protocol, open.map(|port| port.port));
            if !open.is_empty() {
                addresses.entry((method, open)).or_default().push(host.address);
            }
        }
    }
    let asked: TargetSet = addresses.values().flatten().copied().collect();
    let cells = |((method, ports), targets): ((ProbeMethod, PortSet), Vec<IpAddr>)| ProbedCells {
        targets: targets.into_iter().collect(),
        ports,
        method,
    };
    Coverage {
        by_port_only: asked.clone(),
        asked,
        probed: addresses.into_iter().map(cells).collect(),
        services: Vec::new(),
        options: vec![options],
    }
}

/// Down is told by silence; up is told by an answer, unless the user said so or the host is this one.
fn proves_life(host: &HostObservation) -> bool {
    let told = matches!(host.reason.as_str(), "user-set" | "localhost-response");
    host.state == HostState::Down || !(host.address.is_loopback() || told)
}

/// The targets on the command line, when they must be all that was asked.
fn named_targets(summary: &Summary, listed: &TargetSet) -> Option<TargetSet> {
    let total = summary.hosts?.total;
    let args = summary.args.as_str();
    if completeness(summary, Some(0), u128::from(total)) != Completeness::Complete
        || args.split_ascii_whitespace().any(|word| ADDRESS_OPTIONS.contains(&word.split('=').next().unwrap_or(word)))
    {
        return None;
    }
    let named = args.split_ascii_whitespace().filter_map(|word| word.parse::<TargetSet>().ok());
    let named = named.fold(TargetSet::empty(), |all, targets| all.union(&targets));
    (named.count() == u128::from(total) && named.covers(listed)).then_some(named)
}

/// How services were identified, as the command line says; nmap's own intensity is 7.
pub fn detection(summary: &Summary) -> Option<ServiceDetection> {
    let words: Vec<&str> = summary.args.as_str().split_ascii_whitespace().collect();
    if !words.iter().any(|word| *word == "-A" || is_joined_version_flag(word)) {
        return None;
    }
    let given = words.iter().zip(words.iter().skip(1)).find(|(word, _)| **word == "--version-intensity");
    let intensity = match given {
        Some((_, value)) => value.parse().unwrap_or(7),
        None if words.contains(&"--version-all") => 9,
        None if words.contains(&"--version-light") => 2,
        None => 7,
    };
    Some(ServiceDetection { engine: summary.scanner.clone(), version: summary.version.clone(), intensity })
}

/// `-sV`, also joined with other scan types: `-sSV`.
fn is_joined_version_flag(word: &str) -> bool {
    word.strip_prefix("-s").is_some_and(|letters| letters.contains('V'))
}
