//! The known hosts of several networks as one walk in order of address: a few hosts in memory, however many there are.

use super::{Among, HostView};
use crate::analysis::alert::Severity;
use crate::analysis::delta::KnownHost;
use crate::history::{Versions, reported_runs, versions_from, versions_of};
use crate::host::HostKey;
use crate::scan::Scan;
use crate::store::tables::{REPORT_SUMMARIES, RUN_LOOKS, RUNS, SCANS};
use crate::store::{Reads, StoreError};
use protocol::task::{RunId, ScanId};
use protocol::text::Text;
use protocol::{TargetSet, Timestamp};
use std::collections::BTreeSet;
use std::iter::Peekable;
use std::net::{IpAddr, Ipv4Addr};

/// How many hosts one walk looks at before it stops and says where.
pub(crate) const MOST_LOOKED_AT: usize = 100_000;

/// How many runs back a walk asks who saw a host last.
const MOST_LOOKS: usize = 64;

const LATEST: RunId = RunId(u64::MAX);

type Hosts<'a> = Box<dyn Iterator<Item = Result<Versions<'a>, StoreError>> + 'a>;

/// A known host on the way.
pub(crate) struct Found {
    pub(crate) key: HostKey,
    pub(crate) host: KnownHost,
    lane: usize,
}

/// Hosts in order of address, then of network.
pub(crate) struct Walk<'a, R> {
    reads: &'a R,
    lanes: Vec<Lane<'a>>,
    last: Option<IpAddr>,
    looked_at: usize,
    /// The host that was looked at last.
    passed: Option<HostKey>,
    stopped_at: Option<HostKey>,
}

/// The hosts of one network.
struct Lane<'a> {
    scan: Scan,
    reported: BTreeSet<RunId>,
    hosts: Peekable<Hosts<'a>>,
    /// Which runs saw whom, newest first, read as far back as somebody asks.
    sightings: Vec<(RunId, Timestamp, TargetSet)>,
}

impl<'a, R: Reads> Walk<'a, R> {
    /// Over every host of the networks in use.
    pub(crate) fn over_all(reads: &'a R) -> Result<Self, StoreError> {
        Self::new(reads, None, None, None, None)
    }

    /// Over one network, or over all that are in use; between the first and the last of `addresses`; after `after`. Of a
    /// network that `among` speaks of, only over the hosts that it names.
    pub(crate) fn new(
        reads: &'a R,
        scan: Option<ScanId>,
        addresses: Option<&TargetSet>,
        after: Option<HostKey>,
        among: Option<&'a Among>,
    ) -> Result<Self, StoreError> {
        let window = addresses.map(|wanted| (wanted.first(), wanted.ranges().map(|range| range.last()).max()));
        let first = window.and_then(|(first, _)| first).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let is_nothing = addresses.is_some_and(TargetSet::is_empty);
        let mut lanes = Vec::new();
        for row in reads.iter(&SCANS) {
            let (id, found) = row?;
            if !is_nothing && scan.map_or(found.active, |scan| scan == id) {
                let among = among.and_then(|among| among.get(&id)).map(Vec::as_slice);
                lanes.push(Lane::new(reads, found, first, after, among)?);
            }
        }
        Ok(Self { reads, lanes, last: window.and_then(|(_, last)| last), looked_at: 0, passed: None, stopped_at: None })
    }

    /// The next known host; `None` at the end, or when enough were looked at.
    pub(crate) fn next(&mut self) -> Result<Option<Found>, StoreError> {
        loop {
            let Some((key, place)) = self.nearest()? else { return Ok(None) };
            if self.looked_at >= MOST_LOOKED_AT {
                self.stopped_at = self.passed;
                return Ok(None);
            }
            let Some(lane) = self.lanes.get_mut(place) else { return Ok(None) };
            let Some(versions) = lane.hosts.next().transpose()? else { return Ok(None) };
            let known = versions.known(&lane.reported, LATEST)?;
            (self.looked_at, self.passed) = (self.looked_at + 1, Some(key));
            if let Some(host) = known {
                return Ok(Some(Found { key, host, lane: place }));
            }
        }
    }

    /// The lane whose next host comes first.
    fn nearest(&mut self) -> Result<Option<(HostKey, usize)>, StoreError> {
        let mut nearest: Option<(HostKey, usize)> = None;
        for (place, lane) in self.lanes.iter_mut().enumerate() {
            let Some(address) = lane.address()? else { continue };
            let key = HostKey { address, scan: lane.scan.id };
            if self.last.is_none_or(|last| address <= last) && nearest.is_none_or(|(first, _)| key < first) {
                nearest = Some((key, place));
            }
        }
        Ok(nearest)
    }

