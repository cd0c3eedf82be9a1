//! `scans`: what is watched, and how; and a run of it now.

mod define;
mod keep;

use super::print::{self, Form};
use super::reports::{self, FailOn};
use super::{Place, Shared, runs};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use clap::{Args, Subcommand};
use define::{CreateArgs, EditArgs};
use protocol::task::ScanId;
use protocol::{PortSet, TargetSet};
use serde::Serialize;
use web::api::reports::Report;
use web::api::runs::{RunDetail, RunSummary};
use web::api::scans::Scan;

#[derive(Args)]
pub(crate) struct ScansArgs {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List every scan
    #[command(after_help = "Examples:\n  portdrift scans list\n  portdrift scans list --all")]
    List {
        /// Those too that are deactivated
        #[arg(long)]
        all: bool,
        /// Print the numbers alone, one a line
        #[arg(long, short)]
        quiet: bool,
    },
    /// Show one scan and its latest runs
    #[command(after_help = "Example:\n  portdrift scans show office")]
    Show {
        /// Its number or its name
        scan: String,
    },
    /// Define what is to be watched
    #[command(after_help = "\
Examples:
  portdrift scans create office --targets 192.0.2.0/24 --ports 1-1024 --args=-sV
  portdrift scans create lab --targets 198.51.100.1-50 --ports 22,80,443 --every 1440
  portdrift scans create plant --targets 10.0.0.0/8 --budget 16777216 --cron \"30 2 * * 6\" --zone Europe/Berlin --dry-run")]
    Create(Box<CreateArgs>),
    /// Change what is said, from the next run on; the rest stays
    #[command(after_help = "\
Examples:
  portdrift scans edit office --ports 1-65535
  portdrift scans edit office --cron \"0 */6 * * *\" --zone Europe/Berlin
  portdrift scans edit office --exclude none --unscheduled --dry-run
  portdrift scans edit office --keep-runs 100 --keep-days 90")]
    Edit(Box<EditArgs>),
    /// Copy a scan; the copy does not run by itself
    #[command(after_help = "Example:\n  portdrift scans duplicate office")]
    Duplicate {
        /// Its number or its name
        scan: String,
    },
    /// Let a deactivated scan run again
    #[command(after_help = "Example:\n  portdrift scans activate office")]
    Activate {
        /// Its number or its name
        scan: String,
    },
    /// Take a scan out of use; its history stays
    #[command(after_help = "Example:\n  portdrift scans deactivate office")]
    Deactivate {
        /// Its number or its name
        scan: String,
    },
    /// Run a scan now
    #[command(after_help = "\
Examples:
  portdrift scans run office --wait
  portdrift scans run office --wait --fail-on high    exit 6 when a new port is high or critical")]
    Run {
        /// Its number or its name
        scan: String,
        /// Wait for the end, and say what changed
        #[arg(long)]
        wait: bool,
        /// With --wait: exit 6 when the report holds something this severe
        #[arg(long, value_name = "SEVERITY", requires = "wait")]
        fail_on: Option<FailOn>,
    },
}

/// What `scans show --json` prints.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    scan: Scan,
    runs: Vec<RunSummary>,
}

/// What `scans run --wait --json` prints.
#[derive(Serialize)]
struct Ended {
    run: RunDetail,
    report: Option<Report>,
}

pub(crate) async fn run(args: ScansArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let form = shared.form();
    let client = args.place.client()?;
    match args.command {
        Command::List { all, quiet } => list(&client, all, form.or_ids(quiet)).await?,
        Command::Show { scan } => show(&client, &scan, form).await?,
        Command::Create(args) => define::create(&client, *args, form).await?,
        Command::Edit(args) => define::edit(&client, *args, form).await?,
        Command::Duplicate { scan } => {
            let copy = told(&client, &scan, "duplicate").await?;
            form.show(&copy, |copy| format!("scan {} ({}) is saved; it runs by hand", copy.id, copy.name))?;
        }
        Command::Activate { scan } => {
            let scan = told(&client, &scan, "activate").await?;
            form.show(&scan, |scan| format!("scan {} ({}) is active: {}", scan.id, scan.name, cadence_words(scan)))?;
        }
        Command::Deactivate { scan } => {
            let scan = told(&client, &scan, "deactivate").await?;
            form.show(&scan, deactivated_words)?;
        }
        Command::Run { scan, wait, fail_on } => return start(&client, &scan, wait, fail_on, form).await,
    }
    Ok(Exit::Done)
}

/// Does `verb` to a scan and gives it as it is then.
async fn told(client: &Client, wanted: &str, verb: &str) -> anyhow::Result<Scan> {
    let id = find(client, wanted).await?;
    client.post(&format!("/scans/{id}/{verb}"), &()).await
}

fn deactivated_words(scan: &Scan) -> String {
    let going = scan.open_run.map(|run| format!("; run {run} still goes on, `portdrift runs cancel {run}` stops it"));
    format!("scan {} ({}) is deactivated; its history stays{}", scan.id, scan.name, going.unwrap_or_default())
}

