//! Whose certificate a server shows: its subject's common name. When it ends and which number it has change with each
//! renewal and are not read.

/// Tags of DER. Source: X.690, section 8.
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT: u8 = 0x06;
/// The version stands first, in a tag of its own, and may be left out.
const VERSION: u8 = 0xa0;

/// What stands in a certificate before its subject: number, algorithm, issuer, validity. Source: RFC 5280, section 4.1.
const BEFORE_SUBJECT: usize = 4;

/// `id-at-commonName`. Source: RFC 5280, appendix A.
const COMMON_NAME: &[u8] = &[0x55, 4, 3];

/// The common name of the subject, if there is one.
pub(super) fn subject(der: &[u8]) -> Option<String> {
    let (certificate, _) = inside(der, SEQUENCE)?;
    let (body, _) = inside(certificate, SEQUENCE)?;
    let mut rest = inside(body, VERSION).map_or(body, |(_, rest)| rest);
    for _ in 0..BEFORE_SUBJECT {
        (_, _, rest) = element(rest)?;
    }
    let (mut names, _) = inside(rest, SEQUENCE)?;
    while let Some((set, rest)) = inside(names, SET) {
        names = rest;
        let Some((pair, _)) = inside(set, SEQUENCE) else { continue };
        let Some((kind, value)) = inside(pair, OBJECT) else { continue };
        if kind == COMMON_NAME {
            let (_, text, _) = element(value)?;
            return Some(String::from_utf8_lossy(text).into_owned()).filter(|name| !name.is_empty());
        }
    }
    None
}

/// What an element of this tag holds, and what follows it.
fn inside(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = element(bytes)?;
    (found == tag).then_some((content, rest))
}

/// Tag, content and what follows; lengths of up to three bytes.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 3))?;
            (digits.iter().fold(0, |sum, digit| sum * 256 + usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}
