//! An alert's key as one word that stands in a URL and on a command line, such as `3-192.0.2.7-22-tcp-SSH`.
//!
//! The scan, the address, the port, its protocol, and the rule. In the rule a blank is `_`, and what is neither letter,
//! digit, dot nor hyphen of ASCII is `~` and two hex digits for each byte.

use super::AlertKey;
use crate::analysis::delta::PortId;
use protocol::task::ScanId;
use std::fmt::{self, Display, Write};
use std::str::FromStr;

/// The text is no alert's id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no alert's id; one looks like 3-192.0.2.7-22-tcp-SSH")]
pub struct BadAlertId(String);

impl Display for AlertKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scan, address, port: PortId { protocol, port }, rule } = self;
        write!(f, "{scan}-{address}-{port}-{protocol}-")?;
        for byte in rule.as_str().bytes() {
            match byte {
                b' ' => f.write_char('_')?,
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' => f.write_char(char::from(byte))?,
                _ => write!(f, "~{byte:02x}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for AlertKey {
    type Err = BadAlertId;

    fn from_str(text: &str) -> Result<Self, BadAlertId> {
        parse(text).ok_or_else(|| BadAlertId(text.chars().take(100).collect()))
    }
}

fn parse(text: &str) -> Option<AlertKey> {
    let mut parts = text.splitn(5, '-');
    let mut next = || parts.next();
    let (scan, address, port) = (next()?.parse().ok()?, next()?.parse().ok()?, next()?.parse().ok()?);
    let port = PortId { protocol: next()?.parse().ok()?, port };
    Some(AlertKey { scan: ScanId(scan), address, port, rule: rule(next()?)?.as_str().into() })
}

fn rule(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'_' => bytes.push(b' '),
            b'~' => {
                let digits = [rest.next()?, rest.next()?];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use protocol::Protocol;

    #[test]
    fn an_id_can_be_read_and_typed() {
        let key = |address: &str, rule: &str| AlertKey {
            scan: ScanId(3),
            address: address.parse().unwrap(),
            port: PortId { protocol: Protocol::Udp, port: 53 },
            rule: rule.into(),
        };
        assert_eq!(key("192.0.2.7", "new port").to_string(), "3-192.0.2.7-53-udp-new_port");
        assert_eq!(key("fe80::1", "a-b_é").to_string(), "3-fe80::1-53-udp-a-b~5f~c3~a9");
        for bad in ["", "3", "3-192.0.2.7-53-udp", "x-192.0.2.7-53-udp-a", "3-192.0.2.7-53-udp-~zz", "3-1-2-tcp-~f"] {
            assert!(bad.parse::<AlertKey>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_key_reads_back_and_needs_no_escape(scan: u64, address: std::net::IpAddr, port: u16, rule in "\\PC{0,70}") {
            let port = PortId { protocol: Protocol::Tcp, port };
            let key = AlertKey { scan: ScanId(scan), address, port, rule: rule.as_str().into() };
            let id = key.to_string();
            prop_assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:~_-".contains(&byte)), "{}", id);
            prop_assert_eq!(id.parse(), Ok(key));
        }

        #[test]
        fn foreign_text_is_an_id_or_an_error(text in "\\PC{0,80}") {
            if let Ok(key) = text.parse::<AlertKey>() {
                prop_assert_eq!(key.to_string().parse(), Ok(key));
            }
        }
    }
}
