//! Nodes: who asked, who was let in, how they are.

use super::paging::{Cursor, Listed};
use super::{Body, Params};
use crate::App;
use crate::error::WebError;
use crate::expiry;
use crate::session::Caller;
use axum::Json;
use axum::extract::{Path, State};
use coordinator::registry::ending::Ending;
use coordinator::registry::{Admission, NodeRecord};
use coordinator::{ApproveRequest, Lifetime, NodeDecision, NodeSelection, NodeStatus, NodeView, Presence};
use protocol::message::{EngineFact, NodeFacts, Room};
use protocol::{Fingerprint, TargetSet, Timestamp};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use utoipa::ToSchema;

/// A node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Node {
    /// Its key in eight groups of four; the identity.
    #[schema(value_type = String)]
    pub fingerprint: Fingerprint,
    /// What people call it.
    pub label: String,
    /// `pending`, `denied`, `revoked`, `awaiting signature`, `online`, `scanning`, `offline`, `expired`,
    /// `suspended`, `cloned` (two machines use its key).
    pub status: String,
    /// Why it is denied, revoked, suspended, offline or cloned.
    pub reason: Option<String>,
    /// Host name, in its own words.
    pub hostname: String,
    /// Version of the program.
    pub version: String,
    /// Operating system.
    pub system: String,
    /// Addresses of the machine, in its own words.
    #[schema(value_type = Vec<String>)]
    pub addresses: Vec<IpAddr>,
    /// Link addresses of the machine.
    pub macs: Vec<String>,
    /// The other end of its connection.
    #[schema(value_type = Option<String>)]
    pub connected_from: Option<SocketAddr>,
    /// What its own policy lets it scan; absent when the policy sets no limit.
    #[schema(value_type = Option<String>)]
    pub policy_ranges: Option<TargetSet>,
    /// What it can scan with.
    pub engines: Vec<Engine>,
    /// The node that passed its request on; absent when it asked the coordinator itself.
    #[schema(value_type = Option<String>)]
    pub asked_through: Option<Fingerprint>,
    /// When it first asked to join.
    #[schema(value_type = String, format = DateTime)]
    pub asked: Timestamp,
    /// On which terms it is in, or was until it was suspended.
    pub approval: Option<Approval>,
    /// When it was last heard.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_seen: Option<Timestamp>,
    /// Load average over one minute.
    pub load: Option<f64>,
    /// Its clock minus ours, in milliseconds.
    pub clock_offset_ms: Option<i64>,
    /// Tasks it works on, as `run.index`.
    pub running: Vec<String>,
    /// Results that wait on its disk.
    pub spooled: u32,
    /// How much more its disk takes: `free`, `tight` (no new tasks), `full` (nothing runs); absent until it is heard.
    #[serde(default)]
    pub room: Option<String>,
    /// Whether lists leave it out.
    pub hidden: bool,
    /// Whether what was decided waits for the mesh key's signature.
    pub awaiting_signature: bool,
    /// How near the end of its approval is: `month`, `week`, `day`, `over`; absent while it is far.
    pub ending: Option<String>,
}

/// What to do about one key on two machines.
pub(crate) const CLONED: &str = "two machines use its key, and neither gets tasks; revoke the key and enrol each machine anew, or stop the copy and trust the key again";

/// One engine of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Engine {
    /// `builtin` or `nmap`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether it may send raw packets.
    pub raw: bool,
}

/// On which terms a node is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Approval {
    /// What it may scan.
    #[schema(value_type = String)]
    pub ranges: TargetSet,
    /// Where it stands.
    pub site: String,
    /// After this it counts as out.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires: Option<Timestamp>,
    /// Whether it may pass on the requests of strangers.
    pub may_sponsor: bool,
    /// Who let it in; `invite` for a pre-approved one.
    pub by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// What is decided about one node. Each action reads what belongs to it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Decide {
    /// To approve one: what people call it. Empty or absent: as it is, at first what the node calls itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// To approve: what it may scan, such as `192.0.2.0/24,198.51.100.7`. May be absent for one that is in.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ranges: String,
    /// To approve: where it stands. Empty or absent: as it is, at first `main`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub site: String,
    /// To approve: when that ends: a length such as `90d` or `12h`, a date, a time (RFC 3339), or `never`. Empty or
    /// absent: as it is, at first never.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub expires: String,
    /// To approve: whether it may pass on the requests of strangers. Absent: as it is, at first not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sponsor: Option<bool>,
    /// To deny, revoke or suspend: why. The node is told, except of a suspension.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What is decided about several nodes alike: all of them, or none when one does not fit.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct DecideMany {
    /// `approve`, `deny`, `revoke`, `suspend`, `remove`, `hide`, `unhide` or `trust`.
    pub action: String,
    /// Which.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub nodes: Vec<Fingerprint>,
    /// In place of `nodes`: every one that waits for a decision.
    #[serde(default)]
    pub all_pending: bool,
    /// How.
    #[serde(flatten)]
    pub decide: Decide,
}

