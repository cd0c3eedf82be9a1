//! One side of a comparison: what a host and its cells were, as far as that side looked.

use super::PortId;
use crate::analysis::coverage::RunCoverage;
use protocol::PortSet;
use protocol::observation::{HostObservation, HostState, PortObservation, PortState};
use std::net::IpAddr;

/// What one side knows of one host.
pub(super) struct Look<'a> {
    pub(super) host: Option<&'a HostObservation>,
    pub(super) life: Life,
    /// Ports probed in the usual ways.
    pub(super) ports: PortSet,
    /// Ports probed by other scan types.
    pub(super) ports_otherwise: PortSet,
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
    pub(super) fn new(address: IpAddr, host: Option<&'a HostObservation>, coverage: &RunCoverage) -> Self {
        let host = host.filter(|host| host.state == HostState::Up);
        let by_port_only = coverage.by_port_only.contains(address);
        let life = match host {
            Some(host) if !by_port_only || open_ports(host).next().is_some() => Life::There,
            _ if !coverage.asked.contains(address) => Life::Unknown,
            _ if by_port_only => Life::NoPort,
            _ => Life::NotThere,
        };
        Self {
            host: host.filter(|_| life == Life::There),
            life,
            ports: coverage.probed.ports_of(address),
            ports_otherwise: coverage.probed_otherwise.ports_of(address),
        }
    }

    /// The ports that both sides probed in ways that compare.
    pub(super) fn shared_ports(&self, other: &Self) -> PortSet {
        let otherwise = self.ports_otherwise.intersection(&other.ports_otherwise);
        self.ports.intersection(&other.ports).union(&otherwise)
    }

    pub(super) fn covers(&self, PortId { protocol, port }: PortId) -> bool {
        self.ports.contains(protocol, port) || self.ports_otherwise.contains(protocol, port)
    }

    pub(super) fn cell(&self, port: PortId) -> Cell<'a> {
        if !self.covers(port) {
            return Cell::NotCovered;
        }
        let Some(host) = self.host else {
            return if self.life == Life::Unknown { Cell::Undecided } else { Cell::NotOpen(None) };
        };
        match host.ports.iter().find(|listed| PortId::of(listed) == port) {
            Some(listed) => match listed.state {
                PortState::Open => Cell::Open(listed),
                PortState::OpenFiltered | PortState::Unfiltered => Cell::Undecided,
                state @ (PortState::Closed | PortState::Filtered | PortState::ClosedFiltered) => {
                    Cell::NotOpen(Some(state))
                }
            },
            None => unlisted(host, port),
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

/// A covered port that is not listed has one of the states that the host sums up.
fn unlisted<'a>(host: &HostObservation, port: PortId) -> Cell<'a> {
    let states = || host.unlisted.iter().filter(|part| part.protocol == port.protocol).map(|part| part.state);
    if states().any(|state| matches!(state, PortState::OpenFiltered | PortState::Unfiltered | PortState::Open)) {
        return Cell::Undecided;
    }
    let first = states().next().unwrap_or(PortState::ClosedFiltered);
    let one = states().all(|state| state == first);
    Cell::NotOpen(Some(if one { first } else { PortState::ClosedFiltered }))
}
