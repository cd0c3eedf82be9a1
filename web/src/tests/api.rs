//! The API: the same over TCP and the local socket, described by its document, with problem bodies.

use super::{Site, get, post_json, send};
use crate::routes;
use crate::{Settings, api, serve_local};
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::json;
use std::collections::BTreeSet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

#[test]
fn the_document_describes_every_route_of_the_api_and_no_other() {
    let document = serde_json::to_value(api::description()).unwrap();
    let described: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |method| format!("{method} {path}")))
        .collect();
    let served: BTreeSet<String> = routes::api_table()
        .iter()
        .filter(|route| route.path.starts_with("/api/"))
        .map(|route| format!("{} {}", route.method.as_str().to_lowercase(), route.path))
        .collect();
    assert_eq!(described, served);
}

#[tokio::test]
async fn a_scan_is_made_run_once_and_refused_a_second_time() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let new =
        json!({ "name": "Lab", "targets": "127.0.0.1", "ports": "22,80", "interval_minutes": 1440, "scheduled": true });
    let made = send(&site.router, post_json("/api/v1/scans", &cookie, new)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let scan = made.json();
    assert_eq!(
        (&scan["id"], &scan["ports"], &scan["engine"], &scan["site"]),
        (&json!(1), &json!("22,80"), &json!("auto"), &json!("main"))
    );
    assert!(scan["next_due"].is_string());

    let run = send(&site.router, post_json("/api/v1/scans/1/run", &cookie, json!({}))).await;
    assert_eq!((run.status, &run.json()["state"]), (StatusCode::ACCEPTED, &json!("queued")));
    let again = send(&site.router, post_json("/api/v1/scans/1/run", &cookie, json!({}))).await;
    assert_eq!((again.status, again.header("content-type")), (StatusCode::CONFLICT, "application/problem+json"));
    assert!(again.json()["detail"].as_str().unwrap().starts_with("run 1 of this scan has not ended"));

    let detail = send(&site.router, get("/api/v1/runs/1", &cookie)).await.json();
    assert_eq!((&detail["scan_name"], &detail["progress"]["addresses_total"]), (&json!("Lab"), &json!(1)));
    let progress = &detail["progress"];
    assert_eq!(
        (&progress["phase"], &progress["percent"], &progress["nodes"]),
        (&json!("queued"), &json!(0), &json!([]))
    );
    assert_eq!((&progress["left_seconds"], &detail["tasks_cut"]), (&json!(null), &json!(0)));
    for (filter, count) in [("scan=1", 1), ("scan=1&state=queued", 1), ("state=partial", 0), ("", 1)] {
        let listed = send(&site.router, get(&format!("/api/v1/runs?{filter}"), &cookie)).await.json();
        assert_eq!(listed.as_array().map(Vec::len), Some(count), "{filter}");
    }
    let unknown = send(&site.router, get("/api/v1/runs?state=over", &cookie)).await;
    assert_eq!(unknown.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", unknown.body);
    assert_eq!(send(&site.router, get("/api/v1/runs/1/tasks?first=0", &cookie)).await.json(), json!([]));
    let early = send(&site.router, post_json("/api/v1/runs/1/retry-missing", &cookie, json!({}))).await;
    assert_eq!(early.status, StatusCode::CONFLICT);
    let words = "run 1 is queued; only what a partial or failed run missed can be run again";
    assert_eq!(early.json()["detail"], json!(words));

    let stopped = send(&site.router, post_json("/api/v1/runs/1/cancel", &cookie, json!({}))).await;
    assert_eq!((stopped.status, &stopped.json()["state"]), (StatusCode::OK, &json!("cancelled")));
    let twice = send(&site.router, post_json("/api/v1/runs/1/cancel", &cookie, json!({}))).await;
    assert_eq!(twice.status, StatusCode::CONFLICT);
    let next = send(&site.router, post_json("/api/v1/scans/1/run", &cookie, json!({}))).await;
    assert_eq!((next.status, &next.json()["id"]), (StatusCode::ACCEPTED, &json!(2)));
    site.stop().await;
}

#[tokio::test]
async fn faults_name_their_fields_and_say_what_to_do() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let bad =
        send(&site.router, post_json("/api/v1/scans", &cookie, json!({ "name": "", "targets": "nowhere" }))).await;
    assert_eq!(bad.status, StatusCode::UNPROCESSABLE_ENTITY);
    let problem = bad.json();
    assert_eq!(problem["faults"].as_object().unwrap().keys().collect::<Vec<_>>(), ["name", "targets"]);
    assert_eq!(problem["request_id"], bad.header("x-request-id"));

    let unread = send(&site.router, post_json("/api/v1/scans", &cookie, json!([1]))).await;
    assert_eq!((unread.status, unread.header("content-type")), (StatusCode::BAD_REQUEST, "application/problem+json"));
    let gone = send(&site.router, get("/api/v1/reports/9", &cookie)).await;
    assert_eq!((gone.status, gone.json()["title"].clone()), (StatusCode::NOT_FOUND, json!("Not found")));
    let end = send(&site.router, post_json("/api/v1/invites", &cookie, json!({ "expires": "soon" }))).await;
    assert_eq!(end.json()["faults"].as_object().unwrap().keys().collect::<Vec<_>>(), ["expires"]);
    site.stop().await;
}

