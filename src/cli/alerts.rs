//! `alerts`: what is open and why, and what is decided about it.

use super::print::{self, Form};
use super::{Place, Shared, scans};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use clap::{Args, Subcommand};
use coordinator::analysis::alert::{Action, By};
use web::api::alerts::{Alert, AlertDetail, AlertList, Bulk, Matching, Outcome, Step};

#[derive(Args)]
pub(crate) struct AlertsArgs {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List alerts, the worst first; those that are open or actioned, when nothing else is said
    #[command(after_help = "\
Examples:
  portdrift alerts list --severity critical,high
  portdrift alerts list --scan office --state all --sort opened
  portdrift alerts list --unverified --json")]
    List {
        #[command(flatten)]
        filter: Filter,
        /// The order: severity, address, port, opened or scan
        #[arg(long, value_name = "ORDER")]
        sort: Option<String>,
        /// Print the ids alone, one a line
        #[arg(long, short)]
        quiet: bool,
    },
    /// Show one alert and all that happened to it
    #[command(after_help = "Example:\n  portdrift alerts show 3-192.0.2.7-3389-tcp-RDP")]
    Show {
        /// Its id, as `alerts list` shows it
        id: String,
    },
    /// Say that alerts are being dealt with
    #[command(after_help = "\
Examples:
  portdrift alerts action 3-192.0.2.7-3389-tcp-RDP --comment \"ticket 4711\"
  portdrift alerts action --all-matching --scan office --severity high")]
    Action(Decide),
    /// Say that alerts do not matter; they stay ignored whatever later runs see
    #[command(after_help = "Example:\n  portdrift alerts ignore --all-matching --host 192.0.2.0/28 --port 22/tcp")]
    Ignore(Decide),
    /// Undo: alerts are again what they were before the last decision
    #[command(after_help = "Example:\n  portdrift alerts reopen 3-192.0.2.7-3389-tcp-RDP")]
    Reopen(Decide),
}

/// Which alerts: all that is given must fit.
#[derive(Args, Default)]
struct Filter {
    /// Only of this scan: its number or its name
    #[arg(long)]
    scan: Option<String>,
    /// Only in these states: open, actioned, ignored, resolved, joined by commas; or active, or all
    #[arg(long)]
    state: Option<String>,
    /// Only of these severities: critical, high, medium, low, joined by commas
    #[arg(long)]
    severity: Option<String>,
    /// Only on these addresses, CIDRs and ranges
    #[arg(long, value_name = "TARGETS")]
    host: Option<String>,
    /// Only on these ports, such as 443/tcp or 22,80
    #[arg(long)]
    port: Option<String>,
    /// Only of the rule with this name
    #[arg(long)]
    rule: Option<String>,
    /// Only with this text in address, host name, port, service or rule
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only those that the latest run looked at
    #[arg(long, conflicts_with = "unverified")]
    verified: bool,
    /// Only those that the latest run did not look at
    #[arg(long)]
    unverified: bool,
}

#[derive(Args)]
struct Decide {
    /// Their ids, as `alerts list` shows them
    #[arg(required_unless_present = "all_matching", conflicts_with = "all_matching")]
    ids: Vec<String>,
    /// All alerts that fit what is said here, instead of ids
    #[arg(long)]
    all_matching: bool,
    #[command(flatten)]
    filter: Filter,
    /// Why, for those who look later
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// Only list the alerts that are meant
    #[arg(long)]
    dry_run: bool,
}

impl Filter {
    async fn matching(self, client: &Client) -> anyhow::Result<Matching> {
        let Self { scan, state, severity, host, port, rule, search, verified, unverified } = self;
        let scan = match scan {
            Some(scan) => scans::find(client, &scan).await?.to_string(),
            None => String::new(),
        };
        let verified = if verified || unverified { verified.to_string() } else { String::new() };
        let or_any = Option::unwrap_or_default;
        Ok(Matching {
            scan,
            state: or_any(state),
            severity: or_any(severity),
            address: or_any(host),
            port: or_any(port),
            rule: or_any(rule),
            text: or_any(search),
            verified,
        })
    }

