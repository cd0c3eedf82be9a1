//! What the demo's little network looks like before and after, drawn from a seed. Pure: it opens nothing.

use super::catalogue::{Kind, Service};
use super::line::Line;
use super::random::Random;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Who serves what: address, then port.
pub(crate) type Network = BTreeMap<Ipv4Addr, BTreeMap<u16, Service>>;

/// Two states of the network and the changes that lead from one to the other.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The network of the first run.
    pub(crate) before: Network,
    /// The network of the second run.
    pub(crate) after: Network,
    /// What was done in between.
    pub(crate) changes: Vec<Change>,
}

/// One thing that the demo does to its network between the runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Close { address: Ipv4Addr, port: u16 },
    Open { address: Ipv4Addr, port: u16, service: Service },
    Upgrade { address: Ipv4Addr, port: u16, from: Service, to: Service },
    StopHost { address: Ipv4Addr, ports: Vec<u16> },
    StartHost { address: Ipv4Addr, services: BTreeMap<u16, Service> },
}

/// Hosts of the first run in each half of the network.
const HOSTS_PER_HALF: usize = 3;
const RDP_PORT: u16 = 3389;

/// The first three octets of the demo's /24, and the split of its addresses between two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subnet([u8; 3]);

impl Subnet {
    /// The /24 that `address` lies in.
    pub(crate) fn of(address: Ipv4Addr) -> Self {
        let [a, b, c, _] = address.octets();
        Self([a, b, c])
    }

    /// The address with this last octet.
    pub(crate) fn host(self, last: u8) -> Ipv4Addr {
        let Self([a, b, c]) = self;
        Ipv4Addr::new(a, b, c, last)
    }

    /// The whole network as a CIDR.
    pub(crate) fn cidr(self) -> String {
        format!("{}/24", self.host(0))
    }

    /// The two halves as CIDRs, one for each node.
    pub(crate) fn halves(self) -> [String; 2] {
        [format!("{}/25", self.host(0)), format!("{}/25", self.host(128))]
    }
}

impl Plan {
    /// The network and the changes that belong to `seed`; the same seed gives the same plan.
    pub(crate) fn draw(seed: u64, subnet: Subnet) -> Self {
        let mut random = Random::new(seed);
        let (mut addresses, newcomer) = draw_addresses(&mut random, subnet);
        let before: Network = addresses.iter().map(|address| (*address, draw_services(&mut random))).collect();
        random.shuffle(&mut addresses);
        let changes = draw_changes(&mut random, &before, &addresses, newcomer);
        let mut after = before.clone();
        changes.iter().for_each(|change| change.apply(&mut after));
        Self { before, after, changes }
    }

    /// Every port that the demo may serve, as the port text of a scan.
    pub(crate) fn ports() -> String {
        let ports: Vec<String> = Kind::ALL.iter().map(|kind| kind.port().to_string()).collect();
        ports.join(",")
    }

    /// What a true report must say, in the order of [`Line`].
    pub(crate) fn expected(&self) -> Vec<Line> {
        let mut lines: Vec<Line> = self.changes.iter().flat_map(Change::lines).collect();
        lines.sort();
        lines
    }
}

/// Three hosts of each half, and one address that is still silent.
fn draw_addresses(random: &mut Random, subnet: Subnet) -> (Vec<Ipv4Addr>, Ipv4Addr) {
    let mut lows: Vec<u8> = (1..=126).collect();
    let mut highs: Vec<u8> = (129..=254).collect();
    random.shuffle(&mut lows);
    random.shuffle(&mut highs);
    let hosts = lows.iter().take(HOSTS_PER_HALF).chain(highs.iter().take(HOSTS_PER_HALF));
    let late = if random.below(2) == 0 { lows.last() } else { highs.last() }.copied().unwrap_or(100);
    (hosts.map(|last| subnet.host(*last)).collect(), subnet.host(late))
}

/// Two or three services of different kinds, at least one of them with a version to change.
fn draw_services(random: &mut Random) -> BTreeMap<u16, Service> {
    let mut kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| kind.port() != RDP_PORT).collect();
    random.shuffle(&mut kinds);
    kinds.sort_by_key(|kind| kind.versions().len() < 2); // stable: the first is one with versions
    let count = 2 + random.below(2);
    let (first, rest) = kinds.split_at(1.min(kinds.len()));
    let mut rest = rest.to_vec();
    random.shuffle(&mut rest);
    let chosen = first.iter().copied().chain(rest).take(count);
    chosen.map(|kind| (kind.port(), Service::oldest(kind))).collect()
}

/// One change of each kind, each on a host of its own; `addresses` are in drawn order.
fn draw_changes(random: &mut Random, before: &Network, addresses: &[Ipv4Addr], newcomer: Ipv4Addr) -> Vec<Change> {
    let mut changes = Vec::new();
    for (turn, address) in addresses.iter().enumerate() {
        let Some(services) = before.get(address) else { continue };
        let change = match turn {
            0 => Some(Change::StopHost { address: *address, ports: services.keys().copied().collect() }),
            1 => random.pick(services.keys()).map(|port| Change::Close { address: *address, port: *port }),
            2 => Some(Change::Open { address: *address, port: RDP_PORT, service: Service::oldest(Kind::Rdp) }),
            3 => draw_opening(random, *address, services),
            4 => draw_upgrade(random, *address, services),
            _ => None,
        };
        changes.extend(change);
    }
    changes.push(Change::StartHost { address: newcomer, services: draw_services(random) });
    changes
}