#[tokio::test]
async fn an_invite_is_made_and_lists_start_empty() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let made =
        send(&site.router, post_json("/api/v1/invites", &cookie, json!({ "ranges": "127.0.0.0/8", "expires": "30m" })))
            .await;
    assert_eq!((made.status, &made.json()["pre_approved"]), (StatusCode::CREATED, &json!(true)));
    assert!(made.json()["invite"].as_str().unwrap().parse::<protocol::invite::Invite>().is_ok());
    for path in ["nodes", "scans", "runs", "reports"] {
        assert_eq!(send(&site.router, get(&format!("/api/v1/{path}"), &cookie)).await.json(), json!([]), "{path}");
    }
    site.stop().await;
}

#[tokio::test]
async fn open_invites_are_listed_without_their_secrets_and_taken_back() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let create = async |body: serde_json::Value| send(&site.router, post_json("/api/v1/invites", &cookie, body)).await;
    let list = async || send(&site.router, get("/api/v1/invites", &cookie)).await.json();
    let addresses = json!(["192.0.2.7:9431", "[2001:db8::7]:9431"]);
    let made = create(json!({ "ranges": "127.0.0.0/8", "site": "plant", "addresses": addresses })).await.json();
    assert_eq!(made["addresses"], addresses);
    let invite: protocol::invite::Invite = made["invite"].as_str().unwrap().parse().unwrap();
    assert_eq!(json!(invite.addresses), addresses);
    create(json!({})).await;
    let open = list().await;
    let id = open[0]["id"].as_str().unwrap().to_owned();
    let expires = made["expires"].clone();
    let shown = json!([{ "id": id, "ranges": "127.0.0.0/8", "site": "plant", "expires": expires, "by": "ada" }]);
    assert_eq!(open, shown, "a plain invite is no pre-approval");

    let mut request = post_json(&format!("/api/v1/invites/{id}"), &cookie, json!(null));
    *request.method_mut() = Method::DELETE;
    assert_eq!(send(&site.router, request).await.json(), shown[0]);
    assert_eq!(list().await, json!([]));
    let mut again = post_json(&format!("/api/v1/invites/{id}"), &cookie, json!(null));
    *again.method_mut() = Method::DELETE;
    let gone = send(&site.router, again).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND, "{}", gone.body);

    for wrong in [json!(["0.0.0.0:9431"]), json!(["192.0.2.7:0"]), json!(vec!["192.0.2.7:9431"; 9])] {
        let faulty = create(json!({ "addresses": wrong })).await.json();
        assert_eq!(faulty["faults"].as_object().unwrap().keys().collect::<Vec<_>>(), ["addresses"]);
    }
    site.stop().await;
}

