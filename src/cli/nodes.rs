//! `nodes`: the members of the mesh and how they are.

use super::keys::shown;
use super::print::{self, Form};
use super::{Place, Shared};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use clap::{Args, Subcommand};
use protocol::Fingerprint;
use std::collections::BTreeMap;
use web::api::mesh::{End, Link, Member, Mesh};
use web::api::nodes::{Decide, DecideMany, Node};

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
    #[command(after_help = "Examples:\n  portdrift nodes list\n  portdrift nodes list --jsonl")]
    List {
        /// Hidden ones too
        #[arg(long)]
        hidden: bool,
        /// Print the fingerprints alone, one a line
        #[arg(long, short)]
        quiet: bool,
    },
    /// Show one node with all that is known of it
    #[command(after_help = "Example:\n  portdrift nodes show chh3-t6sa-zrb5-lp2h-kmmj-lubc-zux6-ovni")]
    Show {
        /// All eight groups
        fingerprint: Fingerprint,
    },
    /// Call a node something else; its key, and what it may scan, stay
    #[command(after_help = "Example:\n  portdrift nodes rename chh3-t6sa-zrb5-lp2h-kmmj-lubc-zux6-ovni attic")]
    Rename {
        /// All eight groups
        fingerprint: Fingerprint,
        /// What people are to call it
        label: String,
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
    /// Show who is linked to whom, through whom the coordinator is reached, and round trips
    #[command(after_help = "Examples:\n  portdrift nodes mesh\n  portdrift nodes mesh --json")]
    Mesh,
}

pub(crate) async fn run(args: NodesArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (client, form) = (args.place.client()?, shared.form());
    match args.command {
        Command::List { hidden, quiet } => {
            let nodes: Vec<Node> = client.get_all(&format!("/nodes?hidden={hidden}")).await?;
            form.or_ids(quiet).list(&nodes, |node| node.fingerprint.clone(), list)?;
        }
        Command::Show { fingerprint } => {
            let node: Node = client.get(&format!("/nodes/{fingerprint}")).await?;
            form.show(&node, shown::details)?;
        }
        Command::Rename { fingerprint, label } => rename(&client, &fingerprint, label, form).await?,
        Command::Hide { fingerprints } => mark(&client, "hide", fingerprints, "hidden", form).await?,
        Command::Unhide { fingerprints } => mark(&client, "unhide", fingerprints, "shown again", form).await?,
        Command::Mesh => form.show(&client.get::<Mesh>("/mesh").await?, mesh)?,
    }
    Ok(Exit::Done)
}

/// The label is one of the terms on which a node is in, so a node that is not in has none to change.
async fn rename(client: &Client, fingerprint: &Fingerprint, label: String, form: Form) -> anyhow::Result<()> {
    let node: Node = client.get(&format!("/nodes/{fingerprint}")).await?;
    if node.approval.is_none() {
        let reason = format!("{fingerprint} is {}; a label is given with `portdrift keys approve`", node.status);
        return Err(Failure::new(Exit::Failed, reason).into());
    }
    if label.trim().is_empty() {
        return Err(Failure::usage("the label is empty; write what people are to call the node").into());
    }
    let decide = Decide { label, ..Decide::default() };
    let named: Node = client.post(&format!("/nodes/{fingerprint}/approve"), &decide).await?;
    form.show(&named, |node| format!("{} is called {} now", node.fingerprint, node.label))
}

async fn mark(client: &Client, action: &str, nodes: Vec<Fingerprint>, deed: &str, form: Form) -> anyhow::Result<()> {
    let many = DecideMany { action: action.to_owned(), nodes, ..DecideMany::default() };
    let marked: Vec<Node> = client.post("/nodes/bulk", &many).await?;
    form.show_all(&marked, |nodes| shown::decided(nodes, deed))
}

fn list(nodes: &[Node]) -> String {
    let headings = ["label", "state", "ranges", "engines", "working on", "last seen", "fingerprint"];
    print::table(
        &headings,
        nodes.iter().map(row).collect(),
        "no node has asked to join yet; `portdrift invites create` lets one ask",
    )
}

