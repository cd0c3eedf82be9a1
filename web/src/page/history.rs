//! `/networks/{scan}/history`: all reports of a network, newest first, by day.

use crate::App;
use crate::error::WebError;
use crate::filters;
use crate::filters::Percent;
use crate::look::Badge;
use crate::page::report::changes_words;
use crate::page::{Head, Page, Section, View};
use crate::session::Caller;
use askama::Template;
use axum::extract::{Path, State};
use coordinator::report::ReportSummary;
use protocol::Timestamp;
use protocol::task::{RunId, ScanId};

#[derive(Template)]
#[template(path = "history.html")]
pub(crate) struct History {
    pub(crate) scan: ScanId,
    pub(crate) name: String,
    pub(crate) days: Vec<Day>,
}

/// The reports of one day.
pub(crate) struct Day {
    /// `2026-01-31`
    pub(crate) date: String,
    pub(crate) entries: Vec<Entry>,
}

/// One report of the timeline.
pub(crate) struct Entry {
    pub(crate) run: RunId,
    pub(crate) status: Badge,
    pub(crate) words: String,
    pub(crate) score: u8,
    pub(crate) coverage: Percent,
    pub(crate) time: Timestamp,
}

impl View for History {
    fn head(&self) -> Head {
        Head::below(Section::Reports, self.name.as_str())
    }
}

/// `GET /networks/{scan}/history`
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(scan): Path<ScanId>,
) -> Result<Page<History>, WebError> {
    let (view, reports) = (app.coordinator.scan(&actor, scan).await?, app.coordinator.history(&actor, scan).await?);
    Ok(Page(History { scan, name: view.scan.definition.name().to_string(), days: days(&reports) }))
}

/// Reports come newest first, and so do days and their entries.
fn days(reports: &[ReportSummary]) -> Vec<Day> {
    let mut days: Vec<Day> = Vec::new();
    for report in reports {
        let date: String = report.made.to_string().chars().take(10).collect();
        match days.last_mut().filter(|day| day.date == date) {
            Some(day) => day.entries.push(report.into()),
            None => days.push(Day { date, entries: vec![report.into()] }),
        }
    }
    days
}

impl From<&ReportSummary> for Entry {
    fn from(report: &ReportSummary) -> Self {
        Self {
            run: report.run,
            status: Badge::of_report(report),
            words: changes_words(report).unwrap_or_else(|| "No changes".to_owned()),
            score: report.score.value,
            coverage: Percent::of_hundredths(report.coverage_hundredths),
            time: report.made,
        }
    }
}
