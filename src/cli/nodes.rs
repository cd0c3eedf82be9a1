//! `nodes`: the members of the mesh and how they are.

use super::{Place, Shared, print};
use crate::exit::Exit;
use clap::{Args, Subcommand};
use web::api::nodes::Node;

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
    List,
}

pub(crate) async fn run(args: NodesArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let Command::List = args.command;
    let nodes: Vec<Node> = args.place.client()?.get("/nodes").await?;
    shared.form().show(&nodes, |nodes| {
        let headings = ["label", "state", "ranges", "engines", "working on", "last seen", "fingerprint"];
        print::table(
            &headings,
            nodes.iter().map(row).collect(),
            "no node has asked to join yet; `portdrift invites create` lets one ask",
        )
    })?;
    Ok(Exit::Done)
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
