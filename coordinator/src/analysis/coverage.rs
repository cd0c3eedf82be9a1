//! Which cells a run covered: the coverages of its tasks put together, compared, counted. Ranges, never rows.

#[cfg(test)]
mod tests;

use protocol::codec::{Decode, Encode};
use protocol::observation::{
    Coverage, EffectiveOptions, HostObservation, HostState, PortState, ProbeMethod, ServiceDetection,
};
use protocol::{PortSet, Protocol, TargetSet};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A set of cells as blocks of addresses × ports. Equal sets are equal values: each address stands in one block at
/// most, and no two blocks have the same ports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Cells(Vec<Block>);

/// Every address of `targets` with every port of `ports`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Block {
    /// The ports.
    pub ports: PortSet,
    /// The addresses.
    pub targets: TargetSet,
}

impl FromIterator<Block> for Cells {
    fn from_iter<I: IntoIterator<Item = Block>>(blocks: I) -> Self {
        let mut by_ports: BTreeMap<PortSet, TargetSet> = BTreeMap::new();
        for block in blocks {
            insert(&mut by_ports, block);
        }
        Self(by_ports.into_iter().map(|(ports, targets)| Block { ports, targets }).collect())
    }
}

/// Adds a block; what overlaps others gets the ports of both.
fn insert(by_ports: &mut BTreeMap<PortSet, TargetSet>, block: Block) {
    let mut rest = block.targets;
    let mut added: Vec<(PortSet, TargetSet)> = Vec::new();
    for (ports, targets) in by_ports.iter_mut() {
        let shared = targets.intersection(&rest);
        if !shared.is_empty() {
            *targets = targets.minus(&shared);
            rest = rest.minus(&shared);
            added.push((ports.union(&block.ports), shared));
        }
    }
    added.push((block.ports, rest));
    for (ports, targets) in added.into_iter().filter(|(ports, _)| !ports.is_empty()) {
        let all = by_ports.entry(ports).or_default();
        *all = all.union(&targets);
    }
    by_ports.retain(|_, targets| !targets.is_empty());
}

impl Cells {
    /// Every address with every port.
    pub fn new(targets: TargetSet, ports: PortSet) -> Self {
        [Block { ports, targets }].into_iter().collect()
    }

    /// The blocks, by ports.
    pub fn blocks(&self) -> &[Block] {
        &self.0
    }

    /// True when there is no cell.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many cells; stops at `u128::MAX`.
    pub fn count(&self) -> u128 {
        let sizes = self.0.iter().map(|block| block.targets.count().saturating_mul(u128::from(block.ports.count())));
        sizes.fold(0, u128::saturating_add)
    }

    /// The ports of one address.
    pub fn ports_of(&self, address: IpAddr) -> PortSet {
        let block = self.0.iter().find(|block| block.targets.contains(address));
        block.map(|block| block.ports.clone()).unwrap_or_default()
    }

    /// True when the cell is one of them.
    pub fn covers(&self, address: IpAddr, protocol: Protocol, port: u16) -> bool {
        self.0.iter().any(|block| block.ports.contains(protocol, port) && block.targets.contains(address))
    }

    /// The cells of either.
    pub fn union(&self, other: &Self) -> Self {
        self.0.iter().chain(&other.0).cloned().collect()
    }

    /// The cells of both.
    pub fn intersection(&self, other: &Self) -> Self {
        let pairs = self.0.iter().flat_map(|mine| other.0.iter().map(move |theirs| (mine, theirs)));
        pairs
            .map(|(mine, theirs)| Block {
                ports: mine.ports.intersection(&theirs.ports),
                targets: mine.targets.intersection(&theirs.targets),
            })
            .collect()
    }

    /// The cells that are not in `other`.
    pub fn minus(&self, other: &Self) -> Self {
        self.0.iter().flat_map(|block| block_minus(block, other)).collect()
    }
}

fn block_minus(block: &Block, other: &Cells) -> Vec<Block> {
    let mut rest = block.targets.clone();
    let mut left = Vec::new();
    for theirs in &other.0 {
        let targets = rest.intersection(&theirs.targets);
        rest = rest.minus(&theirs.targets);
        left.push(Block { ports: block.ports.minus(&theirs.ports), targets });
    }
    left.push(Block { ports: block.ports.clone(), targets: rest });
    left
}

