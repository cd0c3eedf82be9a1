//! `reports accept`: changes that were expected, and taking that back.

use super::{Shared, print};
use crate::client::Client;
use crate::exit::Exit;
use clap::Args;
use coordinator::analysis::delta::ChangeKind;
use protocol::TargetSet;
use protocol::task::RunId;
use web::api::acceptance::{Accept, Accepted, Line};

const EXAMPLES: &str = "\
Examples:
  portdrift reports accept 7 --host 192.0.2.7 --port 443/tcp --comment \"the new shop\"
  portdrift reports accept 7 --kind service-change
  portdrift reports accept 7 --all --undo";

/// Which lines of which report. Of kind, host and port all that are given must fit.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct AcceptArgs {
    /// The number of the report, which is its run's
    report: RunId,
    /// Only changes of this kind: new-host, removed-host, new-port, closed-port, service-change, os-change, …
    #[arg(long, value_parser = kind)]
    kind: Option<ChangeKind>,
    /// Only changes of this host, or of several: addresses, CIDRs and ranges
    #[arg(long, value_name = "TARGETS")]
    host: Option<TargetSet>,
    /// Only changes of this port, such as 443/tcp
    #[arg(long)]
    port: Option<String>,
    /// Every change of the report
    #[arg(long, conflicts_with_all = ["kind", "host", "port"], required_unless_present_any = ["kind", "host", "port"])]
    all: bool,
    /// Why, for those who look later
    #[arg(long, value_name = "TEXT", conflicts_with = "undo")]
    comment: Option<String>,
    /// Take an acceptance back
    #[arg(long)]
    undo: bool,
}

const KINDS: [(&str, ChangeKind); 8] = [
    ("new-host", ChangeKind::NewHost),
    ("removed-host", ChangeKind::RemovedHost),
    ("new-port", ChangeKind::NewPort),
    ("closed-port", ChangeKind::ClosedPort),
    ("service-change", ChangeKind::ServiceChange),
    ("os-change", ChangeKind::OsChange),
    ("name-change", ChangeKind::NameChange),
    ("mac-change", ChangeKind::MacChange),
];

fn kind(text: &str) -> Result<ChangeKind, String> {
    let found = KINDS.into_iter().find(|(name, _)| *name == text).map(|(_, kind)| kind);
    found.ok_or_else(|| format!("write one of {}", KINDS.map(|(name, _)| name).join(", ")))
}

pub(crate) async fn run(client: &Client, args: AcceptArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let AcceptArgs { report, kind, host, port, all, comment, undo } = args;
    let lines = if all { Vec::new() } else { vec![Line { kind, address: host, port }] };
    let body = Accept { all, lines, comment: comment.unwrap_or_default() };
    let verb = if undo { "unaccept" } else { "accept" };
    let accepted: Accepted = client.post(&format!("/reports/{report}/{verb}"), &body).await?;
    shared.form().show(&accepted, |accepted| words(accepted, undo))?;
    Ok(Exit::Done)
}

fn words(accepted: &Accepted, undo: bool) -> String {
    let Accepted { selected, changed, report } = accepted;
    let done = if undo { "counted again" } else { "accepted as expected" };
    let before = match selected - changed {
        0 => String::new(),
        same => format!(", {same} stood so already"),
    };
    let score = super::reports::score(&report.score);
    format!("{} {done}{before}; report {} has score {score} now", print::counted(*changed, "change"), report.run)
}
