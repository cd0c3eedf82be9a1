//! A log file that is put away when its day is over or it is full, and of which so many parts are kept.

use super::{LogFile, PutAway, current_name, put_away, written};
use protocol::Timestamp;
use protocol::text::Text;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The account and its group read logs, nobody else.
const FILE_MODE: u32 = 0o640;
const FOLDER_MODE: u32 = 0o750;

/// How much is kept of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLimits {
    /// A part is at most so large, in bytes, unless a single line is larger.
    pub max_bytes: u64,
    /// How many parts that were put away are kept.
    pub keep_files: usize,
    /// How many days they are kept.
    pub keep_days: u32,
}

/// A log that is written line by line. Each write is one event and becomes one clean line.
#[derive(Debug)]
pub struct RotatingLog {
    folder: PathBuf,
    file: LogFile,
    limits: LogLimits,
    clock: fn() -> Timestamp,
    current: Option<Part>,
}

#[derive(Debug)]
struct Part {
    out: File,
    size: u64,
    /// Of its lines.
    day: String,
}

impl RotatingLog {
    /// The log in `folder`; nothing is made or opened before the first line.
    pub fn new(folder: &Path, file: LogFile, limits: LogLimits) -> Self {
        Self { folder: folder.to_owned(), file, limits, clock: Timestamp::now, current: None }
    }

    #[cfg(test)]
    pub(super) fn with_clock(self, clock: fn() -> Timestamp) -> Self {
        Self { clock, ..self }
    }

    fn append(&mut self, event: &[u8]) -> io::Result<()> {
        let line = format!("{}\n", Text::from_bytes(event.trim_ascii_end()));
        let (today, length) = (day(self.now()), u64::try_from(line.len()).unwrap_or(u64::MAX));
        // Taken, so that a part that could not be written is opened anew.
        let mut part = match self.current.take() {
            Some(part) => part,
            None => self.open(&today)?,
        };
        if part.size > 0 && (part.day != today || part.size.saturating_add(length) > self.limits.max_bytes) {
            self.put_away(&part.day)?;
            part = self.open(&today)?;
        }
        part.out.write_all(line.as_bytes())?;
        part.size = part.size.saturating_add(length);
        self.current = Some(part);
        Ok(())
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    fn path(&self) -> PathBuf {
        self.folder.join(current_name(self.file))
    }

    fn open(&self, today: &str) -> io::Result<Part> {
        DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(&self.folder)?;
        let out = OpenOptions::new().append(true).create(true).mode(FILE_MODE).open(self.path())?;
        let facts = out.metadata()?;
        let day = match written(&facts) {
            Some(last) if facts.len() > 0 => day(last),
            Some(_) | None => today.to_owned(),
        };
        Ok(Part { out, size: facts.len(), day })
    }

    /// Gives the current part its name for later, and removes what is too old or too much.
    fn put_away(&self, day_of_part: &str) -> io::Result<()> {
        let parts = put_away(&self.folder, self.file)?;
        let last = parts.iter().filter(|part| part.day == day_of_part).map(|part| part.number).max().unwrap_or(0);
        let part = PutAway::named(self.file, day_of_part, last.saturating_add(1));
        std::fs::rename(self.path(), self.folder.join(part.name))?;
        let oldest_day = day(self.now().minus(DAY.saturating_mul(self.limits.keep_days)));
        let parts = put_away(&self.folder, self.file)?;
        let too_many = parts.len().saturating_sub(self.limits.keep_files);
        let outlived = parts.iter().enumerate().filter(|(index, part)| *index < too_many || part.day < oldest_day);
        for (_, part) in outlived {
            std::fs::remove_file(self.folder.join(&part.name))?;
        }
        Ok(())
    }
}

impl Write for RotatingLog {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.append(event).map(|()| event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.current.as_mut().map_or(Ok(()), |part| part.out.flush())
    }
}

/// The day in UTC, as `2026-01-31`.
fn day(time: Timestamp) -> String {
    time.to_string().chars().take(10).collect()
}
