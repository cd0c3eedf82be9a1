//! Open ports over all hosts: which there are, and how many hosts have each.

use super::Walk;
use crate::Coordinator;
use crate::UseCaseError;
use crate::accounts::{Actor, Right};
use crate::analysis::delta::PortId;
use crate::host::{HostDigest, HostFilter};
use crate::store::tables::{RUN_LOOKS, SCANS};
use crate::store::{Memo, Reads, StoreError};
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
        let wanted = filter.clone();
        let services = self.store().read(move |view| count(view, &wanted)).await?;
        let latest = [(filter.clone(), services.clone())].into_iter().chain(held).take(MOST_HELD);
        self.held().services.keep(revision, latest.collect());
        Ok(services)
    }
}

pub(super) fn count(reads: &impl Reads, filter: &HostFilter) -> Result<Services, StoreError> {
    let mut walk = Walk::new(reads, filter.scan, filter.addresses.as_ref(), None, None)?;
    let (mut counts, mut hosts) = (BTreeMap::<PortId, Count>::new(), 0);
    while let Some(found) = walk.next()? {
        if filter.asks_for_words() && !filter.takes(&HostDigest::of(&found.host)) {
            continue;
        }
        hosts += 1;
        for port in filter.ports_of(&found.host) {
            let count = counts.entry(PortId { protocol: port.protocol, port: port.port }).or_default();
            count.hosts += 1;
            let name = port.service.as_ref().map(|service| &service.name).filter(|name| !name.is_empty());
            if let Some(name) = name.filter(|name| count.names.len() < MAX_NAMES.0 || count.names.contains_key(*name)) {
                *count.names.entry(name.clone()).or_default() += 1;
            }
        }
    }
    let mut ports: Vec<ServiceTally> = counts.into_iter().map(tally).collect();
    ports.sort_by_key(|tally| (Reverse(tally.hosts), tally.port));
    let left_out = ports.len().saturating_sub(MAX_TALLIES);
    ports.truncate(MAX_TALLIES);
    Ok(Services { ports, left_out, hosts, is_cut: walk.stopped_at().is_some() })
}

fn tally((port, Count { hosts, names }): (PortId, Count)) -> ServiceTally {
    let mut names: Vec<(Text, usize)> = names.into_iter().collect();
    names.sort_by_key(|(_, count)| Reverse(*count));
    ServiceTally { port, hosts, names: names.into_iter().take(MAX_NAMES.1).map(|(name, _)| name).collect() }
}
