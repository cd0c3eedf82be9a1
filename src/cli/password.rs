//! Where a command gets a password from: a prompt, standard input or a file, never an argument that others can see.

use crate::exit::Failure;
use anyhow::Context;
use clap::Args;
use std::io::{IsTerminal, Read};
use std::path::PathBuf;

/// How to hand over a password; without either it is asked for.
#[derive(Args, Clone, Debug)]
pub(crate) struct PasswordArgs {
    /// Read the password from standard input
    #[arg(long, conflicts_with = "password_file")]
    password_stdin: bool,
    /// Read the password from a file
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl PasswordArgs {
    /// Whether it is said where to read one.
    pub(crate) fn is_given(&self) -> bool {
        self.password_stdin || self.password_file.is_some()
    }

    /// The password for `user`.
    pub(crate) fn read(&self, user: &str) -> anyhow::Result<String> {
        if let Some(file) = &self.password_file {
            let text = std::fs::read_to_string(file);
            return Ok(first_line(&text.with_context(|| format!("reading the password from {}", file.display()))?));
        }
        if self.password_stdin {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("reading the password from standard input")?;
            return Ok(first_line(&text));
        }
        if !std::io::stdin().is_terminal() {
            return Err(Failure::usage(
                "there is no terminal to ask for a password; use --password-stdin or --password-file",
            )
            .into());
        }
        let typed = ask(&format!("Password for {user}: "))?;
        match ask("The same again: ")? {
            again if again == typed => Ok(typed),
            _ => Err(Failure::usage("the two passwords differ; run the command again").into()),
        }
    }
}

fn ask(prompt: &str) -> anyhow::Result<String> {
    rpassword::prompt_password(prompt).context("asking for a password")
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line_without_its_end() {
        for (text, password) in [("a b\n", "a b"), ("a b\r\nc\n", "a b"), (" a", " a"), ("", "")] {
            assert_eq!(first_line(text), password);
        }
    }
}
