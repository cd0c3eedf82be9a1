//! Hosts, services, searching, help and navigation as a person without script meets them, over imported documents.

use super::findings::{lab, lacks, page, shows};
use super::{Site, get, post_json, send};
use crate::Settings;
use axum::http::StatusCode;
use serde_json::json;

#[tokio::test]
async fn hosts_are_listed_found_and_shown_with_their_history() {
    let (site, cookie) = lab().await;
    let all = page(&site, &cookie, "/hosts").await;
    shows(&all, &["1 shown, 1 host is known in all networks", "/hosts/1-10.9.0.1", "22/tcp", "3389/tcp", "run 2"]);
    shows(&all, &["/alerts?scan=1&amp;address=10.9.0.1", "Critical"]);
    shows(
        &page(&site, &cookie, "/hosts?port=80&scan=1").await,
        &["/hosts/1-10.9.0.1", "Network: <strong>Lab</strong>"],
    );
    let none = page(&site, &cookie, "/hosts?port=443").await;
    shows(&none, &["No host matches these filters", "1 host is known"]);
    let wrong = page(&site, &cookie, "/hosts?address=10.9.0.0/40&text=keep").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    shows(&wrong, &["id=\"address-fault\"", "value=\"keep\""]);

    let host = page(&site, &cookie, "/hosts/1-10.9.0.1").await;
    shows(&host, &["<h1 class=\"mono\">10.9.0.1</h1>", "Open ports <span class=\"muted\">(3)", "Lab", "RDP"]);
    shows(&host, &["Open in run 1, 2\"", "Open in run 2; not open in run 1\"", "Runs that looked at it"]);
    for path in ["/hosts/1-10.9.0.2", "/hosts/9-10.9.0.1", "/hosts/nobody"] {
        assert_eq!(page(&site, &cookie, path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    site.stop().await;
}

#[tokio::test]
async fn services_are_counted_and_lead_to_their_hosts() {
    let (site, cookie) = lab().await;
    let all = page(&site, &cookie, "/services").await;
    shows(&all, &["3 ports on 1 host", "/services?port=22/tcp", "/services?port=3389/tcp"]);
    let one = page(&site, &cookie, "/services?port=22/tcp").await;
    shows(&one, &["<h1>Port 22/tcp</h1>", "/hosts/1-10.9.0.1", "1 shown"]);
    lacks(&one, &["3389/tcp"]);
    shows(&page(&site, &cookie, "/services?port=443").await, &["No host has it open"]);
    let wrong = page(&site, &cookie, "/services?port=ssh").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    shows(&wrong, &["id=\"port-fault\"", "value=\"ssh\""]);
    site.stop().await;
}

#[tokio::test]
async fn a_search_is_grouped_and_an_exact_address_goes_to_its_host() {
    let (site, cookie) = lab().await;
    let exact = page(&site, &cookie, "/search?q=+10.9.0.1+").await;
    assert_eq!((exact.status, exact.header("location")), (StatusCode::SEE_OTHER, "/hosts/1-10.9.0.1"));
    let found = page(&site, &cookie, "/search?q=3389").await;
    shows(&found, &["Hosts <span", "/hosts/1-10.9.0.1", "Alerts <span", "RDP on 10.9.0.1"]);
    lacks(&found, &["Networks <span"]);
    let network = page(&site, &cookie, "/search?q=network:lab").await;
    shows(&network, &["Networks <span", "/scans/1", "Hosts <span", "Alerts <span"]);
    lacks(&page(&site, &cookie, "/search?q=network:lab+NOT+port:22").await, &["/hosts/1-"]);
    shows(&page(&site, &cookie, "/search?q=10.9.0.7").await, &["Nothing fits"]);
    let wrong = page(&site, &cookie, "/search?q=colour:red").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    shows(&wrong, &["Colour is no field; the fields are address, name, network", "value=\"colour:red\""]);
    shows(&page(&site, &cookie, "/search").await, &["How to search"]);
    site.stop().await;
}

#[tokio::test]
async fn help_names_the_cause_from_what_is_so_now() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    shows(&page(&site, &cookie, "/help").await, &["there is no scan yet", "no node has been let in"]);
    let new = json!({ "name": "Lab", "targets": "10.9.0.0/30", "ports": "22" });
    assert_eq!(send(&site.router, post_json("/api/v1/scans", &cookie, new)).await.status, StatusCode::CREATED);
    let help = page(&site, &cookie, "/help").await;
    shows(&help, &["4 of its 4 addresses are in no approved node", "it runs only by hand", "it has not run yet"]);
    shows(&help, &["No scan is large for its nodes"]);
    site.stop().await;
}

#[tokio::test]
async fn the_navigation_counts_and_comes_alone_for_pages_that_are_live() {
    let (site, cookie) = lab().await;
    let part = page(&site, &cookie, "/navigation?section=Hosts&top=1").await;
    shows(&part, &["<ul id=\"places\"", "<span class=\"count\">3<span class=\"hidden-text\"> open</span>"]);
    shows(&part, &["href=\"/hosts\" aria-current=\"page\""]);
    lacks(&part, &["<html", "running</span>"]);
    let whole = page(&site, &cookie, "/hosts").await;
    let list = part.body.trim();
    assert!(whole.body.contains(list), "{list}\nin\n{}", whole.body);
    site.stop().await;
}

#[tokio::test]
async fn settings_lead_to_the_first_tab_and_about_names_what_is_vendored() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    assert_eq!(page(&site, &cookie, "/settings").await.header("location"), "/settings/general");
    let about = page(&site, &cookie, "/settings/about").await;
    shows(&about, &["aria-current=\"page\">About</a>", env!("CARGO_PKG_VERSION"), "Pico CSS", "MIT License"]);
    let signed_out = send(&site.router, get("/settings/about", "")).await;
    assert_eq!(signed_out.status, StatusCode::SEE_OTHER);
    site.stop().await;
}
