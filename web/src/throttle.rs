//! Slows down guessing: from the fifth wrong password in a row on, the next try has to wait, each time longer.
//!
//! Wrong passwords are counted per account, whoever types them, and per address, whatever account they are for. Those
//! from a browser in which the person has signed in before are counted for that browser alone, and so are those of an
//! open session: a stranger who guesses elsewhere, even for ever, never makes the person wait there. Wrong setup codes are
//! counted by address alone, for the same reason.

use protocol::Timestamp;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Wrong passwords that cost nothing.
const FREE: u32 = 4;
/// After so many in a row, there is no further try for a day.
const MOST: u32 = 100;
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
const REST: Duration = Duration::from_secs(24 * 3600);
/// An address is used by many: what it did wrong is forgotten after so long without another one.
const ADDRESS_MEMORY: Duration = Duration::from_secs(3600);
/// How many counts are kept; beyond it, those that may try again soonest are forgotten.
const COUNTS: usize = 10_000;
/// Bits of an IPv6 address that one customer has.
const IPV6_NETWORK: u32 = 64;

/// What wrong passwords are counted for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Counted {
    /// An account, or a name that is none.
    Account(String),
    /// An address of IPv4, or a network of IPv6.
    Address(IpAddr),
    /// A browser in which this account was signed in to before.
    Browser(Vec<u8>, String),
    /// An open session of this account.
    Session(String),
    /// The code for the first administrator, from this address or network; loopback counts too, as nobody else may.
    SetupCode(IpAddr),
}

impl Counted {
    fn is_stale(&self, failures: &Failures, now: Timestamp) -> bool {
        let memory = match self {
            Self::Address(_) => ADDRESS_MEMORY,
            Self::Account(_) | Self::Browser(..) | Self::Session(_) | Self::SetupCode(_) => REST,
        };
        now.since(failures.last) >= memory.max(wait_after(failures.count))
    }
}

/// One try: what it counts for.
#[derive(Clone, Debug)]
pub(crate) struct Attempt(Vec<Counted>);

impl Attempt {
    /// To sign in to `account`, or to what was typed when there is none.
    pub(crate) fn of(account: &str, address: Option<IpAddr>, browser: Option<Vec<u8>>) -> Self {
        let account = account.to_owned();
        let counted = match browser {
            Some(browser) => vec![Counted::Browser(browser, account)],
            // Behind a proxy everybody comes from loopback.
            None => std::iter::once(Counted::Account(account))
                .chain(
                    address.filter(|address| !address.is_loopback()).map(|address| Counted::Address(network(address))),
                )
                .collect(),
        };
        Self(counted)
    }

    /// To make the first administrator.
    pub(crate) fn of_setup(address: Option<IpAddr>) -> Self {
        Self(vec![Counted::SetupCode(network(address.unwrap_or(Ipv6Addr::UNSPECIFIED.into())))])
    }

    /// To confirm who is in a session.
    pub(crate) fn of_session(account: &str) -> Self {
        Self(vec![Counted::Session(account.to_owned())])
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << (128 - IPV6_NETWORK))).into(),
    }
}

/// Wrong passwords in a row.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<BTreeMap<Counted, Failures>>);

#[derive(Clone, Copy, Debug, Default)]
struct Failures {
    count: u32,
    last: Timestamp,
    until: Timestamp,
}

impl Throttle {
    /// How long this try must still wait; `None` when it may be made now.
    pub(crate) fn wait(&self, attempt: &Attempt, now: Timestamp) -> Option<Duration> {
        let longest = self.with(|counts| {
            let waits =
                attempt.0.iter().filter_map(|counted| counts.get(counted)).map(|failures| failures.until.since(now));
            waits.max()
        });
        longest.filter(|wait| !wait.is_zero())
    }

    /// Notes a wrong password.
    pub(crate) fn failed(&self, attempt: &Attempt, now: Timestamp) {
        self.with(|counts| {
            for counted in &attempt.0 {
                make_room(counts);
                let failures = counts.entry(counted.clone()).or_default();
                if counted.is_stale(failures, now) {
                    *failures = Failures::default();
                }
                failures.count = failures.count.saturating_add(1);
                failures.last = now;
                failures.until = now.plus(wait_after(failures.count));
            }
        });
    }

    /// Notes a right password. The address stays as it is: its user may know one password and guess others.
    pub(crate) fn succeeded(&self, attempt: &Attempt) {
        self.with(|counts| {
            for counted in attempt.0.iter().filter(|counted| !matches!(counted, Counted::Address(_))) {
                counts.remove(counted);
            }
        });
    }

    /// Forgets every wrong password of an account: an administrator says so, or it has a new one.
    pub(crate) fn unlock(&self, account: &str) {
        self.with(|counts| {
            counts.retain(|counted, _| match counted {
                Counted::Account(name) | Counted::Browser(_, name) | Counted::Session(name) => name != account,
                Counted::Address(_) | Counted::SetupCode(_) => true,
            });
        });
    }

    /// How long the account itself must wait, for whoever is not known there.
    pub(crate) fn locked(&self, account: &str, now: Timestamp) -> Option<Duration> {
        self.wait(&Attempt::of(account, None, None), now)
    }

