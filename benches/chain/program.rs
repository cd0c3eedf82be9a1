//! The real program in a namespace, heard as it talks, ended when dropped.

use crate::Outcome;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

const PORTDRIFT: &str = env!("CARGO_BIN_EXE_portdrift");
/// The longest until a program says what it is to say.
const PATIENCE: Duration = Duration::from_secs(120);
/// Lines that may wait to be read; it says few.
const LINES: usize = 10_000;

/// A running part of the mesh.
pub(crate) struct Program {
    child: Child,
    lines: Receiver<String>,
}

/// `portdrift` with `words`, on `host` or where this bench is, with an environment that holds nothing of the user's.
pub(crate) fn portdrift(home: &Path, host: Option<&str>, words: &[&str]) -> Command {
    let mut command = match host {
        Some(host) => {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", host, PORTDRIFT]);
            command
        }
        None => Command::new(PORTDRIFT),
    };
    command.args(words).env_clear().env("HOME", home).env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.stdin(Stdio::null());
    command
}

/// Standard output of a command that must succeed.
pub(crate) fn told(command: &mut Command) -> Outcome<String> {
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

impl Program {
    pub(crate) fn start(command: &mut Command) -> Outcome<Self> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let output = child.stdout.take().ok_or("no way to hear a program")?;
        let (sender, lines) = sync_channel(LINES);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, lines })
    }

    /// The next line that holds `text`.
    pub(crate) fn line(&self, text: &str) -> Outcome<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).map_err(|error| format!("it did not say {text:?}: {error}"))?;
            if line.contains(text) {
                return Ok(line);
            }
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}
