//! `tokens`: what programs show to use the API in a user's name.

use super::print::{self, Form};
use super::{Place, Shared};
use crate::client::Client;
use crate::exit::Exit;
use clap::{Args, Subcommand};
use coordinator::tokens::Scope;
use web::api::tokens::{MadeToken, NewToken, Token};

#[derive(Args)]
pub(crate) struct TokensArgs {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a token and print it; it is shown only now
    #[command(after_help = "\
Examples:
  portdrift tokens create prometheus --owner ada --scope read
  portdrift tokens create importer --owner ada --scope read --scope scans --expires 30d > token
  portdrift nodes list --url https://watch.example --token-file token")]
    Create(CreateArgs),
    /// List tokens; their text is not shown again
    #[command(after_help = "Example:\n  portdrift tokens list")]
    List {
        /// Print the ids alone, one a line
        #[arg(long, short)]
        quiet: bool,
    },
    /// Take tokens back: they open nothing any more
    #[command(after_help = "Example:\n  portdrift tokens revoke ciaxe5gv2hbm4kqn")]
    Revoke {
        /// As `portdrift tokens list` shows them
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
        /// Do it without asking
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Args)]
struct CreateArgs {
    /// What it is called, such as the program that uses it
    name: String,
    /// The user whose rights it gets; needed on the coordinator's own machine, where nobody is signed in
    #[arg(long, value_name = "USER")]
    owner: Option<String>,
    /// What it opens: read, scans, alerts, nodes or admin; for several, give it again
    #[arg(long, value_name = "SCOPE", default_value = "read")]
    scope: Vec<Scope>,
    /// How long it is good for, such as 30d, or a date; at most a year
    #[arg(long, value_name = "TIME", default_value = "90d")]
    expires: String,
}

pub(crate) async fn run(args: TokensArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (client, form) = (args.place.client()?, shared.form());
    match args.command {
        Command::Create(wanted) => create(&client, wanted, form).await?,
        Command::List { quiet } => list(&client, form.or_ids(quiet)).await?,
        Command::Revoke { ids, yes } => {
            print::confirm(&format!("Take {} back for good?", print::counted(ids.len(), "token")), yes)?;
            let mut revoked = Vec::new();
            for id in ids {
                revoked.push(client.delete::<Token>(&format!("/tokens/{id}")).await?);
            }
            let words = |token: &Token| format!("token {} ({}) opens nothing any more", token.id, token.name);
            form.show_all(&revoked, |revoked| revoked.iter().map(words).collect::<Vec<_>>().join("\n"))?;
        }
    }
    Ok(Exit::Done)
}

async fn create(client: &Client, wanted: CreateArgs, form: Form) -> anyhow::Result<()> {
    let CreateArgs { name, owner, scope, expires } = wanted;
    let wanted = NewToken { name, scopes: scope.into_iter().collect(), expires, owner };
    let made: MadeToken = client.post("/tokens", &wanted).await?;
    form.show(&made, |made| made.secret.clone())?;
    if form == Form::Text {
        let Token { id, owner, expires, .. } = &made.token;
        print::note(&format!("Token {id} acts as {owner} until {expires}. It is shown only now."));
    }
    Ok(())
}

async fn list(client: &Client, form: Form) -> anyhow::Result<()> {
    let tokens: Vec<Token> = client.get_all("/tokens").await?;
    let row = |token: &Token| {
        let Token { id, name, owner, scopes, created: _, expires, last_used, over } = token;
        let scopes: Vec<&str> = scopes.iter().map(|scope| scope.name()).collect();
        let used = last_used.map_or_else(|| "never".to_owned(), |time| time.to_string());
        let until = if *over { "over".to_owned() } else { expires.to_string() };
        vec![id.clone(), name.clone(), owner.clone(), scopes.join(" "), until, used]
    };
    form.list(
        &tokens,
        |token| token.id.clone(),
        |tokens| {
            let empty = "no tokens yet; `portdrift tokens create` makes one";
            print::table(
                &["id", "name", "owner", "opens", "until", "last used"],
                tokens.iter().map(row).collect(),
                empty,
            )
        },
    )
}