    fn with<T>(&self, f: impl FnOnce(&mut BTreeMap<Counted, Failures>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn wait_after(failures: u32) -> Duration {
    match failures {
        0..=FREE => Duration::ZERO,
        MOST.. => REST,
        more => Duration::from_secs(2u64.saturating_pow(more - FREE)).min(LONGEST_WAIT),
    }
}

fn make_room(counts: &mut BTreeMap<Counted, Failures>) {
    while counts.len() >= COUNTS {
        let soonest = counts.iter().min_by_key(|(_, failures)| failures.until).map(|(counted, _)| counted.clone());
        match soonest {
            Some(counted) => counts.remove(&counted),
            None => return,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);

    fn stranger(account: &str) -> Attempt {
        Attempt::of(account, Some([198, 18, 0, 1].into()), None)
    }

    fn fail(throttle: &Throttle, attempt: &Attempt, times: u32) {
        (0..times).for_each(|_| throttle.failed(attempt, NOW));
    }

    #[test]
    fn the_fifth_wrong_password_makes_the_next_wait_longer_and_longer() {
        let (throttle, ada) = (Throttle::default(), Attempt::of("ada", None, None));
        let waits: Vec<u64> = (0..15)
            .map(|_| {
                throttle.failed(&ada, NOW);
                throttle.wait(&ada, NOW).map_or(0, |wait| wait.as_secs())
            })
            .collect();
        assert_eq!(waits, [0, 0, 0, 0, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
        assert_eq!(throttle.wait(&Attempt::of("bob", None, None), NOW), None);
        assert_eq!(throttle.wait(&ada, NOW.plus(LONGEST_WAIT)), None);
        throttle.succeeded(&ada);
        assert_eq!(throttle.wait(&ada, NOW), None);
    }

    #[test]
    fn a_stranger_who_guesses_for_ever_does_not_lock_out_a_known_browser_or_an_open_session() {
        let throttle = Throttle::default();
        fail(&throttle, &stranger("ada"), MOST);
        assert_eq!(throttle.wait(&stranger("ada"), NOW), Some(REST));
        assert_eq!(throttle.locked("ada", NOW), Some(REST));
        let at_home = Attempt::of("ada", Some([198, 18, 0, 1].into()), Some(vec![1]));
        assert_eq!(throttle.wait(&at_home, NOW), None);
        assert_eq!(throttle.wait(&Attempt::of_session("ada"), NOW), None);
        fail(&throttle, &at_home, FREE + 1);
        assert_eq!(throttle.wait(&at_home, NOW), Some(Duration::from_secs(2)), "it has a count of its own");
        throttle.unlock("ada");
        assert_eq!((throttle.wait(&at_home, NOW), throttle.locked("ada", NOW)), (None, None));
    }

    #[test]
    fn an_address_waits_whatever_account_it_tries_and_right_passwords_do_not_wash_it() {
        let throttle = Throttle::default();
        for account in ["ada", "bob", "cleo", "dan", "eve"] {
            throttle.failed(&stranger(account), NOW);
        }
        assert_eq!(throttle.wait(&stranger("fay"), NOW), Some(Duration::from_secs(2)));
        throttle.succeeded(&stranger("own"));
        assert!(throttle.wait(&stranger("fay"), NOW).is_some());
        let neighbour =
            |last: u16| Attempt::of("ada", Some(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).into()), None);
        fail(&throttle, &neighbour(1), FREE);
        throttle.unlock("ada");
        throttle.failed(&neighbour(2), NOW);
        assert!(throttle.wait(&neighbour(3), NOW).is_some(), "one network of IPv6 is one address");
        let later = NOW.plus(ADDRESS_MEMORY);
        throttle.failed(&stranger("gil"), later);
        assert_eq!(throttle.wait(&stranger("hal"), later), None, "an hour later the address begins anew");
        let proxied = Attempt::of("ida", Some([127, 0, 0, 1].into()), None);
        fail(&throttle, &proxied, FREE + 1);
        assert_eq!(throttle.wait(&Attempt::of("jon", Some([127, 0, 0, 1].into()), None), NOW), None);
    }

    #[test]
    fn setup_codes_are_counted_for_each_address_and_a_stranger_elsewhere_makes_nobody_wait() {
        let throttle = Throttle::default();
        let of = |last: u8| Attempt::of_setup(Some([127, 0, 0, last].into()));
        fail(&throttle, &of(1), FREE);
        assert_eq!(throttle.wait(&of(1), NOW), None);
        fail(&throttle, &of(1), MOST - FREE);
        assert_eq!((throttle.wait(&of(1), NOW), throttle.wait(&of(2), NOW)), (Some(REST), None));
        fail(&throttle, &Attempt::of_setup(None), FREE + 1);
        assert_eq!(throttle.wait(&Attempt::of_setup(None), NOW), Some(Duration::from_secs(2)));
        throttle.unlock("ada");
        assert_eq!(throttle.wait(&of(1), NOW), Some(REST));
    }

    #[test]
    fn a_hundred_in_a_row_rest_for_a_day_and_memory_stays_bounded() {
        let (throttle, ada) = (Throttle::default(), Attempt::of("ada", None, None));
        fail(&throttle, &ada, MOST);
        (0..COUNTS + 5).for_each(|number| throttle.failed(&Attempt::of(&format!("name-{number}"), None, None), NOW));
        assert_eq!(throttle.wait(&ada, NOW), Some(REST));
        assert_eq!(throttle.with(|counts| counts.len()), COUNTS);
        let tomorrow = NOW.plus(REST);
        throttle.failed(&ada, tomorrow);
        assert_eq!(throttle.wait(&ada, tomorrow), None, "a day later the count begins anew");
    }
}
