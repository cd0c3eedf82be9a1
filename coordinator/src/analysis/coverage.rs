//! Which cells a run covered: the coverages of its tasks put together, compared, counted. Ranges, never rows.

mod cells;
#[cfg(test)]
mod tests;

pub use cells::{Block, Cells};

use protocol::codec::{Decode, Encode};
use protocol::observation::{
    Coverage, EffectiveOptions, HostObservation, HostState, PortState, ProbeMethod, ProbedCells, ServiceDetection,
    UnlistedPorts,
};
use protocol::text::Text;
use protocol::{PortSet, Protocol, TargetSet};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The most different options that a run keeps; its scan has one set of arguments, so engines and their versions count.
const MAX_OPTIONS: usize = 64;

/// What all tasks of a run looked at; also, summed over runs, what a scan ever looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct RunCoverage {
    /// Addresses asked for life.
    pub asked: TargetSet,
    /// Of these, addresses where only an open port proves that a host is there.
    pub by_port_only: TargetSet,
    /// Cells probed by connect, SYN or UDP.
    pub probed: Cells,
    /// Cells probed only by scan types whose states mean something else; they compare only with each other, and give
    /// way to a look in the usual ways.
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
        [task].into_iter().collect()
    }
}

impl<'a> FromIterator<&'a Coverage> for RunCoverage {
    /// What is said of an address that was not asked does not count: a host that timed out was not observed.
    fn from_iter<I: IntoIterator<Item = &'a Coverage>>(tasks: I) -> Self {
        let tasks: Vec<&Coverage> = tasks.into_iter().collect();
        let asked = joined(tasks.iter().map(|task| &task.asked));
        let proven: Vec<TargetSet> = tasks.iter().map(|task| task.asked.minus(&task.by_port_only)).collect();
        let cells = |otherwise: bool| {
            let all = tasks.iter().flat_map(|task| task.probed.iter().map(|cells| (&task.asked, cells)));
            let blocks = all.filter(|(_, cells)| (cells.method == ProbeMethod::Other) == otherwise);
            let asked = |(asked, cells): (&TargetSet, &ProbedCells)| Block {
                ports: cells.ports.clone(),
                targets: cells.targets.intersection(asked),
            };
            blocks.map(asked).collect::<Cells>()
        };
        let probed = cells(false);
        let identified = tasks.iter().flat_map(|task| task.services.iter().map(|how| (how, &task.asked)));
        Self {
            by_port_only: asked.minus(&joined(&proven)),
            asked,
            probed_otherwise: cells(true).minus(&probed),
            probed,
            identified: by_way(identified),
            options: distinct(tasks.iter().flat_map(|task| &task.options)),
        }
    }
}

impl RunCoverage {
    /// What either looked at. The order of many unions makes no difference.
    pub fn union(&self, other: &Self) -> Self {
        let asked = self.asked.union(&other.asked);
        let proven = self.asked.minus(&self.by_port_only).union(&other.asked.minus(&other.by_port_only));
        let probed = self.probed.union(&other.probed);
        let identified = self.identified.iter().chain(&other.identified);
        Self {
            by_port_only: asked.minus(&proven),
            asked,
            probed_otherwise: self.probed_otherwise.union(&other.probed_otherwise).minus(&probed),
            probed,
            identified: by_way(identified.map(|part| (&part.how, &part.targets))),
            options: distinct(self.options.iter().chain(&other.options)),
        }
    }

    /// What of it comparing with later runs needs: how each of them looked is kept with the run, and would grow here
    /// for ever.
    pub fn without_ways(self) -> Self {
        Self { identified: Vec::new(), options: Vec::new(), ..self }
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
            let ports = [&self.probed, &self.probed_otherwise].map(|cells| cells.ports_at(host.address));
            let ports = vague_ports(host, ports.into_iter().flatten())?;
            Some(Block { ports, targets: host.address.into() })
        };
        let up = hosts.into_iter().filter(|host| host.state == HostState::Up);
        let vague: Cells = up.filter_map(vague).collect();
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

