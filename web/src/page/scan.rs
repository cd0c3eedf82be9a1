//! `/scans/{id}`: the definition of a scan, when it runs next, its runs, and what the latest one found.

pub(crate) mod actions;

use crate::App;
use crate::error::WebError;
use crate::filters;
use crate::filters::{Percent, grouped_text, span_text};
use crate::look::Badge;
use crate::page::found::Found;
use crate::page::scans::ports_words;
use crate::page::{Head, Page, Section, View};
use crate::session::Caller;
use askama::Template;
use axum::extract::{Path, Query, State};
use coordinator::run::{Run, RunState};
use coordinator::scan::{Cadence, Scan, ScanDefinition};
use coordinator::{Right, ScanView, trigger_words};
use protocol::task::{RunId, ScanId};
use protocol::{PortSet, Timestamp};
use serde::Deserialize;
use std::net::IpAddr;
use std::time::Duration;

#[derive(Template)]
#[template(path = "scan.html")]
pub(crate) struct ScanPage {
    pub(crate) id: ScanId,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) is_active: bool,
    /// Whether the caller may run and change it.
    pub(crate) may_operate: bool,
    pub(crate) open_run: Option<RunId>,
    pub(crate) targets: String,
    pub(crate) addresses: u128,
    pub(crate) exclusions: String,
    pub(crate) ports: String,
    pub(crate) args: String,
    pub(crate) engine: &'static str,
    pub(crate) site: String,
    pub(crate) budget: u64,
    /// Whether ranges are meant that nobody scans by accident.
    pub(crate) special: bool,
    /// How often, whether that counts or not; `None` for only by hand.
    pub(crate) cadence: Option<String>,
    pub(crate) scheduled: bool,
    pub(crate) next: NextRun,
    /// The latest run, if it ended and did not look everywhere.
    pub(crate) warning: Option<Warning>,
    pub(crate) runs: Vec<RunRow>,
    /// What the latest run with a report found.
    pub(crate) results: Option<Results>,
}

/// When a scan runs next by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextRun {
    /// Then.
    At(Timestamp),
    /// It has no interval and no cron expression.
    ByHand,
    /// It has one, but its schedule is off.
    Off,
    /// It is out of use.
    Inactive,
}

/// That a run did not look everywhere, and why.
pub(crate) struct Warning {
    pub(crate) run: RunId,
    pub(crate) state: &'static str,
    pub(crate) reason: String,
}

/// Hosts of one run.
pub(crate) struct Results {
    pub(crate) run: RunId,
    pub(crate) time: Timestamp,
    pub(crate) hosts: u32,
    pub(crate) coverage: Percent,
    pub(crate) found: Found,
}

/// One run in a list.
pub(crate) struct RunRow {
    pub(crate) id: RunId,
    pub(crate) state: Badge,
    /// Why it is partial, failed or cancelled.
    pub(crate) reason: String,
    pub(crate) trigger: String,
    pub(crate) started: Timestamp,
    pub(crate) took: Option<Duration>,
    pub(crate) hosts: Option<u32>,
    pub(crate) coverage: Option<Percent>,
    pub(crate) has_report: bool,
}

/// Where the page of hosts begins.
#[derive(Deserialize)]
pub(crate) struct Start {
    after: Option<IpAddr>,
}

impl NextRun {
    pub(crate) fn of(scan: &Scan) -> Self {
        match (scan.next_due, scan.definition.cadence()) {
            _ if !scan.active => Self::Inactive,
            (Some(due), _) => Self::At(due),
            (None, None) => Self::ByHand,
            (None, Some(_)) => Self::Off,
        }
    }

    pub(crate) fn time(&self) -> Option<Timestamp> {
        match self {
            Self::At(time) => Some(*time),
            Self::ByHand | Self::Off | Self::Inactive => None,
        }
    }

    /// Why there is no time.
    pub(crate) fn words(&self) -> &'static str {
        match self {
            Self::At(_) => "",
            Self::ByHand => "only by hand",
            Self::Off => "schedule is off",
            Self::Inactive => "inactive",
        }
    }
}

impl ScanPage {
    fn path(&self) -> String {
        format!("/scans/{}", self.id)
    }

