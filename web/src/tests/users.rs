//! `/api/v1/users` and what belongs to it, for an administrator.

use super::{PASSWORD, Site, get, json, post_json, send};
use crate::Settings;
use axum::http::{Method, StatusCode};
use serde_json::json;

#[tokio::test]
async fn users_are_made_changed_and_closed_over_the_api() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let new = json!({"name": "bob", "role": "viewer", "password": PASSWORD, "email": "bob@example.org"});
    let made = send(&site.router, post_json("/api/v1/users", &cookie, new.clone())).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let again = send(&site.router, post_json("/api/v1/users", &cookie, new)).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(again.json()["faults"]["name"], "the user name bob is taken; choose another");
    let role = json(Method::PUT, "/api/v1/users/bob/role", &cookie, json!({"role": "approver"}));
    assert_eq!(send(&site.router, role).await.json()["role"], "approver");
    let bad = json(Method::PUT, "/api/v1/users/bob/role", &cookie, json!({"role": "king"}));
    assert_eq!(send(&site.router, bad).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let act = async |action: &str| {
        send(&site.router, post_json(&format!("/api/v1/users/bob/{action}"), &cookie, json!(null))).await
    };
    assert_eq!(act("disable").await.json()["state"], "disabled");
    assert_eq!(act("enable").await.json()["state"], "active");
    assert_eq!(act("unlock").await.status, StatusCode::OK);
    assert_eq!(act("sign-out").await.status, StatusCode::OK);
    assert_eq!(act("deny").await.status, StatusCode::CONFLICT);
    assert_eq!(act("crown").await.status, StatusCode::NOT_FOUND);
    let weak = json(Method::PUT, "/api/v1/users/bob/password", &cookie, json!({"password": "bobbobbobbobbobbob"}));
    assert!(send(&site.router, weak).await.json()["faults"]["password"].as_str().unwrap().contains("easy to guess"));
    let link = send(&site.router, post_json("/api/v1/users/bob/reset-link", &cookie, json!(null))).await.json();
    assert!(link["link"].as_str().unwrap().starts_with("http://localhost/auth/reset/"), "{link}");
    let list = send(&site.router, get("/api/v1/users", &cookie)).await.json();
    let names: Vec<&str> = list.as_array().unwrap().iter().map(|user| user["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["ada", "bob"]);
    assert!(!list.to_string().contains("argon2"), "no hash leaves the coordinator");
    assert_eq!(send(&site.router, get("/api/v1/users/cleo", &cookie)).await.status, StatusCode::NOT_FOUND);
    site.stop().await;
}

#[tokio::test]
async fn people_are_invited_and_registration_is_set_over_the_api() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let invite = json!({"role": "viewer", "expires": "2d"});
    let made = send(&site.router, post_json("/api/v1/user-invites", &cookie, invite)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert!(made.json()["mailed"].is_null());
    let open = send(&site.router, get("/api/v1/user-invites", &cookie)).await.json();
    let id = open[0]["id"].as_str().unwrap().to_owned();
    let revoked = json(Method::DELETE, &format!("/api/v1/user-invites/{id}"), &cookie, json!(null));
    assert_eq!(send(&site.router, revoked).await.status, StatusCode::OK);
    assert_eq!(send(&site.router, get("/api/v1/user-invites", &cookie)).await.json(), json!([]));
    assert_eq!(send(&site.router, get("/api/v1/registration", &cookie)).await.json(), json!({"mode": "invite"}));
    let set = |mode: &str| json(Method::PUT, "/api/v1/registration", &cookie, json!({"mode": mode}));
    assert_eq!(send(&site.router, set("closed")).await.status, StatusCode::OK);
    assert_eq!(send(&site.router, set("ajar")).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let closed = send(&site.router, post_json("/api/v1/user-invites", &cookie, json!({"role": "viewer"}))).await;
    assert_eq!(closed.status, StatusCode::CONFLICT);
    site.stop().await;
}
