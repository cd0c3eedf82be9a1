//! Nodes: seeing them, inviting them, and the key approval.

use super::{UseCaseError, text_or};
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::audit;
use crate::events::Event;
use crate::hub::{Command, let_in};
use crate::presence::Presence;
use crate::registry::{Admission, Approval, NodeRecord, PreApproval};
use crate::scan::DEFAULT_SITE;
use crate::store::tables::{INVITES, NODES};
use crate::store::{Reads, StoreError};
use protocol::invite::{Invite, secret_name};
use protocol::text::Text;
use protocol::{Fingerprint, NodeId, TargetSet, Timestamp};
use std::net::SocketAddr;
use std::time::Duration;

/// The longest that an invite is good for.
const MAX_INVITE_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// A node with what is known of it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// As kept.
    pub record: NodeRecord,
    /// What it last said; `None` when it was not heard since the coordinator started.
    pub presence: Option<Presence>,
    /// How it is.
    pub status: NodeStatus,
}

/// How a node is (SPEC M6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeStatus {
    /// Waits for a decision.
    Pending,
    /// Was turned away.
    Denied,
    /// There, with nothing to do.
    Online,
    /// There, at work.
    Scanning,
    /// Not there.
    Offline {
        /// The last word from it.
        since: Option<Timestamp>,
        /// Why it counts as offline.
        reason: &'static str,
    },
    /// Its approval has ended.
    Expired,
}

impl NodeStatus {
    /// The word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Denied => "denied",
            Self::Online => "online",
            Self::Scanning => "scanning",
            Self::Offline { .. } => "offline",
            Self::Expired => "expired",
        }
    }
}

/// On which terms to let a node in, as typed.
#[derive(Clone, Debug, Default)]
pub struct ApproveRequest {
    /// Empty: keep what the node calls itself.
    pub label: String,
    /// What it may scan; required.
    pub ranges: String,
    /// Empty for the default site.
    pub site: String,
    /// How long the approval lasts; `None` for ever.
    pub lifetime: Option<Duration>,
}

/// What kind of invite to make.
#[derive(Clone, Debug)]
pub struct InviteRequest {
    /// How long it is good for, at most 30 days.
    pub lifetime: Duration,
    /// Ranges of a single-use pre-approval; `None` makes a plain invite, after which a person approves.
    pub ranges: Option<String>,
    /// Site of a pre-approval; empty for the default one.
    pub site: String,
    /// Enrolment ports that it names; empty for the coordinator's and those of members that may sponsor.
    pub addresses: Vec<SocketAddr>,
}

/// Every node there is, in key order.
pub(crate) fn all(reads: &impl Reads) -> Result<Vec<NodeRecord>, StoreError> {
    reads.iter(&NODES).map(|row| row.map(|(_, node)| node)).collect()
}

fn parse_ranges(text: &str) -> Result<TargetSet, UseCaseError> {
    text.parse().map_err(|error: protocol::target::TargetError| UseCaseError::Invalid {
        field: "ranges",
        reason: error.to_string(),
    })
}

impl Coordinator {
    /// Every node, pending ones first, then by label.
    pub async fn nodes(&self, actor: &Actor) -> Result<Vec<NodeView>, UseCaseError> {
        actor.require(Right::Read)?;
        let now = Timestamp::now();
        let records = self.store().read(all).await?;
        let mut views: Vec<NodeView> =
            records.into_iter().filter(|node| !node.is_stale(now)).map(|node| self.view_node(node, now)).collect();
        views.sort_by_key(|view| (!view.record.is_pending(), view.record.label.clone(), view.record.key));
        Ok(views)
    }

    /// The node with this key.
    pub async fn node(&self, actor: &Actor, fingerprint: &Fingerprint) -> Result<NodeView, UseCaseError> {
        let nodes = self.nodes(actor).await?;
        let found = nodes.into_iter().find(|view| view.record.key.fingerprint() == *fingerprint);
        found.ok_or_else(|| UseCaseError::no_node(fingerprint))
    }

    fn view_node(&self, record: NodeRecord, now: Timestamp) -> NodeView {
        let presence = self.presences().get(&record.key);
        let status = match &record.admission {
            Admission::Pending => NodeStatus::Pending,
            Admission::Denied { .. } => NodeStatus::Denied,
            Admission::Approved(approval) if approval.expires.is_some_and(|end| now > end) => NodeStatus::Expired,
            Admission::Approved(_) => self.live_status(presence.as_ref(), now),
        };
        NodeView { record, presence, status }
    }

    fn live_status(&self, presence: Option<&Presence>, now: Timestamp) -> NodeStatus {
        match presence {
            None => NodeStatus::Offline { since: None, reason: "not heard since the coordinator started" },
            Some(presence) if presence.is_online(now, self.timing().offline_after) => {
                if presence.running.is_empty() {
                    NodeStatus::Online
                } else {
                    NodeStatus::Scanning
                }
            }
            Some(presence) => {
                let reason = if presence.lost { "its connection was lost" } else { "its heartbeats stopped" };
                NodeStatus::Offline { since: Some(presence.last_seen), reason }
            }
        }
    }

