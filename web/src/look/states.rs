//! The badge of every state that a run, a task, a node, a report or an alert can be in.

use super::{Badge, Tone};
use coordinator::analysis::alert::{AlertState, Severity};
use coordinator::analysis::delta::Status;
use coordinator::report::ReportSummary;
use coordinator::run::{RunState, TaskState};

impl From<RunState> for Badge {
    fn from(state: RunState) -> Self {
        let (tone, icon) = match state {
            RunState::Queued => (Tone::Muted, "clock"),
            RunState::Running | RunState::Closing => (Tone::Low, "contrast"),
            RunState::Completed => (Tone::Ok, "circle-check"),
            RunState::Partial => (Tone::High, "triangle-alert"),
            RunState::Failed => (Tone::Critical, "circle-alert"),
            RunState::Cancelled => (Tone::Muted, "ban"),
        };
        Self::plain(tone, icon, state.name())
    }
}

impl From<TaskState> for Badge {
    fn from(state: TaskState) -> Self {
        let (tone, icon) = match state {
            TaskState::Waiting => (Tone::Muted, "clock"),
            TaskState::Leased => (Tone::Low, "contrast"),
            TaskState::Done => (Tone::Ok, "circle-check"),
            TaskState::Partial => (Tone::High, "triangle-alert"),
            TaskState::Failed => (Tone::Critical, "circle-alert"),
            TaskState::Cancelled => (Tone::Muted, "ban"),
        };
        let word = if state == TaskState::Leased { "running" } else { state.name() };
        Self::plain(tone, icon, word)
    }
}

impl From<Severity> for Badge {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Critical => Self::filled(Tone::Critical, "octagon", "Critical"),
            Severity::High => Self::filled(Tone::High, "triangle", "High"),
            Severity::Medium => Self::filled(Tone::Medium, "square", "Medium"),
            Severity::Low => Self::filled(Tone::Low, "circle", "Low"),
        }
    }
}

impl From<AlertState> for Badge {
    fn from(state: AlertState) -> Self {
        match state {
            AlertState::Open => Self::plain(Tone::High, "circle-alert", "open"),
            AlertState::Actioned => Self::plain(Tone::Low, "contrast", "actioned"),
            AlertState::Ignored => Self::plain(Tone::Muted, "ban", "ignored"),
            AlertState::Resolved => Self::plain(Tone::Ok, "circle-check", "resolved"),
        }
    }
}

impl From<Status> for Badge {
    fn from(status: Status) -> Self {
        match status {
            Status::Critical => Self::filled(Tone::Critical, "octagon", "Critical"),
            Status::Changes => Self::filled(Tone::Low, "file-diff", "Changes"),
            Status::Stable => Self::plain(Tone::Ok, "circle-check", "Stable"),
        }
    }
}

impl Badge {
    /// What a report says at a glance; the first one only says what is there.
    pub(crate) fn of_report(report: impl Into<ReportSummary>) -> Self {
        let report = report.into();
        if report.is_baseline() { Self::plain(Tone::Low, "info", "Baseline") } else { report.status.into() }
    }

    /// A network whose scan has not run yet.
    pub(crate) fn not_run() -> Self {
        Self::plain(Tone::Muted, "circle", "Not run yet")
    }

    /// A node that waits for a decision.
    pub(crate) fn pending() -> Self {
        Self::plain(Tone::Medium, "diamond", "pending")
    }

    /// A node that was let in: heard or not, at work or not.
    pub(crate) fn presence(is_online: bool, is_scanning: bool) -> Self {
        match (is_online, is_scanning) {
            (true, true) => Self::plain(Tone::Ok, "contrast", "scanning"),
            (true, false) => Self::plain(Tone::Ok, "circle", "online"),
            (false, _) => Self::plain(Tone::Critical, "circle", "offline"),
        }
    }

    /// A node that the mesh key has yet to let in.
    pub(crate) fn awaited() -> Self {
        Self::plain(Tone::Medium, "diamond", "awaiting signature")
    }

    /// One key on two machines.
    pub(crate) fn cloned() -> Self {
        Self::plain(Tone::Critical, "ban", "cloned")
    }

    /// A node that is not in, or not any more.
    pub(crate) fn denied(word: &'static str) -> Self {
        Self::plain(Tone::Muted, "x", word)
    }
}
