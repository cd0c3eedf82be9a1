//! The values that options carry: read by our own parsers, written in one canonical way.

use super::script::{self, ScriptError};
use crate::port::PortSet;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The most ports or protocols that one discovery option may name.
const MAX_PROBES: u32 = 32;

/// What kind of value an option takes, and its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// None.
    Flag,
    /// One digit, glued: `-T4`.
    Timing,
    /// Ports, glued: `-PS22,80`.
    Probes,
    /// IP protocol numbers, glued: `-PO1,6`.
    IpProtocols,
    /// A whole number.
    Number { least: u32, most: u32 },
    /// A number with a unit.
    Time { least_ms: u64, most_ms: u64 },
    /// Ports with prefixes.
    Ports,
    /// Names of scripts.
    Scripts,
    /// Arguments for scripts.
    ScriptArgs,
}

/// A checked value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Value {
    None,
    Number(u32),
    Time(Duration),
    Ports(PortSet),
    IpProtocols(BTreeSet<u8>),
    Scripts(BTreeSet<&'static str>),
    ScriptArgs(BTreeMap<&'static str, String>),
}

/// Why a value was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// Not as [`Form::wanted`] says.
    NotWanted,
    /// A script that is not taken, and why.
    Script(ScriptError),
}

impl Form {
    /// True when the value follows the option in the same word.
    pub(super) fn is_glued(self) -> bool {
        matches!(self, Self::Timing | Self::Probes | Self::IpProtocols)
    }

    /// What to write, for messages and help.
    pub(super) fn wanted(self) -> String {
        match self {
            Self::Flag => "no value".to_owned(),
            Self::Timing => "one digit from 0 to 5 in the same word, as in -T4".to_owned(),
            Self::Probes => format!("1 to {MAX_PROBES} ports in the same word, as in -PS22,80"),
            Self::IpProtocols => format!("1 to {MAX_PROBES} numbers from 0 to 255 in the same word, as in -PO1,6"),
            Self::Number { least, most } => format!("a whole number from {least} to {most}"),
            Self::Time { least_ms, most_ms } => {
                format!("a time from {} to {} with its unit ms, s, m or h", time_text(least_ms), time_text(most_ms))
            }
            Self::Ports => "ports, as in 22,80 or T:22,U:53".to_owned(),
            Self::Scripts => "default, safe-list, or names from the script list, joined by commas".to_owned(),
            Self::ScriptArgs => format!(
                "key=value joined by commas, with the keys {}, and values of 1 to {} letters, digits, dots, dashes and underscores",
                script::ARGUMENT_KEYS.join(", "),
                script::MAX_ARGUMENT_BYTES
            ),
        }
    }

    /// Reads the value; a [`Form::Flag`] takes none.
    pub(super) fn parse(self, text: &str) -> Result<Value, Unfit> {
        let value = match self {
            Self::Flag => None,
            Self::Timing => whole(text, 0, 5).filter(|_| text.len() == 1).map(Value::Number),
            Self::Probes => probes(text),
            Self::IpProtocols => ip_protocols(text),
            Self::Number { least, most } => whole(text, least, most).map(Value::Number),
            Self::Time { least_ms, most_ms } => time(text, least_ms, most_ms),
            Self::Ports => ports(text).map(Value::Ports),
            Self::Scripts => return script::parse_names(text).map(Value::Scripts).map_err(Unfit::Script),
            Self::ScriptArgs => script::parse_arguments(text).map(Value::ScriptArgs),
        };
        value.ok_or(Unfit::NotWanted)
    }
}

/// Digits only, no leading zero.
fn whole(text: &str, least: u32, most: u32) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|number| plain && (least..=most).contains(number))
}

fn time(text: &str, least_ms: u64, most_ms: u64) -> Option<Value> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at_checked(unit_at)?;
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let ms = u64::from(whole(digits, 0, u32::MAX)?) * factor;
    (least_ms..=most_ms).contains(&ms).then(|| Value::Time(Duration::from_millis(ms)))
}

/// A time in its largest whole unit.
fn time_text(ms: u64) -> String {
    let units = [(3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    match units.into_iter().find(|(factor, _)| ms > 0 && ms.is_multiple_of(*factor)) {
        Some((factor, unit)) => format!("{}{unit}", ms / factor),
        None => format!("{ms}ms"),
    }
}

/// As in the port field, but without the white space of any script that a field may hold.
fn ports(text: &str) -> Option<PortSet> {
    text.parse().ok().filter(|_| !text.contains(char::is_whitespace))
}

/// The option names the protocol, so the ports stand without a prefix.
fn probes(text: &str) -> Option<Value> {
    let ports = ports(text).filter(|_| !text.contains(':'))?;
    (ports.count() <= MAX_PROBES).then_some(Value::Ports(ports))
}

fn ip_protocols(text: &str) -> Option<Value> {
    let numbers: Option<Vec<u8>> =
        text.split(',').map(|item| whole(item, 0, 255).and_then(|number| u8::try_from(number).ok())).collect();
    let numbers = numbers.filter(|numbers| u32::try_from(numbers.len()).is_ok_and(|count| count <= MAX_PROBES))?;
    Some(Value::IpProtocols(numbers.into_iter().collect()))
}

impl Value {
    /// The canonical text; empty for a flag.
    pub(super) fn text(&self) -> String {
        match self {
            Self::None => String::new(),
            Self::Number(number) => number.to_string(),
            Self::Time(time) => time_text(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
            Self::Ports(ports) => ports.to_string(),
            Self::IpProtocols(numbers) => join(numbers.iter().map(u8::to_string)),
            Self::Scripts(names) => join(names.iter().map(|name| (*name).to_owned())),
            Self::ScriptArgs(arguments) => join(arguments.iter().map(|(key, value)| format!("{key}={value}"))),
        }
    }
}

fn join(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(",")
}
