//! The mesh as a drawing: discs for members, lines for links, rings for hops. Colours and widths are the style sheet's.

use super::Pace;
use super::layout::{self, Layout, Member, Place, Ring};
use coordinator::{MeshLink, MeshMember, MeshPicture, NodeStatus};
use protocol::NodeId;
use protocol::roster::Role;
use std::collections::BTreeMap;

/// Characters of a label that fit below a disc; of a longer one its beginning and its end, which tells it apart.
const LABEL_CHARS: usize = 13;
const HEAD_CHARS: usize = 7;
const TAIL_CHARS: usize = LABEL_CHARS - HEAD_CHARS - 1;

/// How much a link bends that is not on anyone's way, as a part of its length.
const BEND: f64 = 0.18;

/// What the template draws.
pub(crate) struct Picture {
    pub(crate) width: f64,
    pub(crate) height: f64,
    /// Where the coordinator stands.
    pub(crate) middle: Place,
    /// What it shows, in one sentence.
    pub(crate) summary: String,
    pub(crate) is_labelled: bool,
    /// Too many labels for a narrow screen.
    pub(crate) is_dense: bool,
    pub(crate) rings: Vec<RingShape>,
    pub(crate) lines: Vec<Line>,
    pub(crate) discs: Vec<Disc>,
}

/// A circle around the coordinator.
pub(crate) struct RingShape {
    pub(crate) radius: f64,
    /// Where its words stand.
    pub(crate) top: f64,
    pub(crate) words: String,
}

/// A link.
pub(crate) struct Line {
    pub(crate) from: Place,
    pub(crate) to: Place,
    /// What the line bends towards: links that nobody's letters take go around those that stand between.
    pub(crate) bend: Place,
    pub(crate) pace: Pace,
    /// Whether letters to the coordinator take it.
    pub(crate) is_way: bool,
    pub(crate) is_stale: bool,
    pub(crate) title: String,
}

/// A member.
pub(crate) struct Disc {
    pub(crate) at: Place,
    pub(crate) shape: Shape,
    /// Short enough to stand below the disc.
    pub(crate) label: String,
    pub(crate) title: String,
}

/// How a member looks: told apart without colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Coordinator,
    Online,
    Scanning,
    Offline,
}

impl Picture {
    /// Draws `mesh`, whose coordinator comes first.
    pub(super) fn of(mesh: &MeshPicture) -> Self {
        let index: BTreeMap<NodeId, usize> =
            mesh.members.iter().enumerate().map(|(index, member)| (member.node, index)).collect();
        let member = |member: &MeshMember| Member {
            hops: member.hops,
            through: member.through.and_then(|through| index.get(&through).copied()),
        };
        let members: Vec<Member> = mesh.members.iter().map(member).collect();
        let Layout { width, height, middle, places, rings, is_labelled } = layout::lay_out(&members);
        let place = |node: &NodeId| index.get(node).and_then(|index| places.get(*index)).copied().unwrap_or_default();
        Self {
            width,
            height,
            middle,
            summary: summary(mesh),
            is_labelled,
            is_dense: is_labelled && mesh.members.len() > 12,
            rings: rings.iter().map(|ring| ring_shape(ring, middle)).collect(),
            lines: mesh.links.iter().map(|link| line(link, &mesh.members, &index, place)).collect(),
            discs: mesh.members.iter().map(|member| disc(member, place(&member.node))).collect(),
        }
    }
}

fn summary(mesh: &MeshPicture) -> String {
    let nodes = mesh.members.iter().filter(|member| member.role == Role::Node);
    let online = nodes.clone().filter(|node| node.is_online()).count();
    let through_others = nodes.clone().filter(|node| node.hops.is_some_and(|hops| hops > 1)).count();
    let (nodes, links) = (nodes.count(), mesh.links.iter().filter(|link| !link.is_stale).count());
    let node = if nodes == 1 { "node" } else { "nodes" };
    let link = if links == 1 { "link" } else { "links" };
    format!("{online} of {nodes} {node} online, {through_others} through other nodes, {links} {link}")
}

fn ring_shape(ring: &Ring, middle: Place) -> RingShape {
    let words = match ring.hops {
        Some(1) => "1 hop".to_owned(),
        Some(hops) => format!("{hops} hops"),
        None => "no way known".to_owned(),
    };
    RingShape { radius: ring.radius, top: middle.y - ring.radius, words }
}

fn line(
    link: &MeshLink,
    members: &[MeshMember],
    index: &BTreeMap<NodeId, usize>,
    place: impl Fn(&NodeId) -> Place,
) -> Line {
    let [one, other] = &link.ends;
    let member = |node: &NodeId| index.get(node).and_then(|index| members.get(*index));
    let goes_to = |from: &NodeId, to: &NodeId| member(from).is_some_and(|member| member.through == Some(*to));
    let label = |node: &NodeId| member(node).map(|member| member.label.to_string()).unwrap_or_default();
    let time = super::told(link.round_trip());
    let state = if link.is_stale { ", as last known" } else { "" };
    let (from, to) = (place(&one.node), place(&other.node));
    let is_way = !link.is_stale && (goes_to(&one.node, &other.node) || goes_to(&other.node, &one.node));
    Line {
        from,
        to,
        bend: bend(from, to, if is_way { 0.0 } else { BEND }),
        pace: Pace::of(link.round_trip()),
        is_way,
        is_stale: link.is_stale,
        title: format!("{} – {}: {time}{state}", label(&one.node), label(&other.node)),
    }
}

/// The point beside the middle of a line, as far from it as this part of its length.
fn bend(from: Place, to: Place, part: f64) -> Place {
    let (x, y) = (to.x - from.x, to.y - from.y);
    Place { x: (from.x + to.x) / 2.0 - y * part, y: (from.y + to.y) / 2.0 + x * part }
}

fn disc(member: &MeshMember, at: Place) -> Disc {
    let shape = match (member.role, &member.status) {
        (Role::Coordinator, _) => Shape::Coordinator,
        (Role::Node, NodeStatus::Online) => Shape::Online,
        (Role::Node, NodeStatus::Scanning) => Shape::Scanning,
        (Role::Node, _) => Shape::Offline,
    };
    let name = member.label.to_string();
    Disc { at, shape, label: shortened(&name), title: format!("{name}: {}", member.status.name()) }
}

/// As much of a label as has room.
fn shortened(label: &str) -> String {
    let length = label.chars().count();
    if length <= LABEL_CHARS {
        return label.to_owned();
    }
    label.chars().take(HEAD_CHARS).chain(['…']).chain(label.chars().skip(length - TAIL_CHARS)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_label_keeps_its_beginning_and_its_end() {
        assert_eq!(shortened("büro-münchen-2"), "büro-mü…hen-2");
        assert_eq!(shortened("büro-münchen2"), "büro-münchen2");
    }
}
