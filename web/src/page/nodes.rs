//! `/nodes`: those that wait for approval as cards on top, then all others.

pub(crate) mod decide;
pub(crate) mod roster;

use crate::App;
use crate::api::nodes::{self as api, Decide, Which};
use crate::error::WebError;
use crate::filters;
use crate::look::Badge;
use crate::page::node::NodePage;
use crate::page::{Head, Page, Section, View};
use crate::session::{self, Caller};
use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use coordinator::registry::Admission;
use coordinator::registry::ending::Ending;
use coordinator::{Actor, NodeDecision, NodeStatus, NodeView, Right};
use protocol::message::Room;
use protocol::{Fingerprint, TargetSet, Timestamp};
use roster::RosterNotices;
use tower_sessions::Session;

#[derive(Template)]
#[template(path = "nodes.html")]
pub(crate) struct Nodes {
    pub(crate) pending: Vec<PendingCard>,
    pub(crate) nodes: Vec<NodeRow>,
    /// How many are left out of the list.
    pub(crate) hidden: usize,
    /// Whether those are shown too.
    pub(crate) shows_hidden: bool,
    pub(crate) roster: RosterNotices,
    pub(crate) may_approve: bool,
    /// Why the form that was just sent was not taken.
    pub(crate) fault: Option<String>,
    /// What came of the last form.
    pub(crate) told: Option<String>,
}

/// A node that asks to be let in.
pub(crate) struct PendingCard {
    pub(crate) id: String,
    pub(crate) fingerprint: String,
    pub(crate) host: String,
    pub(crate) address: String,
    pub(crate) claimed: String,
    pub(crate) version: String,
    /// The node that passed its request on.
    pub(crate) through: Option<String>,
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
    #[serde(default)]
    pub(crate) sponsor: bool,
}

/// A node that was decided on.
pub(crate) struct NodeRow {
    /// In addresses.
    pub(crate) id: String,
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
        Head::top(Section::Nodes)
    }
}

/// Why a node is turned away.
#[derive(serde::Deserialize)]
pub(crate) struct Denial {
    reason: String,
}

/// `GET /nodes`
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
    Query(which): Query<Which>,
) -> Result<Page<Nodes>, WebError> {
    let told = session::told(&session).await?;
    Ok(Page(Nodes { told, ..Nodes::read(&app, &actor, &which).await? }))
}

