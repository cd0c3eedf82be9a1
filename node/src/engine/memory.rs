//! What was identified before, and where, so that a service that still answers the same needs no full look each time.
//!
//! It lives in this process and is bounded; whoever recalls from it must see an answer that fits before it counts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most places that are kept.
const MAX_PLACES: usize = 65_536;

/// A place, and how hard it was looked at.
pub(super) type Place = (SocketAddr, u8);

/// What was learned at places, and how often it was confirmed since.
#[derive(Debug)]
pub(super) struct Memory<T> {
    full_every: NonZeroU16,
    places: Mutex<BTreeMap<Place, Learned<T>>>,
}

#[derive(Debug)]
struct Learned<T> {
    what: T,
    confirmed: u16,
}

impl<T: Clone> Memory<T> {
    /// Every so many looks at a place are full ones; 1: all of them.
    pub(super) fn new(full_every: NonZeroU16) -> Self {
        Self { full_every, places: Mutex::default() }
    }

    /// What was learned at `place`, unless a full look is due.
    pub(super) fn recall(&self, place: Place) -> Option<T> {
        let places = self.lock();
        let known = places.get(&place).filter(|known| known.confirmed.saturating_add(1) < self.full_every.get())?;
        Some(known.what.clone())
    }

    /// Notes that what was learned still held.
    pub(super) fn confirm(&self, place: Place) {
        if let Some(known) = self.lock().get_mut(&place) {
            known.confirmed = known.confirmed.saturating_add(1);
        }
    }

    /// Keeps what a full look came to; `None`: nothing that could be confirmed later.
    pub(super) fn learn(&self, place: Place, what: Option<T>) {
        let mut places = self.lock();
        let Some(what) = what else {
            places.remove(&place);
            return;
        };
        places.insert(place, Learned { what, confirmed: 0 });
        if places.len() > MAX_PLACES {
            places.pop_first();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Place, Learned<T>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(port: u16) -> Place {
        (SocketAddr::new("127.0.0.1".parse().unwrap(), port), 7)
    }

    #[test]
    fn every_so_many_looks_are_full_and_another_intensity_is_another_place() {
        for (full_every, wanted) in [(1, "FFFFF"), (2, "FcFcF"), (4, "FcccF")] {
            let memory = Memory::new(NonZeroU16::new(full_every).unwrap());
            let mut looks = String::new();
            for _ in 0..5 {
                if memory.recall(place(22)) == Some("ssh") {
                    memory.confirm(place(22));
                    looks.push('c');
                } else {
                    memory.learn(place(22), Some("ssh"));
                    looks.push('F');
                }
            }
            assert_eq!(looks, wanted);
            assert_eq!(memory.recall((place(22).0, 8)), None);
            memory.learn(place(22), None);
            assert_eq!(memory.recall(place(22)), None);
        }
    }

    #[test]
    fn no_more_places_are_kept_than_the_limit() {
        let memory = Memory::new(NonZeroU16::MAX);
        for number in 0..MAX_PLACES + 100 {
            let address = std::net::Ipv4Addr::from(u32::try_from(number).unwrap());
            memory.learn((SocketAddr::new(address.into(), 1), 7), Some(()));
        }
        assert_eq!(memory.lock().len(), MAX_PLACES);
    }
}
