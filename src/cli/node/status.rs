//! `node status`: how the node of this machine is, as its data folder tells.

use crate::cli::folder::Part;
use crate::cli::{Shared, print};
use crate::exit::Exit;
use anyhow::Context;
use clap::Args;
use node::{Inspection, Membership};
use protocol::roster::{Member, MemberState};
use protocol::{Fingerprint, TargetSet, Timestamp};
use serde::Serialize;
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Args)]
#[command(after_help = "\
Examples:
  portdrift node status
  portdrift node status --dir /srv/node --json

Exit code 0 while the node runs, 5 when it does not.")]
pub(super) struct StatusArgs {
    /// The node's data folder [default: /var/lib/portdrift/node as root, else below $XDG_DATA_HOME]
    #[arg(long, value_name = "DIR", env = "PORTDRIFT_NODE_DIR")]
    dir: Option<PathBuf>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Told {
    dir: PathBuf,
    fingerprint: Fingerprint,
    running: bool,
    membership: Option<ToldMembership>,
    /// When the node noted last that it hears the coordinator; it does so now and then.
    heard: Option<Timestamp>,
    results_waiting: usize,
    results_bytes: u64,
}

#[derive(Serialize)]
struct ToldMembership {
    mesh: Fingerprint,
    epoch: u64,
    not_after: Timestamp,
    coordinator: Vec<SocketAddr>,
    /// `approved`, `revoked`, `expired`, or `unknown` when the roster does not name the node.
    standing: &'static str,
    ranges: Option<TargetSet>,
    site: Option<String>,
    expires: Option<Timestamp>,
}

pub(super) fn run(args: StatusArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let dir = Part::Node.folder(args.dir)?;
    let seen = node::inspect(&dir).with_context(|| format!("looking at the node in {}", dir.display()))?;
    let told = Told::new(dir, &seen, Timestamp::now());
    shared.form().show(&told, words)?;
    Ok(if told.running { Exit::Done } else { Exit::Unreachable })
}

impl Told {
    fn new(dir: PathBuf, seen: &Inspection, now: Timestamp) -> Self {
        Self {
            dir,
            fingerprint: seen.id.fingerprint(),
            running: seen.is_running,
            membership: seen.membership.as_ref().map(|membership| ToldMembership::new(membership, now)),
            heard: seen.heard,
            results_waiting: seen.waiting,
            results_bytes: seen.waiting_bytes,
        }
    }
}

impl ToldMembership {
    fn new(membership: &Membership, now: Timestamp) -> Self {
        let Membership { mesh, epoch, not_after, coordinator, own } = membership;
        Self {
            mesh: mesh.fingerprint(),
            epoch: *epoch,
            not_after: *not_after,
            coordinator: coordinator.clone(),
            standing: standing(membership, now),
            ranges: own.as_ref().map(|own| own.ranges.clone()),
            site: own.as_ref().map(|own| own.site.to_string()),
            expires: own.as_ref().and_then(|own| own.expires),
        }
    }
}

/// What the roster says of the node.
pub(super) fn standing(membership: &Membership, now: Timestamp) -> &'static str {
    match &membership.own {
        None => "unknown",
        Some(Member { state: MemberState::Revoked, .. }) => "revoked",
        Some(Member { state: MemberState::Approved, .. }) if membership.is_in(now) => "approved",
        Some(Member { state: MemberState::Approved, .. }) => "expired",
    }
}

fn words(told: &Told) -> String {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let of = |part: fn(&ToldMembership) -> String| or_dash(told.membership.as_ref().map(part));
    print::facts(&[
        ("node", told.fingerprint.to_string()),
        ("state", if told.running { "it runs" } else { "it does not run; `portdrift node run` starts it" }.to_owned()),
        ("data", told.dir.display().to_string()),
        (
            "mesh",
            told.membership
                .as_ref()
                .map_or_else(|| "none yet; `portdrift node join INVITE` asks to be let in".to_owned(), mesh),
        ),
        ("may scan", of(may_scan)),
        (
            "coordinator",
            of(|membership| membership.coordinator.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        ),
        ("heard", or_dash(told.heard.map(|at| format!("{at} or later")))),
        ("waiting", format!("{}, {}", print::counted(told.results_waiting, "result"), print::size(told.results_bytes))),
    ])
}

fn mesh(membership: &ToldMembership) -> String {
    let ToldMembership { mesh, epoch, not_after, standing, .. } = membership;
    format!("{mesh}, {standing} in epoch {epoch}, good until {not_after}")
}

fn may_scan(membership: &ToldMembership) -> String {
    let ranges = membership.ranges.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
    let site = membership.site.as_ref().map(|site| format!(" at site {site}")).unwrap_or_default();
    let until = membership.expires.map(|at| format!(", until {at}")).unwrap_or_default();
    format!("{ranges}{site}{until}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::Keypair;
    use protocol::roster::Role;

    #[test]
    fn a_node_tells_where_it_belongs_and_what_waits() {
        let (key, now) = (Keypair::from_seed(&[3; 32]), Timestamp::from_millis(1_767_225_600_000));
        let own = Member {
            key: key.node_id(),
            role: Role::Node,
            state: MemberState::Approved,
            site: "main".into(),
            ranges: "10.0.0.0/8".parse().unwrap(),
            expires: Some(now),
            may_sponsor: false,
        };
        let membership = Membership {
            mesh: key.mesh_id(),
            epoch: 4,
            not_after: now,
            coordinator: vec!["192.0.2.10:9430".parse().unwrap()],
            own: Some(own),
        };
        let seen = Inspection {
            id: key.node_id(),
            is_running: true,
            membership: Some(membership),
            heard: Some(now),
            waiting: 3,
            waiting_bytes: 1_536,
        };
        let told = |seen: &Inspection| words(&Told::new("/srv/node".into(), seen, now));
        insta::assert_snapshot!(told(&seen), @"
        node         ad56-fkn6-4mqz-gnyt-zyvx-qi7y-jcja-fr5g
        state        it runs
        data         /srv/node
        mesh         ad56-fkn6-4mqz-gnyt-zyvx-qi7y-jcja-fr5g, approved in epoch 4, good until 2026-01-01T00:00:00.000Z
        may scan     10.0.0.0/8 at site main, until 2026-01-01T00:00:00.000Z
        coordinator  192.0.2.10:9430
        heard        2026-01-01T00:00:00.000Z or later
        waiting      3 results, 1.5 KiB
        ");
        let fresh =
            Inspection { is_running: false, membership: None, heard: None, waiting: 0, waiting_bytes: 0, ..seen };
        insta::assert_snapshot!(told(&fresh), @"
        node         ad56-fkn6-4mqz-gnyt-zyvx-qi7y-jcja-fr5g
        state        it does not run; `portdrift node run` starts it
        data         /srv/node
        mesh         none yet; `portdrift node join INVITE` asks to be let in
        may scan     -
        coordinator  -
        heard        -
        waiting      0 results, 0 bytes
        ");
    }
}
