//! Where a request came from: the browser's address and scheme, through proxies whose word counts, and by which name.

use crate::App;
use crate::error::Problem;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use protocol::TargetSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};

/// The most proxies in a row that are followed back.
const MAX_HOPS: usize = 16;

/// The names we answer to, and the proxies whose word counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doors {
    /// Host names and addresses, besides those of loopback, under which browsers may call.
    pub hosts: Vec<String>,
    /// Where proxies are that tell the truth about browsers.
    pub trusted_proxies: Vec<TargetSet>,
}

/// Doors that can be changed while they are used.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedDoors(Arc<RwLock<Arc<Doors>>>);

impl SharedDoors {
    pub(crate) fn set(&self, doors: Doors) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(doors);
    }

    fn get(&self) -> Arc<Doors> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Where a request came from; every request has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The browser's address; `None` where no socket tells one.
    pub(crate) address: Option<IpAddr>,
    /// Whether the browser speaks TLS, to us or to its proxy.
    pub(crate) is_tls: bool,
}

impl Doors {
    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|proxies| proxies.contains(address))
    }

    /// The origin of a request of `peer`.
    fn origin(&self, peer: Option<IpAddr>, headers: &HeaderMap, is_tls: bool) -> Origin {
        let Some(proxy) = peer.filter(|peer| self.trusts(*peer)) else { return Origin { address: peer, is_tls } };
        let is_tls = is_tls || last_of(headers, "x-forwarded-proto").is_some_and(|proto| proto == "https");
        // From the last hop back: the first that is no proxy of ours is the browser; what stands before it is its own word.
        let hops = listed(headers, "x-forwarded-for").into_iter().rev().take(MAX_HOPS);
        let mut address = proxy;
        for hop in hops {
            let Some(hop) = address_of(&hop) else { break };
            address = hop;
            if !self.trusts(hop) {
                break;
            }
        }
        Origin { address: Some(address), is_tls }
    }

    fn answers_to(&self, host: &str) -> bool {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let is_loopback = bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        is_loopback
            || host.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(|name| name.eq_ignore_ascii_case(bare))
    }
}

/// Where a request with these extensions came from, as the coordinator notes it.
pub(crate) fn noted(found: &Extensions) -> coordinator::Origin {
    let address = found.get::<Origin>().and_then(|origin| origin.address);
    address.map_or(coordinator::Origin::Unknown, coordinator::Origin::Address)
}

/// The items of a header that may come several times, each with commas.
fn listed(headers: &HeaderMap, name: &str) -> Vec<String> {
    let texts = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(|item| item.trim().to_owned()).collect()
}

fn last_of(headers: &HeaderMap, name: &str) -> Option<String> {
    listed(headers, name).pop()
}

/// An address, with or without a port.
fn address_of(hop: &str) -> Option<IpAddr> {
    let bare = hop.trim_start_matches('[').trim_end_matches(']');
    bare.parse().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

/// Notes on the request where it came from.
pub(crate) async fn find(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
    let origin = app.doors.get().origin(peer, request.headers(), app.settings.is_tls);
    request.extensions_mut().insert(origin);
    next.run(request).await
}

/// Refuses host names that are not ours, so that a foreign name that points here (DNS rebinding) gets nothing.
pub(crate) async fn check_host(State(app): State<App>, request: Request, next: Next) -> Response {
    let named = host_of(request.uri(), request.headers().get(header::HOST));
    if named.is_some_and(|host| app.doors.get().answers_to(host)) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn doors() -> Doors {
        Doors {
            hosts: vec!["watch.example".to_owned(), "192.0.2.7".to_owned()],
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()],
        }
    }

    /// What a proxy writes: names and values of headers.
    type Told<'a> = &'a [(&'static str, &'a str)];

    fn told(given: Told<'_>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_loopback_and_configured_names_are_ours() {
        let ours = |host: &str| {
            let value = HeaderValue::from_str(host).unwrap();
            host_of(&Uri::from_static("/"), Some(&value)).is_some_and(|host| doors().answers_to(host))
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

    #[test]
    fn only_a_trusted_proxy_tells_who_asks_and_how() {
        let (proxy, other, browser) = ("10.1.1.1", "192.0.2.9", "198.51.100.7");
        let table: [(&str, Told<'_>, &str, bool); 9] = [
            (other, &[("x-forwarded-for", browser), ("x-forwarded-proto", "https")], other, false),
            (proxy, &[], proxy, false),
            (proxy, &[("x-forwarded-for", browser), ("x-forwarded-proto", "https")], browser, true),
            (proxy, &[("x-forwarded-for", "203.0.113.1, 198.51.100.7")], browser, false),
            (proxy, &[("x-forwarded-for", "198.51.100.7, 10.2.2.2")], browser, false),
            (proxy, &[("x-forwarded-for", "203.0.113.1"), ("x-forwarded-for", browser)], browser, false),
            (proxy, &[("x-forwarded-for", "198.51.100.7:4711")], browser, false),
            (proxy, &[("x-forwarded-for", "198.51.100.7, unknown")], proxy, false),
            (proxy, &[("x-forwarded-proto", "https, http")], proxy, false),
        ];
        for (peer, headers, address, is_tls) in table {
            let origin = doors().origin(Some(peer.parse().unwrap()), &told(headers), false);
            assert_eq!(origin, Origin { address: Some(address.parse().unwrap()), is_tls }, "{peer} {headers:?}");
        }
        let six = told(&[("x-forwarded-for", "[2001:db8::1]:80")]);
        let origin = doors().origin(Some("::1".parse().unwrap()), &six, true);
        assert_eq!(origin, Origin { address: Some("2001:db8::1".parse().unwrap()), is_tls: true });
        assert_eq!(doors().origin(None, &six, false).address, None);
    }

    proptest! {
        #[test]
        fn whatever_a_browser_writes_in_front_it_keeps_its_address(word in "[ -~]{0,60}") {
            let headers = told(&[("x-forwarded-for", &format!("{word}, 198.51.100.7"))]);
            let origin = doors().origin(Some("10.0.0.1".parse().unwrap()), &headers, false);
            prop_assert_eq!(origin.address, Some("198.51.100.7".parse().unwrap()));
        }
    }
}
