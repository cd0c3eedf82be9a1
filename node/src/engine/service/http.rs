//! HTTP: one plain request, and what the answer tells of the program behind it. Dates, ids and cookies are not read.

use super::found::{Found, Said, word_after};

/// The request: the oldest version, so that the answer ends by itself.
pub(super) const REQUEST: &[u8] = b"GET / HTTP/1.0\r\nUser-Agent: portdrift\r\nAccept: */*\r\n\r\n";

/// What a `Server` header begins with, and what nmap calls that: name of the service, and product.
const PROGRAMS: [(&str, &str, &str); 35] = [
    ("Apache-Coyote", "http", "Apache Tomcat/Coyote JSP engine"),
    ("Apache", "http", "Apache httpd"),
    ("Microsoft-IIS", "http", "Microsoft IIS httpd"),
    ("Microsoft-HTTPAPI", "http", "Microsoft HTTPAPI httpd"),
    ("Kestrel", "http", "Microsoft Kestrel httpd"),
    ("SimpleHTTP", "http", "SimpleHTTPServer"),
    ("BaseHTTP", "http", "BaseHTTPServer"),
    ("WSGIServer", "http", "WSGIServer"),
    ("mini_httpd", "http", "mini_httpd"),
    ("Jetty", "http", "Jetty"),
    ("Caddy", "http", "Caddy httpd"),
    ("Werkzeug", "http", "Werkzeug httpd"),
    ("TornadoServer", "http", "Tornado httpd"),
    ("TwistedWeb", "http", "TwistedWeb httpd"),
    ("openresty", "http", "OpenResty web app server"),
    ("Tengine", "http", "Tengine httpd"),
    ("cloudflare", "http", "Cloudflare http proxy"),
    ("Cowboy", "http", "Cowboy httpd"),
    ("CouchDB", "http", "CouchDB httpd"),
    ("MiniServ", "http", "MiniServ"),
    ("GoAhead", "http", "GoAhead WebServer"),
    ("RomPager", "http", "Allegro RomPager"),
    ("Boa", "http", "Boa httpd"),
    ("WEBrick", "http", "WEBrick httpd"),
    ("Cherokee", "http", "Cherokee httpd"),
    ("Hiawatha", "http", "Hiawatha httpd"),
    ("LiteSpeed", "http", "LiteSpeed httpd"),
    ("Monkey", "http", "Monkey httpd"),
    ("Mongoose", "http", "Mongoose httpd"),
    ("Icecast", "icecast", "Icecast streaming media server"),
    ("CUPS", "ipp", "CUPS"),
    ("Docker", "docker", "Docker"),
    ("squid", "http-proxy", "Squid http proxy"),
    ("tinyproxy", "http-proxy", "tinyproxy"),
    ("WebLogic", "http", "Oracle WebLogic Server"),
];

/// Headers of programs that send no `Server`: name, what the value begins with, product, and whether the value is the
/// version.
const HEADERS: [(&str, &str, &str, bool); 6] = [
    ("x-influxdb-version", "", "InfluxDB http admin", true),
    ("x-jenkins", "", "Jenkins httpd", true),
    ("kbn-version", "", "Elasticsearch Kibana", true),
    ("x-elastic-product", "Elasticsearch", "Elasticsearch REST API", false),
    ("x-clickhouse-summary", "", "ClickHouse", false),
    ("x-powered-by", "Express", "Node.js Express framework", false),
];

/// Reads an answer whose head is complete; the body only where the head does not tell.
pub(super) fn parse(said: &Said<'_>) -> Option<Found> {
    let text = said.text();
    if !(text.starts_with("HTTP/1.") || text.starts_with("HTTP/0.9")) {
        return None;
    }
    let end = text.find("\r\n\r\n").or_else(|| text.find("\n\n"));
    let end = end.or_else(|| said.is_over.then_some(text.len()))?;
    let (head, body) = text.split_at_checked(end)?;
    let found = by_head(head).or_else(|| by_body(body));
    let found = match found {
        Some(found) => found,
        // What comes later may still tell.
        None if !said.is_over => return None,
        None => Found::named("http"),
    };
    let status = head.split_ascii_whitespace().nth(1).unwrap_or_default();
    Some(Found { from_http: true, may_want_tls: !status.starts_with('2'), ..found })
}

fn by_head(head: &str) -> Option<Found> {
    let lines = || head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let value = |wanted: &str| {
        let found = lines().find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    };
    if let Some(server) = value("server") {
        return Some(named(server));
    }
    let told = |(header, begin, product, is_version): &(&str, &str, &str, bool)| {
        let value = value(header)?.strip_prefix(begin)?;
        Some(Found::named("http").product(product).version(if *is_version { value } else { "" }))
    };
    HEADERS.iter().find_map(told)
}

/// Elasticsearch says what it is in the body alone. Its own name and its cluster's come from a person, or are made up at
/// each start, and are left out.
fn by_body(body: &str) -> Option<Found> {
    if !body.contains("You Know, for Search") {
        return None;
    }
    let plain: String = body.chars().filter(|c| !c.is_whitespace() && *c != '"').collect();
    let found = Found::named("http").product("Elasticsearch REST API");
    let version = word_after(&plain, "number:").unwrap_or_default();
    let lucene = word_after(&plain, "lucene_version:").unwrap_or_default();
    Some(found.version(&version).extra(&format!("Lucene {lucene}")))
}

/// `nginx/1.18.0 (Ubuntu)`: product, version, and the rest as extra information.
fn named(server: &str) -> Found {
    let (first, rest) = server.split_once(' ').unwrap_or((server, ""));
    let (word, version) = first.split_once('/').or_else(|| first.split_once('(')).unwrap_or((first, ""));
    let known = PROGRAMS.iter().find(|(known, _, _)| word.starts_with(known));
    let (name, product) = known.map_or(("http", word), |(_, name, product)| (*name, *product));
    let rest = rest.trim();
    let extra = match rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        // nmap keeps the brackets of this one.
        Some(_) | None if word == "Apache" => rest.to_owned(),
        Some(inside) => inside.replace('/', " "),
        None => rest.replace('/', " "),
    };
    Found::named(name).product(product).version(version.trim_end_matches(')')).extra(&extra)
}
