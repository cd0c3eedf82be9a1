//! `import`: documents of other scanners, each as a run of a scan.

use super::print::{self, Form};
use super::progress::Bar;
use super::{Place, Shared, reports, runs, scans};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use anyhow::Context;
use protocol::Timestamp;
use protocol::nmap_xml::Reader;
use serde::Serialize;
use std::fs::File;
use std::path::{Path, PathBuf};
use web::api::imports::Import;
use web::api::reports::Report;
use web::api::runs::RunDetail;

#[derive(clap::Args)]
#[command(after_help = "\
Each file becomes a run, in the order in which they were begun. What a file does
not prove changes nothing: one that was cut short speaks only for the hosts that
it lists, and one of masscan only for open ports. Without --authoritative, what
a file proves to be gone stays unconfirmed.

Examples:
  portdrift import office.xml --scan office
  portdrift import monday.xml tuesday.xml --scan 3 --authoritative")]
pub(crate) struct ImportArgs {
    /// nmap XML files, as nmap writes them with -oX; masscan's are read too
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The scan to which they belong: its number or its name
    #[arg(long)]
    scan: String,
    /// Take what the files prove to be gone as gone, and resolve its alerts
    #[arg(long)]
    authoritative: bool,
    /// Print the numbers of the runs alone, one a line
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    place: Place,
}

/// What became of one file; `--json` prints one for each.
#[derive(Serialize)]
struct Taken {
    file: PathBuf,
    import: Import,
    run: RunDetail,
    report: Option<Report>,
}

pub(crate) async fn run(args: ImportArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (client, form) = (args.place.client()?, shared.form().or_ids(args.quiet));
    let files = in_order(args.files)?;
    let scan = scans::find(&client, &args.scan).await?;
    let path = format!("/scans/{scan}/import?authoritative={}", args.authoritative);
    let mut all = Vec::new();
    for file in files {
        let name = format!("importing {}", file.display());
        let taken = import(&client, &path, file, form).await.context(name)?;
        if form == Form::Text {
            let severities = reports::severities(&client, scan).await?;
            let made = taken.report.as_ref().map(|report| reports::words(report, &severities));
            print::line(&made.unwrap_or_else(|| format!("run {} made no report", taken.run.run.id)))?;
        }
        runs::exit_of(&taken.run.run)?;
        all.push(taken);
    }
    match form {
        Form::Ids => print::ids(all.iter().map(|taken| taken.run.run.id))?,
        Form::Json | Form::JsonLines => form.show_all(&all, |_| String::new())?,
        Form::Text => {}
    }
    Ok(Exit::Done)
}

/// The files in the order in which their scans were begun. All are opened before the first is sent.
fn in_order(files: Vec<PathBuf>) -> anyhow::Result<Vec<PathBuf>> {
    let mut begun: Vec<(Option<Timestamp>, PathBuf)> = Vec::new();
    for file in files {
        begun.push((start_of(&file).with_context(|| format!("reading {}", file.display()))?, file));
    }
    begun.sort();
    Ok(begun.into_iter().map(|(_, file)| file).collect())
}

/// When the scan was begun, from the head of its file. What is wrong behind it is the coordinator's to say.
fn start_of(file: &Path) -> anyhow::Result<Option<Timestamp>> {
    let mut reader = Reader::new(File::open(file)?);
    match reader.next_host() {
        Err(error) if reader.summary().start.is_none() => Err(error.into()),
        Ok(_) | Err(_) => Ok(reader.summary().start),
    }
}

async fn import(client: &Client, path: &str, file: PathBuf, form: Form) -> anyhow::Result<Taken> {
    let bar = Bar::of_bytes(form, std::fs::metadata(&file).map_or(0, |facts| facts.len()));
    let sent = move |bytes| bar.add(bytes);
    let import: Import = client.send_file(path, &file, sent).await.map_err(of_file)?;
    if form == Form::Text {
        print::note(&words(&import));
    }
    let run = runs::watch(client, import.run.id, form).await?;
    let report = reports::of_run(client, run.run.id).await?;
    Ok(Taken { file, import, run, report })
}

fn of_file(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<Failure>() {
        Ok(failure) => failure.of_file().into(),
        Err(other) => other,
    }
}

fn words(import: &Import) -> String {
    let Import { run, hosts, outside, outside_count, shortfall } = import;
    let mut text = format!("run {} takes {}", run.id, print::counted(*hosts, "host"));
    if *outside_count > 0 {
        text.push_str(&format!("; not in the scan's targets, and left out: {outside_count} ({outside})"));
    }
    if let Some(why) = shortfall {
        text.push_str(&format!("; not all that it asked is settled: {why}"));
    }
    text
}
