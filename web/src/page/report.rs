//! `/reports/{id}`: what one run found changed, in a sentence, a score and tables.

mod lines;
mod words;
pub(crate) use lines::{service_words, severity};
pub(crate) use words::changes_words;

use crate::App;
use crate::error::WebError;
use crate::filters;
use crate::look::{Badge, Gauge};
use crate::page::{Head, Page, Section, View};
use crate::session::Caller;
use askama::Template;
use axum::extract::{Path, State};
use coordinator::report::Report;
use coordinator::{Right, RunView, ScanView};
use protocol::Timestamp;
use protocol::task::{RunId, ScanId};

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
    pub(crate) groups: Vec<Group>,
    pub(crate) notes: Vec<Note>,
    /// Nothing to compare with: a delta needs a second run.
    pub(crate) is_first: bool,
    pub(crate) may_run: bool,
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

/// Changes of one kind.
pub(crate) struct Group {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) mark: &'static str,
    pub(crate) rows: Vec<ChangeRow>,
}

/// One change.
pub(crate) struct ChangeRow {
    pub(crate) host: String,
    pub(crate) name: String,
    pub(crate) port: String,
    pub(crate) before: String,
    pub(crate) after: String,
    pub(crate) rating: Option<Badge>,
}

/// Something that is no change but must not be kept quiet.
pub(crate) struct Note {
    pub(crate) badge: Badge,
    pub(crate) words: String,
}

impl View for ReportPage {
    fn head(&self) -> Head {
        let head = Head::below(Section::Reports, format!("Report {}", self.id));
        head.via(self.network.as_str(), format!("/networks/{}/history", self.scan))
    }
}

/// `GET /reports/{run}`
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(run): Path<RunId>,
) -> Result<Page<ReportPage>, WebError> {
    let report = app.coordinator.report(&actor, run).await?;
    let scan = app.coordinator.scan(&actor, report.scan).await?;
    let baseline = match report.baseline {
        Some(run) => Some(app.coordinator.run(&actor, run).await?),
        None => None,
    };
    Ok(Page(ReportPage::of(&report, &scan, baseline.as_ref(), actor.role.may(Right::Operate))))
}

impl ReportPage {
    fn of(report: &Report, scan: &ScanView, baseline: Option<&RunView>, may_operate: bool) -> Self {
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
            parts: words::parts(&report.score),
            looks: baseline.map(before).into_iter().chain([this]).collect(),
            groups: lines::groups(report),
            notes: lines::notes(report),
            is_first: report.is_baseline(),
            may_run: may_operate && scan.scan.active && scan.open_run.is_none(),
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
