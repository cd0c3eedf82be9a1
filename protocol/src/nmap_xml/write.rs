//! nmap's document as we write it: valid against its DTD, a host at a time, with no claim that the run does not prove.
//!
//! In `scaninfo` a document claims its ports for every host at once. So `scaninfo` names only ports that were probed on
//! each address that was asked; the exact coverage stands in results of scripts named `portdrift-…`, see `claims`.

use super::claims::{self, Claims};
use crate::observation::{
    Coverage, HostObservation, HostState, PortObservation, ProbeMethod, Service, ServiceMethod, UnlistedPorts,
};
use crate::port::{PortSet, Protocol};
use crate::target::TargetSet;
use crate::text::Text;
use crate::time::Timestamp;
use std::fmt::{self, Display, Write as _};
use std::io::{self, Write};

/// The most blocks of cells of which a common part is worked out for `scaninfo`; with more it is left empty.
const MAX_BLOCKS: usize = 256;
/// The most bytes of one value: four of them, as a service has, make a tag that readers take. Only hostile text gets
/// there, when each of its bytes becomes a reference; it is cut and ends in `…`.
const MAX_VALUE_BYTES: usize = 14 << 10;
/// The most port ranges of one `scaninfo`; at 12 bytes a range it is below [`MAX_VALUE_BYTES`].
const MAX_RANGES: usize = 1_000;

/// What a document says of the run itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFacts {
    /// What was asked for, as a command line.
    pub args: Text,
    /// Whose version: nmap's, or ours.
    pub version: Text,
    /// When the run started.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// Why it did not look at everything it was asked to; `None` when it did.
    pub shortfall: Option<Text>,
}

/// Writes the document of one run: its facts, what its tasks covered, and the hosts they saw.
///
/// Hosts that no task claims to have asked, and ports that none probed on their host, are left out. Addresses that were
/// asked and are not there count as down; those that were not observed are neither up nor down, and not in the total.
///
/// # Errors
/// What `hosts` yields, or what `out` says.
pub fn write<E: From<io::Error>>(
    out: impl Write,
    run: &RunFacts,
    coverage: &[Coverage],
    hosts: impl IntoIterator<Item = Result<HostObservation, E>>,
) -> Result<(), E> {
    let claims = Claims::of(coverage);
    let mut document = Document { out, line: String::new(), names_engines: claims.services.len() > 1 };
    document.head(run, &claims)?;
    let mut up = 0u128;
    let mut settled = claims.asked.minus(&claims.by_port_only).count();
    for host in hosts {
        let host = host?;
        if !claims.asked.contains(host.address) {
            continue;
        }
        document.host(&host, &claims.ports_of(host.address))?;
        up += u128::from(host.state == HostState::Up);
        settled = settled.saturating_add(u128::from(claims.by_port_only.contains(host.address)));
    }
    document.tail(run, up, settled)?;
    Ok(document.out.flush()?)
}

struct Document<W> {
    out: W,
    /// The element that is being put together; it keeps its room.
    line: String,
    /// Whether services were identified in several ways.
    names_engines: bool,
}

impl<W: Write> Document<W> {
    fn head(&mut self, run: &RunFacts, claims: &Claims) -> io::Result<()> {
        self.line.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE nmaprun>\n");
        self.open("nmaprun");
        self.attribute("scanner", "nmap");
        self.attribute("args", &run.args);
        self.attribute("start", whole_seconds(run.start));
        self.attribute("version", &run.version);
        self.attribute("xmloutputversion", "1.05");
        self.line.push_str(">\n");
        for (method, protocol, ports) in common_ports(claims) {
            let Some(word) = claims::scan_type(method, protocol) else { continue };
            for ranges in ports.ranges(protocol).chunks(MAX_RANGES) {
                let part = PortSet::from_ranges(protocol, ranges.iter().copied());
                self.open("scaninfo");
                self.attribute("type", word);
                self.attribute("protocol", protocol);
                self.attribute("numservices", part.count());
                self.attribute("services", claims::services(ranges));
                self.close();
            }
        }
        self.line.push_str("<verbose level=\"0\"/>\n<debugging level=\"0\"/>\n");
        self.claims(claims)
    }

