//! `invites`: the line that lets a node ask to join, or lets it in at once.

use super::print::{self, Form};
use super::{Place, Shared};
use crate::exit::Exit;
use clap::{Args, Subcommand};
use protocol::TargetSet;
use web::api::invites::{Invite, NewInvite};

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
  portdrift invites create --pre-approved --ranges 192.0.2.0/24 --expires 30m")]
    Create(CreateArgs),
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
}

pub(crate) async fn run(args: InvitesArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let Command::Create(CreateArgs { pre_approved: _, ranges, site, expires }) = args.command;
    let wanted = NewInvite { ranges: ranges.map(|ranges| ranges.to_string()), site, expires };
    let invite: Invite = args.place.client()?.post("/invites", &wanted).await?;
    shared.form().show(&invite, |invite| invite.invite.clone())?;
    if shared.form() == Form::Text {
        let what = if invite.pre_approved { "lets in the first node that shows it" } else { "lets nodes ask to join" };
        print::note(&format!("This {what}, until {}: portdrift node run --join INVITE", invite.expires));
    }
    Ok(Exit::Done)
}
