//! `/nodes`: those that wait for approval as cards on top, then all others.

use crate::App;
use crate::api::nodes::{self as api, Approve};
use crate::error::WebError;
use crate::filters;
use crate::live::Topics;
use crate::look::Badge;
use crate::page::{Head, Page, Section, View};
use crate::session::Caller;
use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use coordinator::registry::Admission;
use coordinator::{Actor, NodeStatus, NodeView, Right};
use protocol::Timestamp;
use protocol::message::Room;
use protocol::{Fingerprint, TargetSet};

#[derive(Template)]
#[template(path = "nodes.html")]
pub(crate) struct Nodes {
    pub(crate) pending: Vec<PendingCard>,
    pub(crate) nodes: Vec<NodeRow>,
    pub(crate) may_approve: bool,
    /// Why the form that was just sent was not taken.
    pub(crate) fault: Option<String>,
}

/// A node that asks to be let in.
pub(crate) struct PendingCard {
    pub(crate) id: String,
    pub(crate) fingerprint: String,
    pub(crate) host: String,
    pub(crate) address: String,
    pub(crate) claimed: String,
    pub(crate) version: String,
    pub(crate) asked: Timestamp,
    pub(crate) state: Badge,
    pub(crate) approval: ApprovalForm,
    /// Whether the form is shown at once: after it was sent and not taken.
    pub(crate) is_open: bool,
}

/// What a person types to let a node in.
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub(crate) struct ApprovalForm {
    pub(crate) label: String,
    pub(crate) ranges: String,
    #[serde(default)]
    pub(crate) site: String,
    #[serde(default)]
    pub(crate) expires: String,
}

/// A node that was decided on.
pub(crate) struct NodeRow {
    pub(crate) label: String,
    pub(crate) fingerprint: String,
    /// The first two groups of the fingerprint.
    pub(crate) short: String,
    pub(crate) state: Badge,
    pub(crate) why: String,
    pub(crate) address: String,
    pub(crate) host: String,
    pub(crate) ranges: String,
    pub(crate) engines: String,
    pub(crate) seen: Option<Timestamp>,
}

impl View for Nodes {
    fn head(&self) -> Head {
        Head::top(Section::Nodes).live(Topics::new(&["node"]))
    }
}

/// Why a node is turned away.
#[derive(serde::Deserialize)]
pub(crate) struct Denial {
    reason: String,
}

/// `GET /nodes`
pub(crate) async fn show(State(app): State<App>, Caller(actor): Caller) -> Result<Page<Nodes>, WebError> {
    Nodes::read(&app, &actor).await.map(Page)
}

/// `POST /nodes/{node}/approve`
pub(crate) async fn approve(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(node): Path<Fingerprint>,
    Form(form): Form<ApprovalForm>,
) -> Result<Response, WebError> {
    let outcome = match Approve::from(form.clone()).request(Timestamp::now()) {
        Ok(request) => app.coordinator.approve_node(&actor, &node, &request).await.map_err(WebError::from),
        Err(fault) => Err(fault),
    };
    match outcome {
        Ok(_) => Ok(Redirect::to(&app.link("/nodes")).into_response()),
        Err(fault @ WebError::Invalid(_)) => {
            let page = Nodes::read(&app, &actor).await?.with_fault(&node, form, &fault);
            Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response())
        }
        Err(error) => Err(error),
    }
}

/// `POST /nodes/{node}/deny`
pub(crate) async fn deny(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(node): Path<Fingerprint>,
    Form(Denial { reason }): Form<Denial>,
) -> Result<Redirect, WebError> {
    app.coordinator.deny_node(&actor, &node, &reason).await?;
    Ok(Redirect::to(&app.link("/nodes")))
}

impl Nodes {
    async fn read(app: &App, actor: &Actor) -> Result<Self, WebError> {
        let (pending, decided): (Vec<_>, Vec<_>) =
            app.coordinator.nodes(actor).await?.into_iter().partition(|node| node.record.is_pending());
        Ok(Self {
            pending: pending.iter().map(PendingCard::from).collect(),
            nodes: decided.iter().map(NodeRow::from).collect(),
            may_approve: actor.role.may(Right::Approve),
            fault: None,
        })
    }

