//! Pages of runs, without script: one that waits, one that looked at a part only, one that makes up for it.

use super::imports::import;
use super::scan_pages::{LAB, go, has, page, post};
use super::{Site, get, send};
use crate::Settings;
use axum::http::StatusCode;

#[tokio::test]
async fn a_run_that_nobody_can_do_shows_its_phase_and_an_ended_one_what_became_of_it() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    post(&site, &cookie, "/scans", LAB).await;
    let (run, at) = go(&site, &cookie, "/scans/1/run", "").await;
    assert_eq!(at, "/runs/1");
    has(&run, &["Queued: no node has begun", "told once a tenth is done", "No task yet", "Stop run"]);
    has(&page(&site, &cookie, "/scans/1").await, &["Watch run 1", "queued", "ada"]);
    has(&page(&site, &cookie, "/scans/1/edit").await, &["Run 1</a> is under way and keeps the definition"]);
    let (ended, _) = go(&site, &cookie, "/runs/1/cancel", "").await;
    has(&ended, &["cancelled", "Cancelled by ada.", "No host answered where this run looked"]);
    assert!(!ended.contains("retry-missing") && !ended.contains("hx-get=\"/runs"), "{ended}");
    let refused = post(&site, &cookie, "/runs/1/retry-missing", "").await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    has(&refused.body, &["only what a partial or failed run missed can be run again"]);
    has(&page(&site, &cookie, "/scans/1").await, &["Cancelled by ada."]);
    site.stop().await;
}

/// nmap's document of sixty hosts in a quarter of 10.9.0.0/24.
fn document() -> String {
    let host = |last| {
        format!(
            r#"<host><status state="up" reason="syn-ack" reason_ttl="0"/><address addr="10.9.0.{last}" addrtype="ipv4"/>
<ports><port protocol="tcp" portid="22"><state state="open" reason="syn-ack" reason_ttl="0"/></port></ports></host>"#
        )
    };
    let hosts: String = (1..=60).map(host).collect();
    format!(
        r#"<?xml version="1.0"?><!DOCTYPE nmaprun>
<nmaprun scanner="nmap" args="nmap -p 22 10.9.0.0/26" start="1700000000" version="7.93" xmloutputversion="1.05">
<scaninfo type="connect" protocol="tcp" numservices="1" services="22"/>{hosts}
<runstats><finished time="1700000009" elapsed="9" exit="success"/><hosts up="60" down="4" total="64"/></runstats></nmaprun>"#
    )
}

#[tokio::test]
async fn a_partial_run_says_what_is_missing_and_the_run_that_makes_up_for_it_says_so_too() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    post(&site, &cookie, "/scans", "name=Plant&targets=10.9.0.0/24&ports=22").await;
    assert_eq!(import(&site, &cookie, 1, &document()).await.status, StatusCode::ACCEPTED);
    site.ended(&cookie, 1).await;

    let run = page(&site, &cookie, "/runs/1").await;
    has(
        &run,
        &[
            "<span>partial</span>",
            "imported from a document of another scanner",
            "Where it looked, its silence counts as proof",
            "10.9.0.64-10.9.0.255",
            "192 addresses: the imported document proves nothing about them",
            "action=\"/runs/1/retry-missing\"",
            "View report",
        ],
    );
    assert!(!run.contains("hx-get=\"/runs/1"), "it will not change any more");
    let scan = page(&site, &cookie, "/scans/1").await;
    has(&scan, &["Run 1</a> was partial.", "ada, from a document", "60 hosts, coverage 25", "Tasks of run 1"]);

    let (retry, at) = go(&site, &cookie, "/runs/1/retry-missing", "").await;
    assert_eq!(at, "/runs/2");
    has(&retry, &["This run makes up for what <a href=\"/runs/1\">run 1</a> missed", "192 addresses only"]);
    let first = page(&site, &cookie, "/runs/1").await;
    has(&first, &["<a href=\"/runs/2\">Run 2</a> was started to make up for it."]);
    assert!(!first.contains("/runs/1/retry-missing"), "{first}");
    post(&site, &cookie, "/runs/2/cancel", "").await;
    has(&page(&site, &cookie, "/runs/1").await, &["/runs/1/retry-missing"]);
    post(&site, &cookie, "/scans/1/run", "").await;
    has(&page(&site, &cookie, "/runs/1").await, &["can be run again once <a href=\"/runs/3\">run 3</a> has ended"]);
    site.stop().await;
}

#[tokio::test]
async fn hosts_stand_on_pages_in_the_order_of_their_addresses() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    post(&site, &cookie, "/scans", "name=Plant&targets=10.9.0.0/24&ports=22").await;
    import(&site, &cookie, 1, &document()).await;
    site.ended(&cookie, 1).await;
    for path in ["/scans/1", "/runs/1"] {
        let first = page(&site, &cookie, path).await;
        has(&first, &[">10.9.0.1<", ">10.9.0.9<", ">10.9.0.50<", &format!("{path}?after=10.9.0.50#hosts")]);
        assert!(!first.contains(">10.9.0.51<") && !first.contains("First page"), "{path}");
        let last = page(&site, &cookie, &format!("{path}?after=10.9.0.50")).await;
        has(&last, &[">10.9.0.51<", ">10.9.0.60<", "First page"]);
        assert!(!last.contains(">10.9.0.50<") && !last.contains("Next page"), "{path}");
        has(&page(&site, &cookie, &format!("{path}?after=10.9.0.60")).await, &["No host has a higher address"]);
        let wrong = send(&site.router, get(&format!("{path}?after=here"), &cookie)).await;
        assert_eq!(wrong.status, StatusCode::BAD_REQUEST, "{path}");
    }
    site.stop().await;
}
