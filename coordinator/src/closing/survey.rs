//! The first reading of a run: its sums, what of it is in doubt, and how far the second look's word goes (SPEC R4).

use super::batch::{Again, Batch};
use super::facts::Facts;
use super::lookers::{BLIND_FLOOR, Lookers};
use crate::analysis::coverage::{Block, Cells, RunCoverage};
use crate::analysis::delta::{
    Candidates, ChangeKind, Compared, Confirmation, HostDelta, accept, is_mass_change, settle,
};
use crate::store::tables::{STAGED, STAGED_AGAIN};
use crate::store::{Reads, StoreError};
use protocol::observation::{HostObservation, HostState, PortState};
use protocol::{PortSet, TargetSet};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Of how many hosts a mass change is confirmed by sample, spread evenly over all that seem gone. Up to this number
/// every one is looked at again: if one host in twenty were in truth there, a sample of 64 would miss it in 4 of 100
/// cases, and the next run would find it.
const SAMPLE: usize = 64;

/// How many hosts with undecided ports are held at a time.
const VAGUE_AT_ONCE: usize = 512;

/// What the first reading gives.
pub(super) struct Survey {
    /// The first look's coverage without cells that nobody could tell open or closed.
    pub(super) decided: RunCoverage,
    pub(super) hosts_up: u32,
    pub(super) open_ports: u32,
    /// Where either look saw a host.
    pub(super) seen: TargetSet,
    /// What seems gone and is to be looked at again.
    pub(super) doubt: Candidates,
    /// The second look's coverage without what a blind node looked at.
    again: RunCoverage,
    word: Word,
}

/// How far the second look's word goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// For what it looked at.
    Each,
    /// Also for the hosts outside the sample: all of the sample are gone.
    Rest,
    /// Nothing is settled: the way there may be gone, or nobody could look again.
    Nothing,
    /// A document's silence was said to be proof.
    Granted,
}

impl Survey {
    /// Reads all that the run found, some hosts at a time.
    pub(super) fn of(reads: &impl Reads, facts: &Facts, batch: usize) -> Result<Self, StoreError> {
        let mut first = FirstLook::read(reads, facts)?;
        let mut tally = Tally { lookers: facts.lookers.clone(), ..Tally::default() };
        let mut after = None;
        loop {
            let mut hosts = Batch::load(reads, facts, after, batch)?;
            for compared in facts.compared(&mut hosts, &first.decided) {
                tally.count(compared, &hosts.again, facts);
            }
            after = hosts.last;
            if after.is_none() {
                break;
            }
        }
        let mut is_dark = first.is_dark;
        for row in reads.within(&STAGED_AGAIN, &facts.run.id) {
            let (_, host) = row?;
            is_dark &= host.state != HostState::Up;
            first.seen.extend(is_there(&host, &facts.coverage_again).then_some(host.address));
        }
        let again = RunCoverage {
            asked: facts.coverage_again.asked.minus(&tally.lookers.unsettled()),
            ..facts.coverage_again.clone()
        };
        let word = tally.word(facts, &again, is_dark);
        Ok(Self {
            decided: first.decided,
            hosts_up: first.hosts_up,
            open_ports: first.open_ports,
            seen: first.seen.into_iter().collect(),
            doubt: tally.doubt(),
            again,
            word,
        })
    }

    /// Whether anything is to be looked at again.
    pub(super) fn is_in_doubt(&self) -> bool {
        !self.doubt.hosts.is_empty() || !self.doubt.cells.is_empty()
    }

    /// The lines of one host with the second look's word in.
    pub(super) fn settle(&self, delta: HostDelta, again: &Again, facts: &Facts) -> HostDelta {
        let address = delta.address;
        match self.word {
            Word::Granted => accept(delta),
            Word::Nothing => settle(delta, None, &RunCoverage::default()),
            Word::Rest if is_lost(&delta) && !facts.asked_again.contains(address) => accept(delta),
            Word::Rest | Word::Each => settle(delta, again.get(&address), &self.again),
        }
    }
}

/// What the first look found, apart from what it is compared with.
struct FirstLook {
    decided: RunCoverage,
    hosts_up: u32,
    open_ports: u32,
    seen: Vec<IpAddr>,
    /// It saw no host at all.
    is_dark: bool,
}

impl FirstLook {
    fn read(reads: &impl Reads, facts: &Facts) -> Result<Self, StoreError> {
        let decided = facts.coverage.clone();
        let mut look = Self { decided, hosts_up: 0, open_ports: 0, seen: Vec::new(), is_dark: true };
        let mut vague = Vec::new();
        for row in reads.within(&STAGED, &facts.run.id) {
            let (_, host) = row?;
            if host.state != HostState::Up {
                continue;
            }
            look.is_dark = false;
            look.hosts_up = look.hosts_up.saturating_add(1);
            look.open_ports = look.open_ports.saturating_add(open_ports(&host));
            look.seen.extend(is_there(&host, &facts.coverage).then_some(host.address));
            if is_vague(&host) {
                vague.push(host);
            }
            if vague.len() >= VAGUE_AT_ONCE {
                look.decided = look.decided.decided(&vague);
                vague.clear();
            }
        }
        look.decided = look.decided.decided(&vague);
        Ok(look)
    }
}

