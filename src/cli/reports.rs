//! `reports`: what a run found changed against what was known.

use super::compare::{self, CompareArgs};
use super::exports;
use super::print::{self, Form};
use super::scans::find;
use super::{Place, Shared, accept, alerts};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use clap::{Args, Subcommand, ValueEnum};
use coordinator::analysis::alert::Severity;
use coordinator::analysis::delta::{ChangeKind, NoteKind, Side, Status};
use protocol::task::{RunId, ScanId};
use std::collections::BTreeMap;
use std::net::IpAddr;
use web::api::alerts::Matching;
use web::api::reports::{Change, Counts, Note, Report, ReportSummary, Score};

#[derive(Args)]
pub(crate) struct ReportsArgs {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List reports, newest first
    #[command(after_help = "Example:\n  portdrift reports list --scan office")]
    List {
        /// Only of this scan: its number or its name
        #[arg(long)]
        scan: Option<String>,
        /// Print the numbers alone, one a line
        #[arg(long, short)]
        quiet: bool,
    },
    /// Show one report, change by change
    #[command(after_help = "Example:\n  portdrift reports show 7")]
    Show {
        /// The number of its run
        report: RunId,
    },
    /// Compare any two runs of a scan
    Compare(CompareArgs),
    /// Show the newest report
    #[command(after_help = "Example:\n  portdrift reports latest --scan office --json")]
    Latest {
        /// Only of this scan: its number or its name
        #[arg(long)]
        scan: Option<String>,
    },
    /// Write a report, or all of a scan, for other programs
    #[command(after_help = exports::HELP)]
    Export(exports::ExportArgs),
    /// Accept changes as expected: they stop counting until they change again
    Accept(accept::AcceptArgs),
}

/// Severities as they are typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    Critical,
    High,
    Medium,
    Low,
}

impl FailOn {
    /// Whether something as bad as this was found.
    pub(crate) fn is_met_by(self, worst: Option<Severity>) -> bool {
        let limit = match self {
            Self::Critical => Severity::Critical,
            Self::High => Severity::High,
            Self::Medium => Severity::Medium,
            Self::Low => Severity::Low,
        };
        worst.is_some_and(|worst| worst <= limit) // the worst comes first
    }
}

/// How bad the open port of each cell is, for cells that have an alert.
pub(crate) type Severities = BTreeMap<(IpAddr, String), Severity>;

pub(crate) async fn run(args: ReportsArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let client = args.place.client()?;
    let report: Report = match args.command {
        Command::List { scan, quiet } => {
            return list(&client, scan, shared.form().or_ids(quiet)).await;
        }
        Command::Accept(args) => return accept::run(&client, args, shared).await,
        Command::Compare(compared) => return compare::run(&client, compared, shared).await.map(|()| Exit::Done),
        Command::Show { report } => client.get(&format!("/reports/{report}")).await?,
        Command::Latest { scan } => latest(&client, scan).await?,
        Command::Export(args) => return exports::run(&client, args, shared).await,
    };
    let severities = severities(&client, report.summary.scan).await?;
    shared.form().show(&report, |report| words(report, &severities))?;
    Ok(Exit::Done)
}

async fn list(client: &Client, scan: Option<String>, form: Form) -> anyhow::Result<Exit> {
    let reports: Vec<ReportSummary> = match scan {
        Some(scan) => client.get(&format!("/scans/{}/reports", find(client, &scan).await?)).await?,
        None => client.get("/reports").await?,
    };
    form.list(
        &reports,
        |report| report.run,
        |reports| {
            let headings = ["report", "scan", "status", "score", "changes", "coverage", "made"];
            let empty = "no report yet; `portdrift scans run SCAN --wait` makes one";
            print::table(&headings, reports.iter().map(row).collect(), empty)
        },
    )?;
    Ok(Exit::Done)
}

async fn latest(client: &Client, scan: Option<String>) -> anyhow::Result<Report> {
    if let Some(scan) = scan {
        return client.get(&format!("/scans/{}/reports/latest", find(client, &scan).await?)).await;
    }
    let reports: Vec<ReportSummary> = client.get("/reports").await?;
    let newest = reports.first().ok_or_else(|| {
        Failure::new(Exit::NotFound, "there is no report yet; `portdrift scans run SCAN --wait` makes one")
    })?;
    client.get(&format!("/reports/{}", newest.run)).await
}

/// The report of a run, when it made one.
pub(crate) async fn of_run(client: &Client, run: RunId) -> anyhow::Result<Option<Report>> {
    let reports: Vec<ReportSummary> = client.get("/reports").await?;
    match reports.iter().any(|report| report.run == run) {
        true => Ok(Some(client.get(&format!("/reports/{run}")).await?)),
        false => Ok(None),
    }
}

/// What the alerts of a scan say of its ports.
pub(crate) async fn severities(client: &Client, scan: ScanId) -> anyhow::Result<Severities> {
    let of_scan = Matching { state: "all".to_owned(), scan: scan.to_string(), ..Matching::default() };
    let mut severities = Severities::new();
    for alert in alerts::all(client, &of_scan, None).await? {
        let cell = (alert.address, format!("{}/{}", alert.port, alert.protocol));
        let known = severities.entry(cell).or_insert(alert.severity);
        *known = alert.severity.min(*known);
    }
    Ok(severities)
}

fn severity(change: &Change, severities: &Severities) -> Option<Severity> {
    let is_there_now = matches!(change.kind, ChangeKind::NewPort | ChangeKind::ServiceChange);
    let port = change.port.clone().filter(|_| is_there_now)?;
    severities.get(&(change.address, port)).copied()
}

