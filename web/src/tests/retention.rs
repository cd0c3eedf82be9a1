//! How long runs are kept, set by form and by API.

use super::{Answer, Site, get, post_form, post_json, request, send};
use crate::Settings;
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};

const PAGE: &str = "/settings/retention";

async fn with_scan() -> (Site, String) {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let new = json!({ "name": "Lab", "targets": "10.9.0.0/30", "ports": "22" });
    assert_eq!(send(&site.router, post_json("/api/v1/scans", &cookie, new)).await.status, StatusCode::CREATED);
    (site, cookie)
}

/// Sends a form, and shows the page that its answer leads to.
async fn sent(site: &Site, cookie: &str, path: &str, body: &str) -> Answer {
    let answer = send(&site.router, post_form(path, cookie, body)).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    assert_eq!(answer.header("location"), PAGE);
    send(&site.router, get(PAGE, cookie)).await
}

#[track_caller]
fn shows(answer: &Answer, parts: &[&str]) {
    for part in parts {
        assert!(answer.body.contains(part), "{part} in {}", answer.body);
    }
}

#[tokio::test]
async fn limits_are_set_by_default_and_for_one_scan_and_taken_back() {
    let (site, cookie) = with_scan().await;
    shows(&send(&site.router, get(PAGE, &cookie)).await, &["Default limits", "365 days", "Lab", "value=\"365\""]);
    let set = sent(&site, &cookie, PAGE, "runs=100&days=30").await;
    shows(&set, &["Kept by default: the latest 100 runs, 30 days at most", "value=\"100\""]);
    let form = send(&site.router, get("/settings/retention?scan=1", &cookie)).await;
    shows(&form, &["Limits of Lab", "value=\"100\"", "name=\"scan\" value=\"1\"", "Change the default"]);
    let own = sent(&site, &cookie, PAGE, "scan=1&runs=&days=7").await;
    shows(&own, &["Kept of Lab: 7 days", "the latest 100 runs, 30 days at most"]);
    shows(&send(&site.router, get("/settings/retention?scan=1", &cookie)).await, &["Back to the default"]);
    let back = sent(&site, &cookie, "/settings/retention/reset", "scan=1").await;
    shows(&back, &["The default limits hold for Lab again"]);
    for (body, words) in [
        ("runs=1&days=", "1 runs cannot be kept; write 2 to 100000"),
        ("runs=&days=0", "cannot be kept for 0 days"),
        ("runs=many&days=soon", "Write a number from 1 to 36500"),
        ("scan=x&runs=&days=", "That is no number of a scan"),
    ] {
        let refused = send(&site.router, post_form(PAGE, &cookie, body)).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        shows(&refused, &["The limits were not changed", words]);
    }
    let missing = send(&site.router, post_form(PAGE, &cookie, "scan=9&runs=&days=")).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    site.stop().await;
}

#[tokio::test]
async fn programs_read_and_set_the_same_limits() {
    let (site, cookie) = with_scan().await;
    let told = async |method: Method, path: &str, body: Value| {
        let request = request(method, path).header(header::COOKIE, &cookie);
        let request = request.header(header::CONTENT_TYPE, "application/json");
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        send(&site.router, request.body(body).unwrap()).await
    };
    let before = told(Method::GET, "/api/v1/retention", Value::Null).await.json();
    let row = json!({ "scan": 1, "name": "Lab", "own": null, "runs": 0, "oldest": null });
    assert_eq!(before, json!({ "default": { "runs": null, "days": 365 }, "scans": [row] }));
    let all = json!({ "runs": 50, "days": null });
    assert_eq!(told(Method::PUT, "/api/v1/retention", all.clone()).await.json(), all);
    let own = json!({ "runs": 2, "days": 1 });
    let set = told(Method::PUT, "/api/v1/scans/1/retention", own.clone()).await.json();
    assert_eq!((&set["own"], &set["name"]), (&own, &json!("Lab")));
    let reset = told(Method::DELETE, "/api/v1/scans/1/retention", Value::Null).await.json();
    assert_eq!(reset["own"], Value::Null);
    for (path, body, status) in [
        ("/api/v1/retention", json!({ "runs": 1, "days": null }), StatusCode::UNPROCESSABLE_ENTITY),
        ("/api/v1/retention", json!({ "runs": 5, "days": null, "years": 1 }), StatusCode::BAD_REQUEST),
        ("/api/v1/retention", json!([5, null]), StatusCode::BAD_REQUEST),
        ("/api/v1/scans/9/retention", json!({ "runs": 5, "days": null }), StatusCode::NOT_FOUND),
    ] {
        assert_eq!(told(Method::PUT, path, body).await.status, status, "{path}");
    }
    site.stop().await;
}
