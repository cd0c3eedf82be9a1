//! `jobs`: the wake-ups that the running scheduler holds, beside what the store says is due.

use super::print::{self, Form};
use super::{Place, Shared};
use crate::exit::Exit;
use clap::{Args, Subcommand};
use web::api::jobs::{Job, Reloaded};

#[derive(Args)]
pub(crate) struct JobsArgs {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List what the scheduler holds, and scans that should be there but are not
    #[command(after_help = "Example:\n  portdrift jobs list")]
    List {
        /// Print the numbers of the scans alone, one a line
        #[arg(long, short)]
        quiet: bool,
    },
    /// Drop what the scheduler holds and make it anew from the store
    #[command(after_help = "Example:\n  portdrift jobs reload")]
    Reload,
}

pub(crate) async fn run(args: JobsArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (client, form) = (args.place.client()?, shared.form());
    match args.command {
        Command::List { quiet } => {
            let jobs: Vec<Job> = client.get("/jobs").await?;
            match form.or_ids(quiet) {
                Form::Ids => print::ids(jobs.iter().filter_map(|job| job.scan))?,
                form @ (Form::Text | Form::Json | Form::JsonLines) => {
                    form.show_all(&jobs, |jobs| table(jobs, "no scan is scheduled"))?;
                }
            }
        }
        Command::Reload => {
            let reloaded: Reloaded = client.post("/jobs/reload", &()).await?;
            form.show(&reloaded, words)?;
        }
    }
    Ok(Exit::Done)
}

fn table(jobs: &[Job], empty: &str) -> String {
    let headings = ["scan", "name", "wakes", "due", "last woken", "job", "agrees"];
    print::table(&headings, jobs.iter().map(row).collect(), empty)
}

fn row(job: &Job) -> Vec<String> {
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    vec![
        or_dash(job.scan.map(|scan| scan.to_string())),
        job.name.clone(),
        or_dash(job.wakes.map(|time| time.to_string())),
        or_dash(job.due.map(|time| time.to_string())),
        or_dash(job.last_woken.map(|time| time.to_string())),
        or_dash(job.job.clone()),
        job.fault.as_ref().map_or_else(|| "yes".to_owned(), |fault| format!("no: {fault}")),
    ]
}

fn words(reloaded: &Reloaded) -> String {
    let Reloaded { differed, jobs } = reloaded;
    let held = print::counted(u64::try_from(jobs.len()).unwrap_or(u64::MAX), "wake-up");
    match differed.len() {
        0 => format!("{held} made anew; nothing had differed from the store"),
        _ => format!("{held} made anew; this had differed from the store:\n\n{}", table(differed, "")),
    }
}