    /// How a service of `address` was identified that the engine `by` named; empty: by the only engine. `None` also when
    /// it was done in two ways.
    pub fn detection_of(&self, address: IpAddr, by: &Text) -> Option<&ServiceDetection> {
        let is_its = |part: &&Identified| (by.is_empty() || part.how.engine == *by) && part.targets.contains(address);
        let mut ways = self.identified.iter().filter(is_its);
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

    /// The addresses at which the two did not look in the same way.
    pub fn differs_at(&self, other: &Self) -> TargetSet {
        let of_one = |mine: &Self, theirs: &Self| {
            let identified = |part: &Identified| {
                let same = theirs.identified.iter().filter(|other| other.how == part.how);
                part.targets.minus(&joined(same.map(|other| &other.targets)))
            };
            let cells = [mine.probed.minus(&theirs.probed), mine.probed_otherwise.minus(&theirs.probed_otherwise)];
            let asked = [mine.asked.minus(&theirs.asked), mine.by_port_only.minus(&theirs.by_port_only)];
            let cells = cells.iter().map(Cells::addresses);
            joined(&asked.into_iter().chain(cells).chain(mine.identified.iter().map(identified)).collect::<Vec<_>>())
        };
        of_one(self, other).union(&of_one(other, self))
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

/// True when ports of this protocol that the host does not list may be open: one of its sums leaves it open, or it is
/// UDP without any sum, where silence is no answer.
pub(super) fn unlisted_may_be_open(unlisted: &[UnlistedPorts], protocol: Protocol) -> bool {
    let mut states = unlisted.iter().filter(|part| part.protocol == protocol).map(|part| part.state).peekable();
    let silent = protocol == Protocol::Udp && states.peek().is_none();
    silent || states.any(may_be_open)
}

/// True for the states of which "not open" cannot be said.
pub(super) fn may_be_open(state: PortState) -> bool {
    matches!(state, PortState::Open | PortState::OpenFiltered | PortState::Unfiltered)
}

/// Of the `covered` ports of a host, those whose state says neither open nor not open; `None` when there are none.
fn vague_ports<'a>(host: &HostObservation, covered: impl Iterator<Item = &'a PortSet> + Clone) -> Option<PortSet> {
    let vague = |state| matches!(state, PortState::OpenFiltered | PortState::Unfiltered);
    let mut all = PortSet::empty();
    for protocol in Protocol::ALL {
        let listed = || host.ports.iter().filter(|port| port.protocol == protocol);
        if listed().any(|port| vague(port.state)) {
            let ports = listed().filter(|port| vague(port.state)).map(|port| port.port);
            all = all.union(&PortSet::from_ports(protocol, ports));
        }
        if covered.clone().any(|ports| !ports.ranges(protocol).is_empty())
            && unlisted_may_be_open(&host.unlisted, protocol)
        {
            let named = PortSet::from_ports(protocol, listed().map(|port| port.port));
            let ports = covered.clone().fold(PortSet::empty(), |all, ports| all.union(&ports.only(protocol)));
            all = all.union(&ports.minus(&named));
        }
    }
    (!all.is_empty()).then_some(all)
}

fn percent(done: u128, all: u128) -> u8 {
    let share = match done.checked_mul(100) {
        Some(hundredfold) => hundredfold.checked_div(all).unwrap_or(100),
        None => done / (all / 100).max(1),
    };
    u8::try_from(share.min(if done < all { 99 } else { 100 })).unwrap_or(99)
}

/// All addresses of many sets.
fn joined<'a>(sets: impl IntoIterator<Item = &'a TargetSet>) -> TargetSet {
    let ranges = sets.into_iter().flat_map(TargetSet::ranges);
    TargetSet::from_ranges(ranges.map(|range| (range.first(), range.last())))
}

/// Addresses by the way in which their services were identified.
fn by_way<'a>(parts: impl Iterator<Item = (&'a ServiceDetection, &'a TargetSet)>) -> Vec<Identified> {
    let mut by_way: BTreeMap<&ServiceDetection, Vec<&TargetSet>> = BTreeMap::new();
    for (how, targets) in parts {
        by_way.entry(how).or_default().push(targets);
    }
    by_way.into_iter().map(|(how, targets)| Identified { how: how.clone(), targets: joined(targets) }).collect()
}

fn distinct<'a>(options: impl Iterator<Item = &'a EffectiveOptions>) -> Vec<EffectiveOptions> {
    let key = |options: &EffectiveOptions| {
        let EffectiveOptions { engine, version, options, raw } = options.clone();
        (engine, version, options, raw)
    };
    let sorted: BTreeMap<_, _> = options.map(|options| (key(options), options)).collect();
    sorted.into_values().take(MAX_OPTIONS).cloned().collect()
}