/// What is counted host by host.
#[derive(Default)]
struct Tally {
    known: u64,
    gone: Vec<IpAddr>,
    /// Of those that seem gone, how many a second look was asked for, and which it found gone too.
    sampled: usize,
    confirmed: Vec<IpAddr>,
    lookers: Lookers,
    /// Hosts that are there and of which some ports seem no longer open: these ports and those that showed the host.
    doubtful: BTreeMap<PortSet, Vec<IpAddr>>,
}

impl Tally {
    fn count(&mut self, compared: Compared, again: &Again, facts: &Facts) {
        let Compared { known, observed, delta } = compared;
        let address = delta.address;
        if known.is_some() {
            self.known += 1;
            self.lookers.count(address, observed.as_ref(), again.get(&address));
        }
        if is_lost(&delta) {
            self.gone.push(address);
            if facts.asked_again.contains(address) {
                self.sampled += 1;
                let settled = settle(delta, again.get(&address), &facts.coverage_again);
                self.confirmed.extend(is_lost(&settled).then_some(address));
            }
            return;
        }
        let wanted = delta.changes.iter().filter(|change| change.confirmation == Confirmation::Wanted);
        let wanted: BTreeSet<_> =
            wanted.filter_map(|change| change.port.map(|port| (port.protocol, port.port))).collect();
        if !wanted.is_empty() {
            let open = observed.iter().flat_map(|host| &host.ports).filter(|port| port.state == PortState::Open);
            let ports = wanted.into_iter().chain(open.map(|port| (port.protocol, port.port)));
            let ports =
                ports.fold(PortSet::empty(), |all, (protocol, port)| all.union(&PortSet::from_ports(protocol, [port])));
            self.doubtful.entry(ports).or_default().push(address);
        }
    }

    fn is_mass_change(&self) -> bool {
        is_mass_change(self.gone.len() as u64, self.known)
    }

    fn word(&self, facts: &Facts, again: &RunCoverage, is_dark: bool) -> Word {
        match facts.authority() {
            Some(true) => return Word::Granted,
            Some(false) => return Word::Nothing,
            None => {}
        }
        let is_blind = is_dark && self.gone.len() as u64 >= BLIND_FLOOR && self.is_mass_change();
        let is_sampled = self.gone.len() > SAMPLE && self.is_mass_change();
        let confirmed = self.confirmed.iter().filter(|address| again.asked.contains(**address)).count();
        match (is_blind, is_sampled) {
            (true, _) => Word::Nothing,
            (false, true) if self.sampled > 0 && confirmed == self.sampled => Word::Rest,
            (false, _) => Word::Each,
        }
    }

    fn doubt(self) -> Candidates {
        let hosts = if self.is_mass_change() { spread(&self.gone, SAMPLE) } else { self.gone.into_iter().collect() };
        let blocks = self.doubtful.into_iter();
        let cells: Cells = blocks.map(|(ports, hosts)| Block { ports, targets: hosts.into_iter().collect() }).collect();
        Candidates { hosts, cells }
    }
}

/// At most `size` of the addresses, at even distances.
fn spread(addresses: &[IpAddr], size: usize) -> TargetSet {
    let picked = (0..size).filter_map(|place| addresses.get(place * addresses.len() / size));
    picked.copied().collect()
}

fn is_lost(delta: &HostDelta) -> bool {
    delta.changes.iter().any(|change| change.kind == ChangeKind::RemovedHost)
}

/// Whether what was seen proves that a host is there.
fn is_there(host: &HostObservation, coverage: &RunCoverage) -> bool {
    host.state == HostState::Up && (!coverage.by_port_only.contains(host.address) || open_ports(host) > 0)
}

fn is_vague(host: &HostObservation) -> bool {
    let vague = |state| matches!(state, PortState::OpenFiltered | PortState::Unfiltered);
    host.ports.iter().any(|port| vague(port.state)) || host.unlisted.iter().any(|part| vague(part.state))
}

fn open_ports(host: &HostObservation) -> u32 {
    let open = host.ports.iter().filter(|port| port.state == PortState::Open);
    u32::try_from(open.count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_spread_over_the_whole_range_and_always_the_same() {
        let addresses: Vec<IpAddr> = (0..1_000u32).map(|number| IpAddr::from(number.to_be_bytes())).collect();
        let sample: Vec<IpAddr> = spread(&addresses, 10).addresses().collect();
        let places: Vec<IpAddr> = (0..10u32).map(|part| IpAddr::from((100 * part).to_be_bytes())).collect();
        assert_eq!(sample, places);
        assert_eq!(spread(&addresses, 10), spread(&addresses, 10));
        for size in 1..70 {
            let few = addresses.get(..size).unwrap();
            assert_eq!(spread(few, 64).count(), size.min(64) as u128, "{size}");
        }
        assert!(spread(&[], 64).is_empty());
    }
}
