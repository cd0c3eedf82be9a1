//! What a run settled: its coverage without what the second look left open.

use crate::analysis::coverage::{Block, Cells, RunCoverage};
use crate::analysis::delta::{ChangeKind, HostDelta, NoteKind, PortId};
use protocol::PortSet;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What is not settled, host by host.
#[derive(Default)]
pub(super) struct Doubts {
    /// Hosts that may be there or not.
    unasked: Vec<IpAddr>,
    /// Hosts of which the first look says nothing but these ports: it took them for gone, and they are not, or may not
    /// be.
    only: BTreeMap<PortSet, Vec<IpAddr>>,
    /// Ports of other hosts that may be open or not.
    open: BTreeMap<PortSet, Vec<IpAddr>>,
}

impl Doubts {
    /// Takes what the settled lines of one host leave open.
    pub(super) fn note(&mut self, delta: &HostDelta) {
        let doubted = |kind| matches!(kind, NoteKind::Unconfirmed | NoteKind::Contradicted);
        let of_host = delta.notes.iter().find(|note| note.change.kind == ChangeKind::RemovedHost && doubted(note.kind));
        match of_host.map(|note| note.kind) {
            Some(kind) => {
                if kind == NoteKind::Unconfirmed {
                    self.unasked.push(delta.address);
                }
                let closed = delta.changes.iter().filter_map(|change| change.port);
                let kept = ports(closed.chain(noted(delta, NoteKind::Contradicted)));
                self.only.entry(kept).or_default().push(delta.address);
            }
            None => {
                let open = ports(noted(delta, NoteKind::Unconfirmed));
                if !open.is_empty() {
                    self.open.entry(open).or_default().push(delta.address);
                }
            }
        }
    }

    /// What of `decided` is settled.
    pub(super) fn settled(self, decided: &RunCoverage) -> RunCoverage {
        let Self { unasked, only, open } = self;
        let blocks = [&decided.probed, &decided.probed_otherwise].map(Cells::blocks);
        let every = blocks.iter().flatten().fold(PortSet::empty(), |all, block| all.union(&block.ports));
        let block = |ports: PortSet, hosts: Vec<IpAddr>| Block { ports, targets: hosts.into_iter().collect() };
        let but = only.into_iter().map(|(kept, hosts)| block(every.minus(&kept), hosts));
        let cells: Cells = but.chain(open.into_iter().map(|(ports, hosts)| block(ports, hosts))).collect();
        let unasked = unasked.into_iter().collect();
        RunCoverage {
            asked: decided.asked.minus(&unasked),
            by_port_only: decided.by_port_only.minus(&unasked),
            probed: decided.probed.minus(&cells),
            probed_otherwise: decided.probed_otherwise.minus(&cells),
            identified: decided.identified.clone(),
            options: decided.options.clone(),
        }
    }
}

fn noted(delta: &HostDelta, kind: NoteKind) -> impl Iterator<Item = PortId> {
    delta.notes.iter().filter(move |note| note.kind == kind).filter_map(|note| note.change.port)
}

fn ports(ports: impl Iterator<Item = PortId>) -> PortSet {
    ports.fold(PortSet::empty(), |all, port| all.union(&PortSet::from_ports(port.protocol, [port.port])))
}
