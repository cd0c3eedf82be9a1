//! Keys from the pages and through the API: let in, changed, hidden, thrown out after a question, one and many.

use super::{Answer, Site, get, post_form, post_json, send};
use crate::Settings;
use axum::http::StatusCode;
use protocol::envelope::Author;
use protocol::letter::Opener;
use protocol::message::{EnrolRequest, NodeFacts};
use protocol::{Keypair, Timestamp, mesh};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Lets the node that grows from this seed ask to join; its fingerprint without dashes.
async fn asks(site: &Site, seed: u8) -> String {
    let keys = Arc::new(Keypair::from_seed(&[seed; 32]));
    let mesh = site.coordinator.mesh_id();
    let facts = NodeFacts { hostname: "scan-1".into(), version: "0.1.0".into(), ..NodeFacts::default() };
    let (sealing, label) = (Opener::new(&keys).key(), format!("node-{seed}").as_str().into());
    let request = EnrolRequest { sealing, label, facts, secret: None, succeeds: None };
    let request = Author::new(keys.clone(), mesh, 1).sign(&request, 0, Timestamp::now());
    let addresses = site.coordinator.enrolment_addresses();
    let patience = Duration::from_secs(30);
    mesh::ask(&keys, mesh, &addresses, &request, patience, |_, _| Ok(())).await.unwrap();
    keys.node_id().fingerprint().compact().to_owned()
}

async fn page(site: &Site, cookie: &str, path: &str) -> Answer {
    send(&site.router, get(path, cookie)).await
}

#[track_caller]
fn shows(answer: &Answer, parts: &[&str]) {
    for part in parts {
        assert!(answer.body.contains(part), "{part} in {}", answer.body);
    }
}

#[tokio::test]
async fn a_person_lets_nodes_in_changes_terms_and_throws_them_out_after_a_question() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let (one, two) = (asks(&site, 3).await, asks(&site, 4).await);
    for node in [&one, &two] {
        let form = "label=dmz&ranges=10.0.0.0/24&site=&expires=&sponsor=true";
        let answer = send(&site.router, post_form(&format!("/nodes/{node}/approve"), &cookie, form)).await;
        assert_eq!(answer.header("location"), "/nodes", "{}", answer.body);
    }
    let terms = "label=edge&ranges=10.0.0.0/25&site=main&expires=2999-12-31";
    let saved = send(&site.router, post_form(&format!("/nodes/{one}/approve"), &cookie, terms)).await;
    assert_eq!(saved.header("location"), format!("/nodes/{one}"));
    let shown = page(&site, &cookie, &format!("/nodes/{one}")).await;
    shows(&shown, &["<h1>edge</h1>", "10.0.0.0/25", "value=\"2999-12-31\"", "scan-1", "by ada"]);
    assert!(!shown.body.contains("name=\"sponsor\" value=\"true\" checked"), "an empty box is meant so");
    let bad = send(&site.router, post_form(&format!("/nodes/{one}/approve"), &cookie, "label=edge&ranges=x")).await;
    assert_eq!(bad.status, StatusCode::UNPROCESSABLE_ENTITY);
    shows(&bad, &["id=\"ranges-fault\"", "value=\"x\"", "<h1>edge</h1>"]);

    let nobody = page(&site, &cookie, "/nodes/decide?action=revoke").await;
    assert_eq!(nobody.header("location"), "/nodes");
    let question = format!("/nodes/decide?action=revoke&node={one}&node={two}");
    shows(&page(&site, &cookie, &question).await, &["Revoke 2 nodes?", "cuts the connection at once", "edge", "dmz"]);
    let body = format!("action=revoke&node={one}&node={two}&reason=");
    let unsaid = send(&site.router, post_form("/nodes/decide", &cookie, &body)).await;
    assert_eq!(unsaid.status, StatusCode::UNPROCESSABLE_ENTITY);
    shows(&unsaid, &["id=\"reason-fault\"", "Revoke 2 nodes?"]);
    let done = send(&site.router, post_form("/nodes/decide", &cookie, &format!("{body}stolen"))).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    shows(&page(&site, &cookie, "/nodes").await, &["2 nodes are revoked", "stolen (ada)"]);
    let again = send(&site.router, post_form("/nodes/decide", &cookie, &format!("{body}stolen"))).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    site.stop().await;
}

