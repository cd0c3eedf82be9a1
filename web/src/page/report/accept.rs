//! Accepting lines of a report as expected, and taking that back: one line, or all that the page shows.

use super::{Filter, ReportPage};
use crate::App;
use crate::api::Params;
use crate::error::WebError;
use crate::page::Page;
use crate::session::{self, Caller};
use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use coordinator::report::Report;
use coordinator::{AcceptOutcome, LinePattern};
use protocol::task::RunId;
use tower_sessions::Session;

/// What was pressed and typed.
#[derive(Debug, Default)]
struct Lines {
    /// Of the button: the place of a line, or `all`.
    pressed: String,
    /// The places of those that the page showed.
    shown: Vec<String>,
    comment: String,
}

impl From<Vec<(String, String)>> for Lines {
    fn from(pairs: Vec<(String, String)>) -> Self {
        let mut lines = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "line" => lines.pressed = value,
                "shown" => lines.shown.push(value),
                "comment" => lines.comment = value,
                _ => {}
            }
        }
        lines
    }
}

impl Lines {
    /// Each line names its kind, host and port, which no other line of the report shares.
    fn patterns(&self, report: &Report) -> Result<Vec<LinePattern>, WebError> {
        let places: &[String] = if self.pressed == "all" { &self.shown } else { std::slice::from_ref(&self.pressed) };
        if places.len() > super::lines::PAGE {
            return Err(WebError::field("line", "these are more lines than a page shows; take fewer"));
        }
        let pattern = |place: &String| {
            let change = place.parse().ok().and_then(|place: usize| report.changes.get(place));
            let change = change.ok_or_else(|| {
                WebError::field("line", format!("report {} has no line {place:?}; load the page again", report.run))
            })?;
            Ok(LinePattern { kind: Some(change.kind), addresses: Some(change.address.into()), port: change.port })
        };
        places.iter().map(pattern).collect()
    }
}

/// `POST /reports/{run}/accept`: the address holds the filters of the page, the form the rest.
pub(crate) async fn accept(
    State(app): State<App>,
    caller: Caller,
    session: Session,
    Path(run): Path<RunId>,
    Params(filter): Params<Filter>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let lines = Lines::from(pairs);
    let report = app.coordinator.report(&caller.0, run).await?;
    let outcome = match lines.patterns(&report) {
        Ok(patterns) => {
            app.coordinator.accept_changes(&caller.0, run, &patterns, &lines.comment).await.map_err(WebError::from)
        }
        Err(fault) => Err(fault),
    };
    answer(&app, caller, &session, run, filter, lines, outcome.map(|outcome| words(&outcome, "accepted as expected")))
        .await
}

/// `POST /reports/{run}/unaccept`
pub(crate) async fn unaccept(
    State(app): State<App>,
    caller: Caller,
    session: Session,
    Path(run): Path<RunId>,
    Params(filter): Params<Filter>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let lines = Lines::from(pairs);
    let report = app.coordinator.report(&caller.0, run).await?;
    let outcome = match lines.patterns(&report) {
        Ok(patterns) => app.coordinator.unaccept_changes(&caller.0, run, &patterns).await.map_err(WebError::from),
        Err(fault) => Err(fault),
    };
    answer(&app, caller, &session, run, filter, lines, outcome.map(|outcome| words(&outcome, "not accepted any more")))
        .await
}

fn words(AcceptOutcome { report, selected: _, changed }: &AcceptOutcome, deed: &str) -> String {
    let changes = if *changed == 1 { "change" } else { "changes" };
    format!("{changed} {changes} {deed}. The score is {}", report.score.value)
}

async fn answer(
    app: &App,
    Caller(actor): Caller,
    session: &Session,
    run: RunId,
    filter: Filter,
    lines: Lines,
    outcome: Result<String, WebError>,
) -> Result<Response, WebError> {
    match outcome {
        Ok(told) => {
            session::tell(session, told).await?;
            let fields = filter.fields().with("skip", &filter.skip);
            Ok(Redirect::to(&app.link(&format!("/reports/{run}{fields}"))).into_response())
        }
        Err(WebError::Invalid(faults)) => {
            let (wanted, _) = filter.read();
            let page = ReportPage::read(app, &actor, run, filter, &wanted).await?;
            let page = ReportPage { faults: faults.into(), comment: lines.comment, ..page };
            Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response())
        }
        Err(error) => Err(error),
    }
}
