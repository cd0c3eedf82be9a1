//! Searching: hosts, alerts, networks and nodes that fit what was typed, some of each.

use super::UseCaseError;
use super::alerts::{AlertView, each};
use super::hosts::{Found, HostView, Walk, active_alerts};
use super::nodes::NodeView;
use super::scans::ScanView;
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::analysis::alert::{AlertFilter, AlertSort, AlertState};
use crate::analysis::delta::PortId;
use crate::host::{HostKey, service_text};
use crate::search::{Fact, Field, Query, SearchError};
use crate::store::{Reads, StoreError};
use protocol::TargetSet;
use protocol::observation::HostObservation;
use protocol::text::Text;
use std::net::IpAddr;

/// The most hits of one kind.
pub const MAX_HITS: usize = 20;

const HOST: [Field; 8] =
    [Field::Address, Field::Name, Field::Network, Field::Site, Field::Port, Field::Service, Field::Os, Field::Mac];
const ALERT: [Field; 8] = [
    Field::Address,
    Field::Name,
    Field::Network,
    Field::Port,
    Field::Service,
    Field::Severity,
    Field::State,
    Field::Rule,
];
const NETWORK: [Field; 4] = [Field::Address, Field::Name, Field::Network, Field::Site];
const NODE: [Field; 5] = [Field::Address, Field::Name, Field::Site, Field::State, Field::Node];

/// Hits of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hits<T> {
    /// At most [`MAX_HITS`].
    pub shown: Vec<T>,
    /// Whether there are, or may be, more.
    pub has_more: bool,
}

