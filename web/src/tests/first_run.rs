//! The first run without script: nobody takes a coordinator over without the code, and each step leads to the next.

use super::imports::import;
use super::rights::{is_stream, path_of};
use super::scan_pages::{has, page, post};
use super::walk::from;
use super::{PASSWORD, Site, form, get, send};
use crate::Settings;
use crate::routes;
use crate::throttle::Attempt;
use axum::http::{Method, StatusCode, header};
use coordinator::{LocalNode, LocalNodeState};
use protocol::invite::Invite;
use protocol::{TargetSet, Timestamp};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A node without a process.
struct NoProcess(Mutex<LocalNodeState>);

impl LocalNode for NoProcess {
    fn networks(&self) -> Vec<TargetSet> {
        ["127.0.10.0/28", "127.0.11.0/28"].map(|network| network.parse().unwrap()).to_vec()
    }

    fn state(&self) -> LocalNodeState {
        self.0.lock().unwrap().clone()
    }

    fn start(&self, _: Invite) {
        *self.0.lock().unwrap() = LocalNodeState::Running;
    }
}

async fn code_of(site: &Site) -> String {
    site.coordinator.draw_setup_code().await.unwrap().unwrap().to_string()
}

fn typed(code: &str, name: &str, password: &str) -> String {
    format!("code={code}&name={name}&password={password}&again={password}")
}

async fn set_up(site: &Site, body: &str) -> super::Answer {
    send(&site.router, form(Method::POST, "/setup", body)).await
}

#[tokio::test]
async fn until_there_is_an_administrator_every_page_leads_to_the_setup() {
    let site = Site::start_empty(Settings { base_path: "/watch".to_owned(), ..Settings::default() }).await;
    let routes = routes::page_table().into_iter().chain(routes::api_table()).filter(|route| !is_stream(route));
    for (number, route) in routes.enumerate() {
        let path = format!("/watch{}", path_of(&route));
        let answer = send(&site.router, from(form(route.method.clone(), &path, ""), number)).await;
        let is_for_programs = route.scope.is_some() || route.path == "/api/openapi.json";
        match route.path {
            "/setup" => assert_ne!(answer.status, StatusCode::NOT_FOUND, "{} {path}", route.method),
            "/assets/{name}" | "/healthz" | "/readyz" => assert_eq!(answer.status, StatusCode::OK, "{path}"),
            _ if is_for_programs => assert_ne!(answer.status, StatusCode::SEE_OTHER, "{path}"),
            _ => {
                let led = (answer.status, answer.header("location"));
                assert_eq!(led, (StatusCode::SEE_OTHER, "/watch/setup"), "{} {path}", route.method);
            }
        }
    }
    site.stop().await;
}

#[tokio::test]
async fn the_code_makes_one_administrator_and_the_page_is_gone() {
    let site = Site::start_empty(Settings::default()).await;
    let code = code_of(&site).await;
    has(&send(&site.router, get("/setup", "")).await.body, &["Setup code", "Create administrator"]);

    let wrong = set_up(&site, &typed("aaaa-aaaa-aaaa-aaaa", "eve", PASSWORD)).await;
    assert_eq!((wrong.status, wrong.header("set-cookie")), (StatusCode::FORBIDDEN, ""));
    has(&wrong.body, &["id=\"code-fault\"", "This is not the setup code", "value=\"eve\""]);
    assert!(!wrong.body.contains(PASSWORD));
    let short = set_up(&site, &typed(&code, "ada", "short")).await;
    assert_eq!(short.status, StatusCode::UNPROCESSABLE_ENTITY);
    has(&short.body, &["id=\"password-fault\"", &format!("value=\"{code}\"")]);

    let made = set_up(&site, &typed(&code, "ada", PASSWORD)).await;
    assert_eq!((made.status, made.header("location")), (StatusCode::SEE_OTHER, "/first-run"), "{}", made.body);
    let cookies: Vec<&str> =
        made.headers.get_all(header::SET_COOKIE).iter().map(|cookie| cookie.to_str().unwrap()).collect();
    let cookie = cookies.iter().find(|cookie| cookie.starts_with("session=")).unwrap().split(';').next().unwrap();
    has(&page(&site, cookie, "/first-run").await, &["Let a first node in", "Use another machine instead"]);

    let shown = send(&site.router, get("/setup", "")).await;
    let again = set_up(&site, &typed(&code, "eve", PASSWORD)).await;
    assert_eq!((shown.status, again.status), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND));
    let guest = send(&site.router, get("/", "")).await;
    assert_eq!(guest.header("location"), "/auth/login", "from now on pages are for who signs in");
    site.sign_in().await;
    site.stop().await;
}