    fn with_fault(mut self, node: &Fingerprint, form: ApprovalForm, fault: &WebError) -> Self {
        self.fault = Some(fault.to_string());
        if let Some(card) = self.pending.iter_mut().find(|card| card.id == node.compact()) {
            (card.approval, card.is_open) = (form, true);
        }
        self
    }
}

impl From<ApprovalForm> for Approve {
    fn from(form: ApprovalForm) -> Self {
        let ApprovalForm { label, ranges, site, expires } = form;
        Self { label, ranges, site, expires }
    }
}

impl From<&NodeView> for PendingCard {
    fn from(view: &NodeView) -> Self {
        let (record, facts) = (&view.record, &view.record.facts);
        let fingerprint = record.key.fingerprint();
        let claimed = facts.policy_ranges.as_ref().map(TargetSet::to_string).unwrap_or_default();
        let or_none = |text: String| if text.is_empty() { "not told".to_owned() } else { text };
        let address = facts.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        Self {
            id: fingerprint.compact().to_owned(),
            fingerprint: fingerprint.to_string(),
            host: or_none(facts.hostname.to_string()),
            address: or_none(address),
            version: facts.version.to_string(),
            asked: record.last_asked,
            state: Badge::pending(),
            approval: ApprovalForm {
                label: record.label.to_string(),
                ranges: claimed.clone(),
                site: coordinator::scan::DEFAULT_SITE.to_owned(),
                expires: String::new(),
            },
            claimed: if claimed.is_empty() { "no limit of its own".to_owned() } else { claimed },
            is_open: false,
        }
    }
}

impl From<&NodeView> for NodeRow {
    fn from(view: &NodeView) -> Self {
        let (record, facts) = (&view.record, &view.record.facts);
        let fingerprint = record.key.fingerprint().to_string();
        let (state, why, seen) = state(view);
        let connected = view.presence.as_ref().and_then(|presence| presence.address).map(|address| address.ip());
        let address = connected.or_else(|| facts.addresses.first().copied());
        let engines = facts.engines.iter().map(|engine| format!("{} {}", engine.name, engine.version));
        Self {
            label: record.label.to_string(),
            short: fingerprint.chars().take(9).collect(),
            fingerprint,
            state,
            why,
            address: address.map(|address| address.to_string()).unwrap_or_default(),
            host: facts.hostname.to_string(),
            ranges: record.approval().map(|approval| approval.ranges.to_string()).unwrap_or_default(),
            engines: engines.collect::<Vec<_>>().join(", "),
            seen: seen.or_else(|| view.presence.as_ref().map(|presence| presence.last_seen)),
        }
    }
}

/// What its disk keeps it from.
fn short_of_room(view: &NodeView) -> String {
    let words = match view.presence.as_ref().map(|presence| presence.room) {
        None | Some(Room::Free) => "",
        Some(Room::Tight) => "takes no new tasks: its disk is nearly full",
        Some(Room::Full) => "scans nothing: its disk is full",
    };
    words.to_owned()
}

fn state(view: &NodeView) -> (Badge, String, Option<Timestamp>) {
    match (&view.status, &view.record.admission) {
        (NodeStatus::Online, _) => (Badge::presence(true, false), short_of_room(view), None),
        (NodeStatus::Scanning, _) => (Badge::presence(true, true), short_of_room(view), None),
        (NodeStatus::Cloned { seen }, _) => (Badge::cloned(), api::CLONED.to_owned(), Some(*seen)),
        (NodeStatus::Offline { since, reason }, _) => (Badge::presence(false, false), (*reason).to_owned(), *since),
        (NodeStatus::Expired, _) => (Badge::denied("expired"), "its approval has ended".to_owned(), None),
        (NodeStatus::Denied, Admission::Denied { reason, by, at: _ }) => {
            (Badge::denied("denied"), format!("{reason} ({by})"), Some(view.record.last_asked))
        }
        (NodeStatus::Denied, _) => (Badge::denied("denied"), String::new(), Some(view.record.last_asked)),
        (NodeStatus::Pending, _) => (Badge::pending(), String::new(), Some(view.record.last_asked)),
    }
}
