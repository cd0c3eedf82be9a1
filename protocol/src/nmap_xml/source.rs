//! Bytes to tags: quick-xml behind the caps on size, attributes and document type.

use super::{MAX_ATTRIBUTES, MAX_TAG_BYTES, XmlError};
use crate::text::Text;
use quick_xml::XmlVersion;
use quick_xml::errors::{IllFormedError, SyntaxError};
use quick_xml::events;
use quick_xml::events::attributes::{AttrError, Attribute};
use quick_xml::name::QName;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::collections::HashSet;
use std::io::{self, Read};
use std::str::FromStr;

/// The most bytes that are read ahead.
const WINDOW_BYTES: usize = 4 * MAX_TAG_BYTES;
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// What the document brings next, without what is skipped: declarations, instructions, comments, white space.
pub(super) enum Event<'a> {
    Start(Tag<'a>),
    Empty(Tag<'a>),
    End,
    Text,
    Doctype,
    Eof,
}

/// A start tag with its attributes.
#[derive(Debug)]
pub(super) struct Tag<'a> {
    name: &'a str,
    attributes: SmallVec<[(&'a str, &'a str); 12]>,
    /// In the order of `attributes`; empty when all of them are as they stand.
    decoded: Vec<String>,
}

impl<'a> Tag<'a> {
    fn read(name: &'a str, attributes: &'a str, at: u64) -> Result<Self, XmlError> {
        let malformed = |why| XmlError::Malformed { at, why };
        let mut rest = attributes.trim_ascii_start();
        let (mut attributes, mut decoded) = (SmallVec::<[(&str, &str); 12]>::new(), Vec::new());
        let plain = is_plain_text(rest);
        while !rest.is_empty() {
            let (key, value, behind) = split_attribute(rest).map_err(|why| malformed(why.into()))?;
            if attributes.iter().any(|(known, _)| *known == key) {
                return Err(malformed(AttrError::Duplicated(0, 0).into()));
            }
            if attributes.len() >= MAX_ATTRIBUTES {
                return Err(XmlError::TooLarge { what: "a number of attributes", limit: MAX_ATTRIBUTES });
            }
            if !plain {
                decoded.push(decode(value).map_err(malformed)?);
            }
            attributes.push((key, value));
            rest = behind.trim_ascii_start();
        }
        Ok(Self { name, attributes, decoded })
    }

