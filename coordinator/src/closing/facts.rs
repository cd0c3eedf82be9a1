//! What is known when a run is closed, apart from hosts and their alerts: these are read in batches.

use super::batch::Batch;
use super::lookers::Lookers;
use crate::acceptance;
use crate::analysis::alert::Rule;
use crate::analysis::coverage::{Block, Cells, RunCoverage};
use crate::analysis::delta::{Compared, NoteKind, PortId, candidates, compare};
use crate::history::reported_runs;
use crate::intake::TaskCoverage;
use crate::rules;
use crate::run::{Look, Run, RunState, TaskRecord, Trigger};
use crate::store::tables::{KNOWN_COVERAGE, TASK_COVERAGE, TASKS};
use crate::store::{Reads, StoreError};
use crate::verified::Verified;
use protocol::task::RunId;
use protocol::{PortSet, TargetSet, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
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
    /// When each cell was last looked at.
    pub(super) verified: Verified,
    /// The scan's runs before, that have a report.
    pub(super) reported: BTreeSet<RunId>,
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
        Ok(Self {
            coverage: of_look(Look::First).collect(),
            coverage_again: of_look(Look::Second).collect(),
            lookers: Lookers::of(found.iter().map(|(look, task)| (*look, task))),
            asked_again: again.fold(TargetSet::empty(), |all, task| all.union(&task.targets)),
            known_coverage: reads.get(&KNOWN_COVERAGE, &scan)?.unwrap_or_default(),
            verified: Verified::of(reads, scan)?,
            reported: reported_runs(reads, scan, id)?,
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
        let alerted = batch.alerted();
        let (known, observed) = (std::mem::take(&mut batch.known), std::mem::take(&mut batch.observed));
        let mut compared: Vec<Compared> =
            compare(known.into_iter(), observed.into_iter(), &self.known_coverage, decided).collect();
        let is_no_proof = self.authority() == Some(false);
        for host in compared.iter_mut().filter(|host| !host.delta.changes.is_empty()) {
            candidates(std::slice::from_mut(&mut host.delta), |address, port| {
                is_no_proof || alerted.contains(&(address, port))
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

    /// When each cell was last looked at, once this run has settled `coverage` but for the cells that it left open. A
    /// document that is no proof verifies nothing.
    pub(super) fn verified_after(
        &self,
        coverage: &RunCoverage,
        left_open: BTreeSet<(IpAddr, PortId)>,
        now: Timestamp,
    ) -> Verified {
        if self.authority() == Some(false) {
            return self.verified.clone();
        }
        let mut open: BTreeMap<PortId, Vec<IpAddr>> = BTreeMap::new();
        for (address, port) in left_open {
            open.entry(port).or_default().push(address);
        }
        let block = |(port, hosts): (PortId, Vec<IpAddr>)| Block {
            ports: PortSet::from_ports(port.protocol, [port.port]),
            targets: hosts.into_iter().collect(),
        };
        let settled = coverage.probed.union(&coverage.probed_otherwise).minus(&open.into_iter().map(block).collect());
        self.verified.with(self.run.id, now, settled)
    }
}

/// What each task looked at that has a result.
fn coverages(reads: &impl Reads, tasks: &[TaskRecord]) -> Result<Vec<(Look, TaskCoverage)>, StoreError> {
    let mut found = Vec::new();
    for task in tasks {
        found.extend(reads.get(&TASK_COVERAGE, &task.id)?.map(|coverage| (task.look, coverage)));
    }
    Ok(found)
}
