//! `keys`: who asks to join, compared by fingerprint, let in or turned away.

use super::print::{self, Form};
use super::{Place, Shared};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use clap::{Args, Subcommand};
use protocol::{Fingerprint, TargetSet};
use web::api::nodes::{Approve, Deny, Node};

const PENDING: &str = "pending";

#[derive(Args)]
pub(crate) struct KeysArgs {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List every key that asked or was decided on
    #[command(after_help = "Example:\n  portdrift keys list --pending")]
    List {
        /// Only those that wait for a decision
        #[arg(long)]
        pending: bool,
        /// Print the fingerprints alone, one a line
        #[arg(long, short)]
        quiet: bool,
    },
    /// Show one key and what its node says of itself
    #[command(after_help = "Example:\n  portdrift keys show chh3-t6sa-zrb5-lp2h-kmmj-lubc-zux6-ovni")]
    Show {
        /// All eight groups
        fingerprint: Fingerprint,
    },
    /// Let nodes into the mesh
    #[command(
        after_help = "Example:\n  portdrift keys approve chh3-t6sa-zrb5-lp2h-kmmj-lubc-zux6-ovni --label dmz --ranges 192.0.2.0/24"
    )]
    Approve {
        /// All eight groups, as the node itself shows them
        #[arg(required = true)]
        fingerprints: Vec<Fingerprint>,
        /// What people call the node
        #[arg(long, value_name = "NAME")]
        label: Option<String>,
        /// The addresses that it may scan, such as 192.0.2.0/24,198.51.100.7
        #[arg(long, value_name = "TARGETS")]
        ranges: TargetSet,
        /// The site that it stands at
        #[arg(long, default_value = "main")]
        site: String,
        /// When the approval ends: a length such as 90d, a date, or a time (RFC 3339) [default: never]
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
    },
    /// Turn a node away
    #[command(
        after_help = "Example:\n  portdrift keys deny chh3-t6sa-zrb5-lp2h-kmmj-lubc-zux6-ovni --reason \"not ours\""
    )]
    Deny {
        /// All eight groups
        fingerprint: Fingerprint,
        /// Why; the node's log shows it
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

pub(crate) async fn run(args: KeysArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (client, form) = (args.place.client()?, shared.form());
    match args.command {
        Command::List { pending, quiet } => list(&client, pending, if quiet { Form::Ids } else { form }).await?,
        Command::Show { fingerprint } => form.show(&find(&client, &fingerprint).await?, details)?,
        Command::Approve { fingerprints, label, ranges, site, expires } => {
            let approve = Approve {
                label: label.unwrap_or_default(),
                ranges: ranges.to_string(),
                site,
                expires: expires.unwrap_or_default(),
            };
            let mut approved = Vec::new();
            for fingerprint in fingerprints {
                approved.push(client.post::<Node>(&format!("/nodes/{fingerprint}/approve"), &approve).await?);
            }
            form.show(&approved, |nodes| nodes.iter().map(approved_words).collect::<Vec<_>>().join("\n"))?;
        }
        Command::Deny { fingerprint, reason } => {
            let node: Node = client.post(&format!("/nodes/{fingerprint}/deny"), &Deny { reason }).await?;
            form.show(&node, |node| format!("{} is turned away", node.fingerprint))?;
        }
    }
    Ok(Exit::Done)
}

async fn list(client: &Client, only_pending: bool, form: Form) -> anyhow::Result<()> {
    let mut nodes: Vec<Node> = client.get("/nodes").await?;
    nodes.retain(|node| !only_pending || node.status == PENDING);
    if form == Form::Ids {
        return print::ids(nodes.iter().map(|node| &node.fingerprint));
    }
    form.show(&nodes, |nodes| {
        let empty = if only_pending { "no key waits for a decision" } else { "no key has asked to join yet" };
        print::table(&["fingerprint", "state", "label", "host", "asked"], nodes.iter().map(row).collect(), empty)
    })
}

fn row(node: &Node) -> Vec<String> {
    let Node { fingerprint, status, label, hostname, asked, .. } = node;
    vec![fingerprint.to_string(), status.clone(), label.clone(), hostname.clone(), asked.to_string()]
}

/// The node with this key.
async fn find(client: &Client, fingerprint: &Fingerprint) -> anyhow::Result<Node> {
    let nodes: Vec<Node> = client.get("/nodes").await?;
    let found = nodes.into_iter().find(|node| node.fingerprint == *fingerprint);
    found.ok_or_else(|| {
        Failure::new(
            Exit::NotFound,
            format!("no node has the key {fingerprint}; `portdrift keys list` shows those that asked"),
        )
        .into()
    })
}

fn details(node: &Node) -> String {
    let list = |items: &[String]| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
    let addresses: Vec<String> = node.addresses.iter().map(ToString::to_string).collect();
    let engines: Vec<String> =
        node.engines.iter().map(|engine| format!("{} {}", engine.name, engine.version)).collect();
    let approval = node.approval.as_ref().map_or_else(
        || "none".to_owned(),
        |approval| format!("{} at site {}, by {} at {}", approval.ranges, approval.site, approval.by, approval.at),
    );
    let state = match &node.reason {
        Some(reason) => format!("{}: {reason}", node.status),
        None => node.status.clone(),
    };
    let rows = [
        ("key", node.fingerprint.to_string()),
        ("state", state),
        ("label", node.label.clone()),
        ("host", format!("{} ({}, portdrift {})", node.hostname, node.system, node.version)),
        ("addresses", list(&addresses)),
        ("macs", list(&node.macs)),
        ("engines", list(&engines)),
        ("own policy", node.policy_ranges.as_ref().map_or_else(|| "no limit".to_owned(), ToString::to_string)),
        ("asked", node.asked.to_string()),
        ("approved", approval),
        ("last seen", node.last_seen.map_or_else(|| "never".to_owned(), |seen| seen.to_string())),
    ];
    print::facts(&rows)
}

fn approved_words(node: &Node) -> String {
    let ranges = node.approval.as_ref().map(|approval| approval.ranges.to_string()).unwrap_or_default();
    format!("{} ({}) may scan {ranges}", node.fingerprint, node.label)
}
