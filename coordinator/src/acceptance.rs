//! Changes that a person accepted as expected (SPEC R11): what that does to the report, to alerts, and to later runs.
//!
//! An accepted cell raises nothing while it stays as it is; the first change of it in a later run ends that.

use crate::analysis::alert::{self, Alert, AlertState, Severity};
use crate::analysis::delta::{Change, ChangeKind, PortId, status};
use crate::analysis::score::{Counted, Score, score};
use crate::report::{self, Acceptance, Report};
use crate::store::tables::{ACCEPTED, ALERTS, REPORTS, RUNS_OF_SCAN};
use crate::store::{Draft, Reads, StoreError};
use crate::verified::Verified;
use protocol::Timestamp;
use protocol::task::{RunId, ScanId};
use protocol::text::Text;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Cells of a scan whose present state was accepted.
pub(crate) fn accepted_cells(reads: &impl Reads, scan: ScanId) -> Result<BTreeSet<(IpAddr, PortId)>, StoreError> {
    reads.within(&ACCEPTED, &scan).map(|row| row.map(|((_, address, port), _)| (address, port))).collect()
}

/// Ends the acceptance of cells that a run saw change.
pub(crate) fn end_changed(
    draft: &mut Draft,
    scan: ScanId,
    cells: impl IntoIterator<Item = (IpAddr, PortId)>,
) -> Result<(), StoreError> {
    cells.into_iter().try_for_each(|(address, port)| draft.remove(&ACCEPTED, &(scan, address, port)))
}

/// Who accepts or takes that back, and when.
pub(crate) struct Person {
    pub(crate) name: Text,
    pub(crate) comment: Text,
    pub(crate) now: Timestamp,
}

/// Accepts these lines of the report, and the state of their cells where no later run saw a change. Gives how many were not
/// accepted before.
pub(crate) fn accept(
    draft: &mut Draft,
    report: &mut Report,
    lines: &[usize],
    person: &Person,
) -> Result<usize, StoreError> {
    let fresh: Vec<usize> = lines.iter().copied().filter(|line| report.acceptance_of(*line).is_none()).collect();
    if fresh.is_empty() {
        return Ok(0);
    }
    let (since, verified) = (changed_since(draft, report)?, Verified::of(draft, report.scan)?);
    for change in fresh.iter().filter_map(|line| report.changes.get(*line)) {
        accept_cell(draft, report, change, &since, &verified, person)?;
    }
    let Person { name, comment, now } = person;
    let lines = fresh.iter().filter_map(|line| u32::try_from(*line).ok()).collect();
    report.accepted.push(Acceptance { by: name.clone(), at: *now, comment: comment.clone(), lines });
    recount(draft, report)?;
    Ok(fresh.len())
}

/// Takes the acceptance of these lines back. Gives how many were accepted.
pub(crate) fn unaccept(
    draft: &mut Draft,
    report: &mut Report,
    lines: &[usize],
    person: &Person,
) -> Result<usize, StoreError> {
    let given: BTreeSet<u32> = lines
        .iter()
        .filter(|line| report.acceptance_of(**line).is_some())
        .filter_map(|line| u32::try_from(*line).ok())
        .collect();
    if given.is_empty() {
        return Ok(0);
    }
    for change in given.iter().filter_map(|line| report.changes.get(usize::try_from(*line).ok()?)) {
        unaccept_cell(draft, report, change, person)?;
    }
    for accepted in &mut report.accepted {
        accepted.lines.retain(|line| !given.contains(line));
    }
    report.accepted.retain(|accepted| !accepted.lines.is_empty());
    recount(draft, report)?;
    Ok(given.len())
}

