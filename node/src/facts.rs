//! What a node says of itself: names, addresses, load and engines. Read from the kernel's files, no program is run.

use crate::engine::EngineFacts;
use crate::policy::Policy;
use protocol::message::{EngineFact, NodeFacts};
use protocol::target::TargetSet;
use protocol::text::Text;
use std::collections::BTreeSet;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// How many addresses, and how many link addresses, are told.
const MAX_LISTED: usize = 16;

/// How much of one kernel file is read; the routes of a big router are left out.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Bits of the widest network that is taken whole.
const WIDEST: u32 = 22;

/// The mask of a /24.
const AROUND: u32 = 0xffff_ff00;

/// Reads what the machine says of itself, and what its owner's policy says.
pub(crate) fn read(engines: &EngineFacts, policy: &Policy) -> NodeFacts {
    let system = rustix::system::uname();
    let text = |raw: &std::ffi::CStr| Text::from_bytes(raw.to_bytes());
    let described = format!("{} {} {}", text(system.sysname()), text(system.release()), text(system.machine()));
    let mut facts = NodeFacts {
        version: env!("CARGO_PKG_VERSION").into(),
        system: described.into(),
        engines: engine_facts(engines),
        policy_ranges: own_ranges(policy),
        ..NodeFacts::default()
    };
    refresh(&mut facts);
    facts
}

/// Reads again what may change while a node runs.
pub(crate) fn refresh(facts: &mut NodeFacts) {
    facts.hostname = Text::from_bytes(rustix::system::uname().nodename().to_bytes());
    facts.addresses = own_addresses();
    facts.macs = macs(Path::new("/sys/class/net"));
}

/// The machine's own addresses but loopback and link-local ones; IPv4 first.
pub fn own_addresses() -> Vec<IpAddr> {
    addresses(&kernel_file("/proc/net/fib_trie"), &kernel_file("/proc/net/if_inet6"))
}

/// The IPv4 networks that this machine is in, each for itself. Of one that is wider than a /22, only the /24 around the
/// machine's own address: nobody means to scan a /8 because a machine stands in it.
pub fn own_networks() -> Vec<TargetSet> {
    networks(&kernel_file("/proc/net/route"), &kernel_file("/proc/net/fib_trie"))
}

/// The load average over one minute, in hundredths; 0 when the kernel does not tell.
pub(crate) fn load_hundredths() -> u32 {
    parse_load(&kernel_file("/proc/loadavg")).unwrap_or(0)
}

/// The ranges that the owner's policy sets; `None` when it sets no limit.
fn own_ranges(policy: &Policy) -> Option<TargetSet> {
    let end = |bits: [u8; 16]| IpAddr::V6(Ipv6Addr::from(bits));
    let four = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::BROADCAST));
    let everything = TargetSet::from_ranges([four, (end([0; 16]), end([255; 16]))]);
    Some(policy.ranges(&everything)).filter(|own| *own != everything)
}

/// A fact that the kernel does not tell is left out: facts are for people to read, nothing depends on them.
fn kernel_file(path: &str) -> String {
    let mut text = String::new();
    match std::fs::File::open(path).map(|file| file.take(MAX_FILE_BYTES).read_to_string(&mut text)) {
        Ok(Ok(_)) => text,
        Ok(Err(_)) | Err(_) => String::new(),
    }
}

fn engine_facts(engines: &EngineFacts) -> Vec<EngineFact> {
    let builtin = EngineFact { name: "builtin".into(), version: engines.builtin.as_str().into(), raw: engines.raw };
    let nmap = engines.nmap.as_ref().map(|nmap| EngineFact {
        name: "nmap".into(),
        version: nmap.version.as_str().into(),
        raw: nmap.raw,
    });
    std::iter::once(builtin).chain(nmap).collect()
}

fn parse_load(text: &str) -> Option<u32> {
    let (whole, part) = text.split_whitespace().next()?.split_once('.')?;
    let hundredths: u32 = part.get(..2)?.parse().ok()?;
    whole.parse::<u32>().ok()?.checked_mul(100)?.checked_add(hundredths)
}

/// Own addresses but loopback and link-local ones; IPv4 first.
fn addresses(fib_trie: &str, if_inet6: &str) -> Vec<IpAddr> {
    let four = local_ipv4(fib_trie).into_iter().map(IpAddr::V4);
    let six = local_ipv6(if_inet6).into_iter().map(IpAddr::V6);
    four.chain(six).take(MAX_LISTED).collect()
}

/// In the kernel's table an own address is a leaf `|-- address` with a line `/32 host LOCAL` below it.
fn local_ipv4(fib_trie: &str) -> BTreeSet<Ipv4Addr> {
    let mut leaf = None;
    let mut found = BTreeSet::new();
    for line in fib_trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse::<Ipv4Addr>().ok();
        } else if line == "/32 host LOCAL" {
            found.extend(leaf.filter(|address| !address.is_loopback()));
        }
    }
    found
}

fn local_ipv6(if_inet6: &str) -> BTreeSet<Ipv6Addr> {
    let words = if_inet6.lines().filter_map(|line| line.split_whitespace().next());
    let parsed = words.filter_map(|word| u128::from_str_radix(word, 16).ok()).map(Ipv6Addr::from);
    parsed.filter(|address| !address.is_loopback() && !address.is_unicast_link_local()).collect()
}

