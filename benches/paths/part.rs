//! A part of the bench that is a process of its own: this very program with other arguments, ended by the end of its input.

use crate::Outcome;
use serde::de::DeserializeOwned;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A running part.
pub(crate) struct Part {
    child: Child,
    output: BufReader<ChildStdout>,
}

/// One line to whoever started this process.
pub(crate) fn say(line: &impl serde::Serialize) -> Outcome<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(line)?)?;
    Ok(out.flush()?)
}

impl Part {
    /// Starts `command` and waits until it says that it is ready.
    pub(crate) fn start(command: &mut Command) -> Outcome<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(child.stdout.take().ok_or("no way to hear a part of the bench")?);
        let mut part = Self { child, output };
        part.hear::<String>()?;
        Ok(part)
    }

    /// Its next line.
    pub(crate) fn hear<T: DeserializeOwned>(&mut self) -> Outcome<T> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        serde_json::from_str(&line).map_err(|_| format!("a part of the bench ended with {line:?}").into())
    }

    /// Ends its input, and gives its last line.
    pub(crate) fn end<T: DeserializeOwned>(mut self) -> Outcome<T> {
        drop(self.child.stdin.take());
        self.hear()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // It has ended, or it is not needed any more.
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}
