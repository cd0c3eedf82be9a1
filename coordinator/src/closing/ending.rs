//! What closing a run comes to, and the one commit that makes it count.

use super::facts::Facts;
use super::pass::Pass;
use super::survey::Survey;
use super::{Bounds, Closing};
use crate::acceptance;
use crate::analysis::alert::{Alert, Transition, transit};
use crate::analysis::coverage::RunCoverage;
use crate::analysis::delta::PortId;
use crate::analysis::score::score;
use crate::dispatch::uncovered::uncovered;
use crate::history::RunLook;
use crate::report::{Lines, Report, ReportSummary, StoredReport};
use crate::run::{Look, RunOutcome, RunState, TaskState, Uncovered};
use crate::store::tables::{
    ALERTS, KNOWN_COVERAGE, OPEN_RUNS, REPORT_PARTS, REPORT_SUMMARIES, REPORTS, RUN_LOOKS, RUNS, VERIFIED,
};
use crate::store::{Draft, Reads, Store, StoreError};
use crate::verified::Verified;
use protocol::Timestamp;
use protocol::task::RunId;
use protocol::text::Text;
use std::net::IpAddr;
use std::sync::Arc;

/// What closing a run comes to.
pub(super) struct Ending {
    facts: Arc<Facts>,
    state: RunState,
    outcome: RunOutcome,
    uncovered: Vec<Uncovered>,
    /// `None` when nothing was looked at: then nothing is known that was not known before.
    found: Option<Found>,
}

/// What a run that looked at something leaves.
struct Found {
    report: StoredReport,
    summary: ReportSummary,
    /// Further lines of the report, in parts.
    parts: Vec<Lines>,
    look: RunLook,
    known_coverage: RunCoverage,
    verified: Verified,
    /// What becomes of the alerts, whatever people do to them until then.
    transitions: Vec<Transition>,
    /// Alerts as they were read, that another alert takes over from.
    handed_on: Vec<Alert>,
    /// Cells that were accepted as they were before.
    changed_again: Vec<(IpAddr, PortId)>,
}

impl Ending {
    /// Works it out. Stores only what nobody sees yet. `None` when the run was ended meanwhile.
    pub(super) async fn of(
        store: &Store,
        facts: Arc<Facts>,
        survey: Survey,
        now: Timestamp,
        bounds: Bounds,
    ) -> Result<Option<Self>, StoreError> {
        let wanted = facts.run.wanted();
        let asked = facts.coverage.asked.intersection(&wanted);
        let uncovered = uncovered(&facts.run, &facts.tasks, &wanted.minus(&facts.coverage.asked));
        let state = match (uncovered.is_empty(), asked.is_empty()) {
            (true, _) => RunState::Completed,
            (false, true) => RunState::Failed,
            (false, false) => RunState::Partial,
        };
        let outcome = RunOutcome {
            hosts_up: survey.hosts_up,
            open_ports: survey.open_ports,
            coverage_hundredths: hundredths(asked.count(), wanted.count()),
            reason: reason(&facts, &uncovered),
        };
        let mut ending = Self { facts, state, outcome, uncovered, found: None };
        if !ending.facts.coverage.is_empty() {
            let survey = Arc::new(survey);
            let Some(pass) = Pass::over(store, &ending.facts, &survey, now, bounds).await? else { return Ok(None) };
            ending.found = Some(ending.found(pass, &survey, now, bounds));
        }
        Ok(Some(ending))
    }

    fn found(&self, pass: Pass, survey: &Survey, now: Timestamp, bounds: Bounds) -> Found {
        let facts = &self.facts;
        let Pass {
            lines, status, transitions, handed_on, known_hosts, doubts, left_open, changed_again, versions, ..
        } = pass;
        let (lines, left_out) = lines.finish();
        let score = score(&lines.changes, &facts.rules, [], known_hosts);
        let coverage = doubts.settled(&survey.decided);
        let covered = coverage.change_from(&facts.known_coverage);
        let cells = |count: u128| u64::try_from(count).unwrap_or(u64::MAX);
        let mut report = Report {
            run: facts.run.id,
            scan: facts.run.scan,
            baseline: facts.baseline(),
            made: now,
            rules: facts.rules.clone(),
            known_hosts,
            changes: Vec::new(),
            accepted: Vec::new(),
            notes: Vec::new(),
            left_out,
            status,
            score,
            coverage_hundredths: self.outcome.coverage_hundredths,
            uncovered: self.uncovered.clone(),
            hosts_up: self.outcome.hosts_up,
            open_ports: self.outcome.open_ports,
            newly_covered_cells: cells(covered.newly_covered.count()),
            no_longer_covered_cells: cells(facts.no_longer_covered(covered.no_longer_covered).count()),
        };
        let summary = ReportSummary::with(&report, &lines.changes);
        let mut parts = lines.parts(bounds.part).into_iter();
        Lines { changes: report.changes, notes: report.notes } = parts.next().unwrap_or_default();
        Found {
            report: StoredReport { report, parts: u32::try_from(parts.len()).unwrap_or(u32::MAX) },
            summary,
            parts: parts.collect(),
            known_coverage: facts.known_coverage.union(&coverage).without_ways(),
            verified: facts.verified_after(&coverage, left_open, now),
            look: RunLook { coverage, seen: survey.seen.clone(), versions: versions.into_iter().collect() },
            transitions,
            handed_on,
            changed_again,
        }
    }

