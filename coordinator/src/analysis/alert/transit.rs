//! An alert after what a run does to it.

use super::{Alert, AlertKey, AlertState, By, Deed, Evidence, Resolution, Severity, Transition};
use protocol::Timestamp;
use protocol::task::RunId;
use protocol::text::Text;
use std::collections::BTreeMap;

/// A scan's alerts after the transitions of `run`, which ends `now`.
pub fn after(alerts: &[Alert], transitions: &[Transition], run: RunId, now: Timestamp) -> BTreeMap<AlertKey, Alert> {
    let mut after: BTreeMap<_, Alert> = alerts.iter().map(|alert| (alert.key.clone(), alert.clone())).collect();
    for transition in transitions {
        let current = after.remove(transition.key());
        after.extend(transit(current, transition, run, now).map(|alert| (alert.key.clone(), alert)));
    }
    after
}

/// One alert after a transition; `current` is as it stands, whatever a person did since the run was evaluated.
///
/// What was decided in between wins: an ignored alert stays ignored, an accepted one resolved.
pub fn transit(current: Option<Alert>, transition: &Transition, run: RunId, now: Timestamp) -> Option<Alert> {
    let Some(current) = current else {
        return match transition {
            Transition::Raise(alert) | Transition::Reopen(alert) | Transition::Renew(alert) => Some(alert.clone()),
            Transition::Keep(_) | Transition::Regrade(..) | Transition::Resolve(..) => None,
        };
    };
    let is_over = current.state == AlertState::Resolved;
    Some(match transition {
        Transition::Raise(alert) | Transition::Reopen(alert) | Transition::Renew(alert) if is_over => {
            again(current, alert.clone())
        }
        _ if is_over => current,
        Transition::Renew(alert) => renewed(current, alert.clone()),
        Transition::Raise(_) | Transition::Reopen(_) | Transition::Keep(_) => verified(current, run, now),
        Transition::Regrade(_, severity) => regraded(verified(current, run, now), *severity),
        Transition::Resolve(_, evidence) => resolved(verified(current, run, now), *evidence),
    })
}

fn verified(alert: Alert, run: RunId, now: Timestamp) -> Alert {
    Alert { verified: run, verified_at: now, ..alert }
}

/// What came before stays on record.
fn again(former: Alert, alert: Alert) -> Alert {
    let comment = alert.trail.steps.last().map(|step| step.comment.clone()).unwrap_or_default();
    let trail = former.trail.with(alert.raised_at, By::Run(alert.raised), Deed::RaisedAgain, comment);
    Alert { trail, ..alert }
}

/// What was ignored counts as how it should be; otherwise that is still what was there at first.
fn renewed(current: Alert, alert: Alert) -> Alert {
    let expected = if current.state == AlertState::Ignored { alert.expected.clone() } else { current.expected.clone() };
    again(current, Alert { expected, ..alert })
}

fn regraded(alert: Alert, severity: Severity) -> Alert {
    let step = Deed::Regraded(severity);
    let trail = alert.trail.with(alert.verified_at, By::Run(alert.verified), step, Text::default());
    Alert { severity, trail, ..alert }
}

fn resolved(alert: Alert, evidence: Evidence) -> Alert {
    if alert.state == AlertState::Ignored && evidence != Evidence::RuleChanged {
        return alert;
    }
    let (run, at) = (alert.verified, alert.verified_at);
    let trail = alert.trail.with(at, By::Run(run), Deed::Resolved(evidence), Text::default());
    Alert {
        state: AlertState::Resolved,
        before: AlertState::Open,
        resolution: Some(Resolution { at, run, evidence }),
        trail,
        ..alert
    }
}
