//! Bytes to tags, within the caps on size, attributes and document type.
//!
//! Cut by hand, because quick-xml's reader copies every piece and took most of the time of a comparison. Its rules are
//! kept: the tests give both the same documents, broken ones too. References are still decoded by quick-xml.

#[cfg(test)]
mod tests;

use super::{MAX_ATTRIBUTES, MAX_TAG_BYTES, XmlError};
use crate::text::Text;
use quick_xml::XmlVersion;
use quick_xml::errors::{IllFormedError, SyntaxError};
use quick_xml::events::attributes::{AttrError, Attribute};
use quick_xml::name::QName;
use std::borrow::Cow;
use std::collections::HashSet;
use std::io::{self, Read};
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

/// The most bytes that are read ahead: more than any piece may have.
const READ_AHEAD: usize = 4 * MAX_TAG_BYTES;
/// What some programs write before the document.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What the document brings next, without what is skipped: declarations, instructions, comments, white space.
pub(super) enum Event<'a> {
    Start(Tag<'a>),
    Empty(Tag<'a>),
    End,
    Text,
    Doctype,
    Eof,
}

/// A start tag with its decoded attributes.
#[derive(Debug)]
pub(super) struct Tag<'a> {
    name: &'a str,
    text: &'a str,
    attributes: &'a [Place],
}

/// Where one attribute stands in the text of its tag. The list is used again for each tag, so that none is allocated.
#[derive(Debug)]
struct Place {
    key: Range<usize>,
    value: Range<usize>,
    /// The value, where it has references or line ends.
    decoded: Option<String>,
}

impl<'a> Tag<'a> {
    fn read(content: &'a str, at: u64, attributes: &'a mut Vec<Place>) -> Result<Self, XmlError> {
        let malformed = |why| XmlError::Malformed { at, why };
        let end = content.bytes().position(|byte| byte.is_ascii_whitespace()).unwrap_or(content.len());
        let (name, text) = content.split_at_checked(end).unwrap_or_default();
        let is_plain = is_plain_text(text);
        attributes.clear();
        let mut from = 0;
        while let Some(mut place) = next_attribute(text, from).map_err(|why| malformed(why.into()))? {
            let key = text.get(place.key.clone());
            if attributes.iter().any(|known| text.get(known.key.clone()) == key) {
                return Err(malformed(AttrError::Duplicated(0, 0).into()));
            }
            if attributes.len() >= MAX_ATTRIBUTES {
                return Err(XmlError::TooLarge { what: "a number of attributes", limit: MAX_ATTRIBUTES });
            }
            if !is_plain {
                let value = text.get(place.value.clone()).unwrap_or_default();
                place.decoded = Some(decoded(value).map_err(malformed)?);
            }
            from = place.value.end + 1;
            attributes.push(place);
        }
        Ok(Self { name, text, attributes })
    }

    pub(super) fn name(&self) -> &str {
        self.name
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        let place = self.attributes.iter().find(|place| self.text.get(place.key.clone()) == Some(key))?;
        place.decoded.as_deref().or_else(|| self.text.get(place.value.clone()))
    }

    /// The attribute as clean text; empty when it is missing.
    pub(super) fn text(&self, key: &str) -> Text {
        Text::new(self.get(key).unwrap_or_default())
    }

    /// The attribute as a number or another value, if it is there; `what` names it in the error.
    pub(super) fn parse<T: FromStr>(&self, key: &str, what: &'static str) -> Result<Option<T>, XmlError> {
        let unreadable = |value| XmlError::Unreadable { what, value: Text::new(value) };
        self.get(key).map(|value| value.trim().parse().map_err(|_| unreadable(value))).transpose()
    }

    /// As [`Tag::parse`], for an attribute that nmap always writes.
    pub(super) fn need<T: FromStr>(&self, key: &str, what: &'static str) -> Result<T, XmlError> {
        self.parse(key, what)?.ok_or(XmlError::Unreadable { what, value: Text::default() })
    }
}

