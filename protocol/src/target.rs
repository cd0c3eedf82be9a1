//! Which addresses: parsed once into sorted, merged ranges, counted and cut without ever being listed.

use crate::codec::{Decode, Encode};
use crate::interval::IntervalSet;
use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The most items that one target text may hold (SPEC section 2).
pub const MAX_ITEMS: usize = 1_000;

/// A set of IPv4 and IPv6 addresses, held as ranges: a /8 costs no more than a /24.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TargetSet {
    v4: IntervalSet<u32>,
    v6: IntervalSet<u128>,
}

/// One closed run of addresses of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

/// Why a target text was not taken; the message names the item and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Nothing was written.
    #[error("no targets given; write an address, a CIDR such as 192.168.1.0/24, or a range such as 192.168.1.1-50")]
    Empty,
    /// An empty place between two commas.
    #[error("target {0} of the list is empty; remove the extra comma")]
    EmptyItem(usize),
    /// More than [`MAX_ITEMS`].
    #[error(
        "{0} targets are more than the {MAX_ITEMS} allowed in one scan; join neighbours into a CIDR or split the scan"
    )]
    TooMany(usize),
    /// Neither address, CIDR nor range.
    #[error("target {0:?} is not an address, a CIDR or a range; host names are not taken, write the address")]
    Unreadable(String),
    /// The part behind the slash.
    #[error("target {0:?} has no valid prefix length; write /0 to /32 for IPv4 or /0 to /128 for IPv6")]
    BadPrefix(String),
    /// Ends before it starts.
    #[error("range {0:?} ends before it starts; swap its ends")]
    Backwards(String),
    /// One end IPv4, the other IPv6.
    #[error("range {0:?} mixes IPv4 and IPv6; write two ranges")]
    MixedFamilies(String),
}

impl AddressRange {
    /// The lowest address.
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// The highest address, which belongs to the range.
    pub fn last(&self) -> IpAddr {
        self.last
    }

    /// The range as one CIDR, when it is exactly one.
    pub fn as_network(&self) -> Option<IpNetwork> {
        let (bits, free) = match (self.first, self.last) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (32u32, (a.to_bits() ^ b.to_bits()).count_ones()),
            (IpAddr::V6(a), IpAddr::V6(b)) => (128u32, (a.to_bits() ^ b.to_bits()).count_ones()),
            _ => return None,
        };
        let network = IpNetwork::new(self.first, u8::try_from(bits - free).ok()?).ok()?;
        (network.network() == self.first && network.broadcast() == self.last).then_some(network)
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            return write!(f, "{}", self.first);
        }
        match self.as_network() {
            Some(network) => write!(f, "{network}"),
            None => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

impl TargetSet {
    /// No address at all.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The set that holds the given closed ranges; a pair of mixed families or a backward one counts as nothing.
    pub fn from_ranges(ranges: impl IntoIterator<Item = (IpAddr, IpAddr)>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for range in ranges {
            match range {
                (IpAddr::V4(a), IpAddr::V4(b)) => v4.push((a.to_bits(), b.to_bits())),
                (IpAddr::V6(a), IpAddr::V6(b)) => v6.push((a.to_bits(), b.to_bits())),
                _ => {}
            }
        }
        Self { v4: v4.into_iter().collect(), v6: v6.into_iter().collect() }
    }

    /// True when it holds no address.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// How many addresses it holds; saturates at `u128::MAX`.
    pub fn count(&self) -> u128 {
        self.v4.count().saturating_add(self.v6.count())
    }

    /// True when `address` belongs to it.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(a) => self.v4.contains(a.to_bits()),
            IpAddr::V6(a) => self.v6.contains(a.to_bits()),
        }
    }

    /// True when every address of `other` belongs to it.
    pub fn covers(&self, other: &Self) -> bool {
        other.minus(self).is_empty()
    }

    /// The addresses of either.
    pub fn union(&self, other: &Self) -> Self {
        Self { v4: self.v4.union(&other.v4), v6: self.v6.union(&other.v6) }
    }

    /// The addresses of both.
    pub fn intersection(&self, other: &Self) -> Self {
        Self { v4: self.v4.intersection(&other.v4), v6: self.v6.intersection(&other.v6) }
    }

    /// The addresses of `self` that are not in `other`.
    pub fn minus(&self, other: &Self) -> Self {
        Self { v4: self.v4.minus(&other.v4), v6: self.v6.minus(&other.v6) }
    }

    /// The first `count` addresses in order (IPv4 before IPv6), and the rest.
    pub fn split_at(&self, count: u128) -> (Self, Self) {
        let (v4, v4_rest) = self.v4.split_at(count);
        let (v6, v6_rest) = self.v6.split_at(count.saturating_sub(v4.count()));
        (Self { v4, v6 }, Self { v4: v4_rest, v6: v6_rest })
    }

    /// The IPv4 part and the IPv6 part.
    pub fn by_family(&self) -> (Self, Self) {
        (
            Self { v4: self.v4.clone(), v6: IntervalSet::default() },
            Self { v4: IntervalSet::default(), v6: self.v6.clone() },
        )
    }

    /// The lowest address.
    pub fn first(&self) -> Option<IpAddr> {
        self.ranges().next().map(|range| range.first)
    }

    /// The merged ranges in order, IPv4 before IPv6.
    pub fn ranges(&self) -> impl Iterator<Item = AddressRange> + '_ {
        let v4 = self.v4.intervals().iter().map(|&(a, b)| AddressRange {
            first: IpAddr::V4(Ipv4Addr::from_bits(a)),
            last: IpAddr::V4(Ipv4Addr::from_bits(b)),
        });
        let v6 = self.v6.intervals().iter().map(|&(a, b)| AddressRange {
            first: IpAddr::V6(Ipv6Addr::from_bits(a)),
            last: IpAddr::V6(Ipv6Addr::from_bits(b)),
        });
        v4.chain(v6)
    }

    /// Every address in order, made one at a time.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let v4 = self.v4.iter().map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits)));
        let v6 = self.v6.iter().map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)));
        v4.chain(v6)
    }
}

