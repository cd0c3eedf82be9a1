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

#[cfg(test)]
mod tests {
    use super::*;

    fn element_of(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let length = u8::try_from(content.len()).unwrap();
        let length = if length < 0x80 { vec![length] } else { vec![0x81, length] };
        [&[tag][..], &length, &content].concat()
    }

    fn certificate(with_version: bool, attributes: &[&[u8]]) -> Vec<u8> {
        let version = if with_version { element_of(VERSION, &[&[2, 1, 2]]) } else { Vec::new() };
        let issuer = element_of(SEQUENCE, &[&element_of(SET, &[&attribute(COMMON_NAME, "Its maker")])]);
        let dates =
            element_of(SEQUENCE, &[&element_of(0x17, &[b"260101000000Z"]), &element_of(0x17, &[b"270101000000Z"])]);
        let sets: Vec<Vec<u8>> = attributes.iter().map(|attribute| element_of(SET, &[attribute])).collect();
        let sets: Vec<&[u8]> = sets.iter().map(Vec::as_slice).collect();
        let subject = element_of(SEQUENCE, &sets);
        let number = [2, 1, 9];
        let body = element_of(SEQUENCE, &[&version, &number, &element_of(SEQUENCE, &[]), &issuer, &dates, &subject]);
        element_of(SEQUENCE, &[&body])
    }

    fn attribute(kind: &[u8], text: &str) -> Vec<u8> {
        element_of(SEQUENCE, &[&element_of(OBJECT, &[kind]), &element_of(0x0c, &[text.as_bytes()])])
    }

    #[test]
    fn the_subject_is_told_by_its_common_name_and_not_by_its_maker() {
        let named = attribute(COMMON_NAME, "web.example");
        let country = attribute(&[0x55, 4, 6], "XX");
        for (with_version, attributes, wanted) in [
            (true, &[&country[..], &named][..], Some("web.example")),
            (false, &[&named], Some("web.example")),
            (true, &[&country], None),
            (true, &[], None),
        ] {
            let der = certificate(with_version, attributes);
            assert_eq!(subject(&der).as_deref(), wanted);
            assert!((0..der.len()).all(|end| subject(&der[..end]).is_none()), "a part is no certificate");
        }
    }
}
