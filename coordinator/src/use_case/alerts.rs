//! Alerts: finding them. Deciding about them is in `decision`.

mod decision;
#[cfg(test)]
mod tests;

pub use decision::{AlertSelection, BulkOutcome};

use super::UseCaseError;
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::analysis::alert::{Alert, AlertFilter, AlertKey, AlertSort, AlertState, MAX_COMMENT_CHARS, Severity};
use crate::run::{RunState, Trigger};
use crate::store::tables::{ALERTS, RUNS, RUNS_OF_SCAN, SCANS};
use crate::store::{Reads, StoreError, View};
use protocol::TargetSet;
use protocol::task::{RunId, ScanId};
use protocol::text::Text;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The most alerts that one page of a list gives.
pub const MAX_PAGE: usize = 1_000;

/// An alert with what is said beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertView {
    /// As kept.
    pub alert: Alert,
    /// The network's name.
    pub network: Text,
    /// False when the latest run that should have looked there did not; true for what is over.
    pub is_verified: bool,
}

/// Which page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertPage {
    /// In which order.
    pub sort: AlertSort,
    /// Only what comes after this alert.
    pub after: Option<AlertKey>,
    /// At most so many, and never more than [`MAX_PAGE`].
    pub limit: usize,
}

/// A page of alerts, and the true numbers of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertList {
    /// The page.
    pub alerts: Vec<AlertView>,
    /// How many there are on all pages.
    pub total: usize,
    /// How many there are of each state and severity, whatever states and severities were asked for.
    pub counts: AlertCounts,
    /// Where the next page begins; `None` on the last.
    pub next: Option<AlertKey>,
}

/// How many alerts there are of each state and severity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertCounts(BTreeMap<(AlertState, Severity), usize>);

impl AlertCounts {
    /// Of one state and severity.
    pub fn of(&self, state: AlertState, severity: Severity) -> usize {
        self.0.get(&(state, severity)).copied().unwrap_or(0)
    }

    /// Of one state.
    pub fn of_state(&self, state: AlertState) -> usize {
        Severity::ALL.into_iter().map(|severity| self.of(state, severity)).sum()
    }
}

/// What runs of a scan should have looked at, newest first, back to one that was to look at all of it.
struct Looks(Vec<(RunId, Option<TargetSet>)>);

impl Looks {
    fn of(reads: &impl Reads, scan: ScanId) -> Result<Self, StoreError> {
        let mut looks = Vec::new();
        for row in reads.within(&RUNS_OF_SCAN, &scan).rev() {
            let ((_, id), ()) = row?;
            let Some(run) = reads.get(&RUNS, &id)? else { continue };
            // A cancelled run was told not to look, and a document never promised to show everything.
            let counts = run.state.is_final() && run.state != RunState::Cancelled;
            if counts && !matches!(run.trigger, Trigger::Import { .. }) {
                let is_whole = run.part.is_none();
                looks.push((id, run.part));
                if is_whole {
                    break;
                }
            }
        }
        Ok(Self(looks))
    }

    fn verify(&self, alert: &Alert) -> bool {
        let wanted =
            |(_, part): &&(RunId, Option<TargetSet>)| part.as_ref().is_none_or(|part| part.contains(alert.key.address));
        let latest = self.0.iter().find(wanted).map(|(run, _)| *run);
        alert.state == AlertState::Resolved || latest.is_none_or(|latest| alert.verified >= latest)
    }
}

/// Networks by number: name, and what should have been looked at.
struct Networks<'a, R> {
    reads: &'a R,
    seen: BTreeMap<ScanId, (Text, Looks)>,
}

impl<'a, R: Reads> Networks<'a, R> {
    fn new(reads: &'a R) -> Self {
        Self { reads, seen: BTreeMap::new() }
    }

    fn of(&mut self, scan: ScanId) -> Result<&(Text, Looks), StoreError> {
        if !self.seen.contains_key(&scan) {
            let found = self.reads.get(&SCANS, &scan)?;
            let name = found.map_or_else(|| Text::new(&format!("scan {scan}")), |scan| scan.definition.name().clone());
            self.seen.insert(scan, (name, Looks::of(self.reads, scan)?));
        }
        self.seen.get(&scan).ok_or_else(|| StoreError::Damaged { table: "scans", key: scan.to_string() })
    }