impl From<IpAddr> for TargetSet {
    fn from(address: IpAddr) -> Self {
        Self::from_ranges([(address, address)])
    }
}

impl FromIterator<IpAddr> for TargetSet {
    fn from_iter<I: IntoIterator<Item = IpAddr>>(addresses: I) -> Self {
        Self::from_ranges(addresses.into_iter().map(|address| (address, address)))
    }
}

impl FromStr for TargetSet {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        if text.trim().is_empty() {
            return Err(TargetError::Empty);
        }
        let items = text.split(',').count();
        if items > MAX_ITEMS {
            return Err(TargetError::TooMany(items));
        }
        let ranges: Result<Vec<_>, _> = text
            .split(',')
            .map(str::trim)
            .enumerate()
            .map(
                |(index, item)| if item.is_empty() { Err(TargetError::EmptyItem(index + 1)) } else { parse_item(item) },
            )
            .collect();
        Ok(Self::from_ranges(ranges?))
    }
}

fn parse_item(item: &str) -> Result<(IpAddr, IpAddr), TargetError> {
    if let Some((address, prefix)) = item.split_once('/') {
        return parse_network(item, address, prefix);
    }
    if let Ok(address) = item.parse::<IpAddr>() {
        return Ok((address, address));
    }
    let unreadable = || TargetError::Unreadable(item.to_owned());
    let (first, last) = item.split_once('-').ok_or_else(unreadable)?;
    let first: IpAddr = first.trim().parse().map_err(|_| unreadable())?;
    let last = parse_range_end(first, last.trim()).ok_or_else(unreadable)?;
    if first.is_ipv4() != last.is_ipv4() {
        return Err(TargetError::MixedFamilies(item.to_owned()));
    }
    if last < first {
        return Err(TargetError::Backwards(item.to_owned()));
    }
    Ok((first, last))
}

/// A full address, or for IPv4 only its last number.
fn parse_range_end(first: IpAddr, text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let IpAddr::V4(first) = first else { return None };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let last: u8 = text.parse().ok().filter(|_| digits)?;
    let [a, b, c, _] = first.octets();
    Some(IpAddr::V4(Ipv4Addr::new(a, b, c, last)))
}

/// As with nmap, host bits may be set: `192.168.1.7/24` is the whole /24.
fn parse_network(item: &str, address: &str, prefix: &str) -> Result<(IpAddr, IpAddr), TargetError> {
    let address: IpAddr = address.trim().parse().map_err(|_| TargetError::Unreadable(item.to_owned()))?;
    let bad_prefix = || TargetError::BadPrefix(item.to_owned());
    if prefix.is_empty() || !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad_prefix());
    }
    let network = IpNetwork::new(address, prefix.parse().map_err(|_| bad_prefix())?).map_err(|_| bad_prefix())?;
    Ok((network.network(), network.broadcast()))
}

impl fmt::Display for TargetSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.ranges().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{range}")?;
        }
        Ok(())
    }
}

impl TryFrom<String> for TargetSet {
    type Error = TargetError;

    /// As [`FromStr`], but the empty text is the empty set, so that what was written can be read.
    fn try_from(text: String) -> Result<Self, TargetError> {
        if text.is_empty() { Ok(Self::empty()) } else { text.parse() }
    }
}

