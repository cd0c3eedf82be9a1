//! The kinds of message: number, size, life time, who may send them and on which way.

use std::time::Duration;

/// What a message is. Numbers are for ever; new kinds go to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The coordinator's sign of life.
    Beacon,
    /// A newer roster exists.
    RosterHead,
    /// A run was cancelled.
    Cancel,
    /// A task for one holder.
    Announcement,
    /// A node's sign of life, progress and lease renewal.
    Presence,
    /// A node takes, refuses or hands back a task.
    TaskAnswer,
    /// A finished result waits at the node.
    ResultOffer,
    /// A piece of a result.
    ResultChunk,
    /// Which pieces are still missing.
    ChunksWanted,
    /// The result is stored; the node may delete it.
    Receipt,
    /// A lease that the node believes to hold is gone.
    LeaseLost,
    /// Asks to join.
    EnrolRequest,
    /// Answers that.
    EnrolAnswer,
    /// A member passes on what a stranger asks.
    SponsoredRequest,
    /// Answers that.
    SponsoredAnswer,
    /// A presence that others passed on has come.
    PresenceHeard,
}

/// On which way a kind travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Gossip topic `control`.
    Control,
    /// Gossip topic `tasks`.
    Tasks,
    /// Sealed, to one reader.
    Letter,
    /// The enrolment port.
    Enrolment,
}

/// Who may send a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SenderRole {
    /// The coordinator of the roster.
    Coordinator,
    /// An approved node.
    Node,
    /// Anyone who knows the invite.
    Stranger,
}

const KIB: usize = 1024;

struct Rule(Kind, Channel, SenderRole, usize, u64);

/// Kind, channel, sender, largest body in bytes, time to live in seconds; the row is the kind's number, from 1.
const RULES: [Rule; 16] = [
    Rule(Kind::Beacon, Channel::Control, SenderRole::Coordinator, KIB, 60),
    Rule(Kind::RosterHead, Channel::Control, SenderRole::Coordinator, 48 * KIB, 3600),
    Rule(Kind::Cancel, Channel::Control, SenderRole::Coordinator, KIB, 3600),
    Rule(Kind::Announcement, Channel::Tasks, SenderRole::Coordinator, 48 * KIB, 3600),
    Rule(Kind::Presence, Channel::Letter, SenderRole::Node, 64 * KIB, 60),
    Rule(Kind::TaskAnswer, Channel::Letter, SenderRole::Node, 8 * KIB, 600),
    Rule(Kind::ResultOffer, Channel::Letter, SenderRole::Node, KIB, 600),
    Rule(Kind::ResultChunk, Channel::Letter, SenderRole::Node, 200 * KIB, 600),
    Rule(Kind::ChunksWanted, Channel::Letter, SenderRole::Coordinator, 16 * KIB, 600),
    Rule(Kind::Receipt, Channel::Letter, SenderRole::Coordinator, 8 * KIB, 600),
    Rule(Kind::LeaseLost, Channel::Letter, SenderRole::Coordinator, KIB, 600),
    Rule(Kind::EnrolRequest, Channel::Enrolment, SenderRole::Stranger, 7 * KIB, 120),
    // It must fit into the next but one, and that into a letter.
    Rule(Kind::EnrolAnswer, Channel::Enrolment, SenderRole::Coordinator, 250 * KIB, 120),
    Rule(Kind::SponsoredRequest, Channel::Letter, SenderRole::Node, 8 * KIB, 120),
    Rule(Kind::SponsoredAnswer, Channel::Letter, SenderRole::Coordinator, 252 * KIB, 120),
    Rule(Kind::PresenceHeard, Channel::Letter, SenderRole::Coordinator, KIB, 60),
];

impl Kind {
    /// Every kind, by number.
    pub fn all() -> impl Iterator<Item = Self> {
        RULES.iter().map(|rule| rule.0)
    }

    fn rule(self) -> &'static Rule {
        RULES.iter().find(|rule| rule.0 == self).expect("every kind has a row; a test walks them")
    }

    /// The number on the wire.
    pub fn number(self) -> u8 {
        let row = RULES.iter().position(|rule| rule.0 == self).and_then(|row| u8::try_from(row + 1).ok());
        row.expect("every kind has a row; a test walks them")
    }

    /// The kind with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        RULES.get(usize::from(number).checked_sub(1)?).map(|rule| rule.0)
    }

    /// On which way it travels.
    pub fn channel(self) -> Channel {
        self.rule().1
    }

    /// Who may send it.
    pub fn sender(self) -> SenderRole {
        self.rule().2
    }

    /// The largest body, in bytes.
    pub fn max_body_bytes(self) -> usize {
        self.rule().3
    }

    /// How long after signing it is good.
    pub fn time_to_live(self) -> Duration {
        Duration::from_secs(self.rule().4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_number() {
        let numbers: Vec<u8> = Kind::all().map(Kind::number).collect();
        assert_eq!(numbers, (1..=16).collect::<Vec<u8>>());
        assert!(Kind::all().all(|kind| Kind::from_number(kind.number()) == Some(kind)));
        assert_eq!((Kind::from_number(0), Kind::from_number(17)), (None, None));
        let last = Kind::PresenceHeard;
        assert_eq!(last as usize + 1, RULES.len(), "a kind without a row");
    }
}
