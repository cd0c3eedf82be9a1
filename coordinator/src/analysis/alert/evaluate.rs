//! What a run does to the alerts of its scan.

use super::{Alert, AlertKey, AlertState, Evidence, NEW_PORT, Rule, SERVICE_CHANGE, Severity, Transition, rule_for};
use crate::analysis::coverage::RunCoverage;
use crate::analysis::delta::{Change, ChangeKind, KnownHost, PortId, Side, same_service};
use protocol::observation::{Service, ServiceMethod};
use protocol::task::{RunId, ScanId};
use protocol::text::Text;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// What a finished and settled run tells about alerts.
#[derive(Clone, Copy, Debug)]
pub struct Evaluation<'a> {
    /// The scan.
    pub scan: ScanId,
    /// The run.
    pub run: RunId,
    /// The rules in force.
    pub rules: &'a [Rule],
    /// What the run covered. For an import that is not authoritative pass an empty one: then nothing resolves.
    pub coverage: &'a RunCoverage,
    /// Cells whose fate the second look left open (see [`unsettled`](crate::analysis::delta::unsettled)).
    pub unsettled: &'a BTreeSet<(IpAddr, PortId)>,
    /// Cells whose state a person accepted as expected (SPEC R11): nothing is raised for them unless they changed.
    pub accepted: &'a BTreeSet<(IpAddr, PortId)>,
}

/// The transitions of all alerts of the scan, sorted by key.
///
/// `changes` are the report's, settled and without accepted ones. `known` are the hosts as they are known after the
/// run: they still hold as open what the second look could not settle, so that nothing resolves without evidence.
/// `alerts` are the scan's alerts in every state.
pub fn evaluate<'a>(
    facts: Evaluation<'_>,
    changes: impl IntoIterator<Item = &'a Change>,
    known: impl IntoIterator<Item = &'a KnownHost>,
    alerts: impl IntoIterator<Item = &'a Alert>,
) -> Vec<Transition> {
    let mut wanted = facts.raised_by_changes(changes);
    let alerts: BTreeMap<&AlertKey, &Alert> = alerts.into_iter().map(|alert| (&alert.key, alert)).collect();
    let mut fates: BTreeMap<AlertKey, Transition> = BTreeMap::new();
    let mut addresses = alerts.keys().map(|key| (key.address, None)).collect::<BTreeMap<IpAddr, Option<&KnownHost>>>();
    for host in known {
        wanted.extend(facts.raised_by_host(host));
        addresses.entry(host.address).and_modify(|entry| *entry = Some(host));
    }
    for (key, alert) in &alerts {
        let host = addresses.get(&key.address).copied().flatten();
        if let Some(fate) = facts.fate(alert, host) {
            fates.insert((*key).clone(), fate);
        }
    }
    for (key, raised) in wanted {
        match alerts.get(&key).map(|alert| alert.state) {
            None => fates.insert(key, Transition::Raise(raised)),
            Some(AlertState::Resolved) => fates.insert(key, Transition::Reopen(raised)),
            Some(AlertState::Open | AlertState::Actioned | AlertState::Ignored) => None,
        };
    }
    fates.into_values().collect()
}

impl Evaluation<'_> {
    fn alert(&self, address: IpAddr, port: PortId, rule: &str, severity: Severity) -> Alert {
        let key = AlertKey { scan: self.scan, address, port, rule: Text::new(rule) };
        Alert { key, severity, state: AlertState::Open, raised: self.run, verified: self.run, expected: None }
    }

    fn settles(&self, address: IpAddr, port: PortId) -> bool {
        self.coverage.covers(address, port.protocol, port.port) && !self.unsettled.contains(&(address, port))
    }

    /// Open ports with a rule, also of a first run.
    fn raised_by_host(&self, host: &KnownHost) -> Vec<(AlertKey, Alert)> {
        let open = host.open_ports().map(|port| PortId { protocol: port.protocol, port: port.port });
        let matched = open.filter_map(|port| rule_for(self.rules, port).map(|rule| (port, rule)));
        let alerts = matched.map(|(port, rule)| self.alert(host.address, port, rule.name.as_str(), rule.severity));
        alerts.map(|alert| (alert.key.clone(), alert)).collect()
    }

    /// New ports without a rule, and changed services.
    fn raised_by_changes<'a>(&self, changes: impl IntoIterator<Item = &'a Change>) -> BTreeMap<AlertKey, Alert> {
        let alert = |change: &Change| {
            let port = change.port?;
            let raise = |rule| self.alert(change.address, port, rule, Severity::Low);
            match (change.kind, &change.before) {
                (ChangeKind::NewPort, _) if rule_for(self.rules, port).is_none() => Some(raise(NEW_PORT)),
                (ChangeKind::ServiceChange, Some(Side::Port { service, .. })) => {
                    Some(Alert { expected: service.clone(), ..raise(SERVICE_CHANGE) })
                }
                _ => None,
            }
        };
        changes.into_iter().filter_map(alert).map(|alert| (alert.key.clone(), alert)).collect()
    }

    /// What becomes of an alert by what is known of its cell now; `None` when the run did not look, or nobody cares.
    fn fate(&self, alert: &Alert, host: Option<&KnownHost>) -> Option<Transition> {
        let AlertKey { address, port, .. } = &alert.key;
        if alert.state == AlertState::Resolved || !self.settles(*address, *port) {
            return None;
        }
        let keep = || Transition::Keep(alert.key.clone());
        let over = |evidence| match alert.state {
            AlertState::Ignored => keep(),
            AlertState::Open | AlertState::Actioned | AlertState::Resolved => {
                Transition::Resolve(alert.key.clone(), evidence)
            }
        };
        let Some(host) = host else { return Some(over(Evidence::HostGone)) };
        let open = host.open_ports().find(|open| open.protocol == port.protocol && open.port == port.port);
        Some(match (open, &alert.expected) {
            (None, _) => over(Evidence::PortClosed),
            (Some(open), Some(expected)) if is_back(open.service.as_ref(), expected) => over(Evidence::ServiceBack),
            (Some(_), _) => keep(),
        })
    }
}

/// A scan's alerts after the transitions of `run`.
pub fn after(alerts: &[Alert], transitions: &[Transition], run: RunId) -> BTreeMap<AlertKey, Alert> {
    let mut after: BTreeMap<_, Alert> = alerts.iter().map(|alert| (alert.key.clone(), alert.clone())).collect();
    for transition in transitions {
        match transition {
            Transition::Raise(alert) | Transition::Reopen(alert) => {
                after.insert(alert.key.clone(), alert.clone());
            }
            Transition::Keep(key) => {
                after.entry(key.clone()).and_modify(|alert| alert.verified = run);
            }
            Transition::Resolve(key, _) => {
                after
                    .entry(key.clone())
                    .and_modify(|alert| (alert.state, alert.verified) = (AlertState::Resolved, run));
            }
        }
    }
    after
}

fn is_back(service: Option<&Service>, expected: &Service) -> bool {
    service.is_some_and(|service| service.method == ServiceMethod::Probed && same_service(service, expected))
}
