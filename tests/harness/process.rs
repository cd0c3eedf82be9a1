//! A process that is read as it talks, and that never outlives its story.

use super::PATIENCE;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

/// A running process with everything it said so far.
pub(crate) struct Process {
    child: Child,
    said: Arc<Said>,
    /// Whether it leads a group of processes that ends with it.
    is_group: bool,
}

#[derive(Default)]
struct Said {
    lines: Mutex<Lines>,
    news: Condvar,
}

#[derive(Default)]
struct Lines {
    all: Vec<String>,
    ended_readers: usize,
}

const READERS: usize = 2;

impl Process {
    /// Starts `command`, reading both of its outputs.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Said::default());
        listen(child.stdout.take().unwrap(), &said);
        listen(child.stderr.take().unwrap(), &said);
        Self { child, said, is_group: false }
    }

    /// As [`Self::start`], for a command that leads a process group: all of the group ends with this.
    pub(crate) fn start_group(command: &mut Command) -> Self {
        let mut process = Self::start(command);
        process.is_group = true;
        process
    }

    fn id(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// The first line that holds `text`, as soon as it is there.
    pub(crate) fn line(&self, text: &str) -> String {
        self.lines(text, 1).remove(0)
    }

    /// The lines that hold `text`, as soon as there are `count` of them.
    pub(crate) fn lines(&self, text: &str, count: usize) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.said.lines.lock().unwrap();
        loop {
            let found: Vec<String> = lines.all.iter().filter(|line| line.contains(text)).cloned().collect();
            if found.len() >= count {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(lines.ended_readers < READERS, "it ended without saying {text:?}:\n{}", lines.all.join("\n"));
            assert!(!left.is_zero(), "it did not say {text:?} in time:\n{}", lines.all.join("\n"));
            lines = self.said.news.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// How many lines so far hold `text`.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.said.lines.lock().unwrap().all.iter().filter(|line| line.contains(text)).count()
    }

    /// Everything it said so far.
    pub(crate) fn said(&self) -> Vec<String> {
        self.said.lines.lock().unwrap().all.clone()
    }

    /// Ends it without warning; gives all that it said up to its end.
    pub(crate) fn kill_and_hear(&mut self) -> Vec<String> {
        self.kill();
        let lines = self.said.lines.lock().unwrap();
        let is_talking = |lines: &mut Lines| lines.ended_readers < READERS;
        let (lines, late) = self.said.news.wait_timeout_while(lines, PATIENCE, is_talking).unwrap();
        assert!(!late.timed_out(), "somebody holds the outputs of a dead process:\n{}", lines.all.join("\n"));
        lines.all.clone()
    }

    /// Ends it without warning, as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops the clock for it, as a machine does that is suspended.
    pub(crate) fn freeze(&self) {
        kill_process(self.id(), Signal::STOP).unwrap();
    }

    /// Lets it go on after [`Self::freeze`].
    pub(crate) fn thaw(&self) {
        kill_process(self.id(), Signal::CONT).unwrap();
    }

    /// Asks it to read its configuration anew.
    pub(crate) fn hang_up(&self) {
        kill_process(self.id(), Signal::HUP).unwrap();
    }

    /// Asks it to end, and waits for that.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        kill_process(self.id(), Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        if self.is_group {
            let _killed = kill_process_group(self.id(), Signal::KILL);
        }
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn listen(output: impl Read + Send + 'static, said: &Arc<Said>) {
    let said = said.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            said.lines.lock().unwrap().all.push(line);
            said.news.notify_all();
        }
        said.lines.lock().unwrap().ended_readers += 1;
        said.news.notify_all();
    });
}
