//! Scans: seeing, making, checking what was typed.

use super::UseCaseError;
use super::nodes;
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::audit;
use crate::report::{self, Report};
use crate::run::Run;
use crate::scan::{Scan, ScanDraft};
use crate::store::tables::{OPEN_RUNS, RUNS, RUNS_OF_SCAN, SCANS};
use crate::store::{Reads, StoreError};
use protocol::task::{RunId, ScanId};
use protocol::{TargetSet, Timestamp};

/// A scan with where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanView {
    /// The definition.
    pub scan: Scan,
    /// The run that has not ended.
    pub open_run: Option<RunId>,
    /// The latest run.
    pub last_run: Option<Run>,
    /// The latest report.
    pub last_report: Option<Report>,
}

/// What a draft would cover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Addresses to scan.
    pub addresses: u128,
    /// Ports of each; `None` for the engine's own set.
    pub ports: Option<u32>,
    /// Addresses that no approved node of the site has in its ranges.
    pub uncovered: TargetSet,
}

pub(crate) fn view(reads: &impl Reads, scan: Scan) -> Result<ScanView, StoreError> {
    let (mut last_run, mut last_report) = (None, None);
    for row in reads.within(&RUNS_OF_SCAN, &scan.id).rev() {
        let ((_, id), ()) = row?;
        if last_run.is_none() {
            last_run = reads.get(&RUNS, &id)?;
        }
        last_report = report::read(reads, id)?;
        if last_report.is_some() {
            break;
        }
    }
    Ok(ScanView { open_run: reads.get(&OPEN_RUNS, &scan.id)?, scan, last_run, last_report })
}

impl Coordinator {
    /// Every active scan, by number.
    pub async fn scans(&self, actor: &Actor) -> Result<Vec<ScanView>, UseCaseError> {
        actor.require(Right::Read)?;
        let read = |view_: &crate::store::View| {
            let scans: Result<Vec<Scan>, _> = view_.iter(&SCANS).map(|row| row.map(|(_, scan)| scan)).collect();
            scans?.into_iter().filter(|scan| scan.active).map(|scan| view(view_, scan)).collect()
        };
        Ok(self.store().read(read).await?)
    }

    /// One scan.
    pub async fn scan(&self, actor: &Actor, id: ScanId) -> Result<ScanView, UseCaseError> {
        actor.require(Right::Read)?;
        let found =
            self.store().read(move |reads| reads.get(&SCANS, &id)?.map(|scan| view(reads, scan)).transpose()).await?;
        found.ok_or_else(|| UseCaseError::no_scan(id))
    }

    /// Checks what was typed and says how far it reaches; changes nothing.
    pub async fn check_scan(&self, actor: &Actor, draft: &ScanDraft) -> Result<Reach, UseCaseError> {
        actor.require(Right::Read)?;
        let definition = draft.check()?;
        let nodes = self.store().read(nodes::all).await?;
        let approved = nodes.iter().filter_map(|node| node.approval()).filter(|node| node.site == *definition.site());
        let reachable = approved.fold(TargetSet::empty(), |all, node| all.union(&node.ranges));
        let wanted = definition.wanted();
        Ok(Reach {
            addresses: wanted.count(),
            ports: definition.ports().map(|ports| ports.count()),
            uncovered: wanted.minus(&reachable),
        })
    }

    /// Saves a new scan.
    pub async fn create_scan(&self, actor: &Actor, draft: &ScanDraft) -> Result<Scan, UseCaseError> {
        actor.require(Right::Operate)?;
        let definition = draft.check()?;
        let (now, who) = (Timestamp::now(), actor.clone());
        let scan = self
            .store()
            .update(move |draft| {
                let id = ScanId(draft.last(&SCANS)?.map_or(0, |(id, _)| id.0) + 1);
                audit::note(draft, &who, "scan create", &format!("{id} {}", definition.name()), now)?;
                let next_due = definition.next_due(now, now);
                let scan = Scan { id, definition, active: true, created: now, created_by: who.name, next_due };
                draft.put(&SCANS, &id, &scan)?;
                Ok::<_, StoreError>(scan)
            })
            .await?;
        self.schedule().set(scan.id, scan.next_due).await;
        Ok(scan)
    }
}
