//! Scans and jobs over the API: the whole life of a definition.

use super::{Answer, Site, get, json, post_json, send};
use crate::Settings;
use axum::http::{Method, StatusCode};
use serde_json::json;

async fn post(site: &Site, cookie: &str, path: &str, body: serde_json::Value) -> Answer {
    send(&site.router, post_json(&format!("/api/v1{path}"), cookie, body)).await
}

#[tokio::test]
async fn a_scan_is_made_edited_copied_switched_and_listed() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let new = json!({
        "name": "Plant", "targets": "10.0.0.0/8", "budget": 16_777_216, "ports": "22", "cron": "30 2 * * *",
        "zone": "europe/berlin", "scheduled": true,
    });
    let made = post(&site, &cookie, "/scans", new.clone()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let made = made.json();
    assert_eq!(
        (&made["cron"], &made["zone"], &made["interval_minutes"], &made["budget"], &made["special"]),
        (&json!("30 2 * * *"), &json!("Europe/Berlin"), &json!(null), &json!(16_777_216), &json!(false))
    );

    let mut edit = new.clone();
    (edit["name"], edit["ports"]) = (json!("Works"), json!("22,443"));
    let edited = send(&site.router, json(Method::PUT, "/api/v1/scans/1", &cookie, edit)).await;
    assert_eq!((edited.status, &edited.json()["ports"]), (StatusCode::OK, &json!("22,443")), "{}", edited.body);
    assert_eq!((&edited.json()["next_due"], &edited.json()["name"]), (&made["next_due"], &json!("Works")));
    let small = json!({ "name": "Works", "targets": "10.0.0.0/8" });
    let refused = send(&site.router, json(Method::PUT, "/api/v1/scans/1", &cookie, small)).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "what is left out takes its default");
    assert!(refused.json()["faults"]["targets"].as_str().unwrap().contains("`--budget 16777216`"), "{}", refused.body);

    let copy = post(&site, &cookie, "/scans/1/duplicate", json!({})).await;
    assert_eq!((copy.status, &copy.json()["name"]), (StatusCode::CREATED, &json!("Works copy")));
    assert_eq!((&copy.json()["scheduled"], &copy.json()["next_due"]), (&json!(false), &json!(null)));
    let off = post(&site, &cookie, "/scans/1/schedule", json!({ "scheduled": false })).await.json();
    assert_eq!(
        (&off["scheduled"], &off["cron"], &off["next_due"]),
        (&json!(false), &json!("30 2 * * *"), &json!(null))
    );
    let gone = post(&site, &cookie, "/scans/1/deactivate", json!({})).await;
    assert_eq!((gone.status, &gone.json()["active"]), (StatusCode::OK, &json!(false)));
    let listed = async |query: &str| {
        let scans = send(&site.router, get(&format!("/api/v1/scans{query}"), &cookie)).await.json();
        scans.as_array().unwrap().iter().map(|scan| scan["id"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((listed("").await, listed("?inactive=true").await), (vec![2], vec![1, 2]));
    let back = post(&site, &cookie, "/scans/1/activate", json!({})).await;
    assert_eq!((back.status, &back.json()["active"]), (StatusCode::OK, &json!(true)));
    site.stop().await;
}

#[tokio::test]
async fn a_check_says_what_saving_would_come_to() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let new = json!({ "name": "Lab", "targets": "127.0.10.0/28", "ports": "22,80", "interval_minutes": 60, "scheduled": true });
    let check = post(&site, &cookie, "/scans/check", new.clone()).await;
    assert_eq!(check.status, StatusCode::OK, "{}", check.body);
    let check = check.json();
    assert_eq!(
        (&check["addresses"], &check["ports"], &check["uncovered_addresses"]),
        (&json!(16), &json!(2), &json!(16))
    );
    assert_eq!(check["next_runs"].as_array().map(Vec::len), Some(3));
    assert_eq!(send(&site.router, get("/api/v1/scans", &cookie)).await.json(), json!([]));

    post(&site, &cookie, "/scans", new.clone()).await;
    let taken = post(&site, &cookie, "/scans/check", new.clone()).await;
    assert_eq!(taken.json()["faults"]["name"], json!("scan 1 has this name already; choose another one"));
    assert_eq!(post(&site, &cookie, "/scans/check?scan=1", new).await.status, StatusCode::OK);
    let special = post(&site, &cookie, "/scans/check", json!({ "name": "x", "targets": "224.0.0.1" })).await;
    assert!(special.json()["faults"]["targets"].as_str().unwrap().contains("multicast"), "{}", special.body);
    let many = vec!["2001:db8:ffff:ffff:ffff:ffff:ffff:0001-2001:db8:ffff:ffff:ffff:ffff:ffff:0002"; 1_000];
    let longest = json!({ "name": "x", "targets": many.join(",") });
    assert_eq!(post(&site, &cookie, "/scans/check", longest).await.json()["addresses"], json!(2));
    site.stop().await;
}

#[tokio::test]
async fn jobs_are_those_of_the_running_scheduler() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let jobs = async || send(&site.router, get("/api/v1/jobs", &cookie)).await.json();
    assert_eq!(jobs().await, json!([]));
    let new = json!({ "name": "Lab", "targets": "127.0.10.1", "interval_minutes": 60, "scheduled": true });
    let scan = post(&site, &cookie, "/scans", new).await.json();
    let held = jobs().await;
    assert_eq!((&held[0]["scan"], &held[0]["name"], &held[0]["due"]), (&json!(1), &json!("Lab"), &scan["next_due"]));
    assert_eq!((&held[0]["agrees"], &held[0]["fault"]), (&json!(true), &json!(null)));
    let reloaded = post(&site, &cookie, "/jobs/reload", json!({})).await;
    assert_eq!((reloaded.status, &reloaded.json()["differed"]), (StatusCode::OK, &json!([])));
    let (before, after) = (&held[0]["job"], &reloaded.json()["jobs"][0]["job"]);
    assert!(before.is_string() && after.is_string() && before != after, "{before} {after}");
    post(&site, &cookie, "/scans/1/deactivate", json!({})).await;
    assert_eq!(jobs().await, json!([]));
    site.stop().await;
}
