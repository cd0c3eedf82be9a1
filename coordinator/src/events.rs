//! What happened, for live pages: numbered, broadcast, and kept a while for those who lost the connection.

use crate::run::RunState;
use protocol::NodeId;
use protocol::task::{RunId, ScanId};
use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
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
    /// The coordinator itself needs somebody, or does no longer.
    System(SystemNews),
}

/// What the coordinator has to say about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemNews {
    /// The disk lacks room, so no new work is begun.
    DiskLow,
    /// The disk has room again.
    DiskHasRoom,
}

impl SystemNews {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::DiskLow => "disk-low",
            Self::DiskHasRoom => "disk-has-room",
        }
    }
}

impl Event {
    /// The name under which live pages subscribe.
    pub fn topic(&self) -> &'static str {
        match self {
            Self::Run { .. } => "run",
            Self::Node { .. } => "node",
            Self::Alerts { .. } => "alerts",
            Self::System(_) => "system",
        }
    }
}

/// Names one event: its number, which rises by one, and the bus that numbered it. Written `1700000000000-17`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventId {
    /// Of the bus; another one after each start of the process.
    bus: u64,
    number: u64,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.bus, self.number)
    }
}

/// A text that names no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no event's id; give back an id that a stream has told")]
pub struct EventIdError(String);

impl FromStr for EventId {
    type Err = EventIdError;

    fn from_str(text: &str) -> Result<Self, EventIdError> {
        let read = |(bus, number): (&str, &str)| Some(Self { bus: bus.parse().ok()?, number: number.parse().ok()? });
        text.split_once('-').and_then(read).ok_or_else(|| EventIdError(text.to_owned()))
    }
}

/// An event with its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered {
    /// Which.
    pub id: EventId,
    /// What happened.
    pub event: Event,
}

/// Handle to the bus; clones share it.
#[derive(Clone, Debug)]
pub struct EventBus {
    id: u64,
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
    /// The last event there was when the listening began.
    pub newest: EventId,
    /// What comes from now on.
    pub live: broadcast::Receiver<Numbered>,
}

impl EventBus {
    /// An empty bus; its id must be another one after each start, such as the time of it.
    pub fn new(id: u64) -> Self {
        Self { id, kept: Arc::default(), sender: broadcast::channel(KEPT).0 }
    }

    /// Tells everyone.
    pub fn publish(&self, event: Event) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let number = kept.back().map_or(0, |last| last.id.number) + 1;
        let numbered = Numbered { id: EventId { bus: self.id, number }, event };
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(numbered.clone());
        // Nobody listening is the usual case.
        let _ = self.sender.send(numbered);
    }

    /// Listens; `after` is the last event that was seen, `None` for only what comes.
    pub fn subscribe(&self, after: Option<EventId>) -> Subscription {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let live = self.sender.subscribe();
        let newest = EventId { bus: self.id, number: kept.back().map_or(0, |last| last.id.number) };
        let after = after.unwrap_or(newest);
        let oldest = kept.front().map_or(1, |first| first.id.number);
        let gap = after.bus != self.id || after.number > newest.number || after.number + 1 < oldest;
        let missed = |event: &&Numbered| !gap && event.id.number > after.number;
        Subscription { replay: kept.iter().filter(missed).cloned().collect(), gap, newest, live }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUS: u64 = 1_700_000_000_000;

    fn event(scan: u64) -> Event {
        Event::Alerts { scan: ScanId(scan) }
    }

    fn id(number: u64) -> EventId {
        EventId { bus: BUS, number }
    }

    #[tokio::test]
    async fn a_returning_listener_gets_what_it_missed_and_then_the_rest() {
        let bus = EventBus::new(BUS);
        for scan in 1..=3 {
            bus.publish(event(scan));
        }
        let mut back = bus.subscribe(Some(id(1)));
        assert_eq!(back.replay.iter().map(|event| event.id.number).collect::<Vec<_>>(), [2, 3]);
        assert_eq!((back.gap, back.newest), (false, id(3)));
        bus.publish(event(4));
        assert_eq!(back.live.recv().await.unwrap(), Numbered { id: id(4), event: event(4) });
        assert!(bus.subscribe(None).replay.is_empty());
    }

    #[test]
    fn a_listener_away_too_long_or_from_before_a_restart_is_told() {
        let bus = EventBus::new(BUS);
        for scan in 0..=KEPT as u64 + 5 {
            bus.publish(event(scan));
        }
        for (after, gap) in [
            (id(1), true),
            (id(5), true),
            (id(6), false),
            (id(KEPT as u64), false),
            (id(999_999), true),
            (EventId { bus: BUS - 1, number: KEPT as u64 }, true),
            (EventId::default(), true),
        ] {
            let back = bus.subscribe(Some(after));
            assert_eq!((back.gap, back.gap && !back.replay.is_empty()), (gap, false), "{after}");
        }
    }

    #[test]
    fn an_id_is_read_back_as_it_was_told_and_nothing_else_is_one() {
        assert_eq!("1700000000000-17".parse(), Ok(id(17)));
        assert_eq!(id(17).to_string(), "1700000000000-17");
        for wrong in ["", "17", "-17", "1-", "a-1", "1-2-3", "99999999999999999999-1"] {
            assert!(wrong.parse::<EventId>().is_err(), "{wrong}");
        }
    }
}