    fn claims(&mut self, claims: &Claims) -> io::Result<()> {
        let mut scripts = claims.scripts().peekable();
        let (start, end) = if scripts.peek().is_some() { ("<prescript>", "</prescript>\n") } else { ("", "") };
        self.line.push_str(start);
        for (id, output) in scripts {
            self.open("script");
            self.attribute("id", id);
            self.attribute("output", output);
            self.close();
            self.send()?;
        }
        self.line.push_str(end);
        self.send()
    }

    fn host(&mut self, host: &HostObservation, covered: &PortSet) -> io::Result<()> {
        let HostObservation { address, state, reason, seen, names, mac, os, ports, unlisted } = host;
        self.open("host");
        self.attribute("endtime", whole_seconds(*seen));
        self.line.push('>');
        self.open("status");
        self.attribute("state", if *state == HostState::Up { "up" } else { "down" });
        self.attribute("reason", reason);
        self.attribute("reason_ttl", 0);
        self.close();
        self.open("address");
        self.attribute("addr", address);
        self.attribute("addrtype", if address.is_ipv4() { "ipv4" } else { "ipv6" });
        self.close();
        if let Some(mac) = mac {
            self.open("address");
            self.attribute("addr", &mac.address);
            self.attribute("addrtype", "mac");
            self.told("vendor", &mac.vendor);
            self.close();
        }
        self.line.push_str("<hostnames>\n");
        for name in names {
            self.open("hostname");
            self.attribute("name", name);
            self.attribute("type", "PTR");
            self.close();
        }
        self.line.push_str("</hostnames>\n<ports>");
        let probed = |part: &&UnlistedPorts| !covered.ranges(part.protocol).is_empty();
        unlisted.iter().filter(probed).for_each(|part| self.unlisted(part));
        ports.iter().filter(|port| covered.contains(port.protocol, port.port)).for_each(|port| self.port(port));
        self.line.push_str("</ports>\n");
        if let Some(os) = os {
            self.line.push_str("<os>");
            self.open("osmatch");
            self.attribute("name", &os.name);
            self.attribute("accuracy", os.accuracy);
            self.attribute("line", 0);
            self.line.push_str("/></os>\n");
        }
        self.line.push_str("</host>\n");
        self.send()
    }

    fn unlisted(&mut self, part: &UnlistedPorts) {
        let UnlistedPorts { protocol, state, count } = part;
        self.open("extraports");
        self.attribute("state", state);
        self.attribute("count", count);
        self.line.push_str(">\n");
        self.open("extrareasons");
        self.attribute("reason", "unknown-response");
        self.attribute("count", count);
        self.attribute("proto", protocol);
        self.line.push_str("/>\n</extraports>\n");
    }

    fn port(&mut self, port: &PortObservation) {
        let PortObservation { protocol, port, state, reason, service } = port;
        self.open("port");
        self.attribute("protocol", protocol);
        self.attribute("portid", port);
        self.line.push('>');
        self.open("state");
        self.attribute("state", state);
        self.attribute("reason", reason);
        self.attribute("reason_ttl", 0);
        self.line.push_str("/>");
        if let Some(service) = service {
            self.service(service);
        }
        self.line.push_str("</port>\n");
    }

    /// nmap's confidence is 3 for a name from the table and 10 for one that was probed.
    fn service(&mut self, service: &Service) {
        let Service { name, product, version, extra, tls, method, by } = service;
        let (word, confidence) = match method {
            ServiceMethod::Table => ("table", 3),
            ServiceMethod::Probed => ("probed", 10),
        };
        self.open("service");
        self.attribute("name", name);
        self.told("product", product);
        self.told("version", version);
        self.told("extrainfo", extra);
        if *tls {
            self.attribute("tunnel", "ssl");
        }
        self.attribute("method", word);
        self.attribute("conf", confidence);
        self.line.push_str("/>");
        if self.names_engines && !by.is_empty() {
            self.open("script");
            self.attribute("id", claims::BY);
            self.attribute("output", by);
            self.line.push_str("/>");
        }
    }

