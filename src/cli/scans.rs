//! `scans`: what is watched, and how; and a run of it now.

use super::print::{self, Form};
use super::reports::{self, FailOn};
use super::{Place, Shared, runs};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use clap::{Args, Subcommand};
use protocol::args::ScanArgs;
use protocol::task::{EngineChoice, ScanId};
use protocol::{PortSet, TargetSet};
use serde::Serialize;
use web::api::reports::Report;
use web::api::runs::{RunDetail, RunSummary};
use web::api::scans::{NewScan, Scan};

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
    #[command(after_help = "Example:\n  portdrift scans list")]
    List {
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
  portdrift scans create lab --targets 198.51.100.1-50 --ports 22,80,443 --every 1440")]
    Create(Box<CreateArgs>),
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

#[derive(Args)]
struct CreateArgs {
    /// What people call it
    name: String,
    /// Addresses, CIDRs and ranges, joined by commas
    #[arg(long, value_name = "TARGETS")]
    targets: TargetSet,
    /// Addresses to leave out
    #[arg(long, value_name = "TARGETS")]
    exclude: Option<TargetSet>,
    /// Ports, such as 22,80,1000-2000 or T:22,U:53; without it, the engine's own set
    #[arg(long, value_name = "PORTS")]
    ports: Option<PortSet>,
    /// nmap's options, such as --args="-T4 -sV"; what could write files, attack or leave the ranges is refused
    #[arg(long, value_name = "OPTIONS", allow_hyphen_values = true)]
    args: Option<ScanArgs>,
    /// Who scans: auto, builtin or nmap
    #[arg(long, value_name = "ENGINE", default_value = "auto")]
    engine: EngineChoice,
    /// Run it again each so many minutes
    #[arg(long, value_name = "MINUTES")]
    every: Option<u32>,
    /// The site whose nodes scan it
    #[arg(long, default_value = "main")]
    site: String,
    /// A sentence on what this is
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
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
        Command::List { quiet } => list(&client, if quiet { Form::Ids } else { form }).await?,
        Command::Show { scan } => show(&client, &scan, form).await?,
        Command::Create(create) => {
            let scan: Scan = client.post("/scans", &create.request()).await?;
            form.show(&scan, |scan| {
                format!("scan {} ({}) is saved; `portdrift scans run {}` runs it", scan.id, scan.name, scan.id)
            })?;
        }
        Command::Run { scan, wait, fail_on } => return start(&client, &scan, wait, fail_on, form).await,
    }
    Ok(Exit::Done)
}

impl CreateArgs {
    fn request(self) -> NewScan {
        let Self { name, targets, exclude, ports, args, engine, every, site, description } = self;
        NewScan {
            name,
            description: description.unwrap_or_default(),
            targets: targets.to_string(),
            exclusions: exclude.map(|targets| targets.to_string()).unwrap_or_default(),
            ports: ports.map(|ports| ports.to_string()).unwrap_or_default(),
            args: args.map(|args| args.to_string()).unwrap_or_default(),
            engine: engine.name().to_owned(),
            site,
            interval_minutes: every,
            scheduled: every.is_some(),
        }
    }
}

/// The scan with this number or, when it is none, this name.
pub(crate) async fn find(client: &Client, wanted: &str) -> anyhow::Result<ScanId> {
    if let Ok(id) = wanted.parse() {
        return Ok(id);
    }
    let scans: Vec<Scan> = client.get("/scans").await?;
    let mut named = scans.iter().filter(|scan| scan.name == wanted).map(|scan| scan.id);
    match (named.next(), named.next()) {
        (Some(id), None) => Ok(id),
        (None, _) => {
            let message = format!("there is no scan {wanted:?}; `portdrift scans list` shows what there is");
            Err(Failure::new(Exit::NotFound, message).into())
        }
        (Some(first), Some(second)) => {
            let message = format!("scans {first} and {second} are both named {wanted:?}; give the number");
            Err(Failure::usage(message).into())
        }
    }
}

async fn list(client: &Client, form: Form) -> anyhow::Result<()> {
    let scans: Vec<Scan> = client.get("/scans").await?;
    if form == Form::Ids {
        return print::ids(scans.iter().map(|scan| scan.id));
    }
    form.show(&scans, |scans| {
        let headings = ["id", "name", "targets", "ports", "last run", "score", "next run"];
        print::table(&headings, scans.iter().map(row).collect(), "no scan yet; `portdrift scans create` makes one")
    })
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
        scan.next_due.map_or_else(dash, |due| due.to_string()),
    ]
}

async fn show(client: &Client, wanted: &str, form: Form) -> anyhow::Result<()> {
    let id = find(client, wanted).await?;
    let scan: Scan = client.get(&format!("/scans/{id}")).await?;
    let runs: Vec<RunSummary> = client.get(&format!("/runs?scan={id}")).await?;
    form.show(&Shown { scan, runs }, |Shown { scan, runs }| format!("{}\n\n{}", details(scan), runs::table(runs)))
}

fn details(scan: &Scan) -> String {
    let or = |text: &str, other: &str| if text.is_empty() { other.to_owned() } else { text.to_owned() };
    let every = match (scan.interval_minutes, scan.scheduled) {
        (Some(minutes), true) => format!("{minutes} minutes"),
        (Some(minutes), false) => format!("{minutes} minutes, switched off"),
        (None, _) => "never by itself".to_owned(),
    };
    print::facts(&[
        ("scan", format!("{} {}", scan.id, scan.name)),
        ("about", or(&scan.description, "-")),
        ("targets", scan.targets.to_string()),
        ("without", scan.exclusions.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string)),
        ("ports", scan.ports.as_ref().map_or_else(|| "the engine's own set".to_owned(), ToString::to_string)),
        ("options", or(&scan.args, "-")),
        ("engine", scan.engine.name().to_owned()),
        ("site", scan.site.clone()),
        ("every", every),
        ("next run", scan.next_due.map_or_else(|| "-".to_owned(), |due| due.to_string())),
    ])
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
