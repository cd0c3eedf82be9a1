//! Starts the command line and turns its end into an exit code.

mod cli;
mod client;
mod exit;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run().unwrap_or_else(|error| exit::report(&error))
}
