//! What there is to find: which hosts have which ports, where of them something listens, and the process that listens.

use crate::Outcome;
use crate::chance::Chance;
use rustix::process::{Resource, getrlimit, setrlimit};
use std::collections::BTreeSet;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};

/// The argument that makes this program listen; [`Field::words`] follow.
pub(crate) const LISTEN: &str = "--listen";
/// The first host is 198.18.1.1. The network belongs to tests (RFC 2544) and lives only in the namespaces.
pub(crate) const NET: [u8; 3] = [198, 18, 1];

/// Hosts with the same number of ports each, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) hosts: u8,
    pub(crate) ports: u16,
    /// Ports of each host on which something listens; other ones on each.
    pub(crate) open: u16,
    /// Whether the hosts drop whatever comes, so that nothing can be found.
    pub(crate) is_silent: bool,
}

impl Field {
    pub(crate) fn words(self) -> Vec<String> {
        vec![LISTEN.to_owned(), self.hosts.to_string(), self.ports.to_string(), self.open.to_string()]
    }

    fn of(mut words: impl Iterator<Item = String>) -> Outcome<Self> {
        let mut word = || words.next().ok_or("a word is missing");
        let (hosts, ports, open) = (word()?.parse()?, word()?.parse()?, word()?.parse()?);
        Ok(Self { hosts, ports, open, is_silent: false })
    }

    pub(crate) fn addresses(self) -> impl Iterator<Item = Ipv4Addr> {
        let [a, b, c] = NET;
        (1..=self.hosts).map(move |last| Ipv4Addr::new(a, b, c, last))
    }

    /// The hosts as nmap and Portdrift write them.
    pub(crate) fn targets(self) -> String {
        let [a, b, c] = NET;
        if self.hosts == 1 { format!("{a}.{b}.{c}.1") } else { format!("{a}.{b}.{c}.1-{}", self.hosts) }
    }

    /// The ports as every scanner writes them.
    pub(crate) fn port_range(self) -> String {
        format!("1-{}", self.ports)
    }

    /// Addresses times ports.
    pub(crate) fn cells(self) -> u32 {
        u32::from(self.hosts) * u32::from(self.ports)
    }

    /// Where something listens.
    pub(crate) fn listening(self) -> BTreeSet<SocketAddrV4> {
        self.addresses().flat_map(|address| self.ports_of(address)).collect()
    }

    /// What a scanner can find.
    pub(crate) fn open(self) -> BTreeSet<SocketAddrV4> {
        if self.is_silent { BTreeSet::new() } else { self.listening() }
    }

    fn ports_of(self, address: Ipv4Addr) -> BTreeSet<SocketAddrV4> {
        let mut chance = Chance(u64::from(address.to_bits()));
        let mut found = BTreeSet::new();
        while found.len() < usize::from(self.open.min(self.ports)) {
            let port = 1 + chance.next() % u64::from(self.ports);
            found.extend(u16::try_from(port).map(|port| SocketAddrV4::new(address, port)));
        }
        found
    }
}

/// The process: listens until standard input ends. The kernel completes connections; nobody speaks on them.
pub(crate) fn listen(words: impl Iterator<Item = String>) -> Outcome<()> {
    let mut limits = getrlimit(Resource::Nofile);
    limits.current = limits.maximum;
    setrlimit(Resource::Nofile, limits)?;
    let listening = Field::of(words)?.listening();
    let held: Vec<TcpListener> = listening.into_iter().map(TcpListener::bind).collect::<Result<_, _>>()?;
    crate::part::say(&"ready")?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    drop(held);
    Ok(())
}
