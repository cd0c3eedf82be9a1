//! The peer manager: whom to dial and when, and whom to let go. No network, no clock and no chance in here.
//!
//! The coordinator always; up to six others, drawn by lot. While connections are few the dials go out at once and side
//! by side, else one at a time; every quarter of an hour one more is dialled, and the worst of those that then are too
//! many goes.

use crate::identity::NodeId;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

/// Connections that a member makes of its own accord, besides the one to the coordinator.
const OTHERS: usize = 6;

/// With fewer connections than these, whoever made them, others are dialled at once.
const FEW: usize = 4;

/// Dials to others that may be on their way at once.
const AT_ONCE: usize = 16;

/// Between two rounds of dials while connections are few; most of those that succeed have by then.
const HASTE: Duration = Duration::from_secs(1);

/// Between two dials while there are enough.
const PACE: Duration = Duration::from_secs(5);

/// How often a connection is given up for a new one. Each swap costs as much as half a minute of all else at rest.
const SWAP_EVERY: Duration = Duration::from_secs(900);

/// By this age a connection has shown what it is worth.
const SETTLED: Duration = Duration::from_secs(30);

/// The longest wait of others is so many times the coordinator's: many may be out of reach for good.
const PATIENCE_WITH_OTHERS: u32 = 20;

/// Addresses that are remembered per member and source.
const MAX_ADDRESSES: usize = 8;

/// Members whose addresses are remembered.
const MAX_KNOWN: usize = 16_384;

/// Keeps connections wanted and wakes at the right time.
#[derive(Debug)]
pub(super) struct Dialler {
    first: Duration,
    most: Duration,
    known: BTreeMap<NodeId, Entry>,
    next_round: Instant,
    next_swap: Instant,
    wake: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    standing: Standing,
    addresses: Vec<Address>,
    state: State,
}

#[derive(Debug)]
struct Address {
    at: SocketAddr,
    /// Whether the owner of this member names it, and whether the other member's card does.
    by_owner: bool,
    by_card: bool,
    wait: Duration,
    due: Instant,
    is_tried: bool,
}

/// Who named an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Owner,
    Card,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Apart,
    Dialling,
    Connected { is_dialled: bool, since: Instant },
}

/// What the roster says of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Always to be connected.
    Coordinator,
    /// To be connected up to a number.
    Other,
    /// Not to be dialled.
    Outside,
}

/// What a connection is worth; the greatest is the worst: unanswered pings, then the round trip.
pub(super) type Badness = (u32, Duration);

/// How the others stand.
#[derive(Debug, Default)]
struct Count {
    connected: usize,
    dialled: usize,
    dialling: usize,
}

impl Dialler {
    pub(super) fn new(first: Duration, most: Duration, now: Instant) -> Self {
        Self { first, most, known: BTreeMap::new(), next_round: now, next_swap: now + SWAP_EVERY, wake: None }
    }

    /// Replaces the addresses that the owner names for a key, and dials at the next occasion.
    pub(super) fn remember(&mut self, key: NodeId, addresses: &[SocketAddr], now: Instant) {
        self.note(key, addresses, Source::Owner, now);
    }

    /// Replaces the addresses that a member's card names. A new card is a sign of life: its waits begin anew.
    pub(super) fn learn(&mut self, key: NodeId, addresses: &[SocketAddr], now: Instant) {
        self.note(key, addresses, Source::Card, now);
    }

    fn note(&mut self, key: NodeId, addresses: &[SocketAddr], source: Source, now: Instant) {
        if self.known.len() >= MAX_KNOWN && !self.known.contains_key(&key) {
            return;
        }
        let first = self.first;
        let entry = self.known.entry(key).or_insert_with(Entry::unknown);
        entry.addresses.iter_mut().for_each(|address| *address.named_by(source) = false);
        for at in addresses.iter().take(MAX_ADDRESSES) {
            let index = entry.addresses.iter().position(|address| address.at == *at).unwrap_or_else(|| {
                entry.addresses.push(Address::new(*at, first, now));
                entry.addresses.len() - 1
            });
            if let Some(address) = entry.addresses.get_mut(index) {
                *address.named_by(source) = true;
                (address.wait, address.due) = (first, now);
            }
        }
        entry.addresses.retain(|address| address.by_owner || address.by_card);
        self.forget_useless(&key);
        self.wake = Some(now);
    }

