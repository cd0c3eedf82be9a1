//! `invites`: the line that lets a node ask to join, or lets it in at once; and taking it back.

use super::print::{self, Form};
use super::{Place, Shared};
use crate::client::Client;
use crate::exit::Exit;
use clap::{Args, Subcommand};
use protocol::TargetSet;
use std::net::SocketAddr;
use web::api::invites::{Invite, NewInvite, OpenInvite};

#[derive(Args)]
pub(crate) struct InvitesArgs {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print an invite for `portdrift node run --join`
    #[command(after_help = "\
Examples:
  portdrift invites create
  portdrift invites create --pre-approved --ranges 192.0.2.0/24 --expires 30m
  portdrift invites create --address 198.51.100.7:9431     for a segment that reaches only that node")]
    Create(CreateArgs),
    /// List the invites that let a node in at once and were not used yet; secrets are not shown again
    #[command(after_help = "Example:\n  portdrift invites list")]
    List {
        /// Print the ids alone, one a line
        #[arg(long, short)]
        quiet: bool,
    },
    /// Take invites back: they let nobody in any more
    #[command(after_help = "Example:\n  portdrift invites revoke ciaxe5gv2hbm4kqn")]
    Revoke {
        /// As `portdrift invites list` shows them
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
        /// Do it without asking
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Args)]
struct CreateArgs {
    /// Let in the first node that shows this invite, without asking anyone; needs --ranges
    #[arg(long, requires = "ranges")]
    pre_approved: bool,
    /// What a pre-approved node may scan
    #[arg(long, value_name = "TARGETS", requires = "pre_approved")]
    ranges: Option<TargetSet>,
    /// The site of a pre-approved node
    #[arg(long, default_value = "main", requires = "pre_approved")]
    site: String,
    /// How long it is good for, such as 30m, 1h or 2d, at most 30d
    #[arg(long, value_name = "TIME", default_value = "1h")]
    expires: String,
    /// Where the node asks: an enrolment port, which is one above the mesh port; for several, give it again
    /// [default: the coordinator's, then those of nodes that may sponsor]
    #[arg(long, value_name = "ADDRESS:PORT")]
    address: Vec<SocketAddr>,
}

pub(crate) async fn run(args: InvitesArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (client, form) = (args.place.client()?, shared.form());
    match args.command {
        Command::Create(wanted) => create(&client, wanted, form).await?,
        Command::List { quiet } => list(&client, form.or_ids(quiet)).await?,
        Command::Revoke { ids, yes } => {
            print::confirm(&format!("Take {} back for good?", print::counted(ids.len(), "invite")), yes)?;
            let mut revoked = Vec::new();
            for id in ids {
                revoked.push(client.delete::<OpenInvite>(&format!("/invites/{id}")).await?);
            }
            let words = |invite: &OpenInvite| format!("invite {} lets nobody in any more", invite.id);
            form.show_all(&revoked, |revoked| revoked.iter().map(words).collect::<Vec<_>>().join("\n"))?;
        }
    }
    Ok(Exit::Done)
}

async fn create(client: &Client, wanted: CreateArgs, form: Form) -> anyhow::Result<()> {
    let CreateArgs { pre_approved: _, ranges, site, expires, address } = wanted;
    let ranges = ranges.map(|ranges| ranges.to_string());
    let wanted = NewInvite { ranges, site, expires, addresses: address };
    let invite: Invite = client.post("/invites", &wanted).await?;
    form.show(&invite, |invite| invite.invite.clone())?;
    if form == Form::Text {
        let what = if invite.pre_approved { "lets in the first node that shows it" } else { "lets nodes ask to join" };
        let places: Vec<String> = invite.addresses.iter().map(ToString::to_string).collect();
        let places = places.join(", ");
        print::note(&format!("This {what} at {places}, until {}: portdrift node run --join INVITE", invite.expires));
    }
    Ok(())
}

async fn list(client: &Client, form: Form) -> anyhow::Result<()> {
    let invites: Vec<OpenInvite> = client.get("/invites").await?;
    let row = |invite: &OpenInvite| {
        let OpenInvite { id, ranges, site, expires, by } = invite;
        vec![id.clone(), ranges.to_string(), site.clone(), expires.to_string(), by.clone()]
    };
    form.list(
        &invites,
        |invite| invite.id.clone(),
        |invites| {
            let empty = "no invite lets a node in at once; `portdrift invites create --pre-approved` makes one";
            print::table(&["id", "ranges", "site", "until", "by"], invites.iter().map(row).collect(), empty)
        },
    )
}
