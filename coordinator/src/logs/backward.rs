//! The lines of a file from its end to its beginning, without reading more of it than is asked for.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// How much is read at a time.
const PIECE: u64 = 64 * 1024;

/// A line that is longer comes in pieces; ours are shorter.
const MAX_LINE: usize = 256 * 1024;

/// A file's lines before a place, the last first.
pub(super) struct Backward {
    file: File,
    /// Where what is held begins.
    start: u64,
    held: Vec<u8>,
}

impl Backward {
    /// The lines that end at or before byte `end`.
    pub(super) fn new(file: File, end: u64) -> Self {
        Self { file, start: end, held: Vec::new() }
    }

    /// Where the line begins, and the line without its end; `None` before the first.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Vec<u8>)>> {
        loop {
            let ended = self.held.strip_suffix(b"\n").unwrap_or(&self.held);
            let newline = ended.iter().rposition(|byte| *byte == b'\n');
            let is_whole = newline.is_some() || self.start == 0 || ended.len() > MAX_LINE;
            if is_whole && !self.held.is_empty() {
                let from = newline.map_or(0, |newline| newline + 1);
                let line = ended.get(from..).unwrap_or_default().to_vec();
                self.held.truncate(from);
                return Ok(Some((self.start + u64::try_from(from).unwrap_or(u64::MAX), line)));
            }
            if self.start == 0 {
                return Ok(None);
            }
            self.read_piece()?;
        }
    }

    fn read_piece(&mut self) -> io::Result<()> {
        let from = self.start.saturating_sub(PIECE);
        let mut piece = vec![0; usize::try_from(self.start - from).unwrap_or(0)];
        self.file.read_exact_at(&mut piece, from)?;
        piece.append(&mut self.held);
        (self.start, self.held) = (from, piece);
        Ok(())
    }
}
