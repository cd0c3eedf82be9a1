//! What changes by itself, and so never makes a change. The rule per protocol stands here.
//!
//! It holds for every engine. The built-in one leaves such things out where it reads an answer, see `engine/service.rs`
//! of the node; nmap and documents that are imported tell some of them.

use protocol::observation::{MacAddress, PortObservation, Service, ServiceMethod};
use protocol::text::Text;
use std::collections::BTreeSet;

/// Names that say that something accepts, not what: the connection was closed, or nothing was recognised in time.
const NOT_IDENTIFIED: [&str; 3] = ["", "tcpwrapped", "unknown"];

/// Services whose every answer tells the time, or who is there: nothing but their name is compared.
const NEWS: [&str; 8] = ["daytime", "time", "qotd", "finger", "systat", "netstat", "rusersd", "rwho"];

/// What begins a clause of the extra information that counts, or tells the time, in every protocol; a number may
/// stand before it.
const ALWAYS: [&str; 20] = [
    "uptime",
    "up",
    "time",
    "local time",
    "current time",
    "server time",
    "date",
    "clients",
    "users",
    "players",
    "listeners",
    "connections",
    "connected",
    "sessions",
    "session",
    "load",
    "pid",
    "requests",
    "queries",
    "queue",
];

/// The same for single protocols; they are known by the name of the service, or by the first word of the product.
const PER_SERVICE: [(&[&str], &[&str]); 15] = [
    (&["ftp", "ftps"], &["you are user", "user number"]),
    (&["pop3", "pop3s", "imap", "imaps", "smtp", "smtps", "nntp"], &["id", "queued", "messages"]),
    (&["mysql", "mariadb"], &["thread", "threads", "connection id", "salt", "questions"]),
    (&["redis"], &["used_memory", "total_commands", "keys"]),
    (&["memcache", "memcached"], &["curr_", "total_", "bytes", "items"]),
    (&["ntp"], &["stratum", "refid", "reference", "offset", "jitter", "delay", "clock"]),
    (&["snmp"], &["engineboots", "enginetime", "snmpengineboots", "snmpenginetime"]),
    (&["minecraft", "quake", "quake3", "teamspeak", "mumble", "murmur", "ventrilo"], &["message", "map", "channels"]),
    (&["shoutcast", "icecast"], &["now playing", "song", "bitrate"]),
    (&["irc", "ircs"], &["local users", "global users", "servers", "channels"]),
    (&["elasticsearch", "wap-wsp"], &["name", "node"]),
    (
        &["bitcoin", "bitcoin-jsonrpc", "ethereum", "bittorrent-tracker"],
        &["height", "block", "blocks", "peers", "torrents", "seeders"],
    ),
    (&["zookeeper", "eforward"], &["latency", "received", "sent", "outstanding", "zxid", "node count", "mode"]),
    (&["hp-pjl", "jetdirect", "ipp", "printer"], &["page count", "pages", "status", "toner", "display"]),
    (&["nut", "apcupsd"], &["battery", "charge", "runtime", "status", "line voltage"]),
];

/// What a port's service was identified as; a guess from the number is no identification.
pub(super) fn identified(port: &PortObservation) -> Option<&Service> {
    let told = |service: &&Service| {
        service.method == ServiceMethod::Probed && !NOT_IDENTIFIED.contains(&service.name.as_str())
    };
    port.service.as_ref().filter(told)
}

/// True when two identified services are the same, volatile fields left out. What only one side tells is no difference:
/// a service may be recognised less fully from one time to the next. So this is not transitive: see [`fuller`].
pub fn same_service(a: &Service, b: &Service) -> bool {
    agree(a, b, |a, b| a || b)
}

/// True when `seen` is the service that was `expected`, and tells all that was expected of it.
pub fn is_service(seen: &Service, expected: &Service) -> bool {
    agree(seen, expected, |_, expected| expected)
}