/// `POST /nodes/{node}/approve`: for one that waits, and for new terms of one that is in.
pub(crate) async fn approve(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(node): Path<Fingerprint>,
    Form(form): Form<ApprovalForm>,
) -> Result<Response, WebError> {
    let is_pending = app.coordinator.node(&actor, &node).await?.record.is_pending();
    let outcome = match Decide::from(form.clone()).read("approve", Timestamp::now()) {
        Ok(decision) => app.coordinator.decide_node(&actor, &node, &decision).await.map_err(WebError::from),
        Err(fault) => Err(fault),
    };
    match outcome {
        Ok(_) if is_pending => Ok(Redirect::to(&app.link("/nodes")).into_response()),
        Ok(_) => Ok(Redirect::to(&app.link(&format!("/nodes/{}", node.compact()))).into_response()),
        Err(fault @ WebError::Invalid(_)) if is_pending => {
            let page = Nodes::read(&app, &actor, &Which::default()).await?.with_fault(&node, form, &fault);
            Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response())
        }
        Err(WebError::Invalid(faults)) => {
            let page = NodePage { form, faults: faults.into(), ..NodePage::read(&app, &actor, &node).await? };
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
    app.coordinator.decide_node(&actor, &node, &NodeDecision::Deny { reason }).await?;
    Ok(Redirect::to(&app.link("/nodes")))
}

impl Nodes {
    async fn read(app: &App, actor: &Actor, which: &Which) -> Result<Self, WebError> {
        let (pending, decided): (Vec<_>, Vec<_>) =
            app.coordinator.nodes(actor).await?.into_iter().partition(|node| node.record.is_pending());
        let (hidden, shown): (Vec<_>, Vec<_>) = decided.into_iter().partition(|node| node.record.hidden);
        let also = hidden.iter().filter(|_| which.hidden);
        let may_approve = actor.role.may(Right::Approve);
        Ok(Self {
            pending: pending.iter().map(PendingCard::from).collect(),
            nodes: shown.iter().chain(also).map(NodeRow::from).collect(),
            hidden: hidden.len(),
            shows_hidden: which.hidden,
            roster: RosterNotices::of(&app.coordinator.roster(actor).await?, may_approve),
            may_approve,
            fault: None,
            told: None,
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

impl From<ApprovalForm> for Decide {
    fn from(form: ApprovalForm) -> Self {
        let ApprovalForm { label, ranges, site, expires, sponsor } = form;
        // What the form leaves empty is meant so.
        let expires = if expires.trim().is_empty() { "never".to_owned() } else { expires };
        Self { label, ranges, site, expires, sponsor: Some(sponsor), reason: String::new() }
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
            through: through(view),
            asked: record.last_asked,
            state: Badge::pending(),
            approval: ApprovalForm {
                label: record.label.to_string(),
                ranges: claimed.clone(),
                site: coordinator::scan::DEFAULT_SITE.to_owned(),
                expires: String::new(),
                sponsor: false,
            },
            claimed: if claimed.is_empty() { "no limit of its own".to_owned() } else { claimed },
            is_open: false,
        }
    }
}

impl From<&NodeView> for NodeRow {
    fn from(view: &NodeView) -> Self {
        let (record, facts) = (&view.record, &view.record.facts);
        let id = record.key.fingerprint().compact().to_owned();
        let fingerprint = record.key.fingerprint().to_string();
        let (state, why, seen) = state(view);
        let connected = view.presence.as_ref().and_then(|presence| presence.address).map(|address| address.ip());
        let address = connected.or_else(|| facts.addresses.first().copied());
        let engines = facts.engines.iter().map(|engine| format!("{} {}", engine.name, engine.version));
        Self {
            id,
            label: record.label.to_string(),
            short: fingerprint.chars().take(9).collect(),
            fingerprint,
            state,
            why,
            address: address.map(|address| address.to_string()).unwrap_or_default(),
            host: facts.hostname.to_string(),
            ranges: record.terms().map(|approval| approval.ranges.to_string()).unwrap_or_default(),
            engines: engines.collect::<Vec<_>>().join(", "),
            seen: seen.or_else(|| view.presence.as_ref().map(|presence| presence.last_seen)),
        }
    }
}

/// The node through which this one asked, as people and as keys name it.
pub(crate) fn through(view: &NodeView) -> Option<String> {
    let sponsor = view.record.sponsor?.fingerprint();
    Some(view.sponsor.as_ref().map_or_else(|| sponsor.to_string(), |label| format!("{label} ({sponsor})")))
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

/// State, what is to be known beside it, and since when.
pub(crate) fn state(view: &NodeView) -> (Badge, String, Option<Timestamp>) {
    let asked = Some(view.record.last_asked);
    let (badge, why, seen) = match (&view.status, &view.record.admission) {
        (NodeStatus::Online, _) => (Badge::presence(true, false), short_of_room(view), None),
        (NodeStatus::Scanning, _) => (Badge::presence(true, true), short_of_room(view), None),
        (NodeStatus::Cloned { since }, _) => (Badge::cloned(), api::CLONED.to_owned(), Some(*since)),
        (NodeStatus::Offline { since, reason }, _) => (Badge::presence(false, false), (*reason).to_owned(), *since),
        (NodeStatus::Expired, _) => (Badge::denied("expired"), "its approval has ended".to_owned(), None),
        (NodeStatus::Awaited, _) => (Badge::awaited(), "the mesh key has yet to sign".to_owned(), asked),
        (NodeStatus::Denied, Admission::Denied { reason, by, .. }) => {
            (Badge::denied("denied"), format!("{reason} ({by})"), asked)
        }
        (NodeStatus::Revoked, Admission::Revoked { reason, by, .. }) => {
            (Badge::denied("revoked"), format!("{reason} ({by})"), asked)
        }
        (NodeStatus::Suspended, Admission::Suspended { reason, by, at, .. }) => {
            (Badge::denied("suspended"), format!("{reason} ({by})"), Some(*at))
        }
        (NodeStatus::Suspended, _) => (Badge::denied("suspended"), String::new(), asked),
        (NodeStatus::Denied, _) => (Badge::denied("denied"), String::new(), asked),
        (NodeStatus::Revoked, _) => (Badge::denied("revoked"), String::new(), asked),
        (NodeStatus::Pending, _) => (Badge::pending(), String::new(), asked),
    };
    let told = [why.as_str(), ending(view), waits(view)];
    (badge, told.into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join("; "), seen)
}

fn ending(view: &NodeView) -> &'static str {
    match view.ending {
        Some(Ending::Month) => "its approval ends in less than 30 days",
        Some(Ending::Week) => "its approval ends in less than 7 days",
        Some(Ending::Day) => "its approval ends in less than a day",
        Some(Ending::Over) | None => "",
    }
}

fn waits(view: &NodeView) -> &'static str {
    if view.is_awaited && view.status != NodeStatus::Awaited { "awaiting signature" } else { "" }
}
