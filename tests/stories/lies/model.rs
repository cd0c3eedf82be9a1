//! What a truthful product knows of one scan after each run: the plainest form of SPEC sections 5 and 6.

use super::world::Ports;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A line of a report: kind, last number of the address, port.
pub(super) type Line = (String, u8, Option<u16>);

/// A port of one host, by the last number of its address.
pub(super) type Cell = (u8, u16);

/// What is known of one scan.
pub(super) struct Model {
    /// Whether the scan asks what answers on a port.
    identifies: bool,
    known: BTreeMap<u8, Ports>,
    covered: BTreeSet<u8>,
    alerts: BTreeMap<(u8, u16, &'static str), Alert>,
}

#[derive(Clone, Debug)]
struct Alert {
    severity: &'static str,
    is_open: bool,
    raised: u64,
    verified: u64,
    /// The greeting that ends it, for a changed service.
    expected: Option<&'static str>,
}

/// What a run looked at.
pub(super) struct Seen<'a> {
    pub(super) run: u64,
    pub(super) covered: &'a BTreeSet<u8>,
    /// Cells whose second look did not come to an end.
    pub(super) unsettled: &'a BTreeSet<Cell>,
    pub(super) world: &'a BTreeMap<u8, Ports>,
}

/// The rule of a port, with its severity.
fn rule(port: u16) -> Option<(&'static str, &'static str)> {
    match port {
        3306 => Some(("MySQL", "medium")),
        3389 => Some(("RDP", "critical")),
        5432 => Some(("PostgreSQL", "medium")),
        5900 => Some(("VNC", "high")),
        _ => None,
    }
}

impl Model {
    pub(super) fn new(identifies: bool) -> Self {
        Self { identifies, known: BTreeMap::new(), covered: BTreeSet::new(), alerts: BTreeMap::new() }
    }

    /// True when a second look is owed before this port may be said to be closed.
    pub(super) fn has_alert(&self, (address, port): Cell) -> bool {
        self.alerts.iter().any(|((at, on, _), alert)| (*at, *on) == (address, port) && alert.is_open)
    }

    /// What is true of this host as far as is known.
    pub(super) fn known(&self, address: u8) -> Option<&Ports> {
        self.known.get(&address)
    }

    /// Takes in what a run looked at; gives the lines that its report must have.
    pub(super) fn learn(&mut self, seen: &Seen) -> BTreeSet<Line> {
        let mut lines = BTreeSet::new();
        for address in seen.covered {
            let known = self.known.get(address).cloned().unwrap_or_default();
            let mut now = seen.world.get(address).cloned().unwrap_or_default();
            if !self.identifies {
                now.values_mut().for_each(|greeting| *greeting = "");
            }
            for (port, greeting) in known.iter().filter(|(port, _)| seen.unsettled.contains(&(*address, **port))) {
                now.entry(*port).or_insert(greeting);
            }
            let is_known = !self.covered.insert(*address);
            if is_known {
                lines.extend(differences(*address, &known, &now));
            }
            self.settle_alerts(seen, *address, &now);
            self.raise_alerts(seen.run, *address, is_known.then_some(&known), &now);
            if now.is_empty() {
                self.known.remove(address);
            } else {
                self.known.insert(*address, now);
            }
        }
        lines
    }

    /// What becomes of the alerts that there are.
    fn settle_alerts(&mut self, seen: &Seen, address: u8, now: &Ports) {
        let here = self.alerts.iter_mut().filter(|((at, _, _), alert)| *at == address && alert.is_open);
        for ((_, port, _), alert) in here.filter(|((_, port, _), _)| !seen.unsettled.contains(&(address, *port))) {
            alert.verified = seen.run;
            alert.is_open = match (now.get(port), alert.expected) {
                (None, _) => false,
                (Some(greeting), Some(expected)) => *greeting != expected,
                (Some(_), None) => true,
            };
        }
    }

    /// Raises what is new. `known` is `None` for a host that was never looked at before.
    fn raise_alerts(&mut self, run: u64, address: u8, known: Option<&Ports>, now: &Ports) {
        for (port, greeting) in now {
            let fresh = |severity, expected| Alert { severity, is_open: true, raised: run, verified: run, expected };
            if let Some((name, severity)) = rule(*port) {
                self.raise((address, *port, name), fresh(severity, None));
            }
            match known.map(|known| known.get(port)) {
                Some(None) if rule(*port).is_none() => self.raise((address, *port, "new port"), fresh("low", None)),
                Some(Some(was)) if was != greeting => {
                    self.raise_changed((address, *port, "service change"), fresh("low", Some(*was)), greeting);
                }
                _ => {}
            }
        }
    }

    fn raise(&mut self, key: (u8, u16, &'static str), alert: Alert) {
        if self.alerts.get(&key).is_none_or(|held| !held.is_open) {
            self.alerts.insert(key, alert);
        }
    }

    /// A change back to what was expected ended the alert just now, and is not raised as another one.
    fn raise_changed(&mut self, key: (u8, u16, &'static str), alert: Alert, greeting: &str) {
        let is_back = |held: &Alert| held.verified == alert.raised && held.expected == Some(greeting);
        if !self.alerts.get(&key).is_some_and(is_back) {
            self.raise(key, alert);
        }
    }

    /// Every alert as a line, in the order of the list that [`alert_lines`] makes.
    pub(super) fn alert_lines(&self) -> BTreeSet<String> {
        let line = |((address, port, rule), alert): (&(u8, u16, &str), &Alert)| {
            let Alert { severity, is_open, raised, verified, expected: _ } = alert;
            let state = if *is_open { "open" } else { "resolved" };
            format!("{address} {port} {rule}: {severity}, {state}, raised by {raised}, verified by {verified}")
        };
        self.alerts.iter().map(line).collect()
    }
}

fn differences(address: u8, known: &Ports, now: &Ports) -> BTreeSet<Line> {
    let mut lines = BTreeSet::new();
    let mut line = |kind: &str, port| lines.insert((kind.to_owned(), address, port));
    match (known.is_empty(), now.is_empty()) {
        (true, false) => drop(line("new-host", None)),
        (false, true) => drop(line("removed-host", None)),
        (true, true) | (false, false) => {}
    }
    for (port, greeting) in known {
        match now.get(port) {
            None => drop(line("closed-port", Some(*port))),
            Some(is) if is != greeting => drop(line("service-change", Some(*port))),
            Some(_) => {}
        }
    }
    for port in now.keys().filter(|port| !known.contains_key(port)) {
        line("new-port", Some(*port));
    }
    lines
}

/// The alerts of one scan as the coordinator tells them, in the words of [`Model::alert_lines`].
pub(super) fn alert_lines(alerts: &Value, scan: u64) -> BTreeSet<String> {
    let of_scan = alerts["alerts"].as_array().unwrap().iter().filter(|alert| alert["scan"] == scan);
    let line = |alert: &Value| {
        let text = |key: &str| alert[key].as_str().unwrap().to_owned();
        let (address, rule, severity, state) = (last(&text("address")), text("rule"), text("severity"), text("state"));
        let (port, raised, verified) = (&alert["port"], &alert["raised"], &alert["verified"]);
        format!("{address} {port} {rule}: {severity}, {state}, raised by {raised}, verified by {verified}")
    };
    of_scan.map(line).collect()
}

/// The last number of an IPv4 address.
pub(super) fn last(address: &str) -> u8 {
    address.rsplit('.').next().unwrap().parse().unwrap()
}
