//! `/scans`: all definitions with their last and next run.

mod filter;

pub(crate) use filter::{Filter, Order};

use crate::App;
use crate::error::WebError;
use crate::filters;
use crate::look::{Badge, Gauge};
use crate::page::scan::NextRun;
use crate::page::{Head, Page, Section, View};
use crate::session::Caller;
use askama::Template;
use axum::extract::{Query, State};
use coordinator::{Right, ScanView};
use protocol::{PortSet, TargetSet, Timestamp};

#[derive(Template)]
#[template(path = "scans.html")]
pub(crate) struct Scans {
    pub(crate) scans: Vec<ScanRow>,
    /// Active ones and, when they are asked for, others.
    pub(crate) total: usize,
    pub(crate) filter: Filter,
    pub(crate) may_run: bool,
}

/// One scan in the list.
pub(crate) struct ScanRow {
    pub(crate) path: String,
    pub(crate) name: String,
    pub(crate) is_active: bool,
    pub(crate) is_running: bool,
    pub(crate) targets: TargetSet,
    pub(crate) addresses: u128,
    pub(crate) ports: String,
    pub(crate) last: Option<LastRun>,
    pub(crate) next: NextRun,
    pub(crate) gauge: Option<Gauge>,
}

/// The newest run of a scan.
pub(crate) struct LastRun {
    pub(crate) path: String,
    pub(crate) state: Badge,
    pub(crate) time: Timestamp,
}

impl View for Scans {
    fn head(&self) -> Head {
        Head::top(Section::Scans)
    }
}

/// `GET /scans`
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(filter): Query<Filter>,
) -> Result<Page<Scans>, WebError> {
    let coordinator = &app.coordinator;
    let with_inactive = filter.shows_inactive();
    let scans = if with_inactive { coordinator.every_scan(&actor).await? } else { coordinator.scans(&actor).await? };
    let (total, rows) = (scans.len(), scans.iter().map(ScanRow::from).collect());
    Ok(Page(Scans { scans: filter.apply(rows), total, filter, may_run: actor.role.may(Right::Operate) }))
}

impl From<&ScanView> for ScanRow {
    fn from(view: &ScanView) -> Self {
        let (scan, definition) = (&view.scan, &view.scan.definition);
        Self {
            path: format!("/scans/{}", scan.id),
            name: definition.name().to_string(),
            is_active: scan.active,
            is_running: view.open_run.is_some(),
            targets: definition.targets().clone(),
            addresses: definition.wanted().count(),
            ports: ports_words(definition.ports()),
            last: view.last_run.as_ref().map(|run| LastRun {
                path: format!("/runs/{}", run.id),
                state: run.state.into(),
                time: run.ended.unwrap_or(run.created),
            }),
            next: NextRun::of(scan),
            gauge: view.last_report.as_ref().map(Gauge::from),
        }
    }
}

/// The ports, or the words for the engine's own set.
pub(crate) fn ports_words(ports: Option<&PortSet>) -> String {
    ports.map_or_else(|| "the engine's common ports".to_owned(), PortSet::to_string)
}
