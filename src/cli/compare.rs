//! `reports compare`: any two runs of a scan against each other.

use super::scans::find;
use super::{Shared, print, reports};
use crate::client::Client;
use clap::Args;
use protocol::task::RunId;
use web::api::compare::Comparison;

#[derive(Args)]
#[command(after_help = "Example:\n  portdrift reports compare --scan office 3 7")]
pub(crate) struct CompareArgs {
    /// Of this scan: its number or its name
    #[arg(long)]
    scan: String,
    /// The run that counts as the earlier one
    from: RunId,
    /// The run that counts as the later one
    to: RunId,
}

pub(crate) async fn run(client: &Client, args: CompareArgs, shared: &Shared) -> anyhow::Result<()> {
    let CompareArgs { scan, from, to } = args;
    let scan = find(client, &scan).await?;
    let comparison: Comparison = client.get(&format!("/compare?scan={scan}&from={from}&to={to}")).await?;
    let severities = reports::severities(client, comparison.scan).await?;
    shared.form().show(&comparison, |comparison| words(comparison, &severities))
}

/// A sentence, the changes, what does not count, what only one of the runs looked at.
fn words(comparison: &Comparison, severities: &reports::Severities) -> String {
    let Comparison { scan, from, to, hosts_before, hosts_after, shared_addresses, .. } = comparison;
    let mut text = format!(
        "Run {to} of scan {scan} compared with run {from}: {}, before {hosts_before}; both looked at {}.\n\n{}",
        print::counted(*hosts_after, "host"),
        print::counted(*shared_addresses, "address"),
        reports::table(&comparison.changes, severities)
    );
    text.push_str(&reports::note_lines(&comparison.notes, comparison.left_out));
    for (cells, run) in [(comparison.newly_covered_cells, to), (comparison.no_longer_covered_cells, from)] {
        if cells > 0 {
            text.push_str(&format!(
                "\nnot compared: {}, which only run {run} looked at",
                print::counted(cells, "cell")
            ));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use coordinator::analysis::delta::{ChangeKind, Confirmation, NoteKind, Side};
    use protocol::observation::PortState;
    use protocol::task::ScanId;
    use web::api::reports::{Change, Note};

    fn change(kind: ChangeKind, port: &str) -> Change {
        let side = Side::Port { state: PortState::Open, service: None };
        Change {
            kind,
            address: "10.0.0.7".parse().unwrap(),
            port: Some(port.to_owned()),
            before: None,
            after: Some(side),
            confirmation: Confirmation::NotNeeded,
            accepted: None,
        }
    }

    #[test]
    fn a_comparison_names_both_runs_and_what_was_not_compared() {
        let comparison = Comparison {
            scan: ScanId(1),
            from: RunId(3),
            to: RunId(7),
            hosts_before: 4,
            hosts_after: 5,
            changes: vec![change(ChangeKind::NewPort, "443/tcp")],
            notes: vec![Note { kind: NoteKind::NewlyCovered, change: change(ChangeKind::NewPort, "53/udp") }],
            left_out: 2,
            shared_addresses: 254,
            newly_covered_cells: 12,
            no_longer_covered_cells: 0,
        };
        let words = words(&comparison, &reports::Severities::new());
        let expected = [
            "Run 7 of scan 1 compared with run 3: 5 hosts, before 4; both looked at 254 addresses.\n",
            "+ new port",
            "10.0.0.7 443/tcp",
            "\nno change: 10.0.0.7 53/udp (looked at for the first time)",
            "\nand 2 lines more than a report holds",
            "\nnot compared: 12 cells, which only run 7 looked at",
        ];
        for part in expected {
            assert!(words.contains(part), "{part:?} in {words}");
        }
        assert!(!words.contains("only run 3"), "{words}");
    }
}
