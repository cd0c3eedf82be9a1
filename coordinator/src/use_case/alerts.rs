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
use crate::store::{Memo, Reads, StoreError, View};
use crate::verified::Verified;
use protocol::TargetSet;
use protocol::task::{RunId, ScanId};
use protocol::text::Text;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// The most alerts that are held in memory for lists; of more, each list reads all.
const MOST_HELD: usize = 50_000;

/// Every alert in key order as it was last read, until one changes; none when they are too many.
pub(crate) type HeldAlerts = Memo<Option<Arc<Vec<Alert>>>>;

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

    fn verify(&self, alert: &Alert, verified: &Verified) -> bool {
        let wanted =
            |(_, part): &&(RunId, Option<TargetSet>)| part.as_ref().is_none_or(|part| part.contains(alert.key.address));
        let latest = self.0.iter().find(wanted).map(|(run, _)| *run);
        let since = || verified.latest(alert.key.address, alert.key.port).map(|(run, _)| run).max(Some(alert.verified));
        alert.state == AlertState::Resolved || latest.is_none_or(|latest| since() >= Some(latest))
    }
}

/// Networks by number.
pub(super) struct Networks<'a, R> {
    reads: &'a R,
    seen: BTreeMap<ScanId, Network>,
}

/// What is said of all alerts of one network.
struct Network {
    name: Text,
    /// What should have been looked at.
    looks: Looks,
    /// What was looked at.
    verified: Verified,
}

impl Network {
    fn is_verified(&self, alert: &Alert) -> bool {
        self.looks.verify(alert, &self.verified)
    }
}

impl<'a, R: Reads> Networks<'a, R> {
    pub(super) fn new(reads: &'a R) -> Self {
        Self { reads, seen: BTreeMap::new() }
    }

    fn of(&mut self, scan: ScanId) -> Result<&Network, StoreError> {
        if !self.seen.contains_key(&scan) {
            let found = self.reads.get(&SCANS, &scan)?;
            let name = found.map_or_else(|| Text::new(&format!("scan {scan}")), |scan| scan.definition.name().clone());
            let (looks, verified) = (Looks::of(self.reads, scan)?, Verified::of(self.reads, scan)?);
            self.seen.insert(scan, Network { name, looks, verified });
        }
        self.seen.get(&scan).ok_or_else(|| StoreError::Damaged { table: "scans", key: scan.to_string() })
    }

    /// The name of a network.
    pub(super) fn name(&mut self, scan: ScanId) -> Result<&Text, StoreError> {
        self.of(scan).map(|network| &network.name)
    }

    pub(super) fn view(&mut self, alert: Alert) -> Result<AlertView, StoreError> {
        let network = self.of(alert.key.scan)?;
        let is_verified = network.is_verified(&alert);
        Ok(AlertView { network: network.name.clone(), is_verified, alert: network.verified.tell(alert) })
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

/// Every alert in key order, read one by one.
pub(super) fn stored(reads: &impl Reads) -> impl Iterator<Item = Result<Cow<'static, Alert>, StoreError>> + '_ {
    reads.iter(&ALERTS).map(|row| row.map(|(_, alert)| Cow::Owned(alert)))
}

/// A page of the alerts in `rows`, which are in key order.
fn list<'a>(
    reads: &impl Reads,
    rows: impl Iterator<Item = Result<Cow<'a, Alert>, StoreError>>,
    filter: &AlertFilter,
    page: &AlertPage,
) -> Result<AlertList, UseCaseError> {
    let start = match &page.after {
        Some(key) => Some(reads.get(&ALERTS, key)?.ok_or_else(|| no_alert(key))?),
        None => None,
    };
    let limit = page.limit.min(MAX_PAGE);
    let mut networks = Networks::new(reads);
    let (mut counts, mut total) = (AlertCounts::default(), 0);
    let mut found: Vec<Cow<'a, Alert>> = Vec::new();
    let mut last: Option<Alert> = None;
    for row in rows {
        let alert = row?;
        let is_verified = networks.of(alert.key.scan)?.is_verified(&alert);
        if !filter.takes_place(&alert, is_verified) {
            continue;
        }
        *counts.0.entry((alert.state, alert.severity)).or_default() += 1;
        if !filter.takes_standing(&alert) {
            continue;
        }
        total += 1;
        let is_after = start.as_ref().is_none_or(|start| page.sort.compare(&alert, start).is_gt());
        if is_after && last.as_ref().is_none_or(|last| page.sort.compare(&alert, last).is_lt()) {
            found.push(alert);
        }
        // One more than the page tells whether another follows; only so many are held.
        if found.len() > 2 * limit + 1 {
            found.sort_by(|a, b| page.sort.compare(a, b));
            found.truncate(limit + 1);
            last = found.last().map(|alert| alert.clone().into_owned());
        }
    }
    found.sort_by(|a, b| page.sort.compare(a, b));
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().map(|alert| alert.key.clone()).filter(|_| has_more);
    let alerts = found.into_iter().map(|alert| networks.view(alert.into_owned())).collect::<Result<_, _>>()?;
    Ok(AlertList { alerts, total, counts, next })
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
        let (filter, page, held) = (filter.clone(), page.clone(), self.every_alert().await?);
        let read = move |view: &View| {
            Ok(match &held {
                Some(held) => list(view, held.iter().map(|alert| Ok(Cow::Borrowed(alert))), &filter, &page),
                None => list(view, stored(view), &filter, &page),
            })
        };
        self.store().read(read).await?
    }

    /// How many alerts nobody has dealt with.
    pub(super) async fn open_alerts(&self) -> Result<usize, StoreError> {
        let is_open = |alert: &Alert| alert.state == AlertState::Open;
        if let Some(held) = self.every_alert().await? {
            return Ok(held.iter().filter(|alert| is_open(alert)).count());
        }
        let count = move |view: &View| {
            let mut open = 0;
            for row in view.iter(&ALERTS) {
                open += usize::from(is_open(&row?.1));
            }
            Ok(open)
        };
        self.store().read(count).await
    }

    /// Every alert, unless they are too many to hold.
    pub(super) async fn every_alert(&self) -> Result<Option<Arc<Vec<Alert>>>, StoreError> {
        let revision = match self.held().alerts.get(self.store(), &[ALERTS.label()]) {
            (_, Some(held)) => return Ok(held),
            (revision, None) => revision,
        };
        let read = |view: &View| {
            let rows = view.iter(&ALERTS).take(MOST_HELD + 1).map(|row| row.map(|(_, alert)| alert));
            let mut alerts = rows.collect::<Result<Vec<Alert>, StoreError>>()?;
            alerts.shrink_to_fit();
            Ok(alerts)
        };
        let alerts = self.store().read(read).await?;
        let held = (alerts.len() <= MOST_HELD).then(|| Arc::new(alerts));
        self.held().alerts.keep(revision, held.clone());
        Ok(held)
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
