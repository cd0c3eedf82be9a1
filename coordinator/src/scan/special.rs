//! Ranges that nobody scans by accident: a definition that holds one must say that it is meant.
//!
//! Listed is where a scan is never meant, or hurts: what stands for many hosts at once (multicast, broadcast), for none
//! (unspecified, reserved), for another one on each link (link-local), or for an address of the other family. Private,
//! shared, documentation and loopback ranges are fine: the first are what Portdrift is for, and loopback is scanned only
//! when a person names it and a node was approved for it, which is how the demo works.

use protocol::TargetSet;

/// A range with its name and where that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpecialRange {
    /// As CIDR.
    pub range: &'static str,
    /// What it is for.
    pub name: &'static str,
    /// The RFC that says so.
    pub source: &'static str,
}

const fn row(range: &'static str, name: &'static str, source: &'static str) -> SpecialRange {
    SpecialRange { range, name, source }
}

/// Sources: IANA's IPv4 and IPv6 Special-Purpose Address Registries; for multicast its IPv4 and IPv6 Address Space registries.
pub const SPECIAL_RANGES: [SpecialRange; 9] = [
    row("0.0.0.0/8", "this network", "RFC 791"),
    row("169.254.0.0/16", "link-local", "RFC 3927"),
    row("224.0.0.0/4", "multicast", "RFC 5771"),
    row("255.255.255.255/32", "limited broadcast", "RFC 919"),
    row("240.0.0.0/4", "reserved", "RFC 1112"),
    row("::/128", "the unspecified address", "RFC 4291"),
    row("::ffff:0:0/96", "IPv4 written as IPv6", "RFC 4291"),
    row("fe80::/10", "link-local", "RFC 4291"),
    row("ff00::/8", "multicast", "RFC 4291"),
];

/// The first special range that `targets` touch.
pub(super) fn first_in(targets: &TargetSet) -> Option<SpecialRange> {
    let touches =
        |special: &SpecialRange| special.range.parse().is_ok_and(|range| !targets.intersection(&range).is_empty());
    SPECIAL_RANGES.into_iter().find(touches)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(targets: &str) -> Option<&'static str> {
        first_in(&targets.parse().unwrap()).map(|special| special.name)
    }

    #[test]
    fn every_range_is_one_and_finds_itself() {
        for special in SPECIAL_RANGES {
            let range: TargetSet = special.range.parse().unwrap();
            assert_eq!(range.ranges().count(), 1);
            assert_eq!(first_in(&range.first().unwrap().into()), Some(special));
        }
    }

    #[test]
    fn what_people_scan_is_not_special_and_a_touch_is_enough() {
        for plain in [
            "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16",
            "127.0.0.0/8,::1",
            "192.0.2.0/24,2001:db8::/32",
            "100.64.0.0/10",
            "fd00::/8",
            "1.0.0.0-169.253.255.255",
            "223.255.255.255",
        ] {
            assert_eq!(name(plain), None, "{plain}");
        }
        for (text, wanted) in [
            ("10.0.0.1,224.0.0.251", "multicast"),
            ("255.255.255.255", "limited broadcast"),
            ("240.0.0.1", "reserved"),
            ("0.0.0.0/0", "this network"),
            ("::ffff:10.0.0.1", "IPv4 written as IPv6"),
            ("fe80::1", "link-local"),
        ] {
            assert_eq!(name(text), Some(wanted), "{text}");
        }
    }
}
