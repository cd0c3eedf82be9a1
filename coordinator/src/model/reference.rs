//! What reports and alerts must say, worked out cell by cell from what each look told, in the plainest way.

use super::network::{Port, Sight, Told};
use crate::analysis::alert::{AlertState, NEW_PORT, SERVICE_CHANGE};
use crate::analysis::delta::{ChangeKind, Status};
use protocol::task::RunId;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// One line that counts as a change.
pub(super) type Line = (ChangeKind, IpAddr, Option<Port>);

/// The parts of an alert's key that differ within one scan.
pub(super) type AlertId = (IpAddr, Port, String);

/// What is believed of one cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cell {
    open: bool,
    /// The engine that identified the service, and the version that it found.
    identified: Option<(&'static str, u8)>,
}

/// What is believed of one alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Alert {
    pub(super) state: AlertState,
    pub(super) verified: RunId,
    /// For a changed service: what was there before, and what it changed into.
    expected: Option<u8>,
    shown: Option<u8>,
}

/// All that was ever told, cell by cell; what was never told has no entry.
#[derive(Debug, Default)]
pub(super) struct Reference {
    hosts: BTreeMap<IpAddr, bool>,
    cells: BTreeMap<(IpAddr, Port), Cell>,
    pub(super) alerts: BTreeMap<AlertId, Alert>,
}

/// What one run comes to.
#[derive(Debug, Default)]
struct Outcome {
    lines: BTreeSet<Line>,
    /// Cells of which the run knows how they stand.
    verified: BTreeSet<(IpAddr, Port)>,
    /// For each changed service what was there before.
    before: BTreeMap<(IpAddr, Port), u8>,
}

impl Reference {
    /// Takes in a run's first and second look; gives the changes that its report must hold, no more and no less.
    pub(super) fn run(&mut self, run: RunId, first: &[Sight], second: &[Sight]) -> BTreeSet<Line> {
        let second = if self.is_blind(first, second) { Vec::new() } else { self.sighted(first, second) };
        let mut outcome = Outcome::default();
        for sight in first {
            for address in &sight.asked {
                let again = second.iter().find(|sight| sight.asked.contains(address));
                match sight.hosts.get(address) {
                    Some(told) => self.answered(*address, told, sight, again, &mut outcome),
                    None => self.was_silent(*address, sight, again, &mut outcome),
                }
            }
        }
        self.follow(run, &outcome);
        outcome.lines
    }

    /// Addresses that must be looked at again: gone hosts, and ports that answer no more or carry an alert.
    pub(super) fn doubts(&self, first: &[Sight]) -> BTreeSet<IpAddr> {
        let mut doubts = BTreeSet::new();
        for sight in first {
            for address in &sight.asked {
                let doubtful = match sight.hosts.get(address) {
                    None => self.is_up(*address),
                    Some(told) => told.iter().any(|(port, told)| self.is_doubtful(*address, *port, *told)),
                };
                if doubtful {
                    doubts.insert(*address);
                }
            }
        }
        doubts
    }

    /// True when five or more, and over 30 percent, of the known hosts went at once and nothing was seen at all.
    fn is_blind(&self, first: &[Sight], second: &[Sight]) -> bool {
        let lost = |sight: &Sight| sight.asked.iter().filter(|address| self.is_up(**address)).count();
        let gone: usize = first.iter().map(lost).sum();
        let known = self.hosts.values().filter(|up| **up).count();
        first.iter().chain(second).all(|sight| sight.hosts.is_empty()) && gone >= 5 && gone * 100 > known * 30
    }

    /// The second look without what a node says that looked at five or more known hosts and saw none: all of it when
    /// it did so in the first look too, otherwise what such a node had missed the first time.
    fn sighted(&self, first: &[Sight], second: &[Sight]) -> Vec<Sight> {
        let known = |sights: &[Sight], looker| -> BTreeSet<IpAddr> {
            let of = sights.iter().filter(|sight| sight.looker == looker);
            of.flat_map(|sight| &sight.asked).filter(|address| self.is_up(**address)).copied().collect()
        };
        let is_blind = |looker| {
            let looks = || first.iter().chain(second).filter(|sight| sight.looker == looker);
            let asked: BTreeSet<IpAddr> = known(first, looker).union(&known(second, looker)).copied().collect();
            asked.len() >= 5 && !looks().any(|sight| sight.hosts.keys().any(|address| self.is_up(*address)))
        };
        let missed =
            |address: &IpAddr| first.iter().any(|sight| sight.asked.contains(address) && is_blind(sight.looker));
        let mut sighted = second.to_vec();
        for sight in sighted.iter_mut().filter(|sight| is_blind(sight.looker)) {
            let took_part = !known(first, sight.looker).is_empty();
            sight.asked.retain(|address| !took_part && !missed(address));
        }
        sighted
    }

