//! Why scan arguments were not taken: each message names the option as typed, the reason, and what to do.

use super::value::Unfit;
use crate::port::Protocol;
use crate::text::Text;

/// The longest part of a typed word that a message repeats, in characters.
const MAX_SHOWN_CHARACTERS: usize = 60;

/// Why scan arguments were not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArgsError {
    /// More text than any sensible scan needs.
    #[error("the scan arguments have {size} bytes, more than the {limit} allowed; shorten them")]
    TooLong {
        /// Bytes there are.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// A word that is no option, such as a target.
    #[error("`{0}` is not an option; targets and ports have their own fields, and quotes are not read")]
    NotAnOption(String),
    /// Not in the table.
    #[error("`{0}` is not an option that is taken here; remove it")]
    Unknown(String),
    /// Nearly an option.
    #[error("`{typed}` is not exact; write `{exact}`")]
    Inexact {
        /// As typed.
        typed: String,
        /// The spelling that is taken.
        exact: String,
    },
    /// The node sets it.
    #[error("`{0}` is set by the node; remove it")]
    SetByNode(String),
    /// Refused by the table.
    #[error("`{option}` is refused: {reason}")]
    Refused {
        /// As typed.
        option: String,
        /// Why, and what to do.
        reason: &'static str,
    },
    /// The same option again.
    #[error("`{0}` is given twice; keep one")]
    Twice(&'static str),
    /// The text ends where a value should stand.
    #[error("`{option}` has no value; write {wanted}")]
    NoValue {
        /// As typed.
        option: String,
        /// What to write.
        wanted: String,
    },
    /// A value at an option that takes none.
    #[error("`{typed}` has a value, but `{option}` takes none; remove it")]
    NeedlessValue {
        /// As typed.
        typed: String,
        /// The option alone.
        option: &'static str,
    },
    /// A value outside its bounds.
    #[error("the value of `{typed}` is not fit; write {wanted}")]
    BadValue {
        /// As typed.
        typed: String,
        /// What to write.
        wanted: String,
    },
    /// A script that is not taken.
    #[error("`{typed}` is refused: {reason}")]
    Script {
        /// As typed.
        typed: String,
        /// Why, and what to do.
        reason: String,
    },
    /// Letters behind `-s` that cannot be joined.
    #[error("`{typed}` cannot be joined; write its letters apart, only T, S, U, V, C and n join")]
    NotJoined {
        /// As typed.
        typed: String,
    },
    /// Two options that exclude each other.
    #[error("`{first}` and `{second}` do not go together: {reason}; remove one")]
    Together {
        /// One of them.
        first: &'static str,
        /// The other.
        second: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// A lower bound above its upper bound.
    #[error("`{low}` is above `{high}`; swap the values")]
    Backwards {
        /// The option that must not be greater.
        low: &'static str,
        /// The option that must not be less.
        high: &'static str,
    },
    /// An option that does nothing alone.
    #[error("`{option}` needs {other}; add one or remove it")]
    Needs {
        /// The option.
        option: &'static str,
        /// What it needs.
        other: &'static str,
    },
    /// An option that leaves no room for a port field.
    #[error("`{option}` does not go with a port field: {reason}; remove one")]
    WithPorts {
        /// The option.
        option: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// Ports that nothing scans.
    #[error(
        "the port field names {protocol} ports, but the arguments scan none; add {option}, or write them as {prefix}"
    )]
    PortsNotScanned {
        /// Their protocol.
        protocol: Protocol,
        /// What scans them.
        option: &'static str,
        /// How the other protocols are written.
        prefix: &'static str,
    },
    /// A protocol that the port field leaves out.
    #[error("the arguments scan {protocol}, but the port field names no such port; add one as {prefix}")]
    NoPortsOf {
        /// The protocol.
        protocol: Protocol,
        /// How its ports are written.
        prefix: &'static str,
    },
    /// An option that IPv6 does not know.
    #[error("`{0}` works with IPv4 only, but the targets hold IPv6 addresses; use -PE or remove them")]
    OnlyIpv4(&'static str),
    /// So slow that the run would not end.
    #[error(
        "`-T{level}` is so slow that it takes at most {limit} addresses, these are {count}; use -T2 or fewer addresses"
    )]
    TooManyForTiming {
        /// 0 or 1.
        level: u8,
        /// Addresses allowed.
        limit: u128,
        /// Addresses there are.
        count: u128,
    },
}

impl ArgsError {
    pub(super) fn unfit(typed: &str, wanted: String, unfit: Unfit) -> Self {
        let typed = shown(typed);
        match unfit {
            Unfit::NotWanted => Self::BadValue { typed, wanted },
            Unfit::Script(reason) => Self::Script { typed, reason: reason.to_string() },
        }
    }
}

/// What was typed, harmless and short enough for a message.
pub(super) fn shown(typed: &str) -> String {
    let clean = Text::new(typed).to_string();
    match clean.char_indices().nth(MAX_SHOWN_CHARACTERS) {
        Some((at, _)) => format!("{}…", clean.get(..at).unwrap_or_default()),
        None => clean,
    }
}
