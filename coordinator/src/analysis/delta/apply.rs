//! The next baseline: covered cells replaced, others kept.

use super::look::{Cell, Life, Look};
use super::{Change, ChangeKind, Compared, HostDelta, IdentifiedPorts, KnownHost, NoteKind, PortId, Side, known};
use crate::analysis::coverage::RunCoverage;
use protocol::observation::{
    HostObservation, PortObservation, PortState, ServiceDetection, ServiceMethod, UnlistedPorts,
};
use protocol::task::RunId;
use protocol::{PortSet, Protocol};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of a host after a run; `None` when it is not there.
///
/// `compared` must be settled: what its notes call unconfirmed or contradicted stays as it was. `before` and `now` are
/// the coverages that it was compared with.
pub fn apply(compared: Compared, before: &RunCoverage, now: &RunCoverage, run: RunId) -> Option<KnownHost> {
    let Compared { known, observed, delta } = compared;
    if delta.changes.iter().any(|change| change.kind == ChangeKind::RemovedHost) {
        return None;
    }
    let look = Look::new(delta.address, observed.as_ref(), now);
    match (known, look.life) {
        (None, Life::Unknown | Life::NotThere | Life::NoPort) => None,
        (None, Life::There) => look.host.map(|host| fresh(host, &look, now, run)),
        (Some(known), Life::Unknown) => Some(known),
        (Some(known), Life::NotThere) => Some(without_closed(known, &delta.changes)),
        (Some(known), Life::There | Life::NoPort) => {
            let earlier = Look::new(delta.address, Some(&known.observation), before);
            Some(
                Merge { known: &known, shared: earlier.shared_ports(&look), earlier, look, delta: &delta }
                    .host(now, run),
            )
        }
    }
}

fn fresh(host: &HostObservation, look: &Look<'_>, now: &RunCoverage, run: RunId) -> KnownHost {
    let ports: Vec<PortObservation> = host.ports.iter().filter(|port| look.covers(PortId::of(port))).cloned().collect();
    let how = now.detection_of(host.address);
    let services = identified(ports.iter().filter(|port| is_probed(port)).map(|port| (PortId::of(port), how)));
    let observation = HostObservation { ports, ..host.clone() };
    KnownHost { address: host.address, observation, seen_run: run, services }
}

/// A host that the second look found although the first did not: only ports that the second look saw closed are gone.
fn without_closed(mut known: KnownHost, changes: &[Change]) -> KnownHost {
    let closed = changes.iter().filter(|change| change.kind == ChangeKind::ClosedPort);
    for (port, after) in closed.filter_map(|change| Some((change.port?, change.after.as_ref()))) {
        let ports = &mut known.observation.ports;
        match after {
            Some(Side::Port { state, .. }) => {
                for listed in ports.iter_mut().filter(|listed| PortId::of(listed) == port) {
                    (listed.state, listed.service) = (*state, None);
                }
            }
            Some(Side::Host { .. } | Side::Os(_) | Side::Names(_) | Side::Mac(_)) | None => {
                ports.retain(|listed| PortId::of(listed) != port);
            }
        }
    }
    known
}

/// A known host and what a run saw of it.
struct Merge<'a> {
    known: &'a KnownHost,
    earlier: Look<'a>,
    look: Look<'a>,
    shared: PortSet,
    delta: &'a HostDelta,
}

