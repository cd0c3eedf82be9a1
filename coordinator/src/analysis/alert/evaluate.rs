//! What a run does to the alerts of its scan.

use super::{
    Alert, AlertKey, AlertState, By, Deed, Evidence, NEW_PORT, Rule, SERVICE_CHANGE, Severity, Trail, Transition,
    rule_for,
};
use crate::analysis::coverage::RunCoverage;
use crate::analysis::delta::{Change, ChangeKind, KnownHost, PortId, Side, is_service, same_service};
use protocol::Timestamp;
use protocol::observation::{PortObservation, Service, ServiceMethod};
use protocol::task::{RunId, ScanId};
use protocol::text::Text;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The most alerts about new ports without a rule, and changed services, that one run raises for one host.
pub const MAX_RAISED_BY_CHANGE: usize = 100;

/// What a finished and settled run tells about alerts.
#[derive(Clone, Copy, Debug)]
pub struct Evaluation<'a> {
    /// The scan.
    pub scan: ScanId,
    /// The run.
    pub run: RunId,
    /// When the run ends.
    pub now: Timestamp,
    /// The rules in force.
    pub rules: &'a [Rule],
    /// What the run covered. For an import that is not authoritative pass an empty one: then nothing resolves, and what
    /// it shows open is raised all the same.
    pub coverage: &'a RunCoverage,
    /// Cells whose fate the second look left open (see [`unsettled`](crate::analysis::delta::unsettled)).
    pub unsettled: &'a BTreeSet<(IpAddr, PortId)>,
    /// Cells whose state a person accepted as expected (SPEC R11): nothing is raised for them unless they changed.
    pub accepted: &'a BTreeSet<(IpAddr, PortId)>,
}

/// The transitions of all alerts of the scan, sorted by key.
///
/// `changes` are the report's, settled. `known` are the hosts as they are known after the run: they still hold as open
/// what the second look could not settle, so that nothing resolves without evidence. `alerts` are the scan's alerts in
/// every state. All three may also be those of a single host.
pub fn evaluate<'a>(
    facts: Evaluation<'_>,
    changes: impl IntoIterator<Item = &'a Change>,
    known: impl IntoIterator<Item = &'a KnownHost>,
    alerts: impl IntoIterator<Item = &'a Alert>,
) -> Vec<Transition> {
    let (mut changed, mut by_change) = (BTreeSet::new(), BTreeMap::<IpAddr, Vec<Alert>>::new());
    for change in changes {
        changed.extend(change.port.map(|port| (change.address, port)));
        by_change.entry(change.address).or_default().extend(facts.raised_by_change(change));
    }
    let alerts: BTreeMap<&AlertKey, &Alert> = alerts.into_iter().map(|alert| (&alert.key, alert)).collect();
    let mut hosts: BTreeMap<IpAddr, Option<&KnownHost>> = alerts.keys().map(|key| (key.address, None)).collect();
    let facts = Cells { facts, changed };
    let mut wanted = Vec::new();
    for host in known {
        let by_change = limited(by_change.remove(&host.address).unwrap_or_default());
        let raised = by_change.into_iter().chain(facts.raised_by_host(host));
        let name = host.observation.names.first().cloned().unwrap_or_default();
        wanted.extend(raised.map(|alert| Alert { host: name.clone(), ..alert }));
        hosts.entry(host.address).and_modify(|entry| *entry = Some(host));
    }
    let mut fates: BTreeMap<&AlertKey, Transition> = BTreeMap::new();
    let mut decided: BTreeMap<(IpAddr, PortId), &Alert> = BTreeMap::new();
    for (key, alert) in &alerts {
        let host = hosts.get(&key.address).copied().flatten();
        fates.extend(facts.fate(alert, host).map(|fate| (*key, fate)));
        if facts.is_renamed(alert) && matches!(alert.state, AlertState::Actioned | AlertState::Ignored) {
            decided.insert((key.address, key.port), alert);
        }
    }
    let mut transitions: BTreeMap<AlertKey, Transition> =
        fates.into_iter().map(|(key, fate)| (key.clone(), fate)).collect();
    for raised in wanted {
        let former = decided.get(&(raised.key.address, raised.key.port)).filter(|_| has_rule(&raised));
        let raised = former.map_or_else(|| raised.clone(), |former| inherit(former, &raised));
        let key = raised.key.clone();
        match alerts.get(&key).map(|alert| (alert.state, is_further_change(alert, &raised))) {
            None => transitions.insert(key, Transition::Raise(raised)),
            Some((AlertState::Resolved, _)) => transitions.insert(key, Transition::Reopen(raised)),
            Some((_, true)) => transitions.insert(key, Transition::Renew(raised)),
            Some((AlertState::Open | AlertState::Actioned | AlertState::Ignored, false)) => None,
        };
    }
    transitions.into_values().collect()
}

