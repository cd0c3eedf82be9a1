//! Processes of this same binary: found without a search path, read line by line, ended with this one.

use anyhow::{Context, bail};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;

/// How long a child may take to say what is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a child may take to end before it is made to.
const GRACE: Duration = Duration::from_secs(10);
/// Lines that wait to be read; more are dropped, since nobody waits for them.
const LINES: usize = 1_024;

/// A running service of this binary.
pub(crate) struct Part {
    name: &'static str,
    process: Child,
    /// Held open while this process lives; its end tells the child to stop.
    input: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
    log: PathBuf,
}

/// A command of this same binary, found without any search path.
pub(crate) fn own_command() -> anyhow::Result<Command> {
    let binary = std::env::current_exe().context("finding the running program")?;
    let mut command = Command::new(binary);
    command.kill_on_drop(true).env_remove("PORTDRIFT_DIR");
    Ok(command)
}

impl Part {
    /// Starts a service of this binary with its messages in `folder`.
    pub(crate) fn start(name: &'static str, folder: &Path, mut command: Command) -> anyhow::Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let messages = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        command.arg("--stop-with-parent").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(messages);
        // Ctrl-C goes to this process alone; it then ends its children in order.
        command.process_group(0);
        let mut process = command.spawn().with_context(|| format!("starting the {name}"))?;
        let output = process.stdout.take().context("reading what the child says")?;
        let (sender, lines) = mpsc::channel(LINES);
        tokio::spawn(pass_on(output, sender));
        Ok(Self { name, input: process.stdin.take(), process, lines, log })
    }

    /// The next line that holds `text`.
    pub(crate) async fn line_with(&mut self, text: &str) -> anyhow::Result<String> {
        let wait = async {
            while let Some(line) = self.lines.recv().await {
                if line.contains(text) {
                    return Some(line);
                }
            }
            None
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(Some(line)) => Ok(line),
            Ok(None) => bail!("the {} ended early: {}", self.name, self.last_words()),
            Err(_) => {
                bail!("the {} did not say {text:?} within {} s: {}", self.name, PATIENCE.as_secs(), self.last_words())
            }
        }
    }

    /// Ends when the child does, with the reason.
    pub(crate) async fn ended(&mut self) -> anyhow::Error {
        match self.process.wait().await {
            Ok(status) => anyhow::anyhow!("the {} ended ({status}): {}", self.name, self.last_words()),
            Err(error) => anyhow::anyhow!("waiting for the {}: {error}", self.name),
        }
    }

    /// Asks the child to end, and after a grace period makes it.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        drop(self.input.take());
        match tokio::time::timeout(GRACE, self.process.wait()).await {
            Ok(ended) => ended.map(drop).with_context(|| format!("waiting for the {}", self.name)),
            Err(_) => self.process.kill().await.with_context(|| format!("ending the {}", self.name)),
        }
    }

    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it left no message").to_owned()
    }
}

async fn pass_on(output: ChildStdout, sender: mpsc::Sender<String>) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if matches!(sender.try_send(line), Err(mpsc::error::TrySendError::Closed(_))) {
            return;
        }
    }
}
