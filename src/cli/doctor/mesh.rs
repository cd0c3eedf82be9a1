//! What a running coordinator says of itself, its roster, its nodes and its scheduler.

use super::Finding;
use crate::cli::print;
use crate::client::Client;
use protocol::Timestamp;
use std::time::Duration;
use web::api::jobs::Job;
use web::api::nodes::Node;
use web::api::roster::Roster;
use web::api::status::Status;

/// A clock that is further off makes times in reports hard to trust.
const CLOCK_MS: u64 = 5_000;

/// A roster that ends sooner is told of.
const SOON: Duration = Duration::from_secs(30 * 86_400);

/// What was asked of the coordinator.
pub(super) struct Answers {
    status: Status,
    roster: Roster,
    nodes: Vec<Node>,
    jobs: Vec<Job>,
}

impl Answers {
    pub(super) async fn ask(client: &Client) -> anyhow::Result<Self> {
        Ok(Self {
            status: client.get("/status").await?,
            roster: client.get("/roster").await?,
            nodes: client.get_all("/nodes").await?,
            jobs: client.get("/jobs").await?,
        })
    }

    /// Whether the dashboard speaks TLS.
    pub(super) fn is_tls(&self) -> bool {
        self.status.dashboard.starts_with("https:")
    }

    pub(super) fn findings(&self, now: Timestamp) -> Vec<Finding> {
        let mut found = vec![coordinator(&self.status)];
        found.extend(roster(&self.roster, now));
        found.extend(nodes(&self.nodes));
        found.extend(clocks(&self.nodes));
        found.push(jobs(&self.jobs));
        found
    }
}

fn coordinator(status: &Status) -> Finding {
    let own = env!("CARGO_PKG_VERSION");
    let up = print::rough(status.uptime_seconds);
    match &status.refusal {
        Some(refusal) => Finding::fault("coordinator", format!("it begins no new work: {refusal}")),
        None if status.version != own => {
            let found = format!("it has version {}, this program is {own}", status.version);
            Finding::warning("coordinator", found).remedy("start it again after an update")
        }
        None => Finding::ok("coordinator", format!("it answers, version {own}, up for {up}")),
    }
}

fn roster(roster: &Roster, now: Timestamp) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(alarm) = &roster.alarm {
        let two = format!("two rosters of epoch {} are signed with the mesh key", alarm.epoch);
        found.push(Finding::fault("roster", two).remedy("somebody else has that key, or an old backup was restored"));
    }
    if let Some(awaited) = &roster.awaited {
        let waits = format!("{} awaits the mesh key's signature", print::counted(awaited.changes.len(), "change"));
        found.push(Finding::warning("roster", waits).remedy("`portdrift keys approve --mesh-key FILE` signs"));
    }
    if now.plus(SOON) >= roster.not_after {
        let ends = format!("it ends at {}; then nodes take no new task", roster.not_after);
        found.push(Finding::warning("roster", ends).remedy("sign a newer one with the mesh key"));
    }
    if found.is_empty() {
        found.push(Finding::ok("roster", format!("epoch {}, good until {}", roster.epoch, roster.not_after)));
    }
    found
}

fn nodes(nodes: &[Node]) -> Vec<Finding> {
    let is_there = |node: &&Node| matches!(node.status.as_str(), "online" | "scanning");
    let (approved, there) =
        (nodes.iter().filter(|node| node.approval.is_some()).count(), nodes.iter().filter(is_there).count());
    let first = match (approved, there) {
        (0, _) => Finding::warning("nodes", "none is approved, so nothing is scanned")
            .remedy("`portdrift invites create` lets one ask to join"),
        (_, 0) => Finding::fault("nodes", "every node is offline, so nothing is scanned")
            .remedy("run `portdrift node doctor` on their machines"),
        (_, there) => Finding::ok("nodes", format!("{there} of {approved} are there")),
    };
    let mut found = vec![first];
    found.extend(nodes.iter().flat_map(node));
    let pending = nodes.iter().filter(|node| node.status == "pending").count();
    if pending > 0 {
        let waits = format!("{} to be let in", print::counted(pending, "key"));
        found.push(
            Finding::warning("nodes", format!("{waits}, undecided")).remedy("see `portdrift keys list --pending`"),
        );
    }
    found
}

