//! Alerts, reports, comparisons and rules as a person without script meets them, over documents of another scanner.

use super::{Answer, Site, get, post_form, post_json, request, send};
use crate::Settings;
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use serde_json::json;

/// What a scanner saw of one host with these ports open, of 22, 80 and 3389.
fn document(second: u64, ports: &[u16]) -> String {
    let port = |port: &u16| {
        format!(r#"<port protocol="tcp" portid="{port}"><state state="open" reason="syn-ack" reason_ttl="0"/></port>"#)
    };
    let (ports, start, end): (String, u64, u64) =
        (ports.iter().map(port).collect(), 1_700_000_000 + second, 1_700_000_009 + second);
    format!(
        r#"<?xml version="1.0"?><!DOCTYPE nmaprun>
<nmaprun scanner="nmap" args="nmap -p 22,80,3389 10.9.0.0/30" start="{start}" version="7.93" xmloutputversion="1.05">
<scaninfo type="connect" protocol="tcp" numservices="3" services="22,80,3389"/>
<host><status state="up" reason="syn-ack" reason_ttl="0"/><address addr="10.9.0.1" addrtype="ipv4"/>
<ports>{ports}</ports></host>
<runstats><finished time="{end}" elapsed="9" exit="success"/><hosts up="1" down="3" total="4"/></runstats></nmaprun>"#
    )
}

/// A network, `Lab`, in which 80 and 3389 opened after its first run.
pub(super) async fn lab() -> (Site, String) {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let new = json!({ "name": "Lab", "targets": "10.9.0.0/30", "ports": "22,80,3389" });
    assert_eq!(send(&site.router, post_json("/api/v1/scans", &cookie, new)).await.status, StatusCode::CREATED);
    for (run, ports) in [(1, [22].as_slice()), (2, &[22, 80, 3389])] {
        let path = "/api/v1/scans/1/import?authoritative=true";
        let request = request(Method::POST, path).header(header::COOKIE, &cookie);
        let taken = send(&site.router, request.body(Body::from(document(run * 60, ports))).unwrap()).await;
        assert_eq!(taken.status, StatusCode::ACCEPTED, "{}", taken.body);
        site.ended(&cookie, run).await;
    }
    (site, cookie)
}

pub(super) async fn page(site: &Site, cookie: &str, path: &str) -> Answer {
    send(&site.router, get(path, cookie)).await
}

/// Sends a form, and shows the page that its answer leads to.
async fn sent(site: &Site, cookie: &str, path: &str, body: &str) -> Answer {
    let answer = send(&site.router, post_form(path, cookie, body)).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    page(site, cookie, answer.header("location")).await
}

#[track_caller]
pub(super) fn shows(answer: &Answer, parts: &[&str]) {
    for part in parts {
        assert!(answer.body.contains(part), "{part} in {}", answer.body);
    }
}

#[track_caller]
pub(super) fn lacks(answer: &Answer, parts: &[&str]) {
    for part in parts {
        assert!(!answer.body.contains(part), "{part} in {}", answer.body);
    }
}

const SSH: &str = "1-10.9.0.1-22-tcp-SSH";
const RDP: &str = "1-10.9.0.1-3389-tcp-RDP";
const NEW: &str = "1-10.9.0.1-80-tcp-new_port";

#[tokio::test]
async fn alerts_are_filtered_sorted_and_paged_by_the_address() {
    let (site, cookie) = lab().await;
    let all = page(&site, &cookie, "/alerts").await;
    shows(&all, &["3 shown, 3 of 3 match", RDP, SSH, NEW, "aria-sort=\"descending\"><a href=\"/alerts?sort=severity"]);
    assert!(all.body.find(RDP) < all.body.find(SSH) && all.body.find(SSH) < all.body.find(NEW), "worst first");
    let sorted = page(&site, &cookie, "/alerts?sort=port").await;
    assert!(sorted.body.find(SSH) < sorted.body.find(NEW) && sorted.body.find(NEW) < sorted.body.find(RDP));
    for (query, found, missing) in [
        ("severity=high", SSH, RDP),
        ("severity=critical,high", RDP, NEW),
        ("port=80", NEW, SSH),
        ("text=rdp", RDP, NEW),
        ("address=10.9.0.0/30&port=22/tcp&scan=1", SSH, RDP),
    ] {
        let some = page(&site, &cookie, &format!("/alerts?{query}")).await;
        shows(&some, &[found, "of 3 match", "Clear filters"]);
        lacks(&some, &[missing]);
    }
    let none = page(&site, &cookie, "/alerts?state=resolved").await;
    shows(&none, &["No alerts match these filters", "State: <strong>Resolved</strong>"]);
    let wrong = page(&site, &cookie, "/alerts?address=10.9.0.0/40&text=keep").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    shows(&wrong, &["id=\"address-fault\"", "value=\"10.9.0.0/40\"", "value=\"keep\""]);
    let after = page(&site, &cookie, &format!("/alerts?after={RDP}")).await;
    shows(&after, &[SSH, NEW, "First page"]);
    lacks(&after, &[&format!("/alerts/{RDP}")]);
    site.stop().await;
}

#[tokio::test]
async fn several_alerts_are_decided_about_at_once_and_the_list_comes_back() {
    let (site, cookie) = lab().await;
    let some =
        sent(&site, &cookie, "/alerts?sort=port", &format!("id={SSH}&id={NEW}&action=ignore&comment=by us")).await;
    shows(&some, &["2 alerts ignored.", RDP, "1 shown, 1 of 3 match"]);
    lacks(&some, &[SSH]);
    lacks(&page(&site, &cookie, "/alerts").await, &["2 alerts ignored"]);
    let all = sent(&site, &cookie, "/alerts?state=ignored", "all=true&action=reopen").await;
    shows(&all, &["2 alerts reopened.", "No alerts match these filters"]);

    let nothing =
        send(&site.router, post_form("/alerts?severity=high", &cookie, "action=ignore&comment=keep+me")).await;
    assert_eq!(nothing.status, StatusCode::UNPROCESSABLE_ENTITY);
    shows(&nothing, &["Tick the alerts that are meant", "value=\"keep me\"", SSH]);
    let long = format!("id={SSH}&action=ignore&comment={}", "x".repeat(501));
    let long = send(&site.router, post_form("/alerts", &cookie, &long)).await;
    assert_eq!(long.status, StatusCode::UNPROCESSABLE_ENTITY);
    shows(&long, &["id=\"comment-fault\"", &format!("value=\"{SSH}\" aria-label=\"SSH, 10.9.0.1, 22/tcp\" checked")]);
    site.stop().await;
}

#[tokio::test]
async fn one_alert_says_why_and_keeps_its_trail() {
    let (site, cookie) = lab().await;
    let path = format!("/alerts/{RDP}");
    let alert = page(&site, &cookie, &path).await;
    shows(&alert, &["The rule RDP says that an open 3389/tcp is critical.", "Raised.", "Mark actioned", "run 2"]);
    let done = sent(&site, &cookie, &path, "action=action&comment=ticket 7").await;
    shows(&done, &["1 alert marked actioned.", "Marked actioned.", "ticket 7", "ada", "Reopen"]);
    let open = sent(&site, &cookie, &path, "action=reopen").await;
    shows(&open, &["1 alert reopened.", "Undone, open again."]);
    let wrong =
        send(&site.router, post_form(&path, &cookie, &format!("action=ignore&comment={}", "x".repeat(501)))).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    shows(&wrong, &["id=\"comment-fault\"", &"x".repeat(501)]);
    for path in ["/alerts/nope", "/alerts/1-10.9.0.9-22-tcp-SSH"] {
        assert_eq!(page(&site, &cookie, path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    shows(&page(&site, &cookie, &format!("/alerts/{NEW}")).await, &["No rule names 80/tcp"]);
    site.stop().await;
}

#[tokio::test]
async fn lines_of_a_report_are_filtered_accepted_and_taken_back() {
    let (site, cookie) = lab().await;
    let report = page(&site, &cookie, "/reports/2").await;
    shows(&report, &["2 ports opened since run 1", "Critical and high", "Accept all 2 shown", "2 of 2 changes match"]);
    shows(&report, &["/reports/2.csv", "/reports/2.json", "/reports/2.xml", "/compare?network=1&amp;from=1&amp;to=2"]);
    for (query, found, missing) in
        [("kind=critical", "3389/tcp</td>", "80/tcp</td>"), ("host=10.9.0.1&port=80", ">80/tcp</td>", "3389/tcp</td>")]
    {
        let some = page(&site, &cookie, &format!("/reports/2?{query}")).await;
        shows(&some, &[found, "1 of 2 changes match", "Clear filters"]);
        lacks(&some, &[missing]);
    }
    shows(&page(&site, &cookie, "/reports/2?service=nginx").await, &["No change matches these filters"]);
    let wrong = page(&site, &cookie, "/reports/2?host=nowhere&port=70000").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    shows(&wrong, &["id=\"host-fault\"", "id=\"port-fault\"", "value=\"nowhere\""]);

    let one = sent(&site, &cookie, "/reports/2/accept?kind=new-port", "line=1&comment=planned").await;
    shows(&one, &["1 change accepted as expected. The score is ", "accepted by ada", "planned", "not counted"]);
    shows(&one, &["Kind: <strong>New ports</strong>", "Accept the one shown", "Undo all shown"]);
    lacks(&page(&site, &cookie, "/alerts").await, &[RDP]);
    let all = sent(&site, &cookie, "/reports/2/accept", "line=all&shown=0&shown=1").await;
    shows(&all, &["1 change accepted as expected.", "Stable"]);
    shows(&page(&site, &cookie, "/networks/1/history").await, &["+1 RDP port opened, +1 port opened", "2 accepted"]);
    let none = sent(&site, &cookie, "/reports/2/unaccept", "line=all&shown=0&shown=1").await;
    shows(&none, &["2 changes not accepted any more.", "Accept all 2 shown"]);
    let gone = send(&site.router, post_form("/reports/2/accept", &cookie, "line=9&comment=keep+me")).await;
    assert_eq!(gone.status, StatusCode::UNPROCESSABLE_ENTITY);
    shows(&gone, &["Report 2 has no line", "value=\"keep me\""]);
    site.stop().await;
}

#[tokio::test]
async fn two_runs_are_compared_and_what_cannot_be_is_said() {
    let (site, cookie) = lab().await;
    let choose = page(&site, &cookie, "/compare").await;
    shows(&choose, &["<option value=\"1\" selected>run 1", "<option value=\"2\" selected>run 2"]);
    let compared = page(&site, &cookie, "/compare?network=1&from=1&to=2").await;
    shows(&compared, &["2 changes from run 1 to run 2.", "asked by both", "3389/tcp", "new port"]);
    shows(&compared, &["/compare?network=1&#38;from=2&#38;to=1"]);
    let swapped = page(&site, &cookie, "/compare?network=1&from=2&to=1").await;
    shows(&swapped, &["2 changes from run 2 to run 1.", "closed port"]);
    let some = page(&site, &cookie, "/compare?network=1&from=1&to=2&port=80").await;
    shows(&some, &["1 of 2 changes match", "/compare?network=1&#38;from=1&#38;to=2\""]);
    lacks(&some, &["3389/tcp</td>"]);
    shows(&page(&site, &cookie, "/compare?network=1&from=2&to=2").await, &["one and the same run"]);
    for (query, said) in [
        ("network=9&from=1&to=2", "There is no scan 9"),
        ("network=1&from=x&to=2", "is no run&#39;s number"),
        ("network=1&from=1&to=77", "There is no run 77"),
        ("network=x", "is no network&#39;s number"),
    ] {
        let wrong = page(&site, &cookie, &format!("/compare?{query}")).await;
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
        shows(&wrong, &[said]);
    }
    site.stop().await;
}

#[tokio::test]
async fn rules_are_added_changed_removed_and_reset() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let path = "/settings/rules";
    shows(&page(&site, &cookie, path).await, &["In force", "3389/tcp", "Add a rule"]);
    let added = sent(&site, &cookie, path, "port=8080/tcp&name=Admin console&severity=high").await;
    shows(&added, &["8080/tcp (Admin console) is high from the next run of each scan on.", "(9)"]);
    let edit = page(&site, &cookie, "/settings/rules?port=8080/tcp&name=Admin+console&severity=high").await;
    shows(&edit, &["Change the rule for 8080/tcp", "value=\"Admin console\""]);
    let removed = sent(&site, &cookie, "/settings/rules/remove", "port=8080/tcp").await;
    shows(&removed, &["The rule Admin console for 8080/tcp is removed.", "(8)"]);
    let wrong = send(&site.router, post_form(path, &cookie, "port=70000/tcp&name=keep+me&severity=low")).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    shows(&wrong, &["id=\"port-fault\"", "value=\"keep me\"", "value=\"70000/tcp\""]);
    let unnamed = send(&site.router, post_form(path, &cookie, "port=80/tcp&name=&severity=low")).await;
    shows(&unnamed, &["id=\"name-fault\""]);
    sent(&site, &cookie, "/settings/rules/remove", "port=3389/tcp").await;
    shows(&sent(&site, &cookie, "/settings/rules/reset", "").await, &["The 8 default rules are in force.", "3389/tcp"]);
    site.stop().await;
}
