//! Services that pass messages on: MQTT, AMQP, SIP, IRC, XMPP; and Git and AJP, which are asked in the same manner.

use super::found::{Found, Said, behind, word_after};

/// Connects without a name or password, and asks for the version of the broker. Source: MQTT 3.1.1, sections 3.1 and 3.8.
pub(super) const MQTT_REQUEST: &[u8] =
    b"\x10\x15\0\x04MQTT\x04\x02\0\x0a\0\x09portdrift\x82\x18\0\x01\0\x13$SYS/broker/version\0";

/// The topic behind its length, as it stands in a packet.
const MQTT_TOPIC: &[u8] = b"\0\x13$SYS/broker/version";

/// A CONNACK; where the broker lets everybody in, its version follows.
pub(super) fn parse_mqtt(said: &Said<'_>) -> Option<Found> {
    let [0x20, 2, _, code, ..] = *said.bytes else { return None };
    let found = Found::named("mqtt");
    match broker_version(said.bytes).and_then(|told| word_after(&told, "mosquitto version ")) {
        Some(version) => Some(found.product("mosquitto").version(&version)),
        None => (code != 0 || said.is_over).then_some(found),
    }
}

/// What was published under the topic of the version, exactly as long as its packet says. Source: MQTT 3.1.1, section 3.3.
fn broker_version(bytes: &[u8]) -> Option<String> {
    let at = bytes.windows(MQTT_TOPIC.len()).rposition(|window| window == MQTT_TOPIC)?;
    let packet = bytes.get(at..)?;
    let length = usize::from(*bytes.get(at.checked_sub(1)?)?);
    Some(String::from_utf8_lossy(packet.get(MQTT_TOPIC.len()..length)?).into_owned())
}

/// The header of AMQP 0-9-1; a server of another version answers with its own header.
pub(super) const AMQP_REQUEST: &[u8] = b"AMQP\0\0\x09\x01";

/// Connection.Start, whose table names the product.
pub(super) fn parse_amqp(said: &Said<'_>) -> Option<Found> {
    if said.bytes.starts_with(b"AMQP") {
        return (said.bytes.len() >= AMQP_REQUEST.len()).then(|| Found::named("amqp"));
    }
    let [1, 0, 0, _, _, _, _, 0, 10, 0, 10, major, minor, ..] = *said.bytes else { return None };
    let field = |marker: &[u8]| {
        let (length, rest) = behind(said.bytes, marker)?.split_first_chunk::<4>()?;
        let text = rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        Some(String::from_utf8_lossy(text).into_owned())
    };
    let told = (field(b"\x07productS"), field(b"\x07versionS"));
    let found = Found::named("amqp").extra(&format!("{major}-{minor}"));
    match told {
        (Some(product), Some(version)) => Some(found.product(&product).version(&version)),
        (product, _) => said.is_over.then(|| found.product(&product.unwrap_or_default())),
    }
}

/// Source: RFC 3261, section 11.
pub(super) const SIP_REQUEST: &[u8] = b"OPTIONS sip:portdrift@localhost SIP/2.0\r\n\
    Via: SIP/2.0/TCP localhost;branch=z9hG4bKportdrift;rport\r\nMax-Forwards: 70\r\n\
    From: <sip:portdrift@localhost>;tag=portdrift\r\nTo: <sip:portdrift@localhost>\r\n\
    Call-ID: portdrift\r\nCSeq: 1 OPTIONS\r\nAccept: application/sdp\r\nContent-Length: 0\r\n\r\n";

/// `SIP/2.0 200 OK` and who says so; its tags and dates are not read.
pub(super) fn parse_sip(said: &Said<'_>) -> Option<Found> {
    let text = said.text();
    let head = text.split("\r\n\r\n").next().filter(|head| said.is_over || head.len() < text.len())?;
    if !head.starts_with("SIP/2.0 ") {
        return None;
    }
    let is_program = |name: &str| name.eq_ignore_ascii_case("server") || name.eq_ignore_ascii_case("user-agent");
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let found = Found::named("sip");
    let Some((_, program)) = lines.find(|(name, _)| is_program(name.trim())) else { return Some(found) };
    let at = program.find(|c: char| c == '/' || c.is_ascii_digit()).unwrap_or(program.len());
    let (product, version) = program.split_at_checked(at).unwrap_or((program, ""));
    Some(found.product(product.trim_end_matches(['-', ' ', '('])).version(version.trim_start_matches('/')))
}

/// Allowed before one has a name.
pub(super) const IRC_REQUEST: &[u8] = b"VERSION\r\n";

/// `:irc.example.org 451 * :Connection not registered`, or the notices that some begin with.
pub(super) fn parse_irc(said: &Said<'_>) -> Option<Found> {
    let line = said.line()?;
    let mut words = line.strip_prefix(':').unwrap_or(&line).split(' ');
    let first = words.next()?;
    let is_reply = line.starts_with(':') && matches!(words.next()?, "451" | "421" | "351" | "NOTICE" | "020");
    let is_notice = first == "NOTICE" && line.contains("AUTH");
    // The words of the others are `You have not registered`.
    let product = if line.ends_with(":Connection not registered") { "ngircd" } else { "" };
    (is_reply || is_notice).then(|| Found::named("irc").product(product))
}

/// The opening of a stream. Source: RFC 6120, section 4.2.
pub(super) const XMPP_REQUEST: &[u8] = b"<?xml version='1.0'?><stream:stream to='localhost' xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";

/// The other half of the stream; its id is not read.
pub(super) fn parse_xmpp(said: &Said<'_>) -> Option<Found> {
    let text = said.text();
    let opening = text.split("<stream:stream").nth(1)?.split('>').next()?;
    let name = if opening.contains("jabber:server") { "xmpp-server" } else { "xmpp-client" };
    opening.contains("jabber:").then(|| Found::named(name))
}

/// Asks for a repository that is not there. Source: gitprotocol-pack, "Git Transport".
pub(super) const GIT_REQUEST: &[u8] = b"0033git-upload-pack /portdrift\0host=localhost\0\0v=1\0";

/// `0043ERR access denied or repository not exported: /portdrift`
pub(super) fn parse_git(said: &Said<'_>) -> Option<Found> {
    let (length, rest) = said.bytes.split_first_chunk::<4>()?;
    let is_its =
        length.iter().all(u8::is_ascii_hexdigit) && (rest.starts_with(b"ERR ") || rest.starts_with(b"version "));
    is_its.then(|| Found::named("git"))
}

/// CPing. Source: the AJP 1.3 extensions of Apache Tomcat.
pub(super) const AJP_REQUEST: &[u8] = &[0x12, 0x34, 0, 1, 10];

/// CPong.
pub(super) fn parse_ajp(said: &Said<'_>) -> Option<Found> {
    let is_its = said.bytes == [b'A', b'B', 0, 1, 9];
    is_its.then(|| Found::named("ajp13").product("Apache Jserv").extra("Protocol v1.3"))
}