/// The scan with this number or, when it is none, this name; of active ones first, whose names are unique.
pub(crate) async fn find(client: &Client, wanted: &str) -> anyhow::Result<ScanId> {
    if let Ok(id) = wanted.parse() {
        return Ok(id);
    }
    let mut scans: Vec<Scan> = client.get_all("/scans?inactive=true").await?;
    scans.retain(|scan| scan.name.to_lowercase() == wanted.to_lowercase());
    if scans.iter().any(|scan| scan.active) {
        scans.retain(|scan| scan.active);
    }
    match scans.as_slice() {
        [scan] => Ok(scan.id),
        [] => {
            let message = format!("there is no scan {wanted:?}; `portdrift scans list` shows what there is");
            Err(Failure::new(Exit::NotFound, message).into())
        }
        [first, second, ..] => {
            let message = format!("scans {} and {} are both named {wanted:?}; give the number", first.id, second.id);
            Err(Failure::usage(message).into())
        }
    }
}

async fn list(client: &Client, all: bool, form: Form) -> anyhow::Result<()> {
    let scans: Vec<Scan> = client.get_all(if all { "/scans?inactive=true" } else { "/scans" }).await?;
    form.list(
        &scans,
        |scan| scan.id,
        |scans| {
            let headings = ["id", "name", "targets", "ports", "last run", "score", "next run"];
            print::table(&headings, scans.iter().map(row).collect(), "no scan yet; `portdrift scans create` makes one")
        },
    )
}

fn row(scan: &Scan) -> Vec<String> {
    let dash = || "-".to_owned();
    vec![
        scan.id.to_string(),
        scan.name.clone(),
        scan.targets.to_string(),
        scan.ports.as_ref().map_or_else(|| "default".to_owned(), ToString::to_string),
        scan.last_run.as_ref().map_or_else(dash, |run| run.state.clone()),
        scan.last_report.as_ref().map_or_else(dash, |report| reports::score(&report.score)),
        match scan.active {
            true => scan.next_due.map_or_else(dash, |due| due.to_string()),
            false => "inactive".to_owned(),
        },
    ]
}

async fn show(client: &Client, wanted: &str, form: Form) -> anyhow::Result<()> {
    let id = find(client, wanted).await?;
    let scan: Scan = client.get(&format!("/scans/{id}")).await?;
    let runs: Vec<RunSummary> = client.get(&format!("/runs?scan={id}")).await?;
    form.show(&Shown { scan, runs }, |Shown { scan, runs }| format!("{}\n\n{}", details(scan), runs::table(runs)))
}

fn details(scan: &Scan) -> String {
    let left = scan.targets.minus(scan.exclusions.as_ref().unwrap_or(&TargetSet::empty()));
    let wanted = if left.count() == 1 { "1 address".to_owned() } else { format!("{} addresses", left.count()) };
    let special = if scan.special { ", special ranges too" } else { "" };
    let or = |text: &str, other: &str| if text.is_empty() { other.to_owned() } else { text.to_owned() };
    print::facts(&[
        ("scan", format!("{} {}", scan.id, scan.name)),
        ("about", or(&scan.description, "-")),
        ("targets", format!("{} ({wanted})", scan.targets)),
        ("without", scan.exclusions.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string)),
        ("ports", scan.ports.as_ref().map_or_else(|| "the engine's own set".to_owned(), ports_words)),
        ("options", or(&scan.args, "-")),
        ("engine", scan.engine.name().to_owned()),
        ("site", scan.site.clone()),
        ("budget", format!("{} addresses{special}", scan.budget)),
        ("times", cadence_words(scan)),
        ("next run", scan.next_due.map_or_else(|| "-".to_owned(), |due| due.to_string())),
    ])
}

fn ports_words(ports: &PortSet) -> String {
    format!("{ports} ({})", print::counted(ports.count(), "port"))
}

/// When it runs by itself.
fn cadence_words(scan: &Scan) -> String {
    let times = match (scan.interval_minutes, &scan.cron) {
        (Some(minutes), _) => format!("every {}", print::counted(u64::from(minutes), "minute")),
        (None, Some(cron)) => format!("at {cron} ({})", scan.zone.as_deref().unwrap_or_default()),
        (None, None) => return "never by itself".to_owned(),
    };
    match (scan.active, scan.scheduled) {
        (true, true) => times,
        (true, false) => format!("{times}, switched off"),
        (false, _) => format!("{times}, deactivated"),
    }
}

async fn start(client: &Client, wanted: &str, wait: bool, fail_on: Option<FailOn>, form: Form) -> anyhow::Result<Exit> {
    let id = find(client, wanted).await?;
    let run: RunSummary = client.post(&format!("/scans/{id}/run"), &()).await?;
    if !wait {
        form.show(&run, |run| format!("run {} is queued; `portdrift runs watch {}` follows it", run.id, run.id))?;
        return Ok(Exit::Done);
    }
    let run = runs::watch(client, run.id, form).await?;
    let report = reports::of_run(client, run.run.id).await?;
    let severities = reports::severities(client, run.run.scan).await?;
    let ended = Ended { run, report };
    form.show(&ended, |ended| match &ended.report {
        Some(report) => reports::words(report, &severities),
        None => format!("run {} made no report", ended.run.run.id),
    })?;
    runs::exit_of(&ended.run.run)?;
    let worst = ended.report.as_ref().and_then(|report| reports::worst(report, &severities));
    Ok(if fail_on.is_some_and(|limit| limit.is_met_by(worst)) { Exit::Found } else { Exit::Done })
}
