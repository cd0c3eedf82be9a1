//! Keys as text: the list, one with all that is known, and what came of a decision.

use crate::cli::print::{self, Form};
use crate::client::Client;
use protocol::Timestamp;
use std::time::Duration;
use web::api::nodes::Node;
use web::api::roster::{Roster, Rotation};

const PENDING: &str = "pending";

pub(super) async fn list(client: &Client, only_pending: bool, form: Form) -> anyhow::Result<()> {
    let mut nodes: Vec<Node> = client.get_all("/nodes?hidden=true").await?;
    nodes.retain(|node| !only_pending || node.status == PENDING);
    form.list(
        &nodes,
        |node| node.fingerprint.clone(),
        |nodes| {
            let empty = if only_pending { "no key waits for a decision" } else { "no key has asked to join yet" };
            let headings = ["fingerprint", "state", "label", "host", "ends", "asked"];
            print::table(&headings, nodes.iter().map(row).collect(), empty)
        },
    )?;
    if form == Form::Text {
        warnings(&client.get("/roster").await?, Timestamp::now()).iter().for_each(|warning| print::note(warning));
    }
    Ok(())
}

fn row(node: &Node) -> Vec<String> {
    let Node { fingerprint, label, hostname, asked, .. } = node;
    vec![fingerprint.to_string(), state(node), label.clone(), hostname.clone(), ends(node), asked.to_string()]
}

/// The state, and what stands beside it.
fn state(node: &Node) -> String {
    let mut words = node.status.clone();
    if node.awaiting_signature && node.status != "awaiting signature" {
        words.push_str(", awaiting signature");
    }
    if node.hidden {
        words.push_str(", hidden");
    }
    words
}

fn ends(node: &Node) -> String {
    let end = node.approval.as_ref().and_then(|approval| approval.expires);
    let soon = match node.ending.as_deref() {
        Some("month") => " (in less than 30 days)",
        Some("week") => " (in less than 7 days)",
        Some("day") => " (in less than a day)",
        Some(_) | None => "",
    };
    end.map_or_else(|| "-".to_owned(), |end| format!("{end}{soon}"))
}

/// What a person who looks at keys must know of the roster.
fn warnings(roster: &Roster, now: Timestamp) -> Vec<String> {
    let mut told = Vec::new();
    if let Some(awaited) = &roster.awaited {
        told.push(format!(
            "{} awaits the mesh key's signature; `portdrift keys approve --mesh-key FILE` signs",
            print::counted(awaited.changes.len(), "change")
        ));
    }
    if now.plus(Duration::from_secs(30 * 24 * 3600)) >= roster.not_after {
        told.push(format!(
            "the roster ends at {}; then nodes take no new task until a newer one is signed",
            roster.not_after
        ));
    }
    if let Some(alarm) = &roster.alarm {
        told.push(format!(
            "two rosters of epoch {} are signed with the mesh key (the other one from {}, at {}): somebody else has the key, or an old backup was restored",
            alarm.epoch, alarm.from, alarm.at
        ));
    }
    told
}

pub(in crate::cli) fn details(node: &Node) -> String {
    let list = |items: &[String]| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
    let addresses: Vec<String> = node.addresses.iter().map(ToString::to_string).collect();
    let engines: Vec<String> =
        node.engines.iter().map(|engine| format!("{} {}", engine.name, engine.version)).collect();
    let approval = node.approval.as_ref().map_or_else(
        || "none".to_owned(),
        |approval| format!("{} at site {}, by {} at {}", approval.ranges, approval.site, approval.by, approval.at),
    );
    let state = match &node.reason {
        Some(reason) => format!("{}: {reason}", state(node)),
        None => state(node),
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
        (
            "asked through",
            node.asked_through.as_ref().map_or_else(|| "the coordinator itself".to_owned(), ToString::to_string),
        ),
        ("approved", approval),
        ("ends", ends(node)),
        (
            "may sponsor",
            if node.approval.as_ref().is_some_and(|held| held.may_sponsor) { "yes" } else { "no" }.to_owned(),
        ),
        ("last seen", node.last_seen.map_or_else(|| "never".to_owned(), |seen| seen.to_string())),
    ];
    print::facts(&rows)
}

pub(super) fn rotation(rotation: &Rotation) -> String {
    let Rotation { next, awaiting_signature } = rotation;
    if *awaiting_signature {
        return format!(
            "the coordinator goes on as {next} once the mesh key has signed so; until then the old key serves"
        );
    }
    format!("the coordinator goes on as {next}; nodes follow within moments")
}

/// One line for each node that was decided on.
pub(in crate::cli) fn decided(nodes: &[Node], deed: &str) -> String {
    let line = |node: &Node| {
        let waits = if node.awaiting_signature { "; the mesh key has yet to sign" } else { "" };
        match (&node.approval, deed) {
            (Some(approval), "approved") => {
                format!("{} ({}) may scan {}{waits}", node.fingerprint, node.label, approval.ranges)
            }
            _ => format!("{} ({}) is {deed}{waits}", node.fingerprint, node.label),
        }
    };
    if nodes.is_empty() {
        return "no key waits for a decision".to_owned();
    }
    nodes.iter().map(line).collect::<Vec<_>>().join("\n")
}
