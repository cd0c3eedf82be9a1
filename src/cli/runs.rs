//! `runs`: single executions of a scan, as they go and as they ended.

use super::print::{self, Form};
use super::progress::Bar;
use super::{Place, Shared, scans};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use clap::{Args, Subcommand};
use coordinator::run::RunState;
use protocol::task::RunId;
use serde::Serialize;
use std::time::Duration;
use web::api::runs::{NodeProgress, Progress, RunDetail, RunSummary, Task};

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
    /// List the latest runs, newest first
    #[command(
        after_help = "Examples:\n  portdrift runs list --scan office\n  portdrift runs list --state partial --quiet"
    )]
    List {
        /// Only of this scan: its number or its name
        #[arg(long)]
        scan: Option<String>,
        /// Only in this state: queued, running, closing, completed, partial, failed, cancelled
        #[arg(long, value_name = "STATE")]
        state: Option<RunState>,
        /// Print numbers alone
        #[arg(short, long)]
        quiet: bool,
    },
    /// Show one run: state, coverage, nodes, tasks, and what was not scanned and why
    #[command(after_help = "Example:\n  portdrift runs show 7 --json")]
    Show {
        /// Its number
        run: RunId,
    },
    /// Stop a run for good; no report is made of what it found
    #[command(after_help = "Example:\n  portdrift runs cancel 7 --yes")]
    Cancel {
        /// Its number
        run: RunId,
        /// Print its number alone
        #[arg(short, long)]
        quiet: bool,
        /// Do it without asking
        #[arg(long)]
        yes: bool,
    },
    /// Run again what a partial or failed run missed, and only that
    #[command(name = "retry-missing", after_help = "Example:\n  portdrift runs retry-missing 7 --wait")]
    RetryMissing {
        /// Its number
        run: RunId,
        /// Follow the new run to its end
        #[arg(long)]
        wait: bool,
        /// Print the number of the new run alone
        #[arg(short, long)]
        quiet: bool,
    },
    /// Follow a run to its end
    #[command(after_help = "Example:\n  portdrift runs watch 7")]
    Watch {
        /// Its number
        run: RunId,
        /// Print its number alone, when it has ended
        #[arg(short, long)]
        quiet: bool,
    },
}

pub(crate) async fn run(args: RunsArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let client = args.place.client()?;
    let form = |quiet| shared.form().or_ids(quiet);
    match args.command {
        Command::List { scan, state, quiet } => list(&client, scan, state, form(quiet)).await,
        Command::Show { run } => {
            let run: RunDetail = client.get(&path(run)).await?;
            shared.form().show(&run, details)?;
            Ok(Exit::Done)
        }
        Command::Cancel { run, quiet, yes } => {
            print::confirm(&format!("Stop run {run} for good? No report is made of what it found."), yes)?;
            cancel(&client, run, form(quiet)).await
        }
        Command::RetryMissing { run, wait, quiet } => retry_missing(&client, run, wait, form(quiet)).await,
        Command::Watch { run, quiet } => follow(&client, run, form(quiet)).await,
    }
}

async fn list(client: &Client, scan: Option<String>, state: Option<RunState>, form: Form) -> anyhow::Result<Exit> {
    let mut filters = Vec::new();
    if let Some(scan) = scan {
        filters.push(format!("scan={}", scans::find(client, &scan).await?));
    }
    filters.extend(state.map(|state| format!("state={}", state.name())));
    let runs: Vec<RunSummary> = client.get(&format!("/runs?{}", filters.join("&"))).await?;
    form.list(&runs, |run| run.id, table)?;
    Ok(Exit::Done)
}

async fn cancel(client: &Client, run: RunId, form: Form) -> anyhow::Result<Exit> {
    let run: RunSummary = client.post(&format!("{}/cancel", path(run)), &()).await?;
    show_or_id(form, &run, run.id, |run| format!("run {} is cancelled; no report is made of it", run.id))?;
    Ok(Exit::Done)
}

async fn retry_missing(client: &Client, run: RunId, wait: bool, form: Form) -> anyhow::Result<Exit> {
    let run: RunSummary = client.post(&format!("{}/retry-missing", path(run)), &()).await?;
    if wait {
        return follow(client, run.id, form).await;
    }
    show_or_id(form, &run, run.id, |run| {
        let part = run.part.as_ref().map(ToString::to_string).unwrap_or_default();
        format!("run {} is queued for {part}; `portdrift runs watch {}` follows it", run.id, run.id)
    })?;
    Ok(Exit::Done)
}

async fn follow(client: &Client, run: RunId, form: Form) -> anyhow::Result<Exit> {
    let run = watch(client, run, form).await?;
    show_or_id(form, &run, run.run.id, details)?;
    exit_of(&run.run)
}

fn show_or_id<T: Serialize>(form: Form, value: &T, id: RunId, words: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
    match form {
        Form::Ids => print::ids([id]),
        Form::Text | Form::Json | Form::JsonLines => form.show(value, words),
    }
}

fn path(run: RunId) -> String {
    format!("/runs/{run}")
}

