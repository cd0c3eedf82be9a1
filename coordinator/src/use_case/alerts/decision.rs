//! Deciding about alerts, one or many: dealt with, ignored, or undone.

use super::{AlertView, check_comment, each, no_alert};
use crate::accounts::{Actor, Right};
use crate::analysis::alert::{Action, AlertFilter, AlertKey, Refusal, decide};
use crate::audit;
use crate::events::Event;
use crate::store::tables::ALERTS;
use crate::store::{Draft, Reads, Store, StoreError, View};
use crate::{Coordinator, UseCaseError};
use protocol::Timestamp;
use protocol::task::ScanId;
use protocol::text::Text;
use std::collections::BTreeSet;

/// How many alerts one commit decides about.
const BATCH: usize = 1_000;
/// The most refusals that one answer names.
const MAX_REFUSALS: usize = 100;

/// Which alerts to decide about.
#[derive(Clone, Debug)]
pub enum AlertSelection {
    /// These; all must be there.
    Keys(Vec<AlertKey>),
    /// All that match, as they stand when it is their turn.
    Matching(Box<AlertFilter>),
}

/// What came of a decision about several alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BulkOutcome {
    /// How many were selected.
    pub selected: usize,
    /// How many stand otherwise now.
    pub changed: usize,
    /// How many stood so already.
    pub unchanged: usize,
    /// How many could not be decided about.
    pub refused: usize,
    /// Why, for the first of them.
    pub refusals: Vec<(AlertKey, Refusal)>,
}

impl Coordinator {
    /// Decides about one alert.
    pub async fn decide_alert(
        &self,
        actor: &Actor,
        key: &AlertKey,
        action: Action,
        comment: &str,
    ) -> Result<AlertView, UseCaseError> {
        let outcome = self.decide_alerts(actor, AlertSelection::Keys(vec![key.clone()]), action, comment).await?;
        match outcome.refusals.into_iter().next() {
            Some((_, refusal)) => Err(UseCaseError::Conflict(format!("alert {key}: {refusal}"))),
            None => self.alert(actor, key).await,
        }
    }

    /// Decides about several alerts at once; one audit entry says so. An alert that cannot be decided about holds up
    /// none of the others.
    pub async fn decide_alerts(
        &self,
        actor: &Actor,
        which: AlertSelection,
        action: Action,
        comment: &str,
    ) -> Result<BulkOutcome, UseCaseError> {
        actor.require(Right::Operate)?;
        let comment = check_comment(comment)?;
        let decision = Decision { action, actor: actor.clone(), comment, now: Timestamp::now() };
        let (outcome, scans) = decide_all(self.store(), which, decision).await?;
        if outcome.changed > 0 {
            scans.into_iter().for_each(|scan| self.events().publish(Event::Alerts { scan }));
        }
        Ok(outcome)
    }
}

/// A decision, and who takes it.
#[derive(Clone)]
pub(super) struct Decision {
    pub(super) action: Action,
    pub(super) actor: Actor,
    pub(super) comment: Text,
    pub(super) now: Timestamp,
}

impl Decision {
    /// Decides about each of `keys` that `filter` still takes; each alert changes whole or not at all.
    fn take(&self, draft: &mut Draft, keys: &[AlertKey], filter: &AlertFilter) -> Result<BulkOutcome, StoreError> {
        let mut outcome = BulkOutcome { selected: keys.len(), ..BulkOutcome::default() };
        for key in keys {
            let alert = draft.get(&ALERTS, key)?.filter(|alert| filter.takes_standing(alert));
            let Some(alert) = alert else {
                outcome.unchanged += 1;
                continue;
            };
            match decide(&alert, self.action, &self.actor.name, &self.comment, self.now) {
                Ok(None) => outcome.unchanged += 1,
                Ok(Some(decided)) => {
                    outcome.changed += 1;
                    draft.put(&ALERTS, key, &decided)?;
                }
                Err(refusal) => {
                    outcome.refused += 1;
                    outcome.refusals.push((key.clone(), refusal));
                }
            }
        }
        Ok(outcome)
    }

    fn audit(&self, draft: &mut Draft, subject: &str) -> Result<(), StoreError> {
        let comment = if self.comment.is_empty() { String::new() } else { format!(": {}", self.comment) };
        let action = format!("alert {}", self.action.name());
        audit::note(draft, &self.actor, &action, &format!("{subject}{comment}"), self.now)
    }
}

impl BulkOutcome {
    fn add(&mut self, more: Self) {
        let Self { selected, changed, unchanged, refused, refusals } = more;
        self.selected += selected;
        self.changed += changed;
        self.unchanged += unchanged;
        self.refused += refused;
        self.refusals.extend(refusals);
        self.refusals.truncate(MAX_REFUSALS);
    }
}

/// Also gives the networks of what was selected.
pub(super) async fn decide_all(
    store: &Store,
    which: AlertSelection,
    decision: Decision,
) -> Result<(BulkOutcome, BTreeSet<ScanId>), UseCaseError> {
    let (keys, filter) = match which {
        AlertSelection::Keys(keys) => (all_there(store, keys).await?, AlertFilter::any()),
        AlertSelection::Matching(filter) => (matching(store, (*filter).clone()).await?, *filter),
    };
    let mut subject = match keys.as_slice() {
        [] => None,
        [key] => Some(key.to_string()),
        keys => Some(format!("{} alerts", keys.len())),
    };
    let (mut outcome, mut scans) = (BulkOutcome::default(), BTreeSet::new());
    for batch in keys.chunks(BATCH) {
        let (decision, filter, batch, subject) = (decision.clone(), filter.clone(), batch.to_vec(), subject.take());
        scans.extend(batch.iter().map(|key| key.scan));
        let step = move |draft: &mut Draft| {
            subject.map_or(Ok(()), |subject| decision.audit(draft, &subject))?;
            decision.take(draft, &batch, &filter)
        };
        outcome.add(store.update(step).await?);
    }
    Ok((outcome, scans))
}

/// Each key once, when there is an alert under all of them.
async fn all_there(store: &Store, mut keys: Vec<AlertKey>) -> Result<Vec<AlertKey>, UseCaseError> {
    keys.sort();
    keys.dedup();
    let read = move |view: &View| {
        for key in &keys {
            if !view.contains(&ALERTS, key)? {
                return Ok(Err(no_alert(key)));
            }
        }
        Ok(Ok(keys))
    };
    store.read(read).await?
}

async fn matching(store: &Store, filter: AlertFilter) -> Result<Vec<AlertKey>, UseCaseError> {
    let read = move |view: &View| {
        let mut keys = Vec::new();
        each(view, &filter, |view| {
            keys.extend(Some(view.alert).filter(|alert| filter.takes_standing(alert)).map(|alert| alert.key));
        })?;
        Ok(keys)
    };
    Ok(store.read(read).await?)
}
