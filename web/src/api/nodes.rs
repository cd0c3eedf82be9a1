//! Nodes: who asked, who was let in, how they are.

use super::Body;
use crate::App;
use crate::error::WebError;
use crate::expiry;
use crate::session::Caller;
use axum::Json;
use axum::extract::{Path, State};
use coordinator::registry::{Admission, NodeRecord};
use coordinator::{ApproveRequest, NodeStatus, NodeView, Presence};
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
    /// `pending`, `denied`, `online`, `scanning`, `offline`, `expired`, `cloned` (two machines use its key).
    pub status: String,
    /// Why it is denied, offline or cloned.
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
    /// When it first asked to join.
    #[schema(value_type = String, format = DateTime)]
    pub asked: Timestamp,
    /// On which terms it is in.
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
}

/// What to do about one key on two machines.
pub(crate) const CLONED: &str =
    "two machines use its key, and neither gets tasks; stop the copy, or revoke the key and enrol each machine anew";

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
    /// Who let it in; `invite` for a pre-approved one.
    pub by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// On which terms to let a node in.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Approve {
    /// Empty or absent: what the node calls itself.
    #[serde(default)]
    pub label: String,
    /// What it may scan, such as `192.0.2.0/24,198.51.100.7`.
    pub ranges: String,
    /// Empty or absent: `main`.
    #[serde(default)]
    pub site: String,
    /// When the approval ends: a length such as `90d` or `12h`, a date, or a time (RFC 3339). Absent: never.
    #[serde(default)]
    pub expires: String,
}

/// Why a node is turned away.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Deny {
    /// The node's log shows it.
    pub reason: String,
}

impl From<EngineFact> for Engine {
    fn from(fact: EngineFact) -> Self {
        let EngineFact { name, version, raw } = fact;
        Self { name: name.into(), version: version.into(), raw }
    }
}

impl From<coordinator::registry::Approval> for Approval {
    fn from(approval: coordinator::registry::Approval) -> Self {
        let coordinator::registry::Approval { ranges, site, expires, by, at } = approval;
        Self { ranges, site: site.into(), expires, by: by.into(), at }
    }
}

impl From<NodeView> for Node {
    fn from(view: NodeView) -> Self {
        let NodeView { record, presence, status } = view;
        let NodeRecord { key, sealing: _, label, facts, first_asked, last_asked, admission } = record;
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
            asked: first_asked,
            last_seen: last_seen(&admission, &status, now, last_asked),
            load: now.map(|presence| f64::from(presence.load_hundredths) / 100.0),
            clock_offset_ms: now.map(|presence| presence.clock_offset_ms),
            running: now.map(running).unwrap_or_default(),
            spooled: now.map_or(0, |presence| presence.spooled),
            room: now.map(|presence| room_name(presence.room).to_owned()),
            status: status.name().to_owned(),
            approval: match admission {
                Admission::Approved(approval) => Some(approval.into()),
                Admission::Pending | Admission::Denied { .. } => None,
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
        (_, Admission::Denied { reason, by: _, at: _ }) => Some(reason.to_string()),
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
        Admission::Pending | Admission::Denied { .. } => Some(last_asked),
    }
}

/// Every node, pending ones first.
#[utoipa::path(get, path = "/api/v1/nodes", tag = "nodes", responses((status = 200, body = Vec<Node>)))]
pub(crate) async fn list(State(app): State<App>, Caller(actor): Caller) -> Result<Json<Vec<Node>>, WebError> {
    let nodes = app.coordinator.nodes(&actor).await?;
    Ok(Json(nodes.into_iter().map(Node::from).collect()))
}

/// Lets a node in; it learns so at once.
#[utoipa::path(post, path = "/api/v1/nodes/{node}/approve", tag = "nodes",
    params(("node" = String, Path, description = "Fingerprint")), request_body = Approve, responses((status = 200, body = Node)))]
pub(crate) async fn approve(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(node): Path<Fingerprint>,
    Body(approve): Body<Approve>,
) -> Result<Json<Node>, WebError> {
    let request = approve.request(Timestamp::now())?;
    Ok(Json(app.coordinator.approve_node(&actor, &node, &request).await?.into()))
}

/// Turns a waiting node away.
#[utoipa::path(post, path = "/api/v1/nodes/{node}/deny", tag = "nodes",
    params(("node" = String, Path, description = "Fingerprint")), request_body = Deny, responses((status = 200, body = Node)))]
pub(crate) async fn deny(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(node): Path<Fingerprint>,
    Body(Deny { reason }): Body<Deny>,
) -> Result<Json<Node>, WebError> {
    Ok(Json(app.coordinator.deny_node(&actor, &node, &reason).await?.into()))
}

impl Approve {
    /// As the coordinator takes it.
    pub(crate) fn request(self, now: Timestamp) -> Result<ApproveRequest, WebError> {
        let Self { label, ranges, site, expires } = self;
        let lifetime = expiry::lifetime(&expires, now).map_err(|fault| WebError::field("expires", fault))?;
        Ok(ApproveRequest { label, ranges, site, lifetime })
    }
}
