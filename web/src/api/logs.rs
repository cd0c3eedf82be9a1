//! Log files: lines by level, text and time, from the end, before a place, or after it. For administrators.

use super::Params;
use crate::App;
use crate::error::WebError;
use crate::session::Caller;
use axum::Json;
use axum::extract::State;
use coordinator::logs::{LogFrom, LogLevel, LogLine, LogNameError, LogPage, LogQuery};
use protocol::Timestamp;
use protocol::text::Text;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// How many lines are given unless told otherwise.
pub(crate) const USUAL_LINES: usize = 200;

/// Which lines are wanted; what is left out does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// `app` (when left out), `error` or `scheduler`.
    pub(crate) file: String,
    /// As bad as this, or worse: `error`, `warn`, `info`, `debug` or `trace`.
    pub(crate) level: String,
    /// With this in them; large and small letters are the same.
    pub(crate) text: String,
    /// Not older than this time.
    pub(crate) since: String,
    /// Not younger than this time.
    pub(crate) until: String,
    /// Before the place that an answer's `older` names.
    pub(crate) before: String,
    /// After the place that an answer's `newer` names.
    pub(crate) after: String,
    /// How many at most: 200 when left out, 2000 at most.
    pub(crate) limit: Option<u16>,
}

/// Some lines of a log, the oldest first. One look reads 8 MiB of a log at most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Lines {
    /// The lines.
    pub lines: Vec<Line>,
    /// What to ask with `before` for older ones; absent when there are none.
    pub older: Option<String>,
    /// What to ask with `after` for newer ones; absent while the log is empty.
    pub newer: Option<String>,
    /// The place that was asked for is deleted; these are the oldest lines that are left.
    pub gap: bool,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Line {
    /// When it was written.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub time: Option<Timestamp>,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: Option<String>,
    /// Where from and what.
    #[schema(value_type = String)]
    pub text: Text,
}

impl Wanted {
    /// The query; every word that makes no sense is named.
    pub(crate) fn query(&self) -> Result<LogQuery, WebError> {
        let time = |field, text: &str| match text.trim() {
            "" => Ok(None),
            text => text.parse::<Timestamp>().map(Some).map_err(|error| WebError::field(field, error)),
        };
        let level = |text: &str| match text {
            "" => Ok(None),
            text => text.parse::<LogLevel>().map(Some).map_err(|error| WebError::field("level", error)),
        };
        let place = |field| move |error: LogNameError| WebError::field(field, error);
        let from = match (self.before.as_str(), self.after.as_str()) {
            ("", "") => LogFrom::End,
            (before, "") => LogFrom::Before(before.parse().map_err(place("before"))?),
            (_, after) => LogFrom::After(after.parse().map_err(place("after"))?),
        };
        let file = if self.file.is_empty() { "app" } else { &self.file };
        Ok(LogQuery {
            file: file.parse().map_err(place("file"))?,
            level: level(&self.level)?,
            text: self.text.trim().to_owned(),
            since: time("since", &self.since)?,
            until: time("until", &self.until)?,
            from,
            limit: self.limit.map_or(USUAL_LINES, usize::from),
        })
    }
}

impl From<LogPage> for Lines {
    fn from(page: LogPage) -> Self {
        let LogPage { lines, older, newer, is_gap } = page;
        let place = |place: coordinator::logs::LogCursor| place.to_string();
        Self {
            lines: lines.into_iter().map(Line::from).collect(),
            older: older.map(place),
            newer: newer.map(place),
            gap: is_gap,
        }
    }
}

impl From<LogLine> for Line {
    fn from(line: LogLine) -> Self {
        let LogLine { time, level, text } = line;
        Self { time, level: level.map(|level| level.name().to_owned()), text }
    }
}

/// Lines of a log.
#[utoipa::path(get, path = "/api/v1/logs", tag = "logs", params(Wanted), responses((status = 200, body = Lines)))]
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Params(wanted): Params<Wanted>,
) -> Result<Json<Lines>, WebError> {
    Ok(Json(app.coordinator.logs(&actor, wanted.query()?).await?.into()))
}
