//! Pages of a real coordinator: what a person sees and does, without script.

use super::{Site, get, post_form, send};
use crate::Settings;
use axum::http::StatusCode;

#[tokio::test]
async fn a_person_makes_a_scan_runs_it_and_sees_why_it_waits() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let form = "name=Lab&targets=127.0.0.1&ports=22&interval=1440&scheduled=true";
    let made = send(&site.router, post_form("/scans", &cookie, form)).await;
    assert_eq!((made.status, made.header("location")), (StatusCode::SEE_OTHER, "/scans/1"));
    let run = send(&site.router, post_form("/scans/1/run", &cookie, "")).await;
    assert_eq!((run.status, run.header("location")), (StatusCode::SEE_OTHER, "/runs/1"));

    let page = send(&site.router, get("/runs/1", &cookie)).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("<h1>Run 1</h1>") && page.body.contains("started by ada"), "{}", page.body);
    let again = send(&site.router, post_form("/scans/1/run", &cookie, "")).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert!(again.body.contains("Run 1 of this scan has not ended"), "{}", again.body);
    for path in [
        "/",
        "/scans",
        "/scans/1",
        "/reports",
        "/networks/1/history",
        "/alerts",
        "/nodes",
        "/nodes/enrol",
        "/scans/new",
    ] {
        let page = send(&site.router, get(path, &cookie)).await;
        assert_eq!((page.status, page.header("content-type")), (StatusCode::OK, "text/html; charset=utf-8"), "{path}");
        assert!(page.body.contains("aria-current"), "{path}");
    }
    site.stop().await;
}

#[tokio::test]
async fn a_wrong_form_keeps_what_was_typed_and_names_each_fault() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let answer =
        send(&site.router, post_form("/scans", &cookie, "name=&targets=10.0.0.300&args=-oN+x&description=keep+me"))
            .await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    for part in [
        "10.0.0.300</textarea>",
        "value=\"-oN x\"",
        "value=\"keep me\"",
        "id=\"name-fault\"",
        "id=\"targets-fault\"",
        "id=\"args-fault\"",
        "href=\"#targets\"",
    ] {
        assert!(answer.body.contains(part), "{part} in {}", answer.body);
    }
    site.stop().await;
}

#[tokio::test]
async fn a_scan_that_runs_by_the_clock_shows_its_times() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let form = "name=Lab&targets=127.0.0.1&ports=22&cron=30+2+*+*+*&zone=Europe/Berlin&scheduled=true";
    assert_eq!(send(&site.router, post_form("/scans", &cookie, form)).await.status, StatusCode::SEE_OTHER);
    let page = send(&site.router, get("/scans/1", &cookie)).await;
    assert!(page.body.contains("cron 30 2 * * * (Europe/Berlin)"), "{}", page.body);
    let wrong = "name=Office&targets=127.0.0.1&cron=30+25+*+*+*&zone=Europe/Berlin&scheduled=true";
    let page = send(&site.router, post_form("/scans", &cookie, wrong)).await;
    assert!(page.body.contains("id=\"cron-fault\"") && page.body.contains("value=\"Europe/Berlin\""), "{}", page.body);
    site.stop().await;
}

#[tokio::test]
async fn targets_are_counted_while_they_are_typed() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let check = async |query: &str| send(&site.router, get(&format!("/scans/check?{query}"), &cookie)).await.body;
    let told = check("targets=127.0.0.0/24&exclusions=127.0.0.1&ports=22,80").await;
    assert!(told.contains("<strong>255</strong> addresses × <strong>2</strong> ports"), "{told}");
    assert!(told.contains("No approved node of this site covers 255 of them"), "{told}");
    assert!(!told.contains("<html"), "only a part of a page");
    assert!(check("targets=127.0.0.0/24&ports=0").await.contains("Ports: "));
    assert!(check("targets=").await.contains("Write targets"));
    assert!(check("targets=10.0.0.0/8").await.contains("write 16777216 in the field budget"));
    assert!(
        check("targets=10.0.0.0/8&budget=16777216")
            .await
            .contains("<strong>16\u{202f}777\u{202f}216</strong> addresses")
    );
    assert!(check("targets=224.0.0.1").await.contains("is multicast (RFC 5771)"));
    assert!(check("targets=224.0.0.1&special=true").await.contains("<strong>1</strong> address"));
    site.stop().await;
}

#[tokio::test]
async fn an_invite_is_shown_once_and_a_faulty_one_is_explained() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let made = send(&site.router, post_form("/nodes/enrol", &cookie, "approval=ask&ranges=")).await;
    assert!(made.body.contains("portdrift node run --join pdrift1"), "{}", made.body);
    let bad = send(&site.router, post_form("/nodes/enrol", &cookie, "approval=before&ranges=nowhere")).await;
    assert_eq!(bad.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(bad.body.contains("value=\"nowhere\"") && bad.body.contains("No invite was made"), "{}", bad.body);
    site.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_said_on_a_page_with_a_way_back() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    for path in ["/runs/9", "/reports/9", "/scans/9", "/networks/9/history", "/nowhere"] {
        let page = send(&site.router, get(path, &cookie)).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
        assert!(page.body.contains("Go to the overview") && page.body.contains(page.header("x-request-id")), "{path}");
    }
    site.stop().await;
}
