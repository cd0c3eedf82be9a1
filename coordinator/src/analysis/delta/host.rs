//! The lines of one host: life, ports, services, operating system, names.

use super::look::{Cell, Life, Look};
use super::volatile::same_service;
use super::{Change, ChangeKind, Confirmation, HostDelta, KnownHost, Note, NoteKind, PortId, Side};
use crate::analysis::coverage::RunCoverage;
use protocol::observation::{HostObservation, PortObservation, PortState, Service, ServiceMethod};
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
        before: Look::new(address, known.map(|known| &known.observation), before),
        now: Look::new(address, observed, now),
    };
    pair.compare_life(&mut delta);
    pair.compare_ports(&mut delta, |port| {
        match (known.and_then(|known| known.detection_of(port)), now.detection_of(address)) {
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

    fn compare_ports(&self, delta: &mut HostDelta, comparable: impl Fn(PortId) -> Comparable) {
        let shared = self.before.shared_ports(&self.now);
        let open = self.before.open_ports().chain(self.now.open_ports()).map(PortId::of);
        for port in open.collect::<BTreeSet<PortId>>() {
            if shared.contains(port.protocol, port.port) {
                self.compare_cell(delta, port, comparable(port));
            } else {
                self.note_cell(delta, port);
            }
        }
    }

    fn compare_cell(&self, delta: &mut HostDelta, port: PortId, comparable: Comparable) {
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
                match comparable {
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
        let (old, new) = (sorted(&was.names), sorted(&is.names));
        if !old.is_empty() && !new.is_empty() && old != new {
            let (before, after) = (Some(Side::Names(old)), Some(Side::Names(new)));
            delta.changes.push(self.change(ChangeKind::NameChange, None, before, after));
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
    let shared = there.shared_ports(gone);
    let closed = |port: &PortObservation| {
        shared.contains(port.protocol, port.port) && matches!(gone.cell(PortId::of(port)), Cell::NotOpen(_))
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
    match (probed(was), probed(is)) {
        (Some(was), Some(is)) => !same_service(was, is),
        _ => false,
    }
}

fn probed(port: &PortObservation) -> Option<&Service> {
    port.service.as_ref().filter(|service| service.method == ServiceMethod::Probed)
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
