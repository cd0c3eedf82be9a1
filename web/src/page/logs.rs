//! `/settings/logs`: the log files, by level, text and time; with script their new lines as they come.

use crate::App;
use crate::api::logs::Wanted;
use crate::error::WebError;
use crate::export::attachment;
use crate::faults::Faults;
use crate::filters;
use crate::page::choices::Choice;
use crate::page::{Fragment, Head, Page, View};
use crate::query::Fields;
use crate::session::Caller;
use askama::Template;
use askama::filters::HtmlSafe;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use coordinator::logs::{LogFile, LogFrom, LogLevel, LogLine, LogPage, LogPart, LogQuery};
use protocol::Timestamp;
use protocol::text::Text;
use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

const PATH: &str = "/settings/logs";

/// So many lines on a page that follows make a new page.
const MOST_FOLLOWED: usize = 3_000;

#[derive(Template)]
#[template(path = "logs.html")]
pub(crate) struct Logs {
    pub(crate) file: LogFile,
    pub(crate) filter: Filter,
    pub(crate) lines: Lines,
    /// The way to older lines, when there may be some.
    pub(crate) older: Option<String>,
    /// Whether these are the last lines.
    pub(crate) is_end: bool,
    pub(crate) is_gap: bool,
    pub(crate) parts: Vec<LogPart>,
    pub(crate) faults: Faults,
}

/// Some lines of a log, and where their successors are asked for.
#[derive(Clone, Default, Template)]
#[template(path = "partials/log_lines.html")]
pub(crate) struct Lines {
    pub(crate) rows: Vec<Row>,
    /// The way to what comes next, while the page follows.
    pub(crate) next: Option<String>,
}

impl HtmlSafe for Lines {}

impl View for Lines {
    fn head(&self) -> Head {
        Head::default()
    }
}

/// One line.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) time: Option<Timestamp>,
    pub(crate) level: Option<LogLevel>,
    pub(crate) text: Text,
}

/// What is typed above the lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Filter {
    pub(crate) file: String,
    pub(crate) level: String,
    pub(crate) text: String,
    pub(crate) since: String,
    pub(crate) until: String,
    pub(crate) follow: String,
    pub(crate) before: String,
    pub(crate) after: String,
    /// How many lines stand on the page that follows.
    pub(crate) shown: usize,
}

impl View for Logs {
    fn head(&self) -> Head {
        Head::settings(PATH, "Logs")
    }
}

/// `GET /settings/logs`
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(filter): Query<Filter>,
) -> Result<Response, WebError> {
    let query = match filter.query() {
        Ok(query) => query,
        Err(WebError::Invalid(faults)) => {
            let page = Logs { faults: faults.into(), ..Logs::of(filter, LogFile::App, LogPage::default(), Vec::new()) };
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response());
        }
        Err(error) => return Err(error),
    };
    let (file, is_end) = (query.file, query.from == LogFrom::End);
    let read = app.coordinator.logs(&actor, query).await?;
    let parts = app.coordinator.log_parts(&actor, file).await?;
    Ok(Page(Logs { is_end, ..Logs::of(filter, file, read, parts) }).into_response())
}

/// `GET /settings/logs/newer`: lines that came since; nothing when none did.
pub(crate) async fn newer(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(filter): Query<Filter>,
) -> Result<Response, WebError> {
    if filter.shown > MOST_FOLLOWED {
        let anew = app.link(&format!("{PATH}{}", filter.fields().with("follow", "1")));
        return Ok((StatusCode::OK, [("hx-redirect", anew)]).into_response());
    }
    let read = app.coordinator.logs(&actor, filter.query()?).await?;
    let place = read.newer.as_ref().map(ToString::to_string).unwrap_or_default();
    if read.lines.is_empty() && place == filter.after {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Ok(Fragment(Lines::followed(&filter, read)).into_response())
}

/// `GET /settings/logs/parts/{name}`
pub(crate) async fn download(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(name): Path<String>,
) -> Result<Response, WebError> {
    let file = tokio::fs::File::from_std(app.coordinator.log_part(&actor, &name).await?);
    // What is written meanwhile is left out, so that the end is one of a line.
    let bytes = file.metadata().await.map_or(0, |facts| facts.len());
    Ok(attachment(&name, "text/plain; charset=utf-8", Body::from_stream(ReaderStream::new(file.take(bytes)))))
}

impl Filter {
    fn query(&self) -> Result<LogQuery, WebError> {
        let Self { file, level, text, since, until, follow: _, before, after, shown: _ } = self.clone();
        Wanted { file, level, text, since, until, before, after, limit: None }.query()
    }

    /// What the address of the page holds.
    fn fields(&self) -> Fields {
        let Self { file, level, text, since, until, follow, .. } = self;
        Fields::of([
            ("file", file),
            ("level", level),
            ("text", text),
            ("since", since),
            ("until", until),
            ("follow", follow),
        ])
    }

    fn follows(&self) -> bool {
        self.follow == "1"
    }

    /// Whether anything but the file is chosen.
    fn is_set(&self) -> bool {
        [&self.level, &self.text, &self.since, &self.until].iter().any(|given| !given.trim().is_empty())
    }
}

impl Lines {
    fn followed(filter: &Filter, read: LogPage) -> Self {
        let rows: Vec<Row> = read.lines.into_iter().map(Row::from).collect();
        let place = read.newer.map(|place| place.to_string()).unwrap_or_default();
        let shown = filter.shown.saturating_add(rows.len());
        let next = filter.fields().with("follow", "").with("after", place).with("shown", shown);
        Self { rows, next: Some(format!("{PATH}/newer{next}")) }
    }
}

impl Logs {
    fn of(filter: Filter, file: LogFile, read: LogPage, parts: Vec<LogPart>) -> Self {
        let older = read
            .older
            .as_ref()
            .map(|place| format!("{PATH}{}", filter.fields().with("follow", "").with("before", place)));
        let is_gap = read.is_gap;
        let lines = match filter.follows() {
            true => Lines::followed(&filter, read),
            false => Lines { rows: read.lines.into_iter().map(Row::from).collect(), next: None },
        };
        Self { file, filter, lines, older, is_end: true, is_gap, parts, faults: Faults::default() }
    }

    fn files(&self) -> Choice<'_> {
        let files = [
            ("app", "app: everything"),
            ("error", "error: warnings and errors"),
            ("scheduler", "scheduler: runs and tasks"),
        ];
        Choice::of("file", "Log", files, self.file.name())
    }

    fn levels(&self) -> Choice<'_> {
        let levels = [
            ("", "All"),
            ("error", "Errors"),
            ("warn", "Warnings and worse"),
            ("info", "Info and worse"),
            ("debug", "Debug and worse"),
        ];
        Choice::of("level", "Level", levels, &self.filter.level)
    }

    /// The same lines, read again from the end; following or not.
    fn end(&self, follow: &str) -> String {
        format!("{PATH}{}", self.filter.fields().with("follow", follow))
    }

    /// The log without any filter.
    fn cleared(&self) -> String {
        format!("{PATH}{}", Fields::of([("file", self.file.name())]))
    }
}

impl Row {
    fn class(&self) -> &'static str {
        match self.level {
            Some(LogLevel::Error) => "critical",
            Some(LogLevel::Warn) => "high",
            Some(LogLevel::Info) => "low",
            Some(LogLevel::Debug | LogLevel::Trace) | None => "muted",
        }
    }

    fn word(&self) -> &'static str {
        self.level.map_or("", LogLevel::name)
    }
}

impl From<LogLine> for Row {
    fn from(LogLine { time, level, text }: LogLine) -> Self {
        Self { time, level, text }
    }
}
