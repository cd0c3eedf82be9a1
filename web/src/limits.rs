//! How fast one caller may ask: each has a store of requests that fills up again steadily, and waits when it is empty.

use crate::App;
use crate::error::WebError;
use crate::origin::Origin;
use crate::session::Caller;
use crate::session::bearer::ByToken;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use coordinator::tokens::TokenKey;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tower_sessions::Session;

/// Who is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// All who show this token.
    Token(TokenKey),
    /// One signed-in browser.
    Session(i128),
    /// All from an address who are not known; of IPv6 a /64, since one host has a whole one.
    Address(IpAddr),
}

impl Who {
    /// Who sent a request, as far as it was found out.
    fn sent(request: &Request) -> Self {
        let found = request.extensions();
        if let Some(by_token) = found.get::<ByToken>() {
            return Self::Token(by_token.key);
        }
        let session = found.get::<Caller>().and_then(|_| found.get::<Session>()?.id());
        let address = found.get::<Origin>().and_then(|origin| origin.address);
        session.map_or_else(|| Self::stranger(address), |id| Self::Session(id.0))
    }

    /// Somebody unknown from here; without an address all are one.
    pub(crate) fn stranger(address: Option<IpAddr>) -> Self {
        Self::Address(match address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)).to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
            v4 => v4,
        })
    }

    fn allowance(self) -> Allowance {
        match self {
            Self::Token(_) | Self::Session(_) => Allowance { at_once: 500, each: Duration::from_millis(10) },
            Self::Address(_) => Allowance { at_once: 100, each: Duration::from_millis(50) },
        }
    }
}

/// Lets a request on that comes not too fast after the others of who sent it.
pub(crate) async fn hold(State(app): State<App>, request: Request, next: Next) -> Response {
    match app.limits.take(Who::sent(&request), Instant::now()) {
        Ok(()) => next.run(request).await,
        Err(wait) => WebError::SlowDown(wait.as_secs() + 1).into_response(),
    }
}

/// So many requests at once, and one more each time this has passed.
struct Allowance {
    at_once: u32,
    each: Duration,
}

/// The most callers that are remembered; beyond it, those with the fullest stores are forgotten.
const CALLERS: usize = 10_000;

/// When each caller's store is full again.
#[derive(Debug, Default)]
pub(crate) struct Limits(Mutex<BTreeMap<Who, Instant>>);

impl Limits {
    /// Takes one request from the store of `who`.
    ///
    /// # Errors
    /// How long to wait, when it is empty.
    pub(crate) fn take(&self, who: Who, now: Instant) -> Result<(), Duration> {
        let Allowance { at_once, each } = who.allowance();
        let mut full_at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = full_at.get(&who).map_or(now, |full| (*full).max(now));
        let taken = begin.duration_since(now);
        let room = each * at_once;
        if taken + each > room {
            return Err(taken + each - room);
        }
        make_room(&mut full_at, now);
        full_at.insert(who, begin + each);
        Ok(())
    }
}

fn make_room(full_at: &mut BTreeMap<Who, Instant>, now: Instant) {
    if full_at.len() < CALLERS {
        return;
    }
    full_at.retain(|_, full| *full > now);
    while full_at.len() >= CALLERS {
        let soonest = full_at.iter().min_by_key(|(_, full)| **full).map(|(who, _)| *who);
        let Some(soonest) = soonest else { return };
        full_at.remove(&soonest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stranger(last: u8) -> Who {
        Who::stranger(Some(IpAddr::from([192, 0, 2, last])))
    }

    #[test]
    fn an_empty_store_refuses_until_it_has_filled_up_again() {
        let (limits, now) = (Limits::default(), Instant::now());
        for number in 0..100 {
            assert_eq!(limits.take(stranger(1), now), Ok(()), "{number}");
        }
        assert_eq!(limits.take(stranger(1), now), Err(Duration::from_millis(50)));
        assert_eq!(limits.take(stranger(2), now), Ok(()), "another caller has a store of its own");
        let later = now + Duration::from_millis(120);
        assert_eq!([(); 3].map(|()| limits.take(stranger(1), later).is_ok()), [true, true, false]);
        let much_later = now + Duration::from_secs(3600);
        let taken = (0..200).take_while(|_| limits.take(stranger(1), much_later).is_ok()).count();
        assert_eq!(taken, 100, "a store never holds more than it can");
    }

    #[test]
    fn who_is_known_may_ask_faster() {
        let (limits, now) = (Limits::default(), Instant::now());
        let taken = |who: Who| (0..1_000).take_while(|_| limits.take(who, now).is_ok()).count();
        assert_eq!((taken(Who::Session(1)), taken(Who::Session(2)), taken(stranger(1))), (500, 500, 100));
    }

    #[test]
    fn neighbours_in_one_ipv6_network_are_one_caller() {
        let who = |address: &str| Who::stranger(Some(address.parse().unwrap()));
        assert_eq!(who("2001:db8:0:1::7"), who("2001:db8:0:1:ffff::9"));
        assert_ne!(who("2001:db8:0:1::7"), who("2001:db8:0:2::7"));
        assert_eq!(who("::ffff:192.0.2.1"), stranger(1));
        assert_ne!(stranger(1), stranger(2));
    }

    #[test]
    fn memory_stays_bounded_and_those_who_asked_most_are_kept() {
        let (limits, now) = (Limits::default(), Instant::now());
        (0..100).for_each(|_| limits.take(stranger(1), now).unwrap());
        for number in 0..CALLERS as i128 + 5 {
            limits.take(Who::Session(number), now).unwrap();
        }
        assert_eq!(limits.0.lock().unwrap().len(), CALLERS);
        assert!(limits.take(stranger(1), now).is_err());
    }
}