#[tokio::test]
async fn a_hidden_node_leaves_the_lists_until_it_is_asked_for() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let node = asks(&site, 3).await;
    let deny = send(&site.router, post_form(&format!("/nodes/{node}/deny"), &cookie, "reason=not ours")).await;
    assert_eq!(deny.status, StatusCode::SEE_OTHER);
    for (deed, lists, all) in [("hide", 0, 1), ("unhide", 1, 1), ("remove", 0, 0)] {
        let body = format!("action={deed}&node={node}");
        assert_eq!(send(&site.router, post_form("/nodes/decide", &cookie, &body)).await.status, StatusCode::SEE_OTHER);
        let count = async |path: &str| page(&site, &cookie, path).await.json().as_array().unwrap().len();
        assert_eq!((count("/api/v1/nodes").await, count("/api/v1/nodes?hidden=true").await), (lists, all), "{deed}");
        let listed = page(&site, &cookie, "/nodes").await;
        assert_eq!(listed.body.contains("Show hidden nodes"), deed == "hide", "{deed}");
        let listed = page(&site, &cookie, "/nodes?hidden=true").await;
        assert_eq!(listed.body.contains("not ours (ada)"), all == 1, "{deed}");
    }
    site.stop().await;
}

#[tokio::test]
async fn programs_decide_about_several_nodes_alike_and_read_the_roster() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let (one, two) = (asks(&site, 3).await, asks(&site, 4).await);
    let post = async |path: &str, body| send(&site.router, post_json(path, &cookie, body)).await;
    for (bad, field) in [
        (json!({ "action": "approve", "all_pending": true }), "ranges"),
        (json!({ "action": "approve", "ranges": "10.0.0.0/24" }), "nodes"),
        (json!({ "action": "wave", "all_pending": true }), "action"),
        (json!({ "action": "approve", "all_pending": true, "ranges": "10.0.0.0/24", "label": "x" }), "label"),
        (json!({ "action": "approve", "all_pending": true, "ranges": "10.0.0.0/24", "expires": "soon" }), "expires"),
    ] {
        let answer = post("/api/v1/nodes/bulk", bad).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.body);
        assert_eq!(answer.json()["faults"].as_object().unwrap().keys().collect::<Vec<_>>(), [field]);
    }
    let many = json!({ "action": "approve", "all_pending": true, "ranges": "10.0.0.0/24", "expires": "6d" });
    let approved = post("/api/v1/nodes/bulk", many).await.json();
    assert_eq!((approved.as_array().unwrap().len(), &approved[0]["ending"]), (2, &json!("week")));
    let roster = page(&site, &cookie, "/api/v1/roster").await.json();
    assert_eq!((&roster["epoch"], &roster["members"], &roster["signs_here"]), (&json!(2), &json!(3), &json!(true)));

    let revoked = post(&format!("/api/v1/nodes/{one}/revoke"), json!({ "reason": "stolen" })).await.json();
    assert_eq!((&revoked["status"], &revoked["reason"]), (&json!("revoked"), &json!("stolen")));
    let shown = page(&site, &cookie, &format!("/api/v1/nodes/{two}")).await.json();
    assert_eq!((&shown["status"], &shown["approval"]["by"]), (&json!("offline"), &json!("ada")));
    let wrong = post("/api/v1/roster/sign", json!({ "signed": "AAAA" })).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", wrong.body);
    let unasked = post("/api/v1/roster/sign", json!({ "signed": roster["signed"] })).await;
    assert_eq!(unasked.status, StatusCode::CONFLICT, "{}", unasked.body);
    site.stop().await;
}
