//! `/nodes/{node}`: all that is known of one node, its terms, and what can be done about it.

use crate::App;
use crate::error::WebError;
use crate::faults::Faults;
use crate::filters;
use crate::look::Badge;
use crate::page::nodes::{ApprovalForm, state, through};
use crate::page::{Head, Page, Section, View};
use crate::session::Caller;
use askama::Template;
use axum::extract::{Path, State};
use coordinator::registry::Admission;
use coordinator::{Actor, NodeView, Presence, Right};
use protocol::{Fingerprint, TargetSet, Timestamp};
use std::time::Duration;

#[derive(Template)]
#[template(path = "node.html")]
pub(crate) struct NodePage {
    pub(crate) id: String,
    pub(crate) label: String,
    pub(crate) fingerprint: String,
    pub(crate) state: Badge,
    pub(crate) why: String,
    /// Name and value.
    pub(crate) facts: Vec<(&'static str, String)>,
    pub(crate) seen: Option<Timestamp>,
    /// Who decided, and when.
    pub(crate) decided: Option<(String, Timestamp)>,
    pub(crate) ends: Option<Timestamp>,
    pub(crate) running: Vec<String>,
    pub(crate) is_hidden: bool,
    /// Since when its key is known to be used on two machines.
    pub(crate) cloned: Option<Timestamp>,
    /// It was let in, so that its terms can be changed.
    pub(crate) is_in: bool,
    /// It is in, or was until it was suspended.
    pub(crate) has_terms: bool,
    /// It is not in, and no tombstone either.
    pub(crate) is_forgettable: bool,
    pub(crate) form: ApprovalForm,
    pub(crate) faults: Faults,
    pub(crate) may_approve: bool,
}

impl View for NodePage {
    fn head(&self) -> Head {
        Head::below(Section::Nodes, self.label.as_str())
    }
}

/// `GET /nodes/{node}`
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(node): Path<Fingerprint>,
) -> Result<Page<NodePage>, WebError> {
    NodePage::read(&app, &actor, &node).await.map(Page)
}

impl NodePage {
    pub(crate) async fn read(app: &App, actor: &Actor, node: &Fingerprint) -> Result<Self, WebError> {
        let view = app.coordinator.node(actor, node).await?;
        Ok(Self { may_approve: actor.role.may(Right::Approve), ..Self::from(&view) })
    }
}

impl From<&NodeView> for NodePage {
    fn from(view: &NodeView) -> Self {
        let record = &view.record;
        let (state, why, seen) = state(view);
        let approval = record.terms();
        let decided = match &record.admission {
            Admission::Pending => None,
            Admission::Approved(approval) => Some((approval.by.to_string(), approval.at)),
            Admission::Denied { by, at, .. }
            | Admission::Revoked { by, at, .. }
            | Admission::Suspended { by, at, .. } => Some((by.to_string(), *at)),
        };
        let ends = approval.and_then(|approval| approval.expires);
        // A day that is typed ends at the midnight after it; shown again, it is the same day.
        let date = |end: Timestamp| end.minus(Duration::from_secs(1)).to_string().chars().take(10).collect();
        let form = approval.map(|approval| ApprovalForm {
            label: record.label.to_string(),
            ranges: approval.ranges.to_string(),
            site: approval.site.to_string(),
            expires: ends.map(date).unwrap_or_default(),
            sponsor: approval.may_sponsor,
        });
        let running = view.presence.iter().flat_map(|presence| &presence.running).map(|task| task.task.to_string());
        Self {
            id: record.key.fingerprint().compact().to_owned(),
            label: record.label.to_string(),
            fingerprint: record.key.fingerprint().to_string(),
            state,
            why,
            facts: facts(view),
            seen: view.presence.as_ref().map(|presence| presence.last_seen).or(seen),
            decided,
            ends,
            running: running.collect(),
            is_hidden: record.hidden,
            cloned: record.approval().and(record.cloned),
            is_in: record.approval().is_some(),
            has_terms: approval.is_some(),
            is_forgettable: match (&view.status, &record.admission) {
                (_, Admission::Pending | Admission::Denied { .. } | Admission::Suspended { .. }) => true,
                (status, Admission::Approved(_)) => *status == coordinator::NodeStatus::Expired,
                (_, Admission::Revoked { .. }) => false,
            },
            form: form.unwrap_or_default(),
            faults: Faults::default(),
            may_approve: false,
        }
    }
}

