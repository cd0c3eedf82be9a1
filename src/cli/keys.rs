//! `keys`: who asks to join, compared by fingerprint, let in, turned away, or thrown out; and who signs that.

pub(super) mod shown;
mod signing;

use super::print::{self, Form};
use super::{Place, Shared};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use clap::{Args, Subcommand};
use protocol::{Fingerprint, TargetSet};
use std::path::PathBuf;
use web::api::nodes::{Decide, DecideMany, Node};
use web::api::roster::Rotation;

const ONE: &str = "chh3-t6sa-zrb5-lp2h-kmmj-lubc-zux6-ovni";

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
    #[command(after_help = format!("Example:\n  portdrift keys show {ONE}"))]
    Show {
        /// All eight groups
        fingerprint: Fingerprint,
    },
    /// Let nodes into the mesh, or change the terms on which they are in
    #[command(after_help = format!("\
Examples:
  portdrift keys approve {ONE} --label dmz --ranges 192.0.2.0/24
  portdrift keys approve {ONE} --expires 90d --sponsor    the ranges stay
  portdrift keys approve --all-pending --ranges 192.0.2.0/24
  portdrift keys approve --mesh-key mesh.key              sign what waits

Where the mesh key lies on another machine, forward the coordinator's socket to it and sign there:
  ssh -L hub/portdrift.sock:/var/lib/portdrift/coordinator/portdrift.sock coordinator
  portdrift keys approve --mesh-key mesh.key --dir hub"))]
    Approve(ApproveArgs),
    /// Turn waiting nodes away
    #[command(after_help = format!("Example:\n  portdrift keys deny {ONE} --reason \"not ours\""))]
    Deny {
        #[command(flatten)]
        keys: Keys,
        /// Why; the node's log shows it
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Throw nodes out for good: every member cuts them off at once, and their keys never come back
    #[command(after_help = format!("Example:\n  portdrift keys revoke {ONE} --reason stolen"))]
    Revoke {
        #[command(flatten)]
        keys: Keys,
        /// Why; whoever asks with that key again is told
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        signed: SignedArgs,
    },
    /// Keep nodes out until they are approved again; their terms stay, and what they found waits with them
    #[command(after_help = format!("Example:\n  portdrift keys suspend {ONE} --reason \"moved to another rack\""))]
    Suspend {
        #[command(flatten)]
        keys: Keys,
        /// Why; it is kept and shown
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        signed: SignedArgs,
    },
    /// Forget waiting, denied, suspended and expired nodes; they may ask again
    #[command(after_help = format!("Example:\n  portdrift keys remove {ONE}"))]
    Remove {
        #[command(flatten)]
        keys: Keys,
        #[command(flatten)]
        signed: SignedArgs,
    },
    /// Give nodes work again whose keys were used on two machines; do it once the copy is gone
    #[command(after_help = format!("Example:\n  portdrift keys trust {ONE}"))]
    Trust {
        #[command(flatten)]
        keys: Keys,
        /// Do it without asking
        #[arg(long)]
        yes: bool,
    },
    /// Give the coordinator a new key: nodes go on with it by themselves, invites stay good, the old key never comes back
    #[command(after_help = "\
Examples:
  portdrift keys rotate-coordinator
  portdrift keys rotate-coordinator --mesh-key mesh.key     where the mesh key is kept elsewhere")]
    RotateCoordinator {
        #[command(flatten)]
        signed: SignedArgs,
    },
    /// Move a stopped coordinator's mesh key into a file; from then on decisions wait until they are signed with it
    #[command(after_help = "Example:\n  portdrift keys export-mesh-key /media/stick/mesh.key")]
    ExportMeshKey {
        /// Made with mode 0600; never overwritten
        file: PathBuf,
    },
    /// Bring the mesh key back to a stopped coordinator, which signs by itself again
    #[command(after_help = "Example:\n  portdrift keys import-mesh-key /media/stick/mesh.key")]
    ImportMeshKey {
        /// As `keys export-mesh-key` made it; it stays
        file: PathBuf,
    },
}

/// Which keys.
#[derive(Args)]
struct Keys {
    /// All eight groups of each, as the node itself shows them
    #[arg(required = true)]
    fingerprints: Vec<Fingerprint>,
}

#[derive(Args)]
struct ApproveArgs {
    /// All eight groups of each, as the node itself shows them
    #[arg(required_unless_present_any = ["all_pending", "mesh_key"])]
    fingerprints: Vec<Fingerprint>,
    /// Every node that waits for a decision
    #[arg(long, conflicts_with_all = ["fingerprints", "label"])]
    all_pending: bool,
    /// What people call the node
    #[arg(long, value_name = "NAME")]
    label: Option<String>,
    /// The addresses that it may scan, such as 192.0.2.0/24,198.51.100.7; as they are for a node that is in
    #[arg(long, value_name = "TARGETS")]
    ranges: Option<TargetSet>,
    /// The site that it stands at [default: as it is, at first main]
    #[arg(long)]
    site: Option<String>,
    /// When the approval ends: a length such as 90d, a date, a time (RFC 3339), or never [default: as it is, at first never]
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// Let it pass on the requests of nodes that cannot reach the coordinator
    #[arg(long)]
    sponsor: bool,
    /// Let it do so no more
    #[arg(long, conflicts_with = "sponsor")]
    no_sponsor: bool,
    #[command(flatten)]
    signed: SignedArgs,
}

/// How the decision is confirmed, and signed where the coordinator cannot.
#[derive(Args)]
struct SignedArgs {
    /// Sign what then waits with the mesh key in this file
    #[arg(long, value_name = "FILE")]
    mesh_key: Option<PathBuf>,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
}

