//! Which lines of a report or a comparison to show: by kind, host, port and service, from the address of the page.

use super::Listed;
use super::lines::{CRITICAL, kind_named, words};
use crate::faults::Faults;
use crate::page::choices::{Chips, Pager};
use crate::query::Fields;
use coordinator::analysis::delta::{Change, ChangeKind};
use coordinator::rules::port_of;
use protocol::{PortSet, TargetSet};

/// As it stands in the address. Empty fields do not count.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default)]
pub(crate) struct Filter {
    pub(crate) kind: String,
    pub(crate) host: String,
    pub(crate) port: String,
    pub(crate) service: String,
    /// How many lines come before those that are shown.
    pub(crate) skip: String,
}

/// What a line must be to be shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    kind: Option<Kind>,
    hosts: Option<TargetSet>,
    ports: Option<PortSet>,
    /// In lower case.
    service: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// New ports with a grave rule.
    Critical,
    Of(ChangeKind),
}

impl Filter {
    const LABELS: [(&'static str, &'static str); 4] =
        [("kind", "Kind"), ("host", "Host"), ("port", "Port"), ("service", "Service")];

    /// What it says, and what it says wrongly, which then does not count.
    pub(crate) fn read(&self) -> (Wanted, Faults) {
        let mut faults = Faults::default();
        let kind = match self.kind.trim() {
            "" => None,
            CRITICAL => Some(Kind::Critical),
            name => {
                let found = kind_named(name).map(Kind::Of);
                if found.is_none() {
                    faults.add("kind", format!("{name:?} is no kind of change; choose one"));
                }
                found
            }
        };
        let hosts = given(&self.host)
            .and_then(|text| text.parse::<TargetSet>().map_err(|error| faults.add("host", error.to_string())).ok());
        let ports = given(&self.port).and_then(|text| ports(text).map_err(|fault| faults.add("port", fault)).ok());
        (Wanted { kind, hosts, ports, service: self.service.trim().to_lowercase() }, faults)
    }

    /// How many lines come before; a number that is none means none.
    pub(crate) fn start(&self) -> usize {
        self.skip.trim().parse().unwrap_or(0)
    }

    /// For links, from the first line on.
    pub(crate) fn fields(&self) -> Fields {
        let Self { kind, host, port, service, skip: _ } = self;
        Fields::of([("kind", kind), ("host", host), ("port", port), ("service", service)])
    }

    /// Those that are set, for the list at `path` with all its `fields`.
    pub(crate) fn chips(&self, path: &str, fields: &Fields) -> Chips {
        let words = |name: &str, value: &str| match name {
            "kind" => super::lines::title_of(value).unwrap_or(value).to_owned(),
            _ => value.to_owned(),
        };
        Chips::of(path, fields, &Self::LABELS, words)
    }

    /// The way to the other lines of the list at `path`.
    pub(crate) fn pager(&self, path: &str, fields: Fields, listed: &Listed) -> Pager {
        let first = (self.start() > 0).then(|| format!("{path}{fields}"));
        Pager { first, next: listed.next.map(|skip| format!("{path}{}", fields.with("skip", skip))) }
    }
}

impl Wanted {
    /// Whether a line is shown; `is_grave` when its new port has a critical or high rule.
    pub(super) fn takes(&self, change: &Change, is_grave: bool) -> bool {
        self.kind.is_none_or(|kind| match kind {
            Kind::Critical => is_grave,
            Kind::Of(kind) => kind == change.kind,
        }) && self.hosts.as_ref().is_none_or(|hosts| hosts.contains(change.address))
            && self
                .ports
                .as_ref()
                .is_none_or(|ports| change.port.is_some_and(|port| ports.contains(port.protocol, port.port)))
            && (self.service.is_empty() || words(change).iter().any(|side| side.to_lowercase().contains(&self.service)))
    }
}

fn given(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

fn ports(text: &str) -> Result<PortSet, String> {
    match text.contains('/') {
        true => port_of(text).map(|id| PortSet::from_ports(id.protocol, [id.port])).map_err(|error| error.to_string()),
        false => text.parse::<PortSet>().map_err(|error| error.to_string()),
    }
}