    fn tail(&mut self, run: &RunFacts, up: u128, settled: u128) -> io::Result<()> {
        let down = settled.saturating_sub(up);
        self.line.push_str("<runstats>");
        self.open("finished");
        self.attribute("time", whole_seconds(run.end));
        self.attribute("elapsed", run.end.since(run.start).as_secs());
        match &run.shortfall {
            None => self.attribute("exit", "success"),
            Some(why) => {
                self.attribute("exit", "error");
                self.attribute("errormsg", why);
            }
        }
        self.close();
        self.open("hosts");
        self.attribute("up", up);
        self.attribute("down", down);
        self.attribute("total", settled);
        self.line.push_str("/>\n</runstats>\n</nmaprun>\n");
        self.send()
    }

    fn open(&mut self, name: &str) {
        self.line.push('<');
        self.line.push_str(name);
    }

    fn attribute(&mut self, name: &str, value: impl Display) {
        // Writing to a string never fails.
        let _ = write!(self.line, " {name}=\"");
        let end = self.line.len() + MAX_VALUE_BYTES;
        let _ = write!(Escaped { line: &mut self.line, end }, "{value}");
        self.line.push('"');
    }

    /// As [`Self::attribute`], but nothing for an empty text, which means "not told".
    fn told(&mut self, name: &str, value: &Text) {
        if !value.is_empty() {
            self.attribute(name, value);
        }
    }

    fn close(&mut self) {
        self.line.push_str("/>\n");
    }

    fn send(&mut self) -> io::Result<()> {
        self.out.write_all(self.line.as_bytes())?;
        self.line.clear();
        Ok(())
    }
}

/// Takes text in as the value of an attribute. What XML 1.0 cannot hold at all stands there as a visible escape.
struct Escaped<'a> {
    line: &'a mut String,
    /// Where the value must end.
    end: usize,
}

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if self.line.len() > self.end {
                self.line.push('…');
                return Err(fmt::Error);
            }
            match character {
                '&' => self.line.push_str("&amp;"),
                '<' => self.line.push_str("&lt;"),
                '>' => self.line.push_str("&gt;"),
                '"' => self.line.push_str("&quot;"),
                '\'' => self.line.push_str("&apos;"),
                '\u{fffe}' | '\u{ffff}' => write!(self.line, "{}", character.escape_unicode())?,
                _ if character.is_control() => write!(self.line, "{}", character.escape_unicode())?,
                _ => self.line.push(character),
            }
        }
        Ok(())
    }
}

fn whole_seconds(time: Timestamp) -> u64 {
    time.as_millis() / 1_000
}

/// The ports that were probed in one way on every address that was asked.
fn common_ports(claims: &Claims) -> Vec<(ProbeMethod, Protocol, PortSet)> {
    let mut common = Vec::new();
    for method in [ProbeMethod::Connect, ProbeMethod::Syn, ProbeMethod::Udp] {
        let blocks: Vec<(&PortSet, &TargetSet)> = claims
            .probed
            .iter()
            .filter(|((asked, _), _)| *asked == method)
            .map(|((_, ports), targets)| (ports, targets))
            .collect();
        if blocks.len() > MAX_BLOCKS {
            continue;
        }
        // The addresses that were asked, cut into parts with the same ports.
        let mut parts = vec![(claims.asked.clone(), PortSet::empty())];
        for (ports, targets) in blocks {
            parts = parts
                .into_iter()
                .flat_map(|(addresses, known)| {
                    let with = (addresses.intersection(targets), known.union(ports));
                    [with, (addresses.minus(targets), known)]
                })
                .filter(|(addresses, _)| !addresses.is_empty())
                .collect();
        }
        let all = parts.into_iter().map(|(_, ports)| ports).reduce(|all, ports| all.intersection(&ports));
        let all = all.unwrap_or_default();
        let named = Protocol::ALL.into_iter().map(|protocol| (method, protocol, all.only(protocol)));
        common.extend(named.filter(|(.., ports)| !ports.is_empty()));
    }
    common
}

#[cfg(test)]
mod tests;
