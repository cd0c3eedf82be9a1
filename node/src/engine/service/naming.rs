//! Services that say where or what others are: DNS, LDAP, rpcbind, Erlang's port mapper.

use super::found::{Found, Said, behind, number, word_after};

/// `version.bind`, class CHAOS, type TXT, behind its length. Source: RFC 1035, section 4; RFC 4892.
pub(super) const DNS_REQUEST: &[u8] = b"\0\x1e\x70\x64\0\0\0\x01\0\0\0\0\0\0\x07version\x04bind\0\0\x10\0\x03";

/// Where an answer to it begins, behind length, header and the question repeated.
const DNS_ANSWER_AT: usize = 2 + 12 + 18;

/// What servers say of themselves: word, product, and the text before the version.
const DNS: [(&str, &str, &str); 8] = [
    ("dnsmasq", "dnsmasq", "dnsmasq-"),
    ("unbound", "Unbound", "unbound "),
    ("PowerDNS Recursor", "PowerDNS Recursor", "Recursor "),
    ("PowerDNS", "PowerDNS Authoritative Server", "Server "),
    ("NSD", "NLnet Labs NSD", "NSD "),
    ("Knot DNS", "Knot DNS", "Knot DNS "),
    ("Microsoft DNS", "Microsoft DNS", "Microsoft DNS "),
    ("CoreDNS", "CoreDNS", "CoreDNS-"),
];

/// What BIND of a distribution ends its version in.
const DNS_VENDORS: [(&str, &str); 3] =
    [("-Debian", "Debian Linux"), ("-Ubuntu", "Ubuntu Linux"), ("-RedHat", "RedHat Linux")];

pub(super) fn parse_dns(said: &Said<'_>) -> Option<Found> {
    let length = number(said.bytes, 0)?;
    let is_answer = said.bytes.get(2..4)? == b"\x70\x64" && said.bytes.get(4)? & 0x80 != 0;
    if !is_answer || said.bytes.len() < length.checked_add(2)? && !said.is_over {
        return None;
    }
    let found = Found::named("domain");
    Some(match dns_text(said) {
        Some(text) => named_dns(found, &text),
        None => found,
    })
}

/// The text of the first answer, if it is one.
fn dns_text(said: &Said<'_>) -> Option<String> {
    let answer = said.from(DNS_ANSWER_AT);
    // The name is a pointer or is written out.
    let name = match answer.first()? & 0xc0 {
        0xc0 => 2,
        _ => answer.iter().position(|byte| *byte == 0)?.checked_add(1)?,
    };
    let record = answer.get(name..)?;
    let is_text = number(record, 0)? == 16;
    let text = record.get(10..)?;
    let text = text.get(1..usize::from(*text.first()?).checked_add(1)?)?;
    is_text.then(|| String::from_utf8_lossy(text).into_owned())
}

fn named_dns(found: Found, text: &str) -> Found {
    if let Some((_, product, marker)) = DNS.iter().find(|(word, _, _)| text.contains(word)) {
        return found.product(product).version(&word_after(text, marker).unwrap_or_default());
    }
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return found.extra(text);
    }
    let found = found.product("ISC BIND");
    match DNS_VENDORS.iter().find_map(|(end, vendor)| Some((text.strip_suffix(end)?, vendor))) {
        Some((version, vendor)) => found.version(version).extra(vendor),
        None => found.version(text),
    }
}

/// Reads the entry above all others: its class and its maker. Source: RFC 4511, section 4.5; RFC 4512, section 5.1.
pub(super) const LDAP_REQUEST: &[u8] =
    b"\x30\x4d\x02\x01\x01\x63\x48\x04\0\x0a\x01\0\x0a\x01\0\x02\x01\0\x02\x01\0\x01\x01\0\
    \x87\x0bobjectClass\x30\x28\x04\x0bobjectClass\x04\x0avendorName\x04\x0dvendorVersion";

pub(super) fn parse_ldap(said: &Said<'_>) -> Option<Found> {
    let [0x30, ..] = said.bytes else { return None };
    let operation = *behind(said.bytes.get(..16).unwrap_or(said.bytes), b"\x02\x01\x01")?.first()?;
    let is_whole = said.is_over || behind(said.bytes, b"\x02\x01\x01\x65").is_some();
    if !matches!(operation, 0x64 | 0x65) || !is_whole {
        return None;
    }
    let found = Found::named("ldap");
    let is_open_ldap = behind(said.bytes, b"OpenLDAProotDSE").is_some();
    Some(if is_open_ldap { found.product("OpenLDAP") } else { found })
}

/// A call of a version that no port mapper has; the refusal tells which it has. Source: RFC 5531, section 9.
pub(super) const RPC_REQUEST: &[u8] =
    b"\x80\0\0\x28\x70\x64\x72\x66\0\0\0\0\0\0\0\x02\0\x01\x86\xa0\0\x01\x97\x7c\0\0\0\0\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// An accepted reply with the status that the version is not there.
pub(super) fn parse_rpc(said: &Said<'_>) -> Option<Found> {
    let reply = said.from(4);
    if !reply.starts_with(b"\x70\x64\x72\x66\0\0\0\x01\0\0\0\0") || number(reply, 22)? != 2 {
        return None;
    }
    let (low, high) = (number(reply, 26)?, number(reply, 30)?);
    Some(Found::named("rpcbind").version(&format!("{low}-{high}")).extra("RPC #100000"))
}

/// A list of names. Source: Erlang's distribution protocol, NAMES_REQ.
pub(super) const EPMD_REQUEST: &[u8] = b"\0\x01n";

/// The mapper's own port, then a line for each name; who is registered now is not read.
pub(super) fn parse_epmd(said: &Said<'_>) -> Option<Found> {
    let [0, 0, _, _, names @ ..] = said.bytes else { return None };
    let is_its = names.starts_with(b"name ") && behind(names, b" at port ").is_some();
    is_its.then(|| Found::named("epmd").product("Erlang Port Mapper Daemon"))
}
