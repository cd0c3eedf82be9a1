//! When a certificate ends, read from its bytes. Source: RFC 5280, sections 4.1 and 4.1.2.5.

use super::{CertificateFiles, TlsError, unread};
use protocol::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// The last second of the year 9999, which stands for no end. Source: RFC 5280, section 4.1.2.5.
const NO_END: Timestamp = Timestamp::from_millis(253_402_300_799_000);

impl CertificateFiles {
    /// When the certificate ends; its chain does not count.
    ///
    /// # Errors
    /// When there is none that can be read.
    pub fn ends(&self) -> Result<Timestamp, TlsError> {
        let path = &self.certificate;
        let certificate = CertificateDer::from_pem_file(path).map_err(unread("certificate", path))?;
        not_after(&certificate).ok_or_else(|| TlsError::NoPem { what: "certificate", path: path.clone() })
    }
}

/// The second time of the validity.
fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    let (body, _) = inside(SEQUENCE, certificate)?;
    let (mut rest, _) = inside(SEQUENCE, body)?;
    if rest.first() == Some(&VERSION) {
        (_, rest) = inside(VERSION, rest)?;
    }
    for before in [INTEGER, SEQUENCE, SEQUENCE] {
        (_, rest) = inside(before, rest)?;
    }
    let (validity, _) = inside(SEQUENCE, rest)?;
    let (_, _, after) = element(validity)?;
    let (kind, text, _) = element(after)?;
    time(kind, std::str::from_utf8(text).ok()?)
}

/// The tag and the inside of the first element, and what stands behind it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (inside, rest) = rest.split_at_checked(length)?;
    Some((*tag, inside, rest))
}

fn inside(wanted: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (tag, inside, rest) = element(bytes)?;
    (tag == wanted).then_some((inside, rest))
}

/// `YYMMDDHHMMSSZ` with a year from 1950 to 2049, or `YYYYMMDDHHMMSSZ`.
fn time(kind: u8, text: &str) -> Option<Timestamp> {
    let digits = text.strip_suffix('Z').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let (year, rest) = match kind {
        UTC_TIME => {
            let (year, rest) = digits.split_at_checked(2)?;
            (format!("{}{year}", if year < "50" { "20" } else { "19" }), rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = digits.split_at_checked(4)?;
            (year.to_owned(), rest)
        }
        _ => return None,
    };
    if year == "9999" {
        return Some(NO_END);
    }
    let pairs = |from: usize| rest.get(from..from + 2);
    let [month, day, hour, minute, second] = [pairs(0)?, pairs(2)?, pairs(4)?, pairs(6)?, pairs(8)?];
    format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::self_signed;
    use proptest::prelude::*;
    use std::sync::OnceLock;

    fn made() -> (tempfile::TempDir, CertificateFiles) {
        let folder = tempfile::tempdir().unwrap();
        let files = self_signed(folder.path(), &["localhost".to_owned()], Timestamp::from_millis(1_767_225_600_000));
        (folder, files.unwrap())
    }

    #[test]
    fn a_certificate_says_when_it_ends() {
        let (_folder, files) = made();
        assert_eq!(files.ends().unwrap().to_string(), "2036-01-01T00:00:00.000Z");
        std::fs::write(&files.certificate, "hello").unwrap();
        assert!(files.ends().is_err());
    }

    #[test]
    fn both_ways_to_write_a_time_are_read() {
        for (kind, text, told) in [
            (UTC_TIME, "491231235959Z", Some("2049-12-31T23:59:59.000Z")),
            (UTC_TIME, "991231235959Z", Some("1999-12-31T23:59:59.000Z")),
            (GENERALIZED_TIME, "20500101000000Z", Some("2050-01-01T00:00:00.000Z")),
            (GENERALIZED_TIME, "99991231235959Z", Some("9999-12-31T23:59:59.999Z")),
            (UTC_TIME, "4912312359Z", None),
            (UTC_TIME, "491331235959Z", None),
            (UTC_TIME, "+91231235959Z", None),
            (INTEGER, "491231235959Z", None),
        ] {
            assert_eq!(time(kind, text).map(|time| time.to_string()).as_deref(), told, "{text}");
        }
    }

    proptest! {
        #[test]
        fn damaged_bytes_are_read_to_an_end_or_refused(at in 0usize..400, byte: u8, cut in 0usize..400) {
            static SOUND: OnceLock<Vec<u8>> = OnceLock::new();
            let sound = || {
                let (_folder, files) = made();
                CertificateDer::from_pem_file(&files.certificate).unwrap().to_vec()
            };
            let mut bytes = SOUND.get_or_init(sound).clone();
            if let Some(changed) = bytes.get_mut(at) {
                *changed = byte;
            }
            not_after(&bytes);
            bytes.truncate(cut);
            not_after(&bytes);
        }
    }
}
