//! One line of a report with its two sides laid flat: the rows of the CSV and the entries of the JSON lists.

use crate::api::acceptance::Acceptance;
use crate::page::report::severity;
use coordinator::analysis::alert::{Rule, Severity};
use coordinator::analysis::delta::{Change, ChangeKind, Confirmation, Note, NoteKind, PortId, Side};
use coordinator::report::Report;
use protocol::Protocol;
use protocol::observation::{MacAddress, OsGuess, Service};
use protocol::text::Text;
use serde::Serialize;
use std::net::IpAddr;
use utoipa::ToSchema;

/// One change, or one line that looks like a change and counts as none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Entry {
    /// `new-host`, `removed-host`, `new-port`, `closed-port`, `service-change`, `os-change`, `name-change`, `mac-change`.
    #[schema(value_type = String)]
    pub(super) kind: ChangeKind,
    /// Only among `not_counted`: `identified-differently`, `unconfirmed`, `contradicted`, `newly-covered`, `no-longer-covered`, `volatile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(super) why_not_counted: Option<NoteKind>,
    /// Which host.
    #[schema(value_type = String)]
    pub(super) address: IpAddr,
    /// `tcp`, `udp` or `sctp`, for changes of ports and services.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(super) protocol: Option<Protocol>,
    /// The number of the port, for changes of ports and services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) port: Option<u16>,
    /// Of the rule that a new port matches, by the rules that the report was made with: `critical`, `high`, `medium` or `low`.
    #[schema(value_type = Option<String>)]
    pub(super) severity: Option<Severity>,
    /// `not-needed`, `wanted` or `confirmed`: whether a second look was taken.
    #[schema(value_type = String)]
    pub(super) confirmation: Confirmation,
    /// What was known; null when nothing was there.
    pub(super) before: Option<Look>,
    /// What was found; null when nothing is there.
    pub(super) after: Option<Look>,
    /// Who accepted the change as expected, when, and why; left out when nobody did. Such a change does not count in
    /// status and score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) accepted: Option<Acceptance>,
}

/// One side of a change. What does not belong to its kind, or was not told, is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Look {
    /// `up` for a host; for a port `open`, `closed`, `filtered`, `unfiltered`, `open|filtered` or `closed|filtered`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(super) state: Option<&'static str>,
    /// Protocol of the service, such as `http`.
    #[serde(skip_serializing_if = "Text::is_empty")]
    #[schema(value_type = Option<String>)]
    pub(super) service: Text,
    /// Its product, such as `nginx`.
    #[serde(skip_serializing_if = "Text::is_empty")]
    #[schema(value_type = Option<String>)]
    pub(super) product: Text,
    /// The product's version.
    #[serde(skip_serializing_if = "Text::is_empty")]
    #[schema(value_type = Option<String>)]
    pub(super) version: Text,
    /// What else the service told.
    #[serde(skip_serializing_if = "Text::is_empty")]
    #[schema(value_type = Option<String>)]
    pub(super) extra: Text,
    /// Whether TLS is spoken around the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls: Option<bool>,
    /// Which engine named the service, where more than one looked.
    #[serde(skip_serializing_if = "Text::is_empty")]
    #[schema(value_type = Option<String>)]
    pub(super) by: Text,
    /// Operating system.
    #[serde(skip_serializing_if = "Text::is_empty")]
    #[schema(value_type = Option<String>)]
    pub(super) os: Text,
    /// How sure the engine is of the operating system, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) os_accuracy: Option<u8>,
    /// Names in the name services, sorted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub(super) names: Option<Vec<Text>>,
    /// Link address.
    #[serde(skip_serializing_if = "Text::is_empty")]
    #[schema(value_type = Option<String>)]
    pub(super) mac: Text,
    /// Vendor of the link address.
    #[serde(skip_serializing_if = "Text::is_empty")]
    #[schema(value_type = Option<String>)]
    pub(super) mac_vendor: Text,
}

impl Entry {
    /// The changes of a report, of the wanted kinds.
    pub(super) fn of_changes(report: &Report, is_wanted: impl Fn(ChangeKind) -> bool) -> impl Iterator<Item = Self> {
        let wanted = report.changes.iter().enumerate().filter(move |(_, change)| is_wanted(change.kind));
        wanted.map(|(line, change)| Self {
            accepted: report.acceptance_of(line).map(Acceptance::from),
            ..Self::of_line(change, &report.rules)
        })
    }

    /// The lines of a report that count as no change.
    pub(super) fn of_notes(report: &Report) -> impl Iterator<Item = Self> {
        let entry = |Note { kind, change }: &Note| Self {
            why_not_counted: Some(*kind),
            ..Self::of_line(change, &report.rules)
        };
        report.notes.iter().map(entry)
    }

    fn of_line(change: &Change, rules: &[Rule]) -> Self {
        let Change { kind, address, port, before, after, confirmation } = change;
        Self {
            kind: *kind,
            why_not_counted: None,
            address: *address,
            protocol: port.map(|PortId { protocol, port: _ }| protocol),
            port: port.map(|PortId { protocol: _, port }| port),
            severity: severity(change, rules),
            confirmation: *confirmation,
            before: before.as_ref().map(Look::from),
            after: after.as_ref().map(Look::from),
            accepted: None,
        }
    }
}

impl From<&Side> for Look {
    fn from(side: &Side) -> Self {
        let look = Self::default();
        match side {
            Side::Host { reason: _, names, mac } => {
                let look = Self { state: Some("up"), names: Some(names.clone()), ..look };
                mac.as_ref().map_or(look.clone(), |mac| look.with_mac(mac))
            }
            Side::Port { state, service } => {
                let look = Self { state: Some(state.name()), ..look };
                service.as_ref().map_or(look.clone(), |service| look.with_service(service))
            }
            Side::Os(OsGuess { name, accuracy }) => Self { os: name.clone(), os_accuracy: Some(*accuracy), ..look },
            Side::Names(names) => Self { names: Some(names.clone()), ..look },
            Side::Mac(mac) => look.with_mac(mac),
        }
    }
}

impl Look {
    fn with_mac(self, MacAddress { address, vendor }: &MacAddress) -> Self {
        Self { mac: address.clone(), mac_vendor: vendor.clone(), ..self }
    }

    fn with_service(self, service: &Service) -> Self {
        let Service { name, product, version, extra, tls, method: _, by } = service.clone();
        Self { service: name, product, version, extra, tls: Some(tls), by, ..self }
    }
}
