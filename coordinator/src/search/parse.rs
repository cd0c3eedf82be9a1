//! Reads a search. What cannot be read is told with what to write instead.

use super::{Field, Pattern, Query, Term, Test};
use protocol::{PortSet, Protocol, TargetSet};
use std::str::FromStr;

/// The longest search, in characters.
pub const MAX_CHARS: usize = 500;
/// The most words and `field:value` in a search.
pub const MAX_TERMS: usize = 32;

/// Why a search was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// Nothing to search for.
    #[error("type what to look for: an address, a name, a port, or field:value such as port:3389")]
    Empty,
    /// Over [`MAX_CHARS`].
    #[error("the search has {0} characters; take at most {MAX_CHARS}")]
    TooLong(usize),
    /// Over [`MAX_TERMS`].
    #[error("the search has {0} terms; take at most {MAX_TERMS}")]
    TooMany(usize),
    /// A quote without its end.
    #[error("a quote is not closed; write \"…\" around what belongs together")]
    OpenQuote,
    /// AND, OR or NOT with nothing to work on.
    #[error("{0} needs something on each side; put \"{0}\" in quotes to search for the word")]
    Dangling(&'static str),
    /// No such field.
    #[error(
        "{0} is no field; the fields are {fields}; put the term in quotes to search for it as it stands",
        fields = Field::ALL.map(Field::name).join(", ")
    )]
    UnknownField(String),
    /// A field without a value.
    #[error("{0}: has no value; write for instance {0}:{example}", example = example(.0))]
    NoValue(FieldName),
    /// Not ports.
    #[error("port:{value}: {reason}")]
    BadPort {
        /// As typed.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A field as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldName(pub Field);

impl std::fmt::Display for FieldName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.name())
    }
}

fn example(FieldName(field): &FieldName) -> &'static str {
    match field {
        Field::Address => "10.0.0.0/24",
        Field::Name => "web*",
        Field::Network => "office",
        Field::Site => "main",
        Field::Port => "443/tcp",
        Field::Service => "nginx",
        Field::Os => "linux",
        Field::Mac => "00:11:22*",
        Field::Severity => "critical",
        Field::State => "open",
        Field::Rule => "RDP",
        Field::Node => "first",
    }
}

/// A character, and whether it stood in quotes.
type Typed = (char, bool);

/// What stands between blanks.
struct Token(Vec<Typed>);

enum Piece {
    And,
    Or,
    Not,
    Term(Term),
}

impl FromStr for Query {
    type Err = SearchError;

