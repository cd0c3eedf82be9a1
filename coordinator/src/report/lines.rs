//! The lines of a report or a comparison: collected host by host within limits, and cut into parts that one row can hold.

use crate::analysis::delta::{Change, ChangeKind, HostDelta, Note};
use protocol::codec::{Decode, Encode};

/// The most lines of each kind that are kept: what adds to a score, other changes, notes. More cannot be read, and
/// that many already take a score to its lowest.
pub(crate) const MAX_LINES: usize = 50_000;

/// Some lines, by address, port and kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Lines {
    /// What changed.
    pub changes: Vec<Change>,
    /// What looks like a change and counts as none.
    pub notes: Vec<Note>,
}

impl Lines {
    /// Cuts them into parts of at most `size` lines; at least one part.
    pub(crate) fn parts(self, size: usize) -> Vec<Self> {
        let of_changes = self.changes.chunks(size).map(|changes| Self { changes: changes.to_vec(), notes: Vec::new() });
        let of_notes = self.notes.chunks(size).map(|notes| Self { changes: Vec::new(), notes: notes.to_vec() });
        match self.changes.len() + self.notes.len() {
            few if few <= size => vec![self],
            _ => of_changes.chain(of_notes).collect(),
        }
    }
}

/// Takes the lines of host after host and keeps what the limits allow.
#[derive(Debug)]
pub(crate) struct Collector {
    limit: usize,
    scored: Vec<Change>,
    others: Vec<Change>,
    notes: Vec<Note>,
    left_out: u64,
}

impl Collector {
    /// Keeps at most `limit` lines of each kind.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, scored: Vec::new(), others: Vec::new(), notes: Vec::new(), left_out: 0 }
    }

    /// Takes the lines of one host.
    pub(crate) fn take(&mut self, HostDelta { address: _, changes, notes }: HostDelta) {
        for change in changes {
            let kept = if is_scored(change.kind) { &mut self.scored } else { &mut self.others };
            keep(kept, change, self.limit, &mut self.left_out);
        }
        for note in notes {
            keep(&mut self.notes, note, self.limit, &mut self.left_out);
        }
    }

    /// What was kept, in order, and how many lines were not.
    pub(crate) fn finish(self) -> (Lines, u64) {
        let Self { limit: _, scored, others, notes, left_out } = self;
        let mut changes = [scored, others].concat();
        changes.sort_by_key(|change| (change.address, change.port, change.kind));
        (Lines { changes, notes }, left_out)
    }
}

fn keep<T>(kept: &mut Vec<T>, line: T, limit: usize, left_out: &mut u64) {
    if kept.len() < limit {
        kept.push(line);
    } else {
        *left_out += 1;
    }
}

/// Whether a change takes points: these are kept apart, so that what is gone never crowds out what is new.
fn is_scored(kind: ChangeKind) -> bool {
    match kind {
        ChangeKind::NewHost | ChangeKind::NewPort | ChangeKind::ServiceChange => true,
        ChangeKind::RemovedHost
        | ChangeKind::ClosedPort
        | ChangeKind::OsChange
        | ChangeKind::NameChange
        | ChangeKind::MacChange => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::delta::{Confirmation, NoteKind, PortId};
    use protocol::Protocol;

    fn change(kind: ChangeKind, last: u8, port: u16) -> Change {
        let port = (port > 0).then_some(PortId { protocol: Protocol::Tcp, port });
        let address = std::net::IpAddr::from([10, 0, 0, last]);
        Change { kind, address, port, before: None, after: None, confirmation: Confirmation::NotNeeded }
    }

    fn collected(limit: usize) -> (Lines, u64) {
        let mut collector = Collector::new(limit);
        for last in 1..=4 {
            let gone = vec![change(ChangeKind::RemovedHost, last, 0), change(ChangeKind::ClosedPort, last, 80)];
            let note = Note { kind: NoteKind::NewlyCovered, change: change(ChangeKind::NewPort, last, 443) };
            collector.take(HostDelta { address: gone[0].address, changes: gone, notes: vec![note] });
        }
        let new = vec![change(ChangeKind::NewHost, 9, 0), change(ChangeKind::NewPort, 9, 80)];
        collector.take(HostDelta { address: new[0].address, changes: new, notes: vec![] });
        collector.finish()
    }

    #[test]
    fn what_is_gone_never_crowds_out_what_is_new() {
        let (lines, left_out) = collected(3);
        let kinds: Vec<ChangeKind> = lines.changes.iter().map(|change| change.kind).collect();
        use ChangeKind::{ClosedPort, NewHost, NewPort, RemovedHost};
        assert_eq!(kinds, [RemovedHost, ClosedPort, RemovedHost, NewHost, NewPort]);
        assert_eq!((lines.notes.len(), left_out), (3, 6));
        assert_eq!(collected(100).1, 0);
    }

    #[test]
    fn parts_hold_every_line_once_and_in_order() {
        let (lines, _) = collected(100);
        for size in 1..20 {
            let parts = lines.clone().parts(size);
            assert!(parts.iter().all(|part| part.changes.len() + part.notes.len() <= size), "{size}");
            let changes: Vec<Change> = parts.iter().flat_map(|part| part.changes.clone()).collect();
            let notes: Vec<Note> = parts.iter().flat_map(|part| part.notes.clone()).collect();
            assert_eq!(Lines { changes, notes }, lines, "{size}");
        }
        assert_eq!(Lines::default().parts(5), [Lines::default()]);
    }
}