/// What all tasks of a run looked at; also, summed over runs, what a scan ever looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct RunCoverage {
    /// Addresses asked for life.
    pub asked: TargetSet,
    /// Of these, addresses where only an open port proves that a host is there.
    pub by_port_only: TargetSet,
    /// Cells probed by connect, SYN or UDP.
    pub probed: Cells,
    /// Cells probed by scan types whose states mean something else; they compare only with each other.
    pub probed_otherwise: Cells,
    /// How services were identified, and where.
    pub identified: Vec<Identified>,
    /// What the engines were really told, each once.
    pub options: Vec<EffectiveOptions>,
}

/// Addresses whose services were identified in one way.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Identified {
    /// The way.
    pub how: ServiceDetection,
    /// The addresses.
    pub targets: TargetSet,
}

impl From<&Coverage> for RunCoverage {
    fn from(task: &Coverage) -> Self {
        let Coverage { asked, by_port_only, probed, services, options } = task;
        let cells = |otherwise: bool| {
            let blocks = probed.iter().filter(|cells| (cells.method == ProbeMethod::Other) == otherwise);
            blocks.map(|cells| Block { ports: cells.ports.clone(), targets: cells.targets.clone() }).collect()
        };
        let identified = services.iter().map(|how| Identified { how: how.clone(), targets: asked.clone() }).collect();
        Self {
            asked: asked.clone(),
            by_port_only: by_port_only.intersection(asked),
            probed: cells(false),
            probed_otherwise: cells(true),
            identified,
            options: distinct(options.iter()),
        }
    }
}

impl<'a> FromIterator<&'a Coverage> for RunCoverage {
    fn from_iter<I: IntoIterator<Item = &'a Coverage>>(tasks: I) -> Self {
        tasks.into_iter().fold(Self::default(), |all, task| all.union(&Self::from(task)))
    }
}

impl RunCoverage {
    /// What either looked at. The order of many unions makes no difference.
    pub fn union(&self, other: &Self) -> Self {
        let asked = self.asked.union(&other.asked);
        let proven = self.asked.minus(&self.by_port_only).union(&other.asked.minus(&other.by_port_only));
        Self {
            by_port_only: asked.minus(&proven),
            asked,
            probed: self.probed.union(&other.probed),
            probed_otherwise: self.probed_otherwise.union(&other.probed_otherwise),
            identified: merge_identified(self.identified.iter().chain(&other.identified)),
            options: distinct(self.options.iter().chain(&other.options)),
        }
    }

    /// What both looked at.
    pub fn intersection(&self, other: &Self) -> Self {
        let asked = self.asked.intersection(&other.asked);
        let both = |mine: &Identified| {
            let theirs = other.identified.iter().filter(|theirs| theirs.how == mine.how);
            let targets = theirs.fold(TargetSet::empty(), |all, theirs| all.union(&theirs.targets));
            Identified { how: mine.how.clone(), targets: mine.targets.intersection(&targets) }
        };
        Self {
            by_port_only: self.by_port_only.union(&other.by_port_only).intersection(&asked),
            asked,
            probed: self.probed.intersection(&other.probed),
            probed_otherwise: self.probed_otherwise.intersection(&other.probed_otherwise),
            identified: self.identified.iter().map(both).filter(|both| !both.targets.is_empty()).collect(),
            options: self.options.iter().filter(|options| other.options.contains(options)).cloned().collect(),
        }
    }