/// The attribute after `from`, if there is one.
fn next_attribute(text: &str, from: usize) -> Result<Option<Place>, AttrError> {
    let bytes = text.as_bytes();
    let past = |from: usize, is_in: fn(u8) -> bool| {
        let rest = bytes.get(from..).unwrap_or_default();
        from + rest.iter().position(|byte| !is_in(*byte)).unwrap_or(rest.len())
    };
    let past_space = |from| past(from, |byte| byte.is_ascii_whitespace());
    let start = past_space(from);
    if start == bytes.len() {
        return Ok(None);
    }
    let key = start..past(start, |byte| byte != b'=' && !byte.is_ascii_whitespace());
    let equals = past_space(key.end);
    if key.is_empty() || bytes.get(equals) != Some(&b'=') {
        return Err(AttrError::ExpectedEq(0));
    }
    let quote = past_space(equals + 1);
    let end = match bytes.get(quote) {
        Some(b'"') => past(quote + 1, |byte| byte != b'"'),
        Some(b'\'') => past(quote + 1, |byte| byte != b'\''),
        Some(_) => return Err(AttrError::UnquotedValue(0)),
        None => return Err(AttrError::ExpectedValue(0)),
    };
    if end == bytes.len() {
        return Err(AttrError::ExpectedQuote(0, b'"'));
    }
    Ok(Some(Place { key, value: quote + 1..end, decoded: None }))
}

/// True when no value in it has references or line ends. Without an early end this is done many bytes at a time.
fn is_plain_text(text: &str) -> bool {
    !text.bytes().fold(false, |found, byte| found | matches!(byte, b'&' | b'\t' | b'\n' | b'\r'))
}

/// The value with its references and line ends as XML 1.0 reads them.
fn decoded(value: &str) -> Result<String, quick_xml::Error> {
    let attribute = Attribute { key: QName(""), value: Cow::Borrowed(value) };
    Ok(attribute.normalized_value(XmlVersion::Explicit1_0)?.into_owned())
}

/// Short texts that were met before. A document says the same few words on every port; they are kept once.
#[derive(Debug, Default)]
pub(super) struct Texts(HashSet<Text>);

impl Texts {
    /// Longer ones seldom come twice.
    const MAX_BYTES: usize = 48;
    /// So that a document of nothing but new words fills no memory.
    const MAX_COUNT: usize = 4_096;

    /// The attribute as clean text; empty when it is missing.
    pub(super) fn of(&mut self, tag: &Tag<'_>, key: &str) -> Text {
        let raw = tag.get(key).unwrap_or_default();
        if raw.is_empty() {
            return Text::default();
        }
        if let Some(known) = self.0.get(raw) {
            return known.clone();
        }
        let text = Text::new(raw);
        if raw.len() <= Self::MAX_BYTES {
            if self.0.len() >= Self::MAX_COUNT {
                self.0.clear();
            }
            self.0.insert(text.clone());
        }
        text
    }
}

/// The document as a row of events. It takes from its input only what the next event needs.
#[derive(Debug)]
pub(super) struct Source<R> {
    input: R,
    /// Bytes that were read; those in `unread` are still to come.
    window: Vec<u8>,
    unread: Range<usize>,
    /// How far the next piece was looked at, so that no byte is looked at twice however slowly they come.
    looked: Looked,
    /// Where `unread` begins in the document.
    at: u64,
    /// Names of the open elements, one behind the other, and where each begins.
    open: String,
    starts: Vec<usize>,
    attributes: Vec<Place>,
}

