//! `/reports/{id}`: what one run found changed, in a sentence, a score and tables; accepted as expected line by line.

mod accept;
mod lines;
mod notes;
mod wanted;
mod words;
pub(crate) use accept::{accept, unaccept};
#[cfg(test)]
pub(crate) use lines::{Accepted, ChangeRow, Group};
pub(crate) use lines::{Listed, Listing, service_words, severity};
pub(crate) use notes::{NoteGroup, groups as note_groups};
pub(crate) use wanted::{Filter, Wanted};
pub(crate) use words::{changes_words, counted, timeline_words};

use crate::App;
use crate::error::WebError;
use crate::faults::Faults;
use crate::filters;
use crate::look::{Badge, Gauge};
use crate::page::choices::{Chips, Choice, Pager};
use crate::page::{Head, Page, Section, View};
use crate::session;
use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use coordinator::report::Report;
use coordinator::{Actor, Right, RunView, ScanView};
use protocol::Timestamp;
use protocol::task::{RunId, ScanId};
use tower_sessions::Session;

#[derive(Template)]
#[template(path = "report.html")]
pub(crate) struct ReportPage {
    pub(crate) id: RunId,
    pub(crate) scan: ScanId,
    pub(crate) network: String,
    pub(crate) sentence: String,
    pub(crate) gauge: Gauge,
    pub(crate) status: Badge,
    pub(crate) parts: Vec<Part>,
    pub(crate) looks: Vec<Look>,
    /// The run before, when there is one.
    pub(crate) baseline: Option<RunId>,
    pub(crate) filter: Filter,
    pub(crate) listed: Listed,
    pub(crate) notes: Vec<NoteGroup>,
    /// Lines beyond the limit of a report.
    pub(crate) left_out: u64,
    pub(crate) may_run: bool,
    pub(crate) may_accept: bool,
    pub(crate) faults: Faults,
    /// Typed into a form that was not taken.
    pub(crate) comment: String,
    /// What came of the last form.
    pub(crate) told: Option<String>,
}

/// What the score lost, and for what.
pub(crate) struct Part {
    pub(crate) words: String,
    pub(crate) points: u64,
}

/// One of the two runs that are compared.
pub(crate) struct Look {
    pub(crate) word: &'static str,
    pub(crate) run: RunId,
    pub(crate) time: Timestamp,
    pub(crate) hosts: Option<u32>,
    pub(crate) ports: Option<u32>,
}

impl View for ReportPage {
    fn head(&self) -> Head {
        let head = Head::below(Section::Reports, format!("Report {}", self.id));
        head.via(self.network.as_str(), format!("/networks/{}/history", self.scan))
    }
}

/// `GET /reports/{run}`
pub(crate) async fn show(
    app: &App,
    actor: &Actor,
    session: &Session,
    run: RunId,
    filter: Filter,
) -> Result<Response, WebError> {
    let told = session::told(session).await?;
    let (wanted, faults) = filter.read();
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = ReportPage::read(app, actor, run, filter, &wanted).await?;
    Ok((status, Page(ReportPage { faults, told, ..page })).into_response())
}

impl ReportPage {
    fn path(&self) -> String {
        format!("/reports/{}", self.id)
    }

    fn choice(&self) -> Choice<'_> {
        Choice::of("kind", "Kind", self.listed.kinds(), &self.filter.kind)
    }

    fn chips(&self) -> Chips {
        self.filter.chips(&self.path(), &self.filter.fields())
    }

    fn pager(&self) -> Pager {
        self.filter.pager(&self.path(), self.filter.fields(), &self.listed)
    }

    async fn read(app: &App, actor: &Actor, run: RunId, filter: Filter, wanted: &Wanted) -> Result<Self, WebError> {
        let report = app.coordinator.report(actor, run).await?;
        let scan = app.coordinator.scan(actor, report.scan).await?;
        let baseline = match report.baseline {
            Some(run) => Some(app.coordinator.run(actor, run).await?),
            None => None,
        };
        let listed = Listing::of_report(&report).list(wanted, filter.start());
        let may_operate = actor.role.may(Right::Operate);
        Ok(Self { filter, ..Self::of(&report, &scan, baseline.as_ref(), listed, may_operate) })
    }

    fn of(report: &Report, scan: &ScanView, baseline: Option<&RunView>, listed: Listed, may_operate: bool) -> Self {
        let this = Look {
            word: "This run",
            run: report.run,
            time: report.made,
            hosts: Some(report.hosts_up),
            ports: Some(report.open_ports),
        };
        Self {
            id: report.run,
            scan: report.scan,
            network: scan.scan.definition.name().to_string(),
            sentence: words::sentence(report),
            gauge: report.into(),
            status: Badge::of_report(report),
            parts: words::parts(report),
            looks: baseline.map(before).into_iter().chain([this]).collect(),
            baseline: report.baseline,
            filter: Filter::default(),
            listed,
            notes: notes::of_report(report),
            left_out: report.left_out,
            may_run: may_operate && scan.scan.active && scan.open_run.is_none(),
            may_accept: may_operate,
            faults: Faults::default(),
            comment: String::new(),
            told: None,
        }
    }
}

fn before(RunView { run, tasks: _, progress: _ }: &RunView) -> Look {
    let outcome = run.outcome.as_ref();
    Look {
        word: "Baseline",
        run: run.id,
        time: run.ended.unwrap_or(run.created),
        hosts: outcome.map(|outcome| outcome.hosts_up),
        ports: outcome.map(|outcome| outcome.open_ports),
    }
}