    fn from_str(text: &str) -> Result<Self, SearchError> {
        let length = text.chars().count();
        if length > MAX_CHARS {
            return Err(SearchError::TooLong(length));
        }
        let tokens = tokens(text)?;
        if tokens.len() > MAX_TERMS {
            return Err(SearchError::TooMany(tokens.len()));
        }
        join(tokens.into_iter().map(|token| token.read()).collect::<Result<_, _>>()?)
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, SearchError> {
    let (mut tokens, mut current, mut is_quoted) = (Vec::new(), Vec::new(), false);
    for character in text.chars() {
        match character {
            '"' => is_quoted = !is_quoted,
            blank if blank.is_whitespace() && !is_quoted => {
                if !current.is_empty() {
                    tokens.push(Token(std::mem::take(&mut current)));
                }
            }
            other => current.push((other, is_quoted)),
        }
    }
    if is_quoted {
        return Err(SearchError::OpenQuote);
    }
    if !current.is_empty() {
        tokens.push(Token(current));
    }
    Ok(tokens)
}

impl Token {
    fn read(self) -> Result<Piece, SearchError> {
        match self.plain().as_deref() {
            Some("AND") => return Ok(Piece::And),
            Some("OR") => return Ok(Piece::Or),
            Some("NOT") => return Ok(Piece::Not),
            Some(_) | None => {}
        }
        let (field, value) = match self.field() {
            Some((word, value)) => {
                (Some(Field::of(&word.to_lowercase()).ok_or(SearchError::UnknownField(word))?), value)
            }
            None => (None, self.0.as_slice()),
        };
        Ok(Piece::Term(Term { is_not: false, field, test: test(field, value)? }))
    }

    /// Its text, when no quote was involved.
    fn plain(&self) -> Option<String> {
        self.0.iter().map(|(character, is_quoted)| (!is_quoted).then_some(*character)).collect()
    }

    /// What stands before and after the first `:`, when that makes a field: an address or a MAC address has one too.
    fn field(&self) -> Option<(String, &[Typed])> {
        let at = self.0.iter().position(|typed| *typed == (':', false))?;
        let (before, after) = self.0.split_at(at);
        let word: String = before.iter().map(|(character, _)| *character).collect();
        let is_word = !word.is_empty() && before.iter().all(|(c, is_quoted)| c.is_ascii_alphabetic() && !is_quoted);
        let is_of_digits = |text: &str| {
            text.matches(':').count() > 1 && text.chars().all(|c| c.is_ascii_hexdigit() || ":*./".contains(c))
        };
        let is_address = self.plain().is_some_and(|text| is_of_digits(&text)) && Field::of(&word).is_none();
        (is_word && !is_address).then_some((word, after.get(1..).unwrap_or_default()))
    }
}

fn test(field: Option<Field>, value: &[Typed]) -> Result<Test, SearchError> {
    let text: String = value.iter().map(|(character, _)| *character).collect();
    if let Some(field) = field.filter(|_| text.trim().is_empty()) {
        return Err(SearchError::NoValue(FieldName(field)));
    }
    let pattern = pattern(value);
    let is_quoted = value.iter().any(|(_, is_quoted)| *is_quoted);
    Ok(match field {
        Some(Field::Port) => Test::Ports(ports(&text)?),
        Some(Field::Address) => Test::Word { addresses: text.parse().ok(), text: pattern, ports: None },
        Some(_) => Test::Text(pattern),
        None if is_quoted => Test::Text(pattern),
        None => Test::Word {
            addresses: text.parse::<TargetSet>().ok().filter(|_| text.parse::<u32>().is_err()),
            ports: text.parse::<u16>().is_ok().then(|| ports(&text)).transpose()?,
            text: pattern,
        },
    })
}

/// `443`, `22,80`, `U:53` or `443/tcp`; a number without a protocol means every protocol.
fn ports(text: &str) -> Result<PortSet, SearchError> {
    let bad = |reason: String| SearchError::BadPort { value: text.to_owned(), reason };
    if let Some((number, protocol)) = text.split_once('/') {
        let protocol: Protocol = protocol
            .to_ascii_lowercase()
            .parse()
            .map_err(|_| bad("write tcp, udp or sctp behind the /, such as 443/tcp".to_owned()))?;
        let port = number.parse().map_err(|_| bad("write a number before the /, such as 443/tcp".to_owned()))?;
        return Ok(PortSet::from_ports(protocol, [port]));
    }
    let set: PortSet = text.parse().map_err(|error| bad(format!("{error}")))?;
    if text.contains(':') {
        return Ok(set);
    }
    let of = |protocol| PortSet::from_ranges(protocol, set.ranges(Protocol::Tcp).iter().copied());
    Ok(Protocol::ALL.into_iter().fold(PortSet::empty(), |all, protocol| all.union(&of(protocol))))
}

/// The text in lower case, cut at each `*` that is not quoted.
fn pattern(value: &[Typed]) -> Pattern {
    let parts = value.split(|typed| *typed == ('*', false));
    let lower = |part: &[Typed]| part.iter().flat_map(|(character, _)| character.to_lowercase()).collect();
    Pattern { parts: parts.map(lower).collect() }
}

/// Puts the pieces together.
fn join(pieces: Vec<Piece>) -> Result<Query, SearchError> {
    let (mut any, mut all) = (Vec::new(), Vec::new());
    // What was read last and still waits for what comes after it.
    let (mut waits, mut is_not) = (None::<&'static str>, false);
    for piece in pieces {
        match piece {
            Piece::Term(term) => {
                all.push(Term { is_not, ..term });
                (waits, is_not) = (None, false);
            }
            Piece::Not => (waits, is_not) = (Some("NOT"), !is_not),
            Piece::And if waits.is_none() && !all.is_empty() => waits = Some("AND"),
            Piece::Or if waits.is_none() && !all.is_empty() => {
                any.push(std::mem::take(&mut all));
                waits = Some("OR");
            }
            Piece::And => return Err(SearchError::Dangling("AND")),
            Piece::Or => return Err(SearchError::Dangling("OR")),
        }
    }
    match waits {
        Some(word) => return Err(SearchError::Dangling(word)),
        None if all.is_empty() => return Err(SearchError::Empty),
        None => any.push(all),
    }
    Ok(Query { any })
}
