//! Deciding about keys, one or many: all of them in one commit and one roster, or none.

use super::NodeView;
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::audit;
use crate::events::Event;
use crate::hub::Command;
use crate::registry::NodeRecord;
use crate::registry::decision::{Decision, Terms};
use crate::registry::issuing::{Issued, Issuer};
use crate::store::Draft;
use crate::store::tables::NODES;
use crate::use_case::{UseCaseError, text_or};
use protocol::text::Text;
use protocol::{Fingerprint, NodeId, TargetSet, Timestamp};
use std::collections::BTreeSet;
use std::time::Duration;

/// Which nodes are decided on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeSelection {
    /// These, each of which must be there.
    Keys(BTreeSet<Fingerprint>),
    /// Those that wait for a decision when it is made.
    Pending,
}

/// What is decided, as typed.
#[derive(Clone, Debug)]
pub enum NodeDecision {
    /// Lets them in, or changes the terms on which they are in; they learn it at once.
    Approve(ApproveRequest),
    /// Turns waiting ones away; their requests are answered with the reason.
    Deny {
        /// The node's log shows it.
        reason: String,
    },
    /// Throws them out for good, everywhere, at once.
    Revoke {
        /// Kept, and told to whoever asks with that key again.
        reason: String,
    },
    /// Keeps them out until they are approved again; what they found waits with them.
    Suspend {
        /// Kept and shown.
        reason: String,
    },
    /// Forgets waiting, denied, suspended and expired ones; they may ask again.
    Remove,
    /// Leaves them out of lists; they work all the same.
    Hide,
    /// Shows them in lists again.
    Unhide,
    /// Gives them work again after their keys were seen on two machines.
    Trust,
}

/// On which terms to let a node in, as typed. What is left out stays for a node that is in.
#[derive(Clone, Debug, Default)]
pub struct ApproveRequest {
    /// Empty: what it is called now, at first what the node calls itself.
    pub label: String,
    /// What it may scan; required for a node that is not in.
    pub ranges: String,
    /// Empty: as it is, at first the default site.
    pub site: String,
    /// How long the approval lasts.
    pub lifetime: Lifetime,
    /// Whether it may pass on the requests of strangers; at first not.
    pub may_sponsor: Option<bool>,
}

/// How long an approval lasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lifetime {
    /// As long as it does now; at first for ever.
    #[default]
    Kept,
    /// It has no end.
    ForEver,
    /// So long from now on.
    From(Duration),
}

pub(in crate::use_case) fn parse_ranges(text: &str) -> Result<TargetSet, UseCaseError> {
    text.parse().map_err(|error: protocol::target::TargetError| UseCaseError::Invalid {
        field: "ranges",
        reason: error.to_string(),
    })
}

fn some_text(text: &str) -> Option<Text> {
    (!text.trim().is_empty()).then(|| Text::new(text.trim()))
}

impl ApproveRequest {
    fn terms(&self, now: Timestamp) -> Result<Terms, UseCaseError> {
        let Self { label, ranges, site, lifetime, may_sponsor } = self;
        let ranges = if ranges.trim().is_empty() { None } else { Some(parse_ranges(ranges)?) };
        let expires = match lifetime {
            Lifetime::Kept => None,
            Lifetime::ForEver => Some(None),
            Lifetime::From(lifetime) => Some(Some(now.plus(*lifetime))),
        };
        Ok(Terms { label: some_text(label), ranges, site: some_text(site), expires, may_sponsor: *may_sponsor })
    }
}

impl NodeDecision {
    fn read(&self, now: Timestamp) -> Result<Decision, UseCaseError> {
        let said = |reason: &str| text_or(reason, &"an administrator said no".into());
        Ok(match self {
            Self::Approve(request) => Decision::Approve(request.terms(now)?),
            Self::Deny { reason } => Decision::Deny(said(reason)),
            Self::Revoke { reason } => Decision::Revoke(said(reason)),
            Self::Suspend { reason } => Decision::Suspend(said(reason)),
            Self::Remove => Decision::Remove,
            Self::Hide => Decision::Hide(true),
            Self::Unhide => Decision::Hide(false),
            Self::Trust => Decision::Trust,
        })
    }
}

