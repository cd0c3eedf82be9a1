//! The picture of the mesh (SPEC M12): its members, their links, and the way on which each reaches the coordinator.

use super::UseCaseError;
use super::nodes::{NodeStatus, NodeView};
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::presence::Presence;
use protocol::message::Link;
use protocol::roster::Role;
use protocol::text::Text;
use protocol::{NodeId, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// The longest way that is followed; letters go no further.
const MAX_HOPS: u8 = 16;

/// The mesh as it is known at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshPicture {
    /// The moment.
    pub at: Timestamp,
    /// The coordinator first, then by hops and label; members without a known way last.
    pub members: Vec<MeshMember>,
    /// Each connection once, in key order.
    pub links: Vec<MeshLink>,
}

/// A member in the picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshMember {
    /// Its key.
    pub node: NodeId,
    /// What people call it.
    pub label: Text,
    /// What it is.
    pub role: Role,
    /// How it is.
    pub status: NodeStatus,
    /// How many connections lie between it and the coordinator; `None` when no way is known.
    pub hops: Option<u8>,
    /// The member next to it on its way to the coordinator.
    pub through: Option<NodeId>,
    /// When it was last heard.
    pub last_seen: Option<Timestamp>,
    /// Its clock minus the coordinator's, in milliseconds.
    pub clock_offset_ms: Option<i64>,
}

/// A connection between two members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshLink {
    /// Both ends, in key order.
    pub ends: [LinkEnd; 2],
    /// The end that dialled, as far as it is known.
    pub dialled_by: Option<NodeId>,
    /// Neither end is there now: this is how it was when they were last heard.
    pub is_stale: bool,
}

/// One end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkEnd {
    /// Which member.
    pub node: NodeId,
    /// How long a ping from here to the other end took; `None` when this end has not told.
    pub round_trip: Option<Duration>,
}

impl MeshMember {
    /// True while it is there.
    pub fn is_online(&self) -> bool {
        is_online(&self.status)
    }
}

impl MeshLink {
    /// The shorter of both round trips: a busy end adds to its own.
    pub fn round_trip(&self) -> Option<Duration> {
        self.ends.iter().filter_map(|end| end.round_trip).min()
    }

    /// True when it joins these two.
    pub fn joins(&self, one: &NodeId, other: &NodeId) -> bool {
        let [first, second] = &self.ends;
        [(&first.node, &second.node), (&second.node, &first.node)].contains(&(one, other))
    }
}

impl Coordinator {
    /// Who is linked to whom, through whom each member is reached, and how long pings take.
    pub async fn mesh_links(&self, actor: &Actor) -> Result<MeshPicture, UseCaseError> {
        actor.require(Right::Read)?;
        let mut nodes = self.nodes(actor).await?;
        nodes.retain(|view| view.record.approval().is_some());
        Ok(picture(self.id(), &self.presences().own_links(), &nodes, Timestamp::now()))
    }
}

fn is_online(status: &NodeStatus) -> bool {
    matches!(status, NodeStatus::Online | NodeStatus::Scanning)
}

/// Draws the picture from what the coordinator sees itself and what nodes tell.
fn picture(coordinator: NodeId, own: &[Link], nodes: &[NodeView], at: Timestamp) -> MeshPicture {
    let views: BTreeMap<NodeId, &NodeView> = nodes.iter().map(|view| (view.record.key, view)).collect();
    let is_member = |node: &NodeId| *node == coordinator || views.contains_key(node);
    let next = views.iter().filter_map(|(node, view)| Some((*node, next_hop(view, coordinator, own)?)));
    let next: BTreeMap<NodeId, NodeId> = next.filter(|(_, next)| is_member(next)).collect();
    let hub = MeshMember {
        node: coordinator,
        label: "coordinator".into(),
        role: Role::Coordinator,
        status: NodeStatus::Online,
        hops: Some(0),
        through: None,
        last_seen: Some(at),
        clock_offset_ms: None,
    };
    let mut members: Vec<MeshMember> = nodes.iter().map(|view| member(view, coordinator, &next)).chain([hub]).collect();
    members.sort_by_key(|member| (member.hops.unwrap_or(u8::MAX), member.label.clone(), member.node));
    MeshPicture { at, members, links: links(coordinator, own, &views) }
}

