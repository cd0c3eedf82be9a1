//! Every line of the route table: with tokens, without a session, from other sites, with too much, and read only.

use super::rights::{is_stream, path_of, table};
use super::{Answer, PASSWORD, Site, form, get, post_form, request, send};
use crate::Settings;
use crate::api;
use crate::routes::{self, Access, Route};
use crate::session::bearer::ByToken;
use crate::session::{self, Caller};
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Method, Request, StatusCode, header};
use axum::{Extension, Router};
use coordinator::tokens::{Scope, TokenKey};
use coordinator::{Actor, Role};
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// The routes as a caller of this role sees them who shows a token with these scopes.
fn seen_by(site: &Site, role: Role, scopes: &[Scope]) -> Router {
    let key = TokenKey::of(&format!("pdt_{}", "0".repeat(64))).unwrap();
    let by_token = ByToken::new(key, scopes.iter().copied().collect());
    let inner = routes::build(table()).layer(Extension(by_token));
    let inner = inner.layer(Extension(Caller(Actor::new("test".into(), role))));
    routes::frame(inner.layer(session::layer(&site.app, false)), &site.app)
}

/// Each from an address of its own, as strangers from one address are slowed down.
pub(super) fn from(mut request: Request<Body>, number: usize) -> Request<Body> {
    let [high, low] = u16::try_from(number).unwrap().to_be_bytes();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([198, 18, high, low], 5_000))));
    request
}

fn shown(route: &Route, answer: &Answer) -> String {
    format!("{} {}: {} {}", route.method, route.path, answer.status, answer.body)
}

#[tokio::test]
async fn a_token_opens_the_routes_of_its_scopes_as_far_as_its_owner_may() {
    let site = Site::start(Settings::default()).await;
    let callers: Vec<(Role, Vec<Scope>)> = [Role::Viewer, Role::Operator, Role::Approver, Role::Admin]
        .into_iter()
        .flat_map(|role| {
            Scope::ALL
                .map(|scope| vec![scope])
                .into_iter()
                .chain([vec![], Scope::ALL.to_vec()])
                .map(move |scopes| (role, scopes))
        })
        .collect();
    for (role, scopes) in callers {
        let router = seen_by(&site, role, &scopes);
        for route in table().into_iter().filter(|route| !is_stream(route) && route.access != Access::Anyone) {
            let Access::Needs(right) = route.access else { continue };
            let may = route.scope.is_some_and(|scope| scopes.contains(&scope)) && role.may(right);
            let answer = send(&router, form(route.method.clone(), &path_of(&route), "")).await;
            let was_refused = answer.status == StatusCode::FORBIDDEN;
            assert_eq!(was_refused, !may, "{role:?} {scopes:?} {}", shown(&route, &answer));
            assert_ne!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{}", shown(&route, &answer));
        }
    }
    site.stop().await;
}

#[test]
fn programs_have_a_scope_for_each_route_of_theirs_and_none_for_pages() {
    for route in table() {
        let is_for_programs = route.path.starts_with("/api/v1/") || route.path == "/metrics";
        assert_eq!(route.scope.is_some(), is_for_programs, "{} {}", route.method, route.path);
        let is_reading = route.method == Method::GET;
        let reads = route.scope == Some(Scope::Read);
        assert!(is_reading || !reads || route.path == "/api/v1/scans/check", "{} {}", route.method, route.path);
    }
}

#[tokio::test]
async fn an_ended_session_and_an_unknown_token_open_nothing() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    send(&site.router, post_form("/auth/logout", &cookie, "")).await;
    let unknown = format!("Bearer pdt_{}", "0".repeat(64));
    for (number, route) in table().into_iter().enumerate() {
        if route.access == Access::Anyone {
            continue;
        }
        let is_program = route.path.starts_with("/api/v1/") || route.path == "/metrics" || is_stream(&route);
        for (name, value) in [(header::COOKIE, cookie.as_str()), (header::AUTHORIZATION, unknown.as_str())] {
            let mut asked = form(route.method.clone(), &path_of(&route), "");
            asked.headers_mut().insert(name.clone(), value.parse().unwrap());
            let answer = send(&site.router, from(asked, number)).await;
            let wanted = if is_program { StatusCode::UNAUTHORIZED } else { StatusCode::SEE_OTHER };
            assert_eq!(answer.status, wanted, "{name}: {}", shown(&route, &answer));
            let challenge = answer.header("www-authenticate");
            assert_eq!(challenge.starts_with("Bearer"), is_program, "{name}: {}", shown(&route, &answer));
            assert_eq!(challenge.contains("invalid_token"), is_program && name == header::AUTHORIZATION, "{challenge}");
        }
    }
    site.stop().await;
}

