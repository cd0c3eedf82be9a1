//! A dangerous act asks for the password when it was not typed lately, and is done with what was typed before.

use super::{PASSWORD, Site, get, post_form, post_json, send};
use crate::{App, Settings, router};
use axum::http::StatusCode;
use serde_json::json;
use std::time::Duration;

/// A site whose administrator is asked before every such act.
async fn strict() -> (Site, String) {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let app = App { proof_lasts: Duration::ZERO, ..site.app.clone() };
    (Site { router: router(app), ..site }, cookie)
}

#[tokio::test]
async fn an_act_waits_for_the_password_and_nothing_that_was_typed_is_lost() {
    let (site, cookie) = strict().await;
    let act = "name=bob&first=B+%26+%22b%22&last=%C3%A9&email=&role=viewer&password=green+kettle+by+the+door";
    let asked = send(&site.router, post_form("/settings/users", &cookie, act)).await;
    assert_eq!(asked.status, StatusCode::FORBIDDEN);
    for part in
        ["action=\"/settings/users\"", "name=\"first\" value=\"B &#38; &#34;b&#34;\"", "name=\"role\" value=\"viewer\""]
    {
        assert!(asked.body.contains(part), "{part} in {}", asked.body);
    }
    assert_eq!(send(&site.router, get("/settings/users/bob", &cookie)).await.status, StatusCode::NOT_FOUND);
    let wrong = send(&site.router, post_form("/settings/users", &cookie, &format!("{act}&confirm-password=no"))).await;
    assert!(
        wrong.status == StatusCode::FORBIDDEN && wrong.body.contains("This is not your password"),
        "{}",
        wrong.body
    );

    let right = format!("{act}&confirm-password={PASSWORD}");
    let done = send(&site.router, post_form("/settings/users", &cookie, &right)).await;
    assert_eq!((done.status, done.header("location")), (StatusCode::SEE_OTHER, "/settings/users"), "{}", done.body);
    let fresh = done.header("set-cookie").split(';').next().unwrap().to_owned();
    assert!(fresh.starts_with("session=") && fresh != cookie, "the session has a new id");
    assert_eq!(
        send(&site.router, get("/scans", &cookie)).await.status,
        StatusCode::SEE_OTHER,
        "and the old one is void"
    );
    let user = send(&site.router, get("/api/v1/users/bob", &fresh)).await.json();
    assert_eq!((user["first"].as_str(), user["last"].as_str()), (Some("B & \"b\""), Some("é")));
    site.stop().await;
}

#[tokio::test]
async fn a_program_with_a_cookie_is_told_where_to_confirm_and_the_local_socket_is_not_asked() {
    let (site, cookie) = strict().await;
    let body = || json!({"name": "bob", "role": "viewer", "password": "green kettle by the door"});
    let told = send(&site.router, post_json("/api/v1/users", &cookie, body())).await;
    assert_eq!(told.status, StatusCode::FORBIDDEN);
    assert!(told.json()["detail"].as_str().unwrap().contains("/auth/confirm"), "{}", told.body);
    let reads = send(&site.router, get("/api/v1/users", &cookie)).await;
    assert_eq!(reads.status, StatusCode::OK, "looking needs no password");
    site.stop().await;
}

#[tokio::test]
async fn guessing_at_the_question_is_slowed_down_too() {
    let (site, cookie) = strict().await;
    let guess = "action=disable&confirm-password=guess";
    let mut last = String::new();
    for _ in 0..6 {
        last = send(&site.router, post_form("/auth/confirm", &cookie, guess)).await.body;
    }
    assert!(last.contains("Too many attempts; wait"), "{last}");
    site.stop().await;
}

#[tokio::test]
async fn who_typed_the_password_just_now_is_not_asked() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let act = "name=bob&role=viewer&password=green+kettle+by+the+door";
    let done = send(&site.router, post_form("/settings/users", &cookie, act)).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER);
    site.stop().await;
}
