//! Reading a log across its parts: from its end, before a place, or what came after it.
//!
//! A place names a part by its first line's time, so that it stays good when the part is put away.

use super::backward::Backward;
use super::{LogFile, LogFolder, LogLevel, LogLine, LogNameError, MAX_STAMP_BYTES, found, stamp_of};
use protocol::Timestamp;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::str::FromStr;

/// How much of a log one look reads.
const MAX_LOOK_BYTES: u64 = 8 << 20;

/// The most lines that one look gives.
pub(crate) const MAX_LINES: usize = 2_000;

/// A place in a log: behind a line of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogCursor {
    /// The time of the part's first line.
    part: String,
    offset: u64,
}

impl fmt::Display for LogCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}~{}", self.part, self.offset)
    }
}

impl FromStr for LogCursor {
    type Err = LogNameError;

    fn from_str(text: &str) -> Result<Self, LogNameError> {
        let is_stamp = |part: &str| part.len() <= MAX_STAMP_BYTES && part.bytes().all(|byte| byte.is_ascii_graphic());
        let read = text.split_once('~').filter(|(part, _)| is_stamp(part));
        let read = read.and_then(|(part, offset)| Some(Self { part: part.to_owned(), offset: offset.parse().ok()? }));
        read.ok_or_else(|| LogNameError::Cursor(text.to_owned()))
    }
}

/// From where to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LogFrom {
    /// The last lines.
    #[default]
    End,
    /// The last lines before this place.
    Before(LogCursor),
    /// The first lines after this place.
    After(LogCursor),
}

/// Which lines are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Of which log.
    pub file: LogFile,
    /// As bad as this, or worse.
    pub level: Option<LogLevel>,
    /// With this in them; large and small letters are the same.
    pub text: String,
    /// Not older.
    pub since: Option<Timestamp>,
    /// Not younger.
    pub until: Option<Timestamp>,
    /// From where.
    pub from: LogFrom,
    /// How many at most.
    pub limit: usize,
}

/// Some lines of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPage {
    /// The oldest first.
    pub lines: Vec<LogLine>,
    /// Where older ones may be; `None` when there are none.
    pub older: Option<LogCursor>,
    /// Where newer ones will be; `None` while the log is empty.
    pub newer: Option<LogCursor>,
    /// The part that the place named is gone; what stands here begins with the oldest that is left.
    pub is_gap: bool,
}

impl LogQuery {
    fn takes(&self, line: &LogLine) -> bool {
        let is_bad_enough = self.level.is_none_or(|least| line.level.is_some_and(|level| level <= least));
        let is_in_time = |time: Timestamp| {
            self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time <= until)
        };
        let is_timeless = self.since.is_none() && self.until.is_none();
        let holds_text = || line.text.as_str().to_lowercase().contains(&self.text.to_lowercase());
        is_bad_enough && line.time.map_or(is_timeless, is_in_time) && (self.text.is_empty() || holds_text())
    }

    fn is_before(&self, line: &LogLine) -> bool {
        line.time.zip(self.since).is_some_and(|(time, since)| time < since)
    }

    fn limit(&self) -> usize {
        self.limit.clamp(1, MAX_LINES)
    }
}

/// A part that is open: what it is called does not matter any more.
struct OpenPart {
    stamp: String,
    file: File,
    bytes: u64,
}

impl OpenPart {
    fn at(&self, offset: u64) -> LogCursor {
        LogCursor { part: self.stamp.clone(), offset }
    }
}

impl LogFolder {
    /// The lines that are asked for, out of a bounded part of the log.
    pub(crate) fn read(&self, query: &LogQuery) -> io::Result<LogPage> {
        let parts = self.opened(query.file)?;
        let Some(last) = parts.last() else { return Ok(LogPage::default()) };
        match &query.from {
            LogFrom::End => {
                let end = last.at(whole_lines(last)?);
                let page = backward(parts, &end, query)?;
                Ok(LogPage { newer: Some(end), ..page })
            }
            LogFrom::Before(cursor) => {
                let page = backward(parts, cursor, query)?;
                Ok(LogPage { newer: Some(cursor.clone()), ..page })
            }
            LogFrom::After(cursor) => forward(parts, cursor, query),
        }
    }

