//! A connected member: what it said of itself, and when it last said anything.

use super::PeerLink;
use super::dialler::Badness;
use super::letters::Allowance;
use crate::identity::NodeId;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

/// Questions in a row that a neighbour leaves unanswered, silent all the while, until its connection is closed.
const MAX_MISSED: u32 = 2;

/// A connected member.
#[derive(Debug)]
pub(super) struct Neighbour {
    pub(super) address: Option<SocketAddr>,
    pub(super) is_dialled: bool,
    pub(super) round_trip: Option<Duration>,
    /// Pings and pulls in a row that met with silence.
    missed: u32,
    /// When it last said anything.
    heard: Instant,
    pub(super) allowance: Allowance,
    pub(super) asked: Option<Instant>,
    /// Whether it says that it hears the coordinator itself, and what this member told it of that.
    pub(super) hears: bool,
    pub(super) told: Option<bool>,
    /// The highest roster epoch that it said it holds.
    pub(super) epoch: u64,
}

impl Neighbour {
    pub(super) fn new(address: Option<SocketAddr>, is_dialled: bool, now: Instant) -> Self {
        Self {
            address,
            is_dialled,
            round_trip: None,
            missed: 0,
            heard: now,
            allowance: Allowance::new(now),
            asked: None,
            hears: false,
            told: None,
            epoch: 0,
        }
    }

    /// It said something.
    pub(super) fn spoke(&mut self, now: Instant) {
        (self.heard, self.missed) = (now, 0);
    }

    /// False when it has said something since then: then it is slow, and no more.
    pub(super) fn is_silent_since(&self, asked: Instant) -> bool {
        self.heard <= asked
    }

    /// So many questions in a row met with silence; true when that were too many.
    pub(super) fn missed(&mut self, questions: u32) -> bool {
        self.missed = self.missed.saturating_add(questions);
        self.missed >= MAX_MISSED
    }

    pub(super) fn badness(&self) -> Badness {
        (self.missed, self.round_trip.unwrap_or(Duration::MAX))
    }

    pub(super) fn link(&self, node: NodeId) -> PeerLink {
        PeerLink { node, address: self.address, round_trip: self.round_trip, is_dialled: self.is_dialled }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_questions_that_meet_with_silence_are_too_many_and_any_word_ends_the_count() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut neighbour = Neighbour::new(None, true, start);
        assert_eq!([false, true], [neighbour.missed(1), neighbour.missed(1)]);
        neighbour.spoke(at(60));
        assert_eq!([50, 60].map(|asked| neighbour.is_silent_since(at(asked))), [false, true]);
        assert_eq!([false, true], [neighbour.missed(1), neighbour.missed(2)]);
    }
}
