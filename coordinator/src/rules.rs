//! The rules in force: which open ports are worth an alert, and what a rule may be (SPEC A1).

use crate::analysis::alert::{NEW_PORT, Rule, SERVICE_CHANGE, default_rules};
use crate::analysis::delta::PortId;
use crate::store::tables::RULES;
use crate::store::{Reads, StoreError};
use protocol::text::Text;

/// The longest name of a rule, in characters.
pub const MAX_NAME_CHARS: usize = 64;
/// The most rules there can be.
pub const MAX_RULES: usize = 1_000;

/// Why a rule was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Not a port with its protocol.
    #[error("{0:?} is not a port; write a number from 1 to 65535 and tcp, udp or sctp, such as 3389/tcp")]
    BadPort(String),
    /// No name, or a long one.
    #[error("the name has {0} characters; take 1 to {MAX_NAME_CHARS}")]
    BadName(usize),
    /// The name of what is raised without a rule.
    #[error("{0:?} is what alerts without a rule are called; take another name")]
    Reserved(String),
    /// More than [`MAX_RULES`].
    #[error("there are {MAX_RULES} rules already; remove one first (`portdrift rules remove`)")]
    TooMany,
}

impl RuleError {
    /// The field that it is about.
    pub(crate) fn field(&self) -> &'static str {
        match self {
            Self::BadPort(_) | Self::TooMany => "port",
            Self::BadName(_) | Self::Reserved(_) => "name",
        }
    }
}

/// Reads a port with its protocol, such as `443/tcp`.
pub fn port_of(text: &str) -> Result<PortId, RuleError> {
    let bad = || RuleError::BadPort(text.to_owned());
    let (number, protocol) = text.trim().split_once('/').ok_or_else(bad)?;
    let port = number.parse().ok().filter(|port: &u16| *port > 0).ok_or_else(bad)?;
    Ok(PortId { protocol: protocol.to_ascii_lowercase().parse().map_err(|_| bad())?, port })
}

/// Trims, cleans and checks the name of a rule.
pub(crate) fn check_name(name: &str) -> Result<Text, RuleError> {
    let name = Text::new(name.trim());
    let length = name.as_str().chars().count();
    if !(1..=MAX_NAME_CHARS).contains(&length) {
        return Err(RuleError::BadName(length));
    }
    match [NEW_PORT, SERVICE_CHANGE].iter().any(|kept| kept.eq_ignore_ascii_case(name.as_str())) {
        true => Err(RuleError::Reserved(name.into())),
        false => Ok(name),
    }
}

/// The rules as they stand, the worst first: the default ones until someone edits them.
pub(crate) fn in_force(reads: &impl Reads) -> Result<Vec<Rule>, StoreError> {
    let mut rules = reads.get(&RULES, &())?.unwrap_or_else(default_rules);
    rules.sort_by_key(|rule| (rule.severity, rule.protocol, rule.port));
    Ok(rules)
}

/// Whether this is the rule of that port.
pub(crate) fn is_of(rule: &Rule, port: PortId) -> bool {
    rule.protocol == port.protocol && rule.port == port.port
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::Protocol;

    #[test]
    fn ports_and_names_are_checked_with_a_remedy() {
        assert_eq!(port_of("443/tcp"), Ok(PortId { protocol: Protocol::Tcp, port: 443 }));
        assert_eq!(port_of(" 53/UDP "), Ok(PortId { protocol: Protocol::Udp, port: 53 }));
        assert_eq!(check_name("  Remote Desktop "), Ok("Remote Desktop".into()));
        let ports = ["443", "0/tcp", "65536/tcp", "443/icmp", "/tcp", ""].map(|text| port_of(text).unwrap_err());
        let long = "x".repeat(MAX_NAME_CHARS + 1);
        let names = [" ", &long, "New Port", SERVICE_CHANGE].map(|text| check_name(text).unwrap_err());
        let told: Vec<String> = ports.iter().chain(&names).map(ToString::to_string).collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        "443" is not a port; write a number from 1 to 65535 and tcp, udp or sctp, such as 3389/tcp
        "0/tcp" is not a port; write a number from 1 to 65535 and tcp, udp or sctp, such as 3389/tcp
        "65536/tcp" is not a port; write a number from 1 to 65535 and tcp, udp or sctp, such as 3389/tcp
        "443/icmp" is not a port; write a number from 1 to 65535 and tcp, udp or sctp, such as 3389/tcp
        "/tcp" is not a port; write a number from 1 to 65535 and tcp, udp or sctp, such as 3389/tcp
        "" is not a port; write a number from 1 to 65535 and tcp, udp or sctp, such as 3389/tcp
        the name has 0 characters; take 1 to 64
        the name has 65 characters; take 1 to 64
        "New Port" is what alerts without a rule are called; take another name
        "service change" is what alerts without a rule are called; take another name
        "#);
    }
}
