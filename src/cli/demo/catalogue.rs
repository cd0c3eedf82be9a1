//! The small services that the demo can serve: what each one says, and what a good scanner makes of it.

use std::fmt;

/// A kind of service; each has a port of its own above 1024, so that no rights are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Web,
    WebAdmin,
    Ssh,
    Ftp,
    Mail,
    Redis,
    MySql,
    Postgres,
    Vnc,
    Rdp,
}

/// A service of one kind at one of the versions that the demo knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Service {
    kind: Kind,
    version: &'static str,
}

impl Kind {
    pub(crate) const ALL: [Self; 10] = [
        Self::Web,
        Self::WebAdmin,
        Self::Ssh,
        Self::Ftp,
        Self::Mail,
        Self::Redis,
        Self::MySql,
        Self::Postgres,
        Self::Vnc,
        Self::Rdp,
    ];

    /// Where it listens.
    pub(crate) fn port(self) -> u16 {
        match self {
            Self::Web => 8080,
            Self::WebAdmin => 8000,
            Self::Ssh => 2222,
            Self::Ftp => 2121,
            Self::Mail => 2525,
            Self::Redis => 6379,
            Self::MySql => 3306,
            Self::Postgres => 5432,
            Self::Vnc => 5900,
            Self::Rdp => 3389,
        }
    }

    /// The versions it can have, oldest first; a single empty one where a stranger cannot see a version.
    pub(crate) fn versions(self) -> &'static [&'static str] {
        match self {
            Self::Web => &["1.18.0", "1.24.0", "1.26.2"],
            Self::WebAdmin => &["2.4.57", "2.4.62"],
            Self::Ssh => &["8.9p1", "9.2p1", "9.6p1"],
            Self::Ftp => &["3.0.3", "3.0.5"],
            Self::Mail => &["4.96", "4.98"],
            Self::Redis => &["6.2.14", "7.0.15"],
            Self::MySql => &["8.0.36", "8.4.2"],
            Self::Postgres => &["9.6.0 or later"],
            Self::Vnc | Self::Rdp => &[""],
        }
    }

    /// As nmap names the product; where nothing names one, the name of the protocol.
    fn product(self) -> &'static str {
        match self {
            Self::Web => "nginx",
            Self::WebAdmin => "Apache httpd",
            Self::Ssh => "OpenSSH",
            Self::Ftp => "vsftpd",
            Self::Mail => "Exim smtpd",
            Self::Redis => "Redis key-value store",
            Self::MySql => "MySQL",
            Self::Postgres => "PostgreSQL DB",
            Self::Vnc => "VNC",
            Self::Rdp => "ms-wbt-server",
        }
    }
}

impl Service {
    /// The oldest version of `kind`.
    pub(crate) fn oldest(kind: Kind) -> Self {
        Self { kind, version: kind.versions().first().copied().unwrap_or_default() }
    }

    /// The same service one version later, when there is one.
    pub(crate) fn next_version(self) -> Option<Self> {
        let later = self.kind.versions().iter().skip_while(|version| **version != self.version).nth(1)?;
        Some(Self { version: later, ..self })
    }

    /// What it says as soon as someone connects.
    pub(crate) fn greeting(self) -> Option<Vec<u8>> {
        let version = self.version;
        let text = match self.kind {
            Kind::Ssh => format!("SSH-2.0-OpenSSH_{version}\r\n"),
            Kind::Ftp => format!("220 (vsFTPd {version})\r\n"),
            Kind::Mail => format!("220 mail.demo.test ESMTP Exim {version} ready\r\n"),
            Kind::Vnc => "RFB 003.008\n".to_owned(),
            Kind::MySql => return Some(mysql_greeting(version)),
            Kind::Web | Kind::WebAdmin | Kind::Redis | Kind::Postgres | Kind::Rdp => return None,
        };
        Some(text.into_bytes())
    }

    /// What it answers to `request`; nothing means that it hangs up.
    pub(crate) fn answer(self, request: &[u8]) -> Option<Vec<u8>> {
        match self.kind {
            Kind::Web => request.starts_with(b"GET ").then(|| web_page(&format!("nginx/{}", self.version))),
            Kind::WebAdmin => request.starts_with(b"GET ").then(|| web_page(&format!("Apache/{}", self.version))),
            Kind::Redis => redis_answer(request, self.version),
            Kind::Postgres => postgres_answer(request),
            Kind::Rdp => request.starts_with(&[3, 0, 0]).then(|| RDP_CONFIRM.to_vec()),
            Kind::Ssh | Kind::Ftp | Kind::Mail | Kind::Vnc | Kind::MySql => None,
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(self.kind.product(), self.version))
    }
}

/// Product and version as one text.
pub(crate) fn shown(product: &str, version: &str) -> String {
    format!("{product} {version}").trim().to_owned()
}

