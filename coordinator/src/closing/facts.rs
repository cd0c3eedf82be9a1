//! What is known when a run is closed, apart from hosts: these are read in batches.

use super::batch::Batch;
use super::lookers::Lookers;
use crate::acceptance;
use crate::analysis::alert::{Alert, AlertKey, AlertState, Rule};
use crate::analysis::coverage::{Block, Cells, RunCoverage};
use crate::analysis::delta::{Compared, NoteKind, PortId, candidates, compare};
use crate::history::reported_runs;
use crate::intake::TaskCoverage;
use crate::rules;
use crate::run::{Look, Run, RunState, TaskRecord, Trigger};
use crate::store::tables::{ALERTS, KNOWN_COVERAGE, TASK_COVERAGE, TASKS};
use crate::store::{Reads, StoreError};
use protocol::TargetSet;
use protocol::task::{RunId, ScanId};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// What one closing rests on.
pub(super) struct Facts {
    pub(super) run: Run,
    pub(super) tasks: Vec<TaskRecord>,
    /// What the first look covered.
    pub(super) coverage: RunCoverage,
    /// What the second look covered.
    pub(super) coverage_again: RunCoverage,
    /// Who looked at what.
    pub(super) lookers: Lookers,
    /// What the second look was asked for.
    pub(super) asked_again: TargetSet,
    pub(super) known_coverage: RunCoverage,
    /// The scan's runs before, that have a report.
    pub(super) reported: BTreeSet<RunId>,
    /// In key order.
    pub(super) alerts: Vec<Alert>,
    /// Cells with an alert that is not over.
    alerted: BTreeSet<(IpAddr, PortId)>,
    pub(super) rules: Vec<Rule>,
    /// Cells whose state a person accepted.
    pub(super) accepted: BTreeSet<(IpAddr, PortId)>,
}

impl Facts {
    /// Reads them.
    pub(super) fn read(reads: &impl Reads, id: RunId) -> Result<Self, StoreError> {
        let run = super::read_run(reads, id)?;
        let scan = run.scan;
        let tasks: Vec<TaskRecord> =
            reads.within(&TASKS, &id).map(|row| row.map(|(_, task)| task)).collect::<Result<_, _>>()?;
        let again = tasks.iter().filter(|task| task.look == Look::Second);
        let found = coverages(reads, &tasks)?;
        let of_look =
            |wanted: Look| found.iter().filter(move |(look, _)| *look == wanted).map(|(_, task)| &task.coverage);
        let alerts = alerts(reads, scan)?;
        let alerted = alerts.iter().filter(|alert| alert.state != AlertState::Resolved);
        Ok(Self {
            coverage: of_look(Look::First).collect(),
            coverage_again: of_look(Look::Second).collect(),
            lookers: Lookers::of(found.iter().map(|(look, task)| (*look, task))),
            asked_again: again.fold(TargetSet::empty(), |all, task| all.union(&task.targets)),
            known_coverage: reads.get(&KNOWN_COVERAGE, &scan)?.unwrap_or_default(),
            reported: reported_runs(reads, scan, id)?,
            alerted: alerted.map(|alert| (alert.key.address, alert.key.port)).collect(),
            alerts,
            rules: rules::in_force(reads)?,
            accepted: acceptance::accepted_cells(reads, scan)?,
            tasks,
            run,
        })
    }

    /// Whether all that the changes rest on is still as it was read. Alerts may move: their steps are taken from where
    /// they stand, so that people who work on alerts never keep a run from ending.
    pub(super) fn hold(&self, reads: &impl Reads) -> Result<bool, StoreError> {
        Ok(super::read_run(reads, self.run.id)? == self.run
            && rules::in_force(reads)? == self.rules
            && acceptance::accepted_cells(reads, self.run.scan)? == self.accepted)
    }

    /// An alert as it was read.
    pub(super) fn alert(&self, key: &AlertKey) -> Option<&Alert> {
        let at = self.alerts.binary_search_by_key(&key, |alert| &alert.key).ok()?;
        self.alerts.get(at)
    }

    /// The latest run before, that has a report.
    pub(super) fn baseline(&self) -> Option<RunId> {
        self.reported.range(..self.run.id).next_back().copied()
    }

    /// True when a second look has not been taken and can be.
    pub(super) fn may_look_again(&self) -> bool {
        self.run.state != RunState::Closing && self.authority().is_none()
    }

    /// For a document of another scanner, whether its silence is proof. Nobody can look again for it.
    pub(super) fn authority(&self) -> Option<bool> {
        match &self.run.trigger {
            Trigger::Import { by: _, authoritative } => Some(*authoritative),
            Trigger::Person(_) | Trigger::Schedule | Trigger::Missing { .. } => None,
        }
    }

    /// What changed on the hosts of a batch, and what of it needs a second look. For a document that is no proof,
    /// every closed port does.
    pub(super) fn compared(&self, batch: &mut Batch, decided: &RunCoverage) -> Vec<Compared> {
        let (known, observed) = (std::mem::take(&mut batch.known), std::mem::take(&mut batch.observed));
        let mut compared: Vec<Compared> =
            compare(known.into_iter(), observed.into_iter(), &self.known_coverage, decided).collect();
        let is_no_proof = self.authority() == Some(false);
        for host in compared.iter_mut().filter(|host| !host.delta.changes.is_empty()) {
            candidates(std::slice::from_mut(&mut host.delta), |address, port| {
                is_no_proof || self.alerted.contains(&(address, port))
            });
        }
        if let Some(part) = &self.run.part {
            // The others were not to be looked at: that they were not says nothing of what is covered.
            for host in compared.iter_mut().filter(|host| !part.contains(host.delta.address)) {
                host.delta.notes.retain(|note| note.kind != NoteKind::NoLongerCovered);
            }
        }
        compared
    }

    /// Of the cells that were looked at before and not now, those that this run was to look at.
    pub(super) fn no_longer_covered(&self, no_longer: Cells) -> Cells {
        let Some(part) = &self.run.part else { return no_longer };
        let blocks = no_longer.blocks().into_iter();
        blocks.map(|block| Block { targets: block.targets.intersection(part), ..block }).collect()
    }

    /// The alerts of addresses after `after`, up to `last`; `None` is no bound.
    pub(super) fn alerts_between(&self, after: Option<IpAddr>, last: Option<IpAddr>) -> &[Alert] {
        let place = |address| self.alerts.partition_point(|alert| alert.key.address <= address);
        self.alerts.get(after.map_or(0, place)..last.map_or(self.alerts.len(), place)).unwrap_or_default()
    }
}

fn alerts(reads: &impl Reads, scan: ScanId) -> Result<Vec<Alert>, StoreError> {
    reads.within(&ALERTS, &scan).map(|row| row.map(|(_, alert)| alert)).collect()
}

/// What each task looked at that has a result.
fn coverages(reads: &impl Reads, tasks: &[TaskRecord]) -> Result<Vec<(Look, TaskCoverage)>, StoreError> {
    let mut found = Vec::new();
    for task in tasks {
        found.extend(reads.get(&TASK_COVERAGE, &task.id)?.map(|coverage| (task.look, coverage)));
    }
    Ok(found)
}
