//! Runs read back (DESIGN.md section 4): versions of hosts, and what each run looked at.
//!
//! A host has a version for each run that left it otherwise than it was known. A version counts once its run has a look
//! stored, which happens in the commit that ends the run; until then nobody sees it.

mod compare;
mod past;
#[cfg(test)]
mod tests;

pub use compare::Comparison;
pub(crate) use compare::compare;
pub(crate) use past::PastRun;

use crate::analysis::coverage::RunCoverage;
use crate::analysis::delta::KnownHost;
use crate::store::tables::{HISTORY, RUN_LOOKS, RUNS_OF_SCAN};
use crate::store::{Reads, Row, Rows, StoreError};
use protocol::codec::{Decode, Encode};
use protocol::observation::HostState;
use protocol::task::{RunId, ScanId};
use protocol::text::Text;
use protocol::{TargetSet, Timestamp};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// A host as known since a run; `None` when it is gone since then.
pub(crate) type Version = Option<KnownHost>;

/// What one run looked at, for comparing it later.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct RunLook {
    /// What it settled: without what nobody could tell, and without what a second look left open.
    pub(crate) coverage: RunCoverage,
    /// Where it saw a host.
    pub(crate) seen: TargetSet,
    /// The hosts that have a version of this run: between two runs no others can have changed.
    pub(crate) versions: TargetSet,
}

/// How the bytes of a version begin, which is all that tells when the host was seen: address and run; address, state,
/// reason and time of its observation.
type VersionStart = Option<(IpAddr, RunId, (IpAddr, HostState, Text, Timestamp))>;

/// The runs of a scan up to `last` whose versions count.
pub(crate) fn reported_runs(reads: &impl Reads, scan: ScanId, last: RunId) -> Result<BTreeSet<RunId>, StoreError> {
    let mut reported = BTreeSet::new();
    for row in reads.within(&RUNS_OF_SCAN, &scan).before(&(scan, RunId(last.0.saturating_add(1)))) {
        let ((_, run), ()) = row?;
        if reads.contains(&RUN_LOOKS, &run)? {
            reported.insert(run);
        }
    }
    Ok(reported)
}

/// All versions of one host, oldest first, not decoded yet.
pub(crate) struct Versions<'a> {
    /// The host.
    pub(crate) address: IpAddr,
    rows: Vec<VersionRow<'a>>,
}

type VersionRow<'a> = Row<'a, (ScanId, IpAddr, RunId), Version>;

impl Versions<'_> {
    /// The version after `run`, by the runs that count.
    fn at(&self, reported: &BTreeSet<RunId>, run: RunId) -> Option<&VersionRow<'_>> {
        self.rows.iter().rev().find(|row| row.key.2 <= run && reported.contains(&row.key.2))
    }

    /// The host as known after `run`; `None` when it was not there.
    pub(crate) fn known(&self, reported: &BTreeSet<RunId>, run: RunId) -> Result<Version, StoreError> {
        self.at(reported, run).map_or(Ok(None), Row::value)
    }

    /// Whether the host was the same after both runs, however often it was seen meanwhile; no version is read whole.
    pub(crate) fn is_same(&self, reported: &BTreeSet<RunId>, [one, other]: [RunId; 2]) -> Result<bool, StoreError> {
        let (Some(one), Some(other)) = (self.at(reported, one), self.at(reported, other)) else { return Ok(false) };
        if one.key == other.key {
            return Ok(true);
        }
        let ((one, rest), (other, others_rest)) = (one.start::<VersionStart>()?, other.start::<VersionStart>()?);
        let what = |start: VersionStart| start.map(|(_, _, (address, state, reason, _))| (address, state, reason));
        Ok(what(one) == what(other) && rest == others_rest)
    }

    /// The versions that count, with the runs that wrote them, newest first.
    pub(crate) fn newest_first<'a>(
        &'a self,
        reported: &'a BTreeSet<RunId>,
    ) -> impl Iterator<Item = Result<(RunId, Version), StoreError>> + 'a {
        let counts = self.rows.iter().rev().filter(move |row| reported.contains(&row.key.2));
        counts.map(|row| row.value().map(|version| (row.key.2, version)))
    }

    /// The runs that wrote a version, the earliest first.
    pub(crate) fn runs(&self) -> impl Iterator<Item = RunId> + '_ {
        self.rows.iter().map(|row| row.key.2)
    }

    /// What `run` itself wrote.
    pub(crate) fn written(&self, run: RunId) -> Result<Option<Version>, StoreError> {
        self.rows.iter().find(|row| row.key.2 == run).map(Row::value).transpose()
    }

    /// Runs before `run` that wrote a version and then did not end with a report.
    pub(crate) fn stale<'a>(&'a self, reported: &'a BTreeSet<RunId>, run: RunId) -> impl Iterator<Item = RunId> + 'a {
        self.rows.iter().map(|row| row.key.2).filter(move |writer| *writer < run && !reported.contains(writer))
    }
}

/// The hosts of a scan in order, after the address `after`.
pub(crate) fn versions<'a>(
    reads: &'a impl Reads,
    scan: ScanId,
    after: Option<IpAddr>,
) -> impl Iterator<Item = Result<Versions<'a>, StoreError>> {
    let rows = reads.within(&HISTORY, &scan);
    by_host(match after {
        Some(address) => rows.after(&(scan, address, RunId(u64::MAX))),
        None => rows,
    })
}

/// The hosts of a scan within these addresses, in order.
pub(crate) fn versions_within<'a>(
    reads: &'a impl Reads,
    scan: ScanId,
    addresses: &'a TargetSet,
) -> impl Iterator<Item = Result<Versions<'a>, StoreError>> {
    addresses.ranges().flat_map(move |range| {
        let within = move |found: &Result<Versions<'_>, StoreError>| {
            found.as_ref().map_or(true, |versions| versions.address <= range.last())
        };
        versions_from(reads, scan, range.first(), false).take_while(within)
    })
}

/// The hosts of a scan in order, from the address `first` on, or after it.
pub(crate) fn versions_from<'a>(
    reads: &'a impl Reads,
    scan: ScanId,
    first: IpAddr,
    is_after: bool,
) -> impl Iterator<Item = Result<Versions<'a>, StoreError>> {
    let run = if is_after { RunId(u64::MAX) } else { RunId(0) };
    by_host(reads.within(&HISTORY, &scan).after(&(scan, first, run)))
}

/// One host; `None` when no run ever wrote anything about it.
pub(crate) fn versions_of<'a>(
    reads: &'a impl Reads,
    scan: ScanId,
    address: IpAddr,
) -> Result<Option<Versions<'a>>, StoreError> {
    by_host(reads.within(&HISTORY, &(scan, address))).next().transpose()
}

fn by_host<'a>(
    rows: Rows<'a, (ScanId, IpAddr, RunId), Version>,
) -> impl Iterator<Item = Result<Versions<'a>, StoreError>> {
    let mut rows = rows.unread().peekable();
    std::iter::from_fn(move || {
        let first = match rows.next()? {
            Ok(row) => row,
            Err(error) => return Some(Err(error)),
        };
        let address = first.key.1;
        let mut host = vec![first];
        // A row that cannot be read stays, and is the next item.
        while let Some(row) = rows.next_if(|row| row.as_ref().is_ok_and(|row| row.key.1 == address)) {
            host.extend(row.ok());
        }
        Some(Ok(Versions { address, rows: host }))
    })
}
