//! `scans create` and `scans edit`: the flags of a definition, and what they would come to.

use super::super::print::{self, Form};
use super::keep::{self, KeepArgs};
use super::{cadence_words, find};
use crate::client::Client;
use crate::exit::Failure;
use clap::Args;
use protocol::args::ScanArgs;
use protocol::task::{EngineChoice, ScanId};
use protocol::{PortSet, TargetSet};
use std::str::FromStr;
use web::api::scans::{NewScan, Scan, ScanCheck};

/// What stands for no value at all.
const NONE: &str = "none";

#[derive(Args)]
pub(super) struct CreateArgs {
    /// What people call it; not digits alone
    name: String,
    /// Addresses, CIDRs and ranges, joined by commas
    #[arg(long, value_name = "TARGETS")]
    targets: TargetSet,
    #[command(flatten)]
    wishes: Wishes,
}

#[derive(Args)]
pub(super) struct EditArgs {
    /// Its number or its name
    scan: String,
    /// What people call it from now on
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Addresses, CIDRs and ranges, joined by commas
    #[arg(long, value_name = "TARGETS")]
    targets: Option<TargetSet>,
    #[command(flatten)]
    wishes: Wishes,
    #[command(flatten)]
    keep: KeepArgs,
}

/// What a new and an old scan can be told; what is not said stays as it is.
#[derive(Args)]
struct Wishes {
    /// Addresses to leave out, or none
    #[arg(long, value_name = "TARGETS")]
    exclude: Option<OrNone<TargetSet>>,
    /// The most addresses that are meant, up to 33554432 [default: 65536]
    #[arg(long, value_name = "ADDRESSES")]
    budget: Option<u64>,
    /// Multicast, broadcast, link-local, reserved and unspecified addresses are meant
    #[arg(long)]
    special: bool,
    /// They are not
    #[arg(long, conflicts_with = "special")]
    no_special: bool,
    /// Ports, such as 22,80,1000-2000 or T:22,U:53; none for the engine's own set
    #[arg(long, value_name = "PORTS")]
    ports: Option<OrNone<PortSet>>,
    /// nmap's options, such as --args="-T4 -sV"; what could write files, attack or leave the ranges is refused
    #[arg(long, value_name = "OPTIONS", allow_hyphen_values = true)]
    args: Option<ScanArgs>,
    /// Who scans: auto, builtin or nmap [default: auto]
    #[arg(long, value_name = "ENGINE")]
    engine: Option<EngineChoice>,
    /// The site whose nodes scan it [default: main]
    #[arg(long)]
    site: Option<String>,
    /// A sentence on what this is
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Run it again each so many minutes, such as 1440 for daily
    #[arg(long, value_name = "MINUTES", conflicts_with = "cron")]
    every: Option<u32>,
    /// Run it at these times: minute, hour, day of month, month, weekday
    #[arg(long, value_name = "EXPRESSION")]
    cron: Option<String>,
    /// The time zone of the times, such as Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE", conflicts_with = "every")]
    zone: Option<String>,
    /// Run it by itself; --every and --cron say so too
    #[arg(long)]
    scheduled: bool,
    /// Keep its times, but run it only by hand
    #[arg(long, conflicts_with = "scheduled")]
    unscheduled: bool,
    /// Say what it would come to, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// A value, or the word that stands for none.
#[derive(Clone, Debug)]
pub(super) struct OrNone<T>(pub(super) Option<T>);

impl<T: FromStr> FromStr for OrNone<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        if text.trim() == NONE { Ok(Self(None)) } else { text.parse().map(|value| Self(Some(value))) }
    }
}

impl<T: ToString> OrNone<T> {
    fn text(&self) -> String {
        self.0.as_ref().map(T::to_string).unwrap_or_default()
    }
}