/// The first of the alerts that changes of one host raise; the last of them tells how many there are more. A host that
/// answers on every port would raise one for each, and the report lists them all anyway.
fn limited(mut raised: Vec<Alert>) -> Vec<Alert> {
    let more = raised.len().saturating_sub(MAX_RAISED_BY_CHANGE);
    raised.truncate(MAX_RAISED_BY_CHANGE);
    let last = raised.last_mut().and_then(|alert| alert.trail.steps.last_mut());
    if let Some(step) = last.filter(|_| more > 0) {
        step.comment = Text::new(&format!("and {more} more ports of this host; the report lists them"));
    }
    raised
}

/// Under the name that its rule has now, what a person decided still holds.
fn inherit(former: &Alert, raised: &Alert) -> Alert {
    let Alert { state, before, trail, .. } = former.clone();
    let trail = trail.with(raised.raised_at, By::Run(raised.raised), Deed::Raised, Text::default());
    Alert { state, before, trail, ..raised.clone() }
}

impl Evaluation<'_> {
    fn alert(&self, address: IpAddr, port: PortId, rule: &str, severity: Severity) -> Alert {
        Alert {
            key: AlertKey { scan: self.scan, address, port, rule: Text::new(rule) },
            severity,
            state: AlertState::Open,
            before: AlertState::Open,
            raised: self.run,
            raised_at: self.now,
            verified: self.run,
            verified_at: self.now,
            host: Text::default(),
            service: None,
            expected: None,
            resolution: None,
            trail: Trail::default().with(self.now, By::Run(self.run), Deed::Raised, Text::default()),
        }
    }

    /// For a new port without a rule, and for a changed service.
    fn raised_by_change(&self, change: &Change) -> Option<Alert> {
        let port = change.port?;
        let service = |side: &Option<Side>| match side {
            Some(Side::Port { service, .. }) => service.clone(),
            Some(Side::Host { .. } | Side::Os(_) | Side::Names(_) | Side::Mac(_)) | None => None,
        };
        let raise = |rule| self.alert(change.address, port, rule, Severity::Low);
        let raised = match change.kind {
            ChangeKind::NewPort if rule_for(self.rules, port).is_none() => raise(NEW_PORT),
            ChangeKind::ServiceChange => Alert { expected: service(&change.before), ..raise(SERVICE_CHANGE) },
            ChangeKind::NewPort
            | ChangeKind::NewHost
            | ChangeKind::RemovedHost
            | ChangeKind::ClosedPort
            | ChangeKind::OsChange
            | ChangeKind::NameChange
            | ChangeKind::MacChange => return None,
        };
        Some(Alert { service: service(&change.after), ..raised })
    }
}

/// The run's facts, and which cells it saw change.
struct Cells<'a> {
    facts: Evaluation<'a>,
    changed: BTreeSet<(IpAddr, PortId)>,
}

