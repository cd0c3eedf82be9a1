//! How often something may happen in a minute, counted by who causes it.

use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// How many causes are counted at a time; beyond them nobody new passes.
const MAX_COUNTED: usize = 10_000;

/// Lets each cause through so many times a minute.
#[derive(Debug)]
pub struct Turnstile<K> {
    a_minute: u32,
    counted: BTreeMap<K, (Timestamp, u32)>,
}

impl<K: Ord> Turnstile<K> {
    /// So many times a minute for each cause.
    pub fn new(a_minute: u32) -> Self {
        Self { a_minute, counted: BTreeMap::new() }
    }

    /// Counts one more by `cause`; false when it caused too many within a minute.
    pub fn admit(&mut self, cause: K, now: Timestamp) -> bool {
        self.counted.retain(|_, (since, _)| now.since(*since) < MINUTE);
        if self.counted.len() >= MAX_COUNTED && !self.counted.contains_key(&cause) {
            return false;
        }
        let (_, count) = self.counted.entry(cause).or_insert((now, 0));
        *count = count.saturating_add(1);
        *count <= self.a_minute
    }

    /// The clock was set back: nobody is counted for longer than usual.
    pub fn clock_was_set(&mut self, now: Timestamp) {
        self.counted.values_mut().for_each(|(since, _)| *since = (*since).min(now));
    }
}

/// What counts as one place: an IPv4 address, or an IPv6 network of 64 bits, which one host may have all to itself.
pub fn place(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_passes_so_many_times_a_minute_and_holds_up_no_other() {
        let mut turnstile = Turnstile::new(2);
        let at = |seconds: u64| Timestamp::from_millis(seconds * 1_000);
        let steps = [("a", 100), ("a", 101), ("a", 102), ("b", 102), ("a", 159), ("a", 160), ("b", 161)];
        let passed = steps.map(|(cause, seconds)| turnstile.admit(cause, at(seconds)));
        assert_eq!(passed, [true, true, false, true, false, true, true]);
        turnstile.admit("a", at(161));
        turnstile.clock_was_set(at(10));
        assert_eq!([at(69), at(70)].map(|now| turnstile.admit("a", now)), [false, true]);
    }

    #[test]
    fn what_is_counted_is_bounded() {
        let (mut turnstile, now) = (Turnstile::new(1), Timestamp::from_millis(1));
        let passed = (0..MAX_COUNTED + 5).filter(|cause| turnstile.admit(*cause, now)).count();
        assert_eq!((passed, turnstile.counted.len()), (MAX_COUNTED, MAX_COUNTED));
        assert!(turnstile.admit(0, now.plus(MINUTE)));
    }

    #[test]
    fn a_network_of_64_bits_is_one_place() {
        let place = |text: &str| place(text.parse().unwrap());
        assert_eq!(place("2001:db8::1"), place("2001:db8::ffff:1"));
        assert_ne!(place("2001:db8::1"), place("2001:db8:0:1::1"));
        assert_ne!(place("192.0.2.1"), place("192.0.2.2"));
    }
}
