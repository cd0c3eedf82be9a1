//! The record of who did what: as a page, as files, over the API.

use super::findings::{lacks, page, shows};
use super::{Answer, Site, get, post_form, send};
use crate::Settings;
use axum::http::StatusCode;

async fn site() -> (Site, String) {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let rule = async |port: &str, name: &str| {
        let form = format!("port={port}/tcp&name={name}&severity=high");
        let answer: Answer = send(&site.router, post_form("/settings/rules", &cookie, &form)).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    };
    rule("8080", "=Admin").await;
    rule("9090", "Metrics").await;
    (site, cookie)
}

#[tokio::test]
async fn administrators_read_who_did_what_newest_first() {
    let (site, cookie) = site().await;
    let all = page(&site, &cookie, "/settings/audit").await;
    shows(&all, &["ada", "session open", "rule set", "Metrics", "aria-current=\"page\">Audit log</a>"]);
    assert!(all.body.find("Metrics") < all.body.find("session open"), "newest first");
    let some = page(&site, &cookie, "/settings/audit?action=rule&text=metrics&actor=ada").await;
    shows(&some, &["1 shown of", "Metrics", "Who: <strong>ada</strong>"]);
    lacks(&some, &["=Admin"]);
    shows(&page(&site, &cookie, "/settings/audit?actor=bob").await, &["No entry matches these filters"]);
    shows(&page(&site, &cookie, "/settings/audit?until=2001-01-01").await, &["No entry matches these filters"]);
    let wrong = page(&site, &cookie, "/settings/audit?since=yesterday").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    shows(&wrong, &["id=\"since-fault\"", "value=\"yesterday\""]);
    let first = page(&site, &cookie, "/settings/audit?limit=1").await;
    lacks(&first, &["session open"]);
    shows(&first, &["Next page"]);
    site.stop().await;
}

#[tokio::test]
async fn the_record_is_exported_as_harmless_csv_and_as_json() {
    let (site, cookie) = site().await;
    let csv = page(&site, &cookie, "/settings/audit.csv?action=rule").await;
    assert_eq!(csv.header("content-disposition"), "attachment; filename=\"portdrift-audit.csv\"");
    let lines: Vec<&str> = csv.body.split("\r\n").collect();
    assert_eq!(lines[0], r#""number","at","actor","from","action","subject""#);
    assert_eq!(lines.len(), 4, "{lines:#?}");
    assert!(lines[1].contains("Metrics") && lines[2].contains("Admin"), "{lines:#?}");

    let json = page(&site, &cookie, "/settings/audit.json").await.json();
    let listed = send(&site.router, get("/api/v1/audit", &cookie)).await.json();
    assert_eq!(json, listed["entries"], "both say the same");
    let page_of_one = send(&site.router, get("/api/v1/audit?limit=1", &cookie)).await.json();
    let next = page_of_one["next"].as_u64().unwrap();
    let rest = send(&site.router, get(&format!("/api/v1/audit?before={next}"), &cookie)).await.json();
    assert_eq!(rest["entries"][0], json[1]);
    assert_eq!(page(&site, &cookie, "/settings/audit.json?until=2001-01-01").await.json(), serde_json::json!([]));
    site.stop().await;
}
