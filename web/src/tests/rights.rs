//! Who gets in: every line of the route table with every kind of caller.

use super::{Answer, Site, form, get, post_form, request, send};
use crate::Settings;
use crate::routes::{self, Access, Route};
use crate::session::{self, Caller};
use axum::Extension;
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use coordinator::{Actor, Right, Role};
use protocol::Timestamp;
use std::time::Duration;

const ALERT: &str = "7-192.0.2.7-22-tcp-SSH";
const NODE: &str = "chh3-t6sa-zrb5-lp2h-kmmj-lubc-zux6-ovni";

pub(super) fn table() -> Vec<Route> {
    routes::page_table().into_iter().chain(routes::api_table()).collect()
}

pub(super) fn path_of(route: &Route) -> String {
    let name = crate::assets::served_as("app.css");
    route
        .path
        .replace("{node}", NODE)
        .replace("{scan}", "7")
        .replace("{run}", "7")
        .replace("{host}", "7-192.0.2.7")
        .replace("{name}", name)
        .replace("{id}", ALERT)
        .replace("{action}", "ignore")
        .replace("{protocol}", "tcp")
        .replace("{port}", "22")
        .replace("{link}", "x")
        .replace("{user}", "nobody")
}

/// Streams do not end; everything else is read whole.
pub(super) fn is_stream(route: &Route) -> bool {
    route.path.ends_with("/events")
}

#[tokio::test]
async fn every_route_lets_in_those_with_its_right_and_nobody_else() {
    let site = Site::start(Settings::default()).await;
    let roles = [None, Some(Role::Viewer), Some(Role::Operator), Some(Role::Approver), Some(Role::Admin)];
    for role in roles {
        let caller = role.map(|role| Caller(Actor::new("test".into(), role)));
        let inner = routes::build(routes::page_table().into_iter().chain(routes::api_table()));
        let inner = match caller {
            Some(caller) => inner.layer(Extension(caller)),
            None => inner,
        };
        let router = routes::frame(inner.layer(session::layer(&site.app, false)), &site.app);
        for route in table() {
            let may = match (route.access, role) {
                (Access::Anyone, _) => true,
                (Access::Needs(right), Some(role)) => role.may(right),
                (Access::Needs(_), None) => false,
            };
            if may && is_stream(&route) {
                continue;
            }
            let answer = send(&router, form(route.method.clone(), &path_of(&route), "")).await;
            check(&route, role, may, &answer);
        }
    }
    site.stop().await;
}

fn check(route: &Route, role: Option<Role>, may: bool, answer: &Answer) {
    let shown = format!("{} {} as {role:?}: {} {}", route.method, route.path, answer.status, answer.body);
    let is_program = route.scope.is_some() || is_stream(route);
    match (may, role) {
        (true, _) => {
            assert!(![401, 403, 500].contains(&answer.status.as_u16()) || route.path.starts_with("/auth/"), "{shown}")
        }
        (false, None) if is_program => assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{shown}"),
        (false, None) => {
            assert_eq!(answer.status, StatusCode::SEE_OTHER, "{shown}");
            assert!(answer.header("location").starts_with("/auth/login"), "{shown}");
        }
        (false, Some(_)) => assert_eq!(answer.status, StatusCode::FORBIDDEN, "{shown}"),
    }
}

#[test]
fn the_table_keeps_its_own_rules() {
    for route in table() {
        let shown = format!("{} {}", route.method, route.path);
        let is_safe = route.method == Method::GET;
        let is_audited = !is_safe && !["/auth/confirm", "/auth/logout", "/api/v1/scans/check"].contains(&route.path);
        assert_eq!(route.is_audited, is_audited, "{shown}");
        assert_eq!(route.body_cap == 0, is_safe, "{shown}");
        if route.access == Access::Anyone {
            assert!(is_safe || route.path.starts_with("/auth/") || route.path == "/setup", "{shown}");
        }
        let guarded =
            ["/settings/users", "/settings/invites", "/settings/registration", "/api/v1/user", "/api/v1/registration"];
        let guarded = guarded.iter().any(|start| route.path.starts_with(start));
        let of_nodes = ["/nodes/decide", "/nodes/enrol", "/nodes/bulk", "/nodes/{node}/", "/api/v1/invites"];
        let others = ["/roster/rotate", "/roster/sign", "/tokens", "/auth/confirm", "/first-run/node"];
        let is_dangerous = of_nodes.iter().chain(&others).any(|part| route.path.contains(part));
        let asks = !is_safe && (guarded || is_dangerous);
        assert_eq!(route.needs_proof, asks, "{shown}");
        assert!(!guarded || route.access == Access::Needs(Right::Administer), "{shown}");
        if !is_safe && (route.path.contains("/nodes/") || route.path.contains("/roster/")) {
            assert_eq!(route.access, Access::Needs(Right::Approve), "{shown}");
        }
    }
}

