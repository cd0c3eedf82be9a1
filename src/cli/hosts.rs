//! `hosts`: what is known of every host, and what each run saw of one.

use super::alerts::{in_path, in_query};
use super::print::{self, Form};
use super::{Place, Shared, scans};
use crate::client::Client;
use crate::exit::Exit;
use clap::{Args, Subcommand};
use web::api::hosts::{Host, HostHistory, OpenPort, PortOverTime};

/// How many open ports of a host a line of the table names.
const MOST_PORTS: usize = 8;

#[derive(Args)]
pub(crate) struct HostsArgs {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List hosts by address, over all networks that are in use
    #[command(after_help = "\
Examples:
  portdrift hosts list --scan office
  portdrift hosts list --port 3389 --alerted
  portdrift hosts list --service nginx --json")]
    List(ListArgs),
    /// Show one host: what is open since when, what each run saw, and its alerts
    #[command(after_help = "Example:\n  portdrift hosts show 3-192.0.2.7")]
    Show {
        /// Its network and address, as `hosts list` shows it
        id: String,
    },
}

/// Which hosts: all that is given must fit.
#[derive(Args)]
struct ListArgs {
    /// Only of this scan: its number or its name
    #[arg(long)]
    scan: Option<String>,
    /// Only at these addresses, CIDRs and ranges
    #[arg(long, value_name = "TARGETS")]
    address: Option<String>,
    /// Only with one of these ports open, such as 22,80 or U:53
    #[arg(long)]
    port: Option<String>,
    /// Only with this text in the service of an open port
    #[arg(long, value_name = "TEXT")]
    service: Option<String>,
    /// Only with this text in address, names, MAC address or operating system
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only with open or actioned alerts
    #[arg(long)]
    alerted: bool,
    /// Print the ids alone, one a line
    #[arg(long, short)]
    quiet: bool,
}

pub(crate) async fn run(args: HostsArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (client, form) = (args.place.client()?, shared.form());
    match args.command {
        Command::List(args) => list(&client, args, form).await?,
        Command::Show { id } => {
            let host: HostHistory = client.get(&format!("/hosts/{}", in_path(&id))).await?;
            form.show(&host, details)?;
        }
    }
    Ok(Exit::Done)
}

async fn list(client: &Client, args: ListArgs, form: Form) -> anyhow::Result<()> {
    let ListArgs { scan, address, port, service, search, alerted, quiet } = args;
    let scan = match scan {
        Some(scan) => scans::find(client, &scan).await?.to_string(),
        None => String::new(),
    };
    let text = Option::unwrap_or_default;
    let pairs = [
        ("scan", scan),
        ("address", text(address)),
        ("port", text(port)),
        ("service", text(service)),
        ("text", text(search)),
        ("alerted", alerted.to_string()),
    ];
    let query = in_query(&pairs.each_ref().map(|(name, value)| (*name, value.as_str())))?;
    let hosts: Vec<Host> = client.get_all(&format!("/hosts?{query}")).await?;
    form.or_ids(quiet).list(
        &hosts,
        |host| host.id.clone(),
        |hosts| {
            let headings = ["id", "network", "names", "open ports", "alerts", "last seen"];
            print::table(&headings, hosts.iter().map(row).collect(), "no host matches")
        },
    )
}

fn row(host: &Host) -> Vec<String> {
    let mut ports: Vec<String> = host.ports.iter().take(MOST_PORTS).map(number).collect();
    let more = host.ports.len().saturating_sub(MOST_PORTS);
    ports.extend((more > 0).then(|| format!("and {more} more")));
    let seen = host.seen_run.map(|run| format!("run {run}"));
    vec![
        host.id.clone(),
        host.network.clone(),
        host.names.join(", "),
        ports.join(", "),
        alerts(host),
        seen.unwrap_or_else(|| "-".to_owned()),
    ]
}

fn number(OpenPort { protocol, port, .. }: &OpenPort) -> String {
    format!("{port}/{protocol}")
}

fn alerts(host: &Host) -> String {
    let worst = host.worst.map(|worst| format!(", the worst {}", worst.name()));
    format!("{}{}", host.active_alerts, worst.unwrap_or_default())
}

fn details(history: &HostHistory) -> String {
    let HostHistory { host, gone_run, first_seen, looks, history, ports_left_out, .. } = history;
    let or_dash = |text: Option<String>| text.filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned());
    let state = gone_run.map_or_else(|| "up".to_owned(), |run| format!("gone since run {run}"));
    let facts = print::facts(&[
        ("host", host.id.clone()),
        ("network", host.network.clone()),
        ("state", state),
        ("names", or_dash(Some(host.names.join(", ")))),
        ("MAC", or_dash(host.mac.clone())),
        ("system", or_dash(host.os.clone())),
        ("first seen", first_seen.to_string()),
        ("last seen", or_dash(host.seen.map(|at| at.to_string()))),
        ("alerts", alerts(host)),
    ]);
    let runs = looks.iter().map(|look| look.run.to_string()).collect::<Vec<_>>().join(" ");
    let headings = ["port", "service", "open since", "looks"];
    let ports = history.iter().map(|port| port_row(host, port)).collect();
    let table = print::table(&headings, ports, "no port was open in the latest runs");
    let more =
        if *ports_left_out > 0 { format!("\n{ports_left_out} more ports are not listed") } else { String::new() };
    format!("{facts}\n\n{table}{more}\n\nlooks are runs {runs}: o open, - not open, . not looked at")
}

fn port_row(host: &Host, PortOverTime { protocol, port, since, looks }: &PortOverTime) -> Vec<String> {
    let now = host.ports.iter().find(|open| (open.protocol, open.port) == (*protocol, *port));
    let service = now.map(|open| format!("{} {}", open.service, open.about).trim().to_owned());
    let mark = |look: &String| match look.as_str() {
        "open" => 'o',
        "not-open" => '-',
        _ => '.',
    };
    vec![
        format!("{port}/{protocol}"),
        service.filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned()),
        since.map_or_else(|| "-".to_owned(), |at| at.to_string()),
        looks.iter().map(mark).collect(),
    ]
}