/// Which nodes a list shows.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Which {
    #[serde(default)]
    pub(crate) hidden: bool,
}

impl From<EngineFact> for Engine {
    fn from(fact: EngineFact) -> Self {
        let EngineFact { name, version, raw } = fact;
        Self { name: name.into(), version: version.into(), raw }
    }
}

impl From<coordinator::registry::Approval> for Approval {
    fn from(approval: coordinator::registry::Approval) -> Self {
        let coordinator::registry::Approval { ranges, site, expires, may_sponsor, by, at } = approval;
        Self { ranges, site: site.into(), expires, may_sponsor, by: by.into(), at }
    }
}

impl From<NodeView> for Node {
    fn from(view: NodeView) -> Self {
        let NodeView { record, sponsor: _, presence, status, is_awaited, ending } = view;
        let NodeRecord {
            key,
            sealing: _,
            label,
            facts,
            sponsor,
            first_asked,
            last_asked,
            admission,
            hidden,
            cloned: _,
        } = record;
        let NodeFacts { hostname, version, system, addresses, macs, engines, policy_ranges } = facts;
        let now = presence.as_ref();
        Self {
            fingerprint: key.fingerprint(),
            label: label.into(),
            reason: reason(&status, &admission),
            hostname: hostname.into(),
            version: version.into(),
            system: system.into(),
            addresses,
            macs: macs.into_iter().map(String::from).collect(),
            connected_from: now.and_then(|presence| presence.address),
            policy_ranges,
            engines: engines.into_iter().map(Engine::from).collect(),
            asked_through: sponsor.map(|sponsor| sponsor.fingerprint()),
            asked: first_asked,
            last_seen: last_seen(&admission, &status, now, last_asked),
            load: now.map(|presence| f64::from(presence.load_hundredths) / 100.0),
            clock_offset_ms: now.map(|presence| presence.clock_offset_ms),
            running: now.map(running).unwrap_or_default(),
            spooled: now.map_or(0, |presence| presence.spooled),
            room: now.map(|presence| room_name(presence.room).to_owned()),
            status: status.name().to_owned(),
            hidden,
            awaiting_signature: is_awaited,
            ending: ending.map(|ending| word(ending).to_owned()),
            approval: match admission {
                Admission::Approved(approval) | Admission::Suspended { approval, .. } => Some(approval.into()),
                Admission::Pending | Admission::Denied { .. } | Admission::Revoked { .. } => None,
            },
        }
    }
}

fn running(presence: &Presence) -> Vec<String> {
    presence.running.iter().map(|task| task.task.to_string()).collect()
}

fn room_name(room: Room) -> &'static str {
    match room {
        Room::Free => "free",
        Room::Tight => "tight",
        Room::Full => "full",
    }
}

fn reason(status: &NodeStatus, admission: &Admission) -> Option<String> {
    match (status, admission) {
        (NodeStatus::Offline { since: _, reason }, _) => Some((*reason).to_owned()),
        (NodeStatus::Cloned { .. }, _) => Some(CLONED.to_owned()),
        (
            _,
            Admission::Denied { reason, .. } | Admission::Revoked { reason, .. } | Admission::Suspended { reason, .. },
        ) => Some(reason.to_string()),
        _ => None,
    }
}

/// A node that is not in speaks only when it asks; one that was not heard since a restart may have been before.
fn last_seen(
    admission: &Admission,
    status: &NodeStatus,
    presence: Option<&Presence>,
    last_asked: Timestamp,
) -> Option<Timestamp> {
    let before = if let NodeStatus::Offline { since, reason: _ } = status { *since } else { None };
    match admission {
        Admission::Approved(_) => presence.map(|presence| presence.last_seen).or(before),
        Admission::Pending | Admission::Denied { .. } | Admission::Revoked { .. } | Admission::Suspended { .. } => {
            Some(last_asked)
        }
    }
}

