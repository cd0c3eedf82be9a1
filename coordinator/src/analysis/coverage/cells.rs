//! A set of cells: stretches of addresses, each with its ports. Every operation is one walk along sorted stretches.

use protocol::codec::{Decode, Encode};
use protocol::{PortSet, Protocol, TargetSet};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::IpAddr;

/// A set of cells. Equal sets are equal values: stretches are sorted and apart, those that touch differ in their ports,
/// and each set of ports is kept once, however many addresses have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Cells {
    /// Sorted; each is used, none is empty.
    ports: Vec<PortSet>,
    stretches: Vec<Stretch>,
}

/// Every address of `targets` with every port of `ports`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Block {
    /// The ports.
    pub ports: PortSet,
    /// The addresses.
    pub targets: TargetSet,
}

/// Neighbouring addresses of one family with the same ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
struct Stretch {
    first: IpAddr,
    last: IpAddr,
    /// Which set of ports.
    ports: u32,
}

impl FromIterator<Block> for Cells {
    fn from_iter<I: IntoIterator<Item = Block>>(blocks: I) -> Self {
        let mut numbers: BTreeMap<PortSet, u32> = BTreeMap::new();
        let mut stretches = Vec::new();
        for Block { ports, targets } in blocks {
            let next = number(numbers.len());
            let ports = *numbers.entry(ports).or_insert(next);
            stretches.extend(targets.ranges().map(|range| Stretch { first: range.first(), last: range.last(), ports }));
        }
        let sets: BTreeMap<u32, PortSet> = numbers.into_iter().map(|(ports, number)| (number, ports)).collect();
        let sets: Vec<PortSet> = sets.into_values().collect();
        let mut layers: Vec<Self> =
            layers(stretches).into_iter().map(|layer| Self::in_one_form(&sets, layer)).collect();
        while layers.len() > 1 {
            layers = layers.chunks(2).map(|pair| pair.iter().fold(Self::default(), |a, b| a.union(b))).collect();
        }
        layers.pop().unwrap_or_default()
    }
}

/// Spreads stretches that may overlap over as few sorted lists as do not.
fn layers(mut stretches: Vec<Stretch>) -> Vec<Vec<Stretch>> {
    stretches.sort_unstable_by_key(|stretch| (stretch.first, stretch.last));
    let mut layers: Vec<Vec<Stretch>> = Vec::new();
    let mut ends: BinaryHeap<Reverse<(IpAddr, usize)>> = BinaryHeap::new();
    for stretch in stretches {
        let free = ends.peek().is_some_and(|Reverse((end, _))| *end < stretch.first);
        let layer = free.then(|| ends.pop()).flatten().map_or(layers.len(), |Reverse((_, layer))| layer);
        match layers.get_mut(layer) {
            Some(layer) => layer.push(stretch),
            None => layers.push(vec![stretch]),
        }
        ends.push(Reverse((stretch.last, layer)));
    }
    layers
}

impl Cells {
    /// Every address with every port.
    pub fn new(targets: TargetSet, ports: PortSet) -> Self {
        [Block { ports, targets }].into_iter().collect()
    }

    /// The cells as blocks, by ports; each address stands in one.
    pub fn blocks(&self) -> Vec<Block> {
        let mut ranges: BTreeMap<u32, Vec<(IpAddr, IpAddr)>> = BTreeMap::new();
        for stretch in &self.stretches {
            ranges.entry(stretch.ports).or_default().push((stretch.first, stretch.last));
        }
        let sets = self.ports.iter().zip(ranges.into_values());
        sets.map(|(ports, ranges)| Block { ports: ports.clone(), targets: TargetSet::from_ranges(ranges) }).collect()
    }

    /// The addresses that have any cell here.
    pub fn addresses(&self) -> TargetSet {
        TargetSet::from_ranges(self.stretches.iter().map(|stretch| (stretch.first, stretch.last)))
    }

    /// True when there is no cell.
    pub fn is_empty(&self) -> bool {
        self.stretches.is_empty()
    }

    /// How many cells; stops at `u128::MAX`.
    pub fn count(&self) -> u128 {
        let size = |stretch: &Stretch| {
            let ports = self.set(Some(stretch.ports)).map_or(0, PortSet::count);
            addresses(stretch.first, stretch.last).saturating_mul(u128::from(ports))
        };
        self.stretches.iter().map(size).fold(0, u128::saturating_add)
    }

    /// The ports of one address.
    pub fn ports_of(&self, address: IpAddr) -> PortSet {
        self.ports_at(address).cloned().unwrap_or_default()
    }

    /// The ports of one address, without a copy; `None` when it has none.
    pub fn ports_at(&self, address: IpAddr) -> Option<&PortSet> {
        let at = self.stretches.partition_point(|stretch| stretch.last < address);
        let stretch = self.stretches.get(at).filter(|stretch| stretch.first <= address)?;
        self.set(Some(stretch.ports))
    }

    /// True when the cell is one of them.
    pub fn covers(&self, address: IpAddr, protocol: Protocol, port: u16) -> bool {
        self.ports_at(address).is_some_and(|ports| ports.contains(protocol, port))
    }

    /// The cells of either.
    pub fn union(&self, other: &Self) -> Self {
        self.along(other, |mine, theirs| match (mine, theirs) {
            (Some(mine), Some(theirs)) => mine.union(theirs),
            (one, another) => one.or(another).cloned().unwrap_or_default(),
        })
    }