    fn may_run(&self) -> bool {
        self.may_operate && self.is_active && self.open_run.is_none()
    }
}

impl View for ScanPage {
    fn head(&self) -> Head {
        Head::below(Section::Scans, self.name.as_str())
    }
}

/// The most runs that the page lists.
const MOST_RUNS: usize = 50;

/// `GET /scans/{scan}`
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(scan): Path<ScanId>,
    Query(Start { after }): Query<Start>,
) -> Result<Page<ScanPage>, WebError> {
    let view = app.coordinator.scan(&actor, scan).await?;
    let runs = app.coordinator.runs(&actor, Some(scan)).await?;
    let mut page = ScanPage::of(&view, &runs, actor.role.may(Right::Operate));
    if let Some(report) = &view.last_report {
        let found = Found::read(&app, &actor, report.run, after, page.path()).await?;
        let coverage = Percent::of_hundredths(report.coverage_hundredths);
        page.results = Some(Results { run: report.run, time: report.made, hosts: report.hosts_up, coverage, found });
    }
    Ok(Page(page))
}

impl ScanPage {
    fn of(view: &ScanView, runs: &[Run], may_operate: bool) -> Self {
        let (scan, definition) = (&view.scan, &view.scan.definition);
        let exclusions = definition.exclusions();
        Self {
            id: scan.id,
            name: definition.name().to_string(),
            description: definition.description().to_string(),
            is_active: scan.active,
            may_operate,
            open_run: view.open_run,
            targets: definition.targets().to_string(),
            addresses: definition.wanted().count(),
            exclusions: if exclusions.is_empty() { String::new() } else { exclusions.to_string() },
            ports: counted_ports(definition.ports()),
            args: definition.args().to_string(),
            engine: definition.engine().name(),
            site: definition.site().to_string(),
            budget: definition.budget(),
            special: definition.special(),
            cadence: cadence_words(definition),
            scheduled: definition.scheduled(),
            next: NextRun::of(scan),
            warning: runs.iter().find(|run| run.state.is_final()).and_then(Warning::of),
            runs: runs.iter().take(MOST_RUNS).map(RunRow::from).collect(),
            results: None,
        }
    }
}

impl Warning {
    fn of(run: &Run) -> Option<Self> {
        let is_short = matches!(run.state, RunState::Partial | RunState::Failed);
        let outcome = run.outcome.as_ref().filter(|_| is_short)?;
        Some(Self { run: run.id, state: run.state.name(), reason: outcome.reason.to_string() })
    }
}

impl From<&Run> for RunRow {
    fn from(run: &Run) -> Self {
        let outcome = run.outcome.as_ref();
        Self {
            id: run.id,
            state: run.state.into(),
            reason: outcome.map(|outcome| outcome.reason.to_string()).unwrap_or_default(),
            trigger: trigger_words(&run.trigger).into(),
            started: run.created,
            took: run.ended.map(|ended| ended.since(run.created)),
            hosts: outcome.map(|outcome| outcome.hosts_up),
            coverage: outcome.map(|outcome| Percent::of_hundredths(outcome.coverage_hundredths)),
            has_report: has_report(run),
        }
    }
}

/// Completed and partial runs have a report; others saw too little.
pub(crate) fn has_report(run: &Run) -> bool {
    matches!(run.state, RunState::Completed | RunState::Partial)
}

fn counted_ports(ports: Option<&PortSet>) -> String {
    let count = ports.map(PortSet::count);
    let noun = if count == Some(1) { "port" } else { "ports" };
    let counted = count.map(|count| format!(" · {} {noun}", grouped_text(count)));
    format!("{}{}", ports_words(ports), counted.unwrap_or_default())
}

/// How often, in words; `None` for only by hand.
pub(super) fn cadence_words(definition: &ScanDefinition) -> Option<String> {
    Some(match definition.cadence()? {
        Cadence::Cron(cron) => format!("cron {cron}"),
        Cadence::Every(interval) => match interval.minutes() {
            60 => "hourly".to_owned(),
            1_440 => "daily".to_owned(),
            10_080 => "weekly".to_owned(),
            _ => format!("every {}", span_text(interval.duration())),
        },
    })
}
