//! Small worlds for the properties: what tasks of a run covered and saw, and what a plain reading of that says.

use super::super::*;
use crate::analysis::coverage::{Block, RunCoverage};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use protocol::observation::{
    Coverage, HostState, PortObservation, ProbeMethod, ProbedCells, ServiceDetection, ServiceMethod, UnlistedPorts,
};
use protocol::task::RunId;
use protocol::{PortSet, TargetSet, Timestamp};
use std::collections::BTreeMap;

pub(super) const PORTS: [(Protocol, u16); 6] = [
    (Protocol::Tcp, 22),
    (Protocol::Tcp, 80),
    (Protocol::Tcp, 3389),
    (Protocol::Udp, 53),
    (Protocol::Udp, 161),
    (Protocol::Sctp, 80),
];

/// Four of the old kind, one of loopback, two of the new kind.
pub(super) const HOSTS: [&str; 7] =
    ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.1.0", "127.0.0.9", "2001:db8::1", "2001:db8::2"];

pub(super) fn address(index: usize) -> IpAddr {
    HOSTS[index].parse().unwrap()
}

pub(super) fn port((protocol, port): (Protocol, u16)) -> PortId {
    PortId { protocol, port }
}

pub(super) fn cells() -> impl Iterator<Item = (IpAddr, PortId)> {
    (0..HOSTS.len()).flat_map(|index| PORTS.map(|of| (address(index), port(of))))
}

/// What one task covered and saw.
pub(super) type Task = (Coverage, Vec<HostObservation>);

/// One run of the small world.
#[derive(Clone)]
pub(super) struct World {
    pub(super) tasks: Vec<Task>,
    pub(super) coverage: RunCoverage,
    pub(super) hosts: Vec<HostObservation>,
}

impl std::fmt::Debug for World {
    /// Short, so that a failing case can be read.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (coverage, hosts) in &self.tasks {
            let ways: Vec<_> =
                coverage.services.iter().map(|how| (how.engine.as_str(), how.version.as_str())).collect();
            writeln!(f, "task: asked {}, by port {}, {ways:?}", coverage.asked, coverage.by_port_only)?;
            for cells in &coverage.probed {
                writeln!(f, "  {:?} {} ports {}", cells.method, cells.targets, cells.ports)?;
            }
            for host in hosts {
                let ports = host.ports.iter().map(|port| format!("{}/{}={}", port.port, port.protocol, port.state));
                let sums = host.unlisted.iter().map(|part| format!("{}={}", part.protocol, part.state));
                let all: Vec<String> = ports.chain(sums).collect();
                writeln!(f, "  {} {:?} at {} {}", host.address, host.state, host.seen.as_millis(), all.join(" "))?;
            }
        }
        Ok(())
    }
}

/// Which kinds of scan looked at a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Usual,
    Other,
}

impl World {
    pub(super) fn new(tasks: Vec<Task>) -> Self {
        let mut by_address: BTreeMap<IpAddr, Vec<HostObservation>> = BTreeMap::new();
        for host in tasks.iter().flat_map(|(_, hosts)| hosts) {
            by_address.entry(host.address).or_default().push(host.clone());
        }
        let hosts: Vec<HostObservation> = by_address.into_values().filter_map(combine).collect();
        let whole: RunCoverage = tasks.iter().map(|(coverage, _)| coverage).collect();
        Self { coverage: whole.decided(&hosts), tasks, hosts }
    }

    pub(super) fn known(&self) -> Vec<KnownHost> {
        let nothing = RunCoverage::default();
        let compared = compare(std::iter::empty(), self.hosts.iter().cloned(), &nothing, &self.coverage);
        compared.filter_map(|compared| apply(compared, &nothing, &self.coverage, RunId(1))).collect()
    }

    pub(super) fn compared_to(&self, later: &Self) -> Vec<Compared> {
        compare(self.known().into_iter(), later.hosts.iter().cloned(), &self.coverage, &later.coverage).collect()
    }

    pub(super) fn delta_to(&self, later: &Self) -> Vec<HostDelta> {
        delta(self.known().into_iter(), later.hosts.iter().cloned(), &self.coverage, &later.coverage).collect()
    }

    /// How the cell was looked at and whether it was open, where that can be told: read from the tasks, not from the
    /// code under test.
    pub(super) fn told(&self, address: IpAddr, port: PortId) -> Option<(Way, bool)> {
        let looked = |other: bool| {
            let of = |cells: &ProbedCells| {
                (cells.method == ProbeMethod::Other) == other
                    && cells.ports.contains(port.protocol, port.port)
                    && cells.targets.contains(address)
            };
            self.tasks.iter().any(|(task, _)| task.asked.contains(address) && task.probed.iter().any(of))
        };
        let way = if looked(false) {
            Way::Usual
        } else if looked(true) {
            Way::Other
        } else {
            return None;
        };
        let vague = |state| matches!(state, PortState::OpenFiltered | PortState::Unfiltered);
        let Some(host) = self.hosts.iter().find(|host| host.address == address && host.state == HostState::Up) else {
            return Some((way, false));
        };
        let open = match host.ports.iter().find(|seen| PortId::of(seen) == port) {
            Some(seen) if vague(seen.state) => None,
            Some(seen) => Some(seen.state == PortState::Open),
            None => {
                let mut sums = host.unlisted.iter().filter(|part| part.protocol == port.protocol).peekable();
                let silence = port.protocol == Protocol::Udp && sums.peek().is_none();
                (!silence && !sums.any(|part| vague(part.state) || part.state == PortState::Open)).then_some(false)
            }
        };
        open.map(|open| (way, open))
    }