impl Cells<'_> {
    fn settles(&self, address: IpAddr, port: PortId) -> bool {
        let covers = self.facts.coverage.covers(address, port.protocol, port.port);
        covers && !self.facts.unsettled.contains(&(address, port))
    }

    /// Whether the run shows that no host is there, and with it no open port, whichever ports it asked for. Where only
    /// ports prove a host that says nothing of ports that were not asked: they stay unverified.
    fn is_gone(&self, address: IpAddr, host: Option<&KnownHost>) -> bool {
        let RunCoverage { asked, by_port_only, .. } = self.facts.coverage;
        host.is_none() && asked.contains(address) && !by_port_only.contains(address)
    }

    /// Whether the cell is still as someone accepted it.
    fn is_accepted(&self, address: IpAddr, port: PortId) -> bool {
        self.facts.accepted.contains(&(address, port)) && !self.changed.contains(&(address, port))
    }

    /// For open ports with a rule that this run saw, also the first time.
    fn raised_by_host(&self, host: &KnownHost) -> Vec<Alert> {
        let raise = |open: &PortObservation| {
            let (address, port) = (host.address, PortId { protocol: open.protocol, port: open.port });
            let rule = rule_for(self.facts.rules, port)?;
            let is_shown = self.facts.coverage.is_empty() && host.seen_run == self.facts.run;
            let is_seen = is_shown || self.settles(address, port) || self.changed.contains(&(address, port));
            let alert = || self.facts.alert(address, port, rule.name.as_str(), rule.severity);
            (is_seen && !self.is_accepted(address, port)).then(|| Alert { service: open.service.clone(), ..alert() })
        };
        host.open_ports().filter_map(raise).collect()
    }

    /// True when the rule that raised it is not the one of its port any more.
    fn is_renamed(&self, alert: &Alert) -> bool {
        let AlertKey { port, rule, .. } = &alert.key;
        let in_force = rule_for(self.facts.rules, *port);
        has_rule(alert) && in_force.is_none_or(|now| now.name != *rule)
    }

    /// True when the rule in force at its port raises another alert than this one, or none.
    fn is_outdated(&self, alert: &Alert) -> bool {
        let is_ruled_now = rule_for(self.facts.rules, alert.key.port).is_some();
        self.is_renamed(alert) || alert.key.rule.as_str() == NEW_PORT && is_ruled_now
    }

    /// What becomes of an alert by what is known of its cell now; `None` when the run did not look, or it is over.
    fn fate(&self, alert: &Alert, host: Option<&KnownHost>) -> Option<Transition> {
        let AlertKey { address, port, .. } = &alert.key;
        let is_settled = self.settles(*address, *port) || self.is_gone(*address, host);
        if alert.state == AlertState::Resolved || !is_settled {
            return None;
        }
        let rule = rule_for(self.facts.rules, *port).filter(|rule| rule.name == alert.key.rule);
        let keep = || match rule.map(|rule| rule.severity).filter(|severity| *severity != alert.severity) {
            Some(severity) => Transition::Regrade(alert.key.clone(), severity),
            None => Transition::Keep(alert.key.clone()),
        };
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
            (Some(_), _) if self.is_accepted(*address, *port) => over(Evidence::Accepted),
            (Some(_), _) if self.is_outdated(alert) => match rule_for(self.facts.rules, *port) {
                // The alert of the rule in force takes over, with what was decided.
                Some(_) => Transition::Resolve(alert.key.clone(), Evidence::RuleChanged),
                None => over(Evidence::RuleChanged),
            },
            (Some(open), Some(expected)) if is_back(open.service.as_ref(), expected) => over(Evidence::ServiceBack),
            (Some(_), _) => keep(),
        })
    }
}

/// True when an edited rule raised it, and not a change alone.
fn has_rule(alert: &Alert) -> bool {
    ![NEW_PORT, SERVICE_CHANGE].contains(&alert.key.rule.as_str())
}

/// True when a service changed into what is neither what the alert shows nor what was there before.
fn is_further_change(alert: &Alert, raised: &Alert) -> bool {
    let Some(service) = &raised.service else { return false };
    let is_other = |known: &Option<Service>| known.as_ref().is_none_or(|known| !same_service(known, service));
    alert.key.rule.as_str() == SERVICE_CHANGE && is_other(&alert.service) && is_other(&alert.expected)
}

fn is_back(service: Option<&Service>, expected: &Service) -> bool {
    service.is_some_and(|service| service.method == ServiceMethod::Probed && is_service(service, expected))
}