    fn view(&mut self, alert: Alert) -> Result<AlertView, StoreError> {
        let (name, looks) = self.of(alert.key.scan)?;
        Ok(AlertView { network: name.clone(), is_verified: looks.verify(&alert), alert })
    }
}

/// Calls `take` with every alert that the filter takes, state and severity apart.
pub(crate) fn each(
    reads: &impl Reads,
    filter: &AlertFilter,
    mut take: impl FnMut(AlertView),
) -> Result<(), StoreError> {
    let mut networks = Networks::new(reads);
    let rows = match filter.scan {
        Some(scan) => reads.within(&ALERTS, &scan),
        None => reads.iter(&ALERTS),
    };
    for row in rows {
        let view = networks.view(row?.1)?;
        if filter.takes_place(&view.alert, view.is_verified) {
            take(view);
        }
    }
    Ok(())
}

pub(crate) fn list(reads: &impl Reads, filter: &AlertFilter, page: &AlertPage) -> Result<AlertList, UseCaseError> {
    let start = match &page.after {
        Some(key) => Some(reads.get(&ALERTS, key)?.ok_or_else(|| no_alert(key))?),
        None => None,
    };
    let limit = page.limit.min(MAX_PAGE);
    let in_order = |a: &AlertView, b: &AlertView| page.sort.compare(&a.alert, &b.alert);
    let (mut counts, mut found, mut total) = (AlertCounts::default(), Vec::new(), 0);
    each(reads, filter, |view| {
        *counts.0.entry((view.alert.state, view.alert.severity)).or_default() += 1;
        if !filter.takes_standing(&view.alert) {
            return;
        }
        total += 1;
        if start.as_ref().is_none_or(|start| page.sort.compare(&view.alert, start).is_gt()) {
            found.push(view);
        }
        // One more than the page tells whether another follows; only so many are held.
        if found.len() > 2 * limit + 1 {
            found.sort_by(in_order);
            found.truncate(limit + 1);
        }
    })?;
    found.sort_by(in_order);
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().map(|view| view.alert.key.clone()).filter(|_| has_more);
    Ok(AlertList { alerts: found, total, counts, next })
}

/// The alerts of one host in all states, by port.
pub(crate) fn alerts_of(reads: &impl Reads, scan: ScanId, address: IpAddr) -> Result<Vec<AlertView>, StoreError> {
    let mut networks = Networks::new(reads);
    reads.within(&ALERTS, &(scan, address)).take(MAX_PAGE).map(|row| networks.view(row?.1)).collect()
}

fn no_alert(key: &AlertKey) -> UseCaseError {
    UseCaseError::NotFound(format!("alert {key}"), "alerts")
}

/// Trimmed and cleaned, when it is short enough.
pub(crate) fn check_comment(comment: &str) -> Result<Text, UseCaseError> {
    let comment = Text::new(comment.trim());
    match comment.as_str().chars().count() {
        length if length > MAX_COMMENT_CHARS => Err(UseCaseError::Invalid {
            field: "comment",
            reason: format!("it has {length} characters; take at most {MAX_COMMENT_CHARS}"),
        }),
        _ => Ok(comment),
    }
}

impl Coordinator {
    /// A page of the alerts that match, with the true numbers of all of them.
    pub async fn alerts(
        &self,
        actor: &Actor,
        filter: &AlertFilter,
        page: &AlertPage,
    ) -> Result<AlertList, UseCaseError> {
        actor.require(Right::Read)?;
        let (filter, page) = (filter.clone(), page.clone());
        self.store().read(move |view| Ok(list(view, &filter, &page))).await?
    }

    /// One alert.
    pub async fn alert(&self, actor: &Actor, key: &AlertKey) -> Result<AlertView, UseCaseError> {
        actor.require(Right::Read)?;
        let wanted = key.clone();
        let read =
            move |view: &View| view.get(&ALERTS, &wanted)?.map(|alert| Networks::new(view).view(alert)).transpose();
        self.store().read(read).await?.ok_or_else(|| no_alert(key))
    }
}
