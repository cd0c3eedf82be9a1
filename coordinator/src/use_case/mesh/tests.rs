//! The picture of made-up meshes: chains, stars, what is stale, and what nobody should believe.

use super::*;
use crate::registry::{Admission, Approval, NodeRecord};
use proptest::prelude::*;
use protocol::letter::SealingKey;
use protocol::message::{EnrolRequest, NodeFacts};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const HUB: NodeId = NodeId::from_bytes([0; 32]);
const AWAY: NodeStatus = NodeStatus::Offline { since: Some(NOW), reason: "its connection was lost" };

fn id(number: u8) -> NodeId {
    NodeId::from_bytes([number; 32])
}

fn to(number: u8, round_trip_us: u32, is_dialled: bool) -> Link {
    Link { node: id(number), round_trip_us: Some(round_trip_us), is_dialled }
}

fn node(number: u8, status: NodeStatus, through: Option<u8>, links: Vec<Link>) -> NodeView {
    let request = EnrolRequest {
        sealing: SealingKey::from_bytes([number; 32]),
        label: format!("node {number}").as_str().into(),
        facts: NodeFacts::default(),
        secret: None,
        succeeds: None,
    };
    let approval = Approval {
        ranges: "10.0.0.0/24".parse().unwrap(),
        site: "main".into(),
        expires: None,
        may_sponsor: false,
        by: "ada".into(),
        at: NOW,
    };
    let record =
        NodeRecord { admission: Admission::Approved(approval), ..NodeRecord::asked(id(number), &request, NOW) };
    let presence = Presence {
        last_seen: NOW,
        boot: 1,
        sequence: 1,
        address: None,
        load_hundredths: 0,
        running: Vec::new(),
        spooled: 0,
        room: Default::default(),
        clock_offset_ms: 3_000,
        seen_twice: None,
        connected: false,
        lost: false,
        links,
        through: through.map(id),
        has_left: false,
    };
    NodeView { record, sponsor: None, presence: Some(presence), status, is_awaited: false, ending: None }
}

/// One line for each member and each link.
fn told(own: &[Link], nodes: &[NodeView]) -> String {
    let MeshPicture { at: _, members, links } = picture(HUB, own, nodes, NOW);
    let name = |node: NodeId| members.iter().find(|member| member.node == node).unwrap().label.to_string();
    let of_members = members.iter().map(|member| {
        let way = member.through.map_or_else(|| "no way".to_owned(), |through| format!("through {}", name(through)));
        let hops = member.hops.map_or_else(|| "?".to_owned(), |hops| hops.to_string());
        format!("{}: {}, {hops} hops, {way}", member.label, member.status.name())
    });
    let micros = |end: &LinkEnd| end.round_trip.map_or_else(|| "?".to_owned(), |time| time.as_micros().to_string());
    let of_links = links.iter().map(|link| {
        let [one, other] = &link.ends;
        let by = link.dialled_by.map(name).unwrap_or_default();
        let stale = if link.is_stale { ", stale" } else { "" };
        format!(
            "{} - {}: {}/{} µs, dialled by {by}{stale}",
            name(one.node),
            name(other.node),
            micros(one),
            micros(other)
        )
    });
    of_members.chain(of_links).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_chain_is_drawn_hop_by_hop_with_the_round_trips_of_both_ends() {
    let nodes = [
        node(1, NodeStatus::Online, None, vec![to(0, 400, true), to(2, 900, false)]),
        node(2, NodeStatus::Scanning, Some(1), vec![to(1, 800, true), to(3, 1_200, false)]),
        node(3, NodeStatus::Online, Some(2), vec![to(2, 1_300, true)]),
    ];
    insta::assert_snapshot!(told(&[to(1, 500, false)], &nodes), @"
    coordinator: online, 0 hops, no way
    node 1: online, 1 hops, through coordinator
    node 2: scanning, 2 hops, through node 1
    node 3: online, 3 hops, through node 2
    coordinator - node 1: 500/400 µs, dialled by node 1
    node 1 - node 2: 900/800 µs, dialled by node 2
    node 2 - node 3: 1200/1300 µs, dialled by node 3
    ");
}

#[test]
fn what_ended_is_not_drawn_and_what_was_last_known_of_a_cut_segment_is_stale() {
    let nodes = [
        node(1, NodeStatus::Online, None, vec![to(0, 400, true)]),
        // Both behind the cut: what they told last is all there is.
        node(2, AWAY, Some(1), vec![to(1, 800, true), to(3, 1_200, false)]),
        node(3, AWAY, Some(2), vec![to(2, 1_300, true)]),
    ];
    insta::assert_snapshot!(told(&[to(1, 500, false)], &nodes), @"
    coordinator: online, 0 hops, no way
    node 1: online, 1 hops, through coordinator
    node 2: offline, ? hops, no way
    node 3: offline, ? hops, no way
    coordinator - node 1: 500/400 µs, dialled by node 1
    node 2 - node 3: 1200/1300 µs, dialled by node 3, stale
    ");
}

#[test]
fn a_node_makes_up_no_link_to_the_coordinator_to_strangers_or_to_itself() {
    let links = vec![to(0, 1, true), to(1, 1, true), to(9, 1, true), to(2, 700, true)];
    let nodes = [
        node(1, NodeStatus::Online, Some(2), links),
        node(2, NodeStatus::Online, Some(1), vec![]),
        node(3, NodeStatus::Online, Some(9), vec![]),
    ];
    insta::assert_snapshot!(told(&[], &nodes), @"
    coordinator: online, 0 hops, no way
    node 1: online, ? hops, through node 2
    node 2: online, ? hops, through node 1
    node 3: online, ? hops, no way
    node 1 - node 2: 700/? µs, dialled by node 1
    ");
}

proptest! {
    #[test]
    fn whatever_nodes_say_each_member_and_each_link_is_drawn_once(
        said in proptest::collection::vec((0u8..3, proptest::option::of(0u8..14), proptest::collection::vec(0u8..14, 0..6)), 0..12),
        own in proptest::collection::btree_set(1u8..14, 0..6),
    ) {
        let view = |(index, (state, through, links)): (usize, &(u8, Option<u8>, Vec<u8>))| {
            let status = [NodeStatus::Online, NodeStatus::Scanning, AWAY][usize::from(*state)].clone();
            let number = u8::try_from(index + 1).unwrap();
            node(number, status, *through, links.iter().map(|other| to(*other, 9, *other < number)).collect())
        };
        let nodes: Vec<NodeView> = said.iter().enumerate().map(view).collect();
        let own: Vec<Link> = own.into_iter().map(|number| to(number, 5, false)).collect();
        let MeshPicture { at: _, members, links } = picture(HUB, &own, &nodes, NOW);
        prop_assert_eq!(members.len(), nodes.len() + 1);
        prop_assert_eq!(members[0].node, HUB);
        for member in &members {
            let next = member.through.and_then(|through| members.iter().find(|other| other.node == through));
            if let Some(hops @ 1..) = member.hops {
                prop_assert_eq!(next.and_then(|next| next.hops), Some(hops - 1), "a way shortens with each hop");
            }
        }
        let pairs: Vec<[NodeId; 2]> = links.iter().map(|link| [link.ends[0].node, link.ends[1].node]).collect();
        prop_assert!(pairs.is_sorted_by(|a, b| a < b), "each pair once");
        prop_assert!(pairs.iter().all(|[a, b]| a < b && [a, b].iter().all(|end| members.iter().any(|m| m.node == **end))));
        prop_assert!(links.iter().all(|link| link.ends.iter().any(|end| end.round_trip.is_some())), "someone told of it");
    }
}
