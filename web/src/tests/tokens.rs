//! Tokens as a program uses them: made, shown in the header, bounded, revoked; and the pages that do the same.

use super::{Site, get, json, post_form, post_json, request, send, with_token};
use crate::Settings;
use crate::limits::Who;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

fn asks(path: &str, token: &str) -> Request<Body> {
    with_token(request(Method::GET, path).body(Body::empty()).unwrap(), token)
}

async fn make(site: &Site, cookie: &str, name: &str, scopes: &[&str]) -> serde_json::Value {
    let new = json!({ "name": name, "scopes": scopes });
    let made = send(&site.router, post_json("/api/v1/tokens", cookie, new)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    made.json()
}

#[tokio::test]
async fn a_program_does_what_its_token_opens_until_it_is_revoked() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let made = make(&site, &cookie, "importer", &["read", "scans"]).await;
    let secret = made["secret"].as_str().unwrap();
    assert_eq!(
        (&made["owner"], &made["scopes"], &made["over"]),
        (&json!("ada"), &json!(["read", "scans"]), &json!(false))
    );

    assert_eq!(send(&site.router, asks("/api/v1/nodes", secret)).await.status, StatusCode::OK);
    let new = json!({ "name": "Lab", "targets": "127.0.0.1", "ports": "22" });
    let scan = send(&site.router, with_token(post_json("/api/v1/scans", "", new), secret)).await;
    assert_eq!((scan.status, &scan.json()["created_by"]), (StatusCode::CREATED, &json!("ada")));
    let reset = send(&site.router, with_token(post_json("/api/v1/rules/reset", "", json!({})), secret)).await;
    assert_eq!(reset.status, StatusCode::FORBIDDEN);
    assert_eq!(reset.json()["detail"], json!("this token does not open admin; make one with that scope"));
    assert!(reset.header("www-authenticate").contains("insufficient_scope"));
    let page = send(&site.router, asks("/scans", secret)).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "pages are for people");

    let listed = send(&site.router, get("/api/v1/tokens", &cookie)).await;
    assert!(!listed.body.contains(secret) && listed.json()[0]["last_used"].is_string(), "{}", listed.body);
    let gone = format!("/api/v1/tokens/{}", made["id"].as_str().unwrap());
    let revoked = send(&site.router, json(Method::DELETE, &gone, &cookie, json!(null))).await;
    assert_eq!((revoked.status, &revoked.json()["over"]), (StatusCode::OK, &json!(true)));
    let after = send(&site.router, asks("/api/v1/nodes", secret)).await;
    assert_eq!(after.status, StatusCode::UNAUTHORIZED);
    assert!(after.json()["detail"].as_str().unwrap().starts_with("this token is unknown, over or revoked"));
    site.stop().await;
}

#[tokio::test]
async fn a_token_counts_in_the_header_alone_and_a_session_beside_it_does_not() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let made = make(&site, &cookie, "watch", &["read"]).await;
    let secret = made["secret"].as_str().unwrap();
    for path in [format!("/api/v1/nodes?token={secret}"), format!("/api/v1/nodes?access_token={secret}")] {
        assert_eq!(send(&site.router, get(&path, "")).await.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(
        send(&site.router, get("/api/v1/nodes", &format!("session={secret}"))).await.status,
        StatusCode::UNAUTHORIZED
    );
    let both = with_token(get("/api/v1/nodes", &cookie), "pdt_0");
    assert_eq!(send(&site.router, both).await.status, StatusCode::UNAUTHORIZED, "a wrong token is not made up for");
    let both = with_token(post_json("/api/v1/rules/reset", &cookie, json!({})), secret);
    assert_eq!(send(&site.router, both).await.status, StatusCode::FORBIDDEN, "nor is a narrow one");
    site.stop().await;
}

#[tokio::test]
async fn what_makes_no_token_is_said_by_field() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    make(&site, &cookie, "one", &["read"]).await;
    for (new, status, word) in [
        (json!({ "name": "", "scopes": ["read"] }), StatusCode::UNPROCESSABLE_ENTITY, "name"),
        (json!({ "name": "one", "scopes": ["read"] }), StatusCode::UNPROCESSABLE_ENTITY, "name"),
        (json!({ "name": "two", "scopes": [] }), StatusCode::UNPROCESSABLE_ENTITY, "scopes"),
        (json!({ "name": "two", "scopes": ["write"] }), StatusCode::BAD_REQUEST, "write"),
        (json!({ "name": "two", "scopes": ["read"], "expires": "2y" }), StatusCode::UNPROCESSABLE_ENTITY, "expires"),
        (json!({ "name": "two", "scopes": ["read"], "expires": "400d" }), StatusCode::UNPROCESSABLE_ENTITY, "expires"),
        (json!({ "name": "two", "scopes": ["read"], "owner": "eve" }), StatusCode::UNPROCESSABLE_ENTITY, "owner"),
        (json!({ "name": "two", "scopes": ["read"], "colour": 1 }), StatusCode::BAD_REQUEST, "colour"),
    ] {
        let answer = send(&site.router, post_json("/api/v1/tokens", &cookie, new.clone())).await;
        assert_eq!(answer.status, status, "{new}: {}", answer.body);
        assert!(answer.json()["detail"].as_str().unwrap().contains(word), "{new}: {}", answer.body);
    }
    let gone = send(&site.router, json(Method::DELETE, "/api/v1/tokens/none", &cookie, json!(null))).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    site.stop().await;
}