/// What the node says of itself, and what was decided (SPEC M7).
fn facts(view: &NodeView) -> Vec<(&'static str, String)> {
    let facts = &view.record.facts;
    let list = |items: Vec<String>| if items.is_empty() { "not told".to_owned() } else { items.join(", ") };
    let engine = |fact: &protocol::message::EngineFact| {
        format!("{} {}{}", fact.name, fact.version, if fact.raw { " with raw packets" } else { "" })
    };
    let policy = facts.policy_ranges.as_ref().map_or_else(|| "no limit of its own".to_owned(), TargetSet::to_string);
    let mut rows = vec![
        ("Host name", list(vec![facts.hostname.to_string()].into_iter().filter(|name| !name.is_empty()).collect())),
        ("System", list(vec![facts.system.to_string()].into_iter().filter(|name| !name.is_empty()).collect())),
        ("Version", facts.version.to_string()),
        ("IP addresses", list(facts.addresses.iter().map(ToString::to_string).collect())),
        ("MAC addresses", list(facts.macs.iter().map(ToString::to_string).collect())),
        ("Engines", list(facts.engines.iter().map(engine).collect())),
        ("Own policy", policy),
    ];
    rows.extend(through(view).map(|sponsor| ("Asked through", sponsor)));
    if let Some(approval) = view.record.terms() {
        rows.push(("May scan", approval.ranges.to_string()));
        rows.push(("Site", approval.site.to_string()));
        rows.push(("Sponsor", if approval.may_sponsor { "passes on requests of others" } else { "no" }.to_owned()));
    }
    rows.extend(view.presence.iter().flat_map(live));
    rows
}

fn live(presence: &Presence) -> Vec<(&'static str, String)> {
    let Presence { address, load_hundredths, spooled, clock_offset_ms, .. } = presence;
    let connected = address.map_or_else(|| "not directly".to_owned(), |address| address.to_string());
    vec![
        ("Connected from", connected),
        ("Load", format!("{}.{:02}", load_hundredths / 100, load_hundredths % 100)),
        ("Clock offset", format!("{clock_offset_ms} ms")),
        ("Results that wait", spooled.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use coordinator::NodeStatus;
    use coordinator::registry::{Approval, NodeRecord};
    use protocol::letter::SealingKey;
    use protocol::message::{EngineFact, EnrolRequest, NodeFacts, Room, RunningTask};
    use protocol::task::{RunId, TaskId};

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn record() -> NodeRecord {
        let facts = NodeFacts {
            hostname: "rack-3".into(),
            version: "1.2.3".into(),
            system: "Linux".into(),
            addresses: vec!["192.0.2.7".parse().unwrap()],
            macs: vec!["02:00:5e:10:00:01".into()],
            engines: vec![EngineFact { name: "nmap".into(), version: "7.95".into(), raw: true }],
            policy_ranges: Some("192.0.2.0/25".parse().unwrap()),
        };
        let request = EnrolRequest {
            sealing: SealingKey::from_bytes([1; 32]),
            label: "dmz".into(),
            facts,
            secret: None,
            succeeds: None,
        };
        let approval = Approval {
            ranges: "192.0.2.0/24".parse().unwrap(),
            site: "plant".into(),
            expires: None,
            may_sponsor: true,
            by: "grace".into(),
            at: NOW,
        };
        let key = protocol::Keypair::from_seed(&[3; 32]).node_id();
        NodeRecord { admission: Admission::Approved(approval), ..NodeRecord::asked(key, &request, NOW) }
    }

    fn presence() -> Presence {
        let task = TaskId { run: RunId(7), index: 3 };
        Presence {
            last_seen: NOW,
            boot: 1,
            sequence: 1,
            address: Some("192.0.2.7:40123".parse().unwrap()),
            load_hundredths: 125,
            running: vec![RunningTask { task, fence: 1, cells_done: 0, cells_total: 1, hosts_found: 0 }],
            spooled: 42,
            room: Room::Tight,
            clock_offset_ms: -17,
            connected: true,
            lost: false,
            links: Vec::new(),
            through: None,
            has_left: false,
        }
    }

    #[test]
    fn every_fact_of_a_node_stands_on_its_page() {
        let (record, presence) = (record(), Some(presence()));
        let view =
            NodeView { record, sponsor: None, presence, status: NodeStatus::Scanning, is_awaited: false, ending: None };
        let page = NodePage::from(&view);
        let context = crate::page::samples::context();
        let drawn = page.render_with_values(&context).unwrap();
        let fingerprint = view.record.key.fingerprint().to_string();
        for fact in [
            fingerprint.as_str(),
            "dmz",
            "rack-3",
            "Linux",
            "1.2.3",
            "192.0.2.7",
            "02:00:5e:10:00:01",
            "nmap 7.95 with raw packets",
            "192.0.2.0/25",
            "192.0.2.0/24",
            "plant",
            "passes on requests of others",
            "by grace",
            "scanning",
            "nearly full",
            "1.25",
            "-17 ms",
            "42",
            "192.0.2.7:40123",
            "7.3",
        ] {
            assert!(drawn.contains(fact), "{fact} in {drawn}");
        }
    }
}