    pub(super) fn is_up(&self, address: IpAddr) -> bool {
        self.hosts.get(&address) == Some(&true)
    }

    fn is_open(&self, address: IpAddr, port: Port) -> bool {
        self.cells.get(&(address, port)).is_some_and(|cell| cell.open)
    }

    /// Every host that is believed to be there, with its open ports.
    pub(super) fn hosts(&self) -> BTreeMap<IpAddr, BTreeSet<Port>> {
        let up = self.hosts.iter().filter(|(_, up)| **up).map(|(address, _)| *address);
        let open = |address| {
            let cells = self.cells.iter().filter(move |((of, _), cell)| *of == address && cell.open);
            cells.map(|((_, port), _)| *port).collect()
        };
        up.map(|address| (address, open(address))).collect()
    }

    fn is_doubtful(&self, address: IpAddr, port: Port, told: Told) -> bool {
        let alerted = || {
            let mut open = self.alerts.iter().filter(|(_, alert)| alert.state != AlertState::Resolved);
            open.any(|((of, at, _), _)| (*of, *at) == (address, port))
        };
        match told {
            Told::Open(_) | Told::Silent => false,
            Told::Filtered => self.is_open(address, port),
            Told::Closed => self.is_open(address, port) && alerted(),
        }
    }

    fn answered(
        &mut self,
        address: IpAddr,
        told: &BTreeMap<Port, Told>,
        sight: &Sight,
        again: Option<&Sight>,
        outcome: &mut Outcome,
    ) {
        if self.hosts.insert(address, true) == Some(false) {
            outcome.lines.insert((ChangeKind::NewHost, address, None));
        }
        for (port, told) in told {
            match told {
                Told::Silent => {}
                Told::Open(version) => {
                    let identified = sight.detection.zip(*version);
                    self.found_open(address, *port, identified, outcome);
                }
                Told::Closed | Told::Filtered => {
                    let is_so = !self.is_doubtful(address, *port, *told) || {
                        let second = again.and_then(|again| again.hosts.get(&address)?.get(port));
                        match second {
                            Some(Told::Open(_)) => {
                                outcome.verified.insert((address, *port));
                                false
                            }
                            Some(Told::Closed) => true,
                            Some(Told::Filtered | Told::Silent) | None => false,
                        }
                    };
                    if is_so {
                        self.found_closed(address, *port, outcome);
                    }
                }
            }
        }
    }

