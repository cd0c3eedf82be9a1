//! `config`: what a coordinator is configured to do, where each value came from, and what is wrong with it.

use super::{Place, Shared, print};
use crate::exit::{Exit, Failure};
use anyhow::Context;
use clap::{Args, Subcommand};
use coordinator::config::{ConfigError, ConfigFile, Configuration, EXAMPLE, Entry, Flag, Origin, Sources};
use serde::Serialize;
use serde_json::Value;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// The file's name in the data folder.
const FILE: &str = "portdrift.toml";

#[derive(Args)]
pub(crate) struct ConfigArgs {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    named: NamedFile,
    #[command(subcommand)]
    command: Command,
}

/// The configuration file that was named, if one was.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct NamedFile {
    /// The configuration file [default: portdrift.toml in the data folder, if it is there]
    #[arg(long, global = true, env = "PORTDRIFT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Show every setting as the next start would have it
    #[command(after_help = "Examples:\n  portdrift config show\n  portdrift config show --origin")]
    Show {
        /// Say where each value comes from
        #[arg(long)]
        origin: bool,
    },
    /// Tell everything that is wrong with file and environment, with line and column
    #[command(after_help = "Example:\n  portdrift config check --config /etc/portdrift/portdrift.toml")]
    Check,
    /// Print where the configuration file is, or would be
    #[command(after_help = "Example:\n  portdrift config path")]
    Path,
    /// Print a configuration file with every setting, its default and what it is for
    #[command(after_help = "Example:\n  portdrift config example > /etc/portdrift/portdrift.toml")]
    Example,
}

/// One setting with `--json`.
#[derive(Serialize)]
struct Shown {
    key: String,
    value: Value,
    origin: String,
    follows_reload: bool,
}

pub(crate) fn run(args: ConfigArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let ConfigArgs { place, named, command } = args;
    let source = || anyhow::Ok(ConfigSource::new(named, &place.folder()?, Vec::new()));
    match command {
        Command::Show { origin } => show(&source()?.read_or_tell()?, origin, shared)?,
        Command::Check => check(&source()?.read_or_tell()?),
        Command::Path => print::line(&source()?.path.display().to_string())?,
        Command::Example => print::line(EXAMPLE)?,
    }
    Ok(Exit::Done)
}

fn check(read: &Configuration) {
    let what = read.file().map_or_else(|| "no file, the defaults".to_owned(), |file| file.display().to_string());
    print::note(&format!("{what}: nothing is wrong"));
}

fn show(read: &Configuration, with_origin: bool, shared: &Shared) -> anyhow::Result<()> {
    let values = serde_json::to_value(read.config())?;
    let shown = |entry: Entry| {
        let Entry { key, value: _, origin, is_reloadable } = entry;
        let value = values.pointer(&format!("/{}", key.replace('.', "/"))).cloned().unwrap_or_default();
        Shown { key, value, origin: origin.to_string(), follows_reload: is_reloadable }
    };
    let rows: Vec<Shown> = read.entries().into_iter().map(shown).collect();
    shared.form().show(&rows, |_| words(read, with_origin))
}

fn words(read: &Configuration, with_origin: bool) -> String {
    let entries = read.entries();
    if with_origin {
        let rows = entries.into_iter().map(|entry| vec![entry.key, entry.value, entry.origin.to_string()]).collect();
        return print::table(&["key", "value", "origin"], rows, "");
    }
    let line = |entry: Entry| {
        let Entry { key, value, origin, is_reloadable: _ } = entry;
        let is_of_setup = matches!(key.as_str(), "web.listen" | "mesh.listen" | "mesh.advertise");
        let note = if is_of_setup && origin == Origin::Default { "  # as chosen at setup" } else { "" };
        format!("{key} = {value}{note}")
    };
    entries.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Where a coordinator's configuration is read from, as often as needed.
pub(crate) struct ConfigSource {
    path: PathBuf,
    is_named: bool,
    flags: Vec<Flag>,
}

impl ConfigSource {
    /// Of the coordinator in `dir`, with what its command line says.
    pub(crate) fn new(named: NamedFile, dir: &Path, flags: Vec<Flag>) -> Self {
        let is_named = named.config.is_some();
        Self { path: named.config.unwrap_or_else(|| dir.join(FILE)), is_named, flags }
    }

    /// Reads file and environment.
    ///
    /// # Errors
    /// Every fault, a line each.
    pub(crate) fn read(&self) -> anyhow::Result<Configuration> {
        let readable =
            |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        let variables = std::env::vars_os().filter_map(readable).collect();
        let sources = Sources { file: self.file()?, variables, flags: self.flags.clone() };
        Ok(Configuration::read(&sources)?)
    }

    /// The same for a person, who is told every fault on a line of its own.
    pub(crate) fn read_or_tell(&self) -> anyhow::Result<Configuration> {
        self.read().map_err(|error| match error.downcast::<ConfigError>() {
            Ok(ConfigError(faults)) => {
                faults.iter().for_each(|fault| print::note(&fault.to_string()));
                let count = print::counted(u64::try_from(faults.len()).unwrap_or(u64::MAX), "fault");
                Failure::new(Exit::Failed, format!("the configuration has {count}")).into()
            }
            Err(other) => other,
        })
    }

    fn file(&self) -> anyhow::Result<Option<ConfigFile>> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => Ok(Some(ConfigFile { path: self.path.clone(), text })),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.is_named => Ok(None),
            Err(error) => Err(error).with_context(|| format!("reading the configuration {}", self.path.display())),
        }
    }
}
