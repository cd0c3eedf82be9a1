//! Alerts: the rules, and what a run does to the alerts of its scan (SPEC section 6).
//!
//! What a person does to one is here too; who may, storing it and the audit are left to the coordinator.

mod decide;
mod evaluate;
mod filter;
mod id;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
mod trail;
mod transit;

pub use decide::{Action, MAX_COMMENT_CHARS, Refusal, accept, decide, unaccept};
pub use evaluate::{Evaluation, MAX_RAISED_BY_CHANGE, evaluate};
pub use filter::{AlertFilter, AlertSort};
pub use id::BadAlertId;
pub use trail::{By, Deed, MAX_STEPS, Step, Trail};
pub use transit::{after, transit};

use crate::analysis::delta::PortId;
use protocol::codec::{Decode, Encode};
use protocol::observation::Service;
use protocol::task::{RunId, ScanId};
use protocol::text::Text;
use protocol::{Protocol, Timestamp};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The rule name of alerts about new ports without a rule of their own.
pub const NEW_PORT: &str = "new port";
/// The rule name of alerts about changed services.
pub const SERVICE_CHANGE: &str = "service change";

/// How bad an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worst.
    Critical,
    /// Bad.
    High,
    /// To be looked at.
    Medium,
    /// To be known.
    Low,
}

impl Severity {
    /// Every severity, the worst first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Medium, Self::Low];

    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

/// An open port that is worth an alert.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Rule {
    /// What people call it; part of the alert's identity.
    pub name: Text,
    /// How bad it is.
    pub severity: Severity,
    /// Of which protocol.
    pub protocol: Protocol,
    /// Which port.
    pub port: u16,
}

/// The rules of a new installation (SPEC A1).
pub fn default_rules() -> Vec<Rule> {
    let rule = |(severity, port, name): (Severity, u16, &str)| Rule {
        name: Text::new(name),
        severity,
        protocol: Protocol::Tcp,
        port,
    };
    [
        (Severity::Critical, 3389, "RDP"),
        (Severity::High, 22, "SSH"),
        (Severity::High, 23, "Telnet"),
        (Severity::High, 445, "SMB"),
        (Severity::High, 5900, "VNC"),
        (Severity::Medium, 21, "FTP"),
        (Severity::Medium, 3306, "MySQL"),
        (Severity::Medium, 5432, "PostgreSQL"),
    ]
    .map(rule)
    .to_vec()
}

/// The rule of a port; the worst, where several match.
pub fn rule_for(rules: &[Rule], port: PortId) -> Option<&Rule> {
    rules
        .iter()
        .filter(|rule| rule.protocol == port.protocol && rule.port == port.port)
        .min_by_key(|rule| rule.severity)
}

/// What makes two alerts the same one (SPEC A2).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
pub struct AlertKey {
    /// The scan, which is the network.
    pub scan: ScanId,
    /// The host.
    pub address: IpAddr,
    /// The port.
    pub port: PortId,
    /// The rule's name, or [`NEW_PORT`], or [`SERVICE_CHANGE`].
    pub rule: Text,
}

/// Where an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// Nobody has dealt with it.
    Open,
    /// Someone says it is being dealt with; a later run can resolve it.
    Actioned,
    /// Someone says it does not matter; it stays so until they undo it.
    Ignored,
    /// A later run saw that it is over.
    Resolved,
}

impl AlertState {
    /// Every state, in the order of an alert's life.
    pub const ALL: [Self; 4] = [Self::Open, Self::Actioned, Self::Ignored, Self::Resolved];

    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Actioned => "actioned",
            Self::Ignored => "ignored",
            Self::Resolved => "resolved",
        }
    }

    /// Open or actioned: it is there, and counts.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Open | Self::Actioned)
    }
}

/// An alert as kept.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Alert {
    /// Which one.
    pub key: AlertKey,
    /// How bad.
    pub severity: Severity,
    /// Where it stands.
    pub state: AlertState,
    /// Where an undo leads: what it was before the last decision about it.
    pub before: AlertState,
    /// The run that raised it, or raised it again.
    pub raised: RunId,
    /// When that was.
    pub raised_at: Timestamp,
    /// The latest run that looked at its cell.
    pub verified: RunId,
    /// When that run ended.
    pub verified_at: Timestamp,
    /// What the host was called when it was raised; empty when it had no name.
    pub host: Text,
    /// What answered there when it was raised.
    pub service: Option<Service>,
    /// For a changed service: what was there before, which resolves it when it comes back. After a further change it is
    /// still what was there at first; where a person had ignored the alert, it is what they ignored.
    pub expected: Option<Service>,
    /// How it ended, while it is resolved.
    pub resolution: Option<Resolution>,
    /// What happened to it.
    pub trail: Trail,
}

impl Alert {
    /// When something last happened to it, other than being verified.
    pub fn changed(&self) -> Timestamp {
        self.trail.steps.last().map_or(self.raised_at, |step| step.at)
    }
}

/// How an alert ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Resolution {
    /// When.
    pub at: Timestamp,
    /// The run that saw it; for an accepted change the run whose report was accepted.
    pub run: RunId,
    /// By what.
    pub evidence: Evidence,
}

/// Why an alert was resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// The run looked at the port, and it is not open.
    PortClosed,
    /// The run asked the host, and it is not there.
    HostGone,
    /// The service is again what it was.
    ServiceBack,
    /// A person accepted the port as it is (SPEC R11).
    Accepted,
    /// The run saw the port open, but its rule is gone, was renamed, or is a new one; the alert of the rule in force, if
    /// there is one, takes its place.
    RuleChanged,
}

impl Evidence {
    /// In words, after "resolved: ".
    pub fn words(self) -> &'static str {
        match self {
            Self::PortClosed => "the port is not open any more",
            Self::HostGone => "the host is gone",
            Self::ServiceBack => "the service is what it was before",
            Self::Accepted => "accepted as expected",
            Self::RuleChanged => "its rule was changed or removed",
        }
    }
}

/// What a run does to one alert.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transition {
    /// A new alert.
    Raise(Alert),
    /// The run looked, and it still holds; its state stays.
    Keep(AlertKey),
    /// The same, and its rule has another severity now.
    Regrade(AlertKey, Severity),
    /// It is over.
    Resolve(AlertKey, Evidence),
    /// It was over, and holds again.
    Reopen(Alert),
    /// It holds, and its service changed further: nobody has decided about that yet, so it is open again.
    Renew(Alert),
}

impl Transition {
    /// Which alert it is about.
    pub fn key(&self) -> &AlertKey {
        match self {
            Self::Raise(alert) | Self::Reopen(alert) | Self::Renew(alert) => &alert.key,
            Self::Keep(key) | Self::Regrade(key, _) | Self::Resolve(key, _) => key,
        }
    }
}