fn word(ending: Ending) -> &'static str {
    match ending {
        Ending::Month => "month",
        Ending::Week => "week",
        Ending::Day => "day",
        Ending::Over => "over",
    }
}

/// Every node, pending ones first; hidden ones when they are asked for.
#[utoipa::path(get, path = "/api/v1/nodes", tag = "nodes",
    params(("hidden" = Option<bool>, Query, description = "Hidden ones too"), Cursor), responses((status = 200, body = Vec<Node>)))]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Params(which): Params<Which>,
    cursor: Cursor,
) -> Result<Listed<Node>, WebError> {
    let nodes = app.coordinator.nodes(&actor).await?;
    let shown = nodes.into_iter().filter(|node| which.hidden || !node.record.hidden);
    cursor.cut(shown.map(Node::from).collect(), |node| node.fingerprint.to_string())
}

/// One node.
#[utoipa::path(get, path = "/api/v1/nodes/{node}", tag = "nodes",
    params(("node" = String, Path, description = "Fingerprint")), responses((status = 200, body = Node)))]
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(node): Path<Fingerprint>,
) -> Result<Json<Node>, WebError> {
    Ok(Json(app.coordinator.node(&actor, &node).await?.into()))
}

/// Decides about a node; it learns so at once.
#[utoipa::path(post, path = "/api/v1/nodes/{node}/{action}", tag = "nodes",
    params(("node" = String, Path, description = "Fingerprint"),
        ("action" = String, Path, description = "`approve`, `deny`, `revoke`, `suspend`, `remove`, `hide`, `unhide` or `trust`")),
    request_body = Decide, responses((status = 200, body = Node)))]
pub(crate) async fn decide(
    State(app): State<App>,
    Caller(actor): Caller,
    Path((node, action)): Path<(Fingerprint, String)>,
    Body(decide): Body<Decide>,
) -> Result<Json<Node>, WebError> {
    let decision = decide.read(&action, Timestamp::now())?;
    Ok(Json(app.coordinator.decide_node(&actor, &node, &decision).await?.into()))
}

/// Decides about several nodes alike.
#[utoipa::path(post, path = "/api/v1/nodes/bulk", tag = "nodes", request_body = DecideMany,
    responses((status = 200, body = Vec<Node>)))]
pub(crate) async fn decide_many(
    State(app): State<App>,
    Caller(actor): Caller,
    Body(many): Body<DecideMany>,
) -> Result<Json<Vec<Node>>, WebError> {
    let DecideMany { action, nodes, all_pending, decide } = many;
    let selection = match (nodes.is_empty(), all_pending) {
        (true, true) => NodeSelection::Pending,
        (false, false) => NodeSelection::Keys(nodes.into_iter().collect()),
        (true, false) | (false, true) => {
            return Err(WebError::field("nodes", "name the nodes that are meant, or all_pending, and not both"));
        }
    };
    let decision = decide.read(&action, Timestamp::now())?;
    let decided = app.coordinator.decide_nodes(&actor, &selection, &decision).await?;
    Ok(Json(decided.into_iter().map(Node::from).collect()))
}

impl Decide {
    /// As the coordinator takes it.
    pub(crate) fn read(self, action: &str, now: Timestamp) -> Result<NodeDecision, WebError> {
        let Self { label, ranges, site, expires, sponsor, reason } = self;
        let lifetime = match expires.trim() {
            "never" => Lifetime::ForEver,
            text => expiry::lifetime(text, now)
                .map_err(|fault| WebError::field("expires", fault))?
                .map_or(Lifetime::Kept, Lifetime::From),
        };
        Ok(match action {
            "approve" => NodeDecision::Approve(ApproveRequest { label, ranges, site, lifetime, may_sponsor: sponsor }),
            "deny" => NodeDecision::Deny { reason },
            "revoke" => NodeDecision::Revoke { reason },
            "suspend" => NodeDecision::Suspend { reason },
            "remove" => NodeDecision::Remove,
            "hide" => NodeDecision::Hide,
            "unhide" => NodeDecision::Unhide,
            "trust" => NodeDecision::Trust,
            other => {
                let fault = format!(
                    "{other:?} is no action; take approve, deny, revoke, suspend, remove, hide, unhide or trust"
                );
                return Err(WebError::field("action", fault));
            }
        })
    }
}
