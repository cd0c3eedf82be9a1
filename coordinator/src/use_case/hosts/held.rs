//! What is searched of every known host, held in memory until another run has its report: who looks for few hosts then
//! reads only these.

use super::Walk;
use crate::Coordinator;
use crate::host::{HostDigest, HostKey, PortWords};
use crate::store::tables::{RUN_LOOKS, SCANS};
use crate::store::{Memo, Reads, StoreError, View};
use protocol::task::ScanId;
use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

/// The most memory that is taken for it, in bytes: some 50,000 hosts that have the same ports, or 10,000 that have
/// nothing in common. Of more, each search reads all.
const MOST_BYTES: usize = 16 << 20;

/// The latest, by what was read; none when it was too much.
pub(crate) type HeldHosts = Memo<Option<Arc<Digests>>>;

/// Some hosts, in order, of each network that is spoken of.
pub(crate) type Among = BTreeMap<ScanId, Vec<IpAddr>>;

/// What is searched of every host of the networks in use.
pub(crate) struct Digests {
    networks: Vec<ScanId>,
    /// In order of address and then of network.
    hosts: Vec<(HostKey, HostDigest)>,
}

impl Digests {
    /// `None` when they take more than `most_bytes`, or are more hosts than one walk looks at.
    pub(super) fn read(reads: &impl Reads, most_bytes: usize) -> Result<Option<Self>, StoreError> {
        let mut walk = Walk::over_all(reads)?;
        let (mut hosts, mut size) = (Vec::new(), 0);
        let mut known: HashSet<Arc<[PortWords]>> = HashSet::new();
        while let Some(found) = walk.next()? {
            let mut host = HostDigest::of(&found.host);
            match known.get(&host.ports) {
                Some(same) => host.ports = same.clone(),
                None => {
                    size += host.ports.iter().map(PortWords::size).sum::<usize>();
                    known.insert(host.ports.clone());
                }
            }
            size += size_of::<HostKey>() + host.size();
            if size > most_bytes {
                return Ok(None);
            }
            hosts.push((found.key, host));
        }
        let networks = walk.networks().collect();
        Ok(walk.stopped_at().is_none().then_some(Self { networks, hosts }))
    }

    /// Those that fit, of each of these networks.
    pub(crate) fn that(&self, fits: impl Fn(HostKey, &HostDigest) -> bool) -> Among {
        let mut among: Among = self.networks.iter().map(|scan| (*scan, Vec::new())).collect();
        for (key, host) in &self.hosts {
            if fits(*key, host) {
                among.entry(key.scan).or_default().push(key.address);
            }
        }
        among
    }

    /// Whether they are of every host of this network, or of all in use.
    pub(super) fn know(&self, scan: Option<ScanId>) -> bool {
        scan.is_none_or(|scan| self.networks.contains(&scan))
    }

    /// Of one network, or of all.
    pub(super) fn hosts_of(&self, scan: Option<ScanId>) -> impl Iterator<Item = &HostDigest> {
        let of = self.hosts.iter().filter(move |(key, _)| scan.is_none_or(|scan| key.scan == scan));
        of.map(|(_, host)| host)
    }
}

impl Coordinator {
    /// What is searched of every host, unless it is too much to hold.
    pub(crate) async fn digests(&self) -> Result<Option<Arc<Digests>>, StoreError> {
        let revision = match self.held().hosts.get(self.store(), &[SCANS.label(), RUN_LOOKS.label()]) {
            (_, Some(held)) => return Ok(held),
            (revision, None) => revision,
        };
        let digests = self.store().read(|view: &View| Digests::read(view, MOST_BYTES)).await?.map(Arc::new);
        self.held().hosts.keep(revision, digests.clone());
        Ok(digests)
    }
}
