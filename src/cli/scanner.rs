//! The hidden step between a node and nmap: ties this process down, then becomes the scanner.

use clap::Args;
use std::ffi::OsString;

/// The program to become, then its arguments.
#[derive(Args)]
pub(crate) struct ScannerArgs {
    #[arg(last = true, required = true)]
    program: Vec<OsString>,
}

/// Replaces this process; comes back only with the reason why it could not.
pub(crate) fn become_it(args: &ScannerArgs) -> anyhow::Error {
    let Some((program, rest)) = args.program.split_first() else {
        return anyhow::anyhow!("no scanner was named");
    };
    let error = ::node::engine::guard::exec_guarded(program, rest);
    anyhow::anyhow!("starting {}: {error}", program.display())
}
