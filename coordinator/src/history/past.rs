//! One run read back: its hosts as it saw them, as far as it looked.

use super::{RunLook, Versions, reported_runs, versions};
use crate::analysis::delta::{IdentifiedPorts, KnownHost, PortId};
use crate::run::Run;
use crate::store::tables::{RUN_LOOKS, RUNS};
use crate::store::{Reads, StoreError};
use protocol::PortSet;
use protocol::observation::{HostObservation, ServiceDetection, ServiceMethod};
use protocol::task::RunId;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// A run, and what it looked at; nothing, when it has no report.
pub(crate) struct PastRun {
    pub(crate) run: Run,
    pub(crate) look: Option<RunLook>,
}

impl PastRun {
    /// Reads it; `None` when there is no such run.
    pub(crate) fn read(reads: &impl Reads, id: RunId) -> Result<Option<Self>, StoreError> {
        let Some(run) = reads.get(&RUNS, &id)? else { return Ok(None) };
        Ok(Some(Self { run, look: reads.get(&RUN_LOOKS, &id)? }))
    }

    /// The hosts that it found up, in order: at most `limit`, after the address `after`.
    ///
    /// Ports and services are those that it looked at. Names, link address and operating system that it did not look
    /// for are those known at that time; `seen` is when the host was first found like this.
    pub(crate) fn hosts(
        &self,
        reads: &impl Reads,
        after: Option<IpAddr>,
        limit: usize,
    ) -> Result<Vec<HostObservation>, StoreError> {
        let Some(look) = &self.look else { return Ok(Vec::new()) };
        let reported = reported_runs(reads, self.run.scan, self.run.id)?;
        let mut hosts = Vec::new();
        for versions in versions(reads, self.run.scan, after) {
            let versions = versions?;
            if hosts.len() >= limit {
                break;
            }
            if look.seen.contains(versions.address) {
                hosts.extend(look.host(&versions, &reported, self.run.id)?.map(|host| host.observation));
            }
        }
        Ok(hosts)
    }
}

impl RunLook {
    /// A host as `run`, which looked like this, saw it; `None` when it was not there, or the run cannot tell.
    pub(crate) fn host(
        &self,
        versions: &Versions<'_>,
        reported: &BTreeSet<RunId>,
        run: RunId,
    ) -> Result<Option<KnownHost>, StoreError> {
        let (address, coverage) = (versions.address, &self.coverage);
        let ports = coverage.probed.ports_of(address).union(&coverage.probed_otherwise.ports_of(address));
        // Whether a host is there may be open while some of its cells are settled: then these cells count.
        let is_there = if coverage.asked.contains(address) { self.seen.contains(address) } else { !ports.is_empty() };
        let known = if is_there { versions.known(reported, run)? } else { None };
        Ok(known.map(|known| self.as_far_as_looked(known, &ports)))
    }

    fn as_far_as_looked(&self, mut host: KnownHost, looked: &PortSet) -> KnownHost {
        let address = host.address;
        let is_its = |how: &ServiceDetection| self.coverage.detection_of(address, &how.engine) == Some(how);
        let mut ports = std::mem::take(&mut host.observation.ports);
        ports.retain(|port| looked.contains(port.protocol, port.port));
        for port in &mut ports {
            let id = PortId { protocol: port.protocol, port: port.port };
            let by_probe = port.service.as_ref().is_some_and(|service| service.method == ServiceMethod::Probed);
            if by_probe && !host.detection_of(id).is_some_and(is_its) {
                port.service = None;
            }
        }
        host.services.retain(|part| is_its(&part.how));
        host.services = host
            .services
            .into_iter()
            .map(|IdentifiedPorts { how, ports }| IdentifiedPorts { how, ports: ports.intersection(looked) })
            .collect();
        host.observation.ports = ports;
        host
    }
}