    /// Stores it: the long part of a report for nobody to see, then all that makes it count in one commit. `None`
    /// when what it rests on changed meanwhile.
    pub(super) async fn store(mut self, store: &Store, now: Timestamp) -> Result<Option<Closing>, StoreError> {
        let run = self.facts.run.id;
        let parts = self.found.as_mut().map(|found| std::mem::take(&mut found.parts)).unwrap_or_default();
        for (number, part) in (0u32..).zip(parts) {
            let expected = self.facts.clone();
            let write = move |draft: &mut Draft| {
                let is_open = draft.get(&RUNS, &run)?.as_ref() == Some(&expected.run);
                if is_open { draft.put(&REPORT_PARTS, &(run, number), &part).map(|()| true) } else { Ok(false) }
            };
            if !store.update(write).await? {
                return Ok(None);
            }
        }
        store.update(move |draft| self.end(draft, now)).await
    }

    fn end(self, draft: &mut Draft, now: Timestamp) -> Result<Option<Closing>, StoreError> {
        let Self { facts, state, outcome, uncovered, found } = self;
        let transitions = found.as_ref().map(|found| found.transitions.as_slice()).unwrap_or_default();
        let handed_on = found.as_ref().map(|found| found.handed_on.as_slice()).unwrap_or_default();
        if !facts.hold(draft)? || !are_latest(draft, handed_on)? {
            return Ok(None);
        }
        let mut run = facts.run.clone();
        let alerts_changed = transitions.iter().any(|transition| !matches!(transition, Transition::Keep(_)));
        if let Some(found) = found {
            let Found {
                mut report,
                mut summary,
                parts: _,
                look,
                known_coverage,
                verified,
                transitions,
                handed_on: _,
                changed_again,
            } = found;
            acceptance::end_changed(draft, run.scan, changed_again)?;
            drop_parts(draft, run.id, report.parts)?;
            move_alerts(draft, &transitions, run.id, now)?;
            expose(draft, &mut report.report)?;
            summary.score = report.report.score.clone();
            draft.put(&REPORTS, &run.id, &report)?;
            draft.put(&REPORT_SUMMARIES, &run.id, &summary)?;
            draft.put(&RUN_LOOKS, &run.id, &look)?;
            draft.put(&KNOWN_COVERAGE, &run.scan, &known_coverage)?;
            draft.put(&VERIFIED, &run.scan, &verified)?;
        }
        (run.state, run.ended, run.outcome, run.uncovered) = (state, Some(now), Some(outcome), uncovered);
        draft.put(&RUNS, &run.id, &run)?;
        draft.remove(&OPEN_RUNS, &run.scan)?;
        Ok(Some(Closing::Closed { run, alerts_changed }))
    }
}

/// Moves the alerts on as they stand now, with all that people decided while the run was closed.
fn move_alerts(draft: &mut Draft, transitions: &[Transition], run: RunId, now: Timestamp) -> Result<(), StoreError> {
    for transition in transitions {
        let stands = draft.get(&ALERTS, transition.key())?;
        if let Some(next) = transit(stands.clone(), transition, run, now).filter(|next| Some(next) != stands.as_ref()) {
            draft.put(&ALERTS, transition.key(), &next)?;
        }
    }
    Ok(())
}

/// Takes into the score what the alerts cost as they stand now.
fn expose(reads: &impl Reads, report: &mut Report) -> Result<(), StoreError> {
    let rows = reads.within(&ALERTS, &report.scan).map(|row| row.map(|(_, alert)| (alert.severity, alert.state)));
    let standing = rows.collect::<Result<Vec<_>, _>>()?;
    report.score = report.score.clone().with_alerts(standing, report.known_hosts);
    Ok(())
}

/// False when somebody decided meanwhile about one of the alerts whose rule was renamed or removed: another alert takes
/// over what was decided about it, and only its latest state may be handed on.
fn are_latest(reads: &impl Reads, handed_on: &[Alert]) -> Result<bool, StoreError> {
    for alert in handed_on {
        if reads.get(&ALERTS, &alert.key)?.as_ref() != Some(alert) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Removes parts of a report beyond the first `kept`, which an earlier attempt has left.
fn drop_parts(draft: &mut Draft, run: RunId, kept: u32) -> Result<(), StoreError> {
    let keys = draft.within(&REPORT_PARTS, &run).unread().map(|row| row.map(|row| row.key));
    let beyond = keys.filter(|key| key.as_ref().map_or(true, |(_, part)| *part >= kept));
    for key in beyond.collect::<Result<Vec<_>, _>>()? {
        draft.remove(&REPORT_PARTS, &key)?;
    }
    Ok(())
}

/// A share in hundredths of a percent, rounded down, so that 10,000 means all.
fn hundredths(part: u128, whole: u128) -> u32 {
    part.saturating_mul(10_000).checked_div(whole).and_then(|share| u32::try_from(share).ok()).unwrap_or(10_000)
}

/// In words, why the run did not look at everything; empty when it did.
fn reason(facts: &Facts, uncovered: &[Uncovered]) -> Text {
    let whole: Vec<String> = uncovered
        .iter()
        .map(|part| {
            format!("{} of {} addresses: {}", part.targets.count(), facts.run.wanted().count(), part.reason.words())
        })
        .collect();
    let last = facts
        .tasks
        .iter()
        .rev()
        .find(|task| task.look == Look::First && !task.reason.is_empty() && task.state != TaskState::Done);
    let detail = last.filter(|_| !uncovered.is_empty()).map(|task| format!("task {}: {}", task.id, task.reason));
    Text::new(&whole.into_iter().chain(detail).collect::<Vec<_>>().join("; "))
}
