//! The port sets that the built-in engine uses when a scan names none: one ordered list, and what is cut from it.
//!
//! The order is by how often a service is met on managed networks today, then by registration (IANA service names).

use protocol::args::DefaultPorts;
use protocol::port::{PortSet, Protocol};
use siphasher::sip::SipHasher13;
use std::collections::BTreeSet;
use std::hash::Hasher;

/// `-F`: the hundred TCP ports that are worth a first look.
const FAST: [u16; 100] = [
    80, 443, 22, 3389, 445, 8080, 8443, 21, 23, 25, 53, 135, 139, 3306, 5432, 5900, 110, 143, 993, 995, 587, 465, 111,
    389, 636, 88, 1433, 1521, 2049, 6379, 27017, 9200, 5060, 5985, 5986, 8000, 8888, 9090, 3000, 5000, 631, 515, 9100,
    179, 502, 102, 554, 1723, 873, 3128, 10000, 8081, 8008, 8009, 81, 5672, 15672, 1883, 8883, 11211, 2375, 2376, 6443,
    10250, 2379, 4369, 5601, 9092, 2181, 7001, 8006, 8086, 9000, 9443, 4443, 3268, 464, 593, 20000, 44818, 47808, 4840,
    1911, 2222, 5222, 5061, 5357, 548, 513, 514, 512, 37, 13, 7, 79, 113, 199, 49152, 49153, 5901,
];

/// Registered and customary TCP ports above 1024, next in order.
const HIGH: [u16; 275] = [
    1080, 1099, 1194, 1200, 1241, 1311, 1344, 1352, 1414, 1434, 1494, 1512, 1522, 1524, 1526, 1527, 1583, 1604, 1645,
    1666, 1700, 1701, 1720, 1755, 1801, 1812, 1863, 1900, 1935, 1962, 1984, 1998, 2000, 2001, 2002, 2004, 2010, 2020,
    2021, 2030, 2048, 2055, 2067, 2082, 2083, 2086, 2087, 2095, 2096, 2100, 2103, 2105, 2107, 2121, 2152, 2161, 2179,
    2200, 2221, 2323, 2332, 2377, 2380, 2381, 2383, 2404, 2424, 2455, 2480, 2525, 2601, 2604, 2628, 2638, 2717, 2869,
    2947, 2967, 3001, 3002, 3003, 3050, 3052, 3071, 3260, 3269, 3283, 3299, 3300, 3310, 3388, 3390, 3460, 3478, 3531,
    3541, 3632, 3689, 3690, 3702, 3780, 3790, 3868, 4000, 4001, 4022, 4040, 4063, 4064, 4070, 4111, 4190, 4242, 4321,
    4333, 4444, 4445, 4500, 4505, 4506, 4567, 4646, 4662, 4664, 4786, 4800, 4848, 4899, 4911, 4949, 5001, 5002, 5003,
    5004, 5005, 5006, 5007, 5009, 5010, 5038, 5040, 5044, 5050, 5051, 5080, 5094, 5100, 5101, 5150, 5190, 5201, 5223,
    5269, 5280, 5321, 5353, 5400, 5405, 5433, 5443, 5500, 5520, 5544, 5555, 5560, 5577, 5600, 5631, 5632, 5666, 5671,
    5683, 5800, 5801, 5858, 5873, 5902, 5903, 5938, 5984, 6000, 6001, 6002, 6010, 6060, 6066, 6112, 6129, 6346, 6363,
    6380, 6432, 6502, 6514, 6543, 6566, 6633, 6653, 6660, 6666, 6667, 6668, 6669, 6697, 6789, 6881, 6969, 7000, 7002,
    7007, 7070, 7071, 7077, 7180, 7199, 7210, 7272, 7288, 7443, 7474, 7547, 7548, 7634, 7657, 7676, 7687, 7777, 7778,
    7779, 7848, 7946, 8001, 8002, 8003, 8010, 8020, 8042, 8060, 8069, 8082, 8083, 8084, 8085, 8087, 8088, 8089, 8090,
    8091, 8096, 8098, 8099, 8112, 8118, 8123, 8126, 8139, 8140, 8161, 8172, 8181, 8200, 8222, 8291, 8300, 8301, 8333,
    8334, 8384, 8500, 8545, 8554, 8649, 8686, 8728, 8729,
];