#[tokio::test]
async fn no_other_site_can_have_anything_changed() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    for (number, route) in table().into_iter().enumerate().filter(|(_, route)| route.method != Method::GET) {
        for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example"), ("origin", "null")]
        {
            let mut forged = form(route.method.clone(), &path_of(&route), "");
            forged.headers_mut().insert(header::COOKIE, cookie.parse().unwrap());
            forged.headers_mut().insert(name, value.parse().unwrap());
            let answer = send(&site.router, from(forged, number)).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name}: {value}: {}", shown(&route, &answer));
        }
    }
    assert_eq!(send(&site.router, get("/", &cookie)).await.status, StatusCode::OK, "the session was not ended");
    site.stop().await;
}

#[tokio::test]
async fn reading_changes_nothing() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let changes =
        async || send(&site.router, get("/api/v1/statistics", &cookie)).await.json()["store"]["changes"].clone();
    let before = changes().await;
    assert!(before.as_u64().is_some_and(|changes| changes > 0), "{before}");
    for route in table().into_iter().filter(|route| route.method == Method::GET && !is_stream(route)) {
        let answer = send(&site.router, get(&path_of(&route), &cookie)).await;
        assert!(answer.status.as_u16() < 500, "{}", shown(&route, &answer));
        assert_eq!(changes().await, before, "{}", shown(&route, &answer));
    }
    site.stop().await;
}

#[tokio::test]
async fn nobody_is_led_to_another_site() {
    let site = Site::start(Settings::default()).await;
    for next in [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "/%09/evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
        "evil.example",
        "@evil.example",
        "/..//evil.example",
    ] {
        let body = format!("name=ada&password={PASSWORD}&next={}", crate::query::percent_encoded(next));
        let answer = send(&site.router, form(Method::POST, "/auth/login", &body)).await;
        let place = answer.header("location").to_owned();
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{next}");
        let is_ours = place.starts_with('/') && !place.starts_with("//") && !place.contains(['\\', '\t']);
        assert!(is_ours, "{next} leads to {place}");
    }
    site.stop().await;
}

/// Routes of pages whose forms have nothing in them but a button.
const WITHOUT_BODY: [&str; 15] = [
    "/auth/logout",
    "/auth/verify/{link}",
    "/nodes/alarm/acknowledge",
    "/profile/security/others",
    "/runs/{run}/cancel",
    "/runs/{run}/retry-missing",
    "/scans/{scan}/activate",
    "/scans/{scan}/deactivate",
    "/scans/{scan}/duplicate",
    "/scans/{scan}/run",
    "/schedule/reload",
    "/settings/invites/{id}/revoke",
    "/settings/rules/reset",
    "/settings/users/{user}/reset",
    "/settings/users/{user}/{action}",
];

#[tokio::test]
async fn a_body_beyond_its_cap_is_refused() {
    let site = Site::start(Settings::default()).await;
    let (cookie, mut document) = (site.sign_in().await, api::description());
    let mut takes_body = |route: &Route| match document.paths.paths.get_mut(route.path) {
        Some(item) => {
            api::description::operation(item, &route.method).is_some_and(|operation| operation.request_body.is_some())
        }
        None => !WITHOUT_BODY.contains(&route.path),
    };
    let mut walked = BTreeSet::new();
    for route in table().into_iter().filter(|route| route.method != Method::GET && route.body_cap <= 2 << 20) {
        if !takes_body(&route) {
            continue;
        }
        let is_program = route.path.starts_with("/api/");
        let (kind, start, end) = if is_program {
            ("application/json", "\"", "\"")
        } else {
            ("application/x-www-form-urlencoded", "id=", "")
        };
        let body = format!("{start}{}{end}", "x".repeat(route.body_cap));
        let asked = request(route.method.clone(), &path_of(&route)).header(header::COOKIE, &cookie);
        let asked = asked.header(header::CONTENT_TYPE, kind).body(Body::from(body)).unwrap();
        let answer = send(&site.router, asked).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", shown(&route, &answer));
        walked.insert(route.path);
    }
    assert!(walked.len() > 20, "{walked:?}");
    site.stop().await;
}