impl Merge<'_> {
    fn host(&self, now: &RunCoverage, run: RunId) -> KnownHost {
        let how = now.detection_of(self.known.address);
        let mut ports: BTreeMap<PortId, (PortObservation, Option<&ServiceDetection>)> = BTreeMap::new();
        for port in &self.known.observation.ports {
            let id = PortId::of(port);
            if !self.is_replaced(id) || matches!(self.look.cell(id), Cell::Undecided) {
                ports.insert(id, (port.clone(), self.known.detection_of(id)));
            }
        }
        for port in self.look.host.iter().flat_map(|host| &host.ports) {
            let id = PortId::of(port);
            if self.is_replaced(id) && !ports.contains_key(&id) {
                ports.insert(id, self.with_known_service(port, how));
            }
        }
        let services =
            identified(ports.iter().filter(|(_, (port, _))| is_probed(port)).map(|(id, (_, how))| (*id, *how)));
        let ports = ports.into_values().map(|(port, _)| port).collect();
        let observation = self.observation(ports);
        let seen_run = if self.look.host.is_some() { run } else { self.known.seen_run };
        KnownHost { address: self.known.address, observation, seen_run, services }
    }

    /// True when the run's word on this cell counts.
    fn is_replaced(&self, port: PortId) -> bool {
        let kept = |kind| matches!(kind, NoteKind::Unconfirmed | NoteKind::Contradicted);
        let compares = self.shared.contains(port.protocol, port.port) || !self.earlier.covers(port);
        self.look.covers(port)
            && compares
            && !self.delta.notes.iter().any(|note| note.change.port == Some(port) && kept(note.kind))
    }

    /// A run that did not identify the service of an open port does not make us forget it.
    fn with_known_service<'b>(
        &'b self,
        port: &PortObservation,
        how: Option<&'b ServiceDetection>,
    ) -> (PortObservation, Option<&'b ServiceDetection>) {
        let id = PortId::of(port);
        let known = self.known.open_ports().find(|known| PortId::of(known) == id);
        match known.filter(|known| port.state == PortState::Open && is_probed(known) && !is_probed(port)) {
            Some(known) => {
                (PortObservation { service: known.service.clone(), ..port.clone() }, self.known.detection_of(id))
            }
            None => (port.clone(), how),
        }
    }

    fn observation(&self, ports: Vec<PortObservation>) -> HostObservation {
        let known = &self.known.observation;
        let Some(host) = self.look.host else { return HostObservation { ports, ..known.clone() } };
        HostObservation {
            address: host.address,
            state: host.state,
            reason: host.reason.clone(),
            seen: host.seen,
            names: if host.names.is_empty() { known.names.clone() } else { host.names.clone() },
            mac: host.mac.clone().or_else(|| known.mac.clone()),
            os: host.os.clone().or_else(|| known.os.clone()),
            ports,
            unlisted: self.unlisted(&known.unlisted, &host.unlisted),
        }
    }

    /// Sums of a protocol are replaced when all its ports were looked at again, otherwise both stand.
    fn unlisted(&self, known: &[UnlistedPorts], seen: &[UnlistedPorts]) -> Vec<UnlistedPorts> {
        let again = |protocol: Protocol| self.earlier.ports.only(protocol).minus(&self.look.ports).is_empty();
        let known: Vec<UnlistedPorts> = known.iter().filter(|part| !again(part.protocol)).cloned().collect();
        known::merge_unlisted(&known, seen)
    }
}

fn is_probed(port: &PortObservation) -> bool {
    port.service.as_ref().is_some_and(|service| service.method == ServiceMethod::Probed)
}

fn identified<'a>(ports: impl Iterator<Item = (PortId, Option<&'a ServiceDetection>)>) -> Vec<IdentifiedPorts> {
    let mut by_way: BTreeMap<&ServiceDetection, BTreeSet<PortId>> = BTreeMap::new();
    for (port, how) in ports {
        if let Some(how) = how {
            by_way.entry(how).or_default().insert(port);
        }
    }
    by_way.into_iter().map(|(how, ports)| IdentifiedPorts { how: how.clone(), ports: port_set(&ports) }).collect()
}

fn port_set(ports: &BTreeSet<PortId>) -> PortSet {
    Protocol::ALL.into_iter().fold(PortSet::empty(), |all, protocol| {
        let of = ports.iter().filter(|port| port.protocol == protocol).map(|port| port.port);
        all.union(&PortSet::from_ports(protocol, of))
    })
}
