//! What one node saw of one host in one task, and which cells it really looked at.

use crate::codec::{Decode, Encode};
use crate::port::{PortSet, Protocol};
use crate::target::TargetSet;
use crate::text::Text;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// One host as one task found it. Ports not listed here but covered were looked at and are not open.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct HostObservation {
    /// The address that was scanned.
    pub address: IpAddr,
    /// Up or down; a host that timed out has no observation at all.
    pub state: HostState,
    /// Why the engine says so, in nmap's words (`syn-ack`, `arp-response`, `no-response`, …).
    pub reason: Text,
    /// When the engine settled it.
    pub seen: Timestamp,
    /// Names from name services, not from the user.
    pub names: Vec<Text>,
    /// Link address and its vendor, seen on the same segment only.
    pub mac: Option<MacAddress>,
    /// Best guess at the operating system.
    pub os: Option<OsGuess>,
    /// Listed ports, sorted by (protocol, number), each at most once: all that are open, and others of interest.
    pub ports: Vec<PortObservation>,
    /// How many unlisted ports had which state, for people to read.
    pub unlisted: Vec<UnlistedPorts>,
}

/// Whether a host answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostState {
    /// It answered.
    Up,
    /// It was asked for life and stayed silent, or was reported unreachable.
    Down,
}

/// A link address as it was reported.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct MacAddress {
    /// Six groups, upper case, `00:11:22:AA:BB:CC`.
    pub address: Text,
    /// Vendor of the address block; empty when unknown.
    pub vendor: Text,
}

/// An operating system guess.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct OsGuess {
    /// As the engine names it.
    pub name: Text,
    /// Accuracy in percent, as nmap counts it.
    pub accuracy: u8,
}

/// One port of one host.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct PortObservation {
    /// TCP, UDP or SCTP.
    pub protocol: Protocol,
    /// 1 to 65535; nmap may report 0.
    pub port: u16,
    /// Its state.
    pub state: PortState,
    /// Why the engine says so (`syn-ack`, `conn-refused`, `no-response`, …).
    pub reason: Text,
    /// What answers there, if a name is known.
    pub service: Option<Service>,
}

/// nmap's port states. Source: nmap.org/book/man-port-scanning-basics.html
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
pub enum PortState {
    /// An application accepts.
    #[serde(rename = "open")]
    Open,
    /// The host answers that nothing listens.
    #[serde(rename = "closed")]
    Closed,
    /// No answer, or a refusal by something in between.
    #[serde(rename = "filtered")]
    Filtered,
    /// Reachable, but open or closed cannot be told.
    #[serde(rename = "unfiltered")]
    Unfiltered,
    /// Open or filtered cannot be told (UDP silence).
    #[serde(rename = "open|filtered")]
    OpenFiltered,
    /// Closed or filtered cannot be told.
    #[serde(rename = "closed|filtered")]
    ClosedFiltered,
}

impl PortState {
    /// Every state, with nmap's word for it.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Open, "open"),
        (Self::Closed, "closed"),
        (Self::Filtered, "filtered"),
        (Self::Unfiltered, "unfiltered"),
        (Self::OpenFiltered, "open|filtered"),
        (Self::ClosedFiltered, "closed|filtered"),
    ];

    /// nmap's word.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(state, _)| *state == self).map_or("unknown", |(_, name)| name)
    }
}

impl fmt::Display for PortState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Ports that were covered but are not listed one by one.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct UnlistedPorts {
    /// Their protocol.
    pub protocol: Protocol,
    /// Their common state.
    pub state: PortState,
    /// How many they are.
    pub count: u32,
}

/// What answers on a port. Empty text means "not told".
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Service {
    /// Protocol name as nmap names it (`http`, `ssh`, `ms-wbt-server`).
    pub name: Text,
    /// Product, `nginx`.
    pub product: Text,
    /// Version, `1.18.0`.
    pub version: Text,
    /// Anything else the service told, `Ubuntu`.
    pub extra: Text,
    /// Whether TLS is spoken around it.
    pub tls: bool,
    /// How the name was found.
    pub method: ServiceMethod,
    /// Which engine of [`Coverage::services`] found it; empty where there is one only, or where nothing was probed.
    pub by: Text,
}

/// How a service name was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceMethod {
    /// From the port number alone: a guess, which never makes a change.
    #[default]
    Table,
    /// From what the service said.
    Probed,
}

/// Which cells one task really looked at, and how. Only these can change in a report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Coverage {
    /// Addresses that were asked for life and settled: up, or down.
    pub asked: TargetSet,
    /// Of these, addresses for which silence proves nothing: only an open port does (loopback, `-Pn`).
    pub by_port_only: TargetSet,
    /// Cells probed to the end. A host confirmed down covers its cells too.
    pub probed: Vec<ProbedCells>,
    /// How services were identified, each engine once; [`Service::by`] says which of them named a service. Empty when
    /// services were not identified.
    pub services: Vec<ServiceDetection>,
    /// The options that really took effect, engine by engine, for people and for comparison.
    pub options: Vec<EffectiveOptions>,
}

/// A block of cells: every address with every port.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct ProbedCells {
    /// The addresses.
    pub targets: TargetSet,
    /// The ports, all protocols that used `method`.
    pub ports: PortSet,
    /// How they were asked.
    pub method: ProbeMethod,
}

/// How ports were asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeMethod {
    /// TCP connect.
    Connect,
    /// TCP half-open.
    Syn,
    /// UDP datagrams.
    Udp,
    /// Another scan type of nmap, whose states mean something else.
    Other,
}

/// How services were identified. Two looks compare only when this is equal (SPEC R3).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
pub struct ServiceDetection {
    /// `nmap` or `builtin`.
    pub engine: Text,
    /// The engine's version.
    pub version: Text,
    /// nmap's scale, 0 to 9.
    pub intensity: u8,
}

/// What one engine was really told to do.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct EffectiveOptions {
    /// `nmap` or `builtin`.
    pub engine: Text,
    /// The engine's version.
    pub version: Text,
    /// The options, as words.
    pub options: Text,
    /// Whether raw packets could be sent.
    pub raw: bool,
}

impl Coverage {
    /// True when the cell was probed to the end.
    pub fn covers(&self, address: IpAddr, protocol: Protocol, port: u16) -> bool {
        self.probed.iter().any(|cells| cells.ports.contains(protocol, port) && cells.targets.contains(address))
    }

    /// The ports that were probed to the end on `address`.
    pub fn ports_of(&self, address: IpAddr) -> PortSet {
        self.probed
            .iter()
            .filter(|cells| cells.targets.contains(address))
            .fold(PortSet::empty(), |all, cells| all.union(&cells.ports))
    }
}
