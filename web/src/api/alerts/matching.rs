//! Which alerts are meant, as text from a query, a body or a page, and what it says.

use crate::error::WebError;
use coordinator::analysis::alert::{AlertFilter, AlertSort, AlertState, Severity};
use coordinator::rules::port_of;
use coordinator::{AlertPage, MAX_PAGE};
use protocol::PortSet;
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::str::FromStr;
use utoipa::{IntoParams, ToSchema};

/// How many alerts a page has when nothing else is asked for.
const USUAL_PAGE: usize = 100;

/// Which alerts, all of it at once; what is left out does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Matching {
    /// States with commas between them; `active` (open and actioned) when left out; `all`.
    pub state: String,
    /// Severities with commas between them.
    pub severity: String,
    /// The number of a scan.
    pub scan: String,
    /// Addresses, such as `192.0.2.0/24`.
    pub address: String,
    /// Ports, such as `443/tcp` or `22,80,U:53`.
    pub port: String,
    /// The name of a rule.
    pub rule: String,
    /// A text in address, host name, port, service or rule.
    pub text: String,
    /// `true` or `false`: whether the latest run that should have looked there did.
    pub verified: String,
}

/// Which page of which alerts.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// States with commas between them; `active` (open and actioned) when left out; `all`.
    pub(crate) state: String,
    /// Severities with commas between them.
    pub(crate) severity: String,
    /// The number of a scan.
    pub(crate) scan: String,
    /// Addresses, such as `192.0.2.0/24`.
    pub(crate) address: String,
    /// Ports, such as `443/tcp` or `22,80,U:53`.
    pub(crate) port: String,
    /// The name of a rule.
    pub(crate) rule: String,
    /// A text in address, host name, port, service or rule.
    pub(crate) text: String,
    /// `true` or `false`: whether the latest run that should have looked there did.
    pub(crate) verified: String,
    /// `severity` when left out, `address`, `port`, `opened` or `scan`.
    pub(crate) sort: String,
    /// Begin after this alert's id.
    pub(crate) after: String,
    /// At most so many, 100 when left out, never more than 1,000.
    pub(crate) limit: Option<usize>,
}

impl Matching {
    /// What it says.
    pub(crate) fn filter(&self) -> Result<AlertFilter, WebError> {
        let Self { state, severity, scan, address, port, rule, text, verified } = self;
        let ports = |text: &str| match text.contains('/') {
            true => {
                port_of(text).map(|id| PortSet::from_ports(id.protocol, [id.port])).map_err(|error| error.to_string())
            }
            false => text.parse::<PortSet>().map_err(|error| error.to_string()),
        };
        Ok(AlertFilter {
            states: states(state)?,
            severities: words("severity", severity, &Severity::ALL.map(|severity| (severity.name(), severity)))?,
            scan: read("scan", scan).map_err(|_| WebError::field("scan", format!("{scan:?} is no scan's number")))?,
            addresses: read("address", address)?,
            ports: given(port).map(ports).transpose().map_err(|fault| WebError::field("port", fault))?,
            rule: given(rule).map(str::to_owned),
            text: given(text).map(str::to_owned),
            verified: read("verified", verified)
                .map_err(|_| WebError::field("verified", format!("{verified:?} is neither true nor false")))?,
        })
    }
}

impl Which {
    /// What it says.
    pub(crate) fn read(self) -> Result<(AlertFilter, AlertPage), WebError> {
        let Self { state, severity, scan, address, port, rule, text, verified, sort, after, limit } = self;
        let filter = Matching { state, severity, scan, address, port, rule, text, verified }.filter()?;
        let sorts = AlertSort::ALL.map(|sort| (sort.name(), sort));
        let sort = words("sort", &sort, &sorts)?.first().copied().unwrap_or_default();
        let limit = limit.unwrap_or(USUAL_PAGE).min(MAX_PAGE);
        Ok((filter, AlertPage { sort, after: read("after", &after)?, limit }))
    }
}

fn states(text: &str) -> Result<Vec<AlertState>, WebError> {
    match text.trim() {
        "" | "active" => Ok(AlertFilter::default().states),
        "all" => Ok(Vec::new()),
        listed => {
            let known = AlertState::ALL.map(|state| (state.name(), state));
            words("state", listed, &known)
        }
    }
}

/// The text, if there is any.
pub(crate) fn given(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

/// What the text of a field says, if there is any.
pub(crate) fn read<T: FromStr<Err: Display>>(field: &'static str, text: &str) -> Result<Option<T>, WebError> {
    given(text).map(|text| text.parse().map_err(|error| WebError::field(field, error))).transpose()
}

/// Words of a list with commas between them.
fn words<T: Copy>(field: &'static str, text: &str, known: &[(&'static str, T)]) -> Result<Vec<T>, WebError> {
    let one = |word: &str| {
        let found = known.iter().find(|(name, _)| *name == word.trim()).map(|(_, value)| *value);
        found.ok_or_else(|| {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            WebError::field(field, format!("{word:?} is not one of {}", names.join(", ")))
        })
    };
    given(text).map_or_else(|| Ok(Vec::new()), |text| text.split(',').map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_filter_is_said_by_field() {
        let nothing = Matching::default;
        let wrong = [
            Matching { state: "closed".into(), ..nothing() },
            Matching { severity: "high,worst".into(), ..nothing() },
            Matching { scan: "office".into(), ..nothing() },
            Matching { address: "10.0.0.0/40".into(), ..nothing() },
            Matching { port: "443/icmp".into(), ..nothing() },
            Matching { port: "70000".into(), ..nothing() },
            Matching { verified: "maybe".into(), ..nothing() },
        ];
        let told = wrong.map(|matching| matching.filter().unwrap_err().to_string());
        insta::assert_snapshot!(told.join("\n"), @r#"
        state: "closed" is not one of open, actioned, ignored, resolved
        severity: "worst" is not one of critical, high, medium, low
        scan: "office" is no scan's number
        address: target "10.0.0.0/40" has no valid prefix length; write /0 to /32 for IPv4 or /0 to /128 for IPv6
        port: "443/icmp" is not a port; write a number from 1 to 65535 and tcp, udp or sctp, such as 3389/tcp
        port: port "70000" is out of range; ports run from 1 to 65535
        verified: "maybe" is neither true nor false
        "#);
    }

    #[test]
    fn what_is_left_out_means_active_alerts_the_worst_first() {
        let (filter, page) = Which::default().read().unwrap();
        assert_eq!(filter, AlertFilter::default());
        assert_eq!(page, AlertPage { sort: AlertSort::Severity, after: None, limit: USUAL_PAGE });
        let all = Which { state: "all".into(), sort: "opened".into(), limit: Some(5_000), ..Which::default() };
        let (filter, page) = all.read().unwrap();
        assert_eq!((filter, page.sort, page.limit), (AlertFilter::any(), AlertSort::Opened, MAX_PAGE));
    }
}
