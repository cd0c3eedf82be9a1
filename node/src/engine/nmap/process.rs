//! One nmap process: started through the guard in an empty world, read within limits, and ended for sure.

use super::NmapError;
use crate::engine::guard::{PARENT, SUBCOMMAND};
use rustix::process::{Pid, Signal, kill_process_group};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// The most bytes of the document.
pub(super) const MAX_DOCUMENT: usize = 64 << 20;

/// The most bytes of what nmap complains about.
const MAX_COMPLAINTS: usize = 64 << 10;

/// Time between asking nmap to end and making it.
const GRACE: Duration = Duration::from_secs(5);

/// Bytes read at once, and pieces that may wait for the parser.
const PIECE: usize = 64 << 10;
const PIECES: usize = 16;

/// Why the process ended, or had to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It closed its document by itself.
    Finished,
    /// The scan was stopped.
    Stopped,
    /// Its time was up.
    OutOfTime,
    /// Its document passed [`MAX_DOCUMENT`].
    TooLong,
    /// The parser gave its document up.
    Unreadable,
    /// It closed its document and stayed.
    Hung,
}

/// How one process ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) end: End,
    /// `None` when a signal ended it.
    pub(super) exit_code: Option<i32>,
    /// What it wrote to standard error.
    pub(super) complaints: Vec<u8>,
}

/// A running nmap; dropping it kills it and all it started.
pub(super) struct Process {
    child: Child,
    group: Option<Pid>,
    output: ChildStdout,
    complaints: JoinHandle<Vec<u8>>,
    _home: EmptyFolder,
}

impl Process {
    /// Starts `program` with `arguments` through `launcher`. Call it on a worker thread of the runtime (see the guard).
    pub(super) fn start(launcher: &Path, program: &Path, arguments: &[String]) -> Result<Self, NmapError> {
        let home = EmptyFolder::make().map_err(NmapError::Start)?;
        let mut command = Command::new(launcher);
        command.arg(SUBCOMMAND).arg("--").arg(program).args(arguments);
        command.env_clear().env("HOME", &home.0).env("LC_ALL", "C").env(PARENT, std::process::id().to_string());
        command.current_dir(&home.0).process_group(0).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(NmapError::Start)?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let missing = || NmapError::Start(io::Error::other("its output is not connected"));
        let output = child.stdout.take().ok_or_else(missing)?;
        let complaints = tokio::spawn(keep(child.stderr.take().ok_or_else(missing)?));
        Ok(Self { child, group, output, complaints, _home: home })
    }

    /// Hands the document to `parser` piece by piece until it ends, then waits for the end of the process.
    pub(super) async fn run(
        mut self,
        parser: mpsc::Sender<Vec<u8>>,
        deadline: Instant,
        stop: &CancellationToken,
    ) -> Ended {
        let mut end = tokio::select! {
            biased;
            () = stop.cancelled() => End::Stopped,
            () = tokio::time::sleep_until(deadline) => End::OutOfTime,
            end = pump(&mut self.output, parser) => end,
        };
        if end == End::Finished && timeout(GRACE, self.child.wait()).await.is_err() {
            end = End::Hung;
        }
        if end != End::Finished {
            self.end_group().await;
        }
        let exit_code = match timeout(GRACE, self.child.wait()).await {
            Ok(Ok(status)) => status.code(),
            Ok(Err(_)) | Err(_) => None,
        };
        self.group = None;
        let complaints = timeout(GRACE, &mut self.complaints).await.ok().and_then(Result::ok).unwrap_or_default();
        Ended { end, exit_code, complaints }
    }

    /// Asks the whole group to end, waits until its output is closed, then kills what is left. The process itself is
    /// not waited for before, so that its number cannot belong to another group yet.
    async fn end_group(&mut self) {
        self.signal(Signal::TERM);
        let mut rest = [0; 1_024];
        let closed = async { while matches!(self.output.read(&mut rest).await, Ok(1..)) {} };
        let _ = timeout(GRACE, closed).await;
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // The only failure there is: the group has ended already.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        self.complaints.abort();
    }
}

/// Reads the document until it ends, is too long, or the parser is gone.
async fn pump(output: &mut ChildStdout, parser: mpsc::Sender<Vec<u8>>) -> End {
    let mut total = 0usize;
    let mut piece = vec![0; PIECE];
    loop {
        let Ok(count @ 1..) = output.read(&mut piece).await else { return End::Finished };
        total = total.saturating_add(count);
        if total > MAX_DOCUMENT {
            return End::TooLong;
        }
        if parser.send(piece.get(..count).unwrap_or_default().to_vec()).await.is_err() {
            return End::Unreadable;
        }
    }
}

/// Keeps the beginning of what comes and reads the rest away.
async fn keep(mut from: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut piece = [0; 4_096];
    while let Ok(count @ 1..) = from.read(&mut piece).await {
        let room = MAX_COMPLAINTS.saturating_sub(kept.len());
        kept.extend_from_slice(piece.get(..count.min(room)).unwrap_or_default());
    }
    kept
}

/// The two ends between the process and a parser that reads as from a file.
pub(super) fn pipe() -> (mpsc::Sender<Vec<u8>>, Pieces) {
    let (sender, receiver) = mpsc::channel(PIECES);
    (sender, Pieces { receiver, piece: io::Cursor::default() })
}

/// Pieces of the document as a reader, for a thread that may block.
pub(super) struct Pieces {
    receiver: mpsc::Receiver<Vec<u8>>,
    piece: io::Cursor<Vec<u8>>,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match Read::read(&mut self.piece, buffer)? {
                0 if !buffer.is_empty() => match self.receiver.blocking_recv() {
                    Some(piece) => self.piece = io::Cursor::new(piece),
                    None => return Ok(0),
                },
                count => return Ok(count),
            }
        }
    }
}

/// An empty folder that nothing can be put into; removed when dropped.
struct EmptyFolder(PathBuf);

impl EmptyFolder {
    fn make() -> io::Result<Self> {
        let number = getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
        let path = std::env::temp_dir().join(format!("portdrift-nmap-{number:016x}"));
        std::fs::DirBuilder::new().mode(0o500).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for EmptyFolder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "could not remove nmap's empty folder");
        }
    }
}
