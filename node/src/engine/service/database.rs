//! Stores of data: MySQL and MariaDB, PostgreSQL, Redis, memcached, MongoDB, SQL Server.

use super::found::{Found, Said, behind, number, word_after};

/// Reads only: is anyone there, and which version. Redis takes both as plain lines.
pub(super) const REDIS_REQUEST: &[u8] = b"PING\r\nINFO server\r\n";

/// A start of a version that no server has: the refusal tells who refuses. Source: PostgreSQL documentation, chapter
/// "Message Formats".
pub(super) const POSTGRES_REQUEST: &[u8] = b"\0\0\0\x18\xff\x53\0\0user\0portdrift\0\0";

/// Where a MySQL packet has its number and its kind: after the three bytes of its length.
const MYSQL_HEADER: usize = 4;

/// A greeting of protocol 10, or a refusal to greet this client. The salt and the number of the connection, which
/// change each time, are not read.
pub(super) fn parse_mysql(said: &Said<'_>) -> Option<Found> {
    let [a, b, c, 0] = *said.bytes.first_chunk::<MYSQL_HEADER>()? else { return None };
    let length = u32::from_le_bytes([a, b, c, 0]);
    let body = said.bytes.get(MYSQL_HEADER..).filter(|_| (5..=1_024).contains(&length))?;
    match *body.first()? {
        10 => {
            let rest = body.get(1..)?;
            let version = rest.get(..rest.iter().position(|byte| *byte == 0)?)?;
            let version =
                std::str::from_utf8(version).ok().filter(|text| text.starts_with(|c: char| c.is_ascii_digit()))?;
            // nmap says MySQL of a MariaDB that shows `5.5.5-` first, as it does for old clients.
            let is_mariadb = version.contains("MariaDB") && !version.starts_with("5.5.5-");
            Some(Found::named("mysql").product(if is_mariadb { "MariaDB" } else { "MySQL" }).version(version))
        }
        0xff => refused(body.get(1..)?),
        _ => None,
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

/// An error packet of fields that end in zero. Since 9.6 it has a severity that is never translated, field `V`.
pub(super) fn parse_postgres(said: &Said<'_>) -> Option<Found> {
    let [b'E', _, _, _, _, b'S', ..] = said.bytes else { return None };
    let mut fields = said.from(5).split(|byte| *byte == 0);
    let is_new = fields.any(|field| field.starts_with(b"V"));
    behind(said.bytes, b"\0C0A000\0")?;
    let version = if is_new { "9.6.0 or later" } else { "" };
    Some(Found::named("postgresql").product("PostgreSQL DB").version(version))
}

/// `+PONG` and, when no password is asked for, the version. What follows it (uptime, process, port) is left out.
pub(super) fn parse_redis(said: &Said<'_>) -> Option<Found> {
    let line = said.line()?;
    let found = Found::named("redis").product("Redis key-value store");
    if line.starts_with("-NOAUTH") || line.starts_with("-DENIED Redis") {
        return Some(found);
    }
    if line != "+PONG" {
        return None;
    }
    let text = said.text();
    let told = text.split_inclusive('\n').find_map(|line| line.strip_prefix("redis_version:"));
    let refused = text.lines().nth(1).is_some_and(|second| second.starts_with('-'));
    match told.filter(|told| told.ends_with('\n')) {
        Some(version) => Some(found.version(version)),
        None => (refused || said.is_over).then_some(found),
    }
}

/// Answered by `VERSION 1.6.18`.
pub(super) const MEMCACHED_REQUEST: &[u8] = b"version\r\n";

pub(super) fn parse_memcached(said: &Said<'_>) -> Option<Found> {
    let line = said.line()?;
    let (version, extra) = line.strip_prefix("VERSION ")?.split_once(' ').unwrap_or((line.get(8..)?, ""));
    Some(Found::named("memcached").product("Memcached").version(version).extra(extra))
}

/// The command `buildInfo`, which needs no login, in an OP_MSG. Source: MongoDB wire protocol.
pub(super) const MONGODB_REQUEST: &[u8] = b"\x38\0\0\0\x01\0\0\0\0\0\0\0\xdd\x07\0\0\0\0\0\0\0\
    \x23\0\0\0\x10buildInfo\0\x01\0\0\0\x02$db\0\x06\0\0\0admin\0\0";

/// An OP_MSG that answers ours; its document has a string `version`.
pub(super) fn parse_mongodb(said: &Said<'_>) -> Option<Found> {
    let ours = said.bytes.get(8..16)? == b"\x01\0\0\0\xdd\x07\0\0";
    let found = Found::named("mongodb").product("MongoDB");
    let version = behind(said.bytes, b"\x02version\0").and_then(|rest| rest.get(4..));
    let version = version.and_then(|rest| rest.split(|byte| *byte == 0).next());
    match (ours, version) {
        (true, Some(version)) => Some(found.version(&String::from_utf8_lossy(version))),
        (true, None) => said.is_over.then_some(found),
        (false, _) => None,
    }
}

/// A PRELOGIN that asks for the version. Source: MS-TDS 2.2.6.5.
pub(super) const MSSQL_REQUEST: &[u8] = b"\x12\x01\0\x29\0\0\0\0\
    \0\0\x15\0\x06\x01\0\x1b\0\x01\x02\0\x1c\0\x01\x03\0\x1d\0\x04\xff\
    \0\0\0\0\0\0\x02\0\0\0\0\0";

/// Which year goes with which version.
const MSSQL_YEARS: [(u8, u8, &str); 9] = [
    (9, 0, "2005"),
    (10, 0, "2008"),
    (10, 50, "2008 R2"),
    (11, 0, "2012"),
    (12, 0, "2014"),
    (13, 0, "2016"),
    (14, 0, "2017"),
    (15, 0, "2019"),
    (16, 0, "2022"),
];

pub(super) fn parse_mssql(said: &Said<'_>) -> Option<Found> {
    let [4, 1, _, _, _, _, _, _, 0, ..] = said.bytes else { return None };
    let body = said.from(8);
    let [major, minor, ..] = *body.get(number(body, 1)?..)? else { return None };
    let build = number(body, number(body, 1)?.checked_add(2)?)?;
    let year = MSSQL_YEARS.iter().find(|(known, part, _)| (*known, *part) == (major, minor)).map(|(_, _, year)| *year);
    let product = format!("Microsoft SQL Server {}", year.unwrap_or_default());
    Some(Found::named("ms-sql-s").product(&product).version(&format!("{major}.{minor:02}.{build}.00")))
}

/// A question of four letters.
pub(super) const ZOOKEEPER_REQUEST: &[u8] = b"srvr";

/// `Zookeeper version: 3.8.0-5a02…, built on …`, then counters that are not read.
pub(super) fn parse_zookeeper(said: &Said<'_>) -> Option<Found> {
    let line = said.line()?;
    let version = word_after(&line, "Zookeeper version: ")?;
    Some(Found::named("zookeeper").product("Zookeeper").version(version.split("--").next().unwrap_or(&version)))
}
