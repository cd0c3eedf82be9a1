//! What a node tells of itself: its links when they have changed, and at the end that it stops.

use super::{Hub, Seen};
use crate::testing::Knocker;
use protocol::message::Link;

#[tokio::test]
async fn a_presence_tells_of_the_links_and_how_long_a_ping_takes() {
    let (mut hub, home) = Hub::with_member("127.0.0.0/8").await;
    let node = home.start(Knocker::default());
    let is_measured = |links: &Vec<Link>| links.iter().any(|link| link.round_trip_us.is_some());
    let measured = |seen| match seen {
        Seen::Presence(presence) if presence.links.as_ref().is_some_and(is_measured) => Some(presence),
        Seen::Presence(_) | Seen::Answer(_) | Seen::Offer | Seen::Chunk | Seen::Whole(_) | Seen::Swallowed => None,
    };
    let presence = hub.saw(measured).await;
    let Some([link]) = presence.links.as_deref() else { panic!("one link: {presence:?}") };
    assert_eq!((link.node, link.is_dialled), (crate::testing::coordinator().id(), true));
    assert_eq!((presence.through, presence.is_farewell), (None, false), "it is connected itself");
    node.stop().await.unwrap();
}

#[tokio::test]
async fn a_node_that_stops_in_order_says_so_last_and_names_no_task() {
    let (mut hub, home) = Hub::with_member("127.0.0.0/8").await;
    let node = home.start(Knocker::default());
    assert!(!hub.presence().await.is_farewell);
    node.stop().await.unwrap();
    let farewell = |seen| match seen {
        Seen::Presence(presence) if presence.is_farewell => Some(presence),
        Seen::Presence(_) | Seen::Answer(_) | Seen::Offer | Seen::Chunk | Seen::Whole(_) | Seen::Swallowed => None,
    };
    assert_eq!(hub.saw(farewell).await.running, []);
    assert!(!hub.rest().iter().any(|seen| matches!(seen, Seen::Presence(_))), "nothing after it");
}
