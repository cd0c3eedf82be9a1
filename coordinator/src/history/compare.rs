//! Two runs of a scan against each other (SPEC R10): both read back, compared by the rules of a report.

use super::{RunLook, Versions, reported_runs, versions_within};
use crate::analysis::delta::{self, Change, KnownHost, Note, accept};
use crate::report::{Collector, Lines, MAX_LINES};
use crate::store::tables::RUN_LOOKS;
use crate::store::{Reads, StoreError};
use protocol::TargetSet;
use protocol::observation::HostObservation;
use protocol::task::{RunId, ScanId};
use std::collections::BTreeSet;
use std::ops::Bound;

/// How many hosts that may differ are held at a time.
const HOSTS_AT_ONCE: usize = 512;

/// What one run found otherwise than another one of the same scan.
///
/// Only what both settled is compared; second looks are over, so every change is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The network.
    pub scan: ScanId,
    /// The run that counts as the earlier one.
    pub from: RunId,
    /// The run that counts as the later one.
    pub to: RunId,
    /// What changed, by address, port and kind.
    pub changes: Vec<Change>,
    /// What looks like a change and counts as none, in the same order.
    pub notes: Vec<Note>,
    /// Lines beyond the limits, which are not kept.
    pub left_out: u64,
    /// Hosts that the earlier run saw, and the later one.
    pub hosts: (u64, u64),
    /// Addresses that both asked.
    pub shared_addresses: u64,
    /// Cells that only the later run looked at.
    pub newly_covered_cells: u64,
    /// Cells that only the earlier run looked at.
    pub no_longer_covered_cells: u64,
}

/// Compares two runs of one scan, each with what it looked at.
pub(crate) fn compare(
    reads: &impl Reads,
    scan: ScanId,
    (from, before): (RunId, &RunLook),
    (to, after): (RunId, &RunLook),
) -> Result<Comparison, StoreError> {
    let (lines, left_out) = Sides { scan, from, to, before, after }.lines(reads)?;
    let count = |count: u128| u64::try_from(count).unwrap_or(u64::MAX);
    let covered = after.coverage.change_from(&before.coverage);
    Ok(Comparison {
        scan,
        from,
        to,
        changes: lines.changes,
        notes: lines.notes,
        left_out,
        hosts: (count(before.seen.count()), count(after.seen.count())),
        shared_addresses: count(before.coverage.asked.intersection(&after.coverage.asked).count()),
        newly_covered_cells: count(covered.newly_covered.count()),
        no_longer_covered_cells: count(covered.no_longer_covered.count()),
    })
}

struct Sides<'a> {
    scan: ScanId,
    from: RunId,
    to: RunId,
    before: &'a RunLook,
    after: &'a RunLook,
}

impl Sides<'_> {
    /// Reads only hosts that can differ: the others have the same version and were looked at in the same way.
    fn lines(&self, reads: &impl Reads) -> Result<(Lines, u64), StoreError> {
        let reported = reported_runs(reads, self.scan, self.from.max(self.to))?;
        let looked_at_otherwise = self.before.coverage.differs_at(&self.after.coverage);
        let can_differ = self.changed_between(reads, &reported)?.union(&looked_at_otherwise);
        let (mut known, mut seen) = (Vec::new(), Vec::new());
        let mut lines = Collector::new(MAX_LINES);
        for versions in versions_within(reads, self.scan, &can_differ) {
            let versions = versions?;
            if !looked_at_otherwise.contains(versions.address) && self.is_same(&versions, &reported)? {
                continue;
            }
            known.extend(self.before.host(&versions, &reported, self.from)?);
            seen.extend(self.after.host(&versions, &reported, self.to)?.map(|host| host.observation));
            if known.len() + seen.len() >= HOSTS_AT_ONCE {
                self.take(&mut lines, std::mem::take(&mut known), std::mem::take(&mut seen));
            }
        }
        self.take(&mut lines, known, seen);
        Ok(lines.finish())
    }

    /// Where a run after the earlier one, up to the later one, has left another version, or only one of the two saw a host.
    ///
    /// In order of the runs: when one is removed meanwhile, its versions are with a later one before it is gone.
    fn changed_between(&self, reads: &impl Reads, reported: &BTreeSet<RunId>) -> Result<TargetSet, StoreError> {
        let (before, after) = (&self.before.seen, &self.after.seen);
        let mut changed = vec![before.minus(after), after.minus(before)];
        let between = (Bound::Excluded(self.from.min(self.to)), Bound::Included(self.from.max(self.to)));
        for run in reported.range(between) {
            changed.extend(reads.get(&RUN_LOOKS, run)?.map(|look| look.versions));
        }
        let ranges = changed.iter().flat_map(TargetSet::ranges);
        Ok(TargetSet::from_ranges(ranges.map(|range| (range.first(), range.last()))))
    }

    /// True when both runs saw the same: then no host is read whole. Only where both looked alike.
    fn is_same(&self, versions: &Versions<'_>, reported: &BTreeSet<RunId>) -> Result<bool, StoreError> {
        let (before, after) = (self.before.seen.contains(versions.address), self.after.seen.contains(versions.address));
        Ok(before == after && versions.is_same(reported, [self.from, self.to])?)
    }

    fn take(&self, lines: &mut Collector, known: Vec<KnownHost>, seen: Vec<HostObservation>) {
        let (before, after) = (&self.before.coverage, &self.after.coverage);
        for delta in delta::delta(known.into_iter(), seen.into_iter(), before, after) {
            lines.take(accept(delta));
        }
    }
}
