//! Bytes to tags: quick-xml behind the caps on size, attributes and document type.

use super::{MAX_ATTRIBUTES, MAX_TAG_BYTES, XmlError};
use crate::text::Text;
use quick_xml::XmlVersion;
use quick_xml::errors::SyntaxError;
use quick_xml::events::attributes::{AttrError, Attribute};
use quick_xml::events::{self, BytesStart};
use quick_xml::name::QName;
use std::borrow::Cow;
use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Read};
use std::str::FromStr;

/// The most bytes that are read ahead.
const READ_AHEAD: usize = 128 << 10;

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
    attributes: Vec<(&'a str, Cow<'a, str>)>,
}

impl<'a> Tag<'a> {
    fn read(start: &'a BytesStart<'_>, at: u64) -> Result<Self, XmlError> {
        let malformed = |why| XmlError::Malformed { at, why };
        let mut attributes: Vec<(&str, Cow<'_, str>)> = Vec::with_capacity(8);
        let mut rest = start.attributes_raw().trim_ascii_start();
        let plain = is_plain_text(rest);
        while !rest.is_empty() {
            let (key, value, behind) = split_attribute(rest).map_err(|why| malformed(why.into()))?;
            if attributes.iter().any(|(known, _)| *known == key) {
                return Err(malformed(AttrError::Duplicated(0, 0).into()));
            }
            if attributes.len() >= MAX_ATTRIBUTES {
                return Err(XmlError::TooLarge { what: "a number of attributes", limit: MAX_ATTRIBUTES });
            }
            let value = if plain { Cow::Borrowed(value) } else { decoded(value).map_err(malformed)? };
            attributes.push((key, value));
            rest = behind.trim_ascii_start();
        }
        Ok(Self { name: start.name().into_inner(), attributes })
    }

    pub(super) fn name(&self) -> &str {
        self.name
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|(name, _)| *name == key).map(|(_, value)| value.as_ref())
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

/// Name, value, and what follows. Done here because quick-xml's iterator, with its list of names, was a quarter of the
/// time that reading takes.
fn split_attribute(text: &str) -> Result<(&str, &str, &str), AttrError> {
    let end = text.bytes().position(|byte| byte == b'=' || byte.is_ascii_whitespace());
    let (key, value) = end.and_then(|end| text.split_at_checked(end)).ok_or(AttrError::ExpectedEq(0))?;
    let value = value.trim_ascii_start().strip_prefix('=').ok_or(AttrError::ExpectedEq(0))?.trim_ascii_start();
    if key.is_empty() {
        return Err(AttrError::ExpectedEq(0));
    }
    let value_and_rest = match value.as_bytes().first() {
        Some(b'"') => value.get(1..).and_then(|value| value.split_once('"')),
        Some(b'\'') => value.get(1..).and_then(|value| value.split_once('\'')),
        Some(_) => return Err(AttrError::UnquotedValue(0)),
        None => return Err(AttrError::ExpectedValue(0)),
    };
    let (value, rest) = value_and_rest.ok_or(AttrError::ExpectedQuote(0, b'"'))?;
    Ok((key, value, rest))
}

/// True when no value in it has references or line ends. Without an early end this is done many bytes at a time.
fn is_plain_text(text: &str) -> bool {
    !text.bytes().fold(false, |found, byte| found | matches!(byte, b'&' | b'\t' | b'\n' | b'\r'))
}

/// The value with its references and line ends as XML 1.0 reads them.
fn decoded(value: &str) -> Result<Cow<'_, str>, quick_xml::Error> {
    let attribute = Attribute { key: QName(""), value: Cow::Borrowed(value) };
    Ok(Cow::Owned(attribute.normalized_value(XmlVersion::Explicit1_0)?.into_owned()))
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

/// The document as a row of events.
#[derive(Debug)]
pub(super) struct Source<R> {
    xml: quick_xml::Reader<Metered<R>>,
    buffer: Vec<u8>,
}

impl<R: Read> Source<R> {
    pub(super) fn new(input: R) -> Self {
        let mut xml =
            quick_xml::Reader::from_reader(Metered { input: BufReader::with_capacity(READ_AHEAD, input), spent: 0 });
        xml.config_mut().allow_dangling_amp = false;
        Self { xml, buffer: Vec::new() }
    }

    /// Reads the next event and gives it to `take`; an event lives no longer than that.
    pub(super) fn next<T>(&mut self, take: impl FnOnce(Event<'_>) -> Result<T, XmlError>) -> Result<T, XmlError> {
        loop {
            let at = self.xml.buffer_position();
            self.buffer.clear();
            self.xml.get_mut().spent = 0;
            let event = self.xml.read_event_into(&mut self.buffer);
            let spent = self.xml.get_ref().is_spent();
            let event = event.map_err(|why| explain(why, at, spent))?;
            if spent {
                return Err(too_large());
            }
            return match event {
                events::Event::Start(start) => take(Event::Start(Tag::read(&start, at)?)),
                events::Event::Empty(start) => take(Event::Empty(Tag::read(&start, at)?)),
                events::Event::End(_) => take(Event::End),
                events::Event::Text(text) if text.trim_ascii().is_empty() => continue,
                events::Event::Text(_) | events::Event::CData(_) | events::Event::GeneralRef(_) => take(Event::Text),
                events::Event::DocType(text) if is_plain(&text) => take(Event::Doctype),
                events::Event::DocType(_) => Err(XmlError::Doctype),
                events::Event::Decl(_) | events::Event::PI(_) | events::Event::Comment(_) => continue,
                events::Event::Eof => take(Event::Eof),
            };
        }
    }
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

/// quick-xml calls it a syntax error when the bytes end inside of something.
fn explain(why: quick_xml::Error, at: u64, spent: bool) -> XmlError {
    if let quick_xml::Error::Io(error) = why {
        return if spent { too_large() } else { XmlError::Read(error) };
    }
    if let quick_xml::Error::Syntax(error) = &why
        && *error != SyntaxError::InvalidBangMarkup
    {
        return XmlError::Cut;
    }
    XmlError::Malformed { at, why }
}

/// Lets one event take at most [`MAX_TAG_BYTES`], so that an endless tag fills no memory.
#[derive(Debug)]
struct Metered<R> {
    input: BufReader<R>,
    spent: usize,
}

impl<R> Metered<R> {
    fn is_spent(&self) -> bool {
        self.spent > MAX_TAG_BYTES
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: Read> BufRead for Metered<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.is_spent() { Err(io::Error::other("one tag is too large")) } else { self.input.fill_buf() }
    }

    fn consume(&mut self, amount: usize) {
        self.spent = self.spent.saturating_add(amount);
        self.input.consume(amount);
    }
}
