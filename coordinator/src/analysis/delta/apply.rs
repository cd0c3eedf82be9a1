//! The next baseline: covered cells replaced, others kept.

use super::known::port_set;
use super::look::{Cell, Life, Look};
use super::volatile::{fuller, identified, same_names};
use super::{Change, ChangeKind, Compared, HostDelta, IdentifiedPorts, KnownHost, NoteKind, PortId, Side, known};
use crate::analysis::coverage::RunCoverage;
use protocol::Protocol;
use protocol::observation::{HostObservation, PortObservation, PortState, Service, ServiceDetection, UnlistedPorts};
use protocol::task::RunId;
use std::collections::BTreeMap;

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
        (None, Life::There) => {
            let earlier = Look::new(delta.address, None, before);
            look.host.map(|host| fresh(host, |port| look.overrides(&earlier, port), now, run))
        }
        (Some(known), Life::Unknown) => Some(known),
        (Some(known), Life::NotThere) => Some(without_closed(known, &delta.changes)),
        (Some(known), Life::There | Life::NoPort) => {
            let earlier = Look::known(&known, before);
            Some(Merge { known: &known, earlier, look, delta: &delta }.host(now, run))
        }
    }
}

/// A host that was not known, with the ports of which the run's word counts.
fn fresh(host: &HostObservation, counts: impl Fn(PortId) -> bool, now: &RunCoverage, run: RunId) -> KnownHost {
    let ports: Vec<PortObservation> = host.ports.iter().filter(|port| counts(PortId::of(port))).cloned().collect();
    let how = |port| now.detection_of(host.address, &identified(port)?.by);
    let services = ways(ports.iter().filter_map(|port| how(port).map(|how| (PortId::of(port), how))));
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
    delta: &'a HostDelta,
}

/// A port as it is known from now on, and how its service was identified.
type Merged<'a> = (PortObservation, Option<&'a ServiceDetection>);

impl Merge<'_> {
    fn host(&self, now: &RunCoverage, run: RunId) -> KnownHost {
        let merged = self.ports(now);
        let probed =
            merged.iter().filter_map(|(port, how)| identified(port).and(*how).map(|how| (PortId::of(port), how)));
        let services = ways(probed);
        let observation = self.observation(merged.into_iter().map(|(port, _)| port).collect());
        let seen_run = if self.look.host.is_some() { run } else { self.known.seen_run };
        KnownHost { address: self.known.address, observation, seen_run, services }
    }

    /// The listed ports of both sides together, in order.
    fn ports<'b>(&'b self, now: &'b RunCoverage) -> Vec<Merged<'b>> {
        let mut known = self.known.observation.ports.iter().peekable();
        let mut seen = self.look.host.map_or(&[][..], |host| &host.ports).iter().peekable();
        let mut merged = Vec::with_capacity(known.len().max(seen.len()));
        loop {
            let port = match (known.peek(), seen.peek()) {
                (None, None) => return merged,
                (Some(was), Some(is)) => PortId::of(was).min(PortId::of(is)),
                (Some(one), None) | (None, Some(one)) => PortId::of(one),
            };
            let was = known.next_if(|was| PortId::of(was) == port);
            let is = seen.next_if(|is| PortId::of(is) == port);
            if !self.is_replaced(port) || matches!(self.look.cell(port), Cell::Undecided) {
                merged.extend(was.map(|was| (was.clone(), self.known.detection_of(port))));
            } else {
                let how = |is| now.detection_of(self.known.address, &identified(is)?.by);
                merged.extend(is.map(|is| self.with_known_service(was, is, how(is))));
            }
        }
    }

    /// True when the run's word on this cell counts.
    fn is_replaced(&self, port: PortId) -> bool {
        let kept = |kind| matches!(kind, NoteKind::Unconfirmed | NoteKind::Contradicted);
        self.look.overrides(&self.earlier, port)
            && !self.delta.notes.iter().any(|note| note.change.port == Some(port) && kept(note.kind))
    }

    /// A run that identified the service of an open port less fully, or not at all, does not make us forget it.
    fn with_known_service<'b>(
        &'b self,
        was: Option<&PortObservation>,
        is: &PortObservation,
        how: Option<&'b ServiceDetection>,
    ) -> Merged<'b> {
        let stays = |was: &&PortObservation| was.state == PortState::Open && is.state == PortState::Open;
        let known_how = self.known.detection_of(PortId::of(is));
        let with = |service: Service| PortObservation { service: Some(service), ..is.clone() };
        match (was.filter(stays).and_then(identified), identified(is)) {
            (Some(known), None) => (with(known.clone()), known_how),
            (Some(known), Some(seen)) if known_how.is_some() && known_how == how => (with(fuller(known, seen)), how),
            (Some(_) | None, _) => (is.clone(), how),
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
            names: if host.names.is_empty() || same_names(&host.names, &known.names) {
                known.names.clone()
            } else {
                host.names.clone()
            },
            mac: host.mac.clone().or_else(|| known.mac.clone()),
            os: host.os.clone().or_else(|| known.os.clone()),
            ports,
            unlisted: self.unlisted(&known.unlisted, &host.unlisted),
        }
    }

    /// Sums of a protocol are replaced when all its ports were looked at again, otherwise both stand.
    fn unlisted(&self, known: &[UnlistedPorts], seen: &[UnlistedPorts]) -> Vec<UnlistedPorts> {
        let again = |protocol: Protocol| self.look.covers_all_of(&self.earlier, protocol);
        let known: Vec<UnlistedPorts> = known.iter().filter(|part| !again(part.protocol)).cloned().collect();
        if known.is_empty() { seen.to_vec() } else { known::merge_unlisted(&known, seen) }
    }
}

/// Ports by the way in which their services were identified.
fn ways<'a>(ports: impl Iterator<Item = (PortId, &'a ServiceDetection)>) -> Vec<IdentifiedPorts> {
    let mut by_way: BTreeMap<&ServiceDetection, Vec<PortId>> = BTreeMap::new();
    for (port, how) in ports {
        by_way.entry(how).or_default().push(port);
    }
    by_way.into_iter().map(|(how, ports)| IdentifiedPorts { how: how.clone(), ports: port_set(&ports) }).collect()
}
