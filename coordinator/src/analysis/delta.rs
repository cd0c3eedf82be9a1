//! What changed: the run's observations against what was known, host by host (SPEC section 5).
//!
//! Both sides come sorted by address and are read side by side, so only one host of each is in memory. Only what both
//! sides looked at can change. What is stored, and when a second look is taken, is left to `closing`.

mod apply;
mod confirm;
#[cfg(test)]
mod guide;
mod host;
mod known;
mod look;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
mod volatile;

pub use apply::apply;
pub use confirm::{Candidates, accept, candidates, is_mass_change, settle, unsettled};
pub use known::{IdentifiedPorts, KnownHost, combine};
pub use volatile::{is_service, same_service};

use crate::analysis::alert::{Rule, Severity, rule_for};
use crate::analysis::coverage::RunCoverage;
use protocol::Protocol;
use protocol::codec::{Decode, Encode};
use protocol::observation::{HostObservation, MacAddress, OsGuess, PortState, Service};
use protocol::text::Text;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::iter::Peekable;
use std::net::IpAddr;

/// A port of one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
pub struct PortId {
    /// TCP, UDP or SCTP.
    pub protocol: Protocol,
    /// Its number.
    pub port: u16,
}

/// What kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// A host that was not there.
    NewHost,
    /// A host that is no longer there.
    RemovedHost,
    /// A port that was not open.
    NewPort,
    /// A port that is no longer open.
    ClosedPort,
    /// Another service, product, version or extra information on an open port.
    ServiceChange,
    /// Another operating system.
    OsChange,
    /// Other names in the name services.
    NameChange,
    /// Another link address.
    MacChange,
}

/// One side of a change.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// A host that is there.
    Host {
        /// Why the engine says so.
        reason: Text,
        /// Its names.
        names: Vec<Text>,
        /// Its link address.
        mac: Option<MacAddress>,
    },
    /// A port and what answers there.
    Port {
        /// Its state.
        state: PortState,
        /// The service, where one is known.
        service: Option<Service>,
    },
    /// An operating system.
    Os(OsGuess),
    /// Names, sorted.
    Names(Vec<Text>),
    /// A link address.
    Mac(MacAddress),
}

/// Whether a second look is needed before a change is reported (SPEC R4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confirmation {
    /// What was seen is proof enough.
    NotNeeded,
    /// Something is missing that was there: look again.
    Wanted,
    /// The second look saw the same.
    Confirmed,
}

/// One line of a report.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Change {
    /// What kind.
    pub kind: ChangeKind,
    /// Which host.
    pub address: IpAddr,
    /// Which port, for changes of ports and services.
    pub port: Option<PortId>,
    /// What was known; `None` for a new host, and for a new port of a host that was not there.
    pub before: Option<Side>,
    /// What was found; `None` for a removed host and its ports.
    pub after: Option<Side>,
    /// Whether a second look is needed.
    pub confirmation: Confirmation,
}

/// Why a line counts as no change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoteKind {
    /// Both sides identified it, but not in the same way.
    IdentifiedDifferently,
    /// The second look could not settle it.
    Unconfirmed,
    /// The second look found it as it was before.
    Contradicted,
    /// It is there, but was never looked for before.
    NewlyCovered,
    /// It was there, but was not looked for this time.
    NoLongerCovered,
    /// It changes by itself: one random link address after another.
    Volatile,
}

/// A line that counts as no change.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Note {
    /// Why it does not count.
    pub kind: NoteKind,
    /// What it would be if it did.
    pub change: Change,
}

/// The lines of one host, sorted by port (the host's own first) and kind.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct HostDelta {
    /// The host.
    pub address: IpAddr,
    /// What changed.
    pub changes: Vec<Change>,
    /// What did not.
    pub notes: Vec<Note>,
}

/// Both sides of one host, and what changed between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// What was known.
    pub known: Option<KnownHost>,
    /// What the run saw.
    pub observed: Option<HostObservation>,
    /// The difference.
    pub delta: HostDelta,
}

/// What a report says at a glance (SPEC R5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// A new port whose rule is critical or high.
    Critical,
    /// Any other change.
    Changes,
    /// No change.
    Stable,
}

impl HostDelta {
    /// True when there is no line at all.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.notes.is_empty()
    }

    fn sort(&mut self) {
        self.changes.sort_by_key(|change| (change.port, change.kind));
        self.notes.sort_by_key(|note| (note.change.port, note.change.kind, note.kind));
    }
}

/// Compares what was known with what a run saw. Both iterators must be sorted by address, each address once.
///
/// Both coverages must be [decided](RunCoverage::decided): a cell that nobody could tell was not seen. A scan's first run
/// has an empty `before`: nothing was covered, so nothing changes. Each host of either side is returned, in order, also
/// without any line.
pub fn compare<'a>(
    baseline: impl Iterator<Item = KnownHost> + 'a,
    run: impl Iterator<Item = HostObservation> + 'a,
    before: &'a RunCoverage,
    now: &'a RunCoverage,
) -> impl Iterator<Item = Compared> + 'a {
    let (mut baseline, mut run) = (baseline.peekable(), run.peekable());
    std::iter::from_fn(move || {
        let (known, observed) = next_pair(&mut baseline, &mut run);
        let address = known.as_ref().map(|host| host.address).or(observed.as_ref().map(|host| host.address))?;
        let delta = host::compare(address, known.as_ref(), observed.as_ref(), before, now);
        Some(Compared { known, observed, delta })
    })
}

fn next_pair(
    baseline: &mut Peekable<impl Iterator<Item = KnownHost>>,
    run: &mut Peekable<impl Iterator<Item = HostObservation>>,
) -> (Option<KnownHost>, Option<HostObservation>) {
    let order = match (baseline.peek(), run.peek()) {
        (Some(known), Some(observed)) => known.address.cmp(&observed.address),
        (Some(_), None) => Ordering::Less,
        (None, _) => Ordering::Greater,
    };
    match order {
        Ordering::Less => (baseline.next(), None),
        Ordering::Equal => (baseline.next(), run.next()),
        Ordering::Greater => (None, run.next()),
    }
}

/// As [`compare`], but only the lines, of hosts that have any.
pub fn delta<'a>(
    baseline: impl Iterator<Item = KnownHost> + 'a,
    run: impl Iterator<Item = HostObservation> + 'a,
    before: &'a RunCoverage,
    now: &'a RunCoverage,
) -> impl Iterator<Item = HostDelta> + 'a {
    compare(baseline, run, before, now).map(|compared| compared.delta).filter(|delta| !delta.is_empty())
}

/// The status of a report with these changes.
pub fn status<'a>(changes: impl IntoIterator<Item = &'a Change>, rules: &[Rule]) -> Status {
    let of = |change: &Change| {
        let rule = change.port.filter(|_| change.kind == ChangeKind::NewPort).and_then(|port| rule_for(rules, port));
        match rule.map(|rule| rule.severity) {
            Some(Severity::Critical | Severity::High) => Status::Critical,
            Some(Severity::Medium | Severity::Low) | None => Status::Changes,
        }
    };
    changes.into_iter().map(of).min().unwrap_or(Status::Stable)
}
