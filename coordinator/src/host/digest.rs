//! What filters and searches look at of a host: its words in lower case, and nothing else of it.

use crate::analysis::delta::{KnownHost, PortId};
use crate::search::Field;
use protocol::observation::{PortObservation, Service};
use protocol::text::Text;
use std::net::IpAddr;
use std::sync::Arc;

/// The words of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostDigest {
    pub(crate) address: IpAddr,
    /// Names, link address and its vendor, operating system.
    pub(crate) words: Vec<(Field, Box<str>)>,
    /// Its open ports, in order. Many hosts say the same of theirs: these may share it.
    pub(crate) ports: Arc<[PortWords]>,
}

/// An open port, the name of what answers there, and what a search for a service looks at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PortWords {
    pub(crate) port: PortId,
    pub(crate) name: Text,
    pub(crate) service: Box<str>,
}

impl HostDigest {
    pub(crate) fn of(host: &KnownHost) -> Self {
        let observation = &host.observation;
        let names = observation.names.iter().map(|name| (Field::Name, name));
        let mac = observation.mac.iter().flat_map(|mac| [&mac.address, &mac.vendor]).map(|text| (Field::Mac, text));
        let os = observation.os.iter().map(|os| (Field::Os, &os.name));
        let words =
            names.chain(mac).chain(os).map(|(field, text)| (field, text.as_str().to_lowercase().into_boxed_str()));
        Self { address: host.address, words: words.collect(), ports: host.open_ports().map(PortWords::of).collect() }
    }

    /// Whether this text, in lower case, stands in its address or in one of its words.
    pub(crate) fn has(&self, text: &str) -> bool {
        self.words.iter().any(|(_, word)| word.contains(text)) || self.address.to_string().contains(text)
    }

    /// About how much memory it takes in bytes, without its ports.
    pub(crate) fn size(&self) -> usize {
        let words: usize = self.words.iter().map(|(_, word)| size_of::<(Field, Box<str>)>() + word.len()).sum();
        size_of::<Self>() + words
    }
}

impl PortWords {
    fn of(port: &PortObservation) -> Self {
        let id = PortId { protocol: port.protocol, port: port.port };
        let name = port.service.as_ref().map(|service| service.name.clone()).unwrap_or_default();
        Self { port: id, name, service: service_text(port).into() }
    }

    /// About how much memory it takes in bytes.
    pub(crate) fn size(&self) -> usize {
        size_of::<Self>() + self.name.as_str().len() + self.service.len()
    }
}

/// What a search for a service looks at, in lower case.
pub(super) fn service_text(port: &PortObservation) -> String {
    let words = |Service { name, product, version, extra, tls: _, method: _, by: _ }: &Service| {
        format!("{name}\n{product} {version} {extra}").to_lowercase()
    };
    port.service.as_ref().map(words).unwrap_or_default()
}