    /// The roster let this key go: what its card said counts no more.
    pub(super) fn forget_card(&mut self, key: &NodeId, now: Instant) {
        if self.known.contains_key(key) {
            self.note(*key, &[], Source::Card, now);
        }
    }

    fn forget_useless(&mut self, key: &NodeId) {
        let is_useless = |entry: &Entry| entry.state == State::Apart && entry.addresses.is_empty();
        if self.known.get(key).is_some_and(is_useless) {
            self.known.remove(key);
        }
    }

    /// The roster changed: everybody's standing is looked at again.
    pub(super) fn look_again(&mut self, now: Instant) {
        self.wake = Some(now);
    }

    /// When [`Self::due`] may have something.
    pub(super) fn wake(&self) -> Option<Instant> {
        self.wake
    }

    /// Whom to dial now, and where. Each counts as being dialled until [`Self::connected`] or [`Self::lost`].
    ///
    /// `lot` draws among the others.
    pub(super) fn due(
        &mut self,
        now: Instant,
        lot: u64,
        standing: impl Fn(&NodeId) -> Standing,
    ) -> Vec<(NodeId, Vec<SocketAddr>)> {
        for (key, entry) in &mut self.known {
            entry.standing = standing(key);
        }
        let mut chosen: Vec<NodeId> = self.ready(Standing::Coordinator, now).collect();
        let count = self.count();
        let room = self.room(&count, now);
        if room > 0 {
            let mut others: Vec<NodeId> = self.ready(Standing::Other, now).collect();
            others.sort_by_key(|key| draw(key, lot));
            others.truncate(room);
            if !others.is_empty() {
                self.next_round = now + if count.connected < FEW { HASTE } else { PACE };
                self.next_swap = now + SWAP_EVERY;
            }
            chosen.append(&mut others);
        }
        let dials = chosen.iter().filter_map(|key| Some((*key, self.known.get_mut(key)?.dial(now)))).collect();
        self.wake = self.next_wake();
        dials
    }

    fn count(&self) -> Count {
        let mut count = Count::default();
        for entry in self.known.values().filter(|entry| entry.standing != Standing::Outside) {
            let is_other = usize::from(entry.standing == Standing::Other);
            match entry.state {
                State::Apart => {}
                State::Dialling => count.dialling += is_other,
                State::Connected { is_dialled, since: _ } => {
                    count.connected += 1;
                    count.dialled += is_other * usize::from(is_dialled);
                }
            }
        }
        count
    }

    /// How many others may be dialled now.
    fn room(&self, count: &Count, now: Instant) -> usize {
        if now < self.opens(count) {
            return 0;
        }
        if count.connected < FEW {
            AT_ONCE.saturating_sub(count.dialling).min(OTHERS.saturating_sub(count.dialled))
        } else {
            usize::from(count.dialling == 0)
        }
    }

    /// From when on others may be dialled.
    fn opens(&self, count: &Count) -> Instant {
        if count.dialled >= OTHERS { self.next_round.max(self.next_swap) } else { self.next_round }
    }

    fn ready(&self, standing: Standing, now: Instant) -> impl Iterator<Item = NodeId> {
        let wanted = self.known.iter().filter(move |(_, entry)| entry.standing == standing);
        wanted.filter(move |(_, entry)| entry.due().is_some_and(|due| due <= now)).map(|(key, _)| *key)
    }

    fn next_wake(&self) -> Option<Instant> {
        let due = |standing| {
            let wanted = self.known.values().filter(move |entry| entry.standing == standing);
            wanted.filter_map(Entry::due).min()
        };
        let count = self.count();
        // A dial that ends wakes us anyway.
        let is_busy = if count.connected < FEW { count.dialling >= AT_ONCE } else { count.dialling > 0 };
        let others = due(Standing::Other).filter(|_| !is_busy).map(|due| due.max(self.opens(&count)));
        [due(Standing::Coordinator), others].into_iter().flatten().min()
    }

