//! How an approved node is (SPEC M6), in the words that pages and programs read.

use super::NodeStatus;
use crate::Coordinator;
use crate::presence::{Absence, Condition, LastWord, Presence};
use protocol::{NodeId, Timestamp};

impl Coordinator {
    /// How a node is whose approval holds.
    pub(in crate::use_case) fn live_status(
        &self,
        node: &NodeId,
        presence: Option<&Presence>,
        now: Timestamp,
    ) -> NodeStatus {
        let condition = presence.map(|presence| presence.condition(now, self.timing().offline_after));
        status(condition, self.presences().last_word(node))
    }
}

/// The condition of a node that was heard since the coordinator started, and when it was heard last, even before that.
fn status(condition: Option<Condition>, last: Option<LastWord>) -> NodeStatus {
    let absence = match condition {
        Some(Condition::Online) => return NodeStatus::Online,
        Some(Condition::Scanning) => return NodeStatus::Scanning,
        Some(Condition::Offline(absence)) => absence,
        None => last.map_or(Absence::NotHeard, LastWord::absence),
    };
    NodeStatus::Offline { since: last.map(|word| word.at), reason: absence.words() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absence_is_told_with_its_reason_and_since_when() {
        let (node, at) = (NodeId::from_bytes([1; 32]), Timestamp::from_millis(7_000));
        let word = |has_left| Some(LastWord { node, at, has_left });
        let offline = |since, reason| NodeStatus::Offline { since, reason };
        for (condition, last, expected) in [
            (Some(Condition::Online), word(false), NodeStatus::Online),
            (Some(Condition::Scanning), word(false), NodeStatus::Scanning),
            (
                Some(Condition::Offline(Absence::ConnectionLost)),
                word(false),
                offline(Some(at), "its connection was lost"),
            ),
            (None, word(false), offline(Some(at), "not heard since the coordinator started")),
            (None, word(true), offline(Some(at), "it was stopped in order")),
            (None, None, offline(None, "not heard since the coordinator started")),
        ] {
            assert_eq!(status(condition, last), expected, "{condition:?}, {last:?}");
        }
    }
}