/// What is wrong with one node.
fn node(node: &Node) -> Vec<Finding> {
    let Node { fingerprint, label, status, reason, version, room, ending, spooled, .. } = node;
    let because = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let name = if label.is_empty() { fingerprint.to_string() } else { label.clone() };
    let mut found = Vec::new();
    match status.as_str() {
        "offline" => found.push(
            Finding::warning("nodes", format!("{name} is offline{because}"))
                .remedy("run `portdrift node doctor` on its machine"),
        ),
        "cloned" => found.push(Finding::fault("nodes", format!("{name} is cloned{because}"))),
        "expired" => found.push(
            Finding::warning("nodes", format!("the approval of {name} has ended")).remedy("approve its key again"),
        ),
        "online" | "scanning" if *version != env!("CARGO_PKG_VERSION") => {
            found.push(Finding::warning("nodes", format!("{name} has version {version}")).remedy("update it"));
        }
        _ => {}
    }
    if let Some(room) = room.as_ref().filter(|room| *room != "free") {
        let full = format!("the disk of {name} is {room}; {} wait there", print::counted(*spooled, "result"));
        found.push(Finding::warning("nodes", full).remedy("make room on it"));
    }
    if let Some(within) = ending.as_ref().filter(|within| matches!(within.as_str(), "week" | "day")) {
        let ends = format!("the approval of {name} ends within a {within}");
        found.push(Finding::warning("nodes", ends).remedy("approve its key again"));
    }
    found
}

/// Clocks that are off: most of them on the same side, then it is likely to be our own.
fn clocks(nodes: &[Node]) -> Vec<Finding> {
    let known: Vec<(&Node, i64)> = nodes.iter().filter_map(|node| Some((node, node.clock_offset_ms?))).collect();
    let off: Vec<&(&Node, i64)> = known.iter().filter(|(_, offset)| offset.unsigned_abs() > CLOCK_MS).collect();
    let ahead = off.iter().filter(|(_, offset)| *offset > 0).count();
    let most = ahead.max(off.len() - ahead);
    if most >= 2 && most * 2 > known.len() {
        let side = if ahead == most { "ahead of" } else { "behind" };
        let found = format!("{most} of {} nodes are {side} this machine's", known.len());
        return vec![Finding::fault("clock", found).remedy("set it, for instance with `timedatectl set-ntp true`")];
    }
    let told = |(node, offset): &&(&Node, i64)| {
        let side = if *offset > 0 { "ahead of" } else { "behind" };
        let seconds = print::rough(offset.unsigned_abs() / 1_000);
        let found = format!("that of {} is {seconds} {side} the coordinator's", node.label);
        Finding::warning("clock", found).remedy("set it on that machine")
    };
    off.iter().map(told).collect()
}

