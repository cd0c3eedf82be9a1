//! The stream of events: by topic, replayed after a lost connection, over at the latest when the server stops.

use super::{Site, get, post_form, send};
use crate::Settings;
use axum::body::{Body, BodyDataStream};
use axum::http::{Request, StatusCode};
use coordinator::events::Event;
use futures::StreamExt;
use protocol::NodeId;
use protocol::task::ScanId;
use std::time::Duration;
use tower::ServiceExt;

const PATIENCE: Duration = Duration::from_secs(60);

async fn open(site: &Site, request: Request<Body>) -> BodyDataStream {
    let response = site.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers().get("content-type").unwrap(), "text/event-stream");
    assert_eq!(response.headers().get("x-accel-buffering").unwrap(), "no");
    response.into_body().into_data_stream()
}

/// Reads until `wanted` has come; gives all that was read.
async fn read_until(stream: &mut BodyDataStream, wanted: &str) -> String {
    let mut text = String::new();
    while !text.contains(wanted) {
        let piece = tokio::time::timeout(PATIENCE, stream.next()).await.unwrap();
        let piece = piece.unwrap_or_else(|| panic!("the stream ended before {wanted:?}: {text}")).unwrap();
        text.push_str(std::str::from_utf8(&piece).unwrap());
    }
    text
}

fn node_event() -> Event {
    Event::Node { node: NodeId::from_bytes([1; 32]) }
}

#[tokio::test]
async fn a_page_hears_of_its_topics_only_and_of_what_it_missed() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let mut stream = open(&site, get("/events?topics=node", &cookie)).await;
    let bus = site.app.coordinator.events();
    bus.publish(Event::Alerts { scan: ScanId(1) });
    bus.publish(node_event());
    let heard = read_until(&mut stream, "event: node").await;
    assert!(!heard.contains("alerts"), "{heard}");

    let mut back = get("/events?topics=alerts,node", &cookie);
    back.headers_mut().insert("last-event-id", "0".parse().unwrap());
    let replayed = read_until(&mut open(&site, back).await, "event: node").await;
    assert!(replayed.contains("id: 1\nevent: alerts\ndata: {\"scan\":1}\n"), "{replayed}");

    let mut stranger = get("/events?topics=node", &cookie);
    stranger.headers_mut().insert("last-event-id", "999".parse().unwrap());
    let anew = read_until(&mut open(&site, stranger).await, "event: node").await;
    assert!(anew.contains("event: node\ndata: {}"), "numbers from before a restart: read anew; {anew}");
    site.stop().await;
}

#[tokio::test]
async fn a_stream_ends_when_the_server_stops() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let mut stream = open(&site, get("/events", &cookie)).await;
    read_until(&mut stream, ": here").await;
    site.app.stop.cancel();
    assert!(tokio::time::timeout(PATIENCE, stream.next()).await.unwrap().is_none());
    site.stop().await;
}

#[tokio::test]
async fn a_stream_ends_soon_after_its_session() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let mut stream = open(&site, get("/events", &cookie)).await;
    read_until(&mut stream, ": here").await;
    send(&site.router, post_form("/auth/logout", &cookie, "")).await;
    let end = tokio::time::timeout(PATIENCE, stream.next()).await.unwrap();
    assert!(end.is_none(), "{end:?}");
    site.stop().await;
}
