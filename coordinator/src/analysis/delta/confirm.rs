//! The second look (SPEC R4): what to probe again, and what its answer means.

use super::look::{Cell, Life, Look};
use super::{Change, ChangeKind, Confirmation, HostDelta, Note, NoteKind, PortId, Side, known::port_set};
use crate::analysis::coverage::{Block, Cells, RunCoverage};
use protocol::TargetSet;
use protocol::codec::{Decode, Encode};
use protocol::observation::HostObservation;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// What to probe again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Candidates {
    /// Hosts that look gone: ask them for life.
    pub hosts: TargetSet,
    /// Cells that look no longer open, those of such hosts too.
    pub cells: Cells,
}

/// Names what is to be probed again, after marking closed ports that carry an alert, which `alerted` tells.
pub fn candidates(deltas: &mut [HostDelta], alerted: impl Fn(IpAddr, PortId) -> bool) -> Candidates {
    let mut hosts = Vec::new();
    let mut blocks = Vec::new();
    for HostDelta { address, changes, .. } in deltas {
        let mut ports = Vec::new();
        for change in changes {
            let closed = change.port.filter(|_| change.kind == ChangeKind::ClosedPort);
            if change.confirmation == Confirmation::NotNeeded && closed.is_some_and(|port| alerted(*address, port)) {
                change.confirmation = Confirmation::Wanted;
            }
            if change.confirmation == Confirmation::Wanted {
                match closed {
                    Some(port) => ports.push(port),
                    None => hosts.push(*address),
                }
            }
        }
        if !ports.is_empty() {
            blocks.push(Block { ports: port_set(&ports), targets: (*address).into() });
        }
    }
    Candidates { hosts: hosts.into_iter().collect(), cells: blocks.into_iter().collect() }
}

/// True when more than 30 percent of the known hosts look gone: then confirm a sample, or leave all unconfirmed.
pub fn is_mass_change(gone: u64, known: u64) -> bool {
    u128::from(gone) * 100 > u128::from(known) * 30
}

/// Puts the second look's answer in. What it saw as before is a note and no change; what it saw again is confirmed;
/// what it could not settle, or did not look at, is a note too. Without a second look pass `None` and no coverage.
pub fn settle(delta: HostDelta, second: Option<&HostObservation>, coverage: &RunCoverage) -> HostDelta {
    let look = Look::new(delta.address, second, coverage);
    let gone = host_verdict(&delta.changes, &look);
    let is_about_host = delta.changes.iter().any(|change| change.kind == ChangeKind::RemovedHost);
    let mut settled = HostDelta { address: delta.address, changes: Vec::new(), notes: delta.notes };
    for change in delta.changes {
        if change.confirmation != Confirmation::Wanted {
            settled.changes.push(change);
            continue;
        }
        let verdict = match change.port {
            None => gone,
            Some(_) if gone == Verdict::Same => Verdict::Same,
            // The host was there a moment ago: that it is not found now says nothing of this port.
            Some(_) if look.life == Life::NotThere && !is_about_host => Verdict::Open,
            Some(port) => cell_verdict(look.cell(port)),
        };
        let change = with_state(change, &look);
        match verdict {
            Verdict::Same => settled.changes.push(Change { confirmation: Confirmation::Confirmed, ..change }),
            Verdict::Contradicted => settled.notes.push(Note { kind: NoteKind::Contradicted, change }),
            Verdict::Open => settled.notes.push(Note { kind: NoteKind::Unconfirmed, change }),
        }
    }
    settled.sort();
    settled
}

/// Confirms all candidates of a host: for the rest of a mass change whose sample was confirmed.
pub fn accept(mut delta: HostDelta) -> HostDelta {
    for change in &mut delta.changes {
        if change.confirmation == Confirmation::Wanted {
            change.confirmation = Confirmation::Confirmed;
        }
    }
    delta
}

/// The cells whose fate was left open, by the second look or because the run did not look in a way that compares: no
/// alert about them was verified, none is over.
pub fn unsettled<'a>(deltas: impl IntoIterator<Item = &'a HostDelta>) -> BTreeSet<(IpAddr, PortId)> {
    let open = |note: &&Note| matches!(note.kind, NoteKind::Unconfirmed | NoteKind::NoLongerCovered);
    let notes = deltas.into_iter().flat_map(|delta| &delta.notes).filter(open);
    notes.filter_map(|note| Some((note.change.address, note.change.port?))).collect()
}

/// What a second look says of a first one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Same,
    Contradicted,
    /// It could not tell.
    Open,
}

/// Whether the host is gone. Where only open ports prove that it is there, all that were open must be seen closed.
fn host_verdict(changes: &[Change], look: &Look<'_>) -> Verdict {
    if !changes.iter().any(|change| change.kind == ChangeKind::RemovedHost) {
        return Verdict::Open;
    }
    let mut closed = changes
        .iter()
        .filter(|change| change.kind == ChangeKind::ClosedPort)
        .filter_map(|change| change.port)
        .peekable();
    match look.life {
        Life::There => Verdict::Contradicted,
        Life::NotThere => Verdict::Same,
        Life::NoPort
            if closed.peek().is_some() && closed.all(|port| cell_verdict(look.cell(port)) == Verdict::Same) =>
        {
            Verdict::Same
        }
        Life::NoPort | Life::Unknown => Verdict::Open,
    }
}

fn cell_verdict(cell: Cell<'_>) -> Verdict {
    match cell {
        Cell::Open(_) => Verdict::Contradicted,
        Cell::NotOpen(_) => Verdict::Same,
        Cell::Undecided | Cell::NotCovered => Verdict::Open,
    }
}

/// The state that the second look saw, where it saw one.
fn with_state(mut change: Change, look: &Look<'_>) -> Change {
    if let Some(Cell::NotOpen(Some(state))) = change.port.map(|port| look.cell(port)) {
        change.after = Some(Side::Port { state, service: None });
    }
    change
}
