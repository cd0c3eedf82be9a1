//! Reports: seeing them.

use super::UseCaseError;
use super::runs::RunPage;
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::report::{self, Report, ReportSummary};
use crate::store::tables::{REPORT_SUMMARIES, RUNS_OF_SCAN, SCANS};
use crate::store::{Reads, StoreError};
use protocol::task::{RunId, ScanId};

/// The most reports that one list gives.
const MAX_LISTED: usize = 500;

/// The reports of a scan without their lines, newest first.
pub(crate) fn history(
    reads: &impl Reads,
    scan: ScanId,
) -> impl Iterator<Item = Result<ReportSummary, StoreError>> + '_ {
    history_before(reads, scan, RunId(u64::MAX))
}

fn history_before(
    reads: &impl Reads,
    scan: ScanId,
    before: RunId,
) -> impl Iterator<Item = Result<ReportSummary, StoreError>> + '_ {
    let runs = reads.within(&RUNS_OF_SCAN, &scan).before(&(scan, before)).rev();
    runs.filter_map(|row| row.and_then(|((_, run), ())| reads.get(&REPORT_SUMMARIES, &run)).transpose())
}

impl Coordinator {
    /// The latest reports of all networks without their lines, newest first.
    pub async fn reports(&self, actor: &Actor) -> Result<Vec<ReportSummary>, UseCaseError> {
        actor.require(Right::Read)?;
        let read = |view: &crate::store::View| {
            view.iter(&REPORT_SUMMARIES).rev().take(MAX_LISTED).map(|row| Ok(row?.1)).collect()
        };
        Ok(self.store().read(read).await?)
    }

    /// A page of the reports of one network, or of all, without their lines, newest first.
    pub async fn find_reports(
        &self,
        actor: &Actor,
        scan: Option<ScanId>,
        RunPage { before, limit }: RunPage,
    ) -> Result<Vec<ReportSummary>, UseCaseError> {
        actor.require(Right::Read)?;
        let before = before.unwrap_or(RunId(u64::MAX));
        let read = move |view: &crate::store::View| match scan {
            None => {
                let rows = view.iter(&REPORT_SUMMARIES).before(&before).rev().take(limit);
                rows.map(|row| Ok(row?.1)).collect::<Result<_, StoreError>>().map(Ok)
            }
            Some(scan) if !view.contains(&SCANS, &scan)? => Ok(Err(UseCaseError::no_scan(scan))),
            Some(scan) => history_before(view, scan, before).take(limit).collect::<Result<_, _>>().map(Ok),
        };
        self.store().read(read).await?
    }

    /// The report of one run.
    pub async fn report(&self, actor: &Actor, run: RunId) -> Result<Report, UseCaseError> {
        actor.require(Right::Read)?;
        let found = self.store().read(move |view| report::read(view, run)).await?;
        found.ok_or_else(|| UseCaseError::no_report(run))
    }

    /// The reports of one network without their lines, newest first.
    pub async fn history(&self, actor: &Actor, scan: ScanId) -> Result<Vec<ReportSummary>, UseCaseError> {
        actor.require(Right::Read)?;
        let read = move |view: &crate::store::View| {
            if !view.contains(&SCANS, &scan)? {
                return Ok(None);
            }
            history(view, scan).take(MAX_LISTED).collect::<Result<_, _>>().map(Some)
        };
        self.store().read(read).await?.ok_or_else(|| UseCaseError::no_scan(scan))
    }

    /// The newest report of one network.
    pub async fn latest_report(&self, actor: &Actor, scan: ScanId) -> Result<Report, UseCaseError> {
        actor.require(Right::Read)?;
        let read = move |view: &crate::store::View| {
            if !view.contains(&SCANS, &scan)? {
                return Ok(Err(UseCaseError::no_scan(scan)));
            }
            let newest = history(view, scan).next().transpose()?;
            let report = newest.map_or(Ok(None), |newest| report::read(view, newest.run))?;
            Ok(report.ok_or_else(|| UseCaseError::no_report(format!("of scan {scan} yet"))))
        };
        self.store().read(read).await?
    }
}