fn dash() -> String {
    "-".to_owned()
}

fn row(node: &Node) -> Vec<String> {
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

/// Members, then links.
fn mesh(mesh: &Mesh) -> String {
    let labels: BTreeMap<&Fingerprint, &str> =
        mesh.members.iter().map(|member| (&member.fingerprint, member.label.as_str())).collect();
    let headings = ["label", "state", "hops", "through", "clock", "last seen", "fingerprint"];
    let members = print::table(&headings, mesh.members.iter().map(|it| member_row(it, &labels)).collect(), "");
    let headings = ["dialled by", "to", "round trip there", "back", "state"];
    let links = mesh.links.iter().map(|it| link_row(it, &labels)).collect();
    format!("{members}\n\n{}", print::table(&headings, links, "no link: no approved node is connected"))
}

fn name(node: &Fingerprint, labels: &BTreeMap<&Fingerprint, &str>) -> String {
    labels.get(node).map_or_else(|| node.to_string(), |label| (*label).to_owned())
}

fn member_row(member: &Member, labels: &BTreeMap<&Fingerprint, &str>) -> Vec<String> {
    let Member { fingerprint, label, role: _, status, reason, hops, through, last_seen, clock_offset_ms } = member;
    vec![
        label.clone(),
        reason.as_ref().map_or_else(|| status.clone(), |reason| format!("{status}: {reason}")),
        hops.map_or_else(dash, |hops| hops.to_string()),
        through.as_ref().map_or_else(dash, |through| name(through, labels)),
        clock_offset_ms.map_or_else(dash, |millis| format!("{millis:+} ms")),
        last_seen.map_or_else(dash, |seen| seen.to_string()),
        fingerprint.to_string(),
    ]
}

fn link_row(link: &Link, labels: &BTreeMap<&Fingerprint, &str>) -> Vec<String> {
    let Link { ends: [one, other], dialled_by, stale } = link;
    let (from, to) = if dialled_by.as_ref() == Some(&other.node) { (other, one) } else { (one, other) };
    let time = |end: &End| end.round_trip_ms.map_or_else(dash, |millis| format!("{millis:.1} ms"));
    let state = if *stale { "as last known" } else { "stands" };
    vec![name(&from.node, labels), name(&to.node, labels), time(from), time(to), state.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_mesh_is_told_by_members_and_links() {
        let (hub, lab) = ("chh3-t6sa-zrb5-lp2h-kmmj-lubc-zux6-ovni", "ad56-fkn6-4mqz-gnyt-zyvx-qi7y-jcja-fr5g");
        let seen: Mesh = serde_json::from_value(json!({
            "at": "2026-01-31T12:00:00Z",
            "members": [
                { "fingerprint": hub, "label": "coordinator", "role": "coordinator", "status": "online", "hops": 0 },
                {
                    "fingerprint": lab, "label": "lab", "role": "node", "status": "offline",
                    "reason": "its connection was lost", "through": hub, "last_seen": "2026-01-31T11:59:00Z",
                    "clock_offset_ms": -12,
                },
            ],
            "links": [{
                "ends": [{ "node": hub, "round_trip_ms": 0.4321 }, { "node": lab }], "dialled_by": lab, "stale": false,
            }],
        }))
        .unwrap();
        insta::assert_snapshot!(mesh(&seen), @"
        LABEL        STATE                             HOPS  THROUGH      CLOCK   LAST SEEN                 FINGERPRINT
        coordinator  online                            0     -            -       -                         chh3-t6sa-zrb5-lp2h-kmmj-lubc-zux6-ovni
        lab          offline: its connection was lost  -     coordinator  -12 ms  2026-01-31T11:59:00.000Z  ad56-fkn6-4mqz-gnyt-zyvx-qi7y-jcja-fr5g

        DIALLED BY  TO           ROUND TRIP THERE  BACK    STATE
        lab         coordinator  -                 0.4 ms  stands
        ");
    }
}
