//! Values that a configuration may hold, each read once and with a message that says what to write instead.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The most bytes of a host name. Source: RFC 1035 section 2.3.4.
const MAX_HOST_BYTES: usize = 253;

/// What is logged unless told otherwise: our own doings, and of libp2p and the scheduler below ours only what is wrong.
const USUAL_LEVELS: &str = "info,libp2p_swarm=warn,tokio_cron_scheduler=warn";

/// An empty text stands for no value, so that every key can be written down.
pub(crate) mod optional {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use std::fmt::Display;
    use std::str::FromStr;

    pub(crate) fn serialize<T: Display, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_str(""),
        }
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(D::Error::custom) }
    }
}

/// Why a value was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// No address with a port.
    #[error("{0:?} is no address with a port; write for instance 127.0.0.1:5000 or [::1]:5000")]
    Address(String),
    /// No whole path.
    #[error("{0:?} is no whole path; write it from / on")]
    Path(String),
    /// No folder of a proxy.
    #[error(
        "{0:?} is no path to serve under; write for instance /portdrift, with letters, digits, '-', '.', '_' and '~'"
    )]
    BasePath(String),
    /// No name of a host.
    #[error("{0:?} is no host name or address; write it without scheme and port, for instance watch.example.org")]
    Host(String),
    /// No levels.
    #[error(
        "{0:?} is no log level; write error, warn, info, debug, trace or off, and for one part for instance info,coordinator=debug"
    )]
    Level(String),
}

macro_rules! as_text {
    ($type:ty) => {
        impl TryFrom<String> for $type {
            type Error = ValueError;

            fn try_from(text: String) -> Result<Self, ValueError> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
    };
}

/// An address with a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address(pub SocketAddr);

as_text!(Address);

impl FromStr for Address {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        text.parse().map(Self).map_err(|_| ValueError::Address(text.to_owned()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A path from `/` on, so that it means the same wherever the program was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AbsolutePath(PathBuf);

as_text!(AbsolutePath);

impl AbsolutePath {
    /// The path.
    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

impl FromStr for AbsolutePath {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let path = PathBuf::from(text);
        if path.is_absolute() { Ok(Self(path)) } else { Err(ValueError::Path(text.to_owned())) }
    }
}

impl fmt::Display for AbsolutePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

/// The folder that a proxy serves the dashboard under, such as `/portdrift`; empty for none. No slash at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BasePath(String);

as_text!(BasePath);

impl FromStr for BasePath {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let path = text.trim_end_matches('/');
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        let is_part = |part: &str| !part.is_empty() && part != "." && part != ".." && part.chars().all(is_plain);
        let is_path = path.strip_prefix('/').is_some_and(|parts| parts.split('/').all(is_part));
        if path.is_empty() || is_path { Ok(Self(path.to_owned())) } else { Err(ValueError::BasePath(text.to_owned())) }
    }
}

impl fmt::Display for BasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A name or an address as browsers write it in `Host`, without a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostName(String);

as_text!(HostName);

impl FromStr for HostName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let is_label = |label: &str| !label.is_empty() && label.chars().all(is_plain);
        let is_name = text.len() <= MAX_HOST_BYTES && text.split('.').all(is_label);
        let is_host = is_name || text.parse::<IpAddr>().is_ok();
        if is_host { Ok(Self(text.to_ascii_lowercase())) } else { Err(ValueError::Host(text.to_owned())) }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is logged: a level, and levels of single parts, such as `info,coordinator::hub=debug`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Levels(String);

as_text!(Levels);

impl Default for Levels {
    fn default() -> Self {
        Self(USUAL_LEVELS.to_owned())
    }
}

impl FromStr for Levels {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let is_level = |level: &str| matches!(level, "off" | "error" | "warn" | "info" | "debug" | "trace");
        let is_target = |target: &str| {
            !target.is_empty() && target.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'))
        };
        let is_directive = |directive: &str| match directive.split_once('=') {
            Some((target, level)) => is_target(target) && is_level(level),
            None => is_level(directive),
        };
        let is_levels = text.split(',').all(is_directive);
        if is_levels { Ok(Self(text.to_owned())) } else { Err(ValueError::Level(text.to_owned())) }
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