#[tokio::test]
async fn the_setup_code_cannot_be_guessed() {
    let site = Site::start_empty(Settings::default()).await;
    let code = code_of(&site).await;
    // Nine wrong ones an hour ago, so that the wait after the next one is long, however slow this machine is.
    let before = Timestamp::now().minus(Duration::from_secs(3_600));
    (0..9).for_each(|_| site.app.throttle.failed(&Attempt::of_setup(None), before));
    let guess = async |code: &str| set_up(&site, &typed(code, "eve", PASSWORD)).await;
    assert_eq!(guess("aaaa-aaaa-aaaa-aaaa").await.status, StatusCode::FORBIDDEN);
    let slowed = guess("aaaa-aaaa-aaaa-aaab").await;
    assert_eq!(slowed.status, StatusCode::TOO_MANY_REQUESTS);
    has(&slowed.body, &["Too many wrong codes; wait"]);
    assert_eq!(guess(&code).await.status, StatusCode::TOO_MANY_REQUESTS, "the right one waits too");
    let elsewhere = form(Method::POST, "/setup", &typed(&code, "ada", PASSWORD));
    let made = send(&site.router, from(elsewhere, 7)).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "a stranger makes nobody wait who comes from elsewhere");
    site.stop().await;
}

#[tokio::test]
async fn this_machine_becomes_the_first_node_by_one_form() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let without = post(&site, &cookie, "/first-run/node", "ranges=127.0.10.1").await;
    assert_eq!(without.status, StatusCode::CONFLICT);
    let local = Arc::new(NoProcess(Mutex::default()));
    site.coordinator.bring_local_node(local.clone());
    let shown = page(&site, &cookie, "/first-run").await;
    has(&shown, &["value=\"127.0.10.0/28\" checked", "value=\"127.0.11.0/28\" checked", "aria-current=\"step\""]);
    has(&page(&site, &cookie, "/").await, &["The first steps are not done", "href=\"/first-run\""]);

    let wrong = post(&site, &cookie, "/first-run/node", "network=127.0.11.0/28&ranges=nowhere").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    has(&wrong.body, &["id=\"ranges-fault\"", "value=\"nowhere\"", "value=\"127.0.11.0/28\" checked"]);
    assert!(wrong.body.contains("value=\"127.0.10.0/28\"><"), "what was not chosen stays so: {}", wrong.body);
    assert_eq!(local.state(), LocalNodeState::Idle);

    for _ in 0..2 {
        let sent = post(&site, &cookie, "/first-run/node", "network=127.0.11.0/28&ranges=").await;
        assert_eq!((sent.status, sent.header("location")), (StatusCode::SEE_OTHER, "/first-run"));
    }
    has(&page(&site, &cookie, "/first-run").await, &["The node is on its way", "hx-get=\"/first-run\"", "Look again"]);
    let invites = send(&site.router, get("/api/v1/invites", &cookie)).await.json();
    assert_eq!((&invites[0]["ranges"], &invites[1]), (&"127.0.11.0/28".into(), &serde_json::Value::Null));

    *local.0.lock().unwrap() = LocalNodeState::Failed { reason: "the disk is full".to_owned() };
    let failed = page(&site, &cookie, "/first-run").await;
    has(&failed, &["The node on this machine ended: The disk is full.", "Use this machine as the first node"]);
    site.stop().await;
}

const DOCUMENT: &str = r#"<?xml version="1.0"?><!DOCTYPE nmaprun>
<nmaprun scanner="nmap" args="nmap -p 22 127.0.10.0/30" start="1700000000" version="7.93" xmloutputversion="1.05">
<scaninfo type="connect" protocol="tcp" numservices="1" services="22"/>
<host><status state="up" reason="syn-ack" reason_ttl="0"/><address addr="127.0.10.1" addrtype="ipv4"/>
<ports><port protocol="tcp" portid="22"><state state="open" reason="syn-ack" reason_ttl="0"/></port></ports></host>
<runstats><finished time="1700000009" elapsed="9" exit="success"/><hosts up="1" down="3" total="4"/></runstats></nmaprun>"#;

#[tokio::test]
async fn the_baseline_leads_to_a_second_look_and_a_daily_schedule() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    post(&site, &cookie, "/scans", "name=Lab&targets=127.0.10.0/30&ports=22").await;
    assert_eq!(import(&site, &cookie, 1, DOCUMENT).await.status, StatusCode::ACCEPTED);
    site.ended(&cookie, 1).await;
    let shown = page(&site, &cookie, "/first-run").await;
    has(
        &shown,
        &["The baseline is there", "<strong>1</strong> host with", "value=\"true\" checked", ": daily", "/reports/1"],
    );
    for _ in 0..2 {
        let sent = post(&site, &cookie, "/first-run/again", "repeat=true").await;
        assert_eq!((sent.status, sent.header("location")), (StatusCode::SEE_OTHER, "/first-run"));
    }
    let scan = send(&site.router, get("/api/v1/scans/1", &cookie)).await.json();
    assert_eq!((&scan["interval_minutes"], &scan["scheduled"]), (&1440.into(), &true.into()), "{scan:#}");
    has(
        &page(&site, &cookie, "/first-run").await,
        &["The second look is under way", "hx-get=\"/first-run\"", "/runs/2"],
    );
    assert_eq!(send(&site.router, get("/api/v1/runs/3", &cookie)).await.status, StatusCode::NOT_FOUND);

    post(&site, &cookie, "/runs/2/cancel", "").await;
    let left = page(&site, &cookie, "/first-run").await;
    has(&left, &["The baseline is there", "Cancelled by ada."]);
    assert!(!left.contains("name=\"repeat\""), "it runs by itself already");
    site.stop().await;
}
