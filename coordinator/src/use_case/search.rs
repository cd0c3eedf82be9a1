//! Searching: hosts, alerts, networks and nodes that fit what was typed, some of each.

use super::UseCaseError;
use super::alerts::{AlertView, Networks, stored};
use super::hosts::{Among, Digests, HostView, Walk, active_alerts};
use super::nodes::NodeView;
use super::scans::ScanView;
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::analysis::alert::{Alert, AlertSort, AlertState};
use crate::host::{HostDigest, HostKey};
use crate::scan::Scan;
use crate::search::{Fact, Field, Query, SearchError};
use crate::store::tables::SCANS;
use crate::store::{Reads, StoreError, View};
use protocol::TargetSet;
use protocol::task::ScanId;
use protocol::text::Text;
use std::borrow::Cow;
use std::collections::BTreeMap;
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
        let (digests, held) = (self.digests().await?, self.every_alert().await?);
        let read = move |view: &View| {
            let among = digests.map(|digests| among(view, &query, &digests)).transpose()?;
            let hosts = hosts(view, &query, address.map(TargetSet::from).as_ref(), among.as_ref())?;
            let alerts = match &held {
                Some(held) => alerts(view, held.iter().map(|alert| Ok(Cow::Borrowed(alert))), &query),
                None => alerts(view, stored(view), &query),
            };
            Ok((hosts, alerts?))
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

/// The hosts that fit, as far as memory tells.
fn among(reads: &impl Reads, query: &Query, digests: &Digests) -> Result<Among, StoreError> {
    let place = |scan: Scan| (scan.definition.name().clone(), scan.definition.site().clone());
    let rows = reads.iter(&SCANS).map(|row| row.map(|(id, scan)| (id, place(scan))));
    let places: BTreeMap<ScanId, (Text, Text)> = rows.collect::<Result<_, _>>()?;
    let fits = |key: HostKey, host: &HostDigest| {
        places.get(&key.scan).is_some_and(|(network, site)| fits_host(query, host, network, site))
    };
    Ok(digests.that(fits))
}

/// Of networks that `among` speaks of, only the hosts that it names are read.
pub(crate) fn hosts(
    reads: &impl Reads,
    query: &Query,
    addresses: Option<&TargetSet>,
    among: Option<&Among>,
) -> Result<Hits<HostView>, StoreError> {
    let mut walk = Walk::new(reads, None, addresses, None, among)?;
    let mut shown = Vec::new();
    while let Some(found) = walk.next()? {
        let (network, site) = (walk.network(&found), walk.site(&found));
        if !fits_host(query, &HostDigest::of(&found.host), &network, &site) {
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

fn fits_host(query: &Query, host: &HostDigest, network: &Text, site: &Text) -> bool {
    let mut facts = Vec::with_capacity(3 + host.words.len() + 2 * host.ports.len());
    facts.extend([
        Fact::Address(host.address),
        Fact::Text(Field::Network, network.as_str()),
        Fact::Text(Field::Site, site.as_str()),
    ]);
    facts.extend(host.words.iter().map(|(field, word)| Fact::Text(*field, word)));
    facts.extend(host.ports.iter().map(|port| Fact::Port(port.port)));
    let services = host.ports.iter().map(|port| &port.service).filter(|service| !service.is_empty());
    facts.extend(services.map(|service| Fact::Text(Field::Service, service)));
    query.fits(&HOST, &facts)
}

/// The alerts in `rows` that fit, the worst first.
pub(crate) fn alerts<'a>(
    reads: &impl Reads,
    rows: impl Iterator<Item = Result<Cow<'a, Alert>, StoreError>>,
    query: &Query,
) -> Result<Hits<AlertView>, StoreError> {
    let mut networks = Networks::new(reads);
    let (mut found, mut count) = (Vec::<Cow<'a, Alert>>::new(), 0);
    let worst_first = |a: &Cow<'a, Alert>, b: &Cow<'a, Alert>| AlertSort::Severity.compare(a, b);
    for row in rows {
        let alert = row?;
        let is_over = alert.state == AlertState::Resolved && !query.names(Field::State);
        if is_over || !fits_alert(query, &alert, networks.name(alert.key.scan)?) {
            continue;
        }
        count += 1;
        found.push(alert);
        if found.len() > 2 * MAX_HITS {
            found.sort_by(worst_first);
            found.truncate(MAX_HITS);
        }
    }
    found.sort_by(worst_first);
    found.truncate(MAX_HITS);
    let has_more = count > found.len();
    let shown = found.into_iter().map(|alert| networks.view(alert.into_owned())).collect::<Result<_, _>>()?;
    Ok(Hits { shown, has_more })
}

fn fits_alert(query: &Query, alert: &Alert, network: &Text) -> bool {
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