    fn is_set(&self) -> bool {
        let Self { scan, state, severity, host, port, rule, search, verified, unverified } = self;
        [scan, state, severity, host, port, rule, search].into_iter().any(Option::is_some) || *verified || *unverified
    }
}

pub(crate) async fn run(args: AlertsArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (client, form) = (args.place.client()?, shared.form());
    match args.command {
        Command::List { filter, sort, quiet } => {
            let matching = filter.matching(&client).await?;
            list(&all(&client, &matching, sort.as_deref()).await?, form.or_ids(quiet))?;
        }
        Command::Show { id } => {
            let alert: AlertDetail = client.get(&format!("/alerts/{}", in_path(&id))).await?;
            form.show(&alert, details)?;
        }
        Command::Action(which) => return decide(&client, Action::Action, which, form).await,
        Command::Ignore(which) => return decide(&client, Action::Ignore, which, form).await,
        Command::Reopen(which) => return decide(&client, Action::Reopen, which, form).await,
    }
    Ok(Exit::Done)
}

/// Every alert that matches, page by page.
pub(crate) async fn all(client: &Client, matching: &Matching, sort: Option<&str>) -> anyhow::Result<Vec<Alert>> {
    let (mut alerts, mut after) = (Vec::new(), String::new());
    loop {
        let Matching { state, severity, scan, address, port, rule, text, verified } = matching;
        let query = [
            ("state", state.as_str()),
            ("severity", severity),
            ("scan", scan),
            ("address", address),
            ("port", port),
            ("rule", rule),
            ("text", text),
            ("verified", verified),
            ("sort", sort.unwrap_or_default()),
            ("after", &after),
            ("limit", "1000"),
        ];
        let page: AlertList = client.get(&format!("/alerts?{}", in_query(&query)?)).await?;
        alerts.extend(page.alerts);
        match page.next {
            Some(next) => after = next,
            None => return Ok(alerts),
        }
    }
}

pub(super) fn in_query(pairs: &[(&str, &str)]) -> anyhow::Result<String> {
    let given = pairs.iter().filter(|(_, value)| !value.is_empty());
    let url = reqwest::Url::parse_with_params("http://localhost/", given)?;
    Ok(url.query().unwrap_or_default().to_owned())
}

/// An id has no sign that means something in a URL; whatever else was typed must not have one either.
pub(super) fn in_path(id: &str) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || ".:~_-".contains(*c);
    id.chars().map(|c| if is_plain(&c) { c } else { '_' }).collect()
}

fn list(alerts: &[Alert], form: Form) -> anyhow::Result<()> {
    form.list(
        alerts,
        |alert| alert.id.clone(),
        |alerts| {
            let headings = ["severity", "state", "network", "host", "port", "what", "since", "id"];
            print::table(&headings, alerts.iter().map(row).collect(), "no alert matches")
        },
    )
}

fn row(alert: &Alert) -> Vec<String> {
    let Alert { id, network, address, protocol, port, rule, severity, state, opened, verified, is_verified, .. } =
        alert;
    let doubt = if *is_verified { String::new() } else { format!(", not verified since run {verified}") };
    vec![
        severity.name().to_owned(),
        format!("{}{doubt}", state.name()),
        network.clone(),
        address.to_string(),
        format!("{port}/{protocol}"),
        rule.clone(),
        opened.to_string(),
        id.clone(),
    ]
}

