//! The lines of one host: life, ports, services, operating system, names, link address.

use super::look::{Cell, Life, Look};
use super::volatile::{identified, is_random, same_link, same_names, same_service};
use super::{Change, ChangeKind, Confirmation, HostDelta, KnownHost, Note, NoteKind, PortId, Side};
use crate::analysis::coverage::RunCoverage;
use protocol::observation::{HostObservation, PortObservation, PortState};
use protocol::text::Text;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Compares one host. Nothing is said when `before` is empty: that is a first run.
pub(super) fn compare(
    address: IpAddr,
    known: Option<&KnownHost>,
    observed: Option<&HostObservation>,
    before: &RunCoverage,
    now: &RunCoverage,
) -> HostDelta {
    let mut delta = HostDelta { address, changes: Vec::new(), notes: Vec::new() };
    if before.is_empty() {
        return delta;
    }
    let pair = Pair {
        address,
        before: known.map_or_else(|| Look::new(address, None, before), |known| Look::known(known, before)),
        now: Look::new(address, observed, now),
    };
    pair.compare_life(&mut delta);
    pair.compare_ports(&mut delta, |is| {
        let how = identified(is).and_then(|service| now.detection_of(address, &service.by));
        match (known.and_then(|known| known.detection_of(PortId::of(is))), how) {
            (Some(was), Some(is)) if was == is => Comparable::Yes,
            (Some(_), Some(_)) => Comparable::Differently,
            _ => Comparable::No,
        }
    });
    pair.compare_facts(&mut delta);
    delta.sort();
    delta
}

/// Whether the services of a port were identified in the same way on both sides.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparable {
    Yes,
    Differently,
    No,
}

struct Pair<'a> {
    address: IpAddr,
    before: Look<'a>,
    now: Look<'a>,
}

