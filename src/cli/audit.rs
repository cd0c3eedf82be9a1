//! `audit`: who did what, when and from where.

use super::print;
use super::{Place, Shared};
use crate::client::Client;
use crate::exit::Exit;
use clap::{Args, Subcommand};
use web::api::audit::{AuditPageView, Entry};

/// The most entries that are asked for at once.
const PAGE: usize = 1_000;

#[derive(Args)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List who did what, newest first
    #[command(after_help = "\
Examples:
  portdrift audit list
  portdrift audit list --actor ada --action node --since 2026-01-31
  portdrift audit list --limit 100000 --json")]
    List(ListArgs),
}

#[derive(Args)]
struct ListArgs {
    /// Only by this actor: a user's name, os: and an account of this machine, or mesh
    #[arg(long)]
    actor: Option<String>,
    /// Only with this text in what was done, such as node or scan edit
    #[arg(long, value_name = "TEXT")]
    action: Option<String>,
    /// Only with this text in what it was done to, or in where it came from
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Not before this day or time, UTC
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before this day or time, UTC
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// At most so many entries
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Print the numbers alone, one a line
    #[arg(long, short)]
    quiet: bool,
}

pub(crate) async fn run(args: AuditArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (client, form) = (args.place.client()?, shared.form());
    match args.command {
        Command::List(args) => {
            let entries = entries(&client, &args).await?;
            form.or_ids(args.quiet).list(&entries, |entry| entry.number, table)?;
        }
    }
    Ok(Exit::Done)
}

/// Page by page, until there are enough or no more.
async fn entries(client: &Client, args: &ListArgs) -> anyhow::Result<Vec<Entry>> {
    let (mut entries, mut before) = (Vec::new(), None::<u64>);
    while entries.len() < args.limit {
        let page: AuditPageView =
            client.get(&format!("/audit?{}", query(args, args.limit - entries.len(), before)?)).await?;
        entries.extend(page.entries);
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    Ok(entries)
}

fn query(args: &ListArgs, wanted: usize, before: Option<u64>) -> anyhow::Result<String> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let pairs = [
        ("actor", text(&args.actor)),
        ("action", text(&args.action)),
        ("text", text(&args.search)),
        ("since", text(&args.since)),
        ("until", text(&args.until)),
        ("before", before.map(|number| number.to_string()).unwrap_or_default()),
        ("limit", wanted.min(PAGE).to_string()),
    ];
    super::alerts::in_query(&pairs.each_ref().map(|(name, value)| (*name, value.as_str())))
}

fn table(entries: &[Entry]) -> String {
    let row = |entry: &Entry| {
        vec![
            entry.number.to_string(),
            entry.at.to_string(),
            entry.actor.clone(),
            entry.from.clone(),
            entry.action.clone(),
            entry.subject.clone(),
        ]
    };
    let headings = ["number", "when", "who", "from", "what", "to what"];
    print::table(&headings, entries.iter().map(row).collect(), "nothing was done that fits")
}