    /// What was covered, but for these hosts.
    pub(super) fn without_hosts(&self, hosts: &TargetSet) -> RunCoverage {
        let mut coverage = self.coverage.clone();
        coverage.asked = coverage.asked.minus(hosts);
        coverage.by_port_only = coverage.by_port_only.minus(hosts);
        for cells in [&mut coverage.probed, &mut coverage.probed_otherwise] {
            let blocks = cells.blocks().into_iter();
            *cells = blocks.map(|block| Block { targets: block.targets.minus(hosts), ..block }).collect();
        }
        coverage
    }

    /// The same look with less coverage.
    pub(super) fn without(&self, cut: Cut) -> Self {
        let mut tasks = self.tasks.clone();
        for (coverage, hosts) in &mut tasks {
            match cut {
                Cut::Address(gone) => {
                    let less = |targets: &TargetSet| targets.minus(&gone.into());
                    (coverage.asked, coverage.by_port_only) = (less(&coverage.asked), less(&coverage.by_port_only));
                    coverage.probed.iter_mut().for_each(|cells| cells.targets = less(&cells.targets));
                    hosts.retain(|host| host.address != gone);
                }
                Cut::Port(gone) => {
                    let gone_set = PortSet::from_ports(gone.protocol, [gone.port]);
                    coverage.probed.iter_mut().for_each(|cells| cells.ports = cells.ports.minus(&gone_set));
                    hosts.iter_mut().for_each(|host| host.ports.retain(|seen| PortId::of(seen) != gone));
                }
                Cut::Cell(address, gone) => {
                    coverage.probed = cells_without(&coverage.probed, address, gone);
                    let of = hosts.iter_mut().filter(|host| host.address == address);
                    of.for_each(|host| host.ports.retain(|seen| PortId::of(seen) != gone));
                }
                Cut::Services => coverage.services.clear(),
            }
        }
        Self::new(tasks)
    }
}

/// What is taken out of a look.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cut {
    Address(IpAddr),
    Port(PortId),
    Cell(IpAddr, PortId),
    Services,
}

fn cells_without(probed: &[ProbedCells], address: IpAddr, gone: PortId) -> Vec<ProbedCells> {
    let fewer = |cells: &ProbedCells| {
        let one: TargetSet = address.into();
        let ports = cells.ports.minus(&PortSet::from_ports(gone.protocol, [gone.port]));
        [
            ProbedCells { targets: cells.targets.minus(&one), ..cells.clone() },
            ProbedCells { targets: cells.targets.intersection(&one), ports, ..cells.clone() },
        ]
    };
    probed.iter().flat_map(fewer).collect()
}

pub(super) fn cut() -> impl Strategy<Value = Cut> {
    let (hosts, ports) = (0..HOSTS.len(), select(PORTS.to_vec()));
    (0u8..4, hosts, ports).prop_map(|(kind, host, of)| match kind {
        0 => Cut::Address(address(host)),
        1 => Cut::Port(port(of)),
        2 => Cut::Cell(address(host), port(of)),
        _ => Cut::Services,
    })
}

/// Bits that generators read their choices from; one draw per host keeps thousands of worlds cheap.
struct Bits(u64);

impl Bits {
    fn below(&mut self, end: u64) -> u64 {
        let drawn = self.0 % end;
        self.0 /= end;
        drawn
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        let at = usize::try_from(self.below(of.len() as u64)).unwrap();
        of[at].clone()
    }
}

fn seen_port((protocol, port): (Protocol, u16), bits: u64) -> Option<PortObservation> {
    use PortState::{Closed, ClosedFiltered, Filtered, Open, OpenFiltered, Unfiltered};
    let mut bits = Bits(bits);
    let state = match bits.below(4) {
        0 => return None,
        1 => bits.pick(&[Open, Closed, Filtered, OpenFiltered, Unfiltered, ClosedFiltered]),
        _ => Open,
    };
    let method = bits.pick(&[ServiceMethod::Table, ServiceMethod::Probed, ServiceMethod::Probed]);
    let name = bits.pick(&["http", "http", "http", "ssh", "tcpwrapped"]).into();
    let version = bits.pick(&["1", "2", "3", "4", ""]).into();
    let extra = bits.pick(&["", "uptime 3", "uptime 4"]).into();
    let by = bits.pick(&["nmap", "nmap", "nmap", "", "", "builtin"]).into();
    let service = (bits.below(5) > 0).then(|| Service { name, version, extra, method, by, ..Service::default() });
    Some(PortObservation { protocol, port, state, reason: bits.pick(&["", "rst"]).into(), service })
}

