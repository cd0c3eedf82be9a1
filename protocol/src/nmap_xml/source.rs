//! Bytes to tags: quick-xml behind the caps on size, attributes and document type.

use super::{MAX_ATTRIBUTES, MAX_TAG_BYTES, XmlError};
use crate::text::Text;
use quick_xml::XmlVersion;
use quick_xml::errors::SyntaxError;
use quick_xml::events::{self, BytesStart};
use std::io::{self, BufRead, BufReader, Read};
use std::str::FromStr;

/// What the document brings next, without what is skipped: declarations, instructions, comments, white space.
pub(super) enum Event {
    Start(Tag),
    Empty(Tag),
    End,
    Text,
    Doctype,
    Eof,
}

/// A start tag with its decoded attributes.
#[derive(Debug)]
pub(super) struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
}

impl Tag {
    fn read(start: &BytesStart<'_>, at: u64) -> Result<Self, XmlError> {
        let malformed = |why| XmlError::Malformed { at, why };
        let mut attributes = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|error| malformed(error.into()))?;
            if attributes.len() >= MAX_ATTRIBUTES {
                return Err(XmlError::TooLarge { what: "a number of attributes", limit: MAX_ATTRIBUTES });
            }
            let value = attribute.normalized_value(XmlVersion::Explicit1_0).map_err(malformed)?;
            attributes.push((attribute.key.as_ref().to_owned(), value.into_owned()));
        }
        Ok(Self { name: start.name().as_ref().to_owned(), attributes })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
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

/// The document as a row of events.
#[derive(Debug)]
pub(super) struct Source<R> {
    xml: quick_xml::Reader<Metered<R>>,
    buffer: Vec<u8>,
}

impl<R: Read> Source<R> {
    pub(super) fn new(input: R) -> Self {
        let mut xml = quick_xml::Reader::from_reader(Metered { input: BufReader::new(input), spent: 0 });
        xml.config_mut().allow_dangling_amp = false;
        Self { xml, buffer: Vec::new() }
    }

    pub(super) fn next(&mut self) -> Result<Event, XmlError> {
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
            return Ok(match event {
                events::Event::Start(start) => Event::Start(Tag::read(&start, at)?),
                events::Event::Empty(start) => Event::Empty(Tag::read(&start, at)?),
                events::Event::End(_) => Event::End,
                events::Event::Text(text) if text.trim_ascii().is_empty() => continue,
                events::Event::Text(_) | events::Event::CData(_) | events::Event::GeneralRef(_) => Event::Text,
                events::Event::DocType(text) if is_plain(&text) => Event::Doctype,
                events::Event::DocType(_) => return Err(XmlError::Doctype),
                events::Event::Decl(_) | events::Event::PI(_) | events::Event::Comment(_) => continue,
                events::Event::Eof => Event::Eof,
            });
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