/// Follows a run to its end, telling its progress on standard error.
pub(crate) async fn watch(client: &Client, run: RunId, form: Form) -> anyhow::Result<RunDetail> {
    let (mut told, bar) = (String::new(), Bar::of_parts(form, 100));
    loop {
        let seen: RunDetail = client.get(&path(run)).await?;
        let line = progress(&seen);
        if form == Form::Text && !bar.is_seen() && line != told {
            print::note(&line);
            told.clone_from(&line);
        }
        bar.show(u64::from(seen.progress.percent), line);
        if seen.run.ended {
            return Ok(seen);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn progress(run: &RunDetail) -> String {
    let Progress {
        phase,
        addresses_done,
        addresses_total,
        percent,
        hosts_found,
        left_seconds,
        nodes,
        elapsed_seconds: _,
    } = &run.progress;
    let (of_all, hosts) = (print::counted(*addresses_total, "address"), print::counted(*hosts_found, "host"));
    let mut line = format!("run {}: {phase}, {percent} %, {addresses_done} of {of_all}, {hosts}", run.run.id);
    if let Some(left) = left_seconds {
        line.push_str(&format!(", about {} left", print::rough(*left)));
    }
    let silent = nodes.iter().filter_map(|node| Some((node, node.silent_seconds?)));
    for (node, seconds) in silent {
        line.push_str(&format!("; no word from {} for {}", name(node), print::rough(seconds)));
    }
    line
}

fn name(node: &NodeProgress) -> String {
    if node.label.is_empty() { node.node.to_string() } else { node.label.clone() }
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
    let RunDetail { run: summary, progress, tasks_cut, tasks } = run;
    let mut text = table(std::slice::from_ref(summary));
    if let Some(reason) = &summary.reason {
        text.push_str(&format!("\n\n{reason}"));
    }
    for part in &summary.uncovered {
        text.push_str(&format!("\nnot scanned: {}: {}", part.targets, part.reason));
    }
    if !summary.ended {
        text.push_str(&format!("\n\n{}", self::progress(run)));
    }
    if !progress.nodes.is_empty() {
        let headings = ["node", "running", "done", "failed", "addresses", "hosts", "last heard"];
        text.push_str("\n\n");
        text.push_str(&print::table(&headings, progress.nodes.iter().map(node_row).collect(), ""));
    }
    if !tasks.is_empty() {
        let headings = ["task", "state", "addresses", "attempts", "node", "reason"];
        text.push_str("\n\n");
        text.push_str(&print::table(&headings, tasks.iter().map(task_row).collect(), ""));
    }
    if tasks.len() < usize::try_from(*tasks_cut).unwrap_or(usize::MAX) {
        text.push_str(&format!("\n\nthese are the newest {} of {tasks_cut} tasks", tasks.len()));
    }
    text
}

fn task_row(task: &Task) -> Vec<String> {
    let node = task.node.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let reason = task.reason.clone().unwrap_or_default();
    vec![task.id.clone(), task.state.clone(), task.targets.to_string(), task.attempts.to_string(), node, reason]
}

fn node_row(node: &NodeProgress) -> Vec<String> {
    let heard = match (node.silent_seconds, node.last_heard_at) {
        (Some(seconds), _) => format!("no word for {}", print::rough(seconds)),
        (None, Some(at)) => at.to_string(),
        (None, None) => "-".to_owned(),
    };
    let counts = [node.tasks_running, node.tasks_done, node.tasks_failed].map(|count| count.to_string());
    let found = [node.addresses_done.to_string(), node.hosts_found.to_string(), heard];
    [name(node)].into_iter().chain(counts).chain(found).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A run under way, as the API tells of it.
    fn under_way() -> RunDetail {
        let node = |key: &str, label: &str, silent: Option<u64>| {
            json!({
                "node": key, "label": label, "tasks_running": 2, "tasks_done": 3, "tasks_failed": 1,
                "addresses_done": 96, "hosts_found": 4, "last_heard_at": "2026-01-31T12:00:00Z", "silent_seconds": silent,
            })
        };
        let key = "chh3-t6sa-zrb5-lp2h-kmmj-lubc-zux6-ovni";
        serde_json::from_value(json!({
            "id": 7, "scan": 1, "scan_name": "office", "state": "running", "ended": false, "trigger": "ada",
            "created_at": "2026-01-31T12:00:00Z", "uncovered": [], "tasks_cut": 2_001,
            "progress": {
                "phase": "scanning", "addresses_done": 112, "addresses_total": 256, "percent": 43, "hosts_found": 9,
                "elapsed_seconds": 90, "left_seconds": 125, "nodes": [node(key, "lab", None), node(key, "attic", Some(42))],
            },
            "tasks": [{
                "id": "7.2000", "second_look": false, "targets": "10.0.0.0/27", "state": "leased", "node": key, "attempts": 1,
            }],
        }))
        .unwrap()
    }

    #[test]
    fn progress_is_one_line_with_time_left_and_who_fell_silent() {
        insta::assert_snapshot!(progress(&under_way()), @"run 7: scanning, 43 %, 112 of 256 addresses, 9 hosts, about 2 min left; no word from attic for 42 s");
    }

    #[test]
    fn a_run_is_shown_with_its_nodes_and_its_newest_tasks() {
        insta::assert_snapshot!(details(&under_way()), @"
        RUN  STATE    COVERAGE  HOSTS  OPEN PORTS  ASKED BY  AT
        7    running  -         -      -           ada       2026-01-31T12:00:00.000Z

        run 7: scanning, 43 %, 112 of 256 addresses, 9 hosts, about 2 min left; no word from attic for 42 s

        NODE   RUNNING  DONE  FAILED  ADDRESSES  HOSTS  LAST HEARD
        lab    2        3     1       96         4      2026-01-31T12:00:00.000Z
        attic  2        3     1       96         4      no word for 42 s

        TASK    STATE   ADDRESSES    ATTEMPTS  NODE                                     REASON
        7.2000  leased  10.0.0.0/27  1         chh3-t6sa-zrb5-lp2h-kmmj-lubc-zux6-ovni

        these are the newest 1 of 2001 tasks
        ");
    }
}
