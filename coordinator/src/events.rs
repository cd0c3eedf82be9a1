//! What happened, for live pages: numbered, broadcast, and kept a while for those who lost the connection.

use crate::run::RunState;
use protocol::NodeId;
use protocol::task::{RunId, ScanId};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::broadcast;

/// How many past events can be replayed.
const KEPT: usize = 1_024;

/// Something that a page may want to show at once. Pages read the details anew; this only says where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A run was started, made progress or changed its state.
    Run {
        /// Which.
        run: RunId,
        /// Of which scan.
        scan: ScanId,
        /// Where it stands now.
        state: RunState,
    },
    /// A node appeared, went, or was decided on.
    Node {
        /// Which.
        node: NodeId,
    },
    /// Alerts of a network were opened or resolved.
    Alerts {
        /// Which network.
        scan: ScanId,
    },
}

impl Event {
    /// The name under which live pages subscribe.
    pub fn topic(&self) -> &'static str {
        match self {
            Self::Run { .. } => "run",
            Self::Node { .. } => "node",
            Self::Alerts { .. } => "alerts",
        }
    }
}

/// An event with its number, which rises by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered {
    /// Counted from 1 since the start of the process.
    pub number: u64,
    /// What happened.
    pub event: Event,
}

/// Handle to the bus; clones share it.
#[derive(Clone, Debug)]
pub struct EventBus {
    kept: Arc<Mutex<VecDeque<Numbered>>>,
    sender: broadcast::Sender<Numbered>,
}

/// Everything after a number, and then whatever comes.
#[derive(Debug)]
pub struct Subscription {
    /// Events that were missed and are still kept, oldest first.
    pub replay: Vec<Numbered>,
    /// Whether events before `replay` were missed for good; the page must be read anew.
    pub gap: bool,
    /// What comes from now on.
    pub live: broadcast::Receiver<Numbered>,
}

impl Default for EventBus {
    fn default() -> Self {
        Self { kept: Arc::default(), sender: broadcast::channel(KEPT).0 }
    }
}

impl EventBus {
    /// Tells everyone.
    pub fn publish(&self, event: Event) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let number = kept.back().map_or(0, |last| last.number) + 1;
        let numbered = Numbered { number, event };
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(numbered.clone());
        // Nobody listening is the usual case.
        let _ = self.sender.send(numbered);
    }

    /// Listens; `after` is the last number that was seen, `None` for only what comes.
    pub fn subscribe(&self, after: Option<u64>) -> Subscription {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let live = self.sender.subscribe();
        let newest = kept.back().map_or(0, |last| last.number);
        let after = after.unwrap_or(newest);
        let oldest = kept.front().map_or(1, |first| first.number);
        let replay = kept.iter().filter(|event| event.number > after).cloned().collect();
        Subscription { replay, gap: after > newest || after + 1 < oldest, live }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(scan: u64) -> Event {
        Event::Alerts { scan: ScanId(scan) }
    }

    #[tokio::test]
    async fn a_returning_listener_gets_what_it_missed_and_then_the_rest() {
        let bus = EventBus::default();
        for scan in 1..=3 {
            bus.publish(event(scan));
        }
        let mut back = bus.subscribe(Some(1));
        assert_eq!(back.replay.iter().map(|event| event.number).collect::<Vec<_>>(), [2, 3]);
        assert!(!back.gap);
        bus.publish(event(4));
        assert_eq!(back.live.recv().await.unwrap(), Numbered { number: 4, event: event(4) });
        assert!(bus.subscribe(None).replay.is_empty());
    }

    #[test]
    fn a_listener_away_too_long_is_told() {
        let bus = EventBus::default();
        for scan in 0..=KEPT as u64 + 5 {
            bus.publish(event(scan));
        }
        assert!(bus.subscribe(Some(1)).gap);
        assert!(bus.subscribe(Some(999_999)).gap, "a number from before a restart");
        assert!(!bus.subscribe(Some(KEPT as u64)).gap);
    }
}
