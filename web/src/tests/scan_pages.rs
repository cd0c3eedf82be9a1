//! Pages of scans and the schedule, without script: what a person sees and does.

use super::{Answer, Site, get, post_form, send};
use crate::Settings;
use axum::http::StatusCode;

pub(super) const LAB: &str = "name=Lab&targets=127.0.0.0/28&ports=22&repeat=interval&interval=1440&scheduled=true";

pub(super) async fn page(site: &Site, cookie: &str, path: &str) -> String {
    let page = send(&site.router, get(path, cookie)).await;
    assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.body);
    page.body
}

pub(super) async fn post(site: &Site, cookie: &str, path: &str, body: &str) -> Answer {
    send(&site.router, post_form(path, cookie, body)).await
}

/// Posts, and follows to the page that the answer leads to.
pub(super) async fn go(site: &Site, cookie: &str, path: &str, body: &str) -> (String, String) {
    let answer = post(site, cookie, path, body).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}: {}", answer.body);
    let to = answer.header("location").to_owned();
    (page(site, cookie, &to).await, to)
}

/// Each part in turn, so that a failure names it.
pub(super) fn has(body: &str, parts: &[&str]) {
    for part in parts {
        assert!(body.contains(part), "{part} in {body}");
    }
}

#[tokio::test]
async fn a_scan_is_edited_in_the_form_that_it_was_made_in() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    post(&site, &cookie, "/scans", LAB).await;
    let form = page(&site, &cookie, "/scans/1/edit").await;
    has(
        &form,
        &[
            "<h1>Edit Lab</h1>",
            "Changes take effect on the next run",
            "action=\"/scans/1/edit\"",
            "name=\"scan\" value=\"1\"",
            "127.0.0.0/28</textarea>",
            "value=\"65536\"",
            "value=\"interval\" checked",
            "value=\"1440\"",
            "name=\"scheduled\" value=\"true\" checked",
        ],
    );
    let edit = "name=Works&targets=127.0.0.0/29&exclusions=127.0.0.1&ports=22&args=-sV&engine=builtin&special=true\
                &budget=100&repeat=cron&interval=1440&cron=30 2 * * *&zone=Europe/Berlin&scheduled=true";
    let (scan, at) = go(&site, &cookie, "/scans/1/edit", edit).await;
    assert_eq!(at, "/scans/1");
    has(
        &scan,
        &["<h1>Works</h1>", "7 addresses", "127.0.0.1", "cron 30 2 * * * (Europe/Berlin)", "builtin", "100 addresses"],
    );
    has(&page(&site, &cookie, "/scans/1/edit").await, &["value=\"cron\" checked", "value=\"30 2 * * *\""]);
    let (scan, _) = go(&site, &cookie, "/scans/1/edit", &edit.replace("repeat=cron", "repeat=none")).await;
    has(&scan, &["only by hand", "when you start it"]);
    site.stop().await;
}

#[tokio::test]
async fn a_wrong_edit_keeps_what_was_typed_and_names_each_fault_beside_its_field() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    for name in ["Lab", "Office"] {
        post(&site, &cookie, "/scans", &LAB.replace("Lab", name)).await;
    }
    let wrong = "name=&targets=10.0.0.300&repeat=cron&cron=&scheduled=true&description=keep me";
    let answer = post(&site, &cookie, "/scans/1/edit", wrong).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    has(
        &answer.body,
        &[
            "<h1>Edit Lab</h1>",
            "10.0.0.300</textarea>",
            "id=\"name-fault\"",
            "id=\"targets-fault\"",
            "id=\"cron-fault\"",
            "value=\"cron\" checked",
            "value=\"keep me\"",
        ],
    );
    assert!(!answer.body.contains("id=\"interval-fault\""), "its field is not shown");
    let taken = post(&site, &cookie, "/scans/1/edit", &LAB.replace("Lab", "office")).await;
    assert_eq!(taken.status, StatusCode::UNPROCESSABLE_ENTITY);
    has(&taken.body, &["Scan 2 has this name already; choose another one."]);
    site.stop().await;
}