#[tokio::test]
async fn every_answer_binds_the_browser_and_is_not_kept() {
    let site = Site::start(Settings::default()).await;
    let asked = [
        request(Method::GET, "/auth/login").body(Body::empty()).unwrap(),
        request(Method::GET, "/nowhere").body(Body::empty()).unwrap(),
        request(Method::GET, "/").body(Body::empty()).unwrap(),
        request(Method::DELETE, "/scans").body(Body::empty()).unwrap(),
        request(Method::GET, "/api/v1/nodes").body(Body::empty()).unwrap(),
        get(&format!("/assets/{}", crate::assets::served_as("app.css")), ""),
        form(Method::POST, "/auth/login", &"x".repeat(100_000)),
    ];
    for request in asked {
        let path = format!("{} {}", request.method(), request.uri());
        let answer = send(&site.router, request).await;
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "same-origin", "{path}");
        assert_eq!(answer.header("x-request-id").len(), 16, "{path}");
        let kept = if path.contains("/assets/") { "public, max-age=31536000, immutable" } else { "no-store" };
        assert_eq!(answer.header("cache-control"), kept, "{path}");
    }
    site.stop().await;
}

#[tokio::test]
async fn foreign_names_and_foreign_sites_get_nothing() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let mut rebound = get("/", &cookie);
    rebound.headers_mut().insert(header::HOST, "evil.example".parse().unwrap());
    assert_eq!(send(&site.router, rebound).await.status, StatusCode::MISDIRECTED_REQUEST);

    for (name, value) in
        [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("origin", "https://evil.example")]
    {
        let mut forged = post_form("/auth/logout", &cookie, "");
        forged.headers_mut().insert(name, value.parse().unwrap());
        assert_eq!(send(&site.router, forged).await.status, StatusCode::FORBIDDEN, "{name}: {value}");
    }
    assert_eq!(send(&site.router, get("/", &cookie)).await.status, StatusCode::OK, "the session was not ended");
    site.stop().await;
}

#[tokio::test]
async fn signing_in_opens_a_session_and_signing_out_ends_it() {
    let site = Site::start(Settings::default()).await;
    let wrong = send(&site.router, form(Method::POST, "/auth/login", "name=ada&password=wrong&next=/scans")).await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert!(
        wrong.body.contains("value=\"ada\"")
            && wrong.body.contains("value=\"/scans\"")
            && !wrong.body.contains("wrong\"")
    );
    assert_eq!(wrong.header("set-cookie"), "");

    let cookie = site.sign_in().await;
    let other = site.sign_in().await;
    assert_ne!(cookie, other, "every sign-in has an id of its own");
    assert_eq!(send(&site.router, get("/scans", &cookie)).await.status, StatusCode::OK);

    let out = send(&site.router, post_form("/auth/logout", &cookie, "")).await;
    assert_eq!((out.status, out.header("location")), (StatusCode::SEE_OTHER, "/auth/login"));
    assert_eq!(send(&site.router, get("/scans", &cookie)).await.status, StatusCode::SEE_OTHER);
    assert_eq!(send(&site.router, get("/scans", &other)).await.status, StatusCode::OK);
    site.stop().await;
}

#[tokio::test]
async fn the_cookie_is_bound_as_tightly_as_the_transport_allows() {
    for (is_tls, wanted) in [(false, "session="), (true, "__Host-session=")] {
        let site = Site::start(Settings { is_tls, ..Settings::default() }).await;
        let body = format!("name=ada&password={}", super::PASSWORD);
        let answer = send(&site.router, form(Method::POST, "/auth/login", &body)).await;
        let cookie = answer.header("set-cookie");
        assert!(cookie.starts_with(wanted), "{cookie}");
        for part in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=1800"] {
            assert!(cookie.contains(part), "{part} in {cookie}");
        }
        assert_eq!(cookie.contains("Secure"), is_tls, "{cookie}");
        assert_eq!(answer.header("strict-transport-security").is_empty(), !is_tls);
        site.stop().await;
    }
}

#[tokio::test]
async fn guessing_is_slowed_down() {
    let site = Site::start(Settings::default()).await;
    // Nine wrong ones an hour ago, so that the wait after the next one is long, however slow this machine is.
    let before = Timestamp::now().minus(Duration::from_secs(3_600));
    (0..9).for_each(|_| site.app.throttle.failed(&crate::throttle::Attempt::of("ada", None, None), before));
    let guess = async |password: &str| {
        let tried = form(Method::POST, "/auth/login", &format!("name=ada&password={password}"));
        send(&site.router, tried).await.status
    };
    assert_eq!(guess("guess").await, StatusCode::UNAUTHORIZED);
    assert_eq!(guess("guess").await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(guess(super::PASSWORD).await, StatusCode::TOO_MANY_REQUESTS, "the right one waits too");
    site.stop().await;
}

#[tokio::test]
async fn a_page_comes_back_after_signing_in_and_a_part_of_one_leads_to_the_form() {
    let site = Site::start(Settings { base_path: "/watch".to_owned(), ..Settings::default() }).await;
    let page =
        send(&site.router, get("/watch/reports?status=critical&name=a b".replace(' ', "%20").as_str(), "")).await;
    assert_eq!(page.header("location"), "/watch/auth/login?next=/reports%3Fstatus%3Dcritical%26name%3Da%2520b");
    let mut part = get("/watch/runs/7", "");
    part.headers_mut().insert("hx-request", "true".parse().unwrap());
    let part = send(&site.router, part).await;
    assert_eq!((part.status, part.header("hx-redirect")), (StatusCode::UNAUTHORIZED, "/watch/auth/login"));
    site.stop().await;
}