impl From<TargetSet> for String {
    fn from(set: TargetSet) -> Self {
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
            ("192.168.1.1", 1, "192.168.1.1"),
            ("192.168.1.0/24", 256, "192.168.1.0/24"),
            ("192.168.1.77/24", 256, "192.168.1.0/24"),
            ("192.168.1.1-192.168.1.50", 50, "192.168.1.1-192.168.1.50"),
            ("192.168.1.1-50", 50, "192.168.1.1-192.168.1.50"),
            ("10.0.0.0/25, 10.0.0.128/25,10.0.0.7", 256, "10.0.0.0/24"),
            ("10.0.0.3,10.0.0.1,10.0.0.2", 3, "10.0.0.1-10.0.0.3"),
            ("10.0.0.0/8", 1 << 24, "10.0.0.0/8"),
            ("0.0.0.0/0", 1 << 32, "0.0.0.0/0"),
            ("2001:db8::/64", 1 << 64, "2001:db8::/64"),
            ("::1,127.0.0.1", 2, "127.0.0.1,::1"),
            ("2001:db8::1-2001:db8::f", 15, "2001:db8::1-2001:db8::f"),
        ] {
            let set: TargetSet = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((set.count(), set.to_string().as_str()), (count, shown), "{text}");
        }
    }

    #[test]
    fn each_bad_form_is_named_with_its_remedy() {
        let errors: Vec<String> = [
            "",
            "10.0.0.1,",
            "example.org",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.9-3",
            "10.0.0.9-::1",
            "10.0.0.1-05",
            "010.0.0.1",
            "10.0.0-5.1",
            "10.0.0.1/255.0.0.0",
            "10.0.0.1-256",
            "::1-5",
        ]
        .iter()
        .map(|text| text.parse::<TargetSet>().expect_err(text).to_string())
        .collect();
        insta::assert_snapshot!(errors.join("\n"), @r#"
        no targets given; write an address, a CIDR such as 192.168.1.0/24, or a range such as 192.168.1.1-50
        target 2 of the list is empty; remove the extra comma
        target "example.org" is not an address, a CIDR or a range; host names are not taken, write the address
        target "10.0.0.0/33" has no valid prefix length; write /0 to /32 for IPv4 or /0 to /128 for IPv6
        target "10.0.0.0/" has no valid prefix length; write /0 to /32 for IPv4 or /0 to /128 for IPv6
        target "10.0.0.0/+8" has no valid prefix length; write /0 to /32 for IPv4 or /0 to /128 for IPv6
        range "10.0.0.9-3" ends before it starts; swap its ends
        range "10.0.0.9-::1" mixes IPv4 and IPv6; write two ranges
        target "10.0.0.1-05" is not an address, a CIDR or a range; host names are not taken, write the address
        target "010.0.0.1" is not an address, a CIDR or a range; host names are not taken, write the address
        target "10.0.0-5.1" is not an address, a CIDR or a range; host names are not taken, write the address
        target "10.0.0.1/255.0.0.0" has no valid prefix length; write /0 to /32 for IPv4 or /0 to /128 for IPv6
        target "10.0.0.1-256" is not an address, a CIDR or a range; host names are not taken, write the address
        target "::1-5" is not an address, a CIDR or a range; host names are not taken, write the address
        "#);
        let many = vec!["10.0.0.1"; MAX_ITEMS + 1].join(",");
        assert_eq!(many.parse::<TargetSet>(), Err(TargetError::TooMany(MAX_ITEMS + 1)));
    }

    fn sets() -> impl Strategy<Value = TargetSet> {
        let v4 = (any::<u32>(), any::<u16>()).prop_map(|(start, more)| {
            let last = start.saturating_add(u32::from(more));
            (IpAddr::V4(start.into()), IpAddr::V4(last.into()))
        });
        let v6 = (any::<u128>(), any::<u128>())
            .prop_map(|(a, b)| (IpAddr::V6(a.min(b).into()), IpAddr::V6(a.max(b).into())));
        proptest::collection::vec(prop_oneof![v4, v6], 0..8).prop_map(TargetSet::from_ranges)
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(set in sets()) {
            prop_assert_eq!(TargetSet::try_from(set.to_string()).unwrap(), set.clone());
            let bytes = crate::codec::encode(&set);
            prop_assert_eq!(crate::codec::decode::<TargetSet>(&bytes, 1 << 16).unwrap(), set);
        }

        #[test]
        fn any_text_is_read_or_refused_without_panic(text in "[0-9a-f.:/, -]{0,40}") {
            let _ = text.parse::<TargetSet>();
        }

        #[test]
        fn cutting_loses_no_address(set in sets(), at in any::<u128>()) {
            let (head, tail) = set.split_at(at);
            prop_assert_eq!(head.union(&tail), set);
            prop_assert!(head.intersection(&tail).is_empty());
        }
    }
}
