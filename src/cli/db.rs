//! `db`: a stopped coordinator's store, made, checked, or its index made anew.

use super::setup::{ListenArgs, tell};
use super::{Place, Shared, print};
use crate::exit::Exit;
use clap::{Args, Subcommand};
use coordinator::SetupOptions;
use coordinator::db::{CheckReport, table_name};
use serde::Serialize;
use std::collections::BTreeMap;

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
    /// Read every record of a stopped coordinator's store and say whether all are whole
    #[command(after_help = "Example:\n  portdrift db check --json")]
    Check,
    /// Make the index of a stopped coordinator's store anew from its journal
    #[command(after_help = "Example:\n  portdrift db rebuild --dir /srv/portdrift")]
    Rebuild,
}

/// What `db check --json` prints.
#[derive(Serialize)]
struct Checked {
    records: u64,
    segments: usize,
    rows: u64,
    /// Rows by table.
    tables: BTreeMap<&'static str, u64>,
    torn_end: bool,
    waiting: u64,
    damage: Vec<String>,
}

/// What `db rebuild --json` prints.
#[derive(Serialize)]
struct Remade {
    records: u64,
    rows: u64,
}

impl From<CheckReport> for Checked {
    fn from(report: CheckReport) -> Self {
        let CheckReport { records, segments, has_torn_end, waiting, tables, damage } = report;
        let rows = tables.values().map(|table| table.rows).sum();
        let tables = tables.into_iter().map(|(prefix, table)| (table_name(prefix), table.rows)).collect();
        Self { records, segments, rows, tables, torn_end: has_torn_end, waiting, damage }
    }
}

impl Checked {
    fn words(&self) -> String {
        let Self { records, segments, rows, tables: _, torn_end, waiting, damage } = self;
        let (records, segments) = (print::counted(*records, "record"), print::counted(*segments, "journal file"));
        let mut text = format!("{records} in {segments}, {} in the index", print::counted(*rows, "row"));
        if *torn_end {
            text.push_str("\nthe journal ends in a write that nobody was told about; the next start cuts it");
        }
        if *waiting > 0 {
            text.push_str(&format!(
                "\n{} yet to enter the index; the next start takes them in",
                print::counted(*waiting, "record")
            ));
        }
        match damage.is_empty() {
            true => text + "\nno damage found",
            false => text + "\n" + &damage.join("\n"),
        }
    }
}

pub(crate) async fn run(args: DbArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let dir = args.place.folder()?;
    match args.command {
        Command::Init(listen) => {
            let made =
                coordinator::setup(SetupOptions { dir: dir.clone(), settings: listen.settings(), admin: None }).await?;
            tell(&dir, &made, shared.form())?;
            Ok(Exit::Done)
        }
        Command::Check => {
            let found = tokio::task::spawn_blocking(move || coordinator::db::check(&dir)).await??;
            let checked = Checked::from(found);
            shared.form().show(&checked, Checked::words)?;
            Ok(if checked.damage.is_empty() { Exit::Done } else { Exit::Failed })
        }
        Command::Rebuild => {
            let coordinator::db::Rebuilt { records, rows } =
                tokio::task::spawn_blocking(move || coordinator::db::rebuild(&dir)).await??;
            shared.form().show(&Remade { records, rows }, |made| {
                let (records, rows) = (print::counted(made.records, "record"), print::counted(made.rows, "row"));
                format!("the index is made anew: {records} led to {rows}")
            })?;
            Ok(Exit::Done)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_says_what_is_there_and_what_is_wrong() {
        let sound = CheckReport { records: 12, segments: 1, ..CheckReport::default() };
        insta::assert_snapshot!(Checked::from(sound.clone()).words(), @"
        12 records in 1 journal file, 0 rows in the index
        no damage found
        ");
        let damaged =
            CheckReport { has_torn_end: true, waiting: 2, damage: vec!["row 00ff: checksum".to_owned()], ..sound };
        insta::assert_snapshot!(Checked::from(damaged).words(), @"
        12 records in 1 journal file, 0 rows in the index
        the journal ends in a write that nobody was told about; the next start cuts it
        2 records yet to enter the index; the next start takes them in
        row 00ff: checksum
        ");
    }
}
