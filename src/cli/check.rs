//! `check`: one line and an exit code for monitoring systems. Source: the plugin guidelines of monitoring-plugins.org.

mod state;

use super::{Place, Shared, print};
use crate::client::Client;
use anyhow::Context;
use clap::{Args, Subcommand};
use coordinator::analysis::alert::Severity;
use protocol::Timestamp;
use state::{Found, alerts, nodes, scans};
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::timeout;
use web::api::statistics::Statistics;

/// The exit code when nothing can be said.
pub(crate) const UNKNOWN: u8 = 3;

/// Monitoring systems give up after a minute; to say why is better than to be cut off.
const PATIENCE: Duration = Duration::from_secs(50);

#[derive(Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// How many nodes are not there
    #[command(after_help = "\
Examples:
  portdrift check nodes
  portdrift check nodes --warning 2 --critical 5

Exit code 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN; also critical when no approved node is there.")]
    Nodes {
        /// Warn when so many approved nodes are not there
        #[arg(long, short, value_name = "COUNT", default_value_t = 1)]
        warning: u64,
        /// Critical when so many are not there [default: all of them]
        #[arg(long, short, value_name = "COUNT")]
        critical: Option<u64>,
    },
    /// How bad the alerts are that nobody has dealt with
    #[command(after_help = "\
Examples:
  portdrift check alerts
  portdrift check alerts --warning medium --critical high

Exit code 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.")]
    Alerts {
        /// Warn when one as bad as this is open
        #[arg(long, short, value_name = "SEVERITY", default_value = "high", value_parser = severity)]
        warning: Severity,
        /// Critical when one as bad as this is open
        #[arg(long, short, value_name = "SEVERITY", default_value = "critical", value_parser = severity)]
        critical: Severity,
    },
    /// Whether active scans run, to their end, when they are due
    #[command(after_help = "\
Examples:
  portdrift check scans
  portdrift check scans --scan office --late 120

Exit code 0 OK, 1 WARNING (a run is partial or late), 2 CRITICAL (a run failed), 3 UNKNOWN.")]
    Scans {
        /// Only this scan: its number or its name
        #[arg(long)]
        scan: Option<String>,
        /// Warn when one is due for so many minutes and has not begun
        #[arg(long, value_name = "MINUTES", default_value_t = 15)]
        late: u32,
    },
}

impl Command {
    fn name(&self) -> &'static str {
        match self {
            Self::Nodes { .. } => "NODES",
            Self::Alerts { .. } => "ALERTS",
            Self::Scans { .. } => "SCANS",
        }
    }

    async fn find(self, client: &Client) -> anyhow::Result<Found> {
        match self {
            Self::Nodes { warning, critical } => {
                let Statistics { nodes: counts, .. } = client.get("/statistics").await?;
                Ok(nodes(&counts, warning, critical))
            }
            Self::Alerts { warning, critical } => {
                let Statistics { alerts: mut counts, .. } = client.get("/statistics").await?;
                Ok(alerts(&counts.remove("open").unwrap_or_default(), warning, critical))
            }
            Self::Scans { scan, late } => {
                let found = match scan {
                    Some(scan) => {
                        let id = super::scans::find(client, &scan).await?;
                        vec![client.get(&format!("/scans/{id}")).await?]
                    }
                    None => client.get_all("/scans").await?,
                };
                let late = Duration::from_secs(u64::from(late) * 60);
                Ok(scans(&found, late, Timestamp::now()))
            }
        }
    }
}

fn severity(text: &str) -> Result<Severity, String> {
    let found = Severity::ALL.into_iter().find(|severity| severity.name() == text);
    found.ok_or_else(|| format!("write one of {}", Severity::ALL.map(Severity::name).join(", ")))
}

/// Prints what was found. All that goes wrong is `UNKNOWN`, on standard output like the rest.
pub(crate) async fn run(args: CheckArgs, shared: &Shared) -> anyhow::Result<ExitCode> {
    let (name, CheckArgs { place, command }) = (args.command.name(), args);
    let asked = async { command.find(&place.client()?).await };
    let found = match timeout(PATIENCE, asked).await.context("the coordinator takes too long to answer") {
        Ok(Ok(found)) => found,
        Ok(Err(error)) | Err(error) => Found::unknown(&format!("{error:#}")),
    };
    match shared.form() {
        print::Form::Text | print::Form::Ids => print::line(&found.line(name))?,
        form @ (print::Form::Json | print::Form::JsonLines) => form.show(&found, |_| String::new())?,
    }
    Ok(found.code().into())
}
