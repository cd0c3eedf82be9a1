//! What stands around every request and answer: its number, the names we answer to, and the headers that bind the browser.

use crate::Settings;
use crate::error::Problem;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use std::net::IpAddr;
use std::sync::Arc;
use tracing::Instrument;

/// Names one request in the log and in problem bodies.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) String);

const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                   font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Headers of every answer. Source: SECURITY-DESIGN.md section 8.
const FIXED: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CSP),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
];

/// Sets the headers of the answer; what is not cacheable by its own word is not stored at all.
pub(crate) async fn bind(State(settings): State<Arc<Settings>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in FIXED {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if settings.is_tls {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    response
}

/// Numbers the request. A number that the sender chose is not believed.
pub(crate) async fn number(mut request: Request, next: Next) -> Response {
    let id = RequestId(random_id());
    let span =
        tracing::info_span!("request", id = id.0, method = %request.method(), path = loggable(request.uri().path()));
    request.extensions_mut().insert(id.clone());
    let mut response = next.run(request).instrument(span).await;
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert("x-request-id", value);
    }
    response.extensions_mut().insert(id);
    response
}

/// The path without the secret that a link ends in.
fn loggable(path: &str) -> &str {
    let links = ["/auth/register/", "/auth/reset/", "/auth/verify/"];
    let secret = links.iter().find_map(|link| path.find(link).map(|place| place + link.len()));
    secret.and_then(|place| path.get(..place)).unwrap_or(path)
}

/// Refuses host names that are not ours, so that a foreign name that points here (DNS rebinding) gets nothing.
pub(crate) async fn check_host(State(settings): State<Arc<Settings>>, request: Request, next: Next) -> Response {
    let named = host_of(request.uri(), request.headers().get(header::HOST));
    if named.is_some_and(|host| is_ours(host, &settings.hosts)) {
        return next.run(request).await;
    }
    let mut response = StatusCode::MISDIRECTED_REQUEST.into_response();
    response.extensions_mut().insert(Problem::of(StatusCode::MISDIRECTED_REQUEST));
    response
}

fn host_of<'a>(uri: &'a Uri, header: Option<&'a HeaderValue>) -> Option<&'a str> {
    let full = uri.authority().map(|authority| authority.as_str()).or_else(|| header?.to_str().ok())?;
    match full.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !host.is_empty() => Some(host),
        _ => Some(full),
    }
}

fn is_ours(host: &str, configured: &[String]) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    is_loopback
        || host.eq_ignore_ascii_case("localhost")
        || configured.iter().any(|name| name.eq_ignore_ascii_case(bare))
}

fn random_id() -> String {
    let mut bytes = [0u8; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => HEXLOWER.encode(&bytes),
        Err(_) => "unnumbered".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_link_ends_in_is_not_logged() {
        assert_eq!(loggable("/auth/reset/abc"), "/auth/reset/");
        assert_eq!(loggable("/watch/auth/verify/abc"), "/watch/auth/verify/");
        assert_eq!(loggable("/auth/register"), "/auth/register");
        assert_eq!(loggable("/scans/1"), "/scans/1");
    }

    #[test]
    fn only_loopback_and_configured_names_are_ours() {
        let configured = ["watch.example".to_owned(), "192.0.2.7".to_owned()];
        let ours = |host: &str| {
            let value = HeaderValue::from_str(host).unwrap();
            host_of(&Uri::from_static("/"), Some(&value)).is_some_and(|host| is_ours(host, &configured))
        };
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1:80",
            "127.9.9.9",
            "[::1]:8443",
            "[::1]",
            "Watch.Example:443",
            "192.0.2.7",
        ] {
            assert!(ours(host), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "192.0.2.8",
            "",
            ":80",
            "[::2]",
            "0.0.0.0",
        ] {
            assert!(!ours(host), "{host}");
        }
        assert_eq!(host_of(&Uri::from_static("/"), None), None);
    }
}
