//! Remembers what was heard, so that a recorded message does nothing the second time.

use super::Header;
use crate::identity::NodeId;
use std::collections::{BTreeMap, BTreeSet};

/// How many sequence numbers per sender may arrive out of order.
const WINDOW: usize = 1_024;

/// What one receiver has heard from each sender: the boot, and the latest sequence numbers of it.
#[derive(Debug, Default)]
pub struct ReplayGuard(BTreeMap<NodeId, Heard>);

#[derive(Debug, Default)]
struct Heard {
    boot: u64,
    floor: u64,
    recent: BTreeSet<u64>,
}

impl ReplayGuard {
    /// True the first time a proven header comes by; false for a repeat, an older boot, or one too far behind.
    pub fn admit(&mut self, header: &Header) -> bool {
        let heard = self.0.entry(header.sender).or_default();
        if header.boot > heard.boot {
            *heard = Heard { boot: header.boot, ..Heard::default() };
        }
        if header.boot < heard.boot || header.sequence <= heard.floor || !heard.recent.insert(header.sequence) {
            return false;
        }
        if heard.recent.len() > WINDOW {
            heard.floor = heard.recent.pop_first().unwrap_or(heard.floor);
        }
        true
    }

    /// Forgets a sender that is no longer a member.
    pub fn forget(&mut self, sender: &NodeId) {
        self.0.remove(sender);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Kind;
    use crate::identity::MeshId;
    use crate::time::Timestamp;
    use std::time::Duration;

    fn header(boot: u64, sequence: u64) -> Header {
        Header {
            kind: Kind::Presence,
            mesh: MeshId::from_bytes([1; 32]),
            sender: NodeId::from_bytes([2; 32]),
            boot,
            sequence,
            issued: Timestamp::from_millis(0),
            time_to_live: Duration::ZERO,
            epoch: 0,
        }
    }

    #[test]
    fn a_message_counts_once_in_any_order() {
        let mut guard = ReplayGuard::default();
        let heard: Vec<bool> =
            [(1, 5), (1, 3), (1, 5), (1, 3), (2, 1), (1, 9), (2, 1)].map(|(b, s)| guard.admit(&header(b, s))).to_vec();
        assert_eq!(heard, [true, true, false, false, true, false, false]);
    }

    #[test]
    fn what_fell_out_of_the_window_stays_refused() {
        let mut guard = ReplayGuard::default();
        assert!((1..=2_000).all(|sequence| guard.admit(&header(1, sequence))));
        assert!((1..=2_000).all(|sequence| !guard.admit(&header(1, sequence))));
        assert!(guard.admit(&header(1, 2_001)));
    }
}