    /// Where the walk stopped because it had looked at many hosts; the next one goes on after it.
    pub(crate) fn stopped_at(&self) -> Option<HostKey> {
        self.stopped_at
    }

    /// Its networks.
    pub(crate) fn networks(&self) -> impl Iterator<Item = ScanId> {
        self.lanes.iter().map(|lane| lane.scan.id)
    }

    /// How many hosts are known in these networks, by their latest reports.
    pub(crate) fn known(&self) -> u64 {
        let newest = |lane: &Lane<'_>| {
            let newest = lane.reported.last()?;
            self.reads.get(&REPORT_SUMMARIES, newest).ok()?
        };
        self.lanes.iter().filter_map(newest).map(|report| report.known_hosts).sum()
    }

    /// The name of a host's network.
    pub(crate) fn network(&self, found: &Found) -> Text {
        self.lanes.get(found.lane).map(|lane| lane.scan.definition.name().clone()).unwrap_or_default()
    }

    /// The site of a host's network.
    pub(crate) fn site(&self, found: &Found) -> Text {
        self.lanes.get(found.lane).map(|lane| lane.scan.definition.site().clone()).unwrap_or_default()
    }

    /// A host with what is said beside it.
    pub(crate) fn view(
        &mut self,
        found: Found,
        alerts: usize,
        worst: Option<Severity>,
    ) -> Result<HostView, StoreError> {
        let network = self.network(&found);
        let Found { key, host, lane } = found;
        let seen = match self.lanes.get_mut(lane) {
            Some(lane) => lane.last_seen(self.reads, key.address)?,
            None => None,
        };
        let (seen, seen_at) = seen.unwrap_or((host.seen_run, host.observation.seen));
        Ok(HostView { key, network, host, seen, seen_at, alerts, worst })
    }
}

impl<'a> Lane<'a> {
    fn new(
        reads: &'a impl Reads,
        scan: Scan,
        first: IpAddr,
        after: Option<HostKey>,
        among: Option<&'a [IpAddr]>,
    ) -> Result<Self, StoreError> {
        // Of the address where the page before ended, networks with a higher number are still to come.
        let is_behind = |key: &HostKey| scan.id <= key.scan;
        let start = match after {
            Some(key) if key.address < first => (first, false),
            Some(key) => (key.address, is_behind(&key)),
            None => (first, false),
        };
        let id = scan.id;
        let hosts: Hosts<'a> = match among {
            None => Box::new(versions_from(reads, id, start.0, start.1)),
            Some(among) => {
                let passed = among.partition_point(|address| (*address, false) < start);
                let hosts = among.get(passed..).unwrap_or_default().iter();
                Box::new(hosts.filter_map(move |address| versions_of(reads, id, *address).transpose()))
            }
        };
        let reported = reported_runs(reads, scan.id, LATEST)?;
        Ok(Self { scan, reported, hosts: hosts.peekable(), sightings: Vec::new() })
    }

    /// Of the next host.
    fn address(&mut self) -> Result<Option<IpAddr>, StoreError> {
        match self.hosts.peek() {
            None => Ok(None),
            Some(Ok(versions)) => Ok(Some(versions.address)),
            Some(Err(_)) => self.hosts.next().transpose().map(|versions| versions.map(|versions| versions.address)),
        }
    }

    /// The latest run that saw this address, and when; `None` when none of the latest did.
    fn last_seen(&mut self, reads: &impl Reads, address: IpAddr) -> Result<Option<(RunId, Timestamp)>, StoreError> {
        for back in 0..MOST_LOOKS {
            if self.sightings.len() == back && !self.look_further_back(reads)? {
                break;
            }
            if let Some((run, at, _)) = self.sightings.get(back).filter(|(_, _, seen)| seen.contains(address)) {
                return Ok(Some((*run, *at)));
            }
        }
        Ok(None)
    }

    /// Reads whom one more run saw; false when there is none.
    fn look_further_back(&mut self, reads: &impl Reads) -> Result<bool, StoreError> {
        let Some(run) = self.reported.iter().rev().nth(self.sightings.len()).copied() else { return Ok(false) };
        let seen = reads.get(&RUN_LOOKS, &run)?.map(|look| look.seen).unwrap_or_default();
        let ended = reads.get(&RUNS, &run)?.map(|run| run.ended.unwrap_or(run.created));
        self.sightings.push((run, ended.unwrap_or(Timestamp::from_millis(0)), seen));
        Ok(true)
    }
}
