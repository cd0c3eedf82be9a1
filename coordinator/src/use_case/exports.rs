//! Exports: a report with what stands around it, which reports a network has, and a run as a scanner would tell it.

use super::UseCaseError;
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::analysis::coverage::{Cells, RunCoverage};
use crate::report::{self, Report};
use crate::run::Run;
use crate::store::tables::{REPORTS, RUN_LOOKS, RUNS, RUNS_OF_SCAN, SCANS, TASK_COVERAGE, TASKS};
use crate::store::{Reads, StoreError, View};
use protocol::observation::{Coverage, HostObservation, ProbedCells};
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
}

/// The reports that a network has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportsOfNetwork {
    /// What the network is called.
    pub name: Text,
    /// Their numbers, newest first.
    pub reports: Vec<RunId>,
}

/// A run with its evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunAsScanned {
    /// The run.
    pub run: Run,
    /// What each of its tasks looked at, as far as the run settled it.
    pub coverage: Vec<Coverage>,
    /// The hosts it found up, by address.
    pub hosts: Vec<HostObservation>,
}

fn in_context(reads: &impl Reads, run: RunId) -> Result<Option<ReportInContext>, StoreError> {
    let (Some(report), Some(run)) = (report::read(reads, run)?, reads.get(&RUNS, &run)?) else { return Ok(None) };
    let baseline = report.baseline.map(|baseline| reads.get(&RUNS, &baseline)).transpose()?.flatten();
    let definition = reads.get(&SCANS, &report.scan)?.map(|scan| scan.definition);
    let network = definition.as_ref().unwrap_or(&run.definition).name().clone();
    Ok(Some(ReportInContext { report, network, run, baseline }))
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

/// The run and what its tasks looked at.
fn evidence(reads: &impl Reads, id: RunId) -> Result<Option<(Run, Vec<Coverage>)>, StoreError> {
    let Some(run) = reads.get(&RUNS, &id)? else { return Ok(None) };
    let whole = reads.get(&RUN_LOOKS, &id)?.map(|look| look.coverage).unwrap_or_default();
    let mut tasks = Vec::new();
    for row in reads.within(&TASKS, &id) {
        let (task, _) = row?;
        tasks.extend(reads.get(&TASK_COVERAGE, &task)?.map(|task| settled(task.coverage, &whole)));
    }
    Ok(Some((run, tasks)))
}

/// What a task looked at, without what its run left open.
fn settled(task: Coverage, run: &RunCoverage) -> Coverage {
    let all = run.probed.union(&run.probed_otherwise);
    let mut probed = Vec::new();
    for ProbedCells { targets, ports, method } in task.probed {
        let blocks = Cells::new(targets, ports).intersection(&all);
        probed.extend(blocks.blocks().iter().cloned().map(|block| ProbedCells {
            targets: block.targets,
            ports: block.ports,
            method,
        }));
    }
    let (asked, by_port_only) = (task.asked.intersection(&run.asked), task.by_port_only.intersection(&run.asked));
    Coverage { asked, by_port_only, probed, ..task }
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

    /// What one run found and where it looked, for a document of it.
    pub async fn run_as_scanned(&self, actor: &Actor, id: RunId) -> Result<RunAsScanned, UseCaseError> {
        let hosts = self.run_hosts(actor, id).await?;
        let found = self.store().read(move |view: &View| evidence(view, id)).await?;
        let (run, coverage) = found.ok_or_else(|| UseCaseError::no_run(id))?;
        Ok(RunAsScanned { run, coverage, hosts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Fixture, SCAN, TARGETS, host};
    use protocol::observation::ProbeMethod;
    use protocol::{Protocol, TargetSet};

    #[tokio::test]
    async fn a_report_comes_with_its_runs_its_network_and_its_rules() {
        let fixture = Fixture::new().await;
        let first = fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[80])]).await;
        let second = fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[80, 3389])]).await;
        let read = fixture.store.read(move |view: &View| in_context(view, second)).await.unwrap().unwrap();
        assert_eq!((read.report.run, read.run.id, read.baseline.map(|run| run.id)), (second, second, Some(first)));
        assert_eq!(read.network.as_str(), "Office");
        assert!(!read.report.rules.is_empty() && !read.report.changes.is_empty());
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

    #[tokio::test]
    async fn a_run_claims_what_its_tasks_looked_at() {
        let fixture = Fixture::new().await;
        let id = fixture.finished_run("10.9.0.0/30", vec![host("10.9.0.1", &[80])]).await;
        let (run, tasks) = fixture.store.read(move |view: &View| evidence(view, id)).await.unwrap().unwrap();
        let [task] = &tasks[..] else { panic!("{} tasks", tasks.len()) };
        assert_eq!((run.id, task.asked.to_string()), (id, "10.9.0.0/30".to_owned()));
        assert!(task.covers("10.9.0.2".parse().unwrap(), Protocol::Tcp, 22));
    }

    #[test]
    fn what_a_run_left_open_is_no_claim_of_its_tasks() {
        let cells = |targets: &str, ports: &str| ProbedCells {
            targets: targets.parse().unwrap(),
            ports: ports.parse().unwrap(),
            method: ProbeMethod::Syn,
        };
        let task = |targets: &str, probed: Vec<ProbedCells>| Coverage {
            asked: targets.parse().unwrap(),
            by_port_only: targets.parse().unwrap(),
            probed,
            ..Coverage::default()
        };
        let looked = RunCoverage::from(&task(
            "10.9.0.1-2",
            vec![cells("10.9.0.1", "22,80"), ProbedCells { method: ProbeMethod::Other, ..cells("10.9.0.2", "80") }],
        ));
        let left: TargetSet = "10.9.0.1".parse().unwrap();
        let run = RunCoverage { asked: left.clone(), by_port_only: left, ..looked };
        let told = settled(task("10.9.0.1-2", vec![cells("10.9.0.1-2", "22,80,443")]), &run);
        assert_eq!(
            (told.asked.to_string(), told.by_port_only.to_string()),
            ("10.9.0.1".to_owned(), "10.9.0.1".to_owned())
        );
        let is_told = |address: &str, port| told.covers(address.parse().unwrap(), Protocol::Tcp, port);
        assert!(is_told("10.9.0.1", 22) && is_told("10.9.0.1", 80) && is_told("10.9.0.2", 80));
        assert!(!is_told("10.9.0.1", 443) && !is_told("10.9.0.2", 22));
        assert!(told.probed.iter().all(|cells| cells.method == ProbeMethod::Syn));
    }
}
