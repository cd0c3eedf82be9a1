//! Who scans: the product in each of its modes and its peers, how each is called, and how its words are read.

use crate::field::Field;
use crate::lab::{FAR_MAC, NEAR, SPARE};
use crate::product;
use std::collections::BTreeSet;
use std::net::SocketAddrV4;

/// A scanner with its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scanner {
    /// The built-in engine; the option that chooses the mode.
    Ours(&'static str),
    Nmap(&'static str),
    /// Packets a second.
    Masscan(u32),
    Rustscan,
}

pub(crate) const SYN: Scanner = Scanner::Ours("-sS");
pub(crate) const CONNECT: Scanner = Scanner::Ours("-sT");

/// What a scanner said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) open: BTreeSet<SocketAddrV4>,
    pub(crate) filtered: u64,
    /// How the product says that it scanned.
    pub(crate) method: Option<String>,
}

impl Scanner {
    /// How it must have scanned, where it can choose.
    pub(crate) fn method(self) -> Option<&'static str> {
        match self {
            Self::Ours("-sS") => Some("Syn"),
            Self::Ours(_) => Some("Connect"),
            Self::Nmap(_) | Self::Masscan(_) | Self::Rustscan => None,
        }
    }

    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Ours(_))
    }

    pub(crate) fn name(self) -> String {
        match self {
            Self::Ours(mode) => format!("portdrift {}", if mode == "-sS" { "SYN" } else { "connect" }),
            Self::Nmap(options) => format!("nmap {options}"),
            Self::Masscan(rate) => format!("masscan --rate {rate}"),
            Self::Rustscan => "rustscan".to_owned(),
        }
    }

    /// Why it cannot take part, and what to do about that.
    pub(crate) fn absence(self) -> Option<String> {
        let missing = |program: &str, get: &str| {
            let found = std::env::var_os("PATH")
                .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).exists()));
            if found { None } else { Some(format!("not installed: {get}")) }
        };
        match self {
            Self::Ours(mode) => product::refusal(mode),
            Self::Nmap(_) => missing("nmap", "apt-get install nmap"),
            Self::Masscan(_) => missing("masscan", "apt-get install masscan"),
            Self::Rustscan => missing("rustscan", "cargo install rustscan --version 2.4.1"),
        }
    }

    /// The command that scans `field`; `program` is this very bench.
    pub(crate) fn command(self, program: &str, field: Field) -> Vec<String> {
        let (targets, ports) = (field.targets(), field.port_range());
        let line = match self {
            Self::Ours(mode) => format!("{program} {} {targets} {ports} -Pn -T4 {mode}", product::SCAN),
            Self::Nmap(options) => format!("nmap -n -Pn {options} -p {ports} -oG - {targets}"),
            Self::Masscan(rate) => {
                let first = field.addresses().next().map(|address| address.to_string()).unwrap_or_default();
                let last = field.addresses().last().map(|address| address.to_string()).unwrap_or_default();
                format!(
                    "masscan {first}-{last} -p {ports} --rate {rate} --wait 2 --adapter {NEAR} --adapter-ip {SPARE} \
                    --router-mac {FAR_MAC} -oL -"
                )
            }
            Self::Rustscan => {
                format!("rustscan --no-config --no-banner --greppable --ulimit 8192 -a {targets} -r {ports}")
            }
        };
        line.split_whitespace().map(str::to_owned).collect()
    }

    /// What its output says.
    pub(crate) fn read(self, output: &str) -> Found {
        let mut found = Found::default();
        for line in output.lines() {
            match self {
                Self::Ours(_) => read_ours(line, &mut found),
                Self::Nmap(_) => read_nmap(line, &mut found),
                Self::Masscan(_) => found.open.extend(read_masscan(line)),
                Self::Rustscan => found.open.extend(read_rustscan(line)),
            }
        }
        found
    }
}

fn read_ours(line: &str, found: &mut Found) {
    match line.split_once(' ') {
        Some(("open", cell)) => found.open.extend(cell.parse::<SocketAddrV4>()),
        Some(("filtered", count)) => found.filtered += count.parse().unwrap_or(0),
        Some(("by", method)) => found.method = Some(method.to_owned()),
        Some(_) | None => {}
    }
}

/// `Host: 198.18.1.1 ()`, `Ports: 22/open/tcp//ssh///, 25/filtered/tcp//smtp///` and `Ignored State: closed (998)`, with
/// tabs between them.
fn read_nmap(line: &str, found: &mut Found) {
    let Some((address, rest)) = line.strip_prefix("Host: ").and_then(|rest| rest.split_once(' ')) else { return };
    let Ok(address) = address.parse() else { return };
    for part in rest.split('\t') {
        if let Some(ports) = part.strip_prefix("Ports: ") {
            for port in ports.split(", ") {
                let mut fields = port.split('/');
                match (fields.next().map(str::parse), fields.next()) {
                    (Some(Ok(port)), Some("open")) => drop(found.open.insert(SocketAddrV4::new(address, port))),
                    (Some(Ok(_)), Some("filtered")) => found.filtered += 1,
                    _ => {}
                }
            }
        }
        let ignored = part.strip_prefix("Ignored State: filtered (").and_then(|rest| rest.split(')').next());
        found.filtered += ignored.and_then(|count| count.parse::<u64>().ok()).unwrap_or(0);
    }
}

/// `open tcp 22 198.18.1.1 1700000000`
fn read_masscan(line: &str) -> Option<SocketAddrV4> {
    let mut words = line.strip_prefix("open tcp ")?.split(' ');
    let port = words.next()?.parse().ok()?;
    Some(SocketAddrV4::new(words.next()?.parse().ok()?, port))
}

/// `198.18.1.1 -> [22,80]`
fn read_rustscan(line: &str) -> Vec<SocketAddrV4> {
    let Some((address, ports)) = line.split_once(" -> [") else { return Vec::new() };
    let Ok(address) = address.trim().parse() else { return Vec::new() };
    let ports = ports.trim_end_matches(']').split(',').filter_map(|port| port.trim().parse().ok());
    ports.map(|port| SocketAddrV4::new(address, port)).collect()
}
