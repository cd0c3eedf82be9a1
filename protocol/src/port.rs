//! Which ports: protocol by protocol, parsed once into sorted, merged ranges.

use crate::codec::{Decode, Encode};
use crate::interval::IntervalSet;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The most items that one port text may hold.
pub const MAX_ITEMS: usize = 1_000;

/// A transport protocol that has ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// Every protocol, in the order in which lists show them.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// As nmap writes it: `tcp`, `udp`, `sctp`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }

    fn prefix(self) -> char {
        match self {
            Self::Tcp => 'T',
            Self::Udp => 'U',
            Self::Sctp => 'S',
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Protocol {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        Self::ALL
            .into_iter()
            .find(|protocol| protocol.name() == text)
            .ok_or_else(|| PortError::Unreadable(text.to_owned()))
    }
}

/// A set of ports per protocol, held as ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PortSet {
    tcp: IntervalSet<u16>,
    udp: IntervalSet<u16>,
    sctp: IntervalSet<u16>,
}

/// Why a port text was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// Nothing was written.
    #[error("no ports given; write numbers and ranges such as 22,80,1000-2000 or T:22,U:53")]
    Empty,
    /// An empty place between two commas.
    #[error("port {0} of the list is empty; remove the extra comma")]
    EmptyItem(usize),
    /// More than [`MAX_ITEMS`].
    #[error("{0} items are more than the {MAX_ITEMS} allowed; join neighbours into ranges")]
    TooMany(usize),
    /// Not a number, a range, or a prefix.
    #[error("port {0:?} is not a number or a range; write for instance 443, 1-1000 or U:53")]
    Unreadable(String),
    /// Zero, or more than 65535.
    #[error("port {0:?} is out of range; ports run from 1 to 65535")]
    OutOfRange(String),
    /// Ends before it starts.
    #[error("port range {0:?} ends before it starts; swap its ends")]
    Backwards(String),
}

impl PortSet {
    /// No port at all.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The set that holds the given closed ranges of one protocol.
    pub fn from_ranges(protocol: Protocol, ranges: impl IntoIterator<Item = (u16, u16)>) -> Self {
        let mut set = Self::default();
        *set.part_mut(protocol) = ranges.into_iter().collect();
        set
    }

    /// Single ports of one protocol.
    pub fn from_ports(protocol: Protocol, ports: impl IntoIterator<Item = u16>) -> Self {
        Self::from_ranges(protocol, ports.into_iter().map(|port| (port, port)))
    }

    fn part(&self, protocol: Protocol) -> &IntervalSet<u16> {
        match protocol {
            Protocol::Tcp => &self.tcp,
            Protocol::Udp => &self.udp,
            Protocol::Sctp => &self.sctp,
        }
    }

    fn part_mut(&mut self, protocol: Protocol) -> &mut IntervalSet<u16> {
        match protocol {
            Protocol::Tcp => &mut self.tcp,
            Protocol::Udp => &mut self.udp,
            Protocol::Sctp => &mut self.sctp,
        }
    }

    fn each(&self, other: &Self, operation: impl Fn(&IntervalSet<u16>, &IntervalSet<u16>) -> IntervalSet<u16>) -> Self {
        Self {
            tcp: operation(&self.tcp, &other.tcp),
            udp: operation(&self.udp, &other.udp),
            sctp: operation(&self.sctp, &other.sctp),
        }
    }

    /// True when it holds no port.
    pub fn is_empty(&self) -> bool {
        Protocol::ALL.iter().all(|protocol| self.part(*protocol).is_empty())
    }

    /// How many ports it holds over all protocols.
    pub fn count(&self) -> u32 {
        let sum: u128 = Protocol::ALL.iter().map(|protocol| self.part(*protocol).count()).sum();
        u32::try_from(sum).unwrap_or(u32::MAX)
    }

    /// True when the port belongs to it.
    pub fn contains(&self, protocol: Protocol, port: u16) -> bool {
        self.part(protocol).contains(port)
    }

    /// The ports of either.
    pub fn union(&self, other: &Self) -> Self {
        self.each(other, IntervalSet::union)
    }

    /// The ports of both.
    pub fn intersection(&self, other: &Self) -> Self {
        self.each(other, IntervalSet::intersection)
    }

    /// The ports of `self` that are not in `other`.
    pub fn minus(&self, other: &Self) -> Self {
        self.each(other, IntervalSet::minus)
    }

    /// The ports of one protocol alone.
    pub fn only(&self, protocol: Protocol) -> Self {
        let mut set = Self::default();
        *set.part_mut(protocol) = self.part(protocol).clone();
        set
    }

    /// The merged closed ranges of one protocol, in order.
    pub fn ranges(&self, protocol: Protocol) -> &[(u16, u16)] {
        self.part(protocol).intervals()
    }

    /// Every port of one protocol in order.
    pub fn ports(&self, protocol: Protocol) -> impl Iterator<Item = u16> + '_ {
        self.part(protocol).iter()
    }
}

impl FromStr for PortSet {
    type Err = PortError;

