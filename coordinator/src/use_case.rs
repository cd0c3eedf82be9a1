//! What people and programs can ask of a coordinator: one file per noun, each asked by an [`Actor`].

pub(crate) mod acceptance;
pub(crate) mod accounts;
pub(crate) mod alerts;
pub(crate) mod audit;
pub(crate) mod checkup;
pub(crate) mod counters;
pub(crate) mod exports;
pub(crate) mod first_run;
pub(crate) mod history;
pub(crate) mod hosts;
pub(crate) mod imports;
pub(crate) mod invites;
pub(crate) mod jobs;
pub(crate) mod mesh;
pub(crate) mod nodes;
pub(crate) mod operation;
pub(crate) mod overview;
pub(crate) mod reports;
pub(crate) mod retention;
pub(crate) mod rosters;
pub(crate) mod rotation;
pub(crate) mod rules;
pub(crate) mod runs;
pub(crate) mod scans;
pub(crate) mod search;
pub(crate) mod statistics;
pub(crate) mod status;
pub(crate) mod tokens;

use crate::accounts::{AccountError, Forbidden};
use crate::registry::Misfit;
use crate::scan::DraftError;
use crate::schedule::ScheduleError;
use crate::store::StoreError;
use protocol::task::RunId;
use protocol::text::Text;

/// What lists hold in memory until what they show changes.
#[derive(Default)]
pub(crate) struct Held {
    alerts: alerts::HeldAlerts,
    hosts: hosts::HeldHosts,
    services: hosts::HeldServices,
}

/// Why something asked for was not done.
#[derive(Debug, thiserror::Error)]
pub enum UseCaseError {
    /// The role does not allow it.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// There is no such thing.
    #[error("there is no {0}; `portdrift {1} list` shows what there is")]
    NotFound(String, &'static str),
    /// A scan's text is wrong.
    #[error(transparent)]
    Draft(#[from] DraftError),
    /// A user name or password is wrong.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// What was typed for something else is wrong.
    #[error("{field}: {reason}")]
    Invalid {
        /// Which field.
        field: &'static str,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The scan has a run that has not ended.
    #[error("run {0} of this scan has not ended; wait for it (`portdrift runs watch {0}`)")]
    AlreadyRunning(RunId),
    /// It does not fit what was done before.
    #[error("{0}")]
    Conflict(String),
    /// The scheduler failed.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(#[source] StoreError),
}

impl From<StoreError> for UseCaseError {
    fn from(error: StoreError) -> Self {
        if let StoreError::Roster(fault) = &error { Self::Conflict(fault.to_string()) } else { Self::Store(error) }
    }
}

impl UseCaseError {
    pub(crate) fn no_scan(id: impl std::fmt::Display) -> Self {
        Self::NotFound(format!("scan {id}"), "scans")
    }

    pub(crate) fn no_run(id: impl std::fmt::Display) -> Self {
        Self::NotFound(format!("run {id}"), "runs")
    }

    pub(crate) fn no_node(id: impl std::fmt::Display) -> Self {
        Self::NotFound(format!("node {id}"), "keys")
    }

    /// A decision that does not fit this node.
    pub(crate) fn misfit(node: impl std::fmt::Display, misfit: &Misfit) -> Self {
        let reason = format!("node {node}: {misfit}");
        match misfit {
            Misfit::NoRanges => Self::Invalid { field: "ranges", reason },
            Misfit::Revoked(_)
            | Misfit::NotPending
            | Misfit::NeverIn
            | Misfit::StillIn
            | Misfit::Tombstone
            | Misfit::Suspended
            | Misfit::NotCloned => Self::Conflict(reason),
        }
    }

    pub(crate) fn no_report(what: impl std::fmt::Display) -> Self {
        Self::NotFound(format!("report {what}"), "reports")
    }
}

/// Trimmed and cleaned, or the default.
pub(crate) fn text_or(text: &str, default: &Text) -> Text {
    if text.trim().is_empty() { default.clone() } else { Text::new(text.trim()) }
}
