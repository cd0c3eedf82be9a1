//! `db`: a coordinator's data, made, checked, compacted, backed up, restored, reset. All but a backup need a stopped one.

mod words;

use super::print::Form;
use super::progress::waiting;
use super::setup::{ListenArgs, tell};
use super::{Place, Shared, print};
use crate::exit::{Exit, Failure};
use anyhow::Context;
use clap::{Args, Subcommand};
use coordinator::SetupOptions;
use coordinator::db;
use protocol::Timestamp;
use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};
use words::{Checked, Compacted, Dropped, Remade, Restored, Saved};

#[derive(Args)]
pub(crate) struct DbArgs {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make keys and an empty store, without any account; `setup` makes an account too
    #[command(after_help = "Example:\n  portdrift db init --dir /srv/portdrift")]
    Init(ListenArgs),
    /// Drop every scan, run, report and alert of a stopped coordinator; keys, nodes and accounts stay
    #[command(after_help = "\
Examples:
  portdrift db reset
  portdrift db reset --all --yes      the keys too: every node has to join anew")]
    Reset {
        /// Drop keys, nodes, accounts and settings too: the mesh is lost for good
        #[arg(long)]
        all: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Read every record of a stopped coordinator's store and say whether all are whole
    #[command(after_help = "Example:\n  portdrift db check --json")]
    Check,
    /// Make the index of a stopped coordinator's store anew from its journal
    #[command(after_help = "Example:\n  portdrift db rebuild --dir /srv/portdrift")]
    Rebuild,
    /// Give the room back that removed and replaced data takes; a running coordinator does it by itself
    #[command(after_help = "Example:\n  portdrift db compact --dir /srv/portdrift")]
    Compact,
    /// Write all data into one file, also while the coordinator runs; only its owner can read the file
    #[command(after_help = "\
Examples:
  portdrift db backup /backup/monday.portdrift
  portdrift db backup /backup/monday.portdrift --with-keys     whoever has that file can be the coordinator

The file holds every scan, run, report, alert, node, account and audit entry, all as of one moment. Configuration and
TLS files are not in it.")]
    Backup {
        /// The new file
        file: PathBuf,
        /// Put the secret keys of coordinator and mesh in it too
        #[arg(long)]
        with_keys: bool,
    },
    /// Bring a backup back into an empty folder
    #[command(after_help = "\
Example:
  portdrift db restore /backup/monday.portdrift --dir /srv/portdrift

After that the coordinator first listens to the nodes: it issues no roster before it knows the latest one.")]
    Restore {
        /// What `db backup` wrote
        file: PathBuf,
    },
}

pub(crate) async fn run(args: DbArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (dir, form) = (args.place.folder()?, shared.form());
    match args.command {
        Command::Init(listen) => {
            let made =
                coordinator::setup(SetupOptions { dir: dir.clone(), settings: listen.settings(), admin: None }).await?;
            tell(&dir, &made, form)?;
        }
        Command::Reset { all, yes } => {
            confirm_name(&dir, all, yes)?;
            let rows = if all {
                blocking(form, "dropping everything", move || db::reset_all(&dir)).await?;
                None
            } else {
                Some(
                    waiting(form, "dropping scans, runs, reports and alerts", db::reset(&dir, Timestamp::now()))
                        .await?,
                )
            };
            form.show(&Dropped { rows }, Dropped::words)?;
        }
        Command::Check => {
            let found = blocking(form, "reading every record", move || db::check(&dir)).await?;
            let checked = Checked::from(found);
            form.show(&checked, Checked::words)?;
            return Ok(if checked.damage.is_empty() { Exit::Done } else { Exit::Failed });
        }
        Command::Rebuild => {
            let db::Rebuilt { records, rows } =
                blocking(form, "making the index anew", move || db::rebuild(&dir)).await?;
            form.show(&Remade { records, rows }, Remade::words)?;
        }
        Command::Compact => {
            let compacted = waiting(form, "compacting the store", db::compact(&dir)).await?;
            form.show(&Compacted::from(compacted), Compacted::words)?;
        }
        Command::Backup { file, with_keys } => {
            let to = file.clone();
            let made = blocking(form, "writing the backup", move || db::backup(&dir, &to, with_keys)).await?;
            form.show(&Saved::new(file, made), Saved::words)?;
        }
        Command::Restore { file } => {
            let made = waiting(form, "bringing the backup back", db::restore(&dir, &file, Timestamp::now())).await?;
            form.show(&Restored::new(dir, made), Restored::words)?;
        }
    }
    Ok(Exit::Done)
}

/// Does work that waits for the disk on a thread of its own.
async fn blocking<T, E>(
    form: Form,
    what: &str,
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> anyhow::Result<T>
where
    T: Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    Ok(waiting(form, what, tokio::task::spawn_blocking(work)).await??)
}

/// Has the name of the folder typed: a habit of typing y is not enough here.
fn confirm_name(dir: &Path, all: bool, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    let what = if all {
        "Everything goes: keys, nodes, accounts and all data. Every node has to join anew."
    } else {
        "Every scan, run, report and alert goes. Keys, nodes, accounts and settings stay."
    };
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(format!("{what} There is no terminal to ask; add --yes to do it")).into());
    }
    let dir = dir.canonicalize().with_context(|| format!("looking at {}", dir.display()))?;
    let name = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    print::note(&format!("{what}\nThe data folder is {}. Type its name, {name}, to go on:", dir.display()));
    let mut typed = String::new();
    std::io::stdin().lock().read_line(&mut typed)?;
    if typed.trim() == name { Ok(()) } else { Err(Failure::new(Exit::Failed, "nothing was done").into()) }
}
