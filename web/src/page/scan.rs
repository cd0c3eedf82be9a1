//! `/scans/{id}`: the definition of a scan and its runs.

use crate::App;
use crate::error::WebError;
use crate::filters;
use crate::filters::{Percent, grouped_text, span_text};
use crate::live::Topics;
use crate::look::Badge;
use crate::page::scans::ports_words;
use crate::page::{Head, Page, Section, View};
use crate::session::Caller;
use askama::Template;
use axum::extract::{Path, State};
use axum::response::Redirect;
use coordinator::run::{Run, RunState};
use coordinator::scan::{Cadence, ScanDefinition};
use coordinator::{Right, ScanView};
use protocol::task::{RunId, ScanId};
use protocol::{PortSet, Timestamp};
use std::time::Duration;

#[derive(Template)]
#[template(path = "scan.html")]
pub(crate) struct ScanPage {
    pub(crate) id: ScanId,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) is_active: bool,
    /// Nothing runs, and the caller may change that.
    pub(crate) may_run: bool,
    pub(crate) open_run: Option<RunId>,
    pub(crate) targets: String,
    pub(crate) addresses: u128,
    pub(crate) exclusions: String,
    pub(crate) ports: String,
    pub(crate) args: String,
    pub(crate) engine: &'static str,
    pub(crate) site: String,
    pub(crate) schedule: String,
    pub(crate) next: Option<Timestamp>,
    pub(crate) runs: Vec<RunRow>,
}

/// One run in a list.
pub(crate) struct RunRow {
    pub(crate) id: RunId,
    pub(crate) state: Badge,
    pub(crate) started: Timestamp,
    pub(crate) took: Option<Duration>,
    pub(crate) hosts: Option<u32>,
    pub(crate) coverage: Option<Percent>,
    pub(crate) has_report: bool,
}

impl ScanPage {
    fn path(&self) -> String {
        format!("/scans/{}", self.id)
    }
}

impl View for ScanPage {
    fn head(&self) -> Head {
        Head::below(Section::Scans, self.name.as_str()).live(Topics::new(&["run"]))
    }
}

/// The most runs that the page lists.
const MOST_RUNS: usize = 50;

/// `GET /scans/{scan}`
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(scan): Path<ScanId>,
) -> Result<Page<ScanPage>, WebError> {
    let view = app.coordinator.scan(&actor, scan).await?;
    let runs = app.coordinator.runs(&actor, Some(scan)).await?;
    Ok(Page(ScanPage::of(&view, &runs, actor.role.may(Right::Operate))))
}

/// `POST /scans/{scan}/run`
pub(crate) async fn run_now(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(scan): Path<ScanId>,
) -> Result<Redirect, WebError> {
    let run = app.coordinator.start_run(&actor, scan).await?;
    Ok(Redirect::to(&app.link(&format!("/runs/{}", run.id))))
}

impl ScanPage {
    fn of(view: &ScanView, runs: &[Run], may_run: bool) -> Self {
        let (scan, definition) = (&view.scan, &view.scan.definition);
        let exclusions = definition.exclusions();
        Self {
            id: scan.id,
            name: definition.name().to_string(),
            description: definition.description().to_string(),
            is_active: scan.active,
            may_run: may_run && scan.active && view.open_run.is_none(),
            open_run: view.open_run,
            targets: definition.targets().to_string(),
            addresses: definition.wanted().count(),
            exclusions: if exclusions.is_empty() { String::new() } else { exclusions.to_string() },
            ports: counted_ports(definition.ports()),
            args: definition.args().to_string(),
            engine: definition.engine().name(),
            site: definition.site().to_string(),
            schedule: schedule_words(definition),
            next: scan.next_due,
            runs: runs.iter().take(MOST_RUNS).map(RunRow::from).collect(),
        }
    }
}

impl From<&Run> for RunRow {
    fn from(run: &Run) -> Self {
        let outcome = run.outcome.as_ref();
        Self {
            id: run.id,
            state: run.state.into(),
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

fn schedule_words(definition: &ScanDefinition) -> String {
    let words = match definition.cadence() {
        None => return "by hand".to_owned(),
        Some(Cadence::Cron(cron)) => format!("cron {cron}"),
        Some(Cadence::Every(interval)) => match interval.minutes() {
            60 => "hourly".to_owned(),
            1_440 => "daily".to_owned(),
            10_080 => "weekly".to_owned(),
            _ => format!("every {}", span_text(interval.duration())),
        },
    };
    if definition.scheduled() { words } else { format!("paused ({words})") }
}