/// What a task saw of one host: nothing at all, down, or up with some of its ports.
fn seen_host(index: usize, ports: &[(Protocol, u16)], bits: &[u64]) -> Option<HostObservation> {
    use PortState::{Closed, Filtered, Open, OpenFiltered};
    let mut of_host = Bits(*bits.first()?);
    let state = match of_host.below(6) {
        0 => return None,
        1 => HostState::Down,
        _ => HostState::Up,
    };
    let listed = ports.iter().zip(bits.iter().skip(1)).filter_map(|(port, bits)| seen_port(*port, *bits));
    let mut unlisted = Vec::new();
    for protocol in Protocol::ALL {
        let sums: &[PortState] =
            of_host.pick(&[&[][..], &[Closed], &[Filtered], &[Closed, Filtered], &[Closed], &[OpenFiltered], &[Open]]);
        unlisted.extend(sums.iter().map(|state| UnlistedPorts { protocol, state: *state, count: 1 }));
    }
    let mac = ["00:11:22:00:00:01", "00:11:22:00:00:02", "02:00:00:00:00:01", "02:00:00:00:00:02"];
    let mac = (of_host.below(2) > 0).then(|| of_host.pick(&mac));
    let os = (of_host.below(2) > 0).then(|| (of_host.pick(&["os1", "os2"]), of_host.pick(&[90, 100, 100])));
    let names: &[&str] = of_host.pick(&[&[][..], &["a"], &["A."], &["a", "b"], &["B", "a"]]);
    Some(HostObservation {
        address: address(index),
        state,
        reason: of_host.pick(&["", "echo-reply"]).into(),
        seen: Timestamp::from_millis(of_host.below(3)),
        names: names.iter().map(|name| Text::from(*name)).collect(),
        mac: mac.map(|address| MacAddress { address: address.into(), vendor: Text::default() }),
        os: os.map(|(name, accuracy)| OsGuess { name: name.into(), accuracy }),
        ports: if state == HostState::Up { listed.collect() } else { Vec::new() },
        unlisted: if state == HostState::Up { unlisted } else { Vec::new() },
    })
}

fn task() -> impl Strategy<Value = Task> {
    let hosts = subsequence((0..HOSTS.len()).collect::<Vec<_>>(), 1..=HOSTS.len());
    let cuts = (subsequence(PORTS.to_vec(), 0..=PORTS.len()), any::<u64>());
    let seen = proptest::collection::vec(any::<u64>(), HOSTS.len() * (PORTS.len() + 1));
    (hosts, cuts, seen).prop_map(|(hosts, (ports, shape), seen)| {
        let mut shape = Bits(shape);
        let timed_out = shape.below(1 << HOSTS.len()) & shape.below(1 << HOSTS.len());
        let asked: Vec<usize> = hosts.iter().copied().filter(|index| timed_out & (1 << index) == 0).collect();
        let by_port = if shape.below(3) == 0 { shape.below(1 << HOSTS.len()) } else { 1 << 4 };
        let set = |indexes: &[usize]| -> TargetSet { indexes.iter().map(|index| address(*index)).collect() };
        let ports_of = |ports: &[(Protocol, u16)]| {
            let one =
                |all: PortSet, (protocol, port): &(Protocol, u16)| all.union(&PortSet::from_ports(*protocol, [*port]));
            ports.iter().fold(PortSet::empty(), one)
        };
        let (half, rest) = hosts.split_at(hosts.len() / 2);
        let all = ports_of(&ports);
        let fewer = ports_of(ports.get(1..).unwrap_or_default());
        let method = shape.pick(&[ProbeMethod::Connect, ProbeMethod::Syn, ProbeMethod::Udp, ProbeMethod::Other]);
        // A careless engine: hosts that timed out stand in the cells, but were not settled.
        let probed = vec![
            ProbedCells { targets: set(half), ports: all, method },
            ProbedCells { targets: set(rest), ports: fewer, method: ProbeMethod::Connect },
        ];
        let way = |(engine, version): (&str, &str)| ServiceDetection {
            engine: engine.into(),
            version: version.into(),
            intensity: 7,
        };
        let nmap = shape.pick(&[None, Some("7.80"), Some("7.93"), Some("7.93"), Some("7.93")]);
        let builtin = shape.pick(&[None, None, None, None, Some("0.1.0")]);
        let ways = [builtin.map(|version| ("builtin", version)), nmap.map(|version| ("nmap", version))];
        let services = ways.into_iter().flatten().map(way).collect();
        let only: Vec<usize> = asked.iter().copied().filter(|index| by_port & (1 << index) != 0).collect();
        let coverage = Coverage { asked: set(&asked), by_port_only: set(&only), probed, services, options: Vec::new() };
        let per_host = seen.chunks(PORTS.len() + 1);
        let seen = asked.iter().zip(per_host).filter_map(|(index, bits)| seen_host(*index, &ports, bits)).collect();
        (coverage, seen)
    })
}

pub(super) fn world() -> impl Strategy<Value = World> {
    proptest::collection::vec(task(), 1..=3).prop_map(World::new)
}
