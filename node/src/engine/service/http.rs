//! HTTP: one plain request, and the Server header of the answer.

use super::found::Found;

/// The request: the oldest version, so that the answer ends by itself.
pub(super) const REQUEST: &[u8] = b"GET / HTTP/1.0\r\nUser-Agent: portdrift\r\nAccept: */*\r\n\r\n";

/// What nmap calls the programs that name themselves otherwise.
const PRODUCTS: [(&str, &str); 10] = [
    ("Apache", "Apache httpd"),
    ("Microsoft-IIS", "Microsoft IIS httpd"),
    ("Microsoft-HTTPAPI", "Microsoft HTTPAPI httpd"),
    ("SimpleHTTP", "SimpleHTTPServer"),
    ("BaseHTTP", "BaseHTTPServer"),
    ("mini_httpd", "mini_httpd"),
    ("Jetty", "Jetty"),
    ("Caddy", "Caddy httpd"),
    ("Werkzeug", "Werkzeug httpd"),
    ("TornadoServer", "Tornado httpd"),
];

/// Reads an answer whose head is complete.
pub(super) fn parse(bytes: &[u8]) -> Option<Found> {
    let text = String::from_utf8_lossy(bytes);
    if !(text.starts_with("HTTP/1.") || text.starts_with("HTTP/0.9")) {
        return None;
    }
    let end = text.find("\r\n\r\n").or_else(|| text.find("\n\n"))?;
    let head = text.get(..end)?;
    let server = head.lines().skip(1).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("server").then(|| value.trim())
    });
    let found = match server {
        Some(server) if !server.is_empty() => named(server),
        Some(_) | None => Found::named("http"),
    };
    let status = head.split_ascii_whitespace().nth(1).unwrap_or_default();
    Some(Found { may_want_tls: !status.starts_with('2'), ..found })
}

/// `nginx/1.18.0 (Ubuntu)`: product, version, and the rest as extra information.
fn named(server: &str) -> Found {
    let (first, rest) = server.split_once(' ').unwrap_or((server, ""));
    let (product, version) = first.split_once('/').unwrap_or((first, ""));
    let product = PRODUCTS.iter().find(|(word, _)| *word == product).map_or(product, |(_, name)| name);
    let rest = rest.trim();
    let extra = rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(rest);
    Found::named("http").product(product).version(version).extra(&extra.replace('/', " "))
}
