//! `rules`: which open ports are worth an alert.

use super::print::{self, Form};
use super::{Place, Shared};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use coordinator::analysis::alert::Severity;
use coordinator::analysis::delta::PortId;
use coordinator::rules::{RuleError, port_of};
use web::api::rules::{Rule, SetRule};

#[derive(Args)]
pub(crate) struct RulesArgs {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the rules in force, the worst first
    #[command(after_help = "Example:\n  portdrift rules list")]
    List {
        /// Print the ports alone, one a line
        #[arg(long, short)]
        quiet: bool,
    },
    /// Make the rule of a port, or replace it; it counts from the next run of each scan on
    #[command(after_help = "Example:\n  portdrift rules set 8443/tcp --name \"admin console\" --severity high")]
    Set {
        /// The port with its protocol, such as 8443/tcp
        #[arg(value_parser = port)]
        port: PortId,
        /// What people call it
        #[arg(long)]
        name: String,
        /// How bad an open port is
        #[arg(long, value_parser = PossibleValuesParser::new(Severity::ALL.map(Severity::name)))]
        severity: String,
    },
    /// Remove the rule of a port; its alerts end with the next run that sees the port
    #[command(after_help = "Example:\n  portdrift rules remove 21/tcp")]
    Remove {
        /// The port with its protocol, such as 21/tcp
        #[arg(value_parser = port)]
        port: PortId,
    },
    /// Take every edit back: the default rules are in force again
    #[command(after_help = "Example:\n  portdrift rules reset --yes")]
    Reset {
        /// Do it without asking
        #[arg(long)]
        yes: bool,
    },
}

fn port(text: &str) -> Result<PortId, RuleError> {
    port_of(text)
}

fn path(PortId { protocol, port }: PortId) -> String {
    format!("/rules/{protocol}/{port}")
}

pub(crate) async fn run(args: RulesArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (client, form) = (args.place.client()?, shared.form());
    match args.command {
        Command::List { quiet } => list(&client, form.or_ids(quiet)).await?,
        Command::Set { port, name, severity } => {
            let known = Severity::ALL.into_iter().find(|known| known.name() == severity);
            let severity = known.ok_or_else(|| Failure::usage(format!("{severity:?} is no severity")))?;
            let rule: Rule = client.put(&path(port), &SetRule { name, severity }).await?;
            form.show(&rule, |rule| {
                format!("{} is {} from the next run of each scan on", words(rule), rule.severity.name())
            })?;
        }
        Command::Remove { port } => {
            let rule: Rule = client.delete(&path(port)).await?;
            form.show(&rule, |rule| format!("{} is no rule any more", words(rule)))?;
        }
        Command::Reset { yes } => {
            print::confirm("Drop every rule that was made or edited?", yes)?;
            let rules: Vec<Rule> = client.post("/rules/reset", &()).await?;
            form.show_all(&rules, |rules| format!("the {} default rules are in force", rules.len()))?;
        }
    }
    Ok(Exit::Done)
}

async fn list(client: &Client, form: Form) -> anyhow::Result<()> {
    let rules: Vec<Rule> = client.get("/rules").await?;
    let port = |rule: &Rule| format!("{}/{}", rule.port, rule.protocol);
    let row = |rule: &Rule| vec![port(rule), rule.severity.name().to_owned(), rule.name.clone()];
    form.list(&rules, port, |rules| {
        let empty = "no rule is left; `portdrift rules reset --yes` brings the default ones back";
        print::table(&["port", "severity", "name"], rules.iter().map(row).collect(), empty)
    })
}

fn words(rule: &Rule) -> String {
    format!("{}/{} ({})", rule.port, rule.protocol, rule.name)
}
