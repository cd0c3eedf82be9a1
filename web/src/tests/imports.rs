//! Documents of other scanners over the API, up to the report of their run.

use super::{Answer, Site, get, post_json, request, send};
use crate::Settings;
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};
use std::time::Duration;

const DOCUMENT: &str = r#"<?xml version="1.0"?><!DOCTYPE nmaprun>
<nmaprun scanner="nmap" args="nmap -p 22,80 10.9.0.0/30" start="1700000000" version="7.93" xmloutputversion="1.05">
<scaninfo type="connect" protocol="tcp" numservices="2" services="22,80"/>
<host><status state="up" reason="syn-ack" reason_ttl="0"/><address addr="10.9.0.1" addrtype="ipv4"/>
<ports><port protocol="tcp" portid="22"><state state="open" reason="syn-ack" reason_ttl="0"/></port></ports></host>
<runstats><finished time="1700000009" elapsed="9" exit="success"/><hosts up="1" down="3" total="4"/></runstats></nmaprun>"#;

pub(super) async fn import(site: &Site, cookie: &str, scan: u64, document: &str) -> Answer {
    let path = format!("/api/v1/scans/{scan}/import?authoritative=true");
    let request = request(Method::POST, &path).header(header::COOKIE, cookie);
    send(&site.router, request.body(Body::from(document.to_owned())).unwrap()).await
}

#[tokio::test]
async fn an_imported_document_becomes_a_run_with_a_report() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let new = json!({ "name": "Lab", "targets": "10.9.0.0/30", "ports": "22,80" });
    assert_eq!(send(&site.router, post_json("/api/v1/scans", &cookie, new)).await.status, StatusCode::CREATED);

    let taken = import(&site, &cookie, 1, DOCUMENT).await;
    assert_eq!(taken.status, StatusCode::ACCEPTED, "{}", taken.body);
    let taken = taken.json();
    assert_eq!((&taken["hosts"], &taken["outside_count"], &taken["shortfall"]), (&json!(1), &json!(0), &Value::Null));
    let run = site.ended(&cookie, 1).await;
    assert_eq!((&run["state"], &run["open_ports"]), (&json!("completed"), &json!(1)), "{run}");
    assert_eq!(run["started_at"], json!("2023-11-14T22:13:20.000Z"));

    let port =
        r#"<port protocol="tcp" portid="80"><state state="open" reason="syn-ack" reason_ttl="0"/></port></ports>"#;
    let later = DOCUMENT.replace("1700000000", "1700000060").replace("</ports>", port);
    assert_eq!(import(&site, &cookie, 1, &later).await.status, StatusCode::ACCEPTED);
    site.ended(&cookie, 2).await;
    let report = send(&site.router, get("/api/v1/reports/2", &cookie)).await;
    assert_eq!(report.status, StatusCode::OK, "{}", report.body);
    assert!(report.body.contains("new-port"), "{}", report.body);

    let older = import(&site, &cookie, 1, DOCUMENT).await;
    assert_eq!(older.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", older.body);
    assert!(older.json()["faults"]["document"].as_str().unwrap().contains("run 2 looked until"), "{}", older.body);
    assert_eq!(import(&site, &cookie, 9, DOCUMENT).await.status, StatusCode::NOT_FOUND);
    assert_eq!(import(&site, &cookie, 1, "no document").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    site.stop().await;
}

#[tokio::test]
async fn too_many_imports_and_exports_at_once_are_refused_and_a_silent_sender_is_not_waited_for() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let new = json!({ "name": "Lab", "targets": "10.9.0.0/30", "ports": "22,80" });
    assert_eq!(send(&site.router, post_json("/api/v1/scans", &cookie, new)).await.status, StatusCode::CREATED);

    let all = site.app.imports.try_acquire_many(crate::MOST_IMPORTS.try_into().unwrap()).unwrap();
    let refused = import(&site, &cookie, 1, DOCUMENT).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.body);
    assert!(refused.body.contains("when they are done"), "{}", refused.body);
    drop(all);
    let all = site.app.exports.try_acquire_many(crate::MOST_EXPORTS.try_into().unwrap()).unwrap();
    let refused = send(&site.router, get("/api/v1/reports/1/export?format=csv", &cookie)).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.body);
    drop(all);

    let app = crate::App { import_silence: Duration::from_millis(50), ..site.app.clone() };
    let start = futures::stream::iter([Ok::<_, std::io::Error>(DOCUMENT[..60].to_owned())]);
    let silent = Body::from_stream(futures::StreamExt::chain(start, futures::stream::pending()));
    let request = request(Method::POST, "/api/v1/scans/1/import").header(header::COOKIE, &cookie);
    let answer = send(&crate::router(app), request.body(silent).unwrap()).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.body);
    assert!(answer.body.contains("fell silent"), "{}", answer.body);
    assert_eq!(site.app.imports.available_permits(), crate::MOST_IMPORTS);
    site.stop().await;
}
