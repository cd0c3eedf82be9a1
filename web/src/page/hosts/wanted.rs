//! Which hosts are asked for, as it stands in the address of a page.

use crate::error::WebError;
use crate::page::choices::Pager;
use crate::query::Fields;
use coordinator::HostPage;
use coordinator::host::{HostFilter, HostKey};
use coordinator::rules::port_of;
use protocol::PortSet;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

/// How many hosts a page shows when nothing else is asked for, at least and at most.
const ROWS: (usize, usize, usize) = (50, 10, 200);

/// What people call the filters.
pub(crate) const LABELS: [(&str, &str); 6] = [
    ("text", "Text"),
    ("address", "Address"),
    ("port", "Port"),
    ("service", "Service"),
    ("scan", "Network"),
    ("alerts", "Alerts"),
];

/// Empty fields do not count.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default)]
pub(crate) struct Wanted {
    /// In address, names, MAC address or operating system.
    pub(crate) text: String,
    /// Addresses, such as `192.0.2.0/24`.
    pub(crate) address: String,
    /// Ports, such as `443/tcp` or `22,80,U:53`.
    pub(crate) port: String,
    /// In what answers on a port.
    pub(crate) service: String,
    /// The number of a network.
    pub(crate) scan: String,
    /// `active`: with open or actioned alerts.
    pub(crate) alerts: String,
    pub(crate) limit: String,
    /// Begin after this host.
    pub(crate) after: String,
}

impl Wanted {
    /// As it stands behind the `?`.
    pub(crate) fn fields(&self) -> Fields {
        let Self { text, address, port, service, scan, alerts, limit, after } = self;
        Fields::of([
            ("text", text),
            ("address", address),
            ("port", port),
            ("service", service),
            ("scan", scan),
            ("alerts", alerts),
            ("limit", limit),
            ("after", after),
        ])
    }

    /// What it says, or what is wrong with each field.
    pub(crate) fn read(&self) -> Result<(HostFilter, HostPage), WebError> {
        let mut faults = Reader::default();
        let is_alerted = faults.take(
            "alerts",
            match self.alerts.trim() {
                "" | "active" => Ok(self.alerts.trim() == "active"),
                other => Err(format!("{other:?} is no choice; write active, or leave it out")),
            },
        );
        let filter = HostFilter {
            scan: faults.number("scan", &self.scan, "is no network's number; choose one of the list"),
            addresses: faults.parse("address", &self.address),
            ports: given(&self.port).and_then(|text| faults.take("port", ports(text))),
            service: given(&self.service).map(str::to_owned),
            text: given(&self.text).map(str::to_owned),
            is_alerted: is_alerted.unwrap_or_default(),
        };
        let (usual, least, most) = ROWS;
        let limit = faults
            .number("limit", &self.limit, "is no number of rows; write 10 to 200")
            .unwrap_or(usual)
            .clamp(least, most);
        let after = faults.parse::<HostKey>("after", &self.after);
        if faults.0.is_empty() { Ok((filter, HostPage { after, limit })) } else { Err(WebError::Invalid(faults.0)) }
    }

    /// The way to other parts of the list at `path`.
    pub(crate) fn pager(&self, path: &str, next: Option<HostKey>) -> Pager {
        let link = |after: String| format!("{path}{}", self.fields().with("after", after));
        Pager {
            first: (!self.after.trim().is_empty()).then(|| link(String::new())),
            next: next.map(|key| link(key.to_string())),
        }
    }
}

/// What a value of a filter is called; `networks` are numbers and names.
pub(crate) fn words(networks: &[(String, String)], name: &str, value: &str) -> String {
    match name {
        "scan" => networks.iter().find(|(number, _)| number == value).map_or(value, |(_, name)| name).to_owned(),
        "alerts" => "open or actioned".to_owned(),
        _ => value.to_owned(),
    }
}

/// One port with its protocol, or a list of TCP ports and others with a prefix.
fn ports(text: &str) -> Result<PortSet, String> {
    match text.contains('/') {
        true => port_of(text).map(|id| PortSet::from_ports(id.protocol, [id.port])).map_err(|error| error.to_string()),
        false => text.parse().map_err(|error: <PortSet as FromStr>::Err| error.to_string()),
    }
}

fn given(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

/// Reads fields one by one, and keeps what is wrong with which.
#[derive(Default)]
struct Reader(BTreeMap<&'static str, String>);

impl Reader {
    fn take<T>(&mut self, field: &'static str, read: Result<T, String>) -> Option<T> {
        read.map_err(|fault| self.0.insert(field, fault)).ok()
    }

    fn number<T: FromStr>(&mut self, field: &'static str, text: &str, fault: &str) -> Option<T> {
        let read = given(text)?.parse::<T>().map_err(|_| format!("{text:?} {fault}"));
        self.take(field, read)
    }

    fn parse<T: FromStr<Err: Display>>(&mut self, field: &'static str, text: &str) -> Option<T> {
        let read = given(text)?.parse::<T>().map_err(|error| error.to_string());
        self.take(field, read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_wrong_is_said_at_once_by_field() {
        let wrong = Wanted {
            address: "10.0.0.0/40".into(),
            port: "443/icmp".into(),
            scan: "office".into(),
            alerts: "some".into(),
            limit: "many".into(),
            after: "7".into(),
            ..Wanted::default()
        };
        let Err(WebError::Invalid(faults)) = wrong.read() else { panic!("taken") };
        let told: Vec<String> = faults.into_iter().map(|(field, fault)| format!("{field}: {fault}")).collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        address: target "10.0.0.0/40" has no valid prefix length; write /0 to /32 for IPv4 or /0 to /128 for IPv6
        after: "7" names no host; write its network and its address, such as 3-192.0.2.7
        alerts: "some" is no choice; write active, or leave it out
        limit: "many" is no number of rows; write 10 to 200
        port: "443/icmp" is not a port; write a number from 1 to 65535 and tcp, udp or sctp, such as 3389/tcp
        scan: "office" is no network's number; choose one of the list
        "#);
    }

    #[test]
    fn what_is_left_out_means_every_host_from_the_first() {
        assert_eq!(Wanted::default().read().unwrap(), (HostFilter::default(), HostPage { after: None, limit: 50 }));
        let some = Wanted { port: "U:53".into(), limit: "9999".into(), after: "3-fe80::1".into(), ..Wanted::default() };
        let (filter, page) = some.read().unwrap();
        assert_eq!((filter.ports.unwrap().to_string(), page.limit), ("U:53".to_owned(), 200));
        let pager = some.pager("/hosts", page.after);
        assert_eq!(pager.first.as_deref(), Some("/hosts?port=U%3A53&limit=9999"));
        assert_eq!(pager.next.as_deref(), Some("/hosts?port=U%3A53&limit=9999&after=3-fe80%3A%3A1"));
    }
}
