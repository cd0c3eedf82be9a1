//! How the program ends: exit codes, and the one line that says why.

use std::io::{self, Write};
use std::process::ExitCode;

/// What the exit code says (README, "Exit codes").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It was done.
    Done,
    /// It failed, or was declined.
    Failed,
    /// The command was not understood.
    Usage,
    /// What was asked for is not there.
    NotFound,
    /// The caller may not do this.
    NotPermitted,
    /// No coordinator answers, or no node runs.
    Unreachable,
    /// It was done, and found what `--fail-on` asked for.
    Found,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::NotFound => 3,
            Exit::NotPermitted => 4,
            Exit::Unreachable => 5,
            Exit::Found => 6,
        })
    }
}

/// An error that knows its exit code; every other error means [`Exit::Failed`].
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    /// The failure with this code and line.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    /// The failure of a command that was well written, but whose file cannot be used.
    pub(crate) fn of_file(self) -> Self {
        let exit = if self.exit == Exit::Usage { Exit::Failed } else { self.exit };
        let message = self.message.strip_prefix("document: ").map(str::to_owned).unwrap_or(self.message);
        Self { exit, message }
    }

    /// A command that was not understood.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }
}

/// Says on standard error what went wrong, and gives the exit code. A reader that went away is no error.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if is_broken_pipe(error) {
        return Exit::Done.into();
    }
    let line = one_line(error);
    // When standard error is gone too, there is nobody left to tell.
    let _told = writeln!(io::stderr(), "error: {line}");
    exit_of(error).into()
}

fn exit_of(error: &anyhow::Error) -> Exit {
    error.chain().find_map(|cause| cause.downcast_ref::<Failure>()).map_or(Exit::Failed, |failure| failure.exit)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let is_pipe = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(is_pipe))
}

/// The whole chain as one line; a cause that its effect already names is not said twice.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !line.contains(&cause) {
            let joint = if line.is_empty() { "" } else { ": " };
            line.push_str(joint);
            line.push_str(&cause);
        }
    }
    line.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_chain_is_one_line_without_echoes() {
        let cause = io::Error::other("disk is gone");
        let error = Err::<(), _>(cause).context("opening a.xml: disk is gone").context("comparing").unwrap_err();
        assert_eq!(one_line(&error), "comparing: opening a.xml: disk is gone");
    }

    #[test]
    fn the_code_is_found_however_deep_it_lies_and_is_one_without() {
        let inner: Result<(), _> = Err(Failure::new(Exit::NotFound, "no scan 7"));
        assert_eq!(exit_of(&inner.context("showing").unwrap_err()), Exit::NotFound);
        assert_eq!(exit_of(&anyhow::anyhow!("other")), Exit::Failed);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_no_wrong_usage() {
        let told = |failure: Failure| (failure.exit, failure.message);
        let refused = Failure::usage("document: it is cut").of_file();
        assert_eq!(told(refused), (Exit::Failed, "it is cut".to_owned()));
        let missing = Failure::new(Exit::NotFound, "no scan 7").of_file();
        assert_eq!(told(missing), (Exit::NotFound, "no scan 7".to_owned()));
    }

    #[test]
    fn a_reader_that_left_is_not_an_error() {
        let gone = Err::<(), _>(io::Error::from(io::ErrorKind::BrokenPipe)).context("writing").unwrap_err();
        assert!(is_broken_pipe(&gone) && !is_broken_pipe(&anyhow::anyhow!("other")));
    }
}