/// What was stored: the nodes as they stand now (as they stood, when forgotten), and the roster that says so.
struct Decided {
    keys: Vec<NodeId>,
    forgotten: Vec<NodeRecord>,
    issued: Issued,
}

impl Coordinator {
    /// Decides about one node.
    pub async fn decide_node(
        &self,
        actor: &Actor,
        node: &Fingerprint,
        decision: &NodeDecision,
    ) -> Result<NodeView, UseCaseError> {
        let selection = NodeSelection::Keys([node.clone()].into());
        let decided = self.decide_nodes(actor, &selection, decision).await?;
        decided.into_iter().next().ok_or_else(|| UseCaseError::no_node(node))
    }

    /// Decides about several nodes alike; when one of them does not fit, nothing is changed.
    pub async fn decide_nodes(
        &self,
        actor: &Actor,
        selection: &NodeSelection,
        decision: &NodeDecision,
    ) -> Result<Vec<NodeView>, UseCaseError> {
        actor.require(Right::Approve)?;
        let now = Timestamp::now();
        let (read, issuer) = (decision.read(now)?, self.issuer().clone());
        let (who, which) = (actor.clone(), selection.clone());
        let Decided { keys, forgotten, issued } =
            self.store().update(move |draft| decide(draft, &which, &read, &issuer, &who, now)).await?;
        self.hub().tell(Command::Issued(issued, keys.clone())).await;
        keys.iter().for_each(|key| self.events().publish(Event::Node { node: *key }));
        let mut views = self.nodes(actor).await?;
        views.retain(|view| keys.contains(&view.record.key));
        let last = |node| NodeView { is_awaited: false, ..self.view_node(node, None, now) };
        views.extend(forgotten.into_iter().map(last));
        Ok(views)
    }
}

fn decide(
    draft: &mut Draft,
    selection: &NodeSelection,
    decision: &Decision,
    issuer: &Issuer,
    actor: &Actor,
    now: Timestamp,
) -> Result<Decided, UseCaseError> {
    let nodes = chosen(super::all(draft)?, selection, now)?;
    if matches!(decision, Decision::Approve(Terms { label: Some(_), .. })) && nodes.len() > 1 {
        let reason = "a label is for one node; approve several without one".to_owned();
        return Err(UseCaseError::Invalid { field: "label", reason });
    }
    let (mut keys, mut forgotten) = (Vec::new(), Vec::new());
    for node in nodes {
        let (key, before) = (node.key, node.clone());
        let after = decision.apply(node, &actor.name, now).map_err(|misfit| UseCaseError::misfit(key, &misfit))?;
        let subject = decision.subject(after.as_ref().unwrap_or(&before));
        audit::note(draft, actor, decision.action(), &subject, now)?;
        match after {
            Some(after) => draft.put(&NODES, &key, &after)?,
            None => {
                draft.remove(&NODES, &key)?;
                forgotten.push(before);
            }
        }
        keys.push(key);
    }
    let issued = issuer.issue(draft, now)?;
    Ok(Decided { keys, forgotten, issued })
}

fn chosen(nodes: Vec<NodeRecord>, selection: &NodeSelection, now: Timestamp) -> Result<Vec<NodeRecord>, UseCaseError> {
    let fresh = nodes.into_iter().filter(|node| !node.is_stale(now));
    let mut wanted = match selection {
        NodeSelection::Pending => return Ok(fresh.filter(NodeRecord::is_pending).collect()),
        NodeSelection::Keys(keys) => keys.clone(),
    };
    let found: Vec<NodeRecord> = fresh.filter(|node| wanted.remove(&node.key.fingerprint())).collect();
    match wanted.first() {
        Some(missing) => Err(UseCaseError::no_node(missing)),
        None => Ok(found),
    }
}
