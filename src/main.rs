//! Starts the command line and turns its end into an exit code.

mod cli;
mod client;
mod exit;

use std::process::ExitCode;
use tikv_jemallocator::Jemalloc;

/// Many threads take turns at the same data; the allocator of glibc keeps what each of them has freed.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    cli::run().unwrap_or_else(|error| exit::report(&error))
}
