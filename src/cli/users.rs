//! `users`: who may sign in to the dashboard, and as what.

use super::password::PasswordArgs;
use super::print::{self, Form};
use super::{Place, Shared};
use crate::client::Client;
use crate::exit::Exit;
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use coordinator::Role;
use coordinator::accounts::check_name;
use web::api::users::{CreateUser, InviteUser, SetPassword, SetRole, User, UserLink};

#[derive(Args)]
pub(crate) struct UsersArgs {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List who has an account, or asks for one
    #[command(after_help = "Example:\n  portdrift users list")]
    List {
        /// Print the names alone, one a line
        #[arg(long, short)]
        quiet: bool,
    },
    /// Make a user who may sign in at once
    #[command(after_help = "\
Examples:
  portdrift users create grace --role operator
  portdrift users create grace --role viewer --email grace@example.org --password-file /run/secrets/grace")]
    Create(CreateArgs),
    /// Make an administrator; for when nobody else can sign in
    #[command(after_help = "Example:\n  portdrift users create-admin ada")]
    CreateAdmin(AccountArgs),
    /// Print the link with which somebody makes an account
    #[command(after_help = "\
Examples:
  portdrift users invite --role operator
  portdrift users invite --role viewer --email grace@example.org --expires 2d")]
    Invite {
        /// What they may do
        #[arg(long, value_parser = roles(), default_value = "viewer")]
        role: String,
        /// Their e-mail address; the link is mailed there where mail can be sent
        #[arg(long, default_value = "")]
        email: String,
        /// How long it is good for, such as 12h or 7d, at most 30d
        #[arg(long, value_name = "TIME", default_value = "7d")]
        expires: String,
    },
    /// Give a user a new password, or a link to choose one; their sessions end once it is set
    #[command(after_help = "\
Examples:
  portdrift users reset-password grace
  portdrift users reset-password grace --link")]
    ResetPassword {
        /// Whose
        #[arg(value_parser = name)]
        name: String,
        /// Print a link that works for an hour, and set nothing
        #[arg(long, conflicts_with_all = ["password_stdin", "password_file"])]
        link: bool,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Give a user another role; their sessions end
    #[command(after_help = "Example:\n  portdrift users set-role grace approver")]
    SetRole {
        /// Whose
        #[arg(value_parser = name)]
        name: String,
        /// Which
        #[arg(value_parser = roles())]
        role: String,
    },
    /// Close accounts: their sessions end, and nobody signs in to them
    #[command(after_help = "Example:\n  portdrift users disable grace")]
    Disable(Names),
    /// Open accounts again, or let in who asked for one
    #[command(after_help = "Example:\n  portdrift users enable grace")]
    Enable(Names),
    /// Turn down who asked for an account; nothing of it stays
    #[command(after_help = "Example:\n  portdrift users deny mallory")]
    Deny {
        #[command(flatten)]
        names: Names,
        /// Do it without asking
        #[arg(long)]
        yes: bool,
    },
    /// End every session of users
    #[command(after_help = "Example:\n  portdrift users sign-out grace")]
    SignOut(Names),
    /// Forget wrong passwords of users, so that they need not wait
    #[command(after_help = "Example:\n  portdrift users unlock grace")]
    Unlock(Names),
}

#[derive(Args)]
struct AccountArgs {
    /// Signs in with this: 1 to 64 of a-z, 0-9, '.', '_' and '-'
    #[arg(value_parser = name)]
    name: String,
    /// First name
    #[arg(long, default_value = "")]
    first: String,
    /// Last name
    #[arg(long, default_value = "")]
    last: String,
    /// E-mail address
    #[arg(long, default_value = "")]
    email: String,
    #[command(flatten)]
    password: PasswordArgs,
}

#[derive(Args)]
struct CreateArgs {
    /// What they may do
    #[arg(long, value_parser = roles())]
    role: String,
    #[command(flatten)]
    account: AccountArgs,
}

#[derive(Args)]
struct Names {
    /// As `portdrift users list` shows them
    #[arg(required = true, value_name = "NAME", value_parser = name)]
    names: Vec<String>,
}

fn roles() -> PossibleValuesParser {
    PossibleValuesParser::new(Role::ALL.map(Role::name))
}

/// A user name stands in the path of a request, so nothing else may.
fn name(text: &str) -> Result<String, coordinator::accounts::AccountError> {
    check_name(text).map(String::from)
}

pub(crate) async fn run(args: UsersArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (client, form) = (args.place.client()?, shared.form());
    match args.command {
        Command::List { quiet } => list(&client, form.or_ids(quiet)).await?,
        Command::Create(CreateArgs { role, account }) => create(&client, role, account, form).await?,
        Command::CreateAdmin(account) => create(&client, Role::Admin.name().to_owned(), account, form).await?,
        Command::Invite { role, email, expires } => {
            let link: UserLink = client.post("/user-invites", &InviteUser { role, email, expires }).await?;
            tell_link(&link, "makes an account", form)?;
        }
        Command::ResetPassword { name, link: true, .. } => {
            let link: UserLink = client.post(&format!("/users/{name}/reset-link"), &()).await?;
            tell_link(&link, "sets a new password", form)?;
        }
        Command::ResetPassword { name, link: false, password } => {
            let password = password.read(&name)?;
            let user: User = client.put(&format!("/users/{name}/password"), &SetPassword { password }).await?;
            form.show(&user, |user| format!("{} has a new password; their sessions have ended", user.name))?;
        }
        Command::SetRole { name, role } => {
            let user: User = client.put(&format!("/users/{name}/role"), &SetRole { role }).await?;
            form.show(&user, words)?;
        }
        Command::Disable(names) => act(&client, names, "disable", form, words).await?,
        Command::Enable(names) => act(&client, names, "enable", form, words).await?,
        Command::Deny { names, yes } => {
            print::confirm(&format!("Turn down {}? Nothing of it stays.", names.names.join(", ")), yes)?;
            act(&client, names, "deny", form, |user| format!("{} was turned down", user.name)).await?;
        }
        Command::SignOut(names) => {
            act(&client, names, "sign-out", form, |user| format!("every session of {} has ended", user.name)).await?;
        }
        Command::Unlock(names) => {
            act(&client, names, "unlock", form, |user| format!("{} need not wait any more", user.name)).await?;
        }
    }
    Ok(Exit::Done)
}

fn words(user: &User) -> String {
    format!("{} is {}, {}", user.name, user.role, user.state)
}

async fn create(client: &Client, role: String, account: AccountArgs, form: Form) -> anyhow::Result<()> {
    let AccountArgs { name, first, last, email, password } = account;
    let password = password.read(&name)?;
    let user: User = client.post("/users", &CreateUser { name, role, password, first, last, email }).await?;
    form.show(&user, words)
}

async fn act(
    client: &Client,
    Names { names }: Names,
    action: &str,
    form: Form,
    words: impl Fn(&User) -> String,
) -> anyhow::Result<()> {
    let mut done = Vec::new();
    for name in names {
        done.push(client.post::<User>(&format!("/users/{name}/{action}"), &()).await?);
    }
    form.show_all(&done, |done| done.iter().map(words).collect::<Vec<_>>().join("\n"))
}

fn tell_link(link: &UserLink, what: &str, form: Form) -> anyhow::Result<()> {
    form.show(link, |link| link.link.clone())?;
    if form == Form::Text {
        let place = if link.link.starts_with('/') { ", behind the address of the dashboard" } else { "" };
        let mailed = link.mailed.as_ref().map(|to| format!("; it was mailed to {to}")).unwrap_or_default();
        print::note(&format!("This link{place} {what}, once, until {}{mailed}", link.expires));
    }
    Ok(())
}

async fn list(client: &Client, form: Form) -> anyhow::Result<()> {
    let users: Vec<User> = client.get("/users").await?;
    let row = |user: &User| {
        let User { name, first, last, email, unconfirmed_email, role, state, created: _, last_sign_in } = user;
        let unconfirmed = unconfirmed_email.as_ref().map(|email| format!("{email} (not confirmed)"));
        vec![
            name.clone(),
            role.clone(),
            state.clone(),
            format!("{first} {last}").trim().to_owned(),
            email.clone().or(unconfirmed).unwrap_or_default(),
            last_sign_in.map_or_else(|| "never".to_owned(), |time| time.to_string()),
        ]
    };
    form.list(
        &users,
        |user| user.name.clone(),
        |users| {
            let headings = ["name", "role", "state", "person", "e-mail", "last sign-in"];
            print::table(&headings, users.iter().map(row).collect(), "nobody; `portdrift users create-admin` makes one")
        },
    )
}
