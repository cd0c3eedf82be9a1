//! The stream of events: by topic, replayed after a lost connection, over at the latest when the server stops.

use super::{Site, get, json, post_form, post_json, send, with_token};
use crate::Settings;
use axum::body::{Body, BodyDataStream};
use axum::http::{Method, Request, StatusCode};
use coordinator::events::{Event, SystemNews};
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

    let seen = heard.split("id: ").nth(1).unwrap().split('\n').next().unwrap();
    let bus_id = seen.strip_suffix("-2").unwrap();
    let after = async |id: &str| {
        let mut back = get("/events?topics=alerts,node", &cookie);
        back.headers_mut().insert("last-event-id", id.parse().unwrap());
        read_until(&mut open(&site, back).await, "event: node").await
    };
    let replayed = after(&format!("{bus_id}-0")).await;
    assert!(replayed.contains(&format!("id: {bus_id}-1\nevent: alerts\ndata: {{\"scan\":1}}\n")), "{replayed}");
    assert!(!replayed.contains("gap"), "{replayed}");
    for foreign in [format!("{bus_id}-999"), "1700000000000-1".to_owned(), "1".to_owned()] {
        let anew = after(&foreign).await;
        assert!(anew.contains("event: gap\ndata: {}\n"), "{foreign}: {anew}");
        assert!(anew.contains("event: node\ndata: {}") && anew.contains(&format!("id: {seen}")), "{foreign}: {anew}");
    }
    site.stop().await;
}

#[tokio::test]
async fn a_page_hears_of_what_happened_since_it_was_read() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let bus = site.app.coordinator.events();
    bus.publish(Event::Alerts { scan: ScanId(1) });
    let page = send(&site.router, get("/nodes", &cookie)).await.body;
    bus.publish(node_event());
    let stream = page.split("hx-sse:connect=\"").nth(1).unwrap().split('"').next().unwrap();
    let heard = read_until(&mut open(&site, get(stream, &cookie)).await, "event: node").await;
    assert!(!heard.contains("alerts") && !heard.contains("gap"), "{heard}");
    site.stop().await;
}

#[tokio::test]
async fn a_stream_ends_when_the_server_stops_and_says_so() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let mut stream = open(&site, get("/events", &cookie)).await;
    read_until(&mut stream, ": here").await;
    site.app.stop.cancel();
    read_until(&mut stream, "event: system\ndata: {\"news\":\"stopping\"}").await;
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

#[tokio::test]
async fn a_stream_of_a_token_ends_soon_after_it_is_revoked() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let new = serde_json::json!({ "name": "watch", "scopes": ["read"] });
    let made = send(&site.router, post_json("/api/v1/tokens", &cookie, new)).await.json();
    let asked = with_token(get("/api/v1/events?topics=system", ""), made["secret"].as_str().unwrap());
    let mut stream = open(&site, asked).await;
    read_until(&mut stream, ": here").await;
    site.app.coordinator.events().publish(Event::System(SystemNews::DiskLow));
    read_until(&mut stream, "event: system\ndata: {\"news\":\"disk-low\"}").await;
    let gone = format!("/api/v1/tokens/{}", made["id"].as_str().unwrap());
    send(&site.router, json(Method::DELETE, &gone, &cookie, serde_json::Value::Null)).await;
    let rest: Vec<_> = tokio::time::timeout(PATIENCE, stream.collect()).await.unwrap();
    assert!(rest.len() < 10, "{rest:?}");
    site.stop().await;
}

#[tokio::test]
async fn a_user_has_only_so_many_streams() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let mut streams = Vec::new();
    for _ in 0..16 {
        streams.push(open(&site, get("/events", &cookie)).await);
    }
    let more = send(&site.router, get("/api/v1/events", &cookie)).await;
    assert_eq!((more.status, more.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "15"));
    streams.pop();
    drop(open(&site, get("/events", &cookie)).await);
    site.stop().await;
}