impl<R: Read> Source<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            window: vec![0; READ_AHEAD],
            unread: 0..0,
            looked: Looked::default(),
            at: 0,
            open: String::new(),
            starts: Vec::new(),
            attributes: Vec::new(),
        }
    }

    /// Reads the next event and gives it to `take`; an event lives no longer than that.
    pub(super) fn next<T>(&mut self, take: impl FnOnce(Event<'_>) -> Result<T, XmlError>) -> Result<T, XmlError> {
        loop {
            let at = self.at;
            let malformed = |why| XmlError::Malformed { at, why };
            let Some((kind, place)) = self.piece()? else { return take(Event::Eof) };
            let text = std::str::from_utf8(self.window.get(place).unwrap_or_default());
            let text = text.map_err(|why| malformed(quick_xml::Error::Encoding(why.into())))?;
            let inside = |head: usize, tail: usize| text.get(head..text.len() - tail).unwrap_or_default();
            return match kind {
                Kind::Text | Kind::Hidden if text.trim_ascii().is_empty() => continue,
                Kind::Hidden => continue,
                Kind::Text if has_open_reference(text) => Err(malformed(IllFormedError::UnclosedReference.into())),
                Kind::Text | Kind::Data => take(Event::Text),
                Kind::Doctype if is_plain(inside(9, 1)) => take(Event::Doctype),
                Kind::Doctype => Err(XmlError::Doctype),
                Kind::Unknown => Err(malformed(SyntaxError::InvalidBangMarkup.into())),
                Kind::End => {
                    close(&mut self.open, &mut self.starts, inside(2, 1)).map_err(|why| malformed(why.into()))?;
                    take(Event::End)
                }
                Kind::Tag if text.ends_with("/>") => {
                    take(Event::Empty(Tag::read(inside(1, 2), at, &mut self.attributes)?))
                }
                Kind::Tag => {
                    let tag = Tag::read(inside(1, 1), at, &mut self.attributes)?;
                    self.starts.push(self.open.len());
                    self.open.push_str(tag.name);
                    take(Event::Start(tag))
                }
            };
        }
    }

    /// The next piece of the document and its place in the window; `None` at the end.
    fn piece(&mut self) -> Result<Option<(Kind, Range<usize>)>, XmlError> {
        loop {
            let unread = self.window.get(self.unread.clone()).unwrap_or_default();
            let found = match self.looked.piece(unread) {
                None if unread.len() <= MAX_TAG_BYTES && self.fill()? => continue,
                None if self.unread.len() > MAX_TAG_BYTES => return Err(too_large()),
                None if self.unread.is_empty() => return Ok(None),
                None if self.window.get(self.unread.start) == Some(&b'<') => return Err(XmlError::Cut),
                None => (Kind::Text, self.unread.len()),
                Some((_, length)) if length > MAX_TAG_BYTES => return Err(too_large()),
                Some(found) => found,
            };
            let (kind, length) = found;
            let place = self.unread.start..self.unread.start + length;
            self.looked = Looked::default();
            self.unread.start = place.end;
            self.at += length as u64;
            return Ok(Some((kind, place)));
        }
    }

    /// Reads on; false at the end of the input.
    fn fill(&mut self) -> Result<bool, XmlError> {
        self.window.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
        let room = self.window.get_mut(self.unread.end..).unwrap_or_default();
        let count = loop {
            match self.input.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read.map_err(|error| XmlError::Read(Arc::new(error)))?,
            }
        };
        self.unread.end += count;
        if self.at == 0 && self.window.get(self.unread.clone()).is_some_and(|bytes| bytes.starts_with(BYTE_ORDER_MARK))
        {
            self.unread.start = BYTE_ORDER_MARK.len();
            self.at = BYTE_ORDER_MARK.len() as u64;
            self.looked = Looked::default();
        }
        Ok(count > 0)
    }
}

/// What a piece of a document is, by how it begins.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Up to the next tag.
    Text,
    /// What programs do not read: comments, instructions, the declaration.
    Hidden,
    /// Text in which nothing is a tag.
    Data,
    Doctype,
    Tag,
    End,
    /// `<!` and nothing known.
    Unknown,
}

