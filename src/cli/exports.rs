//! `reports export`: reports as files for other programs.

use super::Shared;
use super::scans::find;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use anyhow::Context;
use clap::{Args, ValueEnum};
use protocol::task::RunId;
use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What `--help` says below the options.
pub(crate) const HELP: &str = "\
Formats:
  csv   one row per change; counts is yes, or accepted for what a person
        accepted as expected, or no for rows that are no changes. Columns:
        report, network, network_name, made, baseline, status,
        coverage_percent, kind, counts, why_not_counted, address, protocol,
        port, targets, severity, confirmation, then before_… and after_… with
        state, service, product, version, extra, tls, os, names, mac, by, then
        accepted_by, accepted_at, accepted_comment.
        Cells that a spreadsheet would calculate begin with '
  json  one document. Keys: format, report, network, made, run, baseline,
        status, score, hosts_up, open_ports, known_hosts, coverage,
        new_up_hosts, new_down_hosts, added_ports, removed_ports,
        changed_ports, other_changes, not_counted, lines_left_out
  xml   the run behind the report as nmap XML: what it found, and where it
        looked

--all writes a ZIP archive with every report of a scan as csv and json, and
index.csv with a row per report.

Examples:
  portdrift reports export 7 --format csv > report-7.csv
  portdrift reports export 7 --output report-7.json
  portdrift reports export --scan office --all --output office.zip";

#[derive(Args)]
pub(crate) struct ExportArgs {
    /// The number of its run
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    report: Option<RunId>,
    /// As what [default: what the name of --output ends in, else csv]
    #[arg(long, value_enum, conflicts_with = "all")]
    format: Option<Format>,
    /// All reports of this scan: its number or its name
    #[arg(long, requires = "all")]
    scan: Option<String>,
    /// Every report of a scan, as a ZIP archive
    #[arg(long, requires = "scan", requires = "output")]
    all: bool,
    /// Where to write it [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if it is there
    #[arg(long, requires = "output")]
    force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Csv,
    Json,
    Xml,
}

impl ExportArgs {
    /// As asked for; else as the file's name says; else as the global `--json` says.
    fn format(&self, shared: &Shared) -> Format {
        let ending = self.output.as_deref().and_then(Path::extension).and_then(|ending| ending.to_str());
        let by_name = ending.and_then(|ending| Format::from_str(ending, true).ok());
        self.format.or(by_name).unwrap_or(if shared.json { Format::Json } else { Format::Csv })
    }

    async fn path(&self, client: &Client, shared: &Shared) -> anyhow::Result<String> {
        if let Some(scan) = &self.scan {
            return Ok(format!("/scans/{}/reports/export", find(client, scan).await?));
        }
        let report = self.report.ok_or_else(|| Failure::usage("give the number of a report, or --scan and --all"))?;
        let format = match self.format(shared) {
            Format::Csv => "csv",
            Format::Json => "json",
            Format::Xml => "xml",
        };
        Ok(format!("/reports/{report}/export?format={format}"))
    }
}

/// Writes the export to its file, or to standard output.
pub(crate) async fn run(client: &Client, args: ExportArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let path = args.path(client, shared).await?;
    match &args.output {
        None => client.download(&path, &mut io::stdout().lock()).await?,
        Some(file) => {
            to_file(client, &path, file, args.force).await.with_context(|| format!("writing {}", file.display()))?
        }
    }
    Ok(Exit::Done)
}

/// The file appears whole or not at all, and takes the place of another only when told to.
async fn to_file(client: &Client, path: &str, file: &Path, force: bool) -> anyhow::Result<()> {
    let is_taken = || anyhow::anyhow!("the file is there already; --force replaces it");
    if !force && file.try_exists()? {
        return Err(is_taken());
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    anyhow::ensure!(folder.is_dir(), "there is no folder {}", folder.display());
    let mut unfinished = tempfile::Builder::new()
        .prefix(".portdrift-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)?;
    client.download(path, &mut unfinished).await?;
    unfinished.flush()?;
    unfinished.as_file().sync_all()?;
    if force {
        unfinished.persist(file)?;
        return Ok(());
    }
    match unfinished.persist_noclobber(file) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Err(is_taken()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        export: ExportArgs,
    }

    fn parsed(words: &str) -> Result<ExportArgs, clap::Error> {
        Line::try_parse_from(format!("export {words}").split_whitespace()).map(|line| line.export)
    }

    #[test]
    fn the_format_is_the_one_asked_for_else_by_the_files_name_else_csv() {
        let shared = |json| Shared { json, ..Shared::default() };
        let format = |words, json| parsed(words).unwrap().format(&shared(json));
        assert_eq!(format("7", false), Format::Csv);
        assert_eq!(format("7", true), Format::Json);
        assert_eq!(format("7 --output a.JSON", false), Format::Json);
        assert_eq!(format("7 --output a.csv", true), Format::Csv);
        assert_eq!(format("7 --output a.csv --format json", false), Format::Json);
        assert_eq!(format("7 --output a.txt", false), Format::Csv);
    }

    #[test]
    fn one_report_or_all_of_a_scan_to_a_file() {
        for right in ["7", "7 --format json", "7 -o a.csv --force", "--scan 1 --all --output a.zip"] {
            assert!(parsed(right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "--all",
            "--scan 1",
            "7 --scan 1",
            "7 --all --scan 1 --output a.zip",
            "--scan 1 --all",
            "--scan 1 --all --output a.zip --format csv",
            "7 --force",
            "7 --format pdf",
        ] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