/// More of the same, the highest numbers.
const HIGHEST: [u16; 133] = [
    8765, 8800, 8834, 8880, 8889, 8983, 9001, 9002, 9003, 9009, 9010, 9042, 9043, 9050, 9060, 9080, 9081, 9091, 9093,
    9094, 9096, 9099, 9101, 9102, 9103, 9104, 9110, 9111, 9151, 9160, 9191, 9201, 9300, 9306, 9389, 9390, 9392, 9418,
    9444, 9500, 9530, 9595, 9600, 9618, 9669, 9743, 9761, 9876, 9898, 9943, 9944, 9981, 9998, 9999, 10001, 10050,
    10051, 10080, 10099, 10162, 10243, 10255, 10443, 10554, 11000, 11112, 11300, 11371, 12000, 12345, 13720, 13721,
    13722, 13782, 13783, 14147, 14265, 15000, 15671, 16010, 16992, 16993, 17000, 17185, 18080, 18081, 18245, 19000,
    19999, 20547, 22222, 23023, 24800, 25565, 25672, 26000, 27015, 27018, 27019, 28015, 28017, 30000, 31337, 32400,
    32764, 32768, 32769, 33060, 34962, 34964, 37777, 38080, 40000, 41795, 44334, 47001, 48898, 49154, 49155, 49156,
    49157, 50000, 50050, 50070, 50090, 51413, 54321, 55553, 60000, 61616, 62078, 64738, 65000,
];

/// The set that `wanted` stands for; TCP only, which is all the built-in engine asks.
pub(super) fn default_set(wanted: DefaultPorts) -> PortSet {
    let count = match wanted {
        DefaultPorts::Fast => FAST.len(),
        DefaultPorts::Standard => standard_len(),
        DefaultPorts::Top(count) => usize::from(count),
    };
    PortSet::from_ports(Protocol::Tcp, ordered().take(count))
}

/// The ports of `set` in the order in which they are asked: the likely ones first, so that the pace is learned early.
pub(super) fn in_order(set: &PortSet) -> Vec<u16> {
    ordered().filter(|port| set.contains(Protocol::Tcp, *port)).collect()
}

/// The same ports in an order that `seed` draws: what is asked next tells nobody what comes after it, and what a filter
/// hides is spread over the whole scan.
pub(super) fn permuted(order: &[u16], seed: u64) -> Vec<u16> {
    let hash = |port: &u16| {
        let mut hasher = SipHasher13::new_with_keys(seed, 0);
        hasher.write(&port.to_be_bytes());
        hasher.finish()
    };
    let mut order = order.to_vec();
    order.sort_by_cached_key(hash);
    order
}

/// How many ports [`DefaultPorts::Standard`] has: both lists, and every port up to 1024.
fn standard_len() -> usize {
    FAST.iter().chain(&HIGH).chain(&HIGHEST).copied().chain(1..=1024).collect::<BTreeSet<u16>>().len()
}

/// Every TCP port once: the lists, then the system ports, then the rest.
fn ordered() -> impl Iterator<Item = u16> {
    let mut seen = BTreeSet::new();
    FAST.into_iter().chain(HIGH).chain(HIGHEST).chain(1..=u16::MAX).filter(move |port| seen.insert(*port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_default_set_has_its_documented_size_and_nests_in_the_next() {
        let fast = default_set(DefaultPorts::Fast);
        let standard = default_set(DefaultPorts::Standard);
        assert_eq!((fast.count(), standard.count()), (100, 1_492));
        assert_eq!(default_set(DefaultPorts::Top(100)), fast);
        assert!(fast.minus(&standard).is_empty());
        assert!((1..=1024).all(|port| standard.contains(Protocol::Tcp, port)));
        assert_eq!(default_set(DefaultPorts::Top(8_300)).count(), 8_300);
    }

    #[test]
    fn every_port_is_asked_once_and_the_likely_ones_first() {
        let all = PortSet::from_ranges(Protocol::Tcp, [(1, 65_535)]);
        let order = in_order(&all);
        assert_eq!(order.len(), 65_535);
        assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), 65_535);
        assert_eq!(order[..3], [80, 443, 22]);
    }

    #[test]
    fn a_permuted_order_has_the_same_ports_and_another_seed_gives_another_order() {
        let order: Vec<u16> = (1..=1_000).collect();
        let (one, other) = (permuted(&order, 1), permuted(&order, 2));
        assert_ne!(one, other);
        assert_eq!(one.iter().collect::<BTreeSet<_>>(), order.iter().collect::<BTreeSet<_>>());
        let neighbours = one.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) == 1).count();
        assert!(neighbours < 20, "{neighbours} neighbours are asked one after the other");
    }
}