fn jobs(jobs: &[Job]) -> Finding {
    let wrong = jobs.iter().filter(|job| !job.agrees).count();
    if wrong > 0 {
        let found = format!("{} not as the store says", print::counted(wrong, "wake-up"));
        return Finding::warning("scheduler", found).remedy("`portdrift jobs reload` makes them anew");
    }
    Finding::ok("scheduler", format!("it holds {}", print::counted(jobs.len(), "wake-up")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const KEY: &str = "chh3-t6sa-zrb5-lp2h-kmmj-lubc-zux6-ovni";

    fn some_node(label: &str, status: &str, more: Value) -> Node {
        let approval = (status != "pending").then(|| {
            json!({ "ranges": "10.0.0.0/8", "site": "main", "expires": null, "may_sponsor": false, "by": "ada", "at": "2026-01-31T12:00:00Z" })
        });
        let mut node = json!({
            "fingerprint": KEY, "label": label, "status": status, "hostname": label, "version": env!("CARGO_PKG_VERSION"),
            "system": "Linux", "addresses": [], "macs": [], "engines": [], "asked": "2026-01-31T12:00:00Z",
            "approval": approval, "running": [], "spooled": 0, "hidden": false, "awaiting_signature": false,
        });
        node.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(node).unwrap()
    }

    fn lines(found: Vec<Finding>) -> String {
        found.iter().map(Finding::line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn each_node_that_needs_somebody_is_named() {
        let all = [
            some_node("lab", "online", json!({})),
            some_node("attic", "offline", json!({ "reason": "its connection was lost" })),
            some_node("twin", "cloned", json!({})),
            some_node("old", "online", json!({ "version": "0.0.9", "room": "tight", "spooled": 3, "ending": "week" })),
            some_node("new", "pending", json!({})),
        ];
        insta::assert_snapshot!(lines(nodes(&all)), @"
        ok | nodes | 2 of 4 are there
        warning | nodes | attic is offline: its connection was lost; run `portdrift node doctor` on its machine
        fault | nodes | twin is cloned
        warning | nodes | old has version 0.0.9; update it
        warning | nodes | the disk of old is tight; 3 results wait there; make room on it
        warning | nodes | the approval of old ends within a week; approve its key again
        warning | nodes | 1 key to be let in, undecided; see `portdrift keys list --pending`
        ");
        insta::assert_snapshot!(lines(nodes(&all[1..2])), @"
        fault | nodes | every node is offline, so nothing is scanned; run `portdrift node doctor` on their machines
        warning | nodes | attic is offline: its connection was lost; run `portdrift node doctor` on its machine
        ");
        insta::assert_snapshot!(lines(nodes(&[])), @"warning | nodes | none is approved, so nothing is scanned; `portdrift invites create` lets one ask to join");
    }

    #[test]
    fn one_clock_that_is_off_is_that_nodes_and_most_of_them_mean_ours() {
        let off = |label: &str, offset: i64| some_node(label, "online", json!({ "clock_offset_ms": offset }));
        let one = lines(clocks(&[off("a", 90_000), off("b", 10), off("c", -4_000)]));
        assert_eq!(one, "warning | clock | that of a is 1 min ahead of the coordinator's; set it on that machine");
        let most = lines(clocks(&[off("a", 90_000), off("b", 91_000), off("c", -4_000)]));
        assert!(most.starts_with("fault | clock | 2 of 3 nodes are ahead of this machine's; "), "{most}");
        assert_eq!(clocks(&[off("a", 10)]), []);
    }

    #[test]
    fn what_is_wrong_with_the_coordinator_and_its_roster_is_said() {
        let status = |version: &str, refusal: Value| {
            serde_json::from_value::<Status>(json!({
                "version": version, "uptime_seconds": 90, "dashboard": "http://127.0.0.1:5000", "mesh": KEY,
                "fingerprint": KEY, "mesh_addresses": [], "enrolment_addresses": [], "refusal": refusal,
            }))
            .unwrap()
        };
        let own = env!("CARGO_PKG_VERSION");
        assert!(coordinator(&status(own, Value::Null)).line().starts_with("ok | "));
        assert!(coordinator(&status("0.0.9", Value::Null)).line().starts_with("warning | "));
        assert!(coordinator(&status(own, json!("the disk is full"))).line().ends_with("no new work: the disk is full"));
        let mut now: Roster = serde_json::from_value(json!({
            "epoch": 7, "issued": "2026-01-31T12:00:00Z", "not_after": "2026-05-01T12:00:00Z", "members": 2,
            "signs_here": true, "signed": "", "awaited": null, "alarm": null, "restored": null,
        }))
        .unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert!(lines(roster(&now, at("2026-02-01T00:00:00Z"))).starts_with("ok | roster | epoch 7"));
        now.alarm =
            Some(web::api::roster::Alarm { epoch: 7, from: KEY.parse().unwrap(), at: at("2026-04-20T00:00:00Z") });
        insta::assert_snapshot!(lines(roster(&now, at("2026-04-20T00:00:00Z"))), @"
        fault | roster | two rosters of epoch 7 are signed with the mesh key; somebody else has that key, or an old backup was restored
        warning | roster | it ends at 2026-05-01T12:00:00.000Z; then nodes take no new task; sign a newer one with the mesh key
        ");
    }
}
