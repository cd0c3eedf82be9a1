//! One side of a comparison: what a host and its cells were, as far as that side looked.

use super::{KnownHost, PortId};
use crate::analysis::coverage::{RunCoverage, may_be_open, unlisted_may_be_open};
use protocol::observation::{HostObservation, HostState, PortObservation, PortState};
use protocol::{PortSet, Protocol};
use std::net::IpAddr;

/// What one side knows of one host.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    pub(super) host: Option<&'a HostObservation>,
    pub(super) life: Life,
    /// Ports probed in the usual ways.
    usual: Option<&'a PortSet>,
    /// Ports probed by other scan types.
    otherwise: Option<&'a PortSet>,
    /// What is known: a covered cell was told open or not once, whatever a later look could not tell.
    is_known: bool,
}

/// Whether a host is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    There,
    /// It was asked and did not answer.
    NotThere,
    /// No covered port was open, and nothing else would prove that it is there.
    NoPort,
    /// It was not asked.
    Unknown,
}

/// What a cell was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cell<'a> {
    Open(&'a PortObservation),
    /// With its state, where the host was there.
    NotOpen(Option<PortState>),
    /// Probed, but open or not cannot be told.
    Undecided,
    NotCovered,
}

impl<'a> Look<'a> {
    pub(super) fn new(address: IpAddr, host: Option<&'a HostObservation>, coverage: &'a RunCoverage) -> Self {
        let host = host.filter(|host| host.state == HostState::Up);
        let by_port_only = coverage.by_port_only.contains(address);
        let (usual, otherwise) = (coverage.probed.ports_at(address), coverage.probed_otherwise.ports_at(address));
        let covered = |port: &PortObservation| {
            let port = PortId::of(port);
            contains(usual, port) || contains(otherwise, port)
        };
        let life = match host {
            _ if !coverage.asked.contains(address) => Life::Unknown,
            Some(host) if !by_port_only || open_ports(host).any(covered) => Life::There,
            _ if by_port_only => Life::NoPort,
            _ => Life::NotThere,
        };
        Self { host: host.filter(|_| life == Life::There), life, usual, otherwise, is_known: false }
    }

    /// What is known of a host, as far as `coverage` of all runs goes.
    pub(super) fn known(host: &'a KnownHost, coverage: &'a RunCoverage) -> Self {
        Self { is_known: true, ..Self::new(host.address, Some(&host.observation), coverage) }
    }

    /// True when both sides probed the port in ways that compare.
    pub(super) fn compares(&self, other: &Self, port: PortId) -> bool {
        contains(self.usual, port) && contains(other.usual, port)
            || contains(self.otherwise, port) && contains(other.otherwise, port)
    }

    /// True when this side's word on a port counts over what `earlier` says: a look in another way leaves alone what
    /// was seen in the usual ways.
    pub(super) fn overrides(&self, earlier: &Self, port: PortId) -> bool {
        contains(self.usual, port) || contains(self.otherwise, port) && !contains(earlier.usual, port)
    }

    pub(super) fn covers(&self, port: PortId) -> bool {
        contains(self.usual, port) || contains(self.otherwise, port)
    }

    /// True when this side covered every port of one protocol that `other` covered.
    pub(super) fn covers_all_of(&self, other: &Self, protocol: Protocol) -> bool {
        let all = |look: &Self| {
            let sets = look.usual.into_iter().chain(look.otherwise);
            sets.fold(PortSet::empty(), |all, ports| all.union(&ports.only(protocol)))
        };
        all(other).minus(&all(self)).is_empty()
    }

    pub(super) fn cell(&self, port: PortId) -> Cell<'a> {
        if !self.covers(port) {
            return Cell::NotCovered;
        }
        let Some(host) = self.host else {
            return if self.life == Life::Unknown { Cell::Undecided } else { Cell::NotOpen(None) };
        };
        match listed(host, port) {
            Some(listed) => match listed.state {
                PortState::Open => Cell::Open(listed),
                PortState::OpenFiltered | PortState::Unfiltered => Cell::Undecided,
                state @ (PortState::Closed | PortState::Filtered | PortState::ClosedFiltered) => {
                    Cell::NotOpen(Some(state))
                }
            },
            None if !self.is_known && unlisted_may_be_open(&host.unlisted, port.protocol) => Cell::Undecided,
            None => Cell::NotOpen(Some(unlisted_state(host, port.protocol))),
        }
    }

    /// Open ports that this side covered.
    pub(super) fn open_ports(&self) -> impl Iterator<Item = &'a PortObservation> {
        self.host.into_iter().flat_map(open_ports).filter(|port| self.covers(PortId::of(port)))
    }
}

pub(super) fn open_ports(host: &HostObservation) -> impl Iterator<Item = &PortObservation> {
    host.ports.iter().filter(|port| port.state == PortState::Open)
}

/// Ports are sorted: see [`HostObservation::ports`].
fn listed(host: &HostObservation, port: PortId) -> Option<&PortObservation> {
    let at = host.ports.binary_search_by_key(&port, PortId::of).ok()?;
    host.ports.get(at)
}

fn contains(ports: Option<&PortSet>, PortId { protocol, port }: PortId) -> bool {
    ports.is_some_and(|ports| ports.contains(protocol, port))
}

/// A covered port that is not listed has one of the states that the host sums up.
fn unlisted_state(host: &HostObservation, protocol: Protocol) -> PortState {
    let states = host.unlisted.iter().filter(|part| part.protocol == protocol).map(|part| part.state);
    let mut not_open = states.filter(|state| !may_be_open(*state));
    let first = not_open.next().unwrap_or(PortState::ClosedFiltered);
    if not_open.all(|state| state == first) { first } else { PortState::ClosedFiltered }
}
