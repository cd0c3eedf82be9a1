//! Our pieces against those of quick-xml's own reader: what it refuses is refused, and what we read it reads alike.

use super::*;
use proptest::prelude::*;

const DOCUMENT: &str = "<?xml version=\"1.0\"?>\n<!DOCTYPE nmaprun>\n<!-- a > b - c -->\r\n\
    <nmaprun args='-&#45;x \"y\" &gt;'><host a=\"1>2\"  b = \"&amp;\t\" ><x/>\n<y z='<'/>t &lt; u<![CDATA[<&]]></host >\
    <?pi <a> ?>\n</nmaprun>\n";

/// Every event up to the end, or up to what is refused.
fn ours(bytes: impl Read) -> (Vec<String>, Option<XmlError>) {
    let (mut source, mut events) = (Source::new(bytes), Vec::new());
    loop {
        let shown = source.next(|event| {
            Ok(match event {
                Event::Start(tag) => format!("<{}>", tag.name()),
                Event::Empty(tag) => format!("<{}/>", tag.name()),
                Event::End => "end".to_owned(),
                Event::Text => "text".to_owned(),
                Event::Doctype => "doctype".to_owned(),
                Event::Eof => String::new(),
            })
        });
        match shown {
            Ok(shown) if shown.is_empty() => return (events, None),
            Ok(shown) => events.push(shown),
            Err(error) => return (events, Some(error)),
        }
    }
}

/// The same by quick-xml; false where it refuses the rest.
fn theirs(bytes: &[u8]) -> (Vec<String>, bool) {
    use quick_xml::events::Event as E;
    let (mut reader, mut events, mut buffer) = (quick_xml::Reader::from_reader(bytes), Vec::new(), Vec::new());
    reader.config_mut().allow_dangling_amp = false;
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer) {
            Ok(E::Start(tag)) => events.push(format!("<{}>", tag.name().into_inner())),
            Ok(E::Empty(tag)) => events.push(format!("<{}/>", tag.name().into_inner())),
            Ok(E::End(_)) => events.push("end".to_owned()),
            Ok(E::Text(text)) if text.trim_ascii().is_empty() => {}
            Ok(E::Text(_) | E::CData(_) | E::GeneralRef(_)) => events.push("text".to_owned()),
            Ok(E::DocType(_)) => events.push("doctype".to_owned()),
            Ok(E::Decl(_) | E::PI(_) | E::Comment(_)) => {}
            Ok(E::Eof) => return (events, true),
            Err(_) => return (events, false),
        }
    }
}

/// quick-xml gives a text with references in parts.
fn joined(mut events: Vec<String>) -> Vec<String> {
    events.dedup_by(|a, b| a == "text" && a == b);
    events
}

fn agree(bytes: &[u8]) -> Result<(), TestCaseError> {
    let ((ours, refused), (theirs, is_whole)) = (ours(bytes), theirs(bytes));
    let (ours, theirs) = (joined(ours), joined(theirs));
    prop_assert!(refused.is_some() || is_whole, "only we read all of it: {:?}", ours);
    if refused.is_none() {
        prop_assert_eq!(&ours, &theirs);
    }
    prop_assert!(theirs.starts_with(&ours), "{:?} then {:?}, but {:?}", ours, refused, theirs);
    Ok(())
}

#[test]
fn a_document_is_cut_as_quick_xml_cuts_it() {
    let expected = ["doctype", "<nmaprun>", "<host>", "<x/>", "<y/>", "text", "end", "end"].map(str::to_owned);
    for document in [DOCUMENT.to_owned(), format!("\u{feff}{DOCUMENT}")] {
        let (events, refused) = ours(document.as_bytes());
        assert!(refused.is_none(), "{refused:?}");
        assert_eq!(joined(events), expected);
        assert_eq!(joined(theirs(document.as_bytes()).0), expected);
    }
}

#[test]
fn every_kind_of_piece_has_the_limit_of_a_tag() {
    let long = "x".repeat(MAX_TAG_BYTES);
    for piece in [
        format!("<a b=\"{long}\"/>"),
        format!("<a {long}"),
        format!("</{long}>"),
        format!("<!--{long}-->"),
        format!("<?{long}?>"),
        format!("<![CDATA[{long}]]>"),
        format!("<!DOCTYPE {long}>"),
        format!("{long}x<a/>"),
        " ".repeat(MAX_TAG_BYTES + 1),
    ] {
        let refused = ours(piece.as_bytes()).1;
        assert!(matches!(refused, Some(XmlError::TooLarge { .. })), "{}: {refused:?}", piece.get(..12).unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_quick_xml_refuses_is_refused(
        at in 0..DOCUMENT.len(), with in any::<u8>(), more in "[<>&;\"'/=a!?\\[\\]\\- ]{0,6}", cut in 0..2 * DOCUMENT.len(),
    ) {
        let mut bytes = DOCUMENT.as_bytes().to_vec();
        bytes[at] = with;
        bytes.splice(at..at, more.bytes());
        bytes.truncate(cut);
        agree(&bytes)?;
    }

    #[test]
    fn markup_of_any_kind_is_cut_alike(text in "[<>&;\"'/=ab!?\\[\\]\\- ]{0,40}") {
        agree(text.as_bytes())?;
    }

    #[test]
    fn it_makes_no_difference_how_the_bytes_come(
        at in 0..DOCUMENT.len(), more in "[<>&\"'/!?-]{0,4}", mark in any::<bool>(),
    ) {
        let mut bytes = DOCUMENT.as_bytes().to_vec();
        bytes.splice(at..at, more.bytes());
        bytes.splice(0..0, if mark { BYTE_ORDER_MARK } else { &[] }.iter().copied());
        let (whole, refused) = ours(&*bytes);
        let (drops, again) = ours(Drops(&bytes));
        prop_assert_eq!(whole, drops);
        prop_assert_eq!(refused.map(|why| why.to_string()), again.map(|why| why.to_string()));
    }
}

/// Gives one byte at a time.
struct Drops<'a>(&'a [u8]);

impl Read for Drops<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(1);
        self.0.read(buffer.get_mut(..room).unwrap_or_default())
    }
}
