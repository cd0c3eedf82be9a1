//! What the `db` commands answer, as JSON and in words.

use crate::cli::print::{counted, size};
use coordinator::db::{BackupMade, CheckReport, RestoreMade, table_name};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What `db check` found.
#[derive(Serialize)]
pub(super) struct Checked {
    records: u64,
    /// The number of the record up to which a snapshot stands for the records; 0 without one.
    snapshot: u64,
    segments: usize,
    rows: u64,
    /// Rows by table.
    tables: BTreeMap<&'static str, u64>,
    torn_end: bool,
    waiting: u64,
    pub(super) damage: Vec<String>,
}

impl From<CheckReport> for Checked {
    fn from(report: CheckReport) -> Self {
        let CheckReport { records, snapshot, segments, has_torn_end, waiting, tables, damage } = report;
        let rows = tables.values().map(|table| table.rows).sum();
        let tables = tables.into_iter().map(|(prefix, table)| (table_name(prefix), table.rows)).collect();
        Self { records, snapshot, segments, rows, tables, torn_end: has_torn_end, waiting, damage }
    }
}

impl Checked {
    pub(super) fn words(&self) -> String {
        let Self { records, snapshot, segments, rows, tables: _, torn_end, waiting, damage } = self;
        let files = counted(*segments, "journal file");
        let kept = match snapshot {
            0 => format!("{} in {files}", counted(*records, "record")),
            snapshot => format!(
                "{}, the first {snapshot} of them as a snapshot, the others in {files}",
                counted(*records, "record")
            ),
        };
        let mut text = format!("{kept}, {} in the index", counted(*rows, "row"));
        if *torn_end {
            text.push_str("\nthe journal ends in a write that nobody was told about; the next start cuts it");
        }
        if *waiting > 0 {
            text.push_str(&format!(
                "\n{} yet to enter the index; the next start takes them in",
                counted(*waiting, "record")
            ));
        }
        match damage.is_empty() {
            true => text + "\nno damage found",
            false => text + "\n" + &damage.join("\n"),
        }
    }
}

/// What `db rebuild` did.
#[derive(Serialize)]
pub(super) struct Remade {
    pub(super) records: u64,
    pub(super) rows: u64,
}

impl Remade {
    pub(super) fn words(&self) -> String {
        let (records, rows) = (counted(self.records, "record"), counted(self.rows, "row"));
        format!("the index is made anew: {records} led to {rows}")
    }
}

/// What `db compact` did.
#[derive(Serialize)]
pub(super) struct Compacted {
    /// False when nothing was written since the last time.
    compacted: bool,
    records: u64,
    rows: u64,
    bytes_before: u64,
    bytes_after: u64,
}

impl From<Option<coordinator::db::Compacted>> for Compacted {
    fn from(done: Option<coordinator::db::Compacted>) -> Self {
        let compacted = done.is_some();
        let nothing = coordinator::db::Compacted { records: 0, rows: 0, bytes_before: 0, bytes_after: 0 };
        let coordinator::db::Compacted { records, rows, bytes_before, bytes_after } = done.unwrap_or(nothing);
        Self { compacted, records, rows, bytes_before, bytes_after }
    }
}

impl Compacted {
    pub(super) fn words(&self) -> String {
        let Self { compacted, records, rows, bytes_before, bytes_after } = self;
        if !compacted {
            return "nothing was written since the last compaction".to_owned();
        }
        let (before, after) = (size(*bytes_before), size(*bytes_after));
        format!("{before} before, {after} now: {} stand for {}", counted(*rows, "row"), counted(*records, "record"))
    }
}

/// What `db backup` wrote.
#[derive(Serialize)]
pub(super) struct Saved {
    file: PathBuf,
    records: u64,
    bytes: u64,
    keys: Vec<&'static str>,
}

impl Saved {
    pub(super) fn new(file: PathBuf, BackupMade { records, bytes, keys }: BackupMade) -> Self {
        Self { file, records, bytes, keys }
    }

    pub(super) fn words(&self) -> String {
        let Self { file, records, bytes, keys } = self;
        let keys = match keys.is_empty() {
            true => "no secret keys in it: keep coordinator.key and mesh.key elsewhere".to_owned(),
            false => format!("secret keys in it: {}; keep it as safe as them", keys.join(", ")),
        };
        format!("{} holds {}, {}\n{keys}", file.display(), counted(*records, "record"), size(*bytes))
    }
}

/// What `db restore` brought back.
#[derive(Serialize)]
pub(super) struct Restored {
    dir: PathBuf,
    records: u64,
    missing_keys: Vec<&'static str>,
}

impl Restored {
    pub(super) fn new(dir: PathBuf, RestoreMade { records, missing_keys }: RestoreMade) -> Self {
        Self { dir, records, missing_keys }
    }

    pub(super) fn words(&self) -> String {
        let Self { dir, records, missing_keys } = self;
        let dir = dir.display();
        let next = match missing_keys.is_empty() {
            true => String::new(),
            false => format!(
                "the backup lacks {}; copy what you have of them to {dir} (mode 600), then\n",
                missing_keys.join(" and ")
            ),
        };
        format!("{} restored\n\nNext: {next}portdrift coordinator run --dir {dir}", counted(*records, "record"))
    }
}

/// What `db reset` dropped.
#[derive(Serialize)]
pub(super) struct Dropped {
    /// How many rows; none when all went.
    pub(super) rows: Option<u64>,
}

impl Dropped {
    pub(super) fn words(&self) -> String {
        match self.rows {
            Some(rows) => format!("scans, runs, reports and alerts are gone: {}", counted(rows, "row")),
            None => "keys and store are gone; `portdrift setup` makes new ones".to_owned(),
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
        let cut = CheckReport { snapshot: 10, ..sound.clone() };
        insta::assert_snapshot!(Checked::from(cut).words(), @"
        12 records, the first 10 of them as a snapshot, the others in 1 journal file, 0 rows in the index
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

    #[test]
    fn a_backup_says_what_secrets_it_holds_and_a_restore_what_it_lacks() {
        let made = |keys| BackupMade { records: 7, bytes: 1_600_000, keys };
        let saved = |keys| Saved::new("a.portdrift".into(), made(keys)).words();
        let restored = |missing_keys| Restored::new("/srv/p".into(), RestoreMade { records: 7, missing_keys }).words();
        let said = [saved(vec![]), saved(vec!["mesh.key"]), restored(vec!["coordinator.key"]), restored(vec![])];
        insta::assert_snapshot!(said.join("\n\n"), @"
        a.portdrift holds 7 records, 1.5 MiB
        no secret keys in it: keep coordinator.key and mesh.key elsewhere

        a.portdrift holds 7 records, 1.5 MiB
        secret keys in it: mesh.key; keep it as safe as them

        7 records restored

        Next: the backup lacks coordinator.key; copy what you have of them to /srv/p (mode 600), then
        portdrift coordinator run --dir /srv/p

        7 records restored

        Next: portdrift coordinator run --dir /srv/p
        ");
    }
}
