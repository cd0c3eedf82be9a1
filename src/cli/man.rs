//! `man`: manual pages, made from what `--help` says.

use super::{CommandLine, print};
use crate::exit::Exit;
use anyhow::Context;
use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;
use std::path::{Path, PathBuf};

#[derive(Args)]
#[command(after_help = "\
Examples:
  portdrift man | man -l -
  portdrift man --dir /usr/local/share/man/man1     a page for every command, such as portdrift-scans-run(1)")]
pub(crate) struct ManArgs {
    /// Write the pages of all commands into this folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(args: ManArgs) -> anyhow::Result<Exit> {
    match args.dir {
        None => {
            let mut page = Vec::new();
            Man::new(CommandLine::command()).render(&mut page)?;
            print::line(&String::from_utf8(page)?)?;
        }
        Some(dir) => {
            let count = write_all(CommandLine::command(), &dir)?;
            print::note(&format!("{} in {}", print::counted(count, "page"), dir.display()));
        }
    }
    Ok(Exit::Done)
}

/// Writes the page of a command and those of all below it into `dir`, which is made if it is not there; gives their
/// number.
pub(crate) fn write_all(mut command: Command, dir: &Path) -> anyhow::Result<u64> {
    std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    command.build();
    write_below(command, dir)
}

fn write_below(command: Command, dir: &Path) -> anyhow::Result<u64> {
    let mut count = 1;
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        count += write_below(sub.clone(), dir)?;
    }
    Man::new(command).generate_to(dir).with_context(|| format!("writing pages into {}", dir.display()))?;
    Ok(count)
}
