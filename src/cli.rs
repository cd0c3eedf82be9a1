//! Arguments in, words out: what can be typed, and who answers it. A file per noun.

mod accept;
mod alerts;
mod audit;
mod check;
mod children;
mod compare;
mod completions;
mod config;
mod coordinator;
mod db;
mod demo;
mod diff;
mod doctor;
mod exports;
mod folder;
mod hosts;
mod import;
mod invites;
mod jobs;
mod keys;
mod logging;
mod logs;
mod man;
mod node;
mod nodes;
mod paint;
mod password;
mod print;
mod progress;
mod reports;
mod rules;
mod runs;
mod scanner;
mod scans;
mod setup;
mod status;
mod stop;
mod table;
mod tokens;
mod users;
mod version;

use crate::client::{CertificatePrint, Client, Trust};
use crate::exit::{Exit, Failure};
use anyhow::Context;
use clap::{Args, ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand};
use folder::Part;
use print::Form;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What nodes log: their own doings, and of libp2p below ours only what is wrong.
const NODE_LOG: &str = "info,libp2p_swarm=warn";

const EXAMPLES: &str = "\
Examples:
  portdrift demo                              see it work on this machine, on loopback only
  portdrift setup                             make a coordinator and go on in the browser
  portdrift coordinator run                   serve the mesh and the dashboard
  portdrift invites create                    print the line that lets a node ask to join
  portdrift node run --join pdrift1…          run a node on another machine
  portdrift keys approve FINGERPRINT --ranges 192.0.2.0/24
  portdrift scans run office --wait           scan now, and say what changed
  portdrift status                            see how it all stands
  portdrift doctor                            find out what is wrong, and what to do

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
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Shared {
    /// Write one JSON document instead of tables and sentences
    #[arg(long, global = true)]
    json: bool,
    /// Write JSON objects, one a line: for a list, one for each entry
    #[arg(long, global = true, conflicts_with = "json")]
    jsonl: bool,
    /// When to write in colour: on a terminal, unless NO_COLOR is set, or always, or never
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    color: ColorChoice,
    /// What to log on standard error, such as info or warn,node=debug
    #[arg(long, global = true, env = "PORTDRIFT_LOG", value_name = "LEVEL")]
    log: Option<String>,
}

/// Which coordinator: the one of a data folder on this machine, or one at a URL.
#[derive(Args, Clone, Debug)]
pub(crate) struct Place {
    /// The coordinator's data folder [default: /var/lib/portdrift/coordinator as root, else below $XDG_DATA_HOME]
    #[arg(long, global = true, env = "PORTDRIFT_DIR", value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    remote: Remote,
}

/// A coordinator that is asked over the network, with a token.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Another machine")]
struct Remote {
    /// Ask the coordinator whose dashboard is here, such as https://watch.example; takes a token
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,
    /// The file that holds the token, instead of the variable PORTDRIFT_TOKEN
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Trust certificates that the ones in this PEM file vouch for, instead of the system's
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "certificate")]
    ca_file: Option<PathBuf>,
    /// Trust the certificate with this SHA-256, as setup printed it, and no other
    #[arg(long = "fingerprint", global = true, value_name = "SHA256")]
    certificate: Option<CertificatePrint>,
}

impl Shared {
    fn form(&self) -> Form {
        match (self.json, self.jsonl) {
            (_, true) => Form::JsonLines,
            (true, false) => Form::Json,
            (false, false) => Form::Text,
        }
    }
}

impl Place {
    /// The data folder, for what is done on this machine alone.
    fn folder(&self) -> anyhow::Result<PathBuf> {
        if self.remote.url.is_some() {
            let reason = "this works on a data folder of this machine; leave --url out, or run it over there";
            return Err(Failure::usage(reason).into());
        }
        Part::Coordinator.folder(self.dir.clone())
    }

    fn client(&self) -> anyhow::Result<Client> {
        let Remote { url, token_file, ca_file, certificate } = &self.remote;
        let Some(url) = url else {
            return match (token_file, ca_file, certificate) {
                (None, None, None) => Client::of(&self.folder()?),
                _ => Err(Failure::usage("--token-file, --ca-file and --fingerprint belong to --url").into()),
            };
        };
        let trust = match (ca_file, certificate) {
            (Some(file), _) => Trust::Issuers(file.clone()),
            (None, Some(print)) => Trust::Certificate(*print),
            (None, None) => Trust::System,
        };
        Client::at(url, &token(token_file.as_deref())?, &trust)
    }
}

/// The token that is shown: from the file that was named, else from the environment. Never from an argument, which all
/// users of a machine can read.
fn token(file: Option<&Path>) -> anyhow::Result<String> {
    let text = match file {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?,
        None => std::env::var("PORTDRIFT_TOKEN").map_err(|_| {
            Failure::usage(
                "--url needs a token; put it into a file for --token-file, or into the variable PORTDRIFT_TOKEN",
            )
        })?,
    };
    Ok(text.trim().to_owned())
}