    fn found_open(&mut self, address: IpAddr, port: Port, now: Option<(&'static str, u8)>, outcome: &mut Outcome) {
        outcome.verified.insert((address, port));
        let was = self.cells.insert((address, port), Cell { open: true, identified: now });
        match was {
            None => {}
            Some(Cell { open: false, .. }) => {
                outcome.lines.insert((ChangeKind::NewPort, address, Some(port)));
            }
            Some(Cell { open: true, identified: before }) => match (before, now) {
                (Some((engine, _)), Some((by, 0))) if engine == by => {
                    self.cells.insert((address, port), Cell { open: true, identified: before });
                }
                (Some((engine, version)), Some((by, is))) if engine == by && version != 0 && version != is => {
                    outcome.lines.insert((ChangeKind::ServiceChange, address, Some(port)));
                    outcome.before.insert((address, port), version);
                }
                (_, Some(_)) => {}
                (before, None) => {
                    self.cells.insert((address, port), Cell { open: true, identified: before });
                }
            },
        }
    }

    fn found_closed(&mut self, address: IpAddr, port: Port, outcome: &mut Outcome) {
        outcome.verified.insert((address, port));
        if self.cells.insert((address, port), Cell::default()).is_some_and(|was| was.open) {
            outcome.lines.insert((ChangeKind::ClosedPort, address, Some(port)));
        }
    }

    /// A host that did not answer: of one that was there only the second look tells.
    fn was_silent(&mut self, address: IpAddr, sight: &Sight, again: Option<&Sight>, outcome: &mut Outcome) {
        if !self.is_up(address) {
            self.hosts.insert(address, false);
            sight.ports.iter().for_each(|port| self.found_closed(address, *port, outcome));
            self.found_gone(address, outcome);
            return;
        }
        let Some(again) = again else { return };
        if let Some(told) = again.hosts.get(&address) {
            for port in sight.ports.iter().filter(|port| self.is_open(address, **port)).copied().collect::<Vec<_>>() {
                match told.get(&port) {
                    Some(Told::Closed) => self.found_closed(address, port, outcome),
                    Some(Told::Open(_)) => drop(outcome.verified.insert((address, port))),
                    Some(Told::Filtered | Told::Silent) | None => {}
                }
            }
            return;
        }
        outcome.lines.insert((ChangeKind::RemovedHost, address, None));
        self.hosts.insert(address, false);
        sight.ports.iter().for_each(|port| self.found_closed(address, *port, outcome));
        let others = self.cells.iter_mut().filter(|((of, _), _)| *of == address);
        others.for_each(|(_, cell)| *cell = Cell::default());
        self.found_gone(address, outcome);
    }

    /// With a host all its ports are gone, also those that nobody asked.
    fn found_gone(&self, address: IpAddr, outcome: &mut Outcome) {
        let of_host = self.alerts.keys().filter(|(of, _, _)| *of == address);
        outcome.verified.extend(of_host.map(|(_, port, _)| (address, *port)));
    }

    /// What becomes of the alerts.
    fn follow(&mut self, run: RunId, outcome: &Outcome) {
        let before = self.alerts.clone();
        for ((address, port, _), alert) in &mut self.alerts {
            if alert.state == AlertState::Resolved || !outcome.verified.contains(&(*address, *port)) {
                continue;
            }
            alert.verified = run;
            let cell = self.cells.get(&(*address, *port)).copied().unwrap_or_default();
            let is_back = alert.expected.is_some() && cell.identified.map(|(_, version)| version) == alert.expected;
            if (!cell.open || is_back) && alert.state != AlertState::Ignored {
                alert.state = AlertState::Resolved;
            }
        }
        let mut raise = |id: AlertId, expected: Option<u8>, shown: Option<u8>| {
            let expected = match before.get(&id).filter(|alert| alert.state != AlertState::Resolved) {
                None => expected,
                Some(alert) if shown == alert.shown || shown == alert.expected => return,
                Some(Alert { state: AlertState::Ignored, .. }) => expected,
                Some(alert) => alert.expected,
            };
            self.alerts.insert(id, Alert { state: AlertState::Open, verified: run, expected, shown });
        };
        for ((address, port), _) in self.cells.iter().filter(|(_, cell)| cell.open) {
            if let Some(rule) = rule(*port) {
                raise((*address, *port, rule.to_owned()), None, None);
            }
        }
        for (kind, address, port) in &outcome.lines {
            match (kind, port) {
                (ChangeKind::NewPort, Some(port)) if rule(*port).is_none() => {
                    raise((*address, *port, NEW_PORT.to_owned()), None, None);
                }
                (ChangeKind::ServiceChange, Some(port)) => {
                    let expected = outcome.before.get(&(*address, *port)).copied();
                    let shown = self.cells.get(&(*address, *port)).and_then(|cell| cell.identified);
                    let shown = shown.map(|(_, version)| version);
                    raise((*address, *port, SERVICE_CHANGE.to_owned()), expected, shown);
                }
                _ => {}
            }
        }
    }
}

/// The rules of a new installation, as far as the model's ports go.
fn rule((protocol, port): Port) -> Option<&'static str> {
    let rules = [(22, "SSH"), (3389, "RDP"), (3306, "MySQL")];
    let found = rules.into_iter().find(|(number, _)| protocol == protocol::Protocol::Tcp && *number == port);
    found.map(|(_, name)| name)
}

/// What a report with these lines says at a glance.
pub(super) fn status(lines: &BTreeSet<Line>) -> Status {
    let bad = |(kind, _, port): &Line| {
        *kind == ChangeKind::NewPort && port.and_then(rule).is_some_and(|rule| rule == "SSH" || rule == "RDP")
    };
    if lines.iter().any(bad) {
        Status::Critical
    } else if lines.is_empty() {
        Status::Stable
    } else {
        Status::Changes
    }
}