    /// The cells of both.
    pub fn intersection(&self, other: &Self) -> Self {
        self.along(other, |mine, theirs| {
            mine.zip(theirs).map(|(mine, theirs)| mine.intersection(theirs)).unwrap_or_default()
        })
    }

    /// The cells that are not in `other`.
    pub fn minus(&self, other: &Self) -> Self {
        self.along(other, |mine, theirs| match (mine, theirs) {
            (Some(mine), Some(theirs)) => mine.minus(theirs),
            (mine, _) => mine.cloned().unwrap_or_default(),
        })
    }

    fn set(&self, number: Option<u32>) -> Option<&PortSet> {
        set(&self.ports, number?)
    }

    /// Walks both sides by address and puts their ports together; each pair of port sets is worked out once.
    fn along(&self, other: &Self, together: impl Fn(Option<&PortSet>, Option<&PortSet>) -> PortSet) -> Self {
        let mut numbers: BTreeMap<(Option<u32>, Option<u32>), u32> = BTreeMap::new();
        let mut sets: Vec<PortSet> = Vec::new();
        let mut stretches = Vec::with_capacity(self.stretches.len() + other.stretches.len());
        for (first, last, pair) in (SideBySide { mine: Rest::of(self), theirs: Rest::of(other) }) {
            let ports = *numbers.entry(pair).or_insert_with(|| {
                sets.push(together(self.set(pair.0), other.set(pair.1)));
                number(sets.len() - 1)
            });
            stretches.push(Stretch { first, last, ports });
        }
        Self::in_one_form(&sets, stretches)
    }

    /// From sorted stretches that do not overlap, which name one of `sets` each.
    fn in_one_form(sets: &[PortSet], stretches: Vec<Stretch>) -> Self {
        let used: BTreeSet<u32> = stretches.iter().map(|stretch| stretch.ports).collect();
        let used = used.into_iter().filter_map(|number| Some((number, set(sets, number)?)));
        let used: Vec<(u32, &PortSet)> = used.filter(|(_, ports)| !ports.is_empty()).collect();
        let distinct: BTreeSet<&PortSet> = used.iter().map(|(_, ports)| *ports).collect();
        let places: BTreeMap<&PortSet, u32> = distinct.iter().copied().zip(0u32..).collect();
        let places: BTreeMap<u32, u32> =
            used.into_iter().filter_map(|(number, ports)| Some((number, *places.get(ports)?))).collect();
        let mut joined: Vec<Stretch> = Vec::with_capacity(stretches.len());
        for stretch in stretches {
            let Some(ports) = places.get(&stretch.ports).copied() else { continue };
            match joined.last_mut() {
                Some(open) if open.ports == ports && next(open.last) == Some(stretch.first) => open.last = stretch.last,
                _ => joined.push(Stretch { ports, ..stretch }),
            }
        }
        Self { ports: distinct.into_iter().cloned().collect(), stretches: joined }
    }
}

/// The stretches of one side that are still to be walked.
struct Rest<'a> {
    head: Option<Stretch>,
    rest: std::slice::Iter<'a, Stretch>,
}

impl<'a> Rest<'a> {
    fn of(cells: &'a Cells) -> Self {
        let mut rest = cells.stretches.iter();
        Self { head: rest.next().copied(), rest }
    }

    /// Takes the head off up to `last`.
    fn cut(&mut self, last: IpAddr) {
        self.head = match self.head {
            Some(head) if last < head.last => next(last).map(|first| Stretch { first, ..head }),
            _ => self.rest.next().copied(),
        };
    }
}

/// Two sides as stretches within which neither changes.
struct SideBySide<'a> {
    mine: Rest<'a>,
    theirs: Rest<'a>,
}

impl Iterator for SideBySide<'_> {
    type Item = (IpAddr, IpAddr, (Option<u32>, Option<u32>));

    fn next(&mut self) -> Option<Self::Item> {
        let (mine, theirs) = (self.mine.head, self.theirs.head);
        let first = mine.iter().chain(&theirs).map(|head| head.first).min()?;
        let here = |head: Option<Stretch>| head.filter(|head| head.first == first);
        let ends = here(mine).into_iter().chain(here(theirs)).map(|head| head.last);
        let later = mine.into_iter().chain(theirs).filter(|head| head.first > first);
        let last = ends.chain(later.filter_map(|head| previous(head.first))).min()?;
        if here(mine).is_some() {
            self.mine.cut(last);
        }
        if here(theirs).is_some() {
            self.theirs.cut(last);
        }
        Some((first, last, (here(mine).map(|head| head.ports), here(theirs).map(|head| head.ports))))
    }
}

fn set(sets: &[PortSet], number: u32) -> Option<&PortSet> {
    sets.get(usize::try_from(number).ok()?)
}

fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// How many addresses a closed range of one family holds; stops at `u128::MAX`.
fn addresses(first: IpAddr, last: IpAddr) -> u128 {
    let bits = |address| match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    };
    bits(last).saturating_sub(bits(first)).saturating_add(1)
}

fn next(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => address.to_bits().checked_add(1).map(|bits| IpAddr::V4(bits.into())),
        IpAddr::V6(address) => address.to_bits().checked_add(1).map(|bits| IpAddr::V6(bits.into())),
    }
}

/// The address before one that is the first of its stretch but not of all; `None` for the first of a family.
fn previous(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => address.to_bits().checked_sub(1).map(|bits| IpAddr::V4(bits.into())),
        IpAddr::V6(address) => address.to_bits().checked_sub(1).map(|bits| IpAddr::V6(bits.into())),
    }
}
