//! One host element on its way to a [`HostRecord`].

use super::claims;
use super::source::{Tag, Texts};
use super::summary::{ScanInfo, seconds};
use super::{Element, HostRecord, MAX_ITEMS, MAX_PORTS, XmlError};
use crate::observation::{
    HostObservation, HostState, MacAddress, OsGuess, PortObservation, PortState, Service, ServiceMethod, UnlistedPorts,
};
use crate::port::Protocol;
use crate::text::Text;
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What nmap calls a service that hung up before it said anything, as a busy one does too. It identifies nothing.
const HUNG_UP: &str = "tcpwrapped";

/// What errors call more ports than there are.
const PORTS_OF_HOST: &str = "a number of ports of a host";

/// What is known of the host whose element is open.
#[derive(Debug, Default)]
pub(super) struct HostBuilder {
    address: Option<IpAddr>,
    /// What its status says; `None` without one.
    status: Option<Status>,
    timed_out: bool,
    seen: Timestamp,
    names: Vec<Text>,
    mac: Option<MacAddress>,
    os: Option<OsGuess>,
    ports: Vec<PortObservation>,
    listed: BTreeMap<Protocol, usize>,
    port: Option<PortBuilder>,
    group: Option<UnlistedBuilder>,
    unlisted: Vec<UnlistedPorts>,
}

#[derive(Debug)]
struct Status {
    /// `None` for a word that is neither up nor down.
    state: Option<HostState>,
    reason: Text,
}

#[derive(Debug)]
struct PortBuilder {
    key: (Protocol, u16),
    state: Option<PortState>,
    reason: Text,
    service: Option<Service>,
}

#[derive(Debug)]
struct UnlistedBuilder {
    state: PortState,
    count: u32,
    parts: BTreeMap<Protocol, u32>,
}

impl HostBuilder {
    pub(super) fn start(tag: &Tag<'_>, run_start: Option<Timestamp>) -> Result<Self, XmlError> {
        let seen = seconds(tag, "endtime", "the end time of a host")?.or(run_start).unwrap_or_default();
        Ok(Self { seen, timed_out: tag.get("timedout") == Some("true"), ..Self::default() })
    }

    /// Takes in a tag inside a host; tells what it opens.
    pub(super) fn enter(&mut self, place: Element, tag: &Tag<'_>, texts: &mut Texts) -> Result<Element, XmlError> {
        use Element as E;
        match (place, tag.name()) {
            (E::Host, "hostnames") => return Ok(E::HostNames),
            (E::Host, "ports") => return Ok(E::Ports),
            (E::Host, "os") => return Ok(E::Os),
            (E::Host, "status") => self.set_status(tag, texts),
            (E::Host, "address") => self.add_address(tag, texts)?,
            (E::HostNames, "hostname") => self.add_name(tag)?,
            (E::Os, "osmatch") => self.add_os(tag)?,
            (E::Ports, "port") => {
                self.start_port(tag)?;
                return Ok(E::Port);
            }
            (E::Ports, "extraports") => {
                self.start_unlisted(tag)?;
                return Ok(E::ExtraPorts);
            }
            (E::ExtraPorts, "extrareasons") => self.split_unlisted(tag)?,
            (E::Port, "state") => self.set_port_state(tag, texts)?,
            (E::Port, "service") => self.set_service(tag, texts),
            (E::Port, "script") if tag.get("id") == Some(claims::BY) => self.set_engine(tag, texts),
            _ => {}
        }
        Ok(E::Other)
    }

    fn set_status(&mut self, tag: &Tag<'_>, texts: &mut Texts) {
        let state = match tag.get("state") {
            Some("up") => Some(HostState::Up),
            Some("down") => Some(HostState::Down),
            _ => None,
        };
        self.status = Some(Status { state, reason: texts.of(tag, "reason") });
    }

