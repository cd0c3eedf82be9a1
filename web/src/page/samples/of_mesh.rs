//! The page of the mesh, filled and empty.

use super::super::{View, mesh};
use super::{NOW, hours};
use coordinator::{LinkEnd, MeshLink, MeshMember, MeshPicture, NodeStatus};
use protocol::NodeId;
use protocol::roster::Role;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn filled(word: &str) -> Vec<(&'static str, Arc<dyn View>)> {
    vec![("mesh", Arc::new(mesh::Mesh::from(picture(word))))]
}

pub(super) fn empty() -> Vec<(&'static str, Arc<dyn View>)> {
    let alone = MeshPicture { at: NOW, members: vec![coordinator()], links: Vec::new() };
    vec![("mesh", Arc::new(mesh::Mesh::from(alone)))]
}

fn coordinator() -> MeshMember {
    MeshMember {
        node: NodeId::from_bytes([0; 32]),
        label: "coordinator".into(),
        role: Role::Coordinator,
        status: NodeStatus::Online,
        hops: Some(0),
        through: None,
        last_seen: Some(NOW),
        clock_offset_ms: None,
    }
}

/// A mesh with one of everything: near, far, at work, away, a wrong clock.
pub(crate) fn picture(word: &str) -> MeshPicture {
    let id = |number: u8| NodeId::from_bytes([number; 32]);
    let away = NodeStatus::Offline { since: Some(NOW.minus(hours(1))), reason: "its connection was lost" };
    let member = |number: u8, status, hops, through: Option<u8>, clock| MeshMember {
        node: id(number),
        label: format!("{word} {number}").as_str().into(),
        role: Role::Node,
        status,
        hops,
        through: through.map(id),
        last_seen: Some(NOW.minus(Duration::from_secs(u64::from(number)))),
        clock_offset_ms: Some(clock),
    };
    let link = |one: u8, other: u8, there: Option<u64>, back: Option<u64>, is_stale| {
        let end = |number: u8, micros: Option<u64>| LinkEnd {
            node: id(number),
            round_trip: micros.map(Duration::from_micros),
        };
        MeshLink { ends: [end(one, there), end(other, back)], dialled_by: Some(id(other)), is_stale }
    };
    MeshPicture {
        at: NOW,
        members: vec![
            coordinator(),
            member(1, NodeStatus::Online, Some(1), Some(0), 12),
            member(2, NodeStatus::Scanning, Some(1), Some(0), -3_500),
            member(3, NodeStatus::Online, Some(2), Some(1), 0),
            member(4, away.clone(), None, None, 0),
            member(5, away, None, None, 0),
        ],
        links: vec![
            link(0, 1, Some(430), Some(510), false),
            link(0, 2, Some(61_000), None, false),
            link(1, 2, Some(900), Some(950), false),
            link(1, 3, None, Some(240_000), false),
            link(4, 5, None, None, true),
        ],
    }
}