    /// A prefix `T:`, `U:` or `S:` holds until the next one, as with nmap; without one, ports are TCP.
    fn from_str(text: &str) -> Result<Self, PortError> {
        if text.trim().is_empty() {
            return Err(PortError::Empty);
        }
        let items = text.split(',').count();
        if items > MAX_ITEMS {
            return Err(PortError::TooMany(items));
        }
        let mut protocol = Protocol::Tcp;
        let mut set = Self::default();
        for (index, item) in text.split(',').map(str::trim).enumerate() {
            let range = match item.split_once(':') {
                Some((prefix, rest)) => {
                    protocol = parse_prefix(prefix).ok_or_else(|| PortError::Unreadable(item.to_owned()))?;
                    rest.trim()
                }
                None => item,
            };
            if range.is_empty() {
                return Err(PortError::EmptyItem(index + 1));
            }
            set = set.union(&Self::from_ranges(protocol, [parse_range(range)?]));
        }
        Ok(set)
    }
}

fn parse_prefix(text: &str) -> Option<Protocol> {
    Protocol::ALL.into_iter().find(|protocol| text.trim().eq_ignore_ascii_case(&protocol.prefix().to_string()))
}

fn parse_range(item: &str) -> Result<(u16, u16), PortError> {
    let (first, last) = match item.split_once('-') {
        Some((first, last)) => (parse_port(item, first.trim())?, parse_port(item, last.trim())?),
        None => {
            let port = parse_port(item, item)?;
            (port, port)
        }
    };
    if last < first { Err(PortError::Backwards(item.to_owned())) } else { Ok((first, last)) }
}

fn parse_port(item: &str, text: &str) -> Result<u16, PortError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PortError::Unreadable(item.to_owned()));
    }
    text.parse().ok().filter(|port| *port > 0).ok_or_else(|| PortError::OutOfRange(item.to_owned()))
}

impl fmt::Display for PortSet {
    /// TCP alone needs no prefix: `22,80`; with others `T:22,80,U:53`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = self.udp.is_empty() && self.sctp.is_empty();
        let mut comma = "";
        for protocol in Protocol::ALL {
            let mut prefix = if plain { String::new() } else { format!("{}:", protocol.prefix()) };
            for (first, last) in self.ranges(protocol) {
                write!(f, "{comma}{prefix}{first}")?;
                if last != first {
                    write!(f, "-{last}")?;
                }
                prefix.clear();
                comma = ",";
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for PortSet {
    type Error = PortError;

    /// As [`FromStr`], but the empty text is the empty set, so that what was written can be read.
    fn try_from(text: String) -> Result<Self, PortError> {
        if text.is_empty() { Ok(Self::empty()) } else { text.parse() }
    }
}

impl From<PortSet> for String {
    fn from(set: PortSet) -> Self {
        set.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_documented_form_is_read_merged_and_counted() {
        for (text, count, shown) in [
            ("22,80,443", 3, "22,80,443"),
            ("1-1000", 1000, "1-1000"),
            ("1-65535", 65535, "1-65535"),
            ("443, 22,23-25,24-30", 10, "22-30,443"),
            ("T:22,80,U:53,161", 4, "T:22,80,U:53,161"),
            ("U:53", 1, "U:53"),
            ("u:53,t:80", 2, "T:80,U:53"),
            ("80,80", 1, "80"),
        ] {
            let set: PortSet = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((set.count(), set.to_string().as_str()), (count, shown), "{text}");
        }
    }

    #[test]
    fn each_bad_form_is_named_with_its_remedy() {
        let errors: Vec<String> = ["", "22,", "ssh", "0", "65536", "9-3", "-", "1-", "X:5", "T:", "+5", "1-2-3"]
            .iter()
            .map(|text| text.parse::<PortSet>().expect_err(text).to_string())
            .collect();
        insta::assert_snapshot!(errors.join("\n"), @r#"
        no ports given; write numbers and ranges such as 22,80,1000-2000 or T:22,U:53
        port 2 of the list is empty; remove the extra comma
        port "ssh" is not a number or a range; write for instance 443, 1-1000 or U:53
        port "0" is out of range; ports run from 1 to 65535
        port "65536" is out of range; ports run from 1 to 65535
        port range "9-3" ends before it starts; swap its ends
        port "-" is not a number or a range; write for instance 443, 1-1000 or U:53
        port "1-" is not a number or a range; write for instance 443, 1-1000 or U:53
        port "X:5" is not a number or a range; write for instance 443, 1-1000 or U:53
        port 1 of the list is empty; remove the extra comma
        port "+5" is not a number or a range; write for instance 443, 1-1000 or U:53
        port "1-2-3" is not a number or a range; write for instance 443, 1-1000 or U:53
        "#);
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(tcp in proptest::collection::vec((1u16.., 1u16..), 0..6), udp in proptest::collection::vec((1u16.., 1u16..), 0..6)) {
            let set = PortSet::from_ranges(Protocol::Tcp, tcp).union(&PortSet::from_ranges(Protocol::Udp, udp));
            prop_assert_eq!(PortSet::try_from(set.to_string()).unwrap(), set.clone());
            let bytes = crate::codec::encode(&set);
            prop_assert_eq!(crate::codec::decode::<PortSet>(&bytes, 1 << 20).unwrap(), set);
        }

        #[test]
        fn any_text_is_read_or_refused_without_panic(text in "[0-9TUS:, -]{0,40}") {
            let _ = text.parse::<PortSet>();
        }
    }
}
