//! What people search for: words and `field:value`, joined by AND, OR and NOT, with quotes and `*`. Reading it is in
//! `parse`; here stands whether a thing fits. Nothing here reads the store.
//!
//! NOT binds tightest, then AND, which may be left out, then OR. A text fits when it has the value somewhere in it, in upper
//! or lower case; a value with `*` must fit as a whole. Addresses fit by range, ports by number.

mod parse;
#[cfg(test)]
mod tests;

pub use parse::{MAX_CHARS, MAX_TERMS, SearchError};

use crate::analysis::delta::PortId;
use memchr::memchr2;
use protocol::{PortSet, TargetSet};
use std::net::IpAddr;

/// What can stand before the `:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// Of a host or a node, or among the targets of a network.
    Address,
    /// Of a host, a node or a network.
    Name,
    /// The network's name.
    Network,
    /// Where it is.
    Site,
    /// An open port, or an alert's.
    Port,
    /// What answers on a port.
    Service,
    /// Operating system.
    Os,
    /// Link address, or its vendor.
    Mac,
    /// Of an alert.
    Severity,
    /// Of an alert or a node.
    State,
    /// Of an alert.
    Rule,
    /// A node's label or fingerprint.
    Node,
}

impl Field {
    /// Every field.
    pub const ALL: [Self; 12] = [
        Self::Address,
        Self::Name,
        Self::Network,
        Self::Site,
        Self::Port,
        Self::Service,
        Self::Os,
        Self::Mac,
        Self::Severity,
        Self::State,
        Self::Rule,
        Self::Node,
    ];

    /// The word that is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Name => "name",
            Self::Network => "network",
            Self::Site => "site",
            Self::Port => "port",
            Self::Service => "service",
            Self::Os => "os",
            Self::Mac => "mac",
            Self::Severity => "severity",
            Self::State => "state",
            Self::Rule => "rule",
            Self::Node => "node",
        }
    }

    /// By its word, or by another one that people use for it.
    fn of(word: &str) -> Option<Self> {
        let word = match word {
            "ip" => "address",
            "host" => "name",
            "scan" => "network",
            "client" => "node",
            other => other,
        };
        Self::ALL.into_iter().find(|field| field.name() == word)
    }
}

/// One thing that is said of what is searched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fact<'a> {
    /// Text under a field.
    Text(Field, &'a str),
    /// It is at this address.
    Address(IpAddr),
    /// It is about these addresses.
    Targets(&'a TargetSet),
    /// This port is open there.
    Port(PortId),
}

/// A search that was understood: one of these must fit, with all its terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    any: Vec<Vec<Term>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    is_not: bool,
    field: Option<Field>,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    /// A text has it.
    Text(Pattern),
    /// Ports are among these.
    Ports(PortSet),
    /// A text has it, or addresses or ports are among these.
    Word { text: Pattern, addresses: Option<TargetSet>, ports: Option<PortSet> },
}

/// Text in lower case with gaps for whatever: `*` leaves one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    parts: Vec<String>,
}

impl Query {
    /// Whether a thing fits. `fields` are those that a thing of its kind has: a search by another one never fits it,
    /// not even with NOT.
    pub fn fits(&self, fields: &[Field], facts: &[Fact<'_>]) -> bool {
        let is_known = |term: &Term| term.field.is_none_or(|field| fields.contains(&field));
        let fits = |term: &Term| is_known(term) && facts.iter().any(|fact| term.is_in(fact)) != term.is_not;
        self.any.iter().any(|all| all.iter().all(fits))
    }

    /// Whether a field is asked for anywhere.
    pub fn names(&self, field: Field) -> bool {
        self.any.iter().flatten().any(|term| term.field == Some(field))
    }
}

impl Term {
    fn is_in(&self, fact: &Fact<'_>) -> bool {
        let is_asked = |field: Field| self.field.is_none_or(|asked| asked == field);
        match fact {
            Fact::Text(field, text) => {
                is_asked(*field) && self.test.pattern().is_some_and(|pattern| pattern.is_in(text))
            }
            Fact::Address(address) => is_asked(Field::Address) && self.test.takes_address(*address),
            Fact::Targets(targets) => is_asked(Field::Address) && self.test.takes_targets(targets),
            Fact::Port(port) => is_asked(Field::Port) && self.test.takes_port(*port),
        }
    }
}

impl Test {
    fn pattern(&self) -> Option<&Pattern> {
        match self {
            Self::Text(pattern) | Self::Word { text: pattern, .. } => Some(pattern),
            Self::Ports(_) => None,
        }
    }

    fn takes_address(&self, address: IpAddr) -> bool {
        match self {
            Self::Word { addresses: Some(wanted), .. } => wanted.contains(address),
            // A bare number is a port, or stands in a name: as part of an address it would fit half of them.
            Self::Word { ports: Some(_), .. } | Self::Ports(_) => false,
            Self::Word { text, .. } | Self::Text(text) => text.can_be_in_address() && text.is_in(&address.to_string()),
        }
    }

    fn takes_targets(&self, targets: &TargetSet) -> bool {
        match self {
            Self::Word { addresses: Some(wanted), .. } => !targets.intersection(wanted).is_empty(),
            Self::Word { ports: Some(_), .. } | Self::Ports(_) => false,
            Self::Word { text, .. } | Self::Text(text) => text.is_in(&targets.to_string()),
        }
    }

    fn takes_port(&self, port: PortId) -> bool {
        match self {
            Self::Ports(wanted) | Self::Word { ports: Some(wanted), .. } => wanted.contains(port.protocol, port.port),
            Self::Word { .. } | Self::Text(_) => false,
        }
    }
}

impl Pattern {
    /// False when it has what no address has: then none need be written out for it.
    fn can_be_in_address(&self) -> bool {
        self.parts.iter().flat_map(|part| part.bytes()).all(|byte| byte.is_ascii_hexdigit() || b".:".contains(&byte))
    }

    /// With one part it may stand anywhere; with more the first must be the beginning and the last the end.
    fn is_in(&self, text: &str) -> bool {
        match text.is_ascii() {
            // Most text is, and is not copied.
            true => self.is_in_lowered(text.as_bytes()),
            false => self.is_in_lowered(text.to_lowercase().as_bytes()),
        }
    }

    /// In text that is in lower case, but for letters of ASCII.
    fn is_in_lowered(&self, text: &[u8]) -> bool {
        match self.parts.as_slice() {
            [] => true,
            [part] => behind(text, part).is_some(),
            [first, middle @ .., last] => {
                let begins = text.get(..first.len()).is_some_and(|start| start.eq_ignore_ascii_case(first.as_bytes()));
                let rest = text.get(first.len()..).filter(|_| begins);
                let rest = middle.iter().fold(rest, |rest, part| behind(rest?, part));
                let end = rest.and_then(|rest| rest.get(rest.len().checked_sub(last.len())?..));
                end.is_some_and(|end| end.eq_ignore_ascii_case(last.as_bytes()))
            }
        }
    }
}

/// What comes after the first place in `text` where `part` stands.
fn behind<'a>(text: &'a [u8], part: &str) -> Option<&'a [u8]> {
    let Some((first, rest)) = part.as_bytes().split_first() else { return Some(text) };
    let mut from = text;
    loop {
        let at = memchr2(*first, first.to_ascii_uppercase(), from)?;
        from = from.get(at + 1..)?;
        if from.get(..rest.len())?.eq_ignore_ascii_case(rest) {
            return from.get(rest.len()..);
        }
    }
}
