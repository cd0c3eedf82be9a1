//! What a person does to an alert: deal with it, ignore it, undo that, or accept the port as it is.

use super::{Alert, AlertState, By, Deed, Evidence, Resolution, Trail};
use protocol::Timestamp;
use protocol::codec::{Decode, Encode};
use protocol::task::RunId;
use protocol::text::Text;
use serde::{Deserialize, Serialize};

/// The longest comment, in characters.
pub const MAX_COMMENT_CHARS: usize = 500;

/// A decision of a person about an alert (SPEC A2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Someone deals with it.
    Action,
    /// It does not matter.
    Ignore,
    /// Undo: it is again what it was before the last decision.
    Reopen,
}

impl Action {
    /// Every decision.
    pub const ALL: [Self; 3] = [Self::Action, Self::Ignore, Self::Reopen];

    /// The verb.
    pub fn name(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Ignore => "ignore",
            Self::Reopen => "reopen",
        }
    }
}

/// Why a decision cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is over already.
    #[error("it was resolved in run {0}; nothing is left to decide until a run raises it again")]
    Over(RunId),
    /// Only taking back the acceptance brings it back.
    #[error("its port was accepted as it is; `portdrift reports accept REPORT --undo` takes that back")]
    Accepted,
}

/// The alert after a decision; `None` when it changes nothing, since it stands so already and nothing is said.
pub fn decide(
    alert: &Alert,
    action: Action,
    person: &Text,
    comment: &Text,
    now: Timestamp,
) -> Result<Option<Alert>, Refusal> {
    if let Some(Resolution { run, evidence, at: _ }) = alert.resolution {
        return Err(if evidence == Evidence::Accepted { Refusal::Accepted } else { Refusal::Over(run) });
    }
    let (state, before, what) = match action {
        Action::Action => (AlertState::Actioned, alert.state, Deed::Actioned),
        Action::Ignore => (AlertState::Ignored, alert.state, Deed::Ignored),
        Action::Reopen => (alert.before, AlertState::Open, Deed::Undone(alert.before)),
    };
    let stays = state == alert.state;
    if stays && (comment.is_empty() || action == Action::Reopen) {
        return Ok(None);
    }
    let before = if stays { alert.before } else { before };
    let trail = step(alert, person, what, comment, now);
    Ok(Some(Alert { state, before, trail, ..alert.clone() }))
}

/// The alert of a cell that a person accepted as the report of `run` shows it; `None` when it does not count anyway.
pub fn accept(alert: &Alert, run: RunId, person: &Text, comment: &Text, now: Timestamp) -> Option<Alert> {
    let evidence = Evidence::Accepted;
    alert.state.is_active().then(|| Alert {
        state: AlertState::Resolved,
        before: alert.state,
        resolution: Some(Resolution { at: now, run, evidence }),
        trail: step(alert, person, Deed::Resolved(evidence), comment, now),
        ..alert.clone()
    })
}

/// The alert of a cell whose acceptance was taken back; `None` when that did not end it.
pub fn unaccept(alert: &Alert, person: &Text, now: Timestamp) -> Option<Alert> {
    let accepted = alert.resolution.is_some_and(|resolution| resolution.evidence == Evidence::Accepted);
    accepted.then(|| Alert {
        state: alert.before,
        before: AlertState::Open,
        resolution: None,
        trail: step(alert, person, Deed::Undone(alert.before), &Text::default(), now),
        ..alert.clone()
    })
}

fn step(alert: &Alert, person: &Text, what: Deed, comment: &Text, now: Timestamp) -> Trail {
    alert.trail.clone().with(now, By::Person(person.clone()), what, comment.clone())
}