    /// Every part that has a line, the oldest first.
    fn opened(&self, file: LogFile) -> io::Result<Vec<OpenPart>> {
        let mut parts = Vec::new();
        for part in self.parts(file)?.into_iter().filter(|part| part.bytes > 0) {
            let Some(file) = found(File::open(self.path().join(&part.name)))? else { continue };
            let (stamp, bytes) = (stamp_of(&file)?, file.metadata()?.len());
            // A part that was put away between listing and opening is there under its new name too, or its successor is.
            if parts.iter().all(|known: &OpenPart| known.stamp != stamp) {
                parts.push(OpenPart { stamp, file, bytes });
            }
        }
        Ok(parts)
    }
}

/// Where the last whole line of a part ends: a line may just be in the making.
fn whole_lines(part: &OpenPart) -> io::Result<u64> {
    let mut lines = Backward::new(part.file.try_clone()?, part.bytes);
    let Some((start, line)) = lines.next()? else { return Ok(0) };
    let end = start + u64::try_from(line.len()).unwrap_or(u64::MAX);
    Ok(if end < part.bytes { part.bytes } else { start })
}

fn backward(parts: Vec<OpenPart>, from: &LogCursor, query: &LogQuery) -> io::Result<LogPage> {
    let Some(index) = parts.iter().position(|part| part.stamp == from.part) else {
        return Ok(LogPage { is_gap: true, ..LogPage::default() });
    };
    let mut page = LogPage::default();
    let mut looked = 0;
    let mut end = Some(from.offset);
    for part in parts.into_iter().take(index + 1).rev() {
        let mut lines = Backward::new(part.file.try_clone()?, end.take().map_or(part.bytes, |end| end.min(part.bytes)));
        while let Some((start, line)) = lines.next()? {
            let (length, line) = (u64::try_from(line.len()).unwrap_or(u64::MAX), LogLine::read(&line));
            if query.is_before(&line) {
                page.lines.reverse();
                return Ok(LogPage { older: None, ..page });
            }
            if query.takes(&line) {
                page.lines.push(line);
            }
            looked += length;
            page.older = Some(part.at(start));
            if page.lines.len() >= query.limit() || looked >= MAX_LOOK_BYTES {
                page.lines.reverse();
                return Ok(page);
            }
        }
    }
    page.lines.reverse();
    Ok(LogPage { older: None, ..page })
}

fn forward(parts: Vec<OpenPart>, from: &LogCursor, query: &LogQuery) -> io::Result<LogPage> {
    let known = parts.iter().position(|part| part.stamp == from.part);
    let mut page = LogPage { newer: Some(from.clone()), is_gap: known.is_none(), ..LogPage::default() };
    let mut offset = known.map(|_| from.offset);
    let mut looked = 0;
    for part in parts.into_iter().skip(known.unwrap_or(0)) {
        let mut place = offset.take().unwrap_or(0);
        let mut lines = BufReader::new(part.file.try_clone()?);
        lines.seek(SeekFrom::Start(place))?;
        let mut line = Vec::new();
        while page.lines.len() < query.limit() && looked < MAX_LOOK_BYTES {
            line.clear();
            let length = u64::try_from(lines.read_until(b'\n', &mut line)?).unwrap_or(u64::MAX);
            let Some(whole) = line.strip_suffix(b"\n") else { break };
            let read = LogLine::read(whole);
            if query.takes(&read) {
                page.lines.push(read);
            }
            (looked, place) = (looked + length, place + length);
        }
        page.newer = Some(part.at(place));
        if page.lines.len() >= query.limit() || looked >= MAX_LOOK_BYTES {
            break;
        }
    }
    Ok(page)
}