#[tokio::test]
async fn the_socket_knows_its_callers_by_the_kernel() {
    let site = Site::start(Settings::default()).await;
    let nameless = Request::builder().uri("/api/v1/nodes").body(Body::empty()).unwrap();
    assert_eq!(send(&site.socket(), nameless).await.status, StatusCode::FORBIDDEN, "without a peer nobody is let in");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.sock");
    let server = tokio::spawn(serve_local(site.app.clone(), UnixListener::bind(&path).unwrap()));
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(b"GET /api/v1/nodes HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("[]"), "{answer}");

    site.app.stop.cancel();
    server.await.unwrap().unwrap();
    site.stop().await;
}

#[tokio::test]
async fn rules_are_edited_one_by_one_and_reset() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let rule = |method: Method, path: &str, body: serde_json::Value| {
        let mut request = post_json(path, &cookie, body);
        *request.method_mut() = method;
        request
    };
    let listed = send(&site.router, get("/api/v1/rules", &cookie)).await.json();
    assert_eq!(listed.as_array().map(Vec::len), Some(8));
    assert_eq!(listed[0], json!({ "protocol": "tcp", "port": 3389, "name": "RDP", "severity": "critical" }));
    let new = json!({ "name": "  Desk ", "severity": "low" });
    let set = send(&site.router, rule(Method::PUT, "/api/v1/rules/tcp/3389", new.clone())).await;
    let desk = json!({ "protocol": "tcp", "port": 3389, "name": "Desk", "severity": "low" });
    assert_eq!((set.status, set.json()), (StatusCode::OK, desk.clone()));
    let removed = send(&site.router, rule(Method::DELETE, "/api/v1/rules/tcp/3389", json!({}))).await;
    assert_eq!((removed.status, removed.json()), (StatusCode::OK, desk), "it was replaced, not doubled");
    let gone = send(&site.router, rule(Method::DELETE, "/api/v1/rules/tcp/3389", json!({}))).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    for (path, body, field) in [
        ("/api/v1/rules/tcp/0", new.clone(), "port"),
        ("/api/v1/rules/icmp/22", new, "port"),
        ("/api/v1/rules/tcp/22", json!({ "name": "x".repeat(65), "severity": "low" }), "name"),
    ] {
        let bad = send(&site.router, rule(Method::PUT, path, body)).await;
        assert_eq!(bad.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
        assert_eq!(bad.json()["faults"].as_object().unwrap().keys().collect::<Vec<_>>(), [field], "{path}");
    }
    let reset = send(&site.router, rule(Method::POST, "/api/v1/rules/reset", json!({}))).await.json();
    assert_eq!(reset, listed);
    site.stop().await;
}

#[tokio::test]
async fn a_list_of_alerts_has_true_numbers_and_a_bulk_decision_names_its_alerts() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let list = send(&site.router, get("/api/v1/alerts?state=all&sort=port&limit=5", &cookie)).await.json();
    assert_eq!((&list["alerts"], &list["total"], &list["next"]), (&json!([]), &json!(0), &json!(null)));
    assert_eq!(list["counts"]["open"], json!({ "critical": 0, "high": 0, "medium": 0, "low": 0 }));
    for (query, status, word) in [
        ("?sevrity=high", StatusCode::BAD_REQUEST, "sevrity"),
        ("?severity=worst", StatusCode::UNPROCESSABLE_ENTITY, "severity"),
        ("?after=x", StatusCode::UNPROCESSABLE_ENTITY, "after"),
        ("?after=1-10.0.0.1-22-tcp-SSH", StatusCode::NOT_FOUND, "1-10.0.0.1-22-tcp-SSH"),
    ] {
        let bad = send(&site.router, get(&format!("/api/v1/alerts{query}"), &cookie)).await;
        assert_eq!(bad.status, status, "{query}");
        assert!(bad.json()["detail"].as_str().unwrap().contains(word), "{query}: {}", bad.body);
    }
    for (body, status) in [
        (json!({ "action": "ignore" }), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({ "action": "ignore", "ids": [], "matching": {} }), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({ "action": "ignore", "matching": { "sevrity": "low" } }), StatusCode::BAD_REQUEST),
        (json!({ "action": "drop", "ids": [] }), StatusCode::BAD_REQUEST),
        (json!({ "action": "ignore", "ids": ["1-10.0.0.1-22-tcp-SSH"] }), StatusCode::NOT_FOUND),
        (json!({ "action": "ignore", "matching": {}, "comment": "x".repeat(501) }), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({ "action": "ignore", "matching": {} }), StatusCode::OK),
    ] {
        let answer = send(&site.router, post_json("/api/v1/alerts/bulk", &cookie, body.clone())).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
    }
    let unknown = send(&site.router, post_json("/api/v1/alerts/1-10.0.0.1-22-tcp-SSH/drop", &cookie, json!({}))).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let nothing = send(&site.router, post_json("/api/v1/reports/1/accept", &cookie, json!({}))).await;
    assert_eq!(nothing.json()["faults"].as_object().unwrap().keys().collect::<Vec<_>>(), ["lines"]);
    let vague = send(&site.router, post_json("/api/v1/reports/1/accept", &cookie, json!({ "lines": [{}] }))).await;
    assert!(vague.json()["detail"].as_str().unwrap().contains("a line needs a kind, an address or a port"));
    site.stop().await;
}