    /// This coverage without the cells that the run's `hosts` leave undecided (`open|filtered`, `unfiltered`).
    ///
    /// Compare with this one, and add this one to the baseline's: what nobody could tell was not seen. Percentages
    /// count the whole.
    pub fn decided<'a>(&self, hosts: impl IntoIterator<Item = &'a HostObservation>) -> Self {
        let vague = |host: &'a HostObservation| {
            let covered = self.probed.ports_of(host.address).union(&self.probed_otherwise.ports_of(host.address));
            Block { ports: vague_ports(host, &covered), targets: host.address.into() }
        };
        let vague: Cells = hosts.into_iter().filter(|host| host.state == HostState::Up).map(vague).collect();
        Self {
            probed: self.probed.minus(&vague),
            probed_otherwise: self.probed_otherwise.minus(&vague),
            ..self.clone()
        }
    }

    /// True when nothing was looked at.
    pub fn is_empty(&self) -> bool {
        self.asked.is_empty() && self.probed.is_empty() && self.probed_otherwise.is_empty()
    }

    /// True when the cell was probed to the end, in any way.
    pub fn covers(&self, address: IpAddr, protocol: Protocol, port: u16) -> bool {
        self.probed.covers(address, protocol, port) || self.probed_otherwise.covers(address, protocol, port)
    }

    /// How services of `address` were identified; `None` also when it was done in two ways.
    pub fn detection_of(&self, address: IpAddr) -> Option<&ServiceDetection> {
        let mut ways = self.identified.iter().filter(|part| part.targets.contains(address));
        let first = ways.next()?;
        ways.next().is_none().then_some(&first.how)
    }

    /// Whole percent of what was planned, rounded down, so that 100 means all: cells where the plan names ports,
    /// otherwise addresses.
    pub fn percent(&self, targets: &TargetSet, ports: Option<&PortSet>) -> u8 {
        let (done, all) = match ports.filter(|ports| !ports.is_empty()) {
            Some(ports) => {
                let planned = Cells::new(targets.clone(), ports.clone());
                (self.probed.union(&self.probed_otherwise).intersection(&planned).count(), planned.count())
            }
            None => (self.asked.intersection(targets).count(), targets.count()),
        };
        percent(done, all)
    }

    /// Cells that only one of two coverages holds, from the earlier to this one.
    pub fn change_from(&self, earlier: &Self) -> CoverageChange {
        let (before, now) =
            (earlier.probed.union(&earlier.probed_otherwise), self.probed.union(&self.probed_otherwise));
        CoverageChange {
            newly_asked: self.asked.minus(&earlier.asked),
            no_longer_asked: earlier.asked.minus(&self.asked),
            newly_covered: now.minus(&before),
            no_longer_covered: before.minus(&now),
        }
    }
}

/// What was looked at on one side only; none of it can change (SPEC R2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct CoverageChange {
    /// Addresses asked for life now and never before.
    pub newly_asked: TargetSet,
    /// Addresses asked before and not now.
    pub no_longer_asked: TargetSet,
    /// Cells probed now and never before.
    pub newly_covered: Cells,
    /// Cells probed before and not now.
    pub no_longer_covered: Cells,
}

/// Of the covered ports of a host, those whose state says neither open nor not open.
fn vague_ports(host: &HostObservation, covered: &PortSet) -> PortSet {
    let vague = |state| matches!(state, PortState::OpenFiltered | PortState::Unfiltered);
    Protocol::ALL.into_iter().fold(PortSet::empty(), |all, protocol| {
        let listed = || host.ports.iter().filter(|port| port.protocol == protocol);
        let unlisted = host.unlisted.iter().any(|part| part.protocol == protocol && vague(part.state));
        let mut ports = PortSet::from_ports(protocol, listed().filter(|port| vague(port.state)).map(|port| port.port));
        if unlisted {
            let named = PortSet::from_ports(protocol, listed().map(|port| port.port));
            ports = ports.union(&covered.only(protocol).minus(&named));
        }
        all.union(&ports)
    })
}

fn percent(done: u128, all: u128) -> u8 {
    let share = match done.checked_mul(100) {
        Some(hundredfold) => hundredfold.checked_div(all).unwrap_or(100),
        None => done / (all / 100).max(1),
    };
    u8::try_from(share.min(if done < all { 99 } else { 100 })).unwrap_or(99)
}

fn merge_identified<'a>(parts: impl Iterator<Item = &'a Identified>) -> Vec<Identified> {
    let mut by_way: BTreeMap<&ServiceDetection, TargetSet> = BTreeMap::new();
    for part in parts {
        let all = by_way.entry(&part.how).or_default();
        *all = all.union(&part.targets);
    }
    by_way.into_iter().map(|(how, targets)| Identified { how: how.clone(), targets }).collect()
}

fn distinct<'a>(options: impl Iterator<Item = &'a EffectiveOptions>) -> Vec<EffectiveOptions> {
    let key = |options: &EffectiveOptions| {
        let EffectiveOptions { engine, version, options, raw } = options.clone();
        (engine, version, options, raw)
    };
    let sorted: BTreeMap<_, _> = options.map(|options| (key(options), options)).collect();
    sorted.into_values().cloned().collect()
}