#[tokio::test]
async fn a_scan_is_copied_switched_off_taken_out_of_use_and_back() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    post(&site, &cookie, "/scans", LAB).await;
    let (copy, at) = go(&site, &cookie, "/scans/1/duplicate", "").await;
    assert_eq!(at, "/scans/2/edit");
    has(&copy, &["<h1>Edit Lab copy</h1>", "name=\"scheduled\" value=\"true\">"]);

    has(&page(&site, &cookie, "/scans/1").await, &["daily", "Switch schedule off", "Next run</dt><dd><time"]);
    let (off, _) = go(&site, &cookie, "/scans/1/schedule", "scheduled=false").await;
    has(&off, &["daily", "schedule is off", "Switch schedule on"]);
    let (on, _) = go(&site, &cookie, "/scans/1/schedule", "scheduled=true").await;
    has(&on, &["Next run</dt><dd><time"]);

    has(
        &page(&site, &cookie, "/scans/1/deactivate").await,
        &["<h1>Deactivate Lab?</h1>", "neither at its next time nor by hand", "action=\"/scans/1/deactivate\""],
    );
    let (gone, at) = go(&site, &cookie, "/scans/1/deactivate", "").await;
    assert_eq!(at, "/scans/1");
    has(&gone, &["This scan is inactive", "none: the scan is inactive", "action=\"/scans/1/activate\""]);
    assert!(!gone.contains("/scans/1/run\"") && !gone.contains("<dialog"), "{gone}");
    assert!(!page(&site, &cookie, "/scans").await.contains(">Lab</a>"));
    has(&page(&site, &cookie, "/scans?inactive=1").await, &[">Lab</a>", "<span>inactive</span>", "2 of 2 scans"]);
    let (back, _) = go(&site, &cookie, "/scans/1/activate", "").await;
    has(&back, &["Run now", "<dialog id=\"deactivate\""]);
    site.stop().await;
}

#[tokio::test]
async fn the_list_is_filtered_and_sorted_by_its_address() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    for (name, targets) in [("Lab", "127.0.1.0/28"), ("Attic", "127.0.2.0/28")] {
        post(&site, &cookie, "/scans", &format!("name={name}&targets={targets}")).await;
    }
    let order = async |path: &str| {
        let body = page(&site, &cookie, path).await;
        let found = |name: &str| body.find(&format!(">{name}</a>"));
        (found("Lab").is_some(), found("Attic").is_some(), found("Attic") < found("Lab"))
    };
    assert_eq!(order("/scans").await, (true, true, true));
    assert_eq!(order("/scans?text=127.0.1.7").await, (true, false, true), "an address among the targets");
    assert_eq!(order("/scans?text=att").await, (false, true, false));
    let none = page(&site, &cookie, "/scans?text=a%26b&sort=score").await;
    has(&none, &["No scan matches these filters", "value=\"a&#38;b\"", "<option value=\"score\" selected>"]);
    let sorted = page(&site, &cookie, "/scans?text=a&sort=next").await;
    has(&sorted, &["aria-sort=\"ascending\"><a href=\"/scans?sort=next&#38;text=a\">"]);
    assert_eq!(send(&site.router, get("/scans?sort=size", &cookie)).await.status, StatusCode::BAD_REQUEST);
    site.stop().await;
}

#[tokio::test]
async fn a_check_says_when_a_scan_would_run_and_counts_addresses_of_a_half_written_form() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    post(&site, &cookie, "/scans", LAB).await;
    let check = async |query: &str| page(&site, &cookie, &format!("/scans/check?{query}")).await;
    let timed = check("targets=127.0.0.1&repeat=cron&cron=30+2+*+*+*&scheduled=true").await;
    assert_eq!(timed.matches(":30:00 UTC").count(), 3, "{timed}");
    let half = check("targets=127.0.0.1&ports=22&repeat=cron&cron=30+25&scheduled=true").await;
    has(&half, &["Repeat: ", "<strong>1</strong> address × <strong>1</strong> port"]);
    has(&check("name=lab&targets=127.0.0.1").await, &["Name: scan 1 has this name already", "<strong>1</strong>"]);
    let edited = check("name=lab&targets=127.0.0.1&scan=1").await;
    assert!(!edited.contains("Name: "), "{edited}");
    has(&check("targets=127.0.0.1&args=-oN+x").await, &["Arguments: "]);
    site.stop().await;
}

#[tokio::test]
async fn the_schedule_shows_what_the_scheduler_holds_and_is_read_anew() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    has(&page(&site, &cookie, "/schedule").await, &["No scan runs by itself"]);
    post(&site, &cookie, "/scans", LAB).await;
    has(
        &page(&site, &cookie, "/schedule").await,
        &["href=\"/scans/1\">Lab</a>", "<span>held</span>", "<td data-label=\"Wakes\"><span><time"],
    );
    let (anew, at) = go(&site, &cookie, "/schedule/reload", "").await;
    assert_eq!(at, "/schedule?reloaded=0");
    has(&anew, &["None had differed from the store", "<span>held</span>"]);
    site.stop().await;
}
