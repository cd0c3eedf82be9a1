//! Open ports over all hosts: which there are, and how many hosts have each.

use super::{Digests, Walk};
use crate::Coordinator;
use crate::UseCaseError;
use crate::accounts::{Actor, Right};
use crate::analysis::delta::PortId;
use crate::host::{HostDigest, HostFilter, PortWords};
use crate::store::tables::{RUN_LOOKS, SCANS};
use crate::store::{Memo, Reads, StoreError, View};
use protocol::text::Text;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The most ports that are listed.
const MAX_TALLIES: usize = 500;
/// The most names of a service that are counted for one port, and told.
const MAX_NAMES: (usize, usize) = (16, 3);

/// How many answers are held in memory until another run has its report.
const MOST_HELD: usize = 8;

/// The latest answers, by what was wanted.
pub(crate) type HeldServices = Memo<Vec<(HostFilter, Services)>>;

/// An open port, and how common it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceTally {
    /// The port.
    pub port: PortId,
    /// On how many hosts it is open.
    pub hosts: usize,
    /// What answers there, the most common first; at most three names.
    pub names: Vec<Text>,
}

/// The open ports of the hosts that are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Services {
    /// The most common first; of equals the lower port. At most 500.
    pub ports: Vec<ServiceTally>,
    /// How many ports more there are.
    pub left_out: usize,
    /// How many hosts were counted.
    pub hosts: usize,
    /// Whether there are more hosts than one look counts.
    pub is_cut: bool,
}

/// How many hosts have each open port, as they are counted.
#[derive(Default)]
struct Counts {
    hosts: usize,
    ports: BTreeMap<PortId, Count>,
}

#[derive(Default)]
struct Count {
    hosts: usize,
    names: BTreeMap<Text, usize>,
}

impl Coordinator {
    /// Which ports are open on the hosts that are wanted, and on how many.
    pub async fn services(&self, actor: &Actor, filter: &HostFilter) -> Result<Services, UseCaseError> {
        actor.require(Right::Read)?;
        let (revision, held) = self.held().services.get(self.store(), &[SCANS.label(), RUN_LOOKS.label()]);
        let held = held.unwrap_or_default();
        if let Some((_, services)) = held.iter().find(|(of, _)| of == filter) {
            return Ok(services.clone());
        }
        let (wanted, digests) = (filter.clone(), self.digests().await?);
        let read = move |view: &View| match digests.filter(|digests| digests.know(wanted.scan)) {
            Some(digests) => Ok(count_held(&digests, &wanted)),
            None => count(view, &wanted),
        };
        let services = self.store().read(read).await?;
        let latest = [(filter.clone(), services.clone())].into_iter().chain(held).take(MOST_HELD);
        self.held().services.keep(revision, latest.collect());
        Ok(services)
    }
}

pub(super) fn count(reads: &impl Reads, filter: &HostFilter) -> Result<Services, StoreError> {
    let mut walk = Walk::new(reads, filter.scan, filter.addresses.as_ref(), None, None)?;
    let mut counts = Counts::default();
    while let Some(found) = walk.next()? {
        counts.add(&HostDigest::of(&found.host), filter);
    }
    Ok(counts.services(walk.stopped_at().is_some()))
}

/// The same from memory.
pub(super) fn count_held(digests: &Digests, filter: &HostFilter) -> Services {
    let mut counts = Counts::default();
    digests.hosts_of(filter.scan).for_each(|host| counts.add(host, filter));
    counts.services(false)
}

impl Counts {
    fn add(&mut self, host: &HostDigest, filter: &HostFilter) {
        if !filter.takes(host) {
            return;
        }
        self.hosts += 1;
        for PortWords { port, name, service: _ } in filter.words_of(host) {
            let count = self.ports.entry(*port).or_default();
            count.hosts += 1;
            if let Some(hosts) = count.names.get_mut(name) {
                *hosts += 1;
            } else if !name.is_empty() && count.names.len() < MAX_NAMES.0 {
                count.names.insert(name.clone(), 1);
            }
        }
    }

    fn services(self, is_cut: bool) -> Services {
        let Self { hosts, ports } = self;
        let mut ports: Vec<ServiceTally> = ports.into_iter().map(tally).collect();
        ports.sort_by_key(|tally| (Reverse(tally.hosts), tally.port));
        let left_out = ports.len().saturating_sub(MAX_TALLIES);
        ports.truncate(MAX_TALLIES);
        Services { ports, left_out, hosts, is_cut }
    }
}

fn tally((port, Count { hosts, names }): (PortId, Count)) -> ServiceTally {
    let mut names: Vec<(Text, usize)> = names.into_iter().collect();
    names.sort_by_key(|(_, count)| Reverse(*count));
    ServiceTally { port, hosts, names: names.into_iter().take(MAX_NAMES.1).map(|(name, _)| name).collect() }
}
