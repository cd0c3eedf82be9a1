//! `/nodes/decide`: asks before nodes are thrown out, forgotten or hidden, one or many; and does it.

use crate::App;
use crate::api::nodes::Decide;
use crate::error::WebError;
use crate::faults::Faults;
use crate::filters;
use crate::page::{Head, Page, Section, View};
use crate::session::{self, Caller};
use askama::Template;
use axum::Form;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use coordinator::{Actor, NodeSelection, NodeView};
use protocol::{Fingerprint, Timestamp};
use std::collections::BTreeSet;
use tower_sessions::Session;

/// The question.
#[derive(Template)]
#[template(path = "nodes_decide.html")]
pub(crate) struct Question {
    pub(crate) deed: Deed,
    pub(crate) nodes: Vec<Named>,
    pub(crate) reason: String,
    pub(crate) faults: Faults,
}

/// A node that is meant.
pub(crate) struct Named {
    pub(crate) id: String,
    pub(crate) label: String,
    pub(crate) fingerprint: String,
}

/// What several nodes can be asked for on a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Revoke,
    Suspend,
    Remove,
    Hide,
    Unhide,
    Trust,
}

impl Deed {
    const ALL: [Self; 6] = [Self::Revoke, Self::Suspend, Self::Remove, Self::Hide, Self::Unhide, Self::Trust];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Revoke => "revoke",
            Self::Suspend => "suspend",
            Self::Remove => "remove",
            Self::Hide => "hide",
            Self::Unhide => "unhide",
            Self::Trust => "trust",
        }
    }

    /// On the button.
    pub(crate) fn verb(self) -> &'static str {
        match self {
            Self::Revoke => "Revoke",
            Self::Suspend => "Suspend",
            Self::Remove => "Forget",
            Self::Hide => "Hide",
            Self::Unhide => "Show again",
            Self::Trust => "Trust again",
        }
    }

    fn done(self) -> &'static str {
        match self {
            Self::Revoke => "revoked",
            Self::Suspend => "suspended",
            Self::Remove => "forgotten",
            Self::Hide => "hidden",
            Self::Unhide => "shown again",
            Self::Trust => "trusted again",
        }
    }

    pub(crate) fn consequence(self) -> &'static str {
        match self {
            Self::Revoke => {
                "Every member of the mesh cuts the connection at once, its tasks go to others, and results that it still sends are refused. Its key never comes back: to let the machine in again, it joins with a new one. This cannot be undone."
            }
            Self::Suspend => {
                "Every member of the mesh cuts the connection at once, and its tasks go to others. It keeps its terms, and what it found waits on its disk. Approve it to let it in again."
            }
            Self::Remove => "It is forgotten and leaves the list. It may ask to join again.",
            Self::Hide => {
                "It leaves this list and works on as before. The list shows it again when asked for hidden nodes."
            }
            Self::Unhide => "It is in the list again.",
            Self::Trust => {
                "It gets tasks again. Do this only when you know which machine had the copy, and that it is gone. Start the one that stays anew. If two machines are still seen with its key, the alarm comes back."
            }
        }
    }

    pub(crate) fn needs_reason(self) -> bool {
        matches!(self, Self::Revoke | Self::Suspend)
    }
}

impl View for Question {
    fn head(&self) -> Head {
        Head::below(Section::Nodes, format!("{} nodes", self.deed.verb()))
    }
}

impl Question {
    /// `dmz`, or `3 nodes`.
    pub(crate) fn whom(&self) -> String {
        match self.nodes.as_slice() {
            [one] => one.label.clone(),
            many => format!("{} nodes", many.len()),
        }
    }
}

/// What was ticked and typed.
struct Asked {
    deed: Deed,
    nodes: BTreeSet<Fingerprint>,
    reason: String,
}

impl Asked {
    fn read(pairs: Vec<(String, String)>) -> Result<Self, WebError> {
        let (mut deed, mut nodes, mut reason) = (None, BTreeSet::new(), String::new());
        for (name, value) in pairs {
            match name.as_str() {
                "action" => deed = Deed::ALL.into_iter().find(|deed| deed.name() == value),
                "node" => {
                    let node = value.parse().map_err(|error| WebError::Unreadable(format!("{error}")))?;
                    nodes.insert(node);
                }
                "reason" => reason = value,
                _ => {}
            }
        }
        let deed = deed
            .ok_or_else(|| WebError::Unreadable("choose revoke, suspend, remove, hide, unhide or trust".to_owned()))?;
        Ok(Self { deed, nodes, reason })
    }

    async fn question(self, app: &App, actor: &Actor, faults: Faults) -> Result<Question, WebError> {
        let Self { deed, nodes, reason } = self;
        let known = app.coordinator.nodes(actor).await?;
        let meant = known.iter().filter(|view| nodes.contains(&view.record.key.fingerprint()));
        Ok(Question { deed, nodes: meant.map(Named::from).collect(), reason, faults })
    }
}

impl From<&NodeView> for Named {
    fn from(view: &NodeView) -> Self {
        let fingerprint = view.record.key.fingerprint();
        Self {
            id: fingerprint.compact().to_owned(),
            label: view.record.label.to_string(),
            fingerprint: fingerprint.to_string(),
        }
    }
}

/// `GET /nodes/decide`: without a tick, back to the list.
pub(crate) async fn ask(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let question = Asked::read(pairs)?.question(&app, &actor, Faults::default()).await?;
    if question.nodes.is_empty() {
        session::tell(&session, "tick the nodes that are meant first".to_owned()).await?;
        return Ok(Redirect::to(&app.link("/nodes")).into_response());
    }
    Ok(Page(question).into_response())
}

/// `POST /nodes/decide`
pub(crate) async fn decide(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let asked = Asked::read(pairs)?;
    if asked.deed.needs_reason() && asked.reason.trim().is_empty() {
        let mut faults = Faults::default();
        faults.add("reason", "say why; it is kept");
        let page = asked.question(&app, &actor, faults).await?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response());
    }
    let Asked { deed, nodes, reason } = asked;
    let decision = Decide { reason, ..Decide::default() }.read(deed.name(), Timestamp::now())?;
    let decided = app.coordinator.decide_nodes(&actor, &NodeSelection::Keys(nodes), &decision).await?;
    let whom = match decided.as_slice() {
        [one] => format!("{} is", one.record.label),
        many => format!("{} nodes are", many.len()),
    };
    let waits = decided.iter().any(|view| view.is_awaited) && deed.needs_reason();
    let waits = if waits { "; the mesh key has yet to sign" } else { "" };
    session::tell(&session, format!("{whom} {}{waits}", deed.done())).await?;
    Ok(Redirect::to(&app.link("/nodes")).into_response())
}