    fn add_address(&mut self, tag: &Tag<'_>, texts: &mut Texts) -> Result<(), XmlError> {
        match tag.get("addrtype").unwrap_or("ipv4") {
            "ipv4" | "ipv6" if self.address.is_none() => self.address = Some(tag.need("addr", "an address")?),
            "mac" => {
                let address = Text::new(&tag.get("addr").unwrap_or_default().to_ascii_uppercase());
                self.mac = Some(MacAddress { address, vendor: texts.of(tag, "vendor") });
            }
            _ => {}
        }
        Ok(())
    }

    /// A name of type `user` is what someone typed as the target, not what the network says.
    fn add_name(&mut self, tag: &Tag<'_>) -> Result<(), XmlError> {
        let name = tag.text("name");
        if tag.get("type") == Some("user") || name.is_empty() || self.names.contains(&name) {
            return Ok(());
        }
        self.names.push(name);
        limit(self.names.len(), MAX_ITEMS, "a number of names of a host")
    }

    fn add_os(&mut self, tag: &Tag<'_>) -> Result<(), XmlError> {
        let accuracy = tag.parse::<u8>("accuracy", "the accuracy of an operating system")?.unwrap_or(0).min(100);
        if self.os.as_ref().is_none_or(|best| best.accuracy < accuracy) {
            self.os = Some(OsGuess { name: tag.text("name"), accuracy });
        }
        Ok(())
    }

    /// IP protocols (`-sO`) stand among the ports too; they are none and are skipped.
    fn start_port(&mut self, tag: &Tag<'_>) -> Result<(), XmlError> {
        let Some(protocol) = tag.get("protocol").and_then(|name| name.parse().ok()) else { return Ok(()) };
        self.count_port(protocol)?;
        let key = (protocol, tag.need("portid", "a port number")?);
        self.port = Some(PortBuilder { key, state: None, reason: Text::default(), service: None });
        Ok(())
    }

    fn set_port_state(&mut self, tag: &Tag<'_>, texts: &mut Texts) -> Result<(), XmlError> {
        if let Some(port) = &mut self.port {
            port.state = Some(state(tag)?);
            port.reason = texts.of(tag, "reason");
        }
        Ok(())
    }

    /// masscan hands on what it read as `banner` and knows no method; its names are guesses.
    fn set_service(&mut self, tag: &Tag<'_>, texts: &mut Texts) {
        if let Some(port) = &mut self.port {
            let probed = tag.get("method") == Some("probed") && tag.get("name") != Some(HUNG_UP);
            port.service = Some(Service {
                name: texts.of(tag, "name"),
                product: texts.of(tag, "product"),
                version: texts.of(tag, "version"),
                extra: texts.of(tag, if tag.get("banner").is_some() { "banner" } else { "extrainfo" }),
                tls: tag.get("tunnel") == Some("ssl"),
                method: if probed { ServiceMethod::Probed } else { ServiceMethod::Table },
                by: Text::default(),
            });
        }
    }

    /// Which engine named the service that stands before.
    fn set_engine(&mut self, tag: &Tag<'_>, texts: &mut Texts) {
        if let Some(service) = self.port.as_mut().and_then(|port| port.service.as_mut()) {
            service.by = texts.of(tag, "output");
        }
    }

    /// What the element that ended came to.
    pub(super) fn end_port(&mut self) -> Result<Option<&PortObservation>, XmlError> {
        let Some(PortBuilder { key, state, reason, service }) = self.port.take() else { return Ok(None) };
        let state = state.ok_or(XmlError::Unreadable { what: "a port state", value: Text::default() })?;
        let (protocol, port) = key;
        self.ports.push(PortObservation { protocol, port, state, reason, service });
        Ok(self.ports.last())
    }

    /// Adds a port whose element was read before.
    pub(super) fn add_known(&mut self, port: &PortObservation) -> Result<(), XmlError> {
        self.count_port(port.protocol)?;
        self.ports.push(port.clone());
        Ok(())
    }

    fn count_port(&mut self, protocol: Protocol) -> Result<(), XmlError> {
        let count = self.listed.entry(protocol).or_default();
        *count += 1;
        limit(*count, MAX_PORTS, PORTS_OF_HOST)
    }

