//! How many streams one user may have open.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The most streams of one user; browsers open at most six to one site.
const MOST: usize = 16;

/// The places that are taken, by user. A clone is the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(Arc<Mutex<BTreeMap<String, usize>>>);

/// A place that is given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    user: String,
    places: Places,
}

impl Places {
    /// A place for one more stream; `None` when the user has as many as they may.
    pub(super) fn take(&self, user: &str) -> Option<Place> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(user.to_owned()).or_default();
        if *count >= MOST {
            return None;
        }
        *count += 1;
        Some(Place { user: user.to_owned(), places: self.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.user) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(&self.user)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_so_many_places_and_gets_them_back() {
        let places = Places::default();
        let mut held: Vec<Place> = (0..MOST).map(|_| places.take("ada").unwrap()).collect();
        assert!(places.take("ada").is_none() && places.take("bob").is_some());
        held.pop();
        assert!(places.take("ada").is_some());
        drop(held);
        assert!(places.0.lock().unwrap().is_empty());
    }
}