impl Wishes {
    /// Writes what was said over `scan`.
    fn over(&self, mut scan: NewScan) -> anyhow::Result<NewScan> {
        fn set<T>(field: &mut T, said: Option<T>) {
            if let Some(said) = said {
                *field = said;
            }
        }
        set(&mut scan.exclusions, self.exclude.as_ref().map(OrNone::text));
        set(&mut scan.budget, self.budget.map(Some));
        set(&mut scan.special, self.special.then_some(true).or(self.no_special.then_some(false)));
        set(&mut scan.ports, self.ports.as_ref().map(OrNone::text));
        set(&mut scan.args, self.args.as_ref().map(ToString::to_string));
        set(&mut scan.engine, self.engine.map(|engine| engine.name().to_owned()));
        set(&mut scan.site, self.site.clone());
        set(&mut scan.description, self.description.clone());
        if self.every.is_some() {
            (scan.interval_minutes, scan.cron, scan.zone) = (self.every, String::new(), String::new());
        }
        if let Some(cron) = &self.cron {
            (scan.interval_minutes, scan.cron) = (None, cron.clone());
        }
        if self.zone.is_some() && scan.cron.is_empty() {
            return Err(
                Failure::usage("--zone belongs to the times of --cron; an interval needs none".to_owned()).into()
            );
        }
        set(&mut scan.zone, self.zone.clone());
        let has_new_times = self.every.is_some() || self.cron.is_some();
        scan.scheduled = !self.unscheduled && (scan.scheduled || self.scheduled || has_new_times);
        Ok(scan)
    }
}

pub(super) async fn create(client: &Client, args: CreateArgs, form: Form) -> anyhow::Result<()> {
    let CreateArgs { name, targets, wishes } = args;
    let wanted = wishes.over(NewScan { name, targets: targets.to_string(), ..NewScan::default() })?;
    if wishes.dry_run {
        return check(client, &wanted, None, form).await;
    }
    let scan: Scan = client.post("/scans", &wanted).await?;
    form.show(&scan, |scan| {
        format!("scan {} ({}) is saved; `portdrift scans run {}` runs it", scan.id, scan.name, scan.id)
    })
}

pub(super) async fn edit(client: &Client, args: EditArgs, form: Form) -> anyhow::Result<()> {
    let EditArgs { scan, name, targets, wishes, keep } = args;
    let id = find(client, &scan).await?;
    let mut before = NewScan::from(client.get::<Scan>(&format!("/scans/{id}")).await?);
    before.name = name.unwrap_or(before.name);
    before.targets = targets.map_or(before.targets, |targets| targets.to_string());
    let wanted = wishes.over(before)?;
    if wishes.dry_run {
        return check(client, &wanted, Some(id), form).await;
    }
    let scan: Scan = client.put(&format!("/scans/{id}"), &wanted).await?;
    let limits = keep.apply(client, id).await?.map(|of| format!("; {}", keep::words(&of))).unwrap_or_default();
    form.show(&scan, |scan| {
        let kept = scan.open_run.map(|run| format!("; run {run} keeps what it was started with")).unwrap_or_default();
        format!("scan {} ({}) is changed: {}{kept}{limits}", scan.id, scan.name, cadence_words(scan))
    })
}

async fn check(client: &Client, wanted: &NewScan, edited: Option<ScanId>, form: Form) -> anyhow::Result<()> {
    let query = edited.map(|scan| format!("?scan={scan}")).unwrap_or_default();
    let check: ScanCheck = client.post(&format!("/scans/check{query}"), wanted).await?;
    form.show(&check, |check| {
        let times: Vec<String> = check.next_runs.iter().map(ToString::to_string).collect();
        let uncovered = match check.uncovered_addresses {
            0 => "none; approved nodes have all of them in their ranges".to_owned(),
            count => format!("{count}: {}", check.uncovered),
        };
        print::facts(&[
            ("addresses", check.addresses.to_string()),
            ("ports", check.ports.map_or_else(|| "the engine's own set".to_owned(), |ports| ports.to_string())),
            ("uncovered", uncovered),
            ("next runs", if times.is_empty() { "by hand".to_owned() } else { times.join(", ") }),
            ("saved", "no, this was a dry run".to_owned()),
        ])
    })
}