/// The member that a node's letters go to: us while we are connected, else whom it names. One that is away has none.
fn next_hop(view: &NodeView, coordinator: NodeId, own: &[Link]) -> Option<NodeId> {
    if own.iter().any(|link| link.node == view.record.key) {
        return Some(coordinator);
    }
    view.presence.as_ref().filter(|_| is_online(&view.status))?.through.filter(|through| *through != coordinator)
}

fn member(view: &NodeView, coordinator: NodeId, next: &BTreeMap<NodeId, NodeId>) -> MeshMember {
    let node = view.record.key;
    let heard = view.presence.as_ref().map(|presence| presence.last_seen);
    let last_seen = if let NodeStatus::Offline { since, reason: _ } = &view.status { *since } else { heard };
    MeshMember {
        node,
        label: view.record.label.clone(),
        role: Role::Node,
        status: view.status.clone(),
        hops: hops(node, coordinator, next),
        through: next.get(&node).copied(),
        last_seen,
        clock_offset_ms: view.presence.as_ref().map(|presence| presence.clock_offset_ms),
    }
}

/// Follows the way to the coordinator; what nodes say may be false or of different times, so it may end or go round.
fn hops(node: NodeId, coordinator: NodeId, next: &BTreeMap<NodeId, NodeId>) -> Option<u8> {
    let mut at = node;
    for hops in 0..=MAX_HOPS {
        if at == coordinator {
            return Some(hops);
        }
        at = *next.get(&at)?;
    }
    None
}

/// What is told of one connection, by key order of its ends.
#[derive(Default)]
struct Told {
    round_trips: [Option<Duration>; 2],
    dialled_by: Option<NodeId>,
    is_fresh: bool,
}

/// Every connection that is told of by someone who would know: the coordinator of its own, ends that are there, and of
/// two that are away either one.
fn links(coordinator: NodeId, own: &[Link], views: &BTreeMap<NodeId, &NodeView>) -> Vec<MeshLink> {
    let is_there = |node: &NodeId| views.get(node).is_some_and(|view| is_online(&view.status));
    let by_nodes = views.iter().flat_map(|(node, view)| told_by(*node, view.presence.as_ref()));
    let by_us = own.iter().map(|link| (coordinator, *link));
    let mut all: BTreeMap<[NodeId; 2], Told> = BTreeMap::new();
    for (from, link) in by_us.chain(by_nodes) {
        let is_fresh = from == coordinator || is_there(&from);
        // A link to us stands when we have it too; one to a node that is there, when one that is there tells of it.
        let is_believed = if from != coordinator && link.node == coordinator {
            own.iter().any(|own| own.node == from)
        } else {
            is_fresh || !is_there(&link.node)
        };
        let is_member = link.node == coordinator || views.contains_key(&link.node);
        if !is_believed || !is_member || from == link.node {
            continue;
        }
        let ends = if from < link.node { [from, link.node] } else { [link.node, from] };
        let told = all.entry(ends).or_default();
        let round_trip = link.round_trip_us.map(|micros| Duration::from_micros(micros.into()));
        let [first, second] = &mut told.round_trips;
        *(if from < link.node { first } else { second }) = round_trip;
        told.dialled_by = told.dialled_by.or(Some(if link.is_dialled { from } else { link.node }));
        told.is_fresh |= is_fresh;
    }
    all.into_iter().map(|(ends, told)| link(ends, told)).collect()
}

fn told_by(node: NodeId, presence: Option<&Presence>) -> impl Iterator<Item = (NodeId, Link)> {
    presence.into_iter().flat_map(|presence| &presence.links).map(move |link| (node, *link))
}

fn link([one, other]: [NodeId; 2], Told { round_trips: [there, back], dialled_by, is_fresh }: Told) -> MeshLink {
    let ends = [LinkEnd { node: one, round_trip: there }, LinkEnd { node: other, round_trip: back }];
    MeshLink { ends, dialled_by, is_stale: !is_fresh }
}

#[cfg(test)]
mod tests;
