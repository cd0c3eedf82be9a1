//! Hosts: one list over all networks, in order of address, read by key as far as a page needs.

mod detail;
mod held;
mod services;
#[cfg(test)]
mod tests;
mod walk;

pub use detail::{HostDetail, HostLook, MAX_LOOKS, MAX_PORTS, Mark, PortHistory};
pub(crate) use held::{Among, Digests, HeldHosts};
pub(crate) use services::HeldServices;
pub use services::{ServiceTally, Services};
pub(crate) use walk::Walk;

use super::UseCaseError;
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::analysis::alert::{Alert, Severity};
use crate::analysis::delta::KnownHost;
use crate::host::{HostDigest, HostFilter, HostKey};
use crate::store::tables::{ALERTS, SCANS};
use crate::store::{Reads, StoreError, View};
use protocol::Timestamp;
use protocol::task::RunId;
use protocol::text::Text;
use std::collections::BTreeSet;

/// The most hosts that one page of a list gives.
pub const MAX_HOSTS: usize = 1_000;

/// A host with what is said beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostView {
    /// Which one.
    pub key: HostKey,
    /// The network's name.
    pub network: Text,
    /// What is known of it.
    pub host: KnownHost,
    /// The latest run that saw it.
    pub seen: RunId,
    /// When that run ended.
    pub seen_at: Timestamp,
    /// Its open and actioned alerts.
    pub alerts: usize,
    /// The worst of them.
    pub worst: Option<Severity>,
}

/// Which page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostPage {
    /// Only what comes after this host, which need not be there any more.
    pub after: Option<HostKey>,
    /// At most so many, and never more than [`MAX_HOSTS`].
    pub limit: usize,
}

/// A page of hosts, in order of address and then of network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostList {
    /// The page. It may be short, or empty, although others follow: many hosts were looked at and few fit.
    pub hosts: Vec<HostView>,
    /// Where the next page begins; `None` on the last.
    pub next: Option<HostKey>,
    /// How many hosts are known in these networks, wanted or not.
    pub known: u64,
}

impl Coordinator {
    /// A page of the hosts that are wanted.
    pub async fn hosts(&self, actor: &Actor, filter: &HostFilter, page: HostPage) -> Result<HostList, UseCaseError> {
        actor.require(Right::Read)?;
        let asks_for_few = filter.asks_for_words() || filter.is_alerted;
        let digests = if asks_for_few { self.digests().await? } else { None };
        let alerts = if filter.is_alerted { self.every_alert().await? } else { None };
        let filter = filter.clone();
        let read = move |view: &View| {
            let among =
                digests.map(|digests| among(&filter, &digests, alerts.as_ref().map(|alerts| alerts.as_slice())));
            Ok(list(view, &filter, page, among.as_ref()))
        };
        self.store().read(read).await?
    }
}

/// The hosts that are wanted, as far as memory tells.
fn among(filter: &HostFilter, digests: &Digests, alerts: Option<&[Alert]>) -> Among {
    let active = |alerts: &[Alert]| -> BTreeSet<HostKey> {
        let active = alerts.iter().filter(|alert| alert.state.is_active());
        active.map(|alert| HostKey { address: alert.key.address, scan: alert.key.scan }).collect()
    };
    let alerted = alerts.map(active);
    let is_alerted = |key| alerted.as_ref().is_none_or(|alerted| alerted.contains(&key));
    digests.that(|key, host| is_alerted(key) && filter.takes(host))
}

/// Of networks that `among` speaks of, only the hosts that it names are read.
pub(crate) fn list(
    reads: &impl Reads,
    filter: &HostFilter,
    page: HostPage,
    among: Option<&Among>,
) -> Result<HostList, UseCaseError> {
    if let Some(scan) = filter.scan
        && !reads.contains(&SCANS, &scan)?
    {
        return Err(UseCaseError::no_scan(scan));
    }
    let limit = page.limit.clamp(1, MAX_HOSTS);
    let mut walk = Walk::new(reads, filter.scan, filter.addresses.as_ref(), page.after, among)?;
    let known = walk.known();
    let mut hosts: Vec<HostView> = Vec::new();
    while let Some(found) = walk.next()? {
        if !filter.takes(&HostDigest::of(&found.host)) {
            continue;
        }
        let (alerts, worst) = active_alerts(reads, found.key)?;
        if filter.is_alerted && alerts == 0 {
            continue;
        }
        if hosts.len() == limit {
            return Ok(HostList { next: hosts.last().map(|last| last.key), hosts, known });
        }
        hosts.push(walk.view(found, alerts, worst)?);
    }
    Ok(HostList { hosts, next: walk.stopped_at(), known })
}

/// How many alerts of a host are open or actioned, and the worst severity among them.
pub(crate) fn active_alerts(reads: &impl Reads, key: HostKey) -> Result<(usize, Option<Severity>), StoreError> {
    let (mut count, mut worst) = (0, None);
    for row in reads.within(&ALERTS, &(key.scan, key.address)) {
        let (_, alert) = row?;
        if alert.state.is_active() {
            count += 1;
            worst = Some(worst.map_or(alert.severity, |worst: Severity| worst.min(alert.severity)));
        }
    }
    Ok((count, worst))
}
