//! From text to options, word by word and by exact match: nmap itself takes abbreviations, one dash for two, and glued
//! values, so that a text it reads in one way could pass a looser check in another.

use super::error::{ArgsError, shown};
use super::table::{Opt, REFUSED, Row, SET_BY_NODE, TAKEN, row_of};
use super::value::{Form, Value};
use std::collections::BTreeMap;
use std::str::SplitAsciiWhitespace;

/// The longest text of arguments, in bytes; every listed script by name fits.
const MAX_TEXT_BYTES: usize = 8_192;

/// The letters that may be joined behind one `-s`.
const JOINED: [(char, Opt); 6] = [
    ('T', Opt::Connect),
    ('S', Opt::Syn),
    ('U', Opt::Udp),
    ('V', Opt::Services),
    ('C', Opt::DefaultScripts),
    ('n', Opt::DiscoveryOnly),
];

/// The options of `text`, each at most once.
pub(super) fn parse(text: &str) -> Result<BTreeMap<Opt, Value>, ArgsError> {
    check_length(text)?;
    let mut given = BTreeMap::new();
    let mut words = text.split_ascii_whitespace();
    while let Some(word) = words.next() {
        for (row, value) in read(word, &mut words)? {
            if given.insert(row.option, value).is_some() {
                return Err(ArgsError::Twice(row.name));
            }
        }
    }
    Ok(given)
}

/// Holds for typed and for canonical text, which may be a little longer: what is stored must be readable again.
pub(super) fn check_length(text: &str) -> Result<(), ArgsError> {
    match text.len() {
        size if size > MAX_TEXT_BYTES => Err(ArgsError::TooLong { size, limit: MAX_TEXT_BYTES }),
        _ => Ok(()),
    }
}

type Given = (&'static Row, Value);

fn read(word: &str, rest: &mut SplitAsciiWhitespace<'_>) -> Result<Vec<Given>, ArgsError> {
    if !word.starts_with('-') {
        return Err(ArgsError::NotAnOption(shown(word)));
    }
    if word.starts_with("--") {
        return read_long(word, rest).map(|given| vec![given]);
    }
    if let Some(row) = TAKEN.iter().find(|row| row.form == Form::Flag && row.name == word) {
        return Ok(vec![(row, Value::None)]);
    }
    if let Some(refused) = listed_refusal(word, word, rest.clone().next()) {
        return Err(refused);
    }
    if let Some(given) = read_glued(word) {
        return given.map(|given| vec![given]);
    }
    read_joined(word).unwrap_or_else(|| Err(unknown(word)))
}

/// `--name`, `--name value` or `--name=value`.
fn read_long(word: &str, rest: &mut SplitAsciiWhitespace<'_>) -> Result<Given, ArgsError> {
    let (name, glued) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
    let Some(row) = TAKEN.iter().find(|row| row.name == name) else {
        return Err(listed_refusal(name, word, None).unwrap_or_else(|| unknown(word)));
    };
    match (row.form, glued) {
        (Form::Flag, None) => Ok((row, Value::None)),
        (Form::Flag, Some(_)) => Err(ArgsError::NeedlessValue { typed: shown(word), option: row.name }),
        (form, Some(value)) => read_value(row, form, value, word),
        (form, None) => match rest.next() {
            Some(value) => read_value(row, form, value, &format!("{word} {value}")),
            None => Err(ArgsError::NoValue { option: shown(word), wanted: form.wanted() }),
        },
    }
}

fn read_value(row: &'static Row, form: Form, value: &str, typed: &str) -> Result<Given, ArgsError> {
    match form.parse(value) {
        Ok(value) => Ok((row, value)),
        Err(unfit) => Err(ArgsError::unfit(typed, form.wanted(), unfit)),
    }
}

/// `-T4`, `-PS22,80`, `-PO1`.
fn read_glued(word: &str) -> Option<Result<Given, ArgsError>> {
    let row = TAKEN.iter().find(|row| row.form.is_glued() && word.starts_with(row.name))?;
    let value = word.strip_prefix(row.name)?;
    Some(read_value(row, row.form, value, word))
}

/// `-sSV`: the letters of [`JOINED`]. A letter whose own option is refused gives that refusal.
fn read_joined(word: &str) -> Option<Result<Vec<Given>, ArgsError>> {
    let letters = word.strip_prefix("-s").filter(|letters| letters.len() > 1)?;
    let alone: Vec<String> = letters.chars().map(|letter| format!("-s{letter}")).collect();
    if let Some(refused) = alone.iter().find_map(|name| listed_refusal(name, word, None)) {
        return Some(Err(refused));
    }
    let known = |name: &String| TAKEN.iter().any(|row| row.name == name);
    if !alone.iter().all(known) {
        return None;
    }
    let joined: Option<Vec<Given>> = letters
        .chars()
        .map(|letter| {
            JOINED.iter().find(|(known, _)| *known == letter).map(|(_, option)| (row_of(*option), Value::None))
        })
        .collect();
    Some(joined.ok_or_else(|| ArgsError::NotJoined { typed: shown(word) }))
}

/// The refusal that the table has for exactly `name`. `-oX -` is the node's own; `-oX` with a file writes.
fn listed_refusal(name: &str, typed: &str, next: Option<&str>) -> Option<ArgsError> {
    if name == "-oX" && next == Some("-") {
        return Some(ArgsError::SetByNode("-oX -".to_owned()));
    }
    if SET_BY_NODE.contains(&name) {
        return Some(ArgsError::SetByNode(shown(typed)));
    }
    let refusal = REFUSED.iter().find(|refusal| refusal.names.contains(&name))?;
    Some(ArgsError::Refused { option: shown(typed), reason: refusal.reason })
}

/// Why a word that is in no list is not taken: says what was nearly meant, as nmap would have read it.
fn unknown(word: &str) -> ArgsError {
    let name = word.split_once('=').map_or(word, |(name, _)| name);
    let Some(near) = near_option(name) else { return ArgsError::Unknown(shown(word)) };
    if let Some(refused) = listed_refusal(near, word, None) {
        return refused;
    }
    match TAKEN.iter().find(|row| row.name == near) {
        Some(row) if row.form == Form::Flag && word.starts_with(near) => {
            ArgsError::NeedlessValue { typed: shown(word), option: row.name }
        }
        _ => ArgsError::Inexact { typed: shown(word), exact: near.to_owned() },
    }
}

/// The listed option that another spelling stands for: other case, one dash for two, underscores, an abbreviation, or a
/// value glued to a short option.
fn near_option(name: &str) -> Option<&'static str> {
    let long = format!("--{}", name.trim_start_matches('-').replace('_', "-").to_ascii_lowercase());
    let is_long = |known: &str| known.starts_with("--");
    let long_enough = long.len() > 4;
    let same = listed().find(|known| long_enough && **known == *long);
    let abbreviated = || listed().find(|known| long_enough && is_long(known) && known.starts_with(long.as_str()));
    let other_case = || TAKEN.iter().map(|row| row.name).find(|known| known.eq_ignore_ascii_case(name));
    let glued = || {
        let short = listed().filter(|known| !is_long(known) && !name.starts_with("--") && name.starts_with(*known));
        short.max_by_key(|known| known.len())
    };
    same.or_else(abbreviated).or_else(other_case).or_else(glued)
}

fn listed() -> impl Iterator<Item = &'static str> {
    let refused = REFUSED.iter().flat_map(|refusal| refusal.names.iter().copied());
    TAKEN.iter().map(|row| row.name).chain(SET_BY_NODE.iter().copied()).chain(refused)
}
