//! Hosts as lists speak of them: which one, and which are wanted. What is known of one stands in `analysis::delta`.

mod digest;

pub(crate) use digest::{HostDigest, PortWords};

use crate::analysis::delta::{KnownHost, PortId};
use digest::service_text;
use protocol::observation::PortObservation;
use protocol::task::ScanId;
use protocol::{PortSet, Protocol, TargetSet};
use std::fmt::{self, Display};
use std::net::IpAddr;
use std::str::FromStr;

/// Which host: one address means another host in another network. In order of address, then of network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostKey {
    /// Its address.
    pub address: IpAddr,
    /// The network that it is known in.
    pub scan: ScanId,
}

/// The text names no host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no host; write its network and its address, such as 3-192.0.2.7")]
pub struct BadHostKey(String);

impl Display for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, scan } = self;
        write!(f, "{scan}-{address}")
    }
}

impl FromStr for HostKey {
    type Err = BadHostKey;

    fn from_str(text: &str) -> Result<Self, BadHostKey> {
        let read = || {
            let (scan, address) = text.split_once('-')?;
            Some(Self { address: address.parse().ok()?, scan: ScanId(scan.parse().ok()?) })
        };
        read().ok_or_else(|| BadHostKey(text.chars().take(100).collect()))
    }
}

/// Which hosts are wanted: all that is given must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFilter {
    /// Of this network, in use or not; otherwise of all that are in use.
    pub scan: Option<ScanId>,
    /// At these addresses.
    pub addresses: Option<TargetSet>,
    /// With one of these ports open.
    pub ports: Option<PortSet>,
    /// With an open port, one of `ports` if those are given, whose service has this text; upper or lower case.
    pub service: Option<String>,
    /// With this text in address, names, MAC address and its vendor, or operating system; upper or lower case.
    pub text: Option<String>,
    /// With an open or actioned alert.
    pub is_alerted: bool,
}

impl HostFilter {
    /// Whether anything is asked of what a host tells of itself, apart from its address.
    pub(crate) fn asks_for_words(&self) -> bool {
        self.ports.is_some() || self.service.is_some() || self.text.is_some()
    }

    /// Whether a host is wanted, as far as it tells itself: network and alerts are looked at elsewhere.
    pub(crate) fn takes(&self, host: &HostDigest) -> bool {
        let text = lowered(&self.text);
        let asks_for_ports = self.ports.is_some() || self.service.is_some();
        self.addresses.as_ref().is_none_or(|wanted| wanted.contains(host.address))
            && (!asks_for_ports || self.words_of(host).next().is_some())
            && text.is_none_or(|text| host.has(&text))
    }

    /// The open ports of a host that are asked for; all of them, when none is asked for.
    pub(crate) fn words_of<'a>(&'a self, host: &'a HostDigest) -> impl Iterator<Item = &'a PortWords> {
        let service = lowered(&self.service);
        host.ports.iter().filter(move |PortWords { port, name: _, service: words }| {
            self.ports.as_ref().is_none_or(|ports| ports.contains(port.protocol, port.port))
                && service.as_ref().is_none_or(|text| words.contains(text))
        })
    }

    /// The same of a host that is wholly known.
    pub fn ports_of<'a>(&'a self, host: &'a KnownHost) -> impl Iterator<Item = &'a PortObservation> {
        let service = lowered(&self.service);
        host.open_ports().filter(move |port| {
            self.ports.as_ref().is_none_or(|ports| ports.contains(port.protocol, port.port))
                && service.as_ref().is_none_or(|text| service_text(port).contains(text))
        })
    }
}

/// As a search compares it.
fn lowered(text: &Option<String>) -> Option<String> {
    text.as_ref().map(|text| text.trim().to_lowercase())
}

/// Open ports as a set: a few ranges, however many there are.
pub(crate) fn open_set(host: &KnownHost) -> PortSet {
    Protocol::ALL.into_iter().fold(PortSet::empty(), |all, protocol| {
        let of = host.open_ports().filter(|port| port.protocol == protocol).map(|port| port.port);
        all.union(&PortSet::from_ports(protocol, of))
    })
}

/// Every port of a set, in order.
pub(crate) fn each_port(set: &PortSet) -> impl Iterator<Item = PortId> + '_ {
    Protocol::ALL.into_iter().flat_map(|protocol| set.ports(protocol).map(move |port| PortId { protocol, port }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use proptest::prelude::*;
    use protocol::observation::{MacAddress, Service};
    use protocol::task::RunId;

    fn known() -> KnownHost {
        let mut observation = fixture::host("10.9.0.7", &[22, 443]);
        observation.names = vec!["Web.example".into()];
        observation.mac = Some(MacAddress { address: "00:11:22:AA:BB:CC".into(), vendor: "Acme".into() });
        if let Some(port) = observation.ports.last_mut() {
            port.service = Some(Service { name: "https".into(), product: "nginx".into(), ..Service::default() });
        }
        KnownHost { address: observation.address, observation, seen_run: RunId(1), services: Vec::new() }
    }

    fn filter() -> HostFilter {
        HostFilter::default()
    }

    #[test]
    fn a_host_is_wanted_when_all_that_is_asked_fits() {
        let host = known();
        let cases = [
            (filter(), true),
            (HostFilter { addresses: Some("10.9.0.0/29".parse().unwrap()), ..filter() }, true),
            (HostFilter { addresses: Some("10.9.0.8/29".parse().unwrap()), ..filter() }, false),
            (HostFilter { ports: Some("22".parse().unwrap()), ..filter() }, true),
            (HostFilter { ports: Some("U:22".parse().unwrap()), ..filter() }, false),
            (HostFilter { service: Some(" NGINX".into()), ..filter() }, true),
            (HostFilter { service: Some("nginx".into()), ports: Some("22".parse().unwrap()), ..filter() }, false),
            (HostFilter { text: Some("WEB.ex".into()), ..filter() }, true),
            (HostFilter { text: Some("aa:bb".into()), ..filter() }, true),
            (HostFilter { text: Some("acme".into()), ports: Some("443".parse().unwrap()), ..filter() }, true),
            (HostFilter { text: Some("nginx".into()), ..filter() }, false),
        ];
        for (filter, is_wanted) in cases {
            assert_eq!(filter.takes(&HostDigest::of(&host)), is_wanted, "{filter:?}");
        }
    }

    #[test]
    fn open_ports_are_a_set_and_come_back_one_by_one() {
        let set = open_set(&known());
        assert_eq!(set.to_string(), "22,443");
        assert_eq!(each_port(&set).map(|port| port.port).collect::<Vec<_>>(), [22, 443]);
    }

    #[test]
    fn what_names_no_host_is_refused_with_an_example() {
        for bad in ["", "3", "3-", "x-192.0.2.7", "3-192.0.2.700", "192.0.2.7"] {
            assert!(bad.parse::<HostKey>().unwrap_err().to_string().ends_with("such as 3-192.0.2.7"), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_key_reads_back_and_needs_no_escape(scan: u64, address: IpAddr) {
            let key = HostKey { address, scan: ScanId(scan) };
            let text = key.to_string();
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:-".contains(&byte)), "{}", text);
            prop_assert_eq!(text.parse(), Ok(key));
        }
    }
}