fn draw_opening(random: &mut Random, address: Ipv4Addr, services: &BTreeMap<u16, Service>) -> Option<Change> {
    let is_free = |kind: &&Kind| kind.port() != RDP_PORT && !services.contains_key(&kind.port());
    let kind = random.pick(Kind::ALL.iter().filter(is_free))?;
    Some(Change::Open { address, port: kind.port(), service: Service::oldest(*kind) })
}

fn draw_upgrade(random: &mut Random, address: Ipv4Addr, services: &BTreeMap<u16, Service>) -> Option<Change> {
    let newer = services.iter().filter_map(|(port, from)| from.next_version().map(|to| (*port, *from, to)));
    let (port, from, to) = random.pick(newer)?;
    Some(Change::Upgrade { address, port, from, to })
}

impl Change {
    fn apply(&self, network: &mut Network) {
        match self {
            Self::Close { address, port } => {
                network.entry(*address).or_default().remove(port);
            }
            Self::Open { address, port, service } | Self::Upgrade { address, port, to: service, .. } => {
                network.entry(*address).or_default().insert(*port, *service);
            }
            Self::StopHost { address, .. } => {
                network.remove(address);
            }
            Self::StartHost { address, services } => {
                network.insert(*address, services.clone());
            }
        }
    }

    /// What a true report says about this change.
    fn lines(&self) -> Vec<Line> {
        match self {
            Self::Close { address, port } => vec![Line::closed(*address, *port)],
            Self::Open { address, port, service } => vec![Line::opened(*address, *port, *service)],
            Self::Upgrade { address, port, from, to } => vec![Line::changed(*address, *port, *from, *to)],
            Self::StopHost { address, ports } => {
                let closed = ports.iter().map(|port| Line::closed(*address, *port));
                std::iter::once(Line::RemovedHost { address: (*address).into() }).chain(closed).collect()
            }
            Self::StartHost { address, services } => {
                let opened = services.iter().map(|(port, service)| Line::opened(*address, *port, *service));
                std::iter::once(Line::NewHost { address: (*address).into() }).chain(opened).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const SUBNET: Subnet = Subnet([127, 0, 10]);

    /// The difference of two networks, worked out from the networks alone.
    fn difference(before: &Network, after: &Network) -> BTreeSet<Line> {
        let cells = |network: &Network| -> BTreeMap<(Ipv4Addr, u16), Service> {
            let of_host = |(a, ports): (&Ipv4Addr, &BTreeMap<u16, Service>)| {
                let a = *a;
                ports.iter().map(move |(p, s)| ((a, *p), *s)).collect::<Vec<_>>()
            };
            network.iter().flat_map(of_host).collect()
        };
        let (old, new) = (cells(before), cells(after));
        let mut lines = BTreeSet::new();
        lines.extend(after.keys().filter(|a| !before.contains_key(a)).map(|a| Line::NewHost { address: (*a).into() }));
        let gone = before.keys().filter(|a| !after.contains_key(a));
        lines.extend(gone.map(|a| Line::RemovedHost { address: (*a).into() }));
        lines
            .extend(new.iter().filter(|(cell, _)| !old.contains_key(cell)).map(|((a, p), s)| Line::opened(*a, *p, *s)));
        lines.extend(old.keys().filter(|cell| !new.contains_key(cell)).map(|(a, p)| Line::closed(*a, *p)));
        for ((a, p), from) in &old {
            lines.extend(new.get(&(*a, *p)).filter(|to| *to != from).map(|to| Line::changed(*a, *p, *from, *to)));
        }
        lines
    }

    #[test]
    fn the_expected_lines_are_the_difference_of_the_two_networks() {
        for seed in 0..500 {
            let plan = Plan::draw(seed, SUBNET);
            let expected = plan.expected();
            let as_set: BTreeSet<Line> = expected.iter().cloned().collect();
            assert_eq!(as_set.len(), expected.len(), "seed {seed} expects a line twice");
            assert_eq!(as_set, difference(&plan.before, &plan.after), "seed {seed}");
        }
    }

    #[test]
    fn every_seed_makes_each_kind_of_change_on_both_nodes_hosts() {
        for seed in 0..500 {
            let plan = Plan::draw(seed, SUBNET);
            let low = plan.before.keys().filter(|address| address.octets()[3] < 128).count();
            assert_eq!((low, plan.before.len()), (3, 6), "seed {seed}");
            let opened: Vec<u16> = plan
                .changes
                .iter()
                .filter_map(|c| if let Change::Open { port, .. } = c { Some(*port) } else { None })
                .collect();
            assert!(opened.len() == 2 && opened.contains(&RDP_PORT), "seed {seed} opens {opened:?}");
            let kinds: BTreeSet<_> =
                plan.changes.iter().map(std::mem::discriminant).map(|d| format!("{d:?}")).collect();
            assert_eq!(kinds.len(), 5, "seed {seed} makes {:?}", plan.changes);
            assert!(
                plan.after.values().all(|services| !services.is_empty()),
                "seed {seed} leaves a host without ports"
            );
        }
    }

    #[test]
    fn a_seed_always_draws_the_same_plan_and_seeds_differ() {
        let drawn = |seed| format!("{:?}", Plan::draw(seed, SUBNET).changes);
        assert_eq!(drawn(7), drawn(7));
        let different: BTreeSet<String> = (0..50).map(drawn).collect();
        assert_eq!(different.len(), 50);
    }
}