    /// A connection stands; `dialled` is the address of one that this end has dialled.
    pub(super) fn connected(&mut self, key: NodeId, is_dialled: bool, address: Option<SocketAddr>, now: Instant) {
        let first = self.first;
        let entry = self.known.entry(key).or_insert_with(Entry::unknown);
        entry.state = State::Connected { is_dialled, since: now };
        for known in &mut entry.addresses {
            if is_dialled && Some(known.at) == address {
                known.wait = first;
                known.is_tried = false;
            }
            // What was tried beside the address that led here has failed, unless the other end was faster.
            known.is_tried &= is_dialled;
        }
        self.wake = Some(now);
    }

    /// Of two connections one is left.
    pub(super) fn left(&mut self, key: &NodeId, is_dialled: bool) {
        if let Some(Entry { state: State::Connected { is_dialled: held, since: _ }, .. }) = self.known.get_mut(key) {
            *held = is_dialled;
        }
    }

    /// The dial failed or the connection is gone: the next dial waits, longer each time that an address fails.
    /// `jitter` is 0 to 255.
    pub(super) fn lost(&mut self, key: &NodeId, now: Instant, jitter: u8) {
        let Some(entry) = self.known.get_mut(key) else { return };
        let share = f64::from(jitter) / 512.0 + 0.75;
        let failed = entry.state == State::Dialling;
        let most = match entry.standing {
            Standing::Coordinator => self.most,
            Standing::Other | Standing::Outside => self.most * PATIENCE_WITH_OTHERS,
        };
        for address in entry.addresses.iter_mut().filter(|address| !failed || address.is_tried) {
            address.due = now + address.wait.mul_f64(share);
            if address.is_tried {
                address.wait = (address.wait * 2).min(most);
            }
            address.is_tried = false;
        }
        entry.state = State::Apart;
        self.forget_useless(key);
        self.wake = Some(now);
    }

    /// The connection to give up, when more than wanted were dialled. Never `parent`, who is the way to the coordinator.
    pub(super) fn worst(
        &self,
        now: Instant,
        parent: Option<NodeId>,
        badness: impl Fn(&NodeId) -> Badness,
    ) -> Option<NodeId> {
        let count = self.count();
        if count.dialled <= OTHERS || count.connected <= FEW {
            return None;
        }
        let settled = self.known.iter().filter(|(key, entry)| {
            let is_old = matches!(entry.state, State::Connected { is_dialled: true, since } if now >= since + SETTLED);
            is_old && entry.standing == Standing::Other && Some(**key) != parent
        });
        settled.map(|(key, _)| *key).max_by_key(badness)
    }
}

/// A number that depends on key and lot alone, and says nothing of either's order.
fn draw(key: &NodeId, lot: u64) -> u64 {
    let start = key.as_bytes().first_chunk().copied().map_or(0, u64::from_be_bytes);
    let mixed = (start ^ lot).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Entry {
    fn unknown() -> Self {
        Self { standing: Standing::Outside, addresses: Vec::new(), state: State::Apart }
    }

    /// When it may be dialled.
    fn due(&self) -> Option<Instant> {
        if self.state == State::Apart { self.addresses.iter().map(|address| address.due).min() } else { None }
    }

    /// The addresses that are due, which count as tried from now on.
    fn dial(&mut self, now: Instant) -> Vec<SocketAddr> {
        self.state = State::Dialling;
        let due = self.addresses.iter_mut().filter(|address| address.due <= now);
        due.map(|address| {
            address.is_tried = true;
            address.at
        })
        .collect()
    }
}

impl Address {
    fn new(at: SocketAddr, wait: Duration, due: Instant) -> Self {
        Self { at, by_owner: false, by_card: false, wait, due, is_tried: false }
    }

    fn named_by(&mut self, source: Source) -> &mut bool {
        match source {
            Source::Owner => &mut self.by_owner,
            Source::Card => &mut self.by_card,
        }
    }
}

#[cfg(test)]
mod tests;