/// The worst severity among what this report found new or changed.
pub(crate) fn worst(report: &Report, severities: &Severities) -> Option<Severity> {
    let counted = report.changes.iter().filter(|change| change.accepted.is_none());
    counted.filter_map(|change| severity(change, severities)).min()
}

fn row(report: &ReportSummary) -> Vec<String> {
    vec![
        report.run.to_string(),
        report.scan.to_string(),
        status(report).to_owned(),
        score(&report.score),
        counts(report.counts),
        format!("{:.1} %", report.coverage_percent),
        report.made.to_string(),
    ]
}

fn status(report: &ReportSummary) -> &'static str {
    match (report.baseline, report.status) {
        (None, _) => "baseline",
        (Some(_), Status::Critical) => "critical",
        (Some(_), Status::Changes) => "changes",
        (Some(_), Status::Stable) => "stable",
    }
}

/// The number and its word.
pub(crate) fn score(score: &Score) -> String {
    format!("{} {}", score.value, score.band)
}

fn counts(counts: Counts) -> String {
    let Counts { new_hosts, removed_hosts, new_ports, closed_ports, other_changes } = counts;
    format!("+{} −{} ~{other_changes}", new_hosts + new_ports, removed_hosts + closed_ports)
}

/// The report as a person reads it: a sentence, the changes, what does not count, what was not looked at.
pub(crate) fn words(report: &Report, severities: &Severities) -> String {
    let Report { summary, changes, notes, uncovered, .. } = report;
    let mut text = sentence(summary);
    if !changes.is_empty() {
        text.push_str("\n\n");
        text.push_str(&table(changes, severities));
    }
    text.push_str(&note_lines(notes, report.left_out));
    for part in uncovered {
        text.push_str(&format!("\nnot scanned: {}: {}", part.targets, part.reason));
    }
    text
}

/// What does not count, a line each, and how much more there was.
pub(crate) fn note_lines(notes: &[Note], left_out: u64) -> String {
    let line = |note: &Note| format!("\nno change: {} ({})", place(&note.change), note_words(note.kind));
    let mut lines: String = notes.iter().map(line).collect();
    if left_out > 0 {
        let more = print::counted(left_out, "line");
        lines.push_str(&format!("\nand {more} more than a report holds; something may answer everywhere"));
    }
    lines
}

fn sentence(summary: &ReportSummary) -> String {
    let ReportSummary { run, scan, baseline, hosts_up, open_ports, coverage_percent, .. } = summary;
    let (hosts, ports) = (print::counted(*hosts_up, "host"), print::counted(*open_ports, "open port"));
    let seen = format!("{hosts}, {ports}, coverage {coverage_percent:.1} %, score {}", score(&summary.score));
    match baseline {
        None => format!("Report {run} of scan {scan}: a baseline with {seen}. A delta needs a second run."),
        Some(before) => {
            format!("Report {run} of scan {scan}: {}, compared with run {before}; {seen}.", status(summary))
        }
    }
}

/// The changes as a table.
pub(crate) fn table(changes: &[Change], severities: &Severities) -> String {
    let row = |change: &Change| {
        let severity = match &change.accepted {
            Some(_) => "accepted",
            None => severity(change, severities).map_or("", Severity::name),
        };
        vec![kind(change.kind).to_owned(), place(change), detail(change), severity.to_owned()]
    };
    print::table(&["change", "where", "what", "severity"], changes.iter().map(row).collect(), "nothing changed")
}

fn kind(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::NewHost => "+ new host",
        ChangeKind::RemovedHost => "− removed host",
        ChangeKind::NewPort => "+ new port",
        ChangeKind::ClosedPort => "− closed port",
        ChangeKind::ServiceChange => "~ service change",
        ChangeKind::OsChange => "~ system change",
        ChangeKind::NameChange => "~ name change",
        ChangeKind::MacChange => "~ link address change",
    }
}

fn place(change: &Change) -> String {
    match &change.port {
        Some(port) => format!("{} {port}", change.address),
        None => change.address.to_string(),
    }
}

fn detail(change: &Change) -> String {
    let (before, after) = (change.before.as_ref().map(side), change.after.as_ref().map(side));
    match (change.kind, before, after) {
        (ChangeKind::NewHost | ChangeKind::NewPort, _, Some(after)) => after,
        (ChangeKind::RemovedHost | ChangeKind::ClosedPort, Some(before), _) => before,
        (_, before, after) => format!("{} → {}", before.unwrap_or_default(), after.unwrap_or_default()),
    }
}

/// One side of a change in words.
pub(crate) fn side(side: &Side) -> String {
    let joined = |names: &[protocol::text::Text]| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match side {
        Side::Host { names, .. } | Side::Names(names) => joined(names),
        Side::Os(os) => os.name.to_string(),
        Side::Mac(mac) => mac.address.to_string(),
        Side::Port { service: None, .. } => String::new(),
        Side::Port { service: Some(service), .. } => {
            let product = if service.product.is_empty() { &service.name } else { &service.product };
            let parts = [product, &service.version, &service.extra].map(ToString::to_string);
            parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
        }
    }
}

fn note_words(kind: NoteKind) -> &'static str {
    match kind {
        NoteKind::IdentifiedDifferently => "identified differently",
        NoteKind::Unconfirmed => "unconfirmed",
        NoteKind::Contradicted => "contradicted by a second look",
        NoteKind::NewlyCovered => "looked at for the first time",
        NoteKind::NoLongerCovered => "not looked at this time",
        NoteKind::Volatile => "changes by itself",
    }
}
