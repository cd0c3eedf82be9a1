//! When a scan is due: what a look at the clock does to it. Pure; the store keeps the outcome.

use super::{Cadence, Scan, ScanDefinition};
use protocol::Timestamp;
use protocol::task::ScanId;
use protocol::text::Text;

impl Scan {
    /// A new scan, due for the first time after `now`.
    pub(crate) fn new(id: ScanId, definition: ScanDefinition, created_by: Text, now: Timestamp) -> Self {
        let mut scan = Self { id, definition, active: true, created: now, created_by, next_due: None, last_due: None };
        scan.start_over(now);
        scan
    }

    /// Takes a new definition. The next run stays where it is unless what decides over it was changed.
    pub(crate) fn redefine(&mut self, definition: ScanDefinition, now: Timestamp) {
        let decides = |definition: &ScanDefinition| (definition.cadence.clone(), definition.scheduled);
        let is_same = decides(&definition) == decides(&self.definition);
        self.definition = definition;
        if !is_same {
            self.start_over(now);
        }
    }

    /// Deactivates it, or makes it active again and due for the first time after `now`.
    pub(crate) fn set_active(&mut self, active: bool, now: Timestamp) {
        self.active = active;
        self.start_over(now);
    }

    /// Looks whether a run is due at `now`, and moves on to the next one if so. A clock that was set back is followed.
    pub(crate) fn is_due(&mut self, now: Timestamp) -> bool {
        let is_due = self.next_due.is_some_and(|due| due <= now);
        if is_due {
            self.last_due = self.next_due;
        }
        let anchor = self.next_due.unwrap_or(now);
        self.next_due = self.running_cadence().and_then(|cadence| cadence.next(anchor, self.last_due, now));
        is_due
    }

    /// Up to `count` times at which it will run by itself.
    pub(crate) fn coming(&self, count: usize) -> Vec<Timestamp> {
        let after = |due: &Timestamp| self.running_cadence()?.first_after(*due, *due);
        std::iter::successors(self.next_due, after).take(count).collect()
    }

    fn start_over(&mut self, now: Timestamp) {
        self.next_due = self.running_cadence().and_then(|cadence| cadence.next(now, self.last_due, now));
    }

    fn running_cadence(&self) -> Option<&Cadence> {
        self.definition.cadence.as_ref().filter(|_| self.active && self.definition.scheduled)
    }
}

#[cfg(test)]
mod tests;