    /// Lets a node in; it learns so at once.
    pub async fn approve_node(
        &self,
        actor: &Actor,
        fingerprint: &Fingerprint,
        request: &ApproveRequest,
    ) -> Result<NodeView, UseCaseError> {
        actor.require(Right::Approve)?;
        let now = Timestamp::now();
        let key = self.node(actor, fingerprint).await?.record.key;
        let label = request.label.clone();
        let approval = Approval {
            ranges: parse_ranges(&request.ranges)?,
            site: text_or(&request.site, &DEFAULT_SITE.into()),
            expires: request.lifetime.map(|lifetime| now.plus(lifetime)),
            by: actor.name.clone(),
            at: now,
        };
        let (mesh_key, coordinator) = (self.mesh_key().clone(), self.id());
        let roster = self
            .store()
            .update(move |draft| {
                let mut record = draft.get(&NODES, &key)?.ok_or_else(|| UseCaseError::no_node(key))?;
                record.label = text_or(&label, &record.label);
                Ok::<_, UseCaseError>(let_in(draft, record, approval, &mesh_key, coordinator, now)?)
            })
            .await?;
        self.hub().tell(Command::Roster(roster, vec![key])).await;
        self.events().publish(Event::Node { node: key });
        self.node(actor, fingerprint).await
    }

    /// Turns a waiting node away; its requests are answered with the reason.
    pub async fn deny_node(
        &self,
        actor: &Actor,
        fingerprint: &Fingerprint,
        reason: &str,
    ) -> Result<NodeView, UseCaseError> {
        actor.require(Right::Approve)?;
        let now = Timestamp::now();
        let view = self.node(actor, fingerprint).await?;
        if !view.record.is_pending() {
            let name = view.status.name();
            return Err(UseCaseError::Conflict(format!("node {fingerprint} is {name}; only a pending one is denied")));
        }
        let key = view.record.key;
        let reason = text_or(reason, &"an administrator said no".into());
        let who = actor.clone();
        if !self.store().update(move |draft| deny(draft, key, reason, &who, now)).await? {
            let reason = format!("node {fingerprint} was decided on by someone else just now");
            return Err(UseCaseError::Conflict(reason));
        }
        self.hub().tell(Command::Decided(key)).await;
        self.events().publish(Event::Node { node: key });
        self.node(actor, fingerprint).await
    }

    /// Makes an invite; one with ranges lets in whoever shows it first.
    pub async fn create_invite(&self, actor: &Actor, request: &InviteRequest) -> Result<Invite, UseCaseError> {
        actor.require(Right::Approve)?;
        if request.lifetime.is_zero() || request.lifetime > MAX_INVITE_LIFETIME {
            let reason = "an invite lasts from one second to 30 days".to_owned();
            return Err(UseCaseError::Invalid { field: "expires", reason });
        }
        let addresses = self.invite_addresses(&request.addresses).await?;
        let now = Timestamp::now();
        let expires = now.plus(request.lifetime);
        let secret = match &request.ranges {
            Some(ranges) => {
                let ranges = parse_ranges(ranges)?;
                let site = text_or(&request.site, &DEFAULT_SITE.into());
                let by = actor.name.clone();
                Some(self.pre_approve(PreApproval { ranges, site, expires, by, used_by: None }, actor, now).await?)
            }
            None => None,
        };
        Ok(Invite { mesh: self.mesh_id(), addresses, expires, secret })
    }

    async fn pre_approve(&self, invite: PreApproval, actor: &Actor, now: Timestamp) -> Result<[u8; 16], UseCaseError> {
        let mut secret = [0; 16];
        getrandom::fill(&mut secret)
            .map_err(|error| UseCaseError::Conflict(format!("the system gives no randomness: {error}")))?;
        let name = secret_name(&secret);
        let actor = actor.clone();
        self.store()
            .update(move |draft| {
                audit::note(draft, &actor, "invite create", &format!("for {}", invite.ranges), now)?;
                draft.put(&INVITES, &name, &invite)
            })
            .await?;
        Ok(secret)
    }
}

fn deny(
    draft: &mut crate::store::Draft,
    key: NodeId,
    reason: Text,
    actor: &Actor,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some(mut record) = draft.get(&NODES, &key)?.filter(NodeRecord::is_pending) else { return Ok(false) };
    audit::note(draft, actor, "node deny", &format!("{key}: {reason}"), now)?;
    record.admission = Admission::Denied { reason, by: actor.name.clone(), at: now };
    draft.put(&NODES, &key, &record)?;
    Ok(true)
}