/// In the kernel's table of routes, networks without a gateway are those that the machine stands in.
fn networks(route: &str, fib_trie: &str) -> Vec<TargetSet> {
    let own = local_ipv4(fib_trie);
    let mut found: BTreeSet<(Ipv4Addr, Ipv4Addr)> = BTreeSet::new();
    for (network, mask) in route.lines().filter_map(direct_network) {
        let within = |address: &&Ipv4Addr| address.to_bits() & mask == network;
        match mask.leading_ones() {
            WIDEST.. => found.extend([ends(network, mask)]),
            _ => found.extend(own.iter().filter(within).map(|address| ends(address.to_bits() & AROUND, AROUND))),
        }
    }
    let set = |(first, last): (Ipv4Addr, Ipv4Addr)| TargetSet::from_ranges([(first.into(), last.into())]);
    found.into_iter().take(MAX_LISTED).map(set).collect()
}

/// The network and mask of a line that leads through no gateway, to more than one host. Numbers stand there as the
/// machine keeps them in memory.
fn direct_network(line: &str) -> Option<(u32, u32)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let number = |place: usize| {
        let field = fields.get(place)?;
        Some(u32::from_be_bytes(u32::from_str_radix(field, 16).ok()?.to_ne_bytes()))
    };
    let (network, gateway, mask) = (number(1)?, number(2)?, number(7)?);
    let is_link_local = Ipv4Addr::from_bits(network).is_link_local();
    (gateway == 0 && mask != 0 && mask != u32::MAX && !is_link_local).then_some((network, mask))
}

fn ends(network: u32, mask: u32) -> (Ipv4Addr, Ipv4Addr) {
    (Ipv4Addr::from_bits(network), Ipv4Addr::from_bits(network | !mask))
}

fn macs(interfaces: &Path) -> Vec<Text> {
    let Ok(folder) = std::fs::read_dir(interfaces) else { return Vec::new() };
    let read = |path: std::path::PathBuf| std::fs::read_to_string(path.join("address")).ok();
    let found: BTreeSet<String> = folder
        .filter_map(|interface| read(interface.ok()?.path()))
        .map(|address| address.trim().to_ascii_uppercase())
        .filter(|address| address.len() == 17 && address != "00:00:00:00:00:00")
        .collect();
    found.into_iter().take(MAX_LISTED).map(Text::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_addresses_are_told_but_not_loopback_or_link_local() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 192.0.2.0\n        /24 link UNICAST\n     |-- 192.0.2.9\n        /32 host LOCAL\n     |-- 192.0.2.255\n        /32 link BROADCAST\nLocal:\n     |-- 192.0.2.9\n        /32 host LOCAL\n";
        let six = "00000000000000000000000000000001 01 80 10 80       lo\nfe8000000000000000fc00fffe000001 04 40 20 80     eth0\n20010db8000000000000000000000002 04 40 00 82     eth0\n";
        let expected: Vec<IpAddr> = vec!["192.0.2.9".parse().unwrap(), "2001:db8::2".parse().unwrap()];
        assert_eq!(addresses(trie, six), expected);
        assert_eq!(addresses("", "nonsense"), Vec::<IpAddr>::new());
    }

    #[test]
    fn own_networks_are_those_without_a_gateway_and_a_wide_one_is_only_looked_at_nearby() {
        let number = |address: &str| {
            let bytes = address.parse::<Ipv4Addr>().unwrap().octets();
            format!("{:08X}", u32::from_ne_bytes(bytes))
        };
        let line = |network: &str, gateway: &str, mask: &str| {
            format!("eth0\t{}\t{}\t0001\t0\t0\t0\t{}\t0\t0\t0\n", number(network), number(gateway), number(mask))
        };
        let route = [
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n".to_owned(),
            line("0.0.0.0", "192.0.2.1", "0.0.0.0"),
            line("192.0.2.0", "0.0.0.0", "255.255.255.0"),
            line("10.0.0.0", "0.0.0.0", "255.0.0.0"),
            line("198.51.100.0", "192.0.2.1", "255.255.255.0"),
            line("203.0.113.7", "0.0.0.0", "255.255.255.255"),
            line("169.254.0.0", "0.0.0.0", "255.255.0.0"),
            line("172.16.4.0", "0.0.0.0", "255.255.252.0"),
        ];
        let leaf = |address: &str| format!("     |-- {address}\n        /32 host LOCAL\n");
        let trie = [leaf("192.0.2.9"), leaf("10.7.8.9"), leaf("127.0.0.1")].concat();
        let found = networks(&route.concat(), &trie);
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.7.8.0/24", "172.16.4.0/22", "192.0.2.0/24"]);
        assert_eq!(networks("", "nonsense"), Vec::<TargetSet>::new());
    }

    #[test]
    fn load_is_read_in_hundredths() {
        let read: Vec<Option<u32>> =
            ["0.52 0.58 0.59 1/467 12", "12.05 1 1", "", "x.yz", "99999999999.00"].map(parse_load).to_vec();
        assert_eq!(read, [Some(52), Some(1_205), None, None, None]);
    }

    #[test]
    fn ranges_are_told_only_when_the_owner_sets_them() {
        assert_eq!(own_ranges(&Policy::default()), None);
        let policy = Policy::parse("ranges = \"10.0.0.0/24\"").unwrap();
        assert_eq!(own_ranges(&policy), Some("10.0.0.0/24".parse().unwrap()));
    }

    #[test]
    fn link_addresses_are_told_once_and_empty_ones_left_out() {
        let folder = tempfile::tempdir().unwrap();
        for (name, address) in
            [("a", "02:00:5e:00:53:01\n"), ("b", "02:00:5e:00:53:01\n"), ("lo", "00:00:00:00:00:00\n")]
        {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join("address"), address).unwrap();
        }
        assert_eq!(macs(folder.path()), [Text::from("02:00:5E:00:53:01")]);
    }
}