/// The service as it is known once it was `seen`: what it does not tell this time stays as it was, unless it changed.
pub(super) fn fuller(known: &Service, seen: &Service) -> Service {
    if !same_service(known, seen) {
        return seen.clone();
    }
    let told = |known: &Text, seen: &Text| if seen.is_empty() { known.clone() } else { seen.clone() };
    let is_silent = stable(seen).is_empty();
    Service {
        product: told(&known.product, &seen.product),
        version: told(&known.version, &seen.version),
        extra: if is_silent { known.extra.clone() } else { seen.extra.clone() },
        ..seen.clone()
    }
}

/// Compares what two services tell; `excused` says whether one of two different fields may be empty, told which are.
fn agree(a: &Service, b: &Service, excused: impl Fn(bool, bool) -> bool) -> bool {
    if a == b {
        return true;
    }
    if a.name != b.name || a.tls != b.tls {
        return false;
    }
    let [a_stable, b_stable] = [a, b].map(stable);
    let same = |a: &Text, b: &Text| a == b || excused(a.is_empty(), b.is_empty());
    let same_extra = |a: Vec<&str>, b: Vec<&str>| a == b || excused(a.is_empty(), b.is_empty());
    NEWS.contains(&a.name.as_str())
        || same(&a.product, &b.product) && same(&a.version, &b.version) && same_extra(a_stable, b_stable)
}

/// True when two lists hold the same names: order, case and the dot at the end do not matter.
pub(super) fn same_names(a: &[Text], b: &[Text]) -> bool {
    let plain = |names: &[Text]| -> BTreeSet<String> {
        names.iter().map(|name| name.as_str().trim_end_matches('.').to_ascii_lowercase()).collect()
    };
    a == b || plain(a) == plain(b)
}

/// True when two link addresses are the same; the vendor is only looked up.
pub(super) fn same_link(a: &MacAddress, b: &MacAddress) -> bool {
    a.address.as_str().eq_ignore_ascii_case(b.address.as_str())
}

/// True for a locally administered link address, such as phones and virtual machines make up.
///
/// Source: IEEE 802, the second-least bit of the first octet.
pub(super) fn is_random(mac: &MacAddress) -> bool {
    let octet = mac.address.as_str().get(..2).and_then(|octet| u8::from_str_radix(octet, 16).ok());
    octet.is_some_and(|octet| octet & 0b10 != 0)
}

/// The clauses of an extra information that do not change by themselves.
fn stable(service: &Service) -> Vec<&str> {
    let product = service.product.as_str().split(' ').next().unwrap_or_default().to_ascii_lowercase();
    let is_its = |services: &[&str]| services.contains(&service.name.as_str()) || services.contains(&product.as_str());
    let special = PER_SERVICE.iter().filter(|(services, _)| is_its(services));
    let beginnings: Vec<&str> = special.flat_map(|(_, beginnings)| *beginnings).chain(&ALWAYS).copied().collect();
    let clauses = service.extra.as_str().split([';', ',']).map(str::trim).filter(|clause| !clause.is_empty());
    clauses.filter(|clause| !tells_time(clause) && !beginnings.iter().any(|begin| begins_with(clause, begin))).collect()
}

/// True when a clause begins with these words, behind a number if there is one: `uptime 3`, `Users: 0/20`, `12 users`.
fn begins_with(clause: &str, words: &str) -> bool {
    let clause = clause.trim_start_matches(|character: char| !character.is_ascii_alphabetic()).to_ascii_lowercase();
    let ends = |rest: &str| words.ends_with('_') || !rest.starts_with(char::is_alphanumeric);
    clause.strip_prefix(words).is_some_and(ends)
}

