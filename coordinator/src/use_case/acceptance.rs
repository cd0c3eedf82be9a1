//! Accepting changes of a report as expected, and taking that back (SPEC R11).

#[cfg(test)]
mod tests;

use super::UseCaseError;
use super::alerts::check_comment;
use crate::Coordinator;
use crate::acceptance::{self, Person};
use crate::accounts::{Actor, Right};
use crate::analysis::delta::{Change, ChangeKind, PortId};
use crate::audit;
use crate::events::Event;
use crate::report::{self, Report, ReportSummary, StoredReport};
use crate::store::tables::{REPORT_SUMMARIES, REPORTS};
use crate::store::{Draft, Reads, StoreError};
use protocol::task::RunId;
use protocol::{TargetSet, Timestamp};

/// Which lines of a report: those that are all of what is given here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinePattern {
    /// Of this kind.
    pub kind: Option<ChangeKind>,
    /// Of hosts with these addresses.
    pub addresses: Option<TargetSet>,
    /// Of this port.
    pub port: Option<PortId>,
}

impl LinePattern {
    fn takes(&self, change: &Change) -> bool {
        self.kind.is_none_or(|kind| kind == change.kind)
            && self.addresses.as_ref().is_none_or(|addresses| addresses.contains(change.address))
            && self.port.is_none_or(|port| Some(port) == change.port)
    }
}

/// A report after some of its lines were accepted, or not any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptOutcome {
    /// As it is now.
    pub report: Report,
    /// How many lines were selected.
    pub selected: usize,
    /// How many of them are otherwise than before.
    pub changed: usize,
}

#[derive(Clone, Copy)]
enum Step {
    Accept,
    Undo,
}

impl Coordinator {
    /// Accepts the lines of a report that any of `patterns` takes: they stop counting in its status and score, the
    /// alerts of their ports end, and nothing is raised for those ports until they change again.
    pub async fn accept_changes(
        &self,
        actor: &Actor,
        run: RunId,
        patterns: &[LinePattern],
        comment: &str,
    ) -> Result<AcceptOutcome, UseCaseError> {
        self.accepting(Step::Accept, actor, run, patterns, comment).await
    }

    /// Takes the acceptance of these lines back; what it ended is there again.
    pub async fn unaccept_changes(
        &self,
        actor: &Actor,
        run: RunId,
        patterns: &[LinePattern],
    ) -> Result<AcceptOutcome, UseCaseError> {
        self.accepting(Step::Undo, actor, run, patterns, "").await
    }

    async fn accepting(
        &self,
        step: Step,
        actor: &Actor,
        run: RunId,
        patterns: &[LinePattern],
        comment: &str,
    ) -> Result<AcceptOutcome, UseCaseError> {
        actor.require(Right::Operate)?;
        if patterns.is_empty() {
            let reason = "say which are meant: by kind, host or port, or all of them".to_owned();
            return Err(UseCaseError::Invalid { field: "lines", reason });
        }
        let person = Person { name: actor.name.clone(), comment: check_comment(comment)?, now: Timestamp::now() };
        let (who, patterns) = (actor.clone(), patterns.to_vec());
        let work = move |draft: &mut Draft| take(draft, step, run, &patterns, &person, &who);
        let outcome = self.store().update(work).await.map_err(|error| {
            if matches!(error, UseCaseError::Store(StoreError::TooLarge { .. })) {
                let reason = "these are too many lines for one step; accept them by kind or by host";
                return UseCaseError::Conflict(reason.to_owned());
            }
            error
        })?;
        if outcome.changed > 0 {
            self.events().publish(Event::Alerts { scan: outcome.report.scan });
        }
        Ok(outcome)
    }
}

fn take(
    draft: &mut Draft,
    step: Step,
    run: RunId,
    patterns: &[LinePattern],
    person: &Person,
    actor: &Actor,
) -> Result<AcceptOutcome, UseCaseError> {
    let stored = draft.get(&REPORTS, &run)?.ok_or_else(|| UseCaseError::no_report(run))?;
    let (parts, changes, notes) = (stored.parts, stored.report.changes.len(), stored.report.notes.len());
    let mut report = report::whole(draft, stored)?;
    let is_meant = |change: &Change| patterns.iter().any(|pattern| pattern.takes(change));
    let lines: Vec<usize> =
        report.changes.iter().enumerate().filter(|(_, change)| is_meant(change)).map(|(line, _)| line).collect();
    if lines.is_empty() {
        let reason = format!("no line of report {run} is meant; `portdrift reports show {run}` shows them");
        return Err(UseCaseError::Invalid { field: "lines", reason });
    }
    let (changed, action) = match step {
        Step::Accept => (acceptance::accept(draft, &mut report, &lines, person)?, "report accept"),
        Step::Undo => (acceptance::unaccept(draft, &mut report, &lines, person)?, "report unaccept"),
    };
    if changed > 0 {
        let comment = if person.comment.is_empty() { String::new() } else { format!(": {}", person.comment) };
        audit::note(draft, actor, action, &format!("{run}, {changed} lines{comment}"), person.now)?;
        let mut first = report.clone();
        first.changes.truncate(changes);
        first.notes.truncate(notes);
        draft.put(&REPORT_SUMMARIES, &run, &ReportSummary::from(&report))?;
        draft.put(&REPORTS, &run, &StoredReport { report: first, parts })?;
    }
    Ok(AcceptOutcome { report, selected: lines.len(), changed })
}
