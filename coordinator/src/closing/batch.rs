//! A stretch of addresses with all that is known and was seen of them: sorted streams read side by side.

use super::facts::Facts;
use crate::analysis::alert::{Alert, AlertState};
use crate::analysis::delta::{KnownHost, PortId};
use crate::history::{Version, Versions, versions};
use crate::store::tables::{ALERTS, STAGED, STAGED_AGAIN};
use crate::store::{Reads, StoreError, Table};
use protocol::observation::HostObservation;
use protocol::task::{RunId, ScanId};
use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::net::IpAddr;

/// Hosts as a second look saw them.
pub(super) type Again = BTreeMap<IpAddr, HostObservation>;

/// Some hosts in address order.
#[derive(Default)]
pub(super) struct Batch {
    /// As known before the run.
    pub(super) known: Vec<KnownHost>,
    /// As the first look saw them.
    pub(super) observed: Vec<HostObservation>,
    /// As the second look saw them.
    pub(super) again: Again,
    /// What an earlier attempt to close this run has written.
    pub(super) written: BTreeMap<IpAddr, Version>,
    /// Alerts of these addresses and of those between, in key order.
    pub(super) alerts: Vec<Alert>,
    /// Versions of runs that ended without a report: they never count.
    pub(super) stale: Vec<(IpAddr, RunId)>,
    /// The last address; none: there are no more hosts after this batch.
    pub(super) last: Option<IpAddr>,
}

impl Batch {
    /// Reads the hosts after the address `after`, until they and their ports are `size` or more.
    ///
    /// A row that cannot be read is an error, never the end of a stream.
    pub(super) fn load(
        reads: &impl Reads,
        facts: &Facts,
        after: Option<IpAddr>,
        size: usize,
    ) -> Result<Self, StoreError> {
        let run = facts.run.id;
        let mut known = versions(reads, facts.run.scan, after).peekable();
        let mut observed = staged(reads, &STAGED, run, after).peekable();
        let mut again = staged(reads, &STAGED_AGAIN, run, after).peekable();
        let (mut batch, mut weight) = (Self::default(), 0);
        while weight < size {
            let at_known = next_address(&mut known, |versions| versions.address)?;
            let next = [
                at_known,
                next_address(&mut observed, |host| host.address)?,
                next_address(&mut again, |host| host.address)?,
            ];
            batch.last = next.into_iter().flatten().min();
            let Some(address) = batch.last else { break };
            if let Some(versions) = take(&mut known, at_known, address)? {
                weight += 1;
                batch.add_known(&versions, facts)?;
            }
            if let Some(host) = take(&mut observed, next[1], address)? {
                weight += 1 + host.ports.len();
                batch.observed.push(host);
            }
            if let Some(host) = take(&mut again, next[2], address)? {
                weight += 1 + host.ports.len();
                batch.again.insert(address, host);
            }
        }
        batch.alerts = alerts(reads, facts.run.scan, after, batch.last)?;
        Ok(batch)
    }

    /// Cells with an alert that is not over.
    pub(super) fn alerted(&self) -> BTreeSet<(IpAddr, PortId)> {
        let standing = self.alerts.iter().filter(|alert| alert.state != AlertState::Resolved);
        standing.map(|alert| (alert.key.address, alert.key.port)).collect()
    }

    fn add_known(&mut self, versions: &Versions<'_>, facts: &Facts) -> Result<(), StoreError> {
        let run = facts.run.id;
        self.known.extend(versions.known(&facts.reported, run)?);
        self.written.extend(versions.written(run)?.map(|version| (versions.address, version)));
        self.stale.extend(versions.stale(&facts.reported, run).map(|writer| (versions.address, writer)));
        Ok(())
    }
}

fn staged<'a>(
    reads: &'a impl Reads,
    table: &'a Table<(RunId, IpAddr), HostObservation>,
    run: RunId,
    after: Option<IpAddr>,
) -> impl Iterator<Item = Result<HostObservation, StoreError>> {
    let rows = reads.within(table, &run);
    let rows = match after {
        Some(address) => rows.after(&(run, address)),
        None => rows,
    };
    rows.map(|row| row.map(|(_, host)| host))
}

/// The alerts of addresses after `after`, up to `last`; `None` is no bound.
fn alerts(
    reads: &impl Reads,
    scan: ScanId,
    after: Option<IpAddr>,
    last: Option<IpAddr>,
) -> Result<Vec<Alert>, StoreError> {
    let rows = reads.within(&ALERTS, &scan);
    let rows = match after {
        Some(address) => rows.beyond(&(scan, address)),
        None => rows,
    };
    let mut found = Vec::new();
    for row in rows {
        let (key, alert) = row?;
        if last.is_some_and(|last| key.address > last) {
            break;
        }
        found.push(alert);
    }
    Ok(found)
}

type Fallible<T> = Result<T, StoreError>;

/// The address at the head of a stream.
fn next_address<T>(
    stream: &mut Peekable<impl Iterator<Item = Fallible<T>>>,
    address: impl Fn(&T) -> IpAddr,
) -> Fallible<Option<IpAddr>> {
    match stream.next_if(Result::is_err) {
        Some(Err(error)) => Err(error),
        _ => Ok(stream.peek().and_then(|item| item.as_ref().ok()).map(address)),
    }
}

/// The head of a stream, when it is at `address`.
fn take<T>(
    stream: &mut Peekable<impl Iterator<Item = Fallible<T>>>,
    at: Option<IpAddr>,
    address: IpAddr,
) -> Fallible<Option<T>> {
    if at == Some(address) { stream.next().transpose() } else { Ok(None) }
}
