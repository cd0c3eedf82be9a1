//! `nodes`: the members of the mesh and how they are.

use super::keys::shown;
use super::print::{self, Form};
use super::{Place, Shared};
use crate::client::Client;
use crate::exit::Exit;
use clap::{Args, Subcommand};
use protocol::Fingerprint;
use web::api::nodes::{DecideMany, Node};

#[derive(Args)]
pub(crate) struct NodesArgs {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List every node with its state, ranges and engines
    #[command(after_help = "Example:\n  portdrift nodes list --json")]
    List {
        /// Hidden ones too
        #[arg(long)]
        hidden: bool,
    },
    /// Show one node with all that is known of it
    #[command(after_help = "Example:\n  portdrift nodes show chh3-t6sa-zrb5-lp2h-kmmj-lubc-zux6-ovni")]
    Show {
        /// All eight groups
        fingerprint: Fingerprint,
    },
    /// Leave nodes out of lists; they work on as before
    #[command(after_help = "Example:\n  portdrift nodes hide chh3-t6sa-zrb5-lp2h-kmmj-lubc-zux6-ovni")]
    Hide {
        /// All eight groups of each
        #[arg(required = true)]
        fingerprints: Vec<Fingerprint>,
    },
    /// Show hidden nodes in lists again
    #[command(after_help = "Example:\n  portdrift nodes unhide chh3-t6sa-zrb5-lp2h-kmmj-lubc-zux6-ovni")]
    Unhide {
        /// All eight groups of each
        #[arg(required = true)]
        fingerprints: Vec<Fingerprint>,
    },
}

pub(crate) async fn run(args: NodesArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (client, form) = (args.place.client()?, shared.form());
    match args.command {
        Command::List { hidden } => list(&client, hidden, form).await?,
        Command::Show { fingerprint } => {
            let node: Node = client.get(&format!("/nodes/{fingerprint}")).await?;
            form.show(&node, shown::details)?;
        }
        Command::Hide { fingerprints } => mark(&client, "hide", fingerprints, "hidden", form).await?,
        Command::Unhide { fingerprints } => mark(&client, "unhide", fingerprints, "shown again", form).await?,
    }
    Ok(Exit::Done)
}

async fn mark(client: &Client, action: &str, nodes: Vec<Fingerprint>, deed: &str, form: Form) -> anyhow::Result<()> {
    let many = DecideMany { action: action.to_owned(), nodes, ..DecideMany::default() };
    let marked: Vec<Node> = client.post("/nodes/bulk", &many).await?;
    form.show(&marked, |nodes| shown::decided(nodes, deed))
}

async fn list(client: &Client, hidden: bool, form: Form) -> anyhow::Result<()> {
    let nodes: Vec<Node> = client.get(&format!("/nodes?hidden={hidden}")).await?;
    form.show(&nodes, |nodes| {
        let headings = ["label", "state", "ranges", "engines", "working on", "last seen", "fingerprint"];
        print::table(
            &headings,
            nodes.iter().map(row).collect(),
            "no node has asked to join yet; `portdrift invites create` lets one ask",
        )
    })
}

fn row(node: &Node) -> Vec<String> {
    let dash = || "-".to_owned();
    let joined = |items: Vec<String>| if items.is_empty() { dash() } else { items.join(" ") };
    vec![
        node.label.clone(),
        node.status.clone(),
        node.approval.as_ref().map_or_else(dash, |approval| approval.ranges.to_string()),
        joined(node.engines.iter().map(|engine| engine.name.clone()).collect()),
        joined(node.running.clone()),
        node.last_seen.map_or_else(dash, |seen| seen.to_string()),
        node.fingerprint.to_string(),
    ]
}
