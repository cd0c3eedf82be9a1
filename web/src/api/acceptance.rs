//! Accepting changes of a report as expected, and taking that back.

use super::Body;
use super::reports::ReportSummary;
use crate::App;
use crate::error::WebError;
use crate::session::Caller;
use axum::Json;
use axum::extract::{Path, State};
use coordinator::analysis::delta::ChangeKind;
use coordinator::rules::port_of;
use coordinator::{AcceptOutcome, LinePattern};
use protocol::task::RunId;
use protocol::{TargetSet, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who accepted a change as expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Acceptance {
    /// Who.
    pub by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Why; may be empty.
    pub comment: String,
}

/// Which lines of a report, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Accept {
    /// Every line.
    pub all: bool,
    /// Lines of these kinds.
    pub lines: Vec<Line>,
    /// At most 500 characters; may be empty. Left alone when an acceptance is taken back.
    pub comment: String,
}

/// Lines that are all of what is given here; at least one thing must be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Line {
    /// The kind of change, such as `new-port`.
    #[schema(value_type = Option<String>)]
    pub kind: Option<ChangeKind>,
    /// The host, or several, such as `192.0.2.0/28`.
    #[schema(value_type = Option<String>)]
    pub address: Option<TargetSet>,
    /// The port, such as `443/tcp`.
    pub port: Option<String>,
}

/// What was accepted, or not any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Accepted {
    /// How many lines are meant.
    pub selected: usize,
    /// How many of them are otherwise than before.
    pub changed: usize,
    /// The report with the status and score that it has now.
    pub report: ReportSummary,
}

impl Accept {
    fn patterns(&self) -> Result<Vec<LinePattern>, WebError> {
        match (self.all, self.lines.as_slice()) {
            (true, []) => Ok(vec![LinePattern::default()]),
            (true, _) => Err(WebError::field("lines", "give either all or lines")),
            (false, lines) => lines.iter().map(pattern).collect(),
        }
    }
}

fn pattern(line: &Line) -> Result<LinePattern, WebError> {
    let port = line.port.as_deref().map(port_of).transpose().map_err(|error| WebError::field("port", error))?;
    let pattern = LinePattern { kind: line.kind, addresses: line.address.clone(), port };
    match pattern == LinePattern::default() {
        true => Err(WebError::field("lines", "a line needs a kind, an address or a port; all lines are \"all\": true")),
        false => Ok(pattern),
    }
}

impl From<AcceptOutcome> for Accepted {
    fn from(AcceptOutcome { report, selected, changed }: AcceptOutcome) -> Self {
        Self { selected, changed, report: (&coordinator::report::ReportSummary::from(&report)).into() }
    }
}

/// Accepts changes as expected: they stop counting in status, score and alerts until they change again.
#[utoipa::path(post, path = "/api/v1/reports/{run}/accept", tag = "reports", params(("run" = u64, Path)), request_body = Accept, responses((status = 200, body = Accepted)))]
pub(crate) async fn accept(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(run): Path<RunId>,
    Body(accept): Body<Accept>,
) -> Result<Json<Accepted>, WebError> {
    let patterns = accept.patterns()?;
    Ok(Json(app.coordinator.accept_changes(&actor, run, &patterns, &accept.comment).await?.into()))
}

/// Takes the acceptance of changes back.
#[utoipa::path(post, path = "/api/v1/reports/{run}/unaccept", tag = "reports", params(("run" = u64, Path)), request_body = Accept, responses((status = 200, body = Accepted)))]
pub(crate) async fn unaccept(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(run): Path<RunId>,
    Body(accept): Body<Accept>,
) -> Result<Json<Accepted>, WebError> {
    Ok(Json(app.coordinator.unaccept_changes(&actor, run, &accept.patterns()?).await?.into()))
}