#[tokio::test]
async fn tokens_come_in_pages_that_lead_to_each_other() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    for name in ["a", "b", "c"] {
        make(&site, &cookie, name, &["read"]).await;
    }
    let first = send(&site.router, get("/api/v1/tokens?limit=2", &cookie)).await;
    let link = first.header("link").to_owned();
    let query = link.strip_prefix('<').unwrap().split_once('>').unwrap().0;
    let second = send(&site.router, get(&format!("/api/v1/tokens{query}"), &cookie)).await;
    let names = |answer: &super::Answer| {
        answer.json().as_array().unwrap().iter().map(|token| token["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!((names(&first), names(&second)), (vec![json!("a"), json!("b")], vec![json!("c")]));
    assert_eq!(second.header("link"), "");
    site.stop().await;
}

#[tokio::test]
async fn a_person_makes_a_token_sees_it_once_and_revokes_it() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let empty = send(&site.router, get("/profile/tokens", &cookie)).await;
    assert!(empty.body.contains("No token"), "{}", empty.body);
    let made =
        send(&site.router, post_form("/profile/tokens", &cookie, "name=Backup&scope=read&scope=scans&expires=30d"))
            .await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.body);
    let secret = made.body.split("pdt_").nth(1).unwrap().split('<').next().unwrap();
    assert_eq!(send(&site.router, asks("/api/v1/scans", &format!("pdt_{secret}"))).await.status, StatusCode::OK);
    for path in ["/profile/tokens", "/settings/tokens"] {
        let page = send(&site.router, get(path, &cookie)).await;
        assert!(
            page.body.contains("Backup") && page.body.contains("read, scans") && !page.body.contains(secret),
            "{path}"
        );
    }
    let wrong = send(&site.router, post_form("/profile/tokens", &cookie, "name=Backup&expires=soon")).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.body.contains("id=\"expires-fault\"") && wrong.body.contains("value=\"soon\""), "{}", wrong.body);

    let id = send(&site.router, get("/api/v1/tokens", &cookie)).await.json()[0]["id"].as_str().unwrap().to_owned();
    let revoked = send(&site.router, post_form("/settings/tokens/revoke", &cookie, &format!("id={id}"))).await;
    assert_eq!((revoked.status, revoked.header("location")), (StatusCode::SEE_OTHER, "/settings/tokens"));
    let page = send(&site.router, get("/settings/tokens", &cookie)).await;
    assert!(page.body.contains("The token Backup of ada opens nothing any more."), "{}", page.body);
    assert_eq!(
        send(&site.router, asks("/api/v1/scans", &format!("pdt_{secret}"))).await.status,
        StatusCode::UNAUTHORIZED
    );
    site.stop().await;
}

#[tokio::test]
async fn who_asks_too_fast_is_told_when_to_come_back() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let in_an_hour = Instant::now() + Duration::from_secs(3_600);
    while site.app.limits.take(Who::stranger(None), in_an_hour).is_ok() {}
    for (path, cookie) in [("/healthz", ""), ("/api/v1/nodes", ""), ("/api/v1/nodes", "session=AAAAAAAAAAAAAAAAAAAAAA")]
    {
        let told = send(&site.router, get(path, cookie)).await;
        assert_eq!(told.status, StatusCode::TOO_MANY_REQUESTS, "{path} {cookie}");
        let wait: u64 = told.header("retry-after").parse().unwrap();
        assert!((3_000..4_000).contains(&wait), "{wait}");
        assert_eq!(told.json()["title"], json!("Too many requests"));
    }
    let known = send(&site.router, get("/api/v1/nodes", &cookie)).await;
    assert_eq!(known.status, StatusCode::OK, "who is signed in has a store of their own");
    site.stop().await;
}
