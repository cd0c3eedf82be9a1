//! A report without its lines: what lists, cards and counters show, kept beside it so that none of them reads lines.

use super::Report;
use crate::analysis::alert::{Rule, Severity, rule_for};
use crate::analysis::delta::{Change, ChangeKind, Status};
use crate::analysis::score::Score;
use protocol::Timestamp;
use protocol::codec::{Decode, Encode};
use protocol::task::{RunId, ScanId};
use protocol::text::Text;
use std::collections::BTreeMap;

/// What a report says at a glance. It is written in the commit that writes the report, and whenever lines are accepted.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ReportSummary {
    /// Of which run.
    pub run: RunId,
    /// Of which network.
    pub scan: ScanId,
    /// The run before, that ended with a report; `None` for a baseline, which changes nothing.
    pub baseline: Option<RunId>,
    /// When it was made.
    pub made: Timestamp,
    /// At a glance.
    pub status: Status,
    /// With its parts.
    pub score: Score,
    /// How much of what the scan asks for was looked at, in hundredths of a percent of its addresses.
    pub coverage_hundredths: u32,
    /// Hosts that this run found up.
    pub hosts_up: u32,
    /// Open ports that this run found.
    pub open_ports: u32,
    /// Hosts that are known up after this run, looked at by it or not.
    pub known_hosts: u64,
    /// Changes that a person accepted as expected.
    pub accepted: u32,
    /// New ports that are kept and whose rule is critical or high, by the rule's name.
    pub grave: BTreeMap<Text, u32>,
    /// Changes that are kept, by kind.
    counts: BTreeMap<ChangeKind, u32>,
}

impl ReportSummary {
    /// Of a report whose lines are held elsewhere: these are all its changes.
    pub(crate) fn with(report: &Report, changes: &[Change]) -> Self {
        let mut counts: BTreeMap<ChangeKind, u32> = BTreeMap::new();
        let mut grave: BTreeMap<Text, u32> = BTreeMap::new();
        for change in changes {
            *counts.entry(change.kind).or_default() += 1;
            if let Some(rule) = grave_rule(change, &report.rules) {
                *grave.entry(rule.name.clone()).or_default() += 1;
            }
        }
        let accepted: usize = report.accepted.iter().map(|accepted| accepted.lines.len()).sum();
        Self {
            run: report.run,
            scan: report.scan,
            baseline: report.baseline,
            made: report.made,
            status: report.status,
            score: report.score.clone(),
            coverage_hundredths: report.coverage_hundredths,
            hosts_up: report.hosts_up,
            open_ports: report.open_ports,
            known_hosts: report.known_hosts,
            accepted: u32::try_from(accepted).unwrap_or(u32::MAX),
            grave,
            counts,
        }
    }

    /// How many changes of one kind.
    pub fn count(&self, kind: ChangeKind) -> usize {
        self.counts.get(&kind).and_then(|count| usize::try_from(*count).ok()).unwrap_or(0)
    }

    /// True for the first report of a network, which only says what is there.
    pub fn is_baseline(&self) -> bool {
        self.baseline.is_none()
    }
}

/// The rule that makes a new port grave, if one does.
fn grave_rule<'a>(change: &Change, rules: &'a [Rule]) -> Option<&'a Rule> {
    let port = change.port.filter(|_| change.kind == ChangeKind::NewPort)?;
    rule_for(rules, port).filter(|rule| matches!(rule.severity, Severity::Critical | Severity::High))
}

impl From<&Report> for ReportSummary {
    fn from(report: &Report) -> Self {
        Self::with(report, &report.changes)
    }
}

impl From<&ReportSummary> for ReportSummary {
    fn from(summary: &ReportSummary) -> Self {
        summary.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::ReportSummary;
    use crate::fixture::{Fixture, SCAN, TARGETS, host};
    use crate::report;
    use crate::store::Reads;
    use crate::store::tables::{REPORT_SUMMARIES, REPORTS, SCANS};
    use crate::use_case::{reports, scans};

    #[tokio::test]
    async fn lists_and_scans_show_reports_whose_lines_they_never_read() {
        let fixture = Fixture::new().await;
        fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[80])]).await;
        let run = fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[80, 3389])]).await;
        let read = move |view: &crate::store::View| {
            Ok((report::read(view, run)?.unwrap(), view.get(&REPORT_SUMMARIES, &run)?.unwrap()))
        };
        let (whole, summary) = fixture.store.read(read).await.unwrap();
        assert_eq!(summary, ReportSummary::from(&whole));
        assert!(!whole.changes.is_empty() && whole.changes.iter().all(|change| summary.count(change.kind) > 0));

        fixture.store.update(move |draft| draft.remove(&REPORTS, &run)).await.unwrap();
        let shown = move |view: &crate::store::View| {
            let scan = scans::view(view, view.get(&SCANS, &SCAN)?.unwrap())?;
            Ok((scan.last_report, reports::history(view, SCAN).collect::<Result<Vec<_>, _>>()?))
        };
        let (last, history) = fixture.store.read(shown).await.unwrap();
        assert_eq!(last.as_ref(), Some(&summary));
        assert_eq!((history.len(), &history[0]), (2, &summary), "newest first");
    }
}
