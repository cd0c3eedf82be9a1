//! The log files of a coordinator: what each is for, where its parts lie, and how a line of it is read.
//!
//! A line is `time level rest`, one event each, cleaned when it is written. The current part of a log is `app.log`; those
//! that were put away are `app-2026-01-31-0001.log` and so on, the day being that of their lines in UTC.

mod backward;
mod read;
mod rotate;
#[cfg(test)]
mod tests;

pub use read::{LogCursor, LogFrom, LogPage, LogQuery};
pub use rotate::{LogLimits, RotatingLog};

use protocol::Timestamp;
use protocol::text::Text;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The longest beginning of a line that holds its time.
const MAX_STAMP_BYTES: usize = 40;

/// One of the logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFile {
    /// Everything.
    #[default]
    App,
    /// Warnings and errors.
    Error,
    /// Schedule, dispatch and closings.
    Scheduler,
}

/// How much a line matters; the worst is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something is wrong.
    Warn,
    /// What was done.
    Info,
    /// How it was done.
    Debug,
    /// Every step of it.
    Trace,
}

/// It is the name of no log, or of no level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogNameError {
    /// No log.
    #[error("there is no log {0:?}; the logs are app, error and scheduler")]
    File(String),
    /// No level.
    #[error("there is no level {0:?}; the levels are error, warn, info, debug and trace")]
    Level(String),
    /// No cursor.
    #[error("{0:?} is no place in a log; take one from an answer of the API")]
    Cursor(String),
}

impl LogFile {
    /// Every log.
    pub const ALL: [Self; 3] = [Self::App, Self::Error, Self::Scheduler];

    /// Its name, without an ending.
    pub fn name(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Error => "error",
            Self::Scheduler => "scheduler",
        }
    }
}

impl FromStr for LogFile {
    type Err = LogNameError;

    fn from_str(text: &str) -> Result<Self, LogNameError> {
        let found = Self::ALL.into_iter().find(|file| file.name() == text);
        found.ok_or_else(|| LogNameError::File(text.to_owned()))
    }
}

impl LogLevel {
    /// Every level, the worst first.
    pub const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl FromStr for LogLevel {
    type Err = LogNameError;

    fn from_str(text: &str) -> Result<Self, LogNameError> {
        let found = Self::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(text));
        found.ok_or_else(|| LogNameError::Level(text.to_owned()))
    }
}

/// One event of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When; `None` where the line does not begin with a time.
    pub time: Option<Timestamp>,
    /// How much it matters; `None` where the line does not say.
    pub level: Option<LogLevel>,
    /// Where from and what, clean.
    pub text: Text,
}

impl LogLine {
    /// Reads a line without its end.
    pub(crate) fn read(line: &[u8]) -> Self {
        let line = Text::from_bytes(line);
        let word = |text: &str| match text.trim_start().split_once(' ') {
            Some((word, rest)) => (word.to_owned(), rest.trim_start().to_owned()),
            None => (text.trim_start().to_owned(), String::new()),
        };
        let (stamp, rest) = word(line.as_str());
        let Ok(time) = stamp.parse() else { return Self { time: None, level: None, text: line } };
        let (level, text) = word(&rest);
        match level.parse() {
            Ok(level) => Self { time: Some(time), level: Some(level), text: Text::new(&text) },
            Err(_) => Self { time: Some(time), level: None, text: Text::new(&rest) },
        }
    }
}

/// A part of a log: its current file, or one that was put away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPart {
    /// The file's name.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// When its last line was written.
    pub written: Option<Timestamp>,
}

/// Where the logs lie.
#[derive(Clone, Debug)]
pub struct LogFolder(PathBuf);

impl LogFolder {
    /// The logs in this folder; it may be missing as long as nothing was logged.
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The parts of a log, the oldest first; the current one is the last.
    pub(crate) fn parts(&self, file: LogFile) -> io::Result<Vec<LogPart>> {
        let current = current_name(file);
        let names = put_away(&self.0, file)?.into_iter().map(|part| part.name).chain([current]);
        let parts = names.filter_map(|name| match std::fs::metadata(self.0.join(&name)) {
            Ok(facts) => Some(Ok(LogPart { name, bytes: facts.len(), written: written(&facts) })),
            // Put away or deleted since the folder was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => Some(Err(error)),
        });
        parts.collect()
    }

    /// Opens a part by its name; `None` when there is none. Names that are no part's open nothing.
    pub(crate) fn open(&self, name: &str) -> io::Result<Option<File>> {
        let is_part = |file: LogFile| name == current_name(file) || PutAway::read(file, name).is_some();
        if !LogFile::ALL.into_iter().any(is_part) {
            return Ok(None);
        }
        found(File::open(self.0.join(name)))
    }
}

/// `None` in place of a file that is not there.
fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

fn written(facts: &std::fs::Metadata) -> Option<Timestamp> {
    let since = facts.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok().map(Timestamp::from_millis)
}

fn current_name(file: LogFile) -> String {
    format!("{}.log", file.name())
}

/// A part that was put away. They are in order of day and number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct PutAway {
    /// `2026-01-31`
    day: String,
    number: u32,
    name: String,
}

impl PutAway {
    fn named(file: LogFile, day: &str, number: u32) -> Self {
        Self { day: day.to_owned(), number, name: format!("{}-{day}-{number:04}.log", file.name()) }
    }

    fn read(file: LogFile, name: &str) -> Option<Self> {
        let rest = name.strip_prefix(file.name())?.strip_prefix('-')?.strip_suffix(".log")?;
        let (day, number) = (rest.get(..10)?, rest.get(10..)?.strip_prefix('-')?);
        format!("{day}T00:00:00Z").parse::<Timestamp>().ok()?;
        let part = Self::named(file, day, number.parse().ok()?);
        (part.name == name).then_some(part)
    }
}

/// The parts of a log that were put away, the oldest first.
fn put_away(folder: &Path, file: LogFile) -> io::Result<Vec<PutAway>> {
    let Some(entries) = found(std::fs::read_dir(folder))? else { return Ok(Vec::new()) };
    let mut parts = Vec::new();
    for entry in entries {
        parts.extend(entry?.file_name().to_str().and_then(|name| PutAway::read(file, name)));
    }
    parts.sort();
    Ok(parts)
}

/// The time that a part's first line begins with, as text: it names the part, whatever the file is called by then.
fn stamp_of(mut file: &File) -> io::Result<String> {
    let mut start = Vec::new();
    file.by_ref().take(u64::try_from(MAX_STAMP_BYTES).unwrap_or(u64::MAX)).read_to_end(&mut start)?;
    let word = start.split(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default();
    Ok(Text::from_bytes(word).as_str().to_owned())
}