    fn start_unlisted(&mut self, tag: &Tag<'_>) -> Result<(), XmlError> {
        let count = tag.need("count", "the number of unlisted ports")?;
        self.group = Some(UnlistedBuilder { state: state(tag)?, count, parts: BTreeMap::new() });
        Ok(())
    }

    /// nmap 7.90 and later break the count down by reason and protocol; the reasons of one protocol are summed up.
    fn split_unlisted(&mut self, tag: &Tag<'_>) -> Result<(), XmlError> {
        let protocol = tag.get("proto").and_then(|name| name.parse::<Protocol>().ok());
        if let (Some(group), Some(protocol)) = (&mut self.group, protocol) {
            let count: u32 = tag.need("count", "the number of unlisted ports")?;
            let sum = group.parts.entry(protocol).or_default();
            *sum = sum.saturating_add(count);
        }
        Ok(())
    }

    /// Older versions do not say which protocol they mean. `open|filtered` comes from UDP where UDP was asked; else it
    /// is the first protocol that was.
    pub(super) fn end_unlisted(&mut self, scans: &[ScanInfo]) -> Result<(), XmlError> {
        let Some(UnlistedBuilder { state, count, mut parts }) = self.group.take() else { return Ok(()) };
        if parts.is_empty() {
            // Of all protocols together.
            limit_ports(count, MAX_PORTS * Protocol::ALL.len())?;
            let silent_udp = |scan: &&ScanInfo| state == PortState::OpenFiltered && scan.protocol == Protocol::Udp;
            let scan = scans.iter().find(silent_udp).or(scans.first());
            parts.insert(scan.map_or(Protocol::Tcp, |scan| scan.protocol), count);
        } else {
            parts.values().try_for_each(|count| limit_ports(*count, MAX_PORTS))?;
        }
        self.unlisted.extend(parts.into_iter().map(|(protocol, count)| UnlistedPorts { protocol, state, count }));
        limit(self.unlisted.len(), MAX_ITEMS, "a number of unlisted port states")
    }

    pub(super) fn finish(self) -> Result<HostRecord, XmlError> {
        let address = self.address.ok_or(XmlError::NoAddress)?;
        let status = self.status.or_else(|| told_by_port(self.ports.iter()));
        let (Some(Status { state: Some(state), reason }), false) = (status, self.timed_out) else {
            return Ok(HostRecord::NotObserved(address));
        };
        Ok(HostRecord::Observed(HostObservation {
            address,
            state,
            reason,
            seen: self.seen,
            names: self.names,
            mac: self.mac,
            os: self.os,
            ports: in_order(self.ports),
            unlisted: self.unlisted,
        }))
    }
}

/// Sorted, each port once: the one that came last. nmap writes them in order already.
fn in_order(mut ports: Vec<PortObservation>) -> Vec<PortObservation> {
    if !ports.is_sorted_by(|a, b| (a.protocol, a.port) < (b.protocol, b.port)) {
        let by_port: BTreeMap<_, _> = ports.into_iter().map(|port| ((port.protocol, port.port), port)).collect();
        ports = by_port.into_values().collect();
    }
    ports.shrink_to_fit();
    ports
}

/// masscan writes no status; a host with an open port is up.
fn told_by_port<'a>(mut ports: impl Iterator<Item = &'a PortObservation>) -> Option<Status> {
    let open = ports.find(|port| port.state == PortState::Open)?;
    Some(Status { state: Some(HostState::Up), reason: open.reason.clone() })
}

fn state(tag: &Tag<'_>) -> Result<PortState, XmlError> {
    let name = tag.get("state").unwrap_or_default();
    let known = PortState::ALL.iter().find(|(_, known)| *known == name).map(|(state, _)| *state);
    known.ok_or_else(|| XmlError::Unreadable { what: "a port state", value: Text::new(name) })
}

fn limit(count: usize, limit: usize, what: &'static str) -> Result<(), XmlError> {
    if count > limit { Err(XmlError::TooLarge { what, limit }) } else { Ok(()) }
}

fn limit_ports(count: u32, most: usize) -> Result<(), XmlError> {
    limit(usize::try_from(count).unwrap_or(usize::MAX), most, PORTS_OF_HOST)
}
