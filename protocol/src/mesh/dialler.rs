//! Whom to dial and when: known addresses of members, again and again with growing waits. No network in here.

use crate::identity::NodeId;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

/// Connections that a member keeps of its own accord, besides the one to the coordinator.
const OTHERS: usize = 6;

/// Addresses that are remembered per member.
const MAX_ADDRESSES: usize = 8;

/// Members whose addresses are remembered.
const MAX_KNOWN: usize = 4_096;

/// Keeps connections wanted and wakes at the right time.
#[derive(Debug)]
pub(super) struct Dialler {
    first: Duration,
    most: Duration,
    known: BTreeMap<NodeId, Entry>,
}

#[derive(Debug)]
struct Entry {
    addresses: Vec<SocketAddr>,
    wait: Duration,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting(Instant),
    /// Not a member now; a new roster may change that.
    Outside,
    Dialling,
    Connected,
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

impl Dialler {
    pub(super) fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, known: BTreeMap::new() }
    }

    /// Replaces the addresses of a key and dials at the next occasion. A key beyond the 4,096th is not remembered.
    pub(super) fn remember(&mut self, key: NodeId, addresses: &[SocketAddr], connected: bool, now: Instant) {
        if self.known.len() >= MAX_KNOWN && !self.known.contains_key(&key) {
            return;
        }
        let state = if connected { State::Connected } else { State::Waiting(now) };
        let addresses = addresses.iter().copied().take(MAX_ADDRESSES).collect();
        self.known.insert(key, Entry { addresses, wait: self.first, state });
    }

    /// Whom to dial now. Each counts as being dialled until [`Self::connected`] or [`Self::lost`].
    pub(super) fn due(
        &mut self,
        now: Instant,
        standing: impl Fn(&NodeId) -> Standing,
    ) -> Vec<(NodeId, Vec<SocketAddr>)> {
        let busy = |entry: &&Entry| matches!(entry.state, State::Dialling | State::Connected);
        let others = self.known.iter().filter(|(key, _)| standing(key) == Standing::Other);
        let mut room = OTHERS.saturating_sub(others.map(|(_, entry)| entry).filter(busy).count());
        let mut due = Vec::new();
        for (key, entry) in &mut self.known {
            if !matches!(entry.state, State::Waiting(at) if at <= now) {
                continue;
            }
            let standing = standing(key);
            entry.state = match standing {
                Standing::Outside => State::Outside,
                Standing::Other if room == 0 => State::Waiting(now + self.most),
                Standing::Coordinator | Standing::Other => State::Dialling,
            };
            if entry.state == State::Dialling {
                room = room.saturating_sub(usize::from(standing == Standing::Other));
                due.push((*key, entry.addresses.clone()));
            }
        }
        due
    }

    /// When [`Self::due`] will have something.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let waiting = |entry: &Entry| if let State::Waiting(at) = entry.state { Some(at) } else { None };
        self.known.values().filter_map(waiting).min()
    }

    /// The roster changed: those outside are looked at again.
    pub(super) fn look_again(&mut self, now: Instant) {
        for entry in self.known.values_mut().filter(|entry| entry.state == State::Outside) {
            entry.state = State::Waiting(now);
        }
    }

    pub(super) fn connected(&mut self, key: &NodeId) {
        if let Some(entry) = self.known.get_mut(key) {
            entry.state = State::Connected;
            entry.wait = self.first;
        }
    }

    /// The dial failed or the connection is gone: the next dial waits, longer each time. `jitter` is 0 to 255.
    pub(super) fn lost(&mut self, key: &NodeId, now: Instant, jitter: u8) {
        if let Some(entry) = self.known.get_mut(key) {
            let share = f64::from(jitter) / 512.0 + 0.75;
            entry.state = State::Waiting(now + entry.wait.mul_f64(share));
            entry.wait = (entry.wait * 2).min(self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(1);
    const MOST: Duration = Duration::from_secs(30);

    fn node(number: u8) -> NodeId {
        NodeId::from_bytes([number; 32])
    }

    fn address() -> SocketAddr {
        "127.0.0.1:9430".parse().unwrap()
    }

    #[tokio::test]
    async fn waits_double_up_to_the_longest_and_start_anew_after_a_connection() {
        let mut dialler = Dialler::new(FIRST, MOST);
        let mut now = Instant::now();
        dialler.remember(node(1), &[address()], false, now);
        let mut waits = Vec::new();
        for _ in 0..7 {
            assert_eq!(dialler.due(now, |_| Standing::Coordinator), [(node(1), vec![address()])]);
            assert_eq!(dialler.due(now, |_| Standing::Coordinator), []);
            dialler.lost(&node(1), now, 128);
            let next = dialler.next_due().unwrap();
            waits.push((next - now).as_secs());
            now = next;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        dialler.connected(&node(1));
        assert_eq!(dialler.next_due(), None);
        dialler.lost(&node(1), now, 0);
        assert_eq!(dialler.next_due(), Some(now + Duration::from_millis(750)));
    }

    #[tokio::test]
    async fn who_is_outside_waits_for_a_roster() {
        let mut dialler = Dialler::new(FIRST, MOST);
        let now = Instant::now();
        dialler.remember(node(1), &[address()], false, now);
        assert_eq!(dialler.due(now, |_| Standing::Outside), []);
        assert_eq!(dialler.next_due(), None);
        dialler.look_again(now);
        assert_eq!(dialler.due(now, |_| Standing::Other).len(), 1);
    }

    #[tokio::test]
    async fn six_others_and_always_the_coordinator_are_dialled() {
        let mut dialler = Dialler::new(FIRST, MOST);
        let now = Instant::now();
        (1..=9).for_each(|number| dialler.remember(node(number), &[address()], false, now));
        let standing = |key: &NodeId| if *key == node(9) { Standing::Coordinator } else { Standing::Other };
        let due: Vec<NodeId> = dialler.due(now, standing).into_iter().map(|(key, _)| key).collect();
        assert_eq!(due, [1, 2, 3, 4, 5, 6, 9].map(node));
        assert_eq!(dialler.next_due(), Some(now + MOST));
    }
}
