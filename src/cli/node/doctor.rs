//! `node doctor`: what is wrong with the node of this machine, each with what to do about it.

use super::status::standing;
use crate::cli::Shared;
use crate::cli::doctor::{Finding, clock, disk, keys, owner, scanners, tell};
use crate::cli::folder::Part;
use crate::exit::Exit;
use clap::Args;
use node::policy::Policy;
use node::{Inspection, Membership};
use protocol::Timestamp;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a place may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// A roster that ends sooner is told of.
const SOON: Duration = Duration::from_secs(14 * 86_400);

#[derive(Args)]
#[command(after_help = "\
Examples:
  portdrift node doctor
  portdrift node doctor --dir /srv/node --json

Exit code 1 when there is a fault; warnings are none.")]
pub(super) struct DoctorArgs {
    /// The node's data folder [default: /var/lib/portdrift/node as root, else below $XDG_DATA_HOME]
    #[arg(long, value_name = "DIR", env = "PORTDRIFT_NODE_DIR")]
    dir: Option<PathBuf>,
    /// What the owner lets it do [default: policy.toml in the data folder, when it is there]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

pub(super) async fn run(args: DoctorArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let dir = Part::Node.folder(args.dir)?;
    let now = Timestamp::now();
    let mut found = vec![owner(&dir, "portdrift node join INVITE")];
    let policy = match Policy::load(&args.policy.unwrap_or_else(|| dir.join("policy.toml"))) {
        Ok(policy) => {
            found.push(Finding::ok("policy", policy.words().first().cloned().unwrap_or_default()));
            policy
        }
        Err(error) => {
            let broken = Finding::fault("policy", error);
            found.push(broken.remedy("a node does not start with it; `portdrift node policy example` shows one"));
            Policy::default()
        }
    };
    if dir.is_dir() {
        found.extend(keys(&dir, &[("node.key", true)]));
        found.push(clock(&dir, now));
        found.push(disk(&dir, |total| policy.spool_limits().keep_free(total)));
        found.extend(inside(&dir, now).await);
    }
    found.extend(scanners(&policy).await);
    tell(&found, shared)
}

async fn inside(dir: &Path, now: Timestamp) -> Vec<Finding> {
    let seen = match node::inspect(dir) {
        Ok(seen) => seen,
        Err(error) => return vec![Finding::fault("node", error)],
    };
    let mut found = vec![running(&seen)];
    found.extend(membership(seen.membership.as_ref(), now));
    if let Some(membership) = &seen.membership {
        found.extend(coordinator(&membership.coordinator).await);
    }
    found
}

fn running(seen: &Inspection) -> Finding {
    match (seen.is_running, seen.waiting) {
        (true, _) => Finding::ok("node", "it runs"),
        (false, 0) => Finding::fault("node", "it does not run").remedy("`portdrift node run` starts it"),
        (false, waiting) => {
            let held = format!("it does not run, and {waiting} of its results wait on its disk");
            Finding::fault("node", held).remedy("`portdrift node run` starts it and sends them")
        }
    }
}

fn membership(membership: Option<&Membership>, now: Timestamp) -> Vec<Finding> {
    let Some(membership) = membership else {
        let remedy =
            "make an invite with `portdrift invites create` on the coordinator, then `portdrift node join INVITE`";
        return vec![Finding::fault("membership", "it belongs to no mesh yet").remedy(remedy)];
    };
    let epoch = membership.epoch;
    let first = match standing(membership, now) {
        "approved" => Finding::ok("membership", format!("approved in roster epoch {epoch}")),
        "revoked" => Finding::fault("membership", format!("its key is revoked since roster epoch {epoch} or before"))
            .remedy("enrol the machine anew with an empty data folder"),
        "expired" => Finding::fault("membership", format!("its approval has ended in roster epoch {epoch}"))
            .remedy("approve its key again on the coordinator"),
        _ => Finding::fault("membership", format!("roster epoch {epoch} does not name its key"))
            .remedy("approve its key on the coordinator, or let it join again"),
    };
    let ends = membership.not_after;
    let roster = match ends {
        ends if ends <= now => Finding::fault("roster", format!("it ended at {ends}, so no task is taken")),
        ends if ends <= now.plus(SOON) => Finding::warning("roster", format!("it ends at {ends}")),
        ends => return vec![first, Finding::ok("roster", format!("good until {ends}"))],
    };
    vec![first, roster.remedy("sign a newer one with the mesh key, or see why none reaches this node")]
}

/// Whether the coordinator can be reached; a node behind others needs no way of its own.
async fn coordinator(places: &[SocketAddr]) -> Vec<Finding> {
    let mut silent = Vec::new();
    for place in places {
        match timeout(PATIENCE, TcpStream::connect(place)).await {
            Ok(Ok(_)) => return vec![Finding::ok("coordinator", format!("its mesh port answers at {place}"))],
            Ok(Err(error)) => silent.push(format!("{place}: {error}")),
            Err(_) => silent.push(format!("{place}: no answer for {} s", PATIENCE.as_secs())),
        }
    }
    let found = format!("its mesh port cannot be reached directly ({})", silent.join("; "));
    let remedy =
        "see that it runs and that no firewall is between; a node whose neighbours reach it needs no way of its own";
    vec![Finding::warning("coordinator", found).remedy(remedy)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::Keypair;
    use std::net::TcpListener;

    #[test]
    fn a_node_without_a_mesh_and_one_whose_roster_ends_are_told_what_to_do() {
        let now = Timestamp::from_millis(1_767_225_600_000);
        let of = |days: u64| Membership {
            mesh: Keypair::from_seed(&[3; 32]).mesh_id(),
            epoch: 4,
            not_after: now.plus(Duration::from_secs(days * 86_400)),
            coordinator: Vec::new(),
            own: None,
        };
        let found = [
            membership(None, now),
            membership(Some(&of(0)), now),
            membership(Some(&of(5)), now),
            membership(Some(&of(80)), now),
        ];
        let lines: Vec<String> = found.iter().flatten().map(Finding::line).collect();
        insta::assert_snapshot!(lines.join("\n"), @"
        fault | membership | it belongs to no mesh yet; make an invite with `portdrift invites create` on the coordinator, then `portdrift node join INVITE`
        fault | membership | roster epoch 4 does not name its key; approve its key on the coordinator, or let it join again
        fault | roster | it ended at 2026-01-01T00:00:00.000Z, so no task is taken; sign a newer one with the mesh key, or see why none reaches this node
        fault | membership | roster epoch 4 does not name its key; approve its key on the coordinator, or let it join again
        warning | roster | it ends at 2026-01-06T00:00:00.000Z; sign a newer one with the mesh key, or see why none reaches this node
        fault | membership | roster epoch 4 does not name its key; approve its key on the coordinator, or let it join again
        ok | roster | good until 2026-03-22T00:00:00.000Z
        ");
    }

    #[tokio::test]
    async fn the_coordinators_port_answers_or_is_named() {
        let listening = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = listening.local_addr().unwrap();
        let line =
            async |places: &[SocketAddr]| coordinator(places).await.iter().map(Finding::line).collect::<String>();
        assert_eq!(line(&[place]).await, format!("ok | coordinator | its mesh port answers at {place}"));
        drop(listening);
        let silent = line(&[place]).await;
        assert!(silent.starts_with("warning | coordinator | ") && silent.contains(&place.to_string()), "{silent}");
    }
}