impl<T> Default for Hits<T> {
    fn default() -> Self {
        Self { shown: Vec::new(), has_more: false }
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchHits {
    /// The one host that is meant, when the search is its address.
    pub exact: Option<HostKey>,
    /// In order of address.
    pub hosts: Hits<HostView>,
    /// The worst first; resolved ones only when a state is asked for.
    pub alerts: Hits<AlertView>,
    /// By number.
    pub networks: Hits<ScanView>,
    /// As they are listed.
    pub nodes: Hits<NodeView>,
}

impl SearchHits {
    /// How many are shown.
    pub fn count(&self) -> usize {
        let Self { exact: _, hosts, alerts, networks, nodes } = self;
        hosts.shown.len() + alerts.shown.len() + networks.shown.len() + nodes.shown.len()
    }
}

impl Coordinator {
    /// Finds what fits.
    ///
    /// # Errors
    /// [`UseCaseError::Invalid`] for the field `q` when the search is not understood.
    pub async fn search(&self, actor: &Actor, text: &str) -> Result<SearchHits, UseCaseError> {
        actor.require(Right::Read)?;
        let bad = |error: SearchError| UseCaseError::Invalid { field: "q", reason: error.to_string() };
        let query: Query = text.parse().map_err(bad)?;
        let networks = of(self.scans(actor).await?, |scan| query.fits(&NETWORK, &network_facts(scan)));
        let nodes = of(self.nodes(actor).await?, |node| fits_node(&query, node));
        let address: Option<IpAddr> = text.trim().parse().ok();
        let read = move |view: &crate::store::View| {
            let hosts = hosts(view, &query, address.map(TargetSet::from).as_ref())?;
            Ok((hosts, alerts(view, &query)?))
        };
        let (hosts, alerts) = self.store().read(read).await?;
        let exact = match hosts.shown.as_slice() {
            [only] if address == Some(only.key.address) => Some(only.key),
            _ => None,
        };
        Ok(SearchHits { exact, hosts, alerts, networks, nodes })
    }
}

fn of<T>(all: Vec<T>, fits: impl Fn(&T) -> bool) -> Hits<T> {
    let mut shown: Vec<T> = all.into_iter().filter(|thing| fits(thing)).take(MAX_HITS + 1).collect();
    let has_more = shown.len() > MAX_HITS;
    shown.truncate(MAX_HITS);
    Hits { shown, has_more }
}

pub(crate) fn hosts(
    reads: &impl Reads,
    query: &Query,
    addresses: Option<&TargetSet>,
) -> Result<Hits<HostView>, StoreError> {
    let mut walk = Walk::new(reads, None, addresses, None)?;
    let mut shown = Vec::new();
    while let Some(found) = walk.next()? {
        let (network, site) = (walk.network(&found), walk.site(&found));
        if !fits_host(query, &found, &network, &site) {
            continue;
        }
        if shown.len() == MAX_HITS {
            return Ok(Hits { shown, has_more: true });
        }
        let (alerts, worst) = active_alerts(reads, found.key)?;
        shown.push(walk.view(found, alerts, worst)?);
    }
    Ok(Hits { shown, has_more: walk.stopped_at().is_some() })
}

fn fits_host(query: &Query, Found { key, host, .. }: &Found, network: &Text, site: &Text) -> bool {
    let HostObservation { names, mac, os, .. } = &host.observation;
    let services: Vec<String> = host.open_ports().map(service_text).filter(|text| !text.is_empty()).collect();
    let mut facts = vec![
        Fact::Address(key.address),
        Fact::Text(Field::Network, network.as_str()),
        Fact::Text(Field::Site, site.as_str()),
    ];
    facts.extend(names.iter().map(|name| Fact::Text(Field::Name, name.as_str())));
    facts.extend(
        mac.iter().flat_map(|mac| [&mac.address, &mac.vendor]).map(|text| Fact::Text(Field::Mac, text.as_str())),
    );
    facts.extend(os.iter().map(|os| Fact::Text(Field::Os, os.name.as_str())));
    facts.extend(host.open_ports().map(|port| Fact::Port(PortId { protocol: port.protocol, port: port.port })));
    facts.extend(services.iter().map(|text| Fact::Text(Field::Service, text)));
    query.fits(&HOST, &facts)
}

pub(crate) fn alerts(reads: &impl Reads, query: &Query) -> Result<Hits<AlertView>, StoreError> {
    let (mut shown, mut count) = (Vec::new(), 0);
    let worst_first = |a: &AlertView, b: &AlertView| AlertSort::Severity.compare(&a.alert, &b.alert);
    each(reads, &AlertFilter::any(), |view| {
        let is_over = view.alert.state == AlertState::Resolved && !query.names(Field::State);
        if is_over || !fits_alert(query, &view) {
            return;
        }
        count += 1;
        shown.push(view);
        if shown.len() > 2 * MAX_HITS {
            shown.sort_by(worst_first);
            shown.truncate(MAX_HITS);
        }
    })?;
    shown.sort_by(worst_first);
    shown.truncate(MAX_HITS);
    Ok(Hits { has_more: count > shown.len(), shown })
}

fn fits_alert(query: &Query, AlertView { alert, network, .. }: &AlertView) -> bool {
    let service =
        alert.service.as_ref().map(|service| format!("{} {} {}", service.name, service.product, service.version));
    let mut facts = vec![
        Fact::Address(alert.key.address),
        Fact::Text(Field::Name, alert.host.as_str()),
        Fact::Text(Field::Network, network.as_str()),
        Fact::Port(alert.key.port),
        Fact::Text(Field::Severity, alert.severity.name()),
        Fact::Text(Field::State, alert.state.name()),
        Fact::Text(Field::Rule, alert.key.rule.as_str()),
    ];
    facts.extend(service.iter().map(|text| Fact::Text(Field::Service, text)));
    query.fits(&ALERT, &facts)
}

fn network_facts(view: &ScanView) -> Vec<Fact<'_>> {
    let definition = &view.scan.definition;
    vec![
        Fact::Targets(definition.targets()),
        Fact::Text(Field::Name, definition.name().as_str()),
        Fact::Text(Field::Network, definition.name().as_str()),
        Fact::Text(Field::Name, definition.description().as_str()),
        Fact::Text(Field::Site, definition.site().as_str()),
    ]
}

/// "client" is another word for a node.
fn fits_node(query: &Query, node: &NodeView) -> bool {
    let (record, approval) = (&node.record, node.record.approval());
    let fingerprint = record.key.fingerprint().to_string();
    let mut facts = vec![
        Fact::Text(Field::Node, "node client"),
        Fact::Text(Field::Node, record.label.as_str()),
        Fact::Text(Field::Node, &fingerprint),
        Fact::Text(Field::Name, record.facts.hostname.as_str()),
        Fact::Text(Field::State, node.status.name()),
    ];
    facts.extend(approval.map(|approval| Fact::Text(Field::Site, approval.site.as_str())));
    facts.extend(approval.map(|approval| Fact::Targets(&approval.ranges)));
    facts.extend(record.facts.addresses.iter().map(|address| Fact::Address(*address)));
    facts.extend(
        node.presence.iter().filter_map(|presence| presence.address).map(|address| Fact::Address(address.ip())),
    );
    query.fits(&NODE, &facts)
}
