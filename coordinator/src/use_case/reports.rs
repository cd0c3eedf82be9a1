//! Reports: seeing them.

use super::UseCaseError;
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::report::{self, Report};
use crate::store::tables::{REPORTS, RUNS_OF_SCAN, SCANS};
use crate::store::{Reads, StoreError};
use protocol::task::{RunId, ScanId};

/// The most reports that one list gives.
const MAX_LISTED: usize = 500;

fn history(reads: &impl Reads, scan: ScanId, limit: usize) -> Result<Vec<Report>, StoreError> {
    let mut reports = Vec::new();
    for row in reads.within(&RUNS_OF_SCAN, &scan).rev() {
        let ((_, run), ()) = row?;
        reports.extend(report::read(reads, run)?);
        if reports.len() >= limit {
            break;
        }
    }
    Ok(reports)
}

impl Coordinator {
    /// The latest reports of all networks, newest first.
    pub async fn reports(&self, actor: &Actor) -> Result<Vec<Report>, UseCaseError> {
        actor.require(Right::Read)?;
        let read = |view: &crate::store::View| {
            view.iter(&REPORTS).rev().take(MAX_LISTED).map(|row| report::whole(view, row?.1)).collect()
        };
        Ok(self.store().read(read).await?)
    }

    /// The report of one run.
    pub async fn report(&self, actor: &Actor, run: RunId) -> Result<Report, UseCaseError> {
        actor.require(Right::Read)?;
        let found = self.store().read(move |view| report::read(view, run)).await?;
        found.ok_or_else(|| UseCaseError::no_report(run))
    }

    /// The reports of one network, newest first.
    pub async fn history(&self, actor: &Actor, scan: ScanId) -> Result<Vec<Report>, UseCaseError> {
        actor.require(Right::Read)?;
        let read = move |view: &crate::store::View| {
            if !view.contains(&SCANS, &scan)? {
                return Ok(None);
            }
            history(view, scan, MAX_LISTED).map(Some)
        };
        self.store().read(read).await?.ok_or_else(|| UseCaseError::no_scan(scan))
    }

    /// The newest report of one network.
    pub async fn latest_report(&self, actor: &Actor, scan: ScanId) -> Result<Report, UseCaseError> {
        let newest = self.history(actor, scan).await?.into_iter().next();
        newest.ok_or_else(|| UseCaseError::no_report(format!("of scan {scan} yet")))
    }
}
