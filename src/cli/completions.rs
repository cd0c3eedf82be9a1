//! `completions`: what makes a shell complete commands and options.

use super::{CommandLine, print};
use crate::exit::Exit;
use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;

#[derive(Args)]
#[command(after_help = "\
Examples:
  portdrift completions bash > /usr/share/bash-completion/completions/portdrift
  portdrift completions zsh > /usr/share/zsh/site-functions/_portdrift
  portdrift completions fish > ~/.config/fish/completions/portdrift.fish")]
pub(crate) struct CompletionsArgs {
    /// Which shell
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut shown(), "portdrift", &mut script);
    print::line(&String::from_utf8(script)?)?;
    Ok(Exit::Done)
}

/// The program without the commands that are not for people; completions would offer them.
fn shown() -> Command {
    let line = CommandLine::command();
    let subcommands = line.get_subcommands().filter(|sub| !sub.is_hide_set()).cloned();
    let shown = Command::new("portdrift").disable_help_subcommand(true);
    shown.args(line.get_arguments().cloned()).subcommands(subcommands)
}
