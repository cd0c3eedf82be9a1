//! `runs`: single executions of a scan, as they go and as they ended.

use super::print::{self, Form};
use super::{Place, Shared};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use clap::{Args, Subcommand};
use protocol::task::RunId;
use std::time::Duration;
use web::api::runs::{Progress, RunDetail, RunSummary, Task};

/// Between two looks at a run that is being watched.
const LOOK_EVERY: Duration = Duration::from_millis(500);

#[derive(Args)]
pub(crate) struct RunsArgs {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show one run: state, coverage, and what was not scanned and why
    #[command(after_help = "Example:\n  portdrift runs show 7 --json")]
    Show {
        /// Its number
        run: RunId,
    },
    /// Stop a run for good; no report is made of what it found
    #[command(after_help = "Example:\n  portdrift runs cancel 7")]
    Cancel {
        /// Its number
        run: RunId,
    },
    /// Follow a run to its end
    #[command(after_help = "Example:\n  portdrift runs watch 7")]
    Watch {
        /// Its number
        run: RunId,
    },
}

async fn cancel(client: &Client, run: RunId, form: Form) -> anyhow::Result<Exit> {
    let run: RunSummary = client.post(&format!("{}/cancel", path(run)), &()).await?;
    form.show(&run, |run| format!("run {} is cancelled; no report is made of it", run.id))?;
    Ok(Exit::Done)
}

pub(crate) async fn run(args: RunsArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let client = args.place.client()?;
    let (run, watched) = match args.command {
        Command::Show { run } => (client.get(&path(run)).await?, false),
        Command::Watch { run } => (watch(&client, run, shared.form()).await?, true),
        Command::Cancel { run } => return cancel(&client, run, shared.form()).await,
    };
    shared.form().show(&run, details)?;
    if watched { exit_of(&run.run) } else { Ok(Exit::Done) }
}

fn path(run: RunId) -> String {
    format!("/runs/{run}")
}

/// Follows a run to its end, telling its progress on standard error.
pub(crate) async fn watch(client: &Client, run: RunId, form: Form) -> anyhow::Result<RunDetail> {
    let mut told = String::new();
    loop {
        let seen: RunDetail = client.get(&path(run)).await?;
        let line = progress(&seen);
        if form == Form::Text && line != told {
            print::note(&line);
            told = line;
        }
        if seen.run.ended {
            return Ok(seen);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn progress(run: &RunDetail) -> String {
    let Progress { addresses_done, addresses_total, percent, hosts_found } = run.progress;
    let state = &run.run.state;
    let hosts = print::counted(hosts_found, "host");
    format!("run {}: {state}, {percent} %, {addresses_done} of {addresses_total} addresses, {hosts}", run.run.id)
}

/// A run that brought nothing is a failure; a partial one is not, it says what is missing.
pub(crate) fn exit_of(run: &RunSummary) -> anyhow::Result<Exit> {
    let RunSummary { id, state, reason, .. } = run;
    match state.as_str() {
        "failed" | "cancelled" => {
            let reason = reason.as_deref().unwrap_or("no reason was given");
            Err(Failure::new(
                Exit::Failed,
                format!("run {id} {state}: {reason}; `portdrift runs show {id}` has its tasks"),
            )
            .into())
        }
        _ => Ok(Exit::Done),
    }
}

/// The latest runs as a table.
pub(crate) fn table(runs: &[RunSummary]) -> String {
    let dash = || "-".to_owned();
    let row = |run: &RunSummary| {
        vec![
            run.id.to_string(),
            run.state.clone(),
            run.coverage_percent.map_or_else(dash, |percent| format!("{percent:.1} %")),
            run.hosts_up.map_or_else(dash, |hosts| hosts.to_string()),
            run.open_ports.map_or_else(dash, |ports| ports.to_string()),
            run.trigger.clone(),
            run.created_at.to_string(),
        ]
    };
    let headings = ["run", "state", "coverage", "hosts", "open ports", "asked by", "at"];
    print::table(&headings, runs.iter().map(row).collect(), "no run yet")
}

fn details(run: &RunDetail) -> String {
    let RunDetail { run: summary, tasks, .. } = run;
    let mut text = table(std::slice::from_ref(summary));
    if let Some(reason) = &summary.reason {
        text.push_str(&format!("\n\n{reason}"));
    }
    for part in &summary.uncovered {
        text.push_str(&format!("\nnot scanned: {}: {}", part.targets, part.reason));
    }
    if !tasks.is_empty() {
        let headings = ["task", "state", "addresses", "attempts", "node", "reason"];
        text.push_str("\n\n");
        text.push_str(&print::table(&headings, tasks.iter().map(task_row).collect(), ""));
    }
    text
}

fn task_row(task: &Task) -> Vec<String> {
    let node = task.node.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let reason = task.reason.clone().unwrap_or_default();
    vec![task.id.clone(), task.state.clone(), task.targets.to_string(), task.attempts.to_string(), node, reason]
}
