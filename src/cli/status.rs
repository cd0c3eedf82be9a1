//! `status`: how it all stands, on one screen.

use super::print;
use super::{Place, Shared};
use crate::client::Client;
use crate::exit::Exit;
use clap::Args;
use protocol::Timestamp;
use protocol::task::ScanId;
use serde::Serialize;
use std::collections::BTreeMap;
use web::api::roster::Roster;
use web::api::runs::RunSummary;
use web::api::scans::Scan;
use web::api::statistics::{Statistics, Store};
use web::api::status::Status;

/// The most scans that a screen holds.
const MOST_SCANS: usize = 12;

#[derive(Args)]
#[command(after_help = "\
Examples:
  portdrift status
  portdrift status --json
  portdrift status --url https://watch.example --token-file token

Exit code 0 when the coordinator answers, 5 when it does not. `portdrift doctor` says what is wrong and what to do.")]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    place: Place,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Summary {
    coordinator: Status,
    roster: RosterSummary,
    /// By state.
    nodes: BTreeMap<String, usize>,
    scans: Vec<ScanSummary>,
    runs_open: usize,
    /// Open ones by severity.
    alerts: BTreeMap<String, usize>,
    store: Store,
}

#[derive(Serialize)]
struct RosterSummary {
    epoch: u64,
    not_after: Timestamp,
    /// Changes that wait for the mesh key.
    awaiting_signature: usize,
}

/// An active scan.
#[derive(Serialize)]
struct ScanSummary {
    id: ScanId,
    name: String,
    last_run: Option<RunSummary>,
    next_run: Option<Timestamp>,
}

pub(crate) async fn run(args: StatusArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let client = args.place.client()?;
    shared.form().show(&Summary::read(&client).await?, words)?;
    Ok(Exit::Done)
}

impl Summary {
    async fn read(client: &Client) -> anyhow::Result<Self> {
        let coordinator: Status = client.get("/status").await?;
        let Roster { epoch, not_after, awaited, .. } = client.get("/roster").await?;
        let awaiting_signature = awaited.map_or(0, |awaited| awaited.changes.len());
        let Statistics { nodes, runs, mut alerts, store, .. } = client.get("/statistics").await?;
        let scans: Vec<Scan> = client.get_all("/scans").await?;
        let under_way = ["queued", "running", "closing"];
        Ok(Self {
            coordinator,
            roster: RosterSummary { epoch, not_after, awaiting_signature },
            nodes,
            scans: scans.into_iter().map(ScanSummary::from).collect(),
            runs_open: under_way.iter().filter_map(|state| runs.get(*state)).sum(),
            alerts: alerts.remove("open").unwrap_or_default(),
            store,
        })
    }
}

impl From<Scan> for ScanSummary {
    fn from(scan: Scan) -> Self {
        let Scan { id, name, last_run, next_due, .. } = scan;
        Self { id, name, last_run, next_run: next_due }
    }
}

fn words(summary: &Summary) -> String {
    let Summary { coordinator, roster, nodes, scans, runs_open, alerts, store } = summary;
    let work = coordinator.refusal.as_ref().map_or_else(String::new, |why| format!("; no new run begins: {why}"));
    let facts = print::facts(&[
        (
            "coordinator",
            format!("portdrift {}, up for {}{work}", coordinator.version, print::rough(coordinator.uptime_seconds)),
        ),
        ("dashboard", coordinator.dashboard.clone()),
        ("mesh", mesh(coordinator, roster)),
        ("nodes", counts(nodes, &["online", "scanning", "offline"])),
        ("runs", format!("{runs_open} under way")),
        ("open alerts", counts(alerts, &["critical", "high", "medium", "low"])),
        ("disk", disk(store)),
    ]);
    let shown = scans.iter().take(MOST_SCANS).map(row).collect();
    let headings = ["id", "scan", "state", "last run", "next run"];
    let table = print::table(&headings, shown, "no scan yet; `portdrift scans create` makes one");
    let more = match scans.len().saturating_sub(MOST_SCANS) {
        0 => String::new(),
        more => format!("\nand {more} more; `portdrift scans list` shows all"),
    };
    format!("{facts}\n\n{table}{more}")
}

fn mesh(coordinator: &Status, roster: &RosterSummary) -> String {
    let RosterSummary { epoch, not_after, awaiting_signature } = roster;
    let places: Vec<String> = coordinator.mesh_addresses.iter().map(ToString::to_string).collect();
    let waits = match awaiting_signature {
        0 => String::new(),
        waiting => format!("; {} awaits the mesh key's signature", print::counted(*waiting, "change")),
    };
    format!("{} at {}, epoch {epoch}, good until {not_after}{waits}", coordinator.mesh, places.join(", "))
}

/// These counts, and those of all other names that are not zero.
fn counts(all: &BTreeMap<String, usize>, first: &[&str]) -> String {
    let told = |name: &str, count: usize| format!("{count} {name}");
    let always = first.iter().map(|name| told(name, all.get(*name).copied().unwrap_or(0)));
    let others = all.iter().filter(|(name, count)| **count > 0 && !first.contains(&name.as_str()));
    always.chain(others.map(|(name, count)| told(name, *count))).collect::<Vec<_>>().join(", ")
}

