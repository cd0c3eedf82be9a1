//! What a document says about its run: who scanned, with which arguments, which ports, and how it ended.

use super::claims::Claims;
use super::source::Tag;
use super::{MAX_ITEMS, XmlError};
use crate::observation::{HostState, ProbeMethod};
use crate::port::{PortSet, Protocol};
use crate::text::Text;
use crate::time::Timestamp;
use std::net::IpAddr;

/// The document without its hosts. Fields that never came stay empty.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// `nmap`, as the root says.
    pub scanner: Text,
    /// Its command line.
    pub args: Text,
    /// Its version.
    pub version: Text,
    /// When it started.
    pub start: Option<Timestamp>,
    /// Which ports it was about to probe.
    pub scans: Vec<ScanInfo>,
    /// What it covers to the cell, when we wrote it.
    pub claims: Option<Claims>,
    /// How it ended; `None` when it never said so.
    pub finished: Option<Finished>,
    /// How many hosts it counted.
    pub hosts: Option<HostCounts>,
    /// Host elements that were observed up.
    pub listed_up: u64,
    /// Host elements that were observed down.
    pub listed_down: u64,
    /// Addresses with a host element that proves nothing: given up, or of unknown state.
    pub not_observed: Vec<IpAddr>,
    /// Whether the root element was closed.
    pub closed: bool,
    /// What made reading end early.
    pub defect: Option<XmlError>,
}

/// One `scaninfo` element that is about ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanInfo {
    /// How ports are asked.
    pub method: ProbeMethod,
    /// Which protocol.
    pub protocol: Protocol,
    /// Its ports.
    pub ports: PortSet,
}

/// The `finished` element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// When.
    pub time: Option<Timestamp>,
    /// How nmap thinks it ended.
    pub exit: Exit,
}

/// nmap's own word on its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// `success`.
    Success,
    /// Nothing, as versions before 5 do.
    Unsaid,
    /// Anything else, with its message.
    Failure(Text),
}

/// The `hosts` element: addresses asked, and how many answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostCounts {
    /// Up.
    pub up: u64,
    /// Down.
    pub down: u64,
    /// All.
    pub total: u64,
}

impl Summary {
    pub(super) fn open(&mut self, root: &Tag<'_>) -> Result<(), XmlError> {
        self.scanner = root.text("scanner");
        self.args = root.text("args");
        self.version = root.text("version");
        self.start = seconds(root, "start", "the start time")?;
        Ok(())
    }

    pub(super) fn add_scan(&mut self, tag: &Tag<'_>) -> Result<(), XmlError> {
        let Some(protocol) = tag.get("protocol").and_then(|name| name.parse().ok()) else { return Ok(()) };
        if self.scans.len() >= MAX_ITEMS {
            return Err(XmlError::TooLarge { what: "a number of scaninfo elements", limit: MAX_ITEMS });
        }
        let ports = port_list(protocol, tag.get("services").unwrap_or_default())?;
        self.scans.push(ScanInfo { method: method(tag.get("type").unwrap_or_default()), protocol, ports });
        Ok(())
    }

    pub(super) fn count(&mut self, state: HostState) {
        match state {
            HostState::Up => self.listed_up += 1,
            HostState::Down => self.listed_down += 1,
        }
    }

    /// True when nmap was told to leave out what is not open: then a host that is not listed may still be up.
    pub fn lists_open_only(&self) -> bool {
        self.args.as_str().split_ascii_whitespace().any(|word| word == "--open")
    }

    /// True for masscan's dialect: no end of a host, no targets, no ports, and each open port in a host of its own.
    pub fn is_masscan(&self) -> bool {
        self.scanner.as_str() == "masscan"
    }

    /// True when it lists each host that it counts.
    pub(super) fn lists_all(&self) -> bool {
        let counted = self.hosts.is_none_or(|hosts| hosts.up <= self.listed_up);
        self.closed && self.defect.is_none() && counted && self.not_observed.is_empty()
    }

    /// Every port that the document says was to be probed.
    pub fn ports(&self) -> PortSet {
        self.scans.iter().fold(PortSet::empty(), |all, scan| all.union(&scan.ports))
    }
}

impl Finished {
    pub(super) fn read(tag: &Tag<'_>) -> Result<Self, XmlError> {
        let exit = match tag.get("exit") {
            Some("success") => Exit::Success,
            Some(_) => Exit::Failure(tag.text("errormsg")),
            None => Exit::Unsaid,
        };
        Ok(Self { time: seconds(tag, "time", "the end time")?, exit })
    }
}

impl HostCounts {
    pub(super) fn read(tag: &Tag<'_>) -> Result<Self, XmlError> {
        let count = |key| tag.need(key, "the number of hosts");
        Ok(Self { up: count("up")?, down: count("down")?, total: count("total")? })
    }
}

/// An attribute that holds whole seconds since 1970.
pub(super) fn seconds(tag: &Tag<'_>, key: &str, what: &'static str) -> Result<Option<Timestamp>, XmlError> {
    Ok(tag.parse::<u64>(key, what)?.map(|seconds| Timestamp::from_millis(seconds.saturating_mul(1_000))))
}

fn method(scan_type: &str) -> ProbeMethod {
    match scan_type {
        "connect" => ProbeMethod::Connect,
        "syn" => ProbeMethod::Syn,
        "udp" => ProbeMethod::Udp,
        _ => ProbeMethod::Other,
    }
}

/// nmap's own list, which may hold port 0 and far more ranges than a person would write.
pub(super) fn port_list(protocol: Protocol, services: &str) -> Result<PortSet, XmlError> {
    let ranges: Option<Vec<(u16, u16)>> =
        services.split(',').map(str::trim).filter(|item| !item.is_empty()).map(port_range).collect();
    let unreadable = || XmlError::Unreadable { what: "the port list", value: Text::new(services) };
    Ok(PortSet::from_ranges(protocol, ranges.ok_or_else(unreadable)?))
}

fn port_range(item: &str) -> Option<(u16, u16)> {
    let (first, last) = item.split_once('-').unwrap_or((item, item));
    Some((first.parse().ok()?, last.parse().ok()?))
}
