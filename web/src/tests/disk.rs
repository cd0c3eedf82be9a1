//! A disk that is short of room: told on every page and to whoever watches, and what would need room is refused.

use super::{Site, get, post_form, send};
use crate::Settings;
use axum::http::StatusCode;

const BANNER: &str = "The disk is nearly full.";

#[tokio::test]
async fn a_disk_short_of_room_is_told_on_every_page_and_new_work_is_refused_with_the_reason() {
    let site = Site::start_keeping(u32::MAX, Settings::default()).await;
    let cookie = site.sign_in().await;
    for path in ["/", "/alerts", "/reports", "/scans", "/scans/new", "/nodes", "/nodes/enrol", "/mesh", "/schedule"] {
        let page = send(&site.router, get(path, &cookie)).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(page.body.contains(BANNER) && page.body.contains("MiB free and is to keep"), "{path}: {}", page.body);
        assert!(page.body.contains("role=\"alert\""), "{path}");
    }
    let form = send(&site.router, get("/auth/login", "")).await;
    assert!(!form.body.contains(BANNER), "nothing of it to strangers");

    let made = send(&site.router, post_form("/scans", &cookie, "name=Lab&targets=127.0.0.1&ports=22")).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.body);
    let refused = send(&site.router, post_form("/scans/1/run", &cookie, "")).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    for part in ["<h1>Not ready</h1>", "nothing new is begun until there is room", BANNER] {
        assert!(refused.body.contains(part), "{part} in {}", refused.body);
    }
    let ready = send(&site.router, get("/readyz", "")).await;
    assert_eq!(
        (ready.status, ready.header("content-type")),
        (StatusCode::SERVICE_UNAVAILABLE, "application/problem+json")
    );
    let detail = ready.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("MiB free and is to keep") && detail.contains("free some"), "{detail}");
    assert_eq!(send(&site.router, get("/healthz", "")).await.status, StatusCode::OK, "it lives all the same");
    site.stop().await;
}

#[tokio::test]
async fn with_room_no_page_speaks_of_the_disk_and_the_coordinator_is_ready() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    assert!(!send(&site.router, get("/", &cookie)).await.body.contains(BANNER));
    let ready = send(&site.router, get("/readyz", "")).await;
    assert_eq!((ready.status, ready.body.as_str()), (StatusCode::OK, "ready\n"));
    site.stop().await;
}
