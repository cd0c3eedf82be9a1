//! How long one address of a run takes, roughly: for the size of tasks, and to weigh nodes against each other.

use super::plan::MAX_TASK_ADDRESSES;
use crate::scan::ScanDefinition;
use protocol::args::{DefaultPorts, ScanArgs};
use protocol::{PortSet, Protocol, TargetSet};
use std::time::Duration;

/// How long one task should take.
const TASK_TIME: Duration = Duration::from_secs(600);

/// What a cell takes by timing template, 0 to 5, while many hosts are asked at a time. The first three are nmap's own
/// pauses between probes; from 3 on a gentle pace of 500 and 1,000 cells a second.
const CELL_TIME: [Duration; 6] = [
    Duration::from_secs(300),
    Duration::from_secs(15),
    Duration::from_millis(400),
    Duration::from_micros(2_000),
    Duration::from_micros(1_000),
    Duration::from_micros(1_000),
];

/// A closed UDP port answers rarely, so that each is asked several times.
const UDP_PROBES: u32 = 4;

/// Hosts that wait side by side between two probes, when a scan delay is set.
const HOSTS_SIDE_BY_SIDE: u32 = 16;

/// What names of services, operating systems and scripts add, spread over addresses with and without a host.
const EXTRAS: [(&str, Duration); 4] = [
    ("-sV", Duration::from_secs(1)),
    ("-O", Duration::from_secs(1)),
    ("-sC", Duration::from_secs(1)),
    ("--script", Duration::from_secs(1)),
];

/// The weight of one address of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    per_address: Duration,
}

impl Weight {
    /// The weight that a definition gives each of its addresses.
    pub fn of(definition: &ScanDefinition) -> Self {
        Self::estimate(definition.ports(), definition.args())
    }

    fn estimate(ports: Option<&PortSet>, args: &ScanArgs) -> Self {
        let cells = cells_of_an_address(ports, args).max(1);
        let probing = cell_time(args).saturating_mul(cells);
        let extras = EXTRAS.iter().filter(|(name, _)| args.has(name)).map(|(_, time)| *time);
        let whole = extras.fold(probing, Duration::saturating_add);
        Self { per_address: args.host_timeout().map_or(whole, |limit| whole.min(limit)) }
    }

    /// The most addresses of one task: about ten minutes' worth, at most 256.
    pub fn task_addresses(self) -> u128 {
        TASK_TIME
            .as_micros()
            .checked_div(self.per_address.as_micros())
            .unwrap_or(u128::MAX)
            .clamp(1, MAX_TASK_ADDRESSES)
    }

    /// What these addresses weigh, in milliseconds of work.
    pub fn of_targets(self, targets: &TargetSet) -> u64 {
        let micros = self.per_address.as_micros().saturating_mul(targets.count());
        u64::try_from(micros / 1_000).unwrap_or(u64::MAX)
    }
}

/// How many ports of each protocol an engine takes when none are named.
pub(crate) fn default_ports(args: &ScanArgs) -> u32 {
    match args.default_ports() {
        DefaultPorts::Standard => 1_000,
        DefaultPorts::Fast => 100,
        DefaultPorts::Top(count) => u32::from(count),
    }
}

fn cells_of_an_address(ports: Option<&PortSet>, args: &ScanArgs) -> u32 {
    let default = default_ports(args);
    let cells = args.protocols().into_iter().map(|protocol| {
        let count = ports.map_or(default, |ports| ports.only(protocol).count());
        if protocol == Protocol::Udp { count.saturating_mul(UDP_PROBES) } else { count }
    });
    cells.fold(0, u32::saturating_add)
}

fn cell_time(args: &ScanArgs) -> Duration {
    let usual = CELL_TIME.get(usize::from(args.timing())).copied().unwrap_or(Duration::from_millis(2));
    let at_rate = |rate: u32| Duration::from_secs(1).checked_div(rate).unwrap_or_default();
    let slowest = args.min_rate().map_or(Duration::MAX, at_rate);
    let fastest = args.max_rate().map_or(Duration::ZERO, at_rate);
    let delay = args.scan_delay().unwrap_or_default() / HOSTS_SIDE_BY_SIDE;
    usual.max(delay).min(slowest).max(fastest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_timing_rates_and_time_outs_decide_how_many_addresses_make_ten_minutes() {
        for (ports, args, addresses) in [
            ("22,80", "", 256),
            ("1-65535", "", 4),
            ("1-65535", "-T4", 9),
            ("1-65535", "--host-timeout 10s", 60),
            ("", "", 256),
            ("", "-sU", 75),
            ("", "-F -T2", 15),
            ("", "-T2", 1),
            ("", "--top-ports 8000", 37),
            ("1-10000", "--max-rate 100", 6),
            ("1-10000", "--min-rate 5000", 256),
            ("1-1000", "--scan-delay 160ms", 60),
            ("1-100", "-A", 187),
            ("", "-sn", 256),
        ] {
            let ports: Option<PortSet> = (!ports.is_empty()).then(|| ports.parse().unwrap());
            let weight = Weight::estimate(ports.as_ref(), &args.parse().unwrap());
            assert_eq!(weight.task_addresses(), addresses, "{ports:?} {args}");
        }
    }

    #[test]
    fn a_task_weighs_as_much_as_its_addresses() {
        let weight = Weight::estimate(Some(&"1-500".parse().unwrap()), &"".parse().unwrap());
        assert_eq!(weight.of_targets(&"10.0.0.0/24".parse().unwrap()), 256_000);
        assert_eq!(weight.of_targets(&"::/0".parse().unwrap()), u64::MAX);
    }
}
