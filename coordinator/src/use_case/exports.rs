//! Exports: a report with what stands around it, and which reports a network has.

use super::UseCaseError;
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::analysis::alert::Rule;
use crate::report::Report;
use crate::rules;
use crate::run::Run;
use crate::store::tables::{REPORTS, RUNS, RUNS_OF_SCAN, SCANS};
use crate::store::{Reads, StoreError, View};
use protocol::task::{RunId, ScanId};
use protocol::text::Text;

/// A report with all that a reader without a coordinator needs to understand it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportInContext {
    /// The report.
    pub report: Report,
    /// What its network is called now.
    pub network: Text,
    /// Its run.
    pub run: Run,
    /// The run it was compared with, while that is kept.
    pub baseline: Option<Run>,
    /// The rules in force now, which rate its ports.
    pub rules: Vec<Rule>,
}

/// The reports that a network has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportsOfNetwork {
    /// What the network is called.
    pub name: Text,
    /// Their numbers, newest first.
    pub reports: Vec<RunId>,
}

fn in_context(reads: &impl Reads, run: RunId) -> Result<Option<ReportInContext>, StoreError> {
    let (Some(report), Some(run)) = (reads.get(&REPORTS, &run)?, reads.get(&RUNS, &run)?) else { return Ok(None) };
    let baseline = report.baseline.map(|baseline| reads.get(&RUNS, &baseline)).transpose()?.flatten();
    let definition = reads.get(&SCANS, &report.scan)?.map(|scan| scan.definition);
    let network = definition.as_ref().unwrap_or(&run.definition).name().clone();
    Ok(Some(ReportInContext { report, network, run, baseline, rules: rules::in_force(reads)? }))
}

fn of_network(reads: &impl Reads, scan: ScanId) -> Result<Option<ReportsOfNetwork>, StoreError> {
    let Some(found) = reads.get(&SCANS, &scan)? else { return Ok(None) };
    let mut reports = Vec::new();
    for row in reads.within(&RUNS_OF_SCAN, &scan).rev() {
        let ((_, run), ()) = row?;
        if reads.contains(&REPORTS, &run)? {
            reports.push(run);
        }
    }
    Ok(Some(ReportsOfNetwork { name: found.definition.name().clone(), reports }))
}

impl Coordinator {
    /// The report of one run, with all that an export tells of it.
    pub async fn report_in_context(&self, actor: &Actor, run: RunId) -> Result<ReportInContext, UseCaseError> {
        actor.require(Right::Read)?;
        let found = self.store().read(move |view: &View| in_context(view, run)).await?;
        found.ok_or_else(|| UseCaseError::no_report(run))
    }

    /// The numbers of all reports of one network; the reports themselves are read one by one.
    pub async fn reports_of_network(&self, actor: &Actor, scan: ScanId) -> Result<ReportsOfNetwork, UseCaseError> {
        actor.require(Right::Read)?;
        let found = self.store().read(move |view: &View| of_network(view, scan)).await?;
        found.ok_or_else(|| UseCaseError::no_scan(scan))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Fixture, SCAN, TARGETS, host};

    #[tokio::test]
    async fn a_report_comes_with_its_runs_its_network_and_the_rules() {
        let fixture = Fixture::new().await;
        let first = fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[80])]).await;
        let second = fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[80, 3389])]).await;
        let read = fixture.store.read(move |view: &View| in_context(view, second)).await.unwrap().unwrap();
        assert_eq!((read.report.run, read.run.id, read.baseline.map(|run| run.id)), (second, second, Some(first)));
        assert_eq!(read.network.as_str(), "Office");
        assert!(!read.rules.is_empty() && !read.report.changes.is_empty());
        let gone = fixture.store.read(move |view: &View| in_context(view, RunId(99))).await.unwrap();
        assert_eq!(gone, None);
    }

    #[tokio::test]
    async fn a_network_names_its_reports_newest_first_and_leaves_out_runs_without_one() {
        let fixture = Fixture::new().await;
        let first = fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[80])]).await;
        let second = fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[80])]).await;
        fixture.leased_run().await;
        let listed = fixture.store.read(move |view: &View| of_network(view, SCAN)).await.unwrap().unwrap();
        assert_eq!(listed, ReportsOfNetwork { name: "Office".into(), reports: vec![second, first] });
        assert_eq!(fixture.store.read(move |view: &View| of_network(view, ScanId(9))).await.unwrap(), None);
    }
}