/// How far an unfinished piece was looked at.
#[derive(Clone, Copy, Debug, Default)]
struct Looked {
    bytes: usize,
    /// The quote that is open there.
    quote: Option<u8>,
}

impl Looked {
    /// The piece at the head of `bytes` and its length; `None` when it ends later.
    fn piece(&mut self, bytes: &[u8]) -> Option<(Kind, usize)> {
        let named = |head: &[u8]| bytes.get(..head.len()).is_some_and(|word| word.eq_ignore_ascii_case(head));
        match bytes {
            [] | [b'<'] => None,
            [b'<', b'/', ..] => self.tag(bytes).map(|length| (Kind::End, length)),
            [b'<', b'?', ..] => self.until(bytes, 2, b"?>").map(|length| (Kind::Hidden, length)),
            [b'<', b'!', b'-', b'-', ..] => self.until(bytes, 4, b"-->").map(|length| (Kind::Hidden, length)),
            [b'<', b'!', ..] if bytes.starts_with(b"<![CDATA[") => {
                self.until(bytes, 9, b"]]>").map(|length| (Kind::Data, length))
            }
            [b'<', b'!', ..] if named(b"<!DOCTYPE") => self.tag(bytes).map(|length| (Kind::Doctype, length)),
            [b'<', b'!', ..] => (bytes.len() >= 9).then_some((Kind::Unknown, 2)),
            [b'<', ..] => self.tag(bytes).map(|length| (Kind::Tag, length)),
            _ => self.until(bytes, 0, b"<").map(|length| (Kind::Text, length - 1)),
        }
    }

    /// Up to the first `>` that is in no quotes.
    fn tag(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = self.bytes;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let found = match self.quote {
                Some(quote) => rest.iter().position(|byte| *byte == quote),
                None => rest.iter().position(|byte| matches!(byte, b'>' | b'"' | b'\'')),
            };
            let Some(found) = found else {
                self.bytes = bytes.len();
                return None;
            };
            at += found + 1;
            match (self.quote, rest.get(found)) {
                (None, Some(b'>')) => return Some(at),
                (None, quote) => self.quote = quote.copied(),
                (Some(_), _) => self.quote = None,
            }
        }
    }

    /// Up to the end of `mark`, which comes after the first `head` bytes.
    fn until(&mut self, bytes: &[u8], head: usize, mark: &[u8]) -> Option<usize> {
        let from = head.max(self.bytes.saturating_sub(mark.len() - 1));
        self.bytes = bytes.len();
        let rest = bytes.get(from..)?;
        rest.windows(mark.len()).position(|window| window == mark).map(|at| from + at + mark.len())
    }
}

/// True when a reference in a text has no end.
fn has_open_reference(text: &str) -> bool {
    text.split('&').skip(1).any(|reference| !reference.contains(';'))
}

/// The element that was opened last must have this name.
fn close(open: &mut String, starts: &mut Vec<usize>, name: &str) -> Result<(), IllFormedError> {
    let name = name.trim_ascii_end();
    let start = starts.pop().ok_or_else(|| IllFormedError::UnmatchedEndTag(name.to_owned()))?;
    let expected = open.get(start..).unwrap_or_default();
    if name != expected {
        return Err(IllFormedError::MismatchedEndTag { expected: expected.to_owned(), found: name.to_owned() });
    }
    open.truncate(start);
    Ok(())
}

/// True for `nmaprun`, and for `nmaprun PUBLIC …`, which nmap 6.45 wrote: the outside definition it names is never
/// fetched. A subset inside the document is refused.
fn is_plain(doctype: &str) -> bool {
    let mut words = doctype.split_ascii_whitespace();
    words.next() == Some("nmaprun") && matches!(words.next(), None | Some("PUBLIC")) && !doctype.contains('[')
}

fn too_large() -> XmlError {
    XmlError::TooLarge { what: "a tag", limit: MAX_TAG_BYTES }
}