impl Pair<'_> {
    fn change(&self, kind: ChangeKind, port: Option<PortId>, before: Option<Side>, after: Option<Side>) -> Change {
        Change { kind, address: self.address, port, before, after, confirmation: Confirmation::NotNeeded }
    }

    fn compare_life(&self, delta: &mut HostDelta) {
        let appeared = self.change(ChangeKind::NewHost, None, None, self.now.host.map(host_side));
        let vanished = self.change(ChangeKind::RemovedHost, None, self.before.host.map(host_side), None);
        if moved(&self.before, &self.now) {
            delta.changes.push(Change { confirmation: Confirmation::Wanted, ..vanished });
        } else if moved(&self.now, &self.before) {
            delta.changes.push(appeared);
        } else if self.now.life == Life::There && self.before.life == Life::Unknown {
            delta.notes.push(Note { kind: NoteKind::NewlyCovered, change: appeared });
        } else if self.before.life == Life::There && self.now.life == Life::Unknown {
            delta.notes.push(Note { kind: NoteKind::NoLongerCovered, change: vanished });
        }
    }

    /// Walks the open ports of both sides together.
    fn compare_ports(&self, delta: &mut HostDelta, comparable: impl Fn(&PortObservation) -> Comparable) {
        let mut before = self.before.open_ports().map(PortId::of).peekable();
        let mut now = self.now.open_ports().map(PortId::of).peekable();
        loop {
            let port = match (before.peek(), now.peek()) {
                (None, None) => return,
                (Some(was), Some(is)) => *was.min(is),
                (Some(one), None) | (None, Some(one)) => *one,
            };
            before.next_if_eq(&port);
            now.next_if_eq(&port);
            if self.before.compares(&self.now, port) {
                self.compare_cell(delta, port, &comparable);
            } else {
                self.note_cell(delta, port);
            }
        }
    }

    fn compare_cell(&self, delta: &mut HostDelta, port: PortId, comparable: &impl Fn(&PortObservation) -> Comparable) {
        match (self.before.cell(port), self.now.cell(port)) {
            (Cell::Open(was), Cell::NotOpen(state)) => {
                let after = state.map(|state| Side::Port { state, service: None });
                let change = self.change(ChangeKind::ClosedPort, Some(port), Some(port_side(was)), after);
                delta.changes.push(Change { confirmation: doubt(state), ..change });
            }
            (Cell::NotOpen(state), Cell::Open(is)) => {
                let before = state.map(|state| Side::Port { state, service: None });
                delta.changes.push(self.change(ChangeKind::NewPort, Some(port), before, Some(port_side(is))));
            }
            (Cell::Open(was), Cell::Open(is)) if differs(was, is) => {
                let (before, after) = (Some(port_side(was)), Some(port_side(is)));
                let change = self.change(ChangeKind::ServiceChange, Some(port), before, after);
                match comparable(is) {
                    Comparable::Yes => delta.changes.push(change),
                    Comparable::Differently => {
                        delta.notes.push(Note { kind: NoteKind::IdentifiedDifferently, change });
                    }
                    Comparable::No => {}
                }
            }
            _ => {}
        }
    }

    /// An open port that the other side did not look at. A host that was not asked at all has its own note.
    fn note_cell(&self, delta: &mut HostDelta, port: PortId) {
        let note = match (self.before.cell(port), self.now.cell(port)) {
            (Cell::Open(_), Cell::Open(_)) => return,
            (Cell::Open(was), _) if self.now.life != Life::Unknown => {
                (NoteKind::NoLongerCovered, ChangeKind::ClosedPort, Some(was), None)
            }
            (_, Cell::Open(is)) if self.before.life != Life::Unknown => {
                (NoteKind::NewlyCovered, ChangeKind::NewPort, None, Some(is))
            }
            _ => return,
        };
        let (kind, change, was, is) = note;
        let change = self.change(change, Some(port), was.map(port_side), is.map(port_side));
        delta.notes.push(Note { kind, change });
    }

    fn compare_facts(&self, delta: &mut HostDelta) {
        let (Some(was), Some(is)) = (self.before.host, self.now.host) else { return };
        self.compare_os(delta, was, is);
        if !was.names.is_empty() && !is.names.is_empty() && !same_names(&was.names, &is.names) {
            let (before, after) = (Some(Side::Names(sorted(&was.names))), Some(Side::Names(sorted(&is.names))));
            delta.changes.push(self.change(ChangeKind::NameChange, None, before, after));
        }
        self.compare_link(delta, was, is);
    }

    /// One random link address after another makes a line, but no change: it rotates by itself. A host that had, or
    /// has got, an address of its maker is another matter.
    fn compare_link(&self, delta: &mut HostDelta, was: &HostObservation, is: &HostObservation) {
        let (Some(was), Some(is)) = (&was.mac, &is.mac) else { return };
        if same_link(was, is) {
            return;
        }
        let sides = (Some(Side::Mac(was.clone())), Some(Side::Mac(is.clone())));
        let change = self.change(ChangeKind::MacChange, None, sides.0, sides.1);
        if is_random(was) && is_random(is) {
            delta.notes.push(Note { kind: NoteKind::Volatile, change });
        } else {
            delta.changes.push(change);
        }
    }

    /// Guesses below 100 percent come and go by themselves: they make a line, but no change.
    fn compare_os(&self, delta: &mut HostDelta, was: &HostObservation, is: &HostObservation) {
        let (Some(was), Some(is)) = (&was.os, &is.os) else { return };
        if was.name == is.name {
            return;
        }
        let sides = (Some(Side::Os(was.clone())), Some(Side::Os(is.clone())));
        let change = self.change(ChangeKind::OsChange, None, sides.0, sides.1);
        if was.accuracy >= 100 && is.accuracy >= 100 {
            delta.changes.push(change);
        } else {
            delta.notes.push(Note { kind: NoteKind::IdentifiedDifferently, change });
        }
    }
}

/// True when the host is there on the first side and not on the second. Where only open ports prove that a host is
/// there, the second side must have probed every port that the first side knows as open.
fn moved(there: &Look<'_>, gone: &Look<'_>) -> bool {
    if there.life != Life::There {
        return false;
    }
    let closed = |port: &PortObservation| {
        let port = PortId::of(port);
        there.compares(gone, port) && matches!(gone.cell(port), Cell::NotOpen(_))
    };
    match gone.life {
        Life::NotThere => true,
        Life::NoPort => there.open_ports().next().is_some() && there.open_ports().all(closed),
        Life::There | Life::Unknown => false,
    }
}

/// A port that answers "closed" is closed; silence may be a lost packet.
fn doubt(state: Option<PortState>) -> Confirmation {
    if state == Some(PortState::Closed) { Confirmation::NotNeeded } else { Confirmation::Wanted }
}

fn differs(was: &PortObservation, is: &PortObservation) -> bool {
    match (identified(was), identified(is)) {
        (Some(was), Some(is)) => !same_service(was, is),
        _ => false,
    }
}

pub(super) fn host_side(host: &HostObservation) -> Side {
    Side::Host { reason: host.reason.clone(), names: host.names.clone(), mac: host.mac.clone() }
}

fn port_side(port: &PortObservation) -> Side {
    Side::Port { state: port.state, service: port.service.clone() }
}

fn sorted(names: &[Text]) -> Vec<Text> {
    names.iter().collect::<BTreeSet<_>>().into_iter().cloned().collect()
}
