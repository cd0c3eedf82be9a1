//! What happened to an alert: who did what and when, runs and people alike.

use super::{AlertState, Evidence, Severity};
use protocol::Timestamp;
use protocol::codec::{Decode, Encode};
use protocol::task::RunId;
use protocol::text::Text;
use serde::{Deserialize, Serialize};

/// The most steps that are kept; older ones are only counted.
pub const MAX_STEPS: usize = 50;

/// The latest steps, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Trail {
    /// How many older steps were folded into this number.
    pub folded: u32,
    /// At most [`MAX_STEPS`].
    pub steps: Vec<Step>,
}

/// One thing that happened to an alert.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Step {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: By,
    /// What.
    pub what: Deed,
    /// What the person said about it; may be empty.
    pub comment: Text,
}

/// Who did something to an alert.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// A run, by what it saw.
    Run(RunId),
    /// A person, by name.
    Person(Text),
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// It began.
    Raised,
    /// It began again.
    RaisedAgain,
    /// Its rule has this severity now.
    Regraded(Severity),
    /// It ended.
    Resolved(Evidence),
    /// Someone deals with it.
    Actioned,
    /// It does not matter.
    Ignored,
    /// A decision was taken back; it is again what it was before.
    Undone(AlertState),
}

impl Trail {
    /// With one more step; the oldest goes when there are too many.
    pub fn with(mut self, at: Timestamp, by: By, what: Deed, comment: Text) -> Self {
        if self.steps.len() >= MAX_STEPS {
            self.steps.remove(0);
            self.folded = self.folded.saturating_add(1);
        }
        self.steps.push(Step { at, by, what, comment });
        self
    }
}

impl Deed {
    /// In words.
    pub fn words(self) -> String {
        match self {
            Self::Raised => "raised".to_owned(),
            Self::RaisedAgain => "raised again".to_owned(),
            Self::Regraded(severity) => format!("now {}", severity.name()),
            Self::Resolved(evidence) => format!("resolved: {}", evidence.words()),
            Self::Actioned => "marked actioned".to_owned(),
            Self::Ignored => "ignored".to_owned(),
            Self::Undone(state) => format!("undone, {} again", state.name()),
        }
    }
}
