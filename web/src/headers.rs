//! What stands around every request and answer: its number, and the headers that bind the browser.

use crate::origin::Origin;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use data_encoding::HEXLOWER;
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
pub(crate) async fn bind(request: Request, next: Next) -> Response {
    let is_tls = request.extensions().get::<Origin>().is_some_and(|origin| origin.is_tls);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in FIXED {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if is_tls {
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
}