#[derive(Subcommand)]
enum Command {
    /// Show the whole of it on this machine: a mesh that scans twice and says what changed
    Demo(demo::DemoArgs),
    /// Make a coordinator, and serve its first steps in the browser; with --admin, make it and end
    Setup(setup::SetupArgs),
    /// See how it all stands: coordinator, mesh, nodes, scans, alerts, disk
    Status(status::StatusArgs),
    /// Find out what is wrong on this machine and in the mesh, and what to do about it
    Doctor(doctor::DoctorArgs),
    /// Tell a monitoring system how nodes, alerts or scans are
    Check(check::CheckArgs),
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
    /// See what is known of every host
    Hosts(hosts::HostsArgs),
    /// See what is open and why, and decide about it
    Alerts(alerts::AlertsArgs),
    /// Read who did what, when and from where
    Audit(audit::AuditArgs),
    /// Say which open ports are worth an alert
    Rules(rules::RulesArgs),
    /// Let programs ask in a user's name
    Tokens(tokens::TokensArgs),
    /// Say who may sign in to the dashboard, and as what
    Users(users::UsersArgs),
    /// Compare two nmap XML files, without a coordinator
    Diff(diff::DiffArgs),
    /// Take what another scanner found as a run of a scan
    Import(import::ImportArgs),
    /// See what is configured and from where, and check it
    Config(config::ConfigArgs),
    /// Read the coordinator's log files
    Logs(logs::LogsArgs),
    /// Look after a stopped coordinator's store
    Db(db::DbArgs),
    /// Print which program this is
    #[command(after_help = version::HELP)]
    Version,
    /// Print what makes a shell complete commands and options
    Completions(completions::CompletionsArgs),
    /// Print the manual page, or write one for every command
    Man(man::ManArgs),
    #[command(name = ::node::engine::guard::SUBCOMMAND, hide = true)]
    Scanner(scanner::ScannerArgs),
}

/// Reads the arguments and does what they say.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let CommandLine { shared, command } = match parse() {
        Ok(line) => line,
        Err(told) => {
            told.print()?;
            return Ok(match told.use_stderr() {
                true if is_check() => check::UNKNOWN.into(),
                true => Exit::Usage.into(),
                false => Exit::Done.into(),
            });
        }
    };
    paint::choose(shared.color);
    // The coordinator's logs are configured: it starts them itself.
    if !command.is_coordinator() {
        logging::start(shared.log.as_deref(), if matches!(command, Command::Node(_)) { NODE_LOG } else { "warn" })?;
    }
    command.run(&shared)
}

fn parse() -> Result<CommandLine, clap::Error> {
    let line = CommandLine::command().color(paint::typed(std::env::args_os()));
    CommandLine::from_arg_matches(&line.try_get_matches()?)
}

/// True for a line that asks for `check`, however wrong the rest is: monitoring systems read its exit code another way.
fn is_check() -> bool {
    let matches = CommandLine::command().ignore_errors(true).try_get_matches();
    matches.is_ok_and(|matches| matches.subcommand_name() == Some("check"))
}

impl Command {
    /// Whether it goes on as a coordinator.
    fn is_coordinator(&self) -> bool {
        matches!(self, Self::Coordinator(_)) || matches!(self, Self::Setup(args) if args.serves())
    }

    fn run(self, shared: &Shared) -> anyhow::Result<ExitCode> {
        let exit = match self {
            Self::Demo(args) => block_on(demo::run(args, shared))?,
            Self::Setup(args) => block_on(setup::run(args, shared))?,
            Self::Status(args) => block_on(status::run(args, shared))?,
            Self::Doctor(args) => block_on(doctor::run(args, shared))?,
            Self::Check(args) => return block_on(check::run(args, shared)),
            Self::Coordinator(args) => block_on(coordinator::run(args, shared))?,
            Self::Node(args) => block_on(node::run(args, shared))?,
            Self::Keys(args) => block_on(keys::run(args, shared))?,
            Self::Invites(args) => block_on(invites::run(args, shared))?,
            Self::Nodes(args) => block_on(nodes::run(args, shared))?,
            Self::Scans(args) => block_on(scans::run(args, shared))?,
            Self::Jobs(args) => block_on(jobs::run(args, shared))?,
            Self::Runs(args) => block_on(runs::run(args, shared))?,
            Self::Reports(args) => block_on(reports::run(args, shared))?,
            Self::Hosts(args) => block_on(hosts::run(args, shared))?,
            Self::Alerts(args) => block_on(alerts::run(args, shared))?,
            Self::Audit(args) => block_on(audit::run(args, shared))?,
            Self::Rules(args) => block_on(rules::run(args, shared))?,
            Self::Tokens(args) => block_on(tokens::run(args, shared))?,
            Self::Users(args) => block_on(users::run(args, shared))?,
            Self::Diff(args) => return Ok(u8::try_from(diff::run(&args, shared.form())?)?.into()),
            Self::Import(args) => block_on(import::run(args, shared))?,
            Self::Config(args) => config::run(args, shared)?,
            Self::Logs(args) => block_on(logs::run(args, shared))?,
            Self::Db(args) => block_on(db::run(args, shared))?,
            Self::Version => version::run(shared)?,
            Self::Completions(args) => completions::run(&args)?,
            Self::Man(args) => man::run(args)?,
            Self::Scanner(args) => return Err(scanner::become_it(&args)),
        };
        Ok(exit.into())
    }
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Runtime::new().context("starting the runtime")?.block_on(work)
}

#[cfg(test)]
mod tests;