fn disk(store: &Store) -> String {
    let takes = print::size(store.journal_bytes.saturating_add(store.index_bytes));
    match store.disk_bytes {
        0 => format!("the store takes {takes}"),
        all => format!("{} of {} free; the store takes {takes}", print::size(store.disk_free_bytes), print::size(all)),
    }
}

fn row(scan: &ScanSummary) -> Vec<String> {
    let dash = || "-".to_owned();
    let last = scan.last_run.as_ref();
    let at = last.map(|run| run.ended_at.or(run.started_at).unwrap_or(run.created_at).to_string());
    vec![
        scan.id.to_string(),
        scan.name.clone(),
        last.map_or_else(dash, |run| run.state.clone()),
        at.unwrap_or_else(dash),
        scan.next_run.map_or_else(dash, |at| at.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn summary() -> Summary {
        let key = "chh3-t6sa-zrb5-lp2h-kmmj-lubc-zux6-ovni";
        let coordinator = serde_json::from_value(json!({
            "version": "0.1.0", "uptime_seconds": 260_000, "dashboard": "https://watch.example:5000", "mesh": key,
            "fingerprint": key, "mesh_addresses": ["192.0.2.10:9430"], "enrolment_addresses": ["192.0.2.10:9431"],
            "refusal": null,
        }));
        let run = serde_json::from_value(json!({
            "id": 7, "scan": 1, "scan_name": "office", "state": "partial", "ended": true, "trigger": "schedule",
            "created_at": "2026-01-31T12:00:00Z", "ended_at": "2026-01-31T12:03:00Z", "uncovered": [],
        }));
        let counted =
            |counts: &[(&str, usize)]| counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        Summary {
            coordinator: coordinator.unwrap(),
            roster: RosterSummary {
                epoch: 7,
                not_after: "2026-04-30T12:00:00Z".parse().unwrap(),
                awaiting_signature: 0,
            },
            nodes: counted(&[("online", 3), ("offline", 1), ("pending", 2), ("denied", 0), ("scanning", 0)]),
            scans: vec![ScanSummary {
                id: ScanId(1),
                name: "office".to_owned(),
                last_run: Some(run.unwrap()),
                next_run: None,
            }],
            runs_open: 0,
            alerts: counted(&[("critical", 1), ("high", 0), ("medium", 0), ("low", 4)]),
            store: Store {
                changes: 9,
                rows: 8,
                journal_bytes: 3 << 20,
                index_bytes: 1 << 20,
                disk_free_bytes: 12 << 30,
                disk_bytes: 40 << 30,
            },
        }
    }

    #[test]
    fn all_stands_on_one_screen() {
        insta::assert_snapshot!(words(&summary()), @"
        coordinator  portdrift 0.1.0, up for 3 days
        dashboard    https://watch.example:5000
        mesh         chh3-t6sa-zrb5-lp2h-kmmj-lubc-zux6-ovni at 192.0.2.10:9430, epoch 7, good until 2026-04-30T12:00:00.000Z
        nodes        3 online, 0 scanning, 1 offline, 2 pending
        runs         0 under way
        open alerts  1 critical, 0 high, 0 medium, 4 low
        disk         12.0 GiB of 40.0 GiB free; the store takes 4.0 MiB

        ID  SCAN    STATE    LAST RUN                  NEXT RUN
        1   office  partial  2026-01-31T12:03:00.000Z  -
        ");
    }

    #[test]
    fn what_waits_and_what_is_refused_is_said() {
        let mut summary = summary();
        summary.coordinator.refusal = Some("the disk is nearly full".to_owned());
        summary.roster.awaiting_signature = 1;
        summary.scans.clear();
        summary.store.disk_bytes = 0;
        insta::assert_snapshot!(words(&summary), @"
        coordinator  portdrift 0.1.0, up for 3 days; no new run begins: the disk is nearly full
        dashboard    https://watch.example:5000
        mesh         chh3-t6sa-zrb5-lp2h-kmmj-lubc-zux6-ovni at 192.0.2.10:9430, epoch 7, good until 2026-04-30T12:00:00.000Z; 1 change awaits the mesh key's signature
        nodes        3 online, 0 scanning, 1 offline, 2 pending
        runs         0 under way
        open alerts  1 critical, 0 high, 0 medium, 4 low
        disk         the store takes 4.0 MiB

        no scan yet; `portdrift scans create` makes one
        ");
    }

    #[test]
    fn a_screen_holds_so_many_scans_and_no_more() {
        let mut summary = summary();
        let scan = |id| ScanSummary { id: ScanId(id), name: format!("s{id}"), last_run: None, next_run: None };
        summary.scans = (1..=14).map(scan).collect();
        let told = words(&summary);
        assert!(told.contains("s12") && !told.contains("s13"), "{told}");
        assert!(told.ends_with("and 2 more; `portdrift scans list` shows all"), "{told}");
    }
}
