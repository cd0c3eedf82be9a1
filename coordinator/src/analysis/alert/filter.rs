//! Which alerts a list shows, and in which order.

use super::{Alert, AlertState, Severity};
use protocol::observation::Service;
use protocol::task::ScanId;
use protocol::{PortSet, TargetSet};
use std::cmp::{Ordering, Reverse};
use std::fmt::Write;

/// What an alert must be to be listed; by default active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertFilter {
    /// One of these states; empty for any.
    pub states: Vec<AlertState>,
    /// One of these severities; empty for any.
    pub severities: Vec<Severity>,
    /// Of this network.
    pub scan: Option<ScanId>,
    /// On one of these addresses.
    pub addresses: Option<TargetSet>,
    /// On one of these ports.
    pub ports: Option<PortSet>,
    /// Of the rule with this name, in upper or lower case.
    pub rule: Option<String>,
    /// With this text in its address, host name, port, service or rule, in upper or lower case.
    pub text: Option<String>,
    /// Whether the latest run that should have looked there did.
    pub verified: Option<bool>,
}

impl Default for AlertFilter {
    fn default() -> Self {
        Self { states: vec![AlertState::Open, AlertState::Actioned], ..Self::any() }
    }
}

impl AlertFilter {
    /// Every alert.
    pub fn any() -> Self {
        Self {
            states: Vec::new(),
            severities: Vec::new(),
            scan: None,
            addresses: None,
            ports: None,
            rule: None,
            text: None,
            verified: None,
        }
    }

    /// Whether state and severity are wanted.
    pub fn takes_standing(&self, alert: &Alert) -> bool {
        (self.states.is_empty() || self.states.contains(&alert.state))
            && (self.severities.is_empty() || self.severities.contains(&alert.severity))
    }

    /// Whether all but state and severity is wanted; counts by state and severity are made of these.
    pub fn takes_place(&self, alert: &Alert, is_verified: bool) -> bool {
        let key = &alert.key;
        self.scan.is_none_or(|scan| scan == key.scan)
            && self.addresses.as_ref().is_none_or(|addresses| addresses.contains(key.address))
            && self.ports.as_ref().is_none_or(|ports| ports.contains(key.port.protocol, key.port.port))
            && self.rule.as_ref().is_none_or(|rule| rule.to_lowercase() == key.rule.as_str().to_lowercase())
            && self.verified.is_none_or(|wanted| wanted == is_verified)
            && self.text.as_ref().is_none_or(|text| searched(alert).contains(&text.trim().to_lowercase()))
    }
}

/// What a search looks at: words apart by line ends, which nobody types. In one piece, since a list asks every alert.
fn searched(alert: &Alert) -> String {
    let (key, port) = (&alert.key, alert.key.port);
    let mut words = String::with_capacity(160);
    let _infallible = write!(words, "{}\n{}\n{}/{}\n{}", key.address, alert.host, port.port, port.protocol, key.rule);
    if let Some(Service { name, product, version, extra, .. }) = &alert.service {
        let _infallible = write!(words, "\n{name}\n{product} {version} {extra}");
    }
    if words.is_ascii() {
        words.make_ascii_lowercase();
        return words;
    }
    words.to_lowercase()
}

/// In which order alerts are listed; equal ones by network, address, port and rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AlertSort {
    /// The worst first.
    #[default]
    Severity,
    /// By address, as numbers.
    Address,
    /// By port number.
    Port,
    /// The latest raised first.
    Opened,
    /// By network.
    Scan,
}

impl AlertSort {
    /// Every order.
    pub const ALL: [Self; 5] = [Self::Severity, Self::Address, Self::Port, Self::Opened, Self::Scan];

    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Severity => "severity",
            Self::Address => "address",
            Self::Port => "port",
            Self::Opened => "opened",
            Self::Scan => "scan",
        }
    }

    /// Compares two alerts; never equal for two different ones.
    pub fn compare(self, a: &Alert, b: &Alert) -> Ordering {
        let order = match self {
            Self::Severity => a.severity.cmp(&b.severity),
            Self::Address => a.key.address.cmp(&b.key.address),
            Self::Port => (a.key.port.port, a.key.port.protocol).cmp(&(b.key.port.port, b.key.port.protocol)),
            Self::Opened => Reverse(a.raised_at).cmp(&Reverse(b.raised_at)),
            Self::Scan => Ordering::Equal,
        };
        order.then_with(|| a.key.cmp(&b.key))
    }
}