/// True when a clause holds a time of day, `12:34:56`, or a mail server's time stamp, `<1896.697170952@host>`.
fn tells_time(clause: &str) -> bool {
    let two_digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_time = |word: &str| word.split(':').count() == 3 && word.split(':').all(two_digits);
    let is_stamp = |word: &str| word.starts_with('<') && word.ends_with('>') && word.contains('@');
    clause.split_whitespace().any(|word| is_stamp(word) || is_time(word.trim_matches(['[', ']', '(', ')', '.'])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::cases;
    use proptest::prelude::*;

    fn service(name: &str, version: &str, extra: &str) -> Service {
        let method = ServiceMethod::Probed;
        Service { name: name.into(), version: version.into(), extra: extra.into(), method, ..Service::default() }
    }

    #[test]
    fn what_services_really_send_and_change_by_themselves_is_no_change() {
        let rows = [
            ("memcached", "uptime 12 seconds", "uptime 99 seconds"),
            ("memcached", "curr_items 3; Ubuntu", "curr_items 4; Ubuntu"),
            ("minecraft", "Protocol: 127, Message: A Server, Users: 0/20", "Protocol: 127, Message: Hi, Users: 3/20"),
            ("shoutcast", "12 listeners; now playing: A", "7 listeners; now playing: B"),
            ("ftp", "You are user number 3 of 50 allowed; TLS", "You are user number 9 of 50 allowed; TLS"),
            ("ftp", "Local time is now 10:12", "Local time is now 23:59"),
            ("pop3", "Dovecot; <1896.697170952@mail.example>", "Dovecot; <77.697179999@mail.example>"),
            ("smtp", "Tue 3 Mar 2026 10:00:01 +0100", "Wed 4 Mar 2026 11:22:33 +0100"),
            ("smtp", "session 4F2A; queue 3", "session 9B1C; queue 5"),
            ("mysql", "thread id 12; autocommit", "thread id 99; autocommit"),
            (
                "redis",
                "connected_clients:1; used_memory:10; uptime_in_seconds:5",
                "connected_clients:2; used_memory:12; uptime_in_seconds:9",
            ),
            ("ntp", "stratum 2; refid 10.0.0.1; offset 0.1", "stratum 3; refid 10.0.0.2; offset 0.4"),
            ("snmp", "net-snmp; engineBoots: 3; engineTime: 99", "net-snmp; engineBoots: 4; engineTime: 1"),
            ("irc", "local users: 12", "local users: 13"),
            ("elasticsearch", "name: Rictor; cluster: logs", "name: Thor; cluster: logs"),
            ("bitcoin", "height 800000; peers 8", "height 800001; peers 9"),
            ("zookeeper", "zxid 0x5; mode: leader", "zxid 0x6; mode: follower"),
            ("ipp", "page count 100; status: idle", "page count 101; status: printing"),
            ("nut", "battery 100; load 12", "battery 97; load 15"),
            ("http", "Ubuntu; clients 3", "Ubuntu; clients 9"),
            ("telnet", "up 3 days, load average 0.1, 4 users", "up 4 days, load average 0.3, 2 users"),
        ];
        for (name, a, b) in rows {
            assert!(same_service(&service(name, "1", a), &service(name, "1", b)), "{name}: {a} | {b}");
        }
        for name in NEWS {
            assert!(same_service(&service(name, "Mon", "x"), &service(name, "Tue", "y")), "{name}");
        }
    }

    #[test]
    fn a_rule_counts_for_its_product_too_whatever_the_service_is_called() {
        let of = |product: &str, extra: &str| Service { product: product.into(), ..service("http", "7", extra) };
        let (one, other) = ("name: Rictor; cluster: logs", "name: Thor; cluster: logs");
        let product = "Elasticsearch REST API";
        assert!(same_service(&of(product, one), &of(product, other)));
        assert!(!same_service(&of("nginx", one), &of("nginx", other)));
    }

    proptest! {
        #![proptest_config(cases(200, 2_000))]

        #[test]
        fn whatever_stands_behind_a_volatile_beginning_is_no_change_and_what_stands_beside_it_is(
            rests in proptest::array::uniform2("[ :=][a-zA-Z0-9 :./-]{0,20}"),
            kept in proptest::array::uniform2("linux [a-z]{4}"),
        ) {
            for (services, beginnings) in PER_SERVICE {
                for begin in beginnings.iter().chain(&ALWAYS) {
                    let [a, b] = [0, 1].map(|at| service(services[0], "1", &format!("{begin}{}; {}", rests[at], kept[0])));
                    prop_assert!(same_service(&a, &b), "{:?} {:?}", a, b);
                    prop_assert_eq!(same_service(&a, &a), true);
                    let other = service(services[0], "1", &format!("{begin}{}; {}", rests[1], kept[1]));
                    prop_assert_eq!(same_service(&a, &other), kept[0] == kept[1], "{:?} {:?}", a, other);
                }
            }
        }
    }

    #[test]
    fn every_beginning_of_the_table_counts_for_its_services_and_no_other() {
        for (services, beginnings) in PER_SERVICE {
            for (name, begin) in services.iter().flat_map(|name| beginnings.iter().map(move |begin| (*name, *begin))) {
                let (a, b) = (format!("{begin} 1; kept"), format!("{begin} 2; kept"));
                assert!(same_service(&service(name, "", &a), &service(name, "", &b)), "{name}: {a}");
                assert!(!same_service(&service("http", "", &a), &service("http", "", &b)), "http: {a}");
            }
        }
        for begin in ALWAYS {
            let (a, b) = (format!("{begin} 1"), format!("{begin}: 2"));
            assert!(same_service(&service("http", "", &a), &service("http", "", &b)), "{a}");
        }
    }

    #[test]
    fn what_only_looks_volatile_is_a_change() {
        let rows = [
            ("http", "Ubuntu", "Debian"),
            ("oracle", "database 11", "database 12"),
            ("http", "timeout 5", "timeout 9"),
            ("http", "upstream a", "upstream b"),
            ("http", "uptime 3; Ubuntu", "uptime 3; Debian"),
            ("vnc", "protocol 3.7", "protocol 3.8"),
            ("http", "at 00:11:22:33:44:55", "at 00:11:22:33:44:66"),
        ];
        for (name, a, b) in rows {
            assert!(!same_service(&service(name, "1", a), &service(name, "1", b)), "{name}: {a} | {b}");
        }
        assert!(!same_service(&service("ssh", "8", ""), &service("ssh", "9", "")));
        assert!(!same_service(&service("ssh", "8", ""), &service("ssh", "9", "Debian")));
        assert!(!same_service(&service("ssh", "8", ""), &service("http", "8", "")));
        assert!(!same_service(&service("http", "", ""), &Service { tls: true, ..service("http", "", "") }));
    }

    #[test]
    fn what_only_one_side_tells_is_no_change_but_no_proof_that_a_service_is_back() {
        let full = Service { product: "nginx".into(), ..service("http", "1.18", "Ubuntu") };
        let rows = [
            (Service { product: "".into(), ..full.clone() }, "no product"),
            (Service { version: "".into(), ..full.clone() }, "no version"),
            (Service { extra: "".into(), ..full.clone() }, "no extra"),
            (Service { extra: "uptime 3".into(), ..full.clone() }, "nothing that stays"),
            (service("http", "", ""), "the name alone"),
        ];
        for (less, name) in rows {
            assert!(same_service(&full, &less) && same_service(&less, &full), "{name}");
            assert!(!is_service(&less, &full) && is_service(&full, &less), "{name}");
            assert_eq!((fuller(&full, &less), fuller(&less, &full)), (full.clone(), full.clone()), "{name}");
        }
        let later = Service { version: "1.20".into(), ..full.clone() };
        assert_eq!(fuller(&full, &later), later);
        assert!(!is_service(&later, &full) && is_service(&full, &full));
    }

    #[test]
    fn names_and_link_addresses_have_one_meaning_in_many_spellings() {
        let names = |names: &[&str]| -> Vec<Text> { names.iter().map(|name| Text::new(name)).collect() };
        assert!(same_names(&names(&["A.example.", "b"]), &names(&["B", "a.EXAMPLE"])));
        assert!(!same_names(&names(&["a"]), &names(&["a", "b"])));
        let mac = |address: &str| MacAddress { address: address.into(), vendor: Text::default() };
        assert!(same_link(&mac("00:11:22:AA:BB:CC"), &mac("00:11:22:aa:bb:cc")));
        let random = ["02:00:00:00:00:01", "52:54:00:12:34:56", "DA:A1:19:00:00:01"].map(|text| is_random(&mac(text)));
        assert_eq!(random, [true; 3]);
        let made = ["00:11:22:AA:BB:CC", "AC:DE:48:00:11:22", "", "zz"].map(|text| is_random(&mac(text)));
        assert_eq!(made, [false; 4]);
    }
}