pub(crate) async fn run(args: KeysArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let form = shared.form();
    match args.command {
        Command::ExportMeshKey { file } => {
            let (dir, to) = (args.place.folder()?, file.clone());
            let mesh = tokio::task::spawn_blocking(move || coordinator::export_mesh_key(&dir, &to)).await??;
            let file = file.display();
            print::line(&format!("the key of mesh {mesh} is in {file} alone; backups made before still hold it"))?;
        }
        Command::ImportMeshKey { file } => {
            let dir = args.place.folder()?;
            let mesh = tokio::task::spawn_blocking(move || coordinator::import_mesh_key(&dir, &file)).await??;
            print::line(&format!("the key of mesh {mesh} is back; the coordinator signs by itself"))?;
        }
        Command::List { pending, quiet } => {
            shown::list(&args.place.client()?, pending, form.or_ids(quiet)).await?;
        }
        Command::Show { fingerprint } => {
            let node: Node = args.place.client()?.get(&format!("/nodes/{fingerprint}")).await?;
            form.show(&node, shown::details)?;
        }
        Command::Approve(approve) => approve.run(&args.place.client()?, form).await?,
        Command::Deny { keys, reason } => {
            let denied = decide(&args.place.client()?, "deny", keys, Decide { reason, ..Decide::default() }).await?;
            form.show_all(&denied, |nodes| shown::decided(nodes, "turned away"))?;
        }
        Command::Revoke { keys, reason, signed } => {
            throw_out(&args.place, keys, reason, signed, form, &OutWay::REVOKED).await?;
        }
        Command::Suspend { keys, reason, signed } => {
            throw_out(&args.place, keys, reason, signed, form, &OutWay::SUSPENDED).await?;
        }
        Command::Trust { keys, yes } => {
            let many = print::counted(keys.fingerprints.len(), "node");
            print::confirm(&format!("Is the copy gone, and {many} to be trusted again?"), yes)?;
            let trusted = decide(&args.place.client()?, "trust", keys, Decide::default()).await?;
            form.show_all(&trusted, |nodes| shown::decided(nodes, "trusted again"))?;
        }
        Command::RotateCoordinator { signed } => {
            print::confirm("Give the coordinator a new key, and throw the old one out for good?", signed.yes)?;
            let client = args.place.client()?;
            let rotation: Rotation = client.post("/roster/rotate-coordinator", &()).await?;
            form.show(&rotation, shown::rotation)?;
            signed.sign(&client, form).await?;
        }
        Command::Remove { keys, signed } => {
            let many = print::counted(keys.fingerprints.len(), "node");
            print::confirm(&format!("Forget {many}?"), signed.yes)?;
            let client = args.place.client()?;
            let removed = decide(&client, "remove", keys, Decide::default()).await?;
            form.show_all(&removed, |nodes| shown::decided(nodes, "forgotten"))?;
            signed.sign(&client, form).await?;
        }
    }
    Ok(Exit::Done)
}

/// How nodes that are in are put out.
struct OutWay {
    action: &'static str,
    question: fn(&str) -> String,
    done: &'static str,
}

impl OutWay {
    const REVOKED: Self =
        Self { action: "revoke", question: |many| format!("Revoke {many} for good?"), done: "revoked" };
    const SUSPENDED: Self = Self {
        action: "suspend",
        question: |many| format!("Keep {many} out until approved again?"),
        done: "suspended",
    };
}

async fn throw_out(
    place: &Place,
    keys: Keys,
    reason: String,
    signed: SignedArgs,
    form: Form,
    way: &OutWay,
) -> anyhow::Result<()> {
    let many = print::counted(keys.fingerprints.len(), "node");
    print::confirm(&(way.question)(&many), signed.yes)?;
    let client = place.client()?;
    let out = decide(&client, way.action, keys, Decide { reason, ..Decide::default() }).await?;
    form.show_all(&out, |nodes| shown::decided(nodes, way.done))?;
    signed.sign(&client, form).await
}

async fn decide(client: &Client, action: &str, keys: Keys, decide: Decide) -> anyhow::Result<Vec<Node>> {
    let many = DecideMany { action: action.to_owned(), nodes: keys.fingerprints, all_pending: false, decide };
    client.post("/nodes/bulk", &many).await
}

impl ApproveArgs {
    async fn run(self, client: &Client, form: Form) -> anyhow::Result<()> {
        let Self { fingerprints, all_pending, label, ranges, site, expires, sponsor, no_sponsor, signed } = self;
        if fingerprints.is_empty() && !all_pending {
            if label.is_some() || ranges.is_some() || site.is_some() || expires.is_some() || sponsor || no_sponsor {
                return Err(Failure::usage("terms are for nodes; name their fingerprints, or --all-pending").into());
            }
            return signed.sign(client, form).await;
        }
        if all_pending {
            print::confirm("Let in every node that waits, without comparing fingerprints?", signed.yes)?;
        }
        let decide = Decide {
            label: label.unwrap_or_default(),
            ranges: ranges.map(|ranges| ranges.to_string()).unwrap_or_default(),
            site: site.unwrap_or_default(),
            expires: expires.unwrap_or_default(),
            sponsor: (sponsor || no_sponsor).then_some(sponsor),
            reason: String::new(),
        };
        let many = DecideMany { action: "approve".to_owned(), nodes: fingerprints, all_pending, decide };
        let approved: Vec<Node> = client.post("/nodes/bulk", &many).await?;
        form.show_all(&approved, |nodes| shown::decided(nodes, "approved"))?;
        signed.sign(client, form).await
    }
}

impl SignedArgs {
    async fn sign(self, client: &Client, form: Form) -> anyhow::Result<()> {
        match self.mesh_key {
            Some(file) => signing::sign(client, &file, self.yes, form).await,
            None => Ok(()),
        }
    }
}
