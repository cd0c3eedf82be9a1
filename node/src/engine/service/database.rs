//! Stores of data: MySQL and MariaDB, PostgreSQL, Redis.

use super::found::{Found, first_line};

/// Reads only: is anyone there, and which version. Redis takes both as plain lines.
pub(super) const REDIS_REQUEST: &[u8] = b"PING\r\nINFO server\r\n";

/// An SSLRequest. Source: PostgreSQL documentation, chapter "Message Formats".
pub(super) const POSTGRES_REQUEST: &[u8] = &[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f];

/// Where a MySQL packet has its number and its kind: after the three bytes of its length.
const MYSQL_HEADER: usize = 4;

/// A greeting of protocol 10, or a refusal to greet this client.
pub(super) fn parse_mysql(bytes: &[u8]) -> Option<Found> {
    let [a, b, c, 0] = *bytes.first_chunk::<MYSQL_HEADER>()? else { return None };
    let length = u32::from_le_bytes([a, b, c, 0]);
    let body = bytes.get(MYSQL_HEADER..).filter(|_| (5..=1_024).contains(&length))?;
    match *body.first()? {
        10 => {
            let rest = body.get(1..)?;
            let version = rest.get(..rest.iter().position(|byte| *byte == 0)?)?;
            let version =
                std::str::from_utf8(version).ok().filter(|text| text.starts_with(|c: char| c.is_ascii_digit()))?;
            Some(by_version(version))
        }
        0xff => refused(body.get(1..)?),
        _ => None,
    }
}

/// MariaDB puts `5.5.5-` before its own version, for old clients.
fn by_version(version: &str) -> Found {
    match version.strip_prefix("5.5.5-").unwrap_or(version) {
        own if own.contains("MariaDB") => {
            Found::named("mysql").product("MariaDB").version(own.split("-MariaDB").next().unwrap_or(own))
        }
        _ => Found::named("mysql").product("MySQL").version(version),
    }
}

/// Error 1130 (host not allowed) or 1129 (host blocked), then words.
fn refused(body: &[u8]) -> Option<Found> {
    let (code, words) = body.split_first_chunk::<2>()?;
    let text = String::from_utf8_lossy(words);
    let product = if text.contains("MariaDB") { "MariaDB" } else { "MySQL" };
    matches!(u16::from_le_bytes(*code), 1129 | 1130 | 1040)
        .then(|| Found::named("mysql").product(product).extra("unauthorized"))
}

/// Exactly one letter: `S` with TLS, `N` without.
pub(super) fn parse_postgres(bytes: &[u8]) -> Option<Found> {
    let answer = bytes.strip_suffix(b"\r\n\r\n").unwrap_or(bytes);
    matches!(answer, b"S" | b"N").then(|| Found::named("postgresql").product("PostgreSQL DB"))
}

/// `+PONG` and, when no password is asked for, the version.
pub(super) fn parse_redis(bytes: &[u8]) -> Option<Found> {
    let line = first_line(bytes)?;
    let found = Found::named("redis").product("Redis key-value store");
    if line.starts_with("-NOAUTH") || line.starts_with("-DENIED Redis") {
        return Some(found);
    }
    if line != "+PONG" {
        return None;
    }
    let text = String::from_utf8_lossy(bytes);
    let version = text.lines().find_map(|line| line.strip_prefix("redis_version:"));
    let refused = text.lines().nth(1).is_some_and(|second| second.starts_with('-'));
    let over = text.ends_with("\r\n\r\n");
    match version {
        Some(version) if text.contains(&format!("{version}\r\n")) || text.contains(&format!("{version}\n")) => {
            Some(found.version(version))
        }
        Some(_) | None => (refused || over).then_some(found),
    }
}
