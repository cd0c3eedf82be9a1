//! What a monitoring system reads: names by Prometheus' conventions, and labels that no caller can make.

use super::{Site, get, post_json, send};
use crate::Settings;
use axum::http::StatusCode;
use serde_json::json;
use std::collections::BTreeSet;

fn series<'a>(body: &'a str, name: &str) -> Vec<&'a str> {
    let is_of = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    body.lines().filter(is_of).collect()
}

#[tokio::test]
async fn what_there_is_and_what_happens_is_counted() {
    let site = Site::start(Settings { base_path: "/watch".to_owned(), ..Settings::default() }).await;
    let login = format!("name=ada&password={}", super::PASSWORD);
    let signed_in = send(&site.router, super::form(axum::http::Method::POST, "/watch/auth/login", &login)).await;
    let cookie = signed_in.header("set-cookie").split(';').next().unwrap().to_owned();
    for index in 0..3 {
        send(&site.router, get(&format!("/watch/api/v1/runs/{index}"), &cookie)).await;
        send(&site.router, get(&format!("/watch/made-up/{index}"), &cookie)).await;
    }
    let new = json!({ "name": "Lab", "targets": "127.0.0.1", "ports": "22" });
    send(&site.router, post_json("/watch/api/v1/scans", &cookie, new)).await;

    let answer = send(&site.router, get("/watch/metrics", &cookie)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert!(answer.header("content-type").starts_with("application/openmetrics-text; version=1.0.0"));
    let body = &answer.body;
    assert!(body.ends_with("# EOF\n"));
    assert_eq!(series(body, "portdrift_scans"), ["portdrift_scans 1"]);
    assert_eq!(series(body, "portdrift_nodes").len(), 9);
    assert_eq!(series(body, "portdrift_alerts").len(), 16);
    assert_eq!(series(body, "portdrift_mesh_refused_total").len(), 15);
    assert!(body.contains("portdrift_runs{state=\"queued\"} 0\n"), "{body}");
    assert!(body.contains("portdrift_store_bytes{part=\"journal\"} "), "{body}");
    let asked = series(body, "portdrift_http_requests_total");
    assert!(
        asked.contains(&"portdrift_http_requests_total{method=\"GET\",route=\"/api/v1/runs/{run}\",status=\"4xx\"} 3"),
        "{asked:#?}"
    );
    let strange: BTreeSet<_> = asked.iter().filter(|line| line.contains("made-up")).collect();
    assert!(strange.is_empty(), "{strange:?}");
    assert!(body.contains("portdrift_http_request_duration_seconds_bucket{le=\"0.15\""), "{body}");
    site.stop().await;
}

#[tokio::test]
async fn statistics_are_the_same_numbers_for_programs() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let told = send(&site.router, get("/api/v1/statistics", &cookie)).await.json();
    assert_eq!((&told["nodes"]["online"], &told["runs"]["failed"], &told["scans"]), (&json!(0), &json!(0), &json!(0)));
    assert_eq!(told["alerts"]["open"], json!({ "critical": 0, "high": 0, "medium": 0, "low": 0 }));
    assert!(
        told["store"]["journal_bytes"].as_u64().unwrap() > 0 && told["store"]["disk_free_bytes"].as_u64().unwrap() > 0
    );
    site.stop().await;
}

#[tokio::test]
async fn the_coordinator_says_what_it_is_and_where_it_is_found() {
    let address = "https://watch.example/portdrift".to_owned();
    let site = Site::start(Settings { address: address.clone(), ..Settings::default() }).await;
    let cookie = site.sign_in().await;
    let told = send(&site.router, get("/api/v1/status", &cookie)).await.json();
    assert_eq!((&told["version"], &told["dashboard"]), (&json!(env!("CARGO_PKG_VERSION")), &json!(address)));
    assert_eq!((&told["refusal"], told["mesh_addresses"].as_array().map(Vec::len)), (&json!(null), Some(1)), "{told}");
    assert!(told["uptime_seconds"].as_u64() < Some(600) && told["mesh"] != told["fingerprint"], "{told}");
    site.stop().await;
}