/// A connection confirm that chooses plain RDP security. Source: MS-RDPBCGR section 2.2.1.2.
const RDP_CONFIRM: [u8; 19] = [3, 0, 0, 19, 14, 0xd0, 0, 0, 0x12, 0x34, 0, 2, 0, 8, 0, 0, 0, 0, 0];

fn web_page(server: &str) -> Vec<u8> {
    let body = "<!doctype html><title>demo</title><p>A small service of the Portdrift demo.\n";
    let head =
        format!("HTTP/1.1 200 OK\r\nServer: {server}\r\nContent-Type: text/html\r\nContent-Length: {}", body.len());
    format!("{head}\r\nConnection: close\r\n\r\n{body}").into_bytes()
}

fn redis_answer(request: &[u8], version: &str) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(request).ok()?.to_uppercase();
    let mut answer = String::new();
    for line in text.lines() {
        match line.split_whitespace().next() {
            Some("PING") => answer.push_str("+PONG\r\n"),
            Some("INFO") => {
                let info = format!("# Server\r\nredis_version:{version}\r\nredis_mode:standalone\r\n");
                answer.push_str(&format!("${}\r\n{info}\r\n", info.len()));
            }
            _ => answer.push_str("-ERR unknown command\r\n"),
        }
    }
    Some(answer.into_bytes())
}

/// In place of a version. Source: PostgreSQL documentation, chapter "Message Formats", "SSLRequest".
const ASKS_FOR_TLS: u16 = 1_234;

/// Refuses a start that is not of version 3, as servers since 9.6 do: with a severity that is never translated (`V`).
/// Source: PostgreSQL documentation, chapters "Message Formats" and "Error and Notice Message Fields".
fn postgres_answer(request: &[u8]) -> Option<Vec<u8>> {
    let (length, [high, low, ..]) = request.split_first_chunk::<4>()? else { return None };
    let (length, major) = (u32::from_be_bytes(*length), u16::from_be_bytes([*high, *low]));
    if usize::try_from(length).ok()? != request.len() {
        return None;
    }
    match major {
        3 => None,
        ASKS_FOR_TLS => Some(b"N".to_vec()),
        other => {
            let fields = format!("SFATAL\0VFATAL\0C0A000\0Munsupported frontend protocol {other}.0\0\0");
            let length = u32::try_from(fields.len()).ok()? + 4;
            Some([b"E", length.to_be_bytes().as_slice(), fields.as_bytes()].concat())
        }
    }
}

/// Source: MySQL client/server protocol, "Protocol::HandshakeV10".
fn mysql_greeting(version: &str) -> Vec<u8> {
    let mut body = vec![10];
    body.extend_from_slice(version.as_bytes());
    body.push(0);
    body.extend_from_slice(&[1, 0, 0, 0]); // connection id
    body.extend_from_slice(b"demodemo\0"); // first part of the challenge
    body.extend_from_slice(&[0xff, 0xf7, 8, 2, 0, 0xff, 0x81, 21]); // capabilities, character set, status
    body.extend_from_slice(&[0; 10]);
    body.extend_from_slice(b"demodemodemo\0caching_sha2_password\0");
    let length = u8::try_from(body.len()).unwrap_or(u8::MAX);
    let mut packet = vec![length, 0, 0, 0];
    packet.append(&mut body);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_has_a_port_of_its_own_that_needs_no_rights() {
        let ports: BTreeSet<u16> = Kind::ALL.iter().map(|kind| kind.port()).collect();
        assert_eq!(ports.len(), Kind::ALL.len());
        assert!(ports.iter().all(|port| *port >= 1024));
    }

    #[test]
    fn each_version_shows_in_what_the_service_says() {
        let said = |service: Service| {
            let request: &[u8] =
                if service.kind == Kind::Redis { b"PING\r\nINFO server\r\n" } else { b"GET / HTTP/1.0\r\n\r\n" };
            service.greeting().or_else(|| service.answer(request)).unwrap_or_default()
        };
        for kind in Kind::ALL.into_iter().filter(|kind| kind.versions().len() > 1) {
            let mut service = Service::oldest(kind);
            loop {
                let text = String::from_utf8_lossy(&said(service)).into_owned();
                assert!(text.contains(service.version), "{service} says {text:?}");
                let Some(next) = service.next_version() else { break };
                assert_ne!(next.to_string(), service.to_string());
                service = next;
            }
        }
    }

    #[test]
    fn a_service_hangs_up_on_what_it_does_not_speak() {
        for kind in [Kind::Web, Kind::WebAdmin, Kind::Postgres, Kind::Rdp] {
            assert_eq!(Service::oldest(kind).answer(b"\x16\x01hello"), None, "{kind:?}");
        }
        assert_eq!(Service::oldest(Kind::Redis).answer(&[0xff, 0xfe]), None);
        let unknown = Service::oldest(Kind::Redis).answer(b"GET / HTTP/1.0\r\n");
        assert_eq!(unknown.as_deref(), Some(&b"-ERR unknown command\r\n"[..]));
    }
}
