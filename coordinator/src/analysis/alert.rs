//! Alerts: the rules, and what a run does to the alerts of its scan (SPEC section 6).
//!
//! People's own steps (actioned, ignored, undone) and the audit of them are left to the coordinator.

mod evaluate;
#[cfg(test)]
mod tests;

pub use evaluate::{Evaluation, after, evaluate};

use crate::analysis::delta::PortId;
use protocol::Protocol;
use protocol::codec::{Decode, Encode};
use protocol::observation::Service;
use protocol::task::{RunId, ScanId};
use protocol::text::Text;
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

/// What a run needs to know of an alert, and leaves behind.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Alert {
    /// Which one.
    pub key: AlertKey,
    /// How bad.
    pub severity: Severity,
    /// Where it stands.
    pub state: AlertState,
    /// The run that raised it, or raised it again.
    pub raised: RunId,
    /// The latest run that looked at its cell; an older one than the latest run means "not verified since".
    pub verified: RunId,
    /// For a changed service: what was there before, which resolves it when it comes back.
    pub expected: Option<Service>,
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
}

/// What a run does to one alert.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transition {
    /// A new alert.
    Raise(Alert),
    /// The run looked, and it still holds; its state stays.
    Keep(AlertKey),
    /// It is over.
    Resolve(AlertKey, Evidence),
    /// It was over, and holds again.
    Reopen(Alert),
}
