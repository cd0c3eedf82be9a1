//! Arguments in, words out: what can be typed, and who answers it. A file per noun.

mod accept;
mod alerts;
mod audit;
mod compare;
mod coordinator;
mod db;
mod demo;
mod diff;
mod exports;
mod folder;
mod import;
mod invites;
mod jobs;
mod keys;
mod logs;
mod node;
mod nodes;
mod password;
mod print;
mod reports;
mod rules;
mod runs;
mod scanner;
mod scans;
mod setup;
mod stop;
mod users;

use crate::client::Client;
use crate::exit::Exit;
use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use folder::Part;
use print::Form;
use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;

/// What services log: their own doings, and of libp2p and the scheduler below ours only what is wrong.
const SERVICE_LOG: &str = "info,libp2p_swarm=warn,tokio_cron_scheduler=warn";

const EXAMPLES: &str = "\
Examples:
  portdrift demo                              see it work on this machine, on loopback only
  portdrift setup --admin ada                 make the keys, the store and the first account
  portdrift coordinator run                   serve the mesh and the dashboard
  portdrift invites create                    print the line that lets a node ask to join
  portdrift node run --join pdrift1…          run a node on another machine
  portdrift keys approve FINGERPRINT --ranges 192.0.2.0/24
  portdrift scans run office --wait           scan now, and say what changed

Scan only what you own or have written permission to scan.";

#[derive(Parser)]
#[command(name = "portdrift", version, about = "Watches networks for change.", after_help = EXAMPLES)]
#[command(arg_required_else_help = true, disable_help_subcommand = true, max_term_width = 110)]
struct CommandLine {
    #[command(flatten)]
    shared: Shared,
    #[command(subcommand)]
    command: Command,
}

/// What every command understands.
#[derive(Args, Clone, Debug)]
pub(crate) struct Shared {
    /// Write one JSON document instead of tables and sentences
    #[arg(long, global = true)]
    json: bool,
    /// What to log on standard error, such as info or warn,node=debug
    #[arg(long, global = true, env = "PORTDRIFT_LOG", value_name = "LEVEL")]
    log: Option<String>,
}

/// Whose data: the folder of a coordinator.
#[derive(Args, Clone, Debug)]
pub(crate) struct Place {
    /// The coordinator's data folder [default: /var/lib/portdrift/coordinator as root, else below $XDG_DATA_HOME]
    #[arg(long, global = true, env = "PORTDRIFT_DIR", value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Shared {
    fn form(&self) -> Form {
        Form::from_flag(self.json)
    }
}

impl Place {
    fn folder(&self) -> anyhow::Result<PathBuf> {
        Part::Coordinator.folder(self.dir.clone())
    }

    fn client(&self) -> anyhow::Result<Client> {
        Client::of(&self.folder()?)
    }
}

#[derive(Subcommand)]
enum Command {
    /// Show the whole of it on this machine: a mesh that scans twice and says what changed
    Demo(demo::DemoArgs),
    /// Make a coordinator: its keys, its store, and the first administrator
    Setup(setup::SetupArgs),
    /// Serve the mesh, the dashboard and the API
    Coordinator(coordinator::CoordinatorArgs),
    /// Scan for a coordinator
    Node(node::NodeArgs),
    /// Look at keys that ask to join, and let them in or not
    Keys(keys::KeysArgs),
    /// Let nodes ask to join
    Invites(invites::InvitesArgs),
    /// Look at the nodes of the mesh
    Nodes(nodes::NodesArgs),
    /// Say what is to be watched, and scan it
    Scans(scans::ScansArgs),
    /// Look at what the running scheduler holds
    Jobs(jobs::JobsArgs),
    /// Look at single executions of a scan
    Runs(runs::RunsArgs),
    /// Read what changed
    Reports(reports::ReportsArgs),
    /// See what is open and why, and decide about it
    Alerts(alerts::AlertsArgs),
    /// Read who did what, when and from where
    Audit(audit::AuditArgs),
    /// Say which open ports are worth an alert
    Rules(rules::RulesArgs),
    /// Say who may sign in to the dashboard, and as what
    Users(users::UsersArgs),
    /// Compare two nmap XML files, without a coordinator
    Diff(diff::DiffArgs),
    /// Take what another scanner found as a run of a scan
    Import(import::ImportArgs),
    /// Look after a stopped coordinator's store
    Db(db::DbArgs),
    #[command(name = ::node::engine::guard::SUBCOMMAND, hide = true)]
    Scanner(scanner::ScannerArgs),
}

/// Reads the arguments and does what they say.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let CommandLine { shared, command } = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(told) => {
            told.print()?;
            return Ok(if told.use_stderr() { Exit::Usage } else { Exit::Done }.into());
        }
    };
    logs::start(shared.log.as_deref(), if command.is_service() { SERVICE_LOG } else { "warn" })?;
    command.run(&shared)
}

impl Command {
    fn is_service(&self) -> bool {
        matches!(self, Self::Coordinator(_) | Self::Node(_))
    }

    fn run(self, shared: &Shared) -> anyhow::Result<ExitCode> {
        let exit = match self {
            Self::Demo(args) => block_on(demo::run(args, shared))?,
            Self::Setup(args) => block_on(setup::run(args, shared))?,
            Self::Coordinator(args) => block_on(coordinator::run(args, shared))?,
            Self::Node(args) => block_on(node::run(args, shared))?,
            Self::Keys(args) => block_on(keys::run(args, shared))?,
            Self::Invites(args) => block_on(invites::run(args, shared))?,
            Self::Nodes(args) => block_on(nodes::run(args, shared))?,
            Self::Scans(args) => block_on(scans::run(args, shared))?,
            Self::Jobs(args) => block_on(jobs::run(args, shared))?,
            Self::Runs(args) => block_on(runs::run(args, shared))?,
            Self::Reports(args) => block_on(reports::run(args, shared))?,
            Self::Alerts(args) => block_on(alerts::run(args, shared))?,
            Self::Audit(args) => block_on(audit::run(args, shared))?,
            Self::Rules(args) => block_on(rules::run(args, shared))?,
            Self::Users(args) => block_on(users::run(args, shared))?,
            Self::Diff(args) => return Ok(u8::try_from(diff::run(&args, shared.form())?)?.into()),
            Self::Import(args) => block_on(import::run(args, shared))?,
            Self::Db(args) => block_on(db::run(args, shared))?,
            Self::Scanner(args) => return Err(scanner::become_it(&args)),
        };
        Ok(exit.into())
    }
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Runtime::new().context("starting the runtime")?.block_on(work)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_is_for_and_shows_an_example() {
        fn visit(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            assert!(command.get_about().is_some(), "{path} does not say what it is for");
            let is_leaf = command.get_subcommands().next().is_none();
            let has_example = command.get_after_help().is_some_and(|help| help.to_string().contains("portdrift "));
            assert!(!is_leaf || has_example, "{path} shows no example");
            command.get_subcommands().filter(|sub| !sub.is_hide_set()).for_each(|sub| visit(sub, &path));
        }
        visit(&CommandLine::command(), "");
    }
}
