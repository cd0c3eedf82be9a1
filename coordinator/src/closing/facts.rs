//! What is known when a run is closed, and what about it is in doubt.

use crate::acceptance;
use crate::analysis::alert::{Alert, AlertState, Rule};
use crate::analysis::coverage::{Block, Cells, RunCoverage};
use crate::analysis::delta::{
    Candidates, ChangeKind, Compared, HostDelta, KnownHost, PortId, candidates, compare, is_mass_change, settle,
};
use crate::rules;
use crate::run::{Look, Run, TaskRecord};
use crate::store::tables::{
    ALERTS, KNOWN, KNOWN_COVERAGE, REPORTS, RUNS, RUNS_OF_SCAN, STAGED, STAGED_AGAIN, TASK_COVERAGE, TASKS,
};
use crate::store::{Reads, StoreError};
use protocol::observation::{Coverage, HostObservation, HostState, PortState};
use protocol::task::RunId;
use protocol::{PortSet, TargetSet};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Fewer hosts than these may all be off at once without anything being wrong with the way to them.
const BLIND_FLOOR: usize = 5;

/// All that is known when a run is closed.
pub(super) struct Facts {
    pub(super) run: Run,
    pub(super) tasks: Vec<TaskRecord>,
    /// What the first look covered.
    pub(super) coverage: RunCoverage,
    /// The same without cells that nobody could tell open or closed.
    pub(super) decided: RunCoverage,
    /// What the first look saw.
    pub(super) observed: Vec<HostObservation>,
    /// What the second look covered.
    pub(super) coverage_again: RunCoverage,
    /// What the second look saw.
    pub(super) observed_again: BTreeMap<IpAddr, HostObservation>,
    pub(super) known: Vec<KnownHost>,
    pub(super) known_coverage: RunCoverage,
    pub(super) alerts: Vec<Alert>,
    pub(super) baseline: Option<RunId>,
    pub(super) rules: Vec<Rule>,
    /// Cells whose state a person accepted.
    pub(super) accepted: BTreeSet<(IpAddr, PortId)>,
}

impl Facts {
    /// Reads them; `None` when there is no such run.
    pub(super) fn read(reads: &impl Reads, id: RunId) -> Result<Option<Self>, StoreError> {
        let Some(run) = reads.get(&RUNS, &id)? else { return Ok(None) };
        let scan = run.scan;
        let tasks: Vec<TaskRecord> =
            reads.within(&TASKS, &id).map(|row| row.map(|(_, task)| task)).collect::<Result<_, _>>()?;
        let coverage = coverage_of(reads, &tasks, Look::First)?;
        let observed: Vec<HostObservation> =
            reads.within(&STAGED, &id).map(|row| row.map(|(_, host)| host)).collect::<Result<_, _>>()?;
        let again = reads.within(&STAGED_AGAIN, &id).map(|row| row.map(|((_, address), host)| (address, host)));
        Ok(Some(Self {
            coverage_again: coverage_of(reads, &tasks, Look::Second)?,
            observed_again: again.collect::<Result<_, _>>()?,
            decided: coverage.decided(&observed),
            tasks,
            coverage,
            observed,
            known: reads.within(&KNOWN, &scan).map(|row| row.map(|(_, host)| host)).collect::<Result<_, _>>()?,
            known_coverage: reads.get(&KNOWN_COVERAGE, &scan)?.unwrap_or_default(),
            alerts: reads.within(&ALERTS, &scan).map(|row| row.map(|(_, alert)| alert)).collect::<Result<_, _>>()?,
            baseline: latest_report_before(reads, &run)?,
            rules: rules::in_force(reads)?,
            accepted: acceptance::accepted_cells(reads, scan)?,
            run,
        }))
    }

    /// What seems gone, and must be looked at again before it is said. Beside a port in doubt stand the ports that
    /// showed the host to be there, so that the second look finds the host again.
    pub(super) fn in_doubt(&self) -> Candidates {
        let (_, Candidates { hosts, cells }) = self.compare();
        let doubtful = cells.blocks().iter().fold(TargetSet::empty(), |all, block| all.union(&block.targets));
        let seen = self.observed.iter().filter(|host| doubtful.contains(host.address));
        let open = |host: &HostObservation| {
            let open = host.ports.iter().filter(|port| port.state == PortState::Open);
            open.map(|port| Block {
                ports: PortSet::from_ports(port.protocol, [port.port]),
                targets: host.address.into(),
            })
            .collect::<Vec<_>>()
        };
        let witnesses: Cells = seen.flat_map(open).collect();
        Candidates { hosts, cells: cells.union(&witnesses) }
    }

    /// The run against what was known, host by host, settled by the second look.
    ///
    /// What no second look settled is a note and no change.
    pub(super) fn settled(&self) -> Vec<Compared> {
        let (compared, _) = self.compare();
        let nobody = RunCoverage::default();
        let again = if self.is_blind(&compared) { &nobody } else { &self.coverage_again };
        let settled = compared.into_iter().map(|compared| {
            let second = self.observed_again.get(&compared.delta.address);
            Compared { delta: settle(compared.delta, second, again), ..compared }
        });
        settled.collect()
    }

    /// True when many known hosts seem gone and no host at all was seen: then the way there may be gone instead, and a
    /// second look along the same way proves nothing.
    fn is_blind(&self, compared: &[Compared]) -> bool {
        let lost =
            |compared: &&Compared| compared.delta.changes.iter().any(|line| line.kind == ChangeKind::RemovedHost);
        let gone = compared.iter().filter(lost).count();
        let seen = self.observed.iter().chain(self.observed_again.values()).any(|host| host.state == HostState::Up);
        gone >= BLIND_FLOOR && !seen && is_mass_change(gone as u64, self.known.len() as u64)
    }

    fn compare(&self) -> (Vec<Compared>, Candidates) {
        let (known, observed) = (self.known.iter().cloned(), self.observed.iter().cloned());
        let mut compared: Vec<Compared> = compare(known, observed, &self.known_coverage, &self.decided).collect();
        let alerted: BTreeSet<(IpAddr, PortId)> = self
            .alerts
            .iter()
            .filter(|alert| alert.state != AlertState::Resolved)
            .map(|alert| (alert.key.address, alert.key.port))
            .collect();
        let mut deltas: Vec<HostDelta> = compared.iter().map(|compared| compared.delta.clone()).collect();
        let candidates = candidates(&mut deltas, |address, port| alerted.contains(&(address, port)));
        for (compared, delta) in compared.iter_mut().zip(deltas) {
            compared.delta = delta;
        }
        (compared, candidates)
    }
}

/// What the tasks of one look covered.
fn coverage_of(reads: &impl Reads, tasks: &[TaskRecord], look: Look) -> Result<RunCoverage, StoreError> {
    let mut found: Vec<Coverage> = Vec::new();
    for task in tasks.iter().filter(|task| task.look == look) {
        found.extend(reads.get(&TASK_COVERAGE, &task.id)?.map(|task| task.coverage));
    }
    Ok(found.iter().collect())
}

fn latest_report_before(reads: &impl Reads, run: &Run) -> Result<Option<RunId>, StoreError> {
    for row in reads.within(&RUNS_OF_SCAN, &run.scan).before(&(run.scan, run.id)).rev() {
        let ((_, earlier), ()) = row?;
        if reads.contains(&REPORTS, &earlier)? {
            return Ok(Some(earlier));
        }
    }
    Ok(None)
}