/// Only an open port can raise an alert, so only that is remembered.
fn accept_cell(
    draft: &mut Draft,
    report: &Report,
    change: &Change,
    since: &BTreeSet<(IpAddr, PortId)>,
    verified: &Verified,
    person: &Person,
) -> Result<(), StoreError> {
    let is_open = matches!(change.kind, ChangeKind::NewPort | ChangeKind::ServiceChange);
    let Some(port) = change.port.filter(|port| is_open && !since.contains(&(change.address, *port))) else {
        return Ok(());
    };
    let cell = (report.scan, change.address, port);
    draft.put(&ACCEPTED, &cell, &report.run)?;
    for alert in alerts_of(draft, cell)? {
        if let Some(ended) = alert::accept(&verified.tell(alert), report.run, &person.name, &person.comment, person.now)
        {
            draft.put(&ALERTS, &ended.key, &ended)?;
        }
    }
    Ok(())
}

/// Cells that later runs saw change: what an old report says of them is not so any more.
fn changed_since(reads: &impl Reads, report: &Report) -> Result<BTreeSet<(IpAddr, PortId)>, StoreError> {
    let mut changed = BTreeSet::new();
    for row in reads.within(&RUNS_OF_SCAN, &report.scan).rev() {
        let ((_, run), ()) = row?;
        if run <= report.run {
            break;
        }
        let later = report::read(reads, run)?.map(|later| later.changes).unwrap_or_default();
        changed.extend(later.iter().filter_map(|change| Some((change.address, change.port?))));
    }
    Ok(changed)
}

fn unaccept_cell(draft: &mut Draft, report: &Report, change: &Change, person: &Person) -> Result<(), StoreError> {
    let Some(port) = change.port else { return Ok(()) };
    let cell = (report.scan, change.address, port);
    if draft.get(&ACCEPTED, &cell)? != Some(report.run) {
        return Ok(());
    }
    draft.remove(&ACCEPTED, &cell)?;
    for alert in alerts_of(draft, cell)? {
        if let Some(back) = alert::unaccept(&alert, &person.name, person.now) {
            draft.put(&ALERTS, &alert.key, &back)?;
        }
    }
    Ok(())
}

fn alerts_of(reads: &impl Reads, cell: (ScanId, IpAddr, PortId)) -> Result<Vec<Alert>, StoreError> {
    reads.within(&ALERTS, &cell).map(|row| row.map(|(_, alert)| alert)).collect()
}

/// Status and score without the accepted lines. The exposure of a network's latest report is that of its alerts now; an
/// older one keeps the exposure of its time.
fn recount(reads: &impl Reads, report: &mut Report) -> Result<(), StoreError> {
    let alerts: Vec<(Severity, AlertState)> = match latest_report(reads, report.scan)? == Some(report.run) {
        true => {
            let standing = |alert: Alert| (alert.severity, alert.state);
            let rows = reads.within(&ALERTS, &report.scan);
            rows.map(|row| row.map(|(_, alert)| standing(alert))).collect::<Result<_, _>>()?
        }
        false => exposed(&report.score),
    };
    if report.left_out == 0 {
        // Lines that were not kept cannot be accepted: they still count.
        report.status = status(report.counted(), &report.rules);
    }
    report.score = score(report.counted(), &report.rules, alerts, report.known_hosts);
    Ok(())
}

fn latest_report(reads: &impl Reads, scan: ScanId) -> Result<Option<RunId>, StoreError> {
    for row in reads.within(&RUNS_OF_SCAN, &scan).rev() {
        let ((_, run), ()) = row?;
        if reads.contains(&REPORTS, &run)? {
            return Ok(Some(run));
        }
    }
    Ok(None)
}

/// The alerts that a score has counted.
fn exposed(score: &Score) -> Vec<(Severity, AlertState)> {
    let severity = |what| match what {
        Counted::CriticalAlerts => Some(Severity::Critical),
        Counted::HighAlerts => Some(Severity::High),
        Counted::MediumAlerts => Some(Severity::Medium),
        Counted::NewPorts
        | Counted::ServiceChanges
        | Counted::NewHosts
        | Counted::CriticalPorts
        | Counted::HighPorts
        | Counted::MediumPorts
        | Counted::KnownHosts => None,
    };
    let counted = score.parts.iter().filter_map(|part| Some((severity(part.what)?, part.count)));
    counted.flat_map(|(severity, count)| (0..count).map(move |_| (severity, AlertState::Open))).collect()
}