    pub(super) fn name(&self) -> &str {
        self.name
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        let at = self.attributes.iter().position(|(name, _)| *name == key)?;
        self.decoded.get(at).map(String::as_str).or_else(|| self.attributes.get(at).map(|(_, value)| *value))
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
fn decode(value: &str) -> Result<String, quick_xml::Error> {
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

/// Takes the events of a document.
pub(super) trait Sink {
    /// What it makes of them.
    type Found;

    /// Takes one; `end` is where in the document it ends.
    fn take(&mut self, event: Event<'_>, end: u64) -> Result<Option<Self::Found>, XmlError>;

    /// True when what comes next may be known by its bytes.
    fn may_skip(&self) -> bool;

    /// Takes what it knows by its bytes off the beginning of `ahead`, which lies at `offset` of the document; returns how
    /// many bytes that were. They are whole elements and white space.
    fn skip(&mut self, ahead: &[u8], offset: u64) -> Result<usize, XmlError>;
}

/// Why the window was left.
enum Stopped<T> {
    Found(T),
    AtEnd,
    BeforeKnown,
}

/// The document as a row of events.
///
/// quick-xml reads from a window on the document, so that its events borrow from there and nothing is copied. What
/// touches the end of the window is read again when the window has moved on.
#[derive(Debug)]
pub(super) struct Source<R> {
    input: R,
    window: Vec<u8>,
    /// What is read and not yet taken lies at `at..filled` of the window.
    at: usize,
    filled: usize,
    /// Bytes of the document before the window.
    before: u64,
    /// The window holds the document's last byte.
    ended: bool,
    open: OpenNames,
}

impl<R: Read> Source<R> {
    pub(super) fn new(input: R) -> Self {
        let window = vec![0; WINDOW_BYTES];
        Self { input, window, at: 0, filled: 0, before: 0, ended: false, open: OpenNames::default() }
    }

    /// Gives event after event to `sink` until that makes something of one. An event lives no longer than its call.
    pub(super) fn until<S: Sink>(&mut self, sink: &mut S) -> Result<S::Found, XmlError> {
        loop {
            if let Some(found) = self.read_window(sink)? {
                return Ok(found);
            }
            if self.filled - self.at > MAX_TAG_BYTES {
                return Err(too_large());
            }
            self.move_on()?;
        }
    }

    /// `None` when the window has nothing whole any more.
    fn read_window<S: Sink>(&mut self, sink: &mut S) -> Result<Option<S::Found>, XmlError> {
        loop {
            let ahead = self.window.get(self.at..self.filled).unwrap_or_default();
            let mark = if ahead.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
            self.at += mark + sink.skip(ahead.get(mark..).unwrap_or_default(), self.offset(mark))?;
            match self.read_events(sink)? {
                Stopped::Found(found) => return Ok(Some(found)),
                Stopped::AtEnd => return Ok(None),
                Stopped::BeforeKnown => {}
            }
        }
    }

    /// Where in the document the byte `behind` what was taken lies.
    fn offset(&self, behind: usize) -> u64 {
        self.before.saturating_add(bytes(self.at)).saturating_add(bytes(behind))
    }

    fn read_events<S: Sink>(&mut self, sink: &mut S) -> Result<Stopped<S::Found>, XmlError> {
        let offset = self.offset(0);
        let Self { window, at: taken, filled, ended, open, .. } = self;
        let rest = window.get(*taken..*filled).unwrap_or_default();
        let mut xml = quick_xml::Reader::from_reader(rest);
        let config = xml.config_mut();
        config.allow_dangling_amp = false;
        // Its memory of open elements ends with the window, ours does not.
        (config.check_end_names, config.allow_unmatched_ends) = (false, true);
        let start = *taken;
        loop {
            let from = *taken - start;
            let event = xml.read_event();
            let to = usize::try_from(xml.buffer_position()).unwrap_or(usize::MAX);
            if !*ended && may_go_on(&event, rest.len() - from, to == rest.len()) {
                return Ok(Stopped::AtEnd);
            }
            let at = offset.saturating_add(bytes(from));
            if to - from > MAX_TAG_BYTES {
                return Err(too_large());
            }
            *taken = start + to;
            let event = event.map_err(|why| explain(why, at))?;
            let event = match &event {
                events::Event::Start(tag) => {
                    open.push(tag.name().into_inner());
                    Event::Start(Tag::read(tag.name().into_inner(), tag.attributes_raw(), at)?)
                }
                events::Event::Empty(tag) => {
                    Event::Empty(Tag::read(tag.name().into_inner(), tag.attributes_raw(), at)?)
                }
                events::Event::End(tag) => {
                    open.pop(tag.name().into_inner()).map_err(|why| XmlError::Malformed { at, why: why.into() })?;
                    Event::End
                }
                events::Event::Text(text) if text.trim_ascii().is_empty() => continue,
                events::Event::Text(_) | events::Event::CData(_) | events::Event::GeneralRef(_) => Event::Text,
                events::Event::DocType(text) if is_plain(text) => Event::Doctype,
                events::Event::DocType(_) => return Err(XmlError::Doctype),
                events::Event::Decl(_) | events::Event::PI(_) | events::Event::Comment(_) => continue,
                events::Event::Eof => Event::Eof,
            };
            if let Some(found) = sink.take(event, offset.saturating_add(bytes(to)))? {
                return Ok(Stopped::Found(found));
            }
            if sink.may_skip() {
                return Ok(Stopped::BeforeKnown);
            }
        }
    }

    /// Drops what was taken and reads on behind the rest, as far as one read gives.
    fn move_on(&mut self) -> Result<(), XmlError> {
        self.window.copy_within(self.at..self.filled, 0);
        self.before = self.before.saturating_add(bytes(self.at));
        self.filled -= self.at;
        self.at = 0;
        let room = self.window.get_mut(self.filled..).unwrap_or_default();
        let count = loop {
            match self.input.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read.map_err(|error| XmlError::Read(error.into()))?,
            }
        };
        self.filled += count;
        self.ended = count == 0;
        Ok(())
    }
}

fn bytes(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// True for what could read otherwise with more bytes behind it. A tag, comment or instruction has its own end.
fn may_go_on(event: &Result<events::Event<'_>, quick_xml::Error>, rest: usize, at_end: bool) -> bool {
    match event {
        Ok(events::Event::Text(_) | events::Event::Eof) => at_end,
        Ok(_) => false,
        // `<` and `<!` are errors before the reader moves.
        Err(_) => at_end || rest <= 2,
    }
}

/// The names of the open elements, one behind the other.
#[derive(Debug, Default)]
struct OpenNames {
    names: String,
    starts: Vec<usize>,
}

impl OpenNames {
    fn push(&mut self, name: &str) {
        self.starts.push(self.names.len());
        self.names.push_str(name);
    }

    fn pop(&mut self, found: &str) -> Result<(), IllFormedError> {
        let Some(start) = self.starts.pop() else { return Err(IllFormedError::UnmatchedEndTag(found.to_owned())) };
        let expected = self.names.get(start..).unwrap_or_default();
        if expected != found {
            let (expected, found) = (expected.to_owned(), found.to_owned());
            return Err(IllFormedError::MismatchedEndTag { expected, found });
        }
        self.names.truncate(start);
        Ok(())
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
fn explain(why: quick_xml::Error, at: u64) -> XmlError {
    if let quick_xml::Error::Syntax(error) = &why
        && *error != SyntaxError::InvalidBangMarkup
    {
        return XmlError::Cut;
    }
    XmlError::Malformed { at, why }
}