fn details(detail: &AlertDetail) -> String {
    let AlertDetail { alert, expected, steps, folded_steps } = detail;
    let service = |service: &Option<protocol::observation::Service>| {
        let words = service.as_ref().map(|service| {
            let parts = [&service.name, &service.product, &service.version, &service.extra];
            parts.into_iter().filter(|part| !part.is_empty()).map(ToString::to_string).collect::<Vec<_>>().join(" ")
        });
        words.filter(|words| !words.is_empty()).unwrap_or_else(|| "-".to_owned())
    };
    let host = if alert.host.is_empty() { String::new() } else { format!(" ({})", alert.host) };
    let seen = match alert.is_verified {
        true => format!("run {} at {}", alert.verified, alert.verified_at),
        false => format!("not since run {} at {}", alert.verified, alert.verified_at),
    };
    let facts = print::facts(&[
        ("alert", alert.id.clone()),
        ("what", format!("{} {}", alert.severity.name(), alert.rule)),
        ("state", alert.state.name().to_owned()),
        ("network", format!("{} {}", alert.scan, alert.network)),
        ("host", format!("{}{host}", alert.address)),
        ("port", format!("{}/{}", alert.port, alert.protocol)),
        ("service", service(&alert.service)),
        ("expected", service(expected)),
        ("opened", format!("run {} at {}", alert.raised, alert.opened)),
        ("verified", seen),
    ]);
    let folded = if *folded_steps > 0 { format!("\n{folded_steps} earlier steps") } else { String::new() };
    format!("{facts}\n{folded}\n{}", steps.iter().map(step).collect::<Vec<_>>().join("\n"))
}

fn step(Step { at, by, what, comment }: &Step) -> String {
    let by = match by {
        By::Run(run) => format!("run {run}"),
        By::Person(name) => name.to_string(),
    };
    let comment = if comment.is_empty() { String::new() } else { format!(" ({comment})") };
    format!("{at}  {by}: {}{comment}", what.words())
}

async fn decide(client: &Client, action: Action, which: Decide, form: Form) -> anyhow::Result<Exit> {
    let Decide { ids, all_matching, filter, comment, dry_run } = which;
    if !all_matching && (filter.is_set() || dry_run) {
        return Err(Failure::usage("a filter or --dry-run goes with --all-matching, not with ids").into());
    }
    let mut matching = filter.matching(client).await?;
    if action == Action::Reopen && matching.state.is_empty() {
        // What is open already needs no undo.
        matching.state = "actioned,ignored".to_owned();
    }
    if dry_run {
        list(&all(client, &matching, None).await?, form)?;
        return Ok(Exit::Done);
    }
    let (ids, matching) = if all_matching { (None, Some(matching)) } else { (Some(ids), None) };
    let bulk = Bulk { action, ids, matching, comment: comment.unwrap_or_default() };
    let outcome: Outcome = client.post("/alerts/bulk", &bulk).await?;
    form.show(&outcome, |outcome| words(action, outcome))?;
    for refusal in &outcome.refusals {
        print::note(&format!("{}: {}", refusal.id, refusal.reason));
    }
    Ok(if outcome.refused > 0 { Exit::Failed } else { Exit::Done })
}

fn words(action: Action, outcome: &Outcome) -> String {
    let Outcome { changed, unchanged, refused, .. } = outcome;
    let done = match action {
        Action::Action => "marked actioned",
        Action::Ignore => "ignored",
        Action::Reopen => "undone",
    };
    let rest = [(unchanged, "stood so already"), (refused, "could not be changed")];
    let rest = rest.into_iter().filter(|(count, _)| **count > 0).map(|(count, what)| format!(", {count} {what}"));
    format!("{} {done}{}", print::counted(*changed, "alert"), rest.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_quoted_for_the_url_and_what_is_not_given_is_left_out() {
        let pairs = [("text", "a b&c=d"), ("rule", ""), ("address", "10.0.0.0/8")];
        assert_eq!(in_query(&pairs).unwrap(), "text=a+b%26c%3Dd&address=10.0.0.0%2F8");
        assert_eq!(in_path("3-fe80::1-22-tcp-a~5f/../x"), "3-fe80::1-22-tcp-a~5f_.._x");
    }

    #[test]
    fn what_became_of_a_decision_is_said_in_a_line() {
        let outcome = Outcome { selected: 6, changed: 1, unchanged: 2, refused: 3, refusals: Vec::new() };
        assert_eq!(words(Action::Ignore, &outcome), "1 alert ignored, 2 stood so already, 3 could not be changed");
    }
}
