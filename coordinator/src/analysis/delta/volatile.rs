//! Fields of a service that change by themselves, and so never make a change. The rule per protocol stands here.

use protocol::observation::Service;

/// Services whose every answer holds the time: nothing but their name is compared.
const CLOCKS: [&str; 3] = ["daytime", "time", "qotd"];

/// Words that begin a clause of the extra information which counts or tells the time, in every protocol: `uptime 12
/// seconds` (memcached), `clients 3` and `connections: 9` (databases, mail), dates of banners.
const COUNTERS: [&str; 12] = [
    "uptime",
    "up ",
    "time",
    "date",
    "current time",
    "local time",
    "clients",
    "users",
    "connections",
    "sessions",
    "load",
    "pid",
];

/// True when two identified services are the same, volatile fields left out.
pub fn same_service(a: &Service, b: &Service) -> bool {
    if a.name != b.name || a.tls != b.tls {
        return false;
    }
    CLOCKS.contains(&a.name.as_str())
        || (a.product == b.product && a.version == b.version && stable(a.extra.as_str()).eq(stable(b.extra.as_str())))
}

/// The clauses of an extra information that do not change by themselves.
fn stable(extra: &str) -> impl Iterator<Item = &str> {
    let clauses = extra.split([';', ',']).map(str::trim);
    clauses.filter(|clause| {
        let clause = clause.to_ascii_lowercase();
        !COUNTERS.iter().any(|counter| clause.starts_with(counter))
    })
}
